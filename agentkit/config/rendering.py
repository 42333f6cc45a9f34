"""How problems of a configuration look: in full with the line and a caret, on one line, as JSON, or for GitHub."""

import json
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from agentkit.config.diagnostics import Diagnostic, Fix, summary

FIX: Final = "agentkit check --fix"
"""The command that mends what has one way out."""
_BOLD: Final = "1"
_BLUE: Final = "1;34"
_COLOURS: Final = {"error": "1;31", "warning": "1;33"}
_MIN_WIDTH: Final = 40
_MAX_LINE: Final = 400
"""So much of a line is shown where the terminal's width does not say it."""
_MAX_SHOWN: Final = 200
"""So many problems of a file are shown in full; the other formats have them all."""


def render_full(diagnostics: Sequence[Diagnostic], *, color: bool = False, width: int | None = None) -> str:
    """Write each problem with its line, a caret and its hint, then the summary.

    Args:
        color: Whether terminal colours are wanted.
        width: The terminal's width; None, for a pipe, wraps nothing, and cuts only very long lines of a file.
    """
    limit = None if width is None else max(width, _MIN_WIDTH)
    counts: dict[str, int] = {}
    blocks = []
    for each in diagnostics:
        counts[each.file] = counts.get(each.file, 0) + 1
        if counts[each.file] <= _MAX_SHOWN:
            blocks.append("\n".join(_full(each, color=color, width=limit)))
    for name, count in counts.items():
        if count > _MAX_SHOWN:
            blocks.append(f"... and {count - _MAX_SHOWN} more in {_clean(name)}; --format concise shows all")
    return "\n\n".join([*blocks, summary(diagnostics)]) + "\n"


def render_concise(diagnostics: Sequence[Diagnostic]) -> str:
    """Write each problem on one line, as compilers do, then the summary."""
    lines = []
    for each in diagnostics:
        hint = f" ({each.hint})" if each.hint else ""
        lines.append(_clean(f"{each.place}: {each.severity}[{each.code}] {each.message}{hint}"))
    return "\n".join([*lines, summary(diagnostics)]) + "\n"


def render_json(diagnostics: Sequence[Diagnostic], more: Mapping[str, object] | None = None) -> str:
    """Write the problems as one JSON document.

    Args:
        more: What else it says, by key.
    """
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
            "fix": None if each.fix is None else _fix(each.fix),
        }
        for each in diagnostics
    ]
    said = {"v": 1, "diagnostics": problems, **(more or {})}
    try:
        encoded = msgspec.json.encode(said).decode()
    except UnicodeEncodeError:  # the name of a file need not be text
        encoded = json.dumps(msgspec.to_builtins(said), separators=(",", ":"))
    return encoded + "\n"


def render_github(diagnostics: Sequence[Diagnostic]) -> str:
    """Write each problem as a command that a GitHub workflow turns into an annotation."""
    lines = []
    for each in diagnostics:
        where = {"file": each.file, "line": each.line, "col": each.column, "endLine": each.end_line}
        if each.end_line == each.line:  # a column of another line would be taken for one of this
            where["endColumn"] = each.end_column
        said = {**where, "title": each.code}
        properties = ",".join(f"{key}={_property(value)}" for key, value in said.items() if value is not None)
        text = "\n".join([each.message, *([each.hint] if each.hint else []), *each.notes])
        lines.append(f"::{each.severity} {properties}::{_escaped(text)}")
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    text = "".join(char if char.isprintable() or char in "\r\n" else "\ufffd" for char in text)
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _escaped(str(value)).replace(":", "%3A").replace(",", "%2C")


def _fix(fix: Fix) -> dict[str, object]:
    edits = [
        {
            "line": edit.line,
            "col": edit.column,
            "end_line": edit.end_line,
            "end_col": edit.end_column,
            "text": edit.text,
        }
        for edit in fix.edits
    ]
    return {"title": fix.title, "edits": edits}


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
        room = _MAX_LINE if width is None else width - gutter - 3
        for number, text in each.excerpt:
            shown, start, end = _window(text, each, number, room)
            lines.append(f"{paint(str(number).rjust(gutter), _BLUE)} {paint('|', _BLUE)} {shown}".rstrip())
            if number == each.line:
                caret = "^" * max(1, _cells(shown[start:end]))
                pad = " " * _cells(shown[:start])
                lines += _underline(margin, pad, paint(caret, tone), hint, room, len(pad) + len(caret))
    notes = [*each.notes, *([f"fix available: {FIX}"] if each.fix is not None else [])]
    for note in notes:
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


def _window(text: str, each: Diagnostic, number: int, room: int) -> tuple[str, int, int]:
    """Return the part of a line that fits, and where the underlined part begins and ends in it."""
    shown = text.rstrip()
    if number != each.line:
        return _clean(shown[:room]), 0, 0
    start = min((each.column or 1) - 1, len(shown))
    ends_here = each.end_line in (None, each.line) and each.end_column is not None
    end = (each.end_column or 1) - 1 if ends_here else len(shown)
    end = max(start, min(end, len(shown)))
    if len(shown) <= room:
        return _clean(shown), start, end
    cut = max(0, min(start - room // 3, len(shown) - room))
    return _clean(shown[cut : cut + room]), start - cut, min(end - cut, room)


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
