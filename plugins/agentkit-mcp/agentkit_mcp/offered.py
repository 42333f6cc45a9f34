"""Which of a server's tools are offered, under which names, and what they are taken to do to the world.

Rule: a name that has to be changed is made from the server's own name and nothing else. So it stays the same whatever
other tools there are, and a policy for it never falls to another tool.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from mcp.types import Tool

    from agentkit.tools.policy import Effects

MAX_NAME: Final = 64
_UNFIT: Final = re.compile(r"[^a-zA-Z0-9_-]")
_FIT: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MARK: Final = 6
"""Digits that tell a changed name from others which look like it."""


class Offer(Struct, frozen=True):
    """What is offered of a server's tools."""

    tools: Mapping[str, Tool]
    """By the name under which each is offered."""
    renamed: Mapping[str, str]
    """The new names, by the server's own."""
    doubled: Sequence[str]
    """Names that the server lists twice; its first tool of the name is taken."""
    unmatched: Sequence[str]
    """Patterns that no tool's name fits."""


def offer(tools: Iterable[Tool], *, include: Sequence[str], exclude: Sequence[str]) -> Offer:
    """Choose and name tools.

    Args:
        tools: What the server lists.
        include: Patterns of names that are taken.
        exclude: Patterns of names that are left out nevertheless.
    """
    listed = list(tools)
    offered: dict[str, Tool] = {}
    renamed: dict[str, str] = {}
    doubled: list[str] = []
    for tool in listed:
        if not _fits(tool.name, include) or _fits(tool.name, exclude):
            continue
        name = fit_name(tool.name)
        if name in offered:
            doubled.append(tool.name)
            continue
        if name != tool.name:
            renamed[tool.name] = name
        offered[name] = tool
    patterns = [pattern for pattern in (*include, *exclude) if pattern != "*"]
    unmatched = [pattern for pattern in patterns if not any(fnmatchcase(tool.name, pattern) for tool in listed)]
    return Offer(offered, renamed, doubled, unmatched)


def fit_name(name: str) -> str:
    """Return a name that the protocol allows: the same where it does, and one that no other name gives where not."""
    if _FIT.fullmatch(name):
        return name
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
    return f"{_UNFIT.sub('_', name)[: MAX_NAME - _MARK - 1]}_{mark}"


def effects_of(tool: Tool, *, trusted: bool) -> Effects:
    """Return what a tool is taken to do: the worse is believed of any server, the better of a trusted one."""
    hints = tool.annotations
    if hints is not None and hints.destructive_hint is True:
        return "dangerous"
    if trusted and hints is not None and hints.read_only_hint is True:
        return "reads"
    return "writes"


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
