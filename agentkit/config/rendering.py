"""How problems of a configuration look: in full with the line and a caret, on one line, or as JSON."""

import textwrap
import unicodedata
from collections.abc import Sequence
from typing import Final

import msgspec

from agentkit.config.diagnostics import Diagnostic, summary

_BOLD: Final = "1"
_BLUE: Final = "1;34"
_COLOURS: Final = {"error": "1;31", "warning": "1;33"}
_MIN_WIDTH: Final = 40


def render_full(diagnostics: Sequence[Diagnostic], *, color: bool = False, width: int | None = None) -> str:
    """Write each problem with its line, a caret and its hint, then the summary.

    Args:
        color: Whether terminal colours are wanted.
        width: The terminal's width; None, for a pipe, wraps and cuts nothing.
    """
    limit = None if width is None else max(width, _MIN_WIDTH)
    blocks = ["\n".join(_full(each, color=color, width=limit)) for each in diagnostics]
    return "\n\n".join([*blocks, summary(diagnostics)]) + "\n"


def render_concise(diagnostics: Sequence[Diagnostic]) -> str:
    """Write each problem on one line, as compilers do, then the summary."""
    lines = []
    for each in diagnostics:
        hint = f" ({each.hint})" if each.hint else ""
        lines.append(_clean(f"{each.place}: {each.severity}[{each.code}] {each.message}{hint}"))
    return "\n".join([*lines, summary(diagnostics)]) + "\n"


def render_json(diagnostics: Sequence[Diagnostic]) -> str:
    """Write the problems as one JSON document."""
    problems = [
        {
            "code": each.code,
            "severity": each.severity,
            "message": each.message,
            "file": each.file,
            "line": each.line,
            "col": each.column,
            "end_line": each.end_line,
            "end_col": each.end_column,
            "key": each.key,
            "hint": each.hint,
            "notes": each.notes,
        }
        for each in diagnostics
    ]
    return msgspec.json.encode({"v": 1, "diagnostics": problems}).decode() + "\n"


def _full(each: Diagnostic, *, color: bool, width: int | None) -> list[str]:
    def paint(text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if color and text else text

    tone = _COLOURS[each.severity]
    head = f"{each.severity}[{each.code}]"
    first, *rest = _wrap(_clean(each.message), width, indent=len(head) + 2)
    lines = [f"{paint(head, tone)}: {paint(first, _BOLD)}"]
    lines += [" " * (len(head) + 2) + paint(text, _BOLD) for text in rest]
    hint = _clean(each.hint) if each.hint else ""
    gutter = len(str(each.line or 0)) + 1
    margin = " " * (gutter + 1) + paint("|", _BLUE)
    arrow = f"{' ' * gutter}{paint('-->', _BLUE)} {_clean(each.place)}"
    if not each.excerpt:
        # A preset in code and an override have no lines to show, so the hint stands beside the place.
        lines.append(arrow)
        lines += [f"{' ' * (gutter + 1)}  {text}" for text in _wrap(hint, width, indent=gutter + 3) if text]
    else:
        lines += [arrow, margin]
        room = None if width is None else width - gutter - 3
        for number, text in each.excerpt:
            shown, start, end = _window(text, each, number, room)
            lines.append(f"{paint(str(number).rjust(gutter), _BLUE)} {paint('|', _BLUE)} {shown}".rstrip())
            if number == each.line:
                caret = "^" * max(1, _cells(shown[start:end]))
                pad = " " * _cells(shown[:start])
                lines += _underline(margin, pad, paint(caret, tone), hint, room, len(pad) + len(caret))
    for note in each.notes:
        first, *rest = _wrap(_clean(note), width, indent=gutter + 3)
        lines.append(f"{' ' * (gutter + 1)}{paint('=', _BLUE)} {first}")
        lines += [f"{' ' * (gutter + 3)}{text}" for text in rest]
    return lines


def _underline(margin: str, pad: str, caret: str, hint: str, room: int | None, used: int) -> list[str]:
    if not hint:
        return [f"{margin} {pad}{caret}"]
    if room is None or used + 1 + _cells(hint) <= room:
        return [f"{margin} {pad}{caret} {hint}"]
    return [f"{margin} {pad}{caret}", *(f"{margin} {text}" for text in _wrap(hint, room, indent=0))]


def _window(text: str, each: Diagnostic, number: int, room: int | None) -> tuple[str, int, int]:
    """Return the part of a line that fits, and where the underlined part begins and ends in it."""
    shown = _clean(text.rstrip())
    if number != each.line:
        return (shown if room is None else shown[:room]), 0, 0
    start = min((each.column or 1) - 1, len(shown))
    ends_here = each.end_line in (None, each.line) and each.end_column is not None
    end = (each.end_column or 1) - 1 if ends_here else len(shown)
    end = max(start, min(end, len(shown)))
    if room is None or len(shown) <= room:
        return shown, start, end
    cut = max(0, min(start - room // 3, len(shown) - room))
    return shown[cut : cut + room], start - cut, min(end - cut, room)


def _wrap(text: str, width: int | None, *, indent: int) -> list[str]:
    if width is None or not text:
        return [text]
    return textwrap.wrap(text, max(width - indent, 20), break_on_hyphens=False) or [""]


def _clean(text: str) -> str:
    """Replace what could move the cursor or colour the terminal; each character stays one character."""
    return "".join(" " if char in "\t\n\r" else char if char.isprintable() else "\ufffd" for char in text)


def _cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
