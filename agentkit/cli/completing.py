"""What the shell may complete: names from the index of plugins, files, codes.

Rule: only metadata and the index of names are read; no plugin, no engine and no code of the user is imported.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click
from click.shell_completion import CompletionItem

from agentkit.files import read_regular

FILES: Final = ("file", "dir", "yaml")
"""What the shell itself completes; ``yaml`` is a configuration file."""
_OWN_TOOLS: Final = re.compile(r"""^\s*(?:-\s*)?\{?\s*python:\s*["']?[^\s"'#]+:([A-Za-z_]\w*)""", re.MULTILINE)
_CONFIG: Final = "agent.yaml"
_MAX_BYTES: Final = 1_000_000


class Words(click.types.StringParamType):
    """A text that the shell can complete."""

    def __init__(self, kind: str) -> None:
        """Make it; ``kind`` is one of ``FILES``, a kind of plugins' names, ``codes``, ``plugins`` or ``sessions``."""
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return what it may become."""
        if self.kind in FILES:
            return [CompletionItem(incomplete, type=self.kind)]
        *before, last = incomplete.split(",") if self.kind in ("codes", "plugins") else [incomplete]
        head = "".join(f"{each}," for each in before)
        return [CompletionItem(head + name) for name in _names(self.kind) if name.startswith(last)]


def _names(kind: str) -> Iterable[str]:
    match kind:
        case "codes":
            from agentkit.config.diagnostics import CODES

            return CODES
        case "plugins":
            return _plugins()
        case "sessions":
            return _sessions()
        case "tools":
            return sorted({*_indexed(kind), *_own_tools()})
        case _:
            return _indexed(kind)


def _indexed(kind: str) -> list[str]:
    from agentkit.discovery import cache_file, read_index

    records = read_index(cache_file(os.environ))
    return sorted({name for record in records.values() for name in record.names.get(kind, ())})


def _plugins() -> list[str]:
    from importlib.metadata import entry_points

    return sorted({point.name for point in entry_points(group="agentkit")})


def _sessions() -> list[str]:
    """Return the ids of the kept conversations, the newest first."""
    from agentkit.cli.exits import Problem
    from agentkit.cli.store import LAST, Store

    try:
        return [LAST, *(kept.meta.id for kept in Store.of_user().all())]
    except Problem:
        return []


def _own_tools() -> list[str]:
    """Return the functions that ``agent.yaml`` names as tools, by a look at its text."""
    try:
        return _OWN_TOOLS.findall(read_regular(Path(_CONFIG), _MAX_BYTES).decode("utf-8", "replace"))
    except OSError:
        return []
