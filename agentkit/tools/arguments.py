"""From the text of a call's arguments to a dict.

Rule: whatever the text is, the only error is ToolArgumentsError.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import NoReturn

from agentkit.errors import ToolArgumentsError

_MAX_DEPTH = 64
_MAX_DIGITS = 1000
_MAX_PROBLEMS = 20
_HEAD = 40
# A string that is never closed reaches to the end, so that each character is looked at once.
_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_arguments(raw: str) -> dict[str, object]:
    """Decode the arguments of a call; an empty text, blanks and ``null`` mean no arguments.

    A line break within a string is let through: models write them, and they can mean one thing only.

    Raises:
        ToolArgumentsError: The text is not JSON, not an object, or hostile (nested too deep, a key twice,
            half a character, a number that cannot be held).
    """
    if not raw.strip():
        return {}
    if _too_deep(raw):
        _refuse(f"they are nested deeper than {_MAX_DEPTH}")
    try:
        value = _DECODER.decode(raw)
    except json.JSONDecodeError as error:
        place = f"character {error.pos + 1}{', where they end' if error.pos >= len(raw) else ''}"
        _refuse(f"they are not valid JSON: {error.msg} at {place}: {_quoted(raw, error.pos)}")
    if value is None:
        return {}
    if not isinstance(value, dict):
        _refuse(f"expected a JSON object, got {_quoted(raw, 0)}")
    if ("\\u" in raw or not raw.isascii()) and _broken(value):
        _refuse("they hold half of a surrogate pair")
    return value


def arguments_error(problems: Sequence[tuple[str, str]]) -> ToolArgumentsError:
    """Make one error of all the problems found."""
    lines = [f"{path}: {problem}" if path else problem for path, problem in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        lines.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    return ToolArgumentsError("invalid arguments: " + "; ".join(lines), problems=problems)


def _refuse(problem: str) -> NoReturn:
    raise arguments_error([("", problem)]) from None


def _quoted(raw: str, position: int) -> str:
    """Show the text around a position."""
    start = max(0, position - _HEAD)
    part = raw[start : position + _HEAD]
    return f"{'…' if start else ''}{part!r}{'…' if position + _HEAD < len(raw) else ''}"


def _too_deep(raw: str) -> bool:
    if raw.count("[") + raw.count("{") <= _MAX_DEPTH:
        return False
    depth = 0
    for found in _BRACKETS.finditer(raw):
        token = raw[found.start()]
        depth += 1 if token in "[{" else -1 if token in "]}" else 0
        if depth > _MAX_DEPTH:
            return True
    return False


def _broken(value: object) -> bool:
    """Whether a string in it cannot be written as UTF-8."""
    if isinstance(value, str):
        return _SURROGATE.search(value) is not None
    if isinstance(value, dict):
        return any(_broken(name) or _broken(item) for name, item in value.items())
    return isinstance(value, list) and any(map(_broken, value))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        _refuse(f"the name {twice[:_HEAD]!r} is given twice")
    return value


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        _refuse(f"they hold a number of {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        _refuse(f"they hold a number that is too large: {text[:_HEAD]}")
    return value


def _constant(text: str) -> NoReturn:
    _refuse(f"they hold {text}, which is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant, strict=False
)
