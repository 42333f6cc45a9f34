"""The outputs of tools in words."""

import json
from collections.abc import Mapping
from typing import Final

MAX_WORDS: Final = 2_000
MAX_DEPTH: Final = 4
MAX_ENTRIES: Final = 50
_SPOKEN: Final = ("say", "text", "summary")
"""Keys whose text is the answer as it stands."""


def word_output(output: str) -> str:
    """Return a tool's output as a person says it.

    An object's ``say``, ``text`` or ``summary`` is the answer; else plain values are said as they are, and objects as
    ``key: value``. An ``error`` is told as one.
    """
    value = _parsed(output)
    if isinstance(value, str):
        head, _, rest = value.partition(":")
        if head.strip().casefold() == "error" and rest.strip():
            return f"That did not work: {_cut(rest.strip())}"
        return _cut(value.strip()) or "Done."
    if isinstance(value, dict):
        if (error := value.get("error")) not in (None, False, ""):
            if isinstance(error, dict):
                error = error.get("message", error)
            return f"That did not work: {_cut(_told(error, 0))}"
        for key in _SPOKEN:
            if isinstance(spoken := value.get(key), str) and spoken.strip():
                return _cut(spoken.strip())
        if all(each is True for each in value.values()):
            return "Done."
    if value is None:
        return "Done."
    if value == []:
        return "Nothing was found."
    return _cut(_told(value, 0))


def _parsed(output: str) -> object:
    try:
        value: object = json.loads(output)
    except (ValueError, RecursionError):
        return output
    return value


def _told(value: object, depth: int) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if depth >= MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        entries = list(value.items())[:MAX_ENTRIES]
        return ", ".join(f"{str(key).replace('_', ' ')}: {_told(each, depth + 1)}" for key, each in entries)
    if isinstance(value, list):
        return ", ".join(_told(each, depth + 1) for each in value[:MAX_ENTRIES])
    return str(value)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]}..."
