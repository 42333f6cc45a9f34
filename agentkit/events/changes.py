"""How settings change: merged as a server does it, compared with what was confirmed, and the smallest update.

Rule: inside ``audio`` each field of ``input`` and ``output`` is replaced whole, because how deep a server
merges ``turn_detection`` is not documented; so an update always carries it whole.
"""

import math
from collections.abc import Iterator
from typing import TypeAlias, TypeVar

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from agentkit.errors import LocalProtocolError
from agentkit.events.settings import (
    AnyServerSession,
    AnySettings,
    AudioInput,
    AudioOutput,
    AudioSettings,
    CustomVoice,
    FunctionTool,
    ServerMcpTool,
    Settings,
    ToolChoice,
    TranscriptionSettings,
)

Difference: TypeAlias = tuple[str, object, object]
"""The path of a field, what was asked, and what was confirmed."""

_S = TypeVar("_S", bound=Settings | TranscriptionSettings)
_T = TypeVar("_T", bound=msgspec.Struct)
_MERGED = (AudioSettings, AudioInput, AudioOutput)


def merge_settings(base: _S, update: AnySettings) -> _S:
    """Apply an update as a server does: what it says replaces, what it does not say stays, ``None`` clears.

    Raises:
        LocalProtocolError: One is a conversation's and the other a transcription's.
    """
    _same_kind(base, update)
    return _merged(base, update)


def _same_kind(one: AnySettings, other: AnySettings) -> None:
    if isinstance(one, TranscriptionSettings) is not isinstance(other, TranscriptionSettings):
        raise LocalProtocolError(
            "A conversation session cannot become a transcription session, nor the other way round: "
            "open another session."
        )


def _merged(base: _T, update: msgspec.Struct) -> _T:
    changes: dict[str, object] = {}
    for name, value in _said(update):
        old = getattr(base, name)
        if isinstance(value, _MERGED) and isinstance(old, _MERGED):
            changes[name] = _merged(old, value)
        else:
            changes[name] = value
    return replace(base, **changes)


def _said(settings: msgspec.Struct) -> Iterator[tuple[str, object]]:
    """Give the fields that are set; a server's own (``id``...) are none."""
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if value is not UNSET and name not in ("id", "object", "expires_at"):
            yield name, value


def diff_settings(asked: AnySettings, confirmed: AnySettings | AnyServerSession) -> tuple[Difference, ...]:
    """Compare what was asked with what the server has confirmed.

    Only what was asked counts, and only where the server says anything about it: defaults that it adds are no
    difference. A tool is its name, description and parameters; a model's dated version is that model.

    Raises:
        LocalProtocolError: One is a conversation's and the other a transcription's.
    """
    _same_kind(asked, confirmed)
    return tuple(found for found in _differences(asked, confirmed, "") if found[2] is not UNSET)


def minimal_update(current: AnySettings | AnyServerSession, wanted: _S) -> _S | None:
    """Find the smallest settings whose merge into ``current`` gives what is wanted.

    Returns:
        The update, or ``None`` where nothing has to change.

    Raises:
        LocalProtocolError: One is a conversation's and the other a transcription's.
    """
    _same_kind(current, wanted)
    return _needed(current, wanted)


def _needed(current: object, wanted: _T) -> _T | None:
    changes: dict[str, object] = {}
    for name, value in _said(wanted):
        old = getattr(current, name, UNSET)
        if isinstance(value, _MERGED):
            if (inner := _needed(old, value)) is not None:
                changes[name] = inner
        elif any(_differences(value, old, name)):
            changes[name] = value
    return type(wanted)(**changes) if changes else None


def _differences(asked: object, confirmed: object, path: str) -> Iterator[Difference]:
    if confirmed is UNSET:
        yield path, asked, confirmed
    elif path == "tools" and isinstance(asked, tuple) and isinstance(confirmed, tuple):
        yield from _tool_differences(asked, confirmed)
    elif isinstance(asked, CustomVoice | ToolChoice) or isinstance(confirmed, CustomVoice | ToolChoice):
        if _named(asked) != _named(confirmed):
            yield path, asked, confirmed
    elif isinstance(asked, msgspec.Struct) and isinstance(confirmed, msgspec.Struct):
        for name, value in _said(asked):
            inner = f"{path}.{name}" if path else name
            yield from _differences(value, getattr(confirmed, name, UNSET), inner)
    elif isinstance(asked, dict) and isinstance(confirmed, dict):
        for key, value in asked.items():
            yield from _differences(value, confirmed.get(key, UNSET), f"{path}.{key}")
    elif not _same(asked, confirmed, path):
        yield path, asked, confirmed


def _named(value: object) -> object:
    if isinstance(value, CustomVoice):
        return value.id
    if isinstance(value, ToolChoice):
        return value.name if value.type == "function" else (value.server_label, value.name)
    return value


def _same(asked: object, confirmed: object, path: str) -> bool:
    if asked == confirmed or (_cleared(asked) and _cleared(confirmed)):
        return True
    if isinstance(asked, float) and isinstance(confirmed, int | float):
        # servers give back 32-bit floats
        return math.isclose(asked, confirmed, rel_tol=1e-6)
    if path == "model" and isinstance(asked, str) and isinstance(confirmed, str):
        return confirmed.startswith(f"{asked}-")
    if path == "output_modalities" and isinstance(asked, tuple) and isinstance(confirmed, tuple):
        return "audio" in asked and "audio" in confirmed
    return False


def _cleared(value: object) -> bool:
    return value is None or value in ("", ())


def _tool_differences(asked: tuple[object, ...], confirmed: tuple[object, ...]) -> Iterator[Difference]:
    wanted, there = _by_name(asked), _by_name(confirmed)
    for name in {**wanted, **there}:
        one, other = wanted.get(name), there.get(name)
        if isinstance(one, FunctionTool) and isinstance(other, FunctionTool):
            same = (one.description or "") == (other.description or "")
            same = same and (one.parameters or {}) == (other.parameters or {})
        else:
            # what a server tells of an MCP server has no secrets in it, so only its presence can be compared
            same = type(one) is type(other)
        if not same:
            yield f"tools.{name}", one, other


def _by_name(tools: tuple[object, ...]) -> dict[str, object]:
    names: dict[str, object] = {}
    for tool in tools:
        name = tool.name if isinstance(tool, FunctionTool) else None
        if isinstance(tool, ServerMcpTool):
            name = tool.server_label
        names[name or repr(tool)] = tool
    return names
