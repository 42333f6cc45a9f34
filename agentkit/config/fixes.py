"""Mistakes that have one way out: the edits that mend them, and how a text is mended.

Rule: an edit replaces what is wrong and nothing around it, so comments, blank lines and line ends stay byte for byte.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

from agentkit.config.diagnostics import Edit, Fix, line_breaks, split_lines
from agentkit.config.nodes import MapNode, Place, ScalarNode
from agentkit.config.scanning import GLUED

TYPOGRAPHIC: Final = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2018\u2019\u201a\u201b"
"""Quotation marks of texts, which YAML takes for letters."""

_ALIKE: Final = 0.75
_APART: Final = 0.1
"""How alike a name must be, and how much more than the next one, from 0 to 1."""


def quoting(row: int, start: int, text: str) -> Fix:
    """Return the fix that puts a text of one line in quotes, in single ones where double ones would need escapes.

    Only the marks are written, so that no fix shows what may be a secret.

    Args:
        row: Its line; this and the column count from 0.
    """
    mark = "'" if '"' in text or "\\" in text else '"'
    inside = [column for column, char in enumerate(text) if char == mark]
    columns = [start, *(start + column for column in inside), start + len(text)]
    return Fix(title="put it in quotes", edits=tuple(_edit(row, column, column, mark) for column in columns))


def requoting(row: int, start: int, end: int, text: str) -> Fix | None:
    """Return the fix that writes other marks around a text; None where those stand in it.

    Args:
        end: Behind its last mark.
        text: All of it, with the marks that it has.
    """
    inside = text[1:-1]
    mark = '"' if '"' not in inside else "'"
    if len(text) < 2 or mark in inside or "\\" in inside or not inside.isprintable():
        return None
    edits = (_edit(row, start, start + 1, mark), _edit(row, end - 1, end, mark))
    return Fix(title="write other quotes", edits=edits)


def replacing(place: Place, text: str, title: str) -> Fix | None:
    """Return the fix that writes a text in a place; None where the place has no lines."""
    if place.line is None or place.column is None or place.end_line is None or place.end_column is None:
        return None
    edit = Edit(line=place.line, column=place.column, end_line=place.end_line, end_column=place.end_column, text=text)
    return Fix(title=title, edits=(edit,))


def on_row(row: int, start: int, end: int, text: str, title: str) -> Fix:
    """Return the fix of a piece of one line; the row and the columns count from 0."""
    return Fix(title=title, edits=(_edit(row, start, end, text),))


def renaming(key: ScalarNode, near: Sequence[str], block: MapNode) -> Fix | None:
    """Return the fix of a misspelt key: where one name is by far the nearest, and not in the block yet."""
    if not near or near[0] in block.entries:
        return None
    alike = [difflib.SequenceMatcher(None, key.text.casefold(), name.casefold()).ratio() for name in near]
    if len(near) > 1 and (alike[0] < _ALIKE or alike[0] - alike[1] < _APART):
        return None
    written = near[0] if key.plain else _requoted(key, near[0])
    return None if written is None else replacing(key.place, written, f"write `{near[0]}`")


def quoting_node(node: ScalarNode) -> Fix | None:
    """Return the fix that puts a value in quotes; None for one that takes several lines or came by a variable."""
    place = node.place
    if node.written is not None or not node.plain or place.line is None or place.line != place.end_line:
        return None
    return quoting(place.line - 1, (place.column or 1) - 1, node.text)


def writing(node: ScalarNode, text: str) -> Fix | None:
    """Return the fix that writes a value otherwise; None for one that takes several lines or came by a variable."""
    if node.written is not None or node.place.line != node.place.end_line:
        return None
    return replacing(node.place, text, f"write {text}")


def spacing(node: ScalarNode) -> Fix | None:
    """Return the fix of ``key:value``: a space behind the colon, on each line of a text that swallowed several."""
    place = node.place
    if place.line is None or place.column is None or place.end_line is None:
        return None
    lines = split_lines(place.source.text)
    edits = []
    for row in range(place.line - 1, place.end_line):
        line = lines[row]
        start = place.column - 1 if row == place.line - 1 else len(line) - len(line.lstrip())
        if not line.strip():
            continue
        match = GLUED.match(line, start)
        if match is None:
            return None
        edits.append(Edit(line=row + 1, column=match.end() + 1, end_line=row + 1, end_column=match.end() + 1, text=" "))
    return Fix(title="put a space behind the colon", edits=tuple(edits))


def apply(text: str, fixes: Iterable[Fix]) -> tuple[str, int]:
    """Return a text with fixes made, and how many were; one that touches what another changes is left for later."""
    starts = [0]
    for line, ending in zip(split_lines(text), line_breaks(text), strict=False):
        starts.append(starts[-1] + len(line) + len(ending))
    taken: list[tuple[int, int, str]] = []
    made = 0
    for fix in fixes:
        spans = []
        for edit in fix.edits:
            if edit.end_line > len(starts):
                break
            start, end = starts[edit.line - 1] + edit.column - 1, starts[edit.end_line - 1] + edit.end_column - 1
            spans.append((start, end, edit.text))
        if len(spans) < len(fix.edits) or any(
            start <= end_of and start_of <= end for start, end, _ in spans for start_of, end_of, _ in taken
        ):
            continue
        taken += spans
        made += 1
    for start, end, written in sorted(taken, reverse=True):
        text = text[:start] + written + text[end:]
    return text, made


def _edit(row: int, start: int, end: int, text: str) -> Edit:
    return Edit(line=row + 1, column=start + 1, end_line=row + 1, end_column=end + 1, text=text)


def _requoted(key: ScalarNode, name: str) -> str | None:
    """Write a name in the quotes of a key."""
    place = key.place
    if place.line is None or place.column is None:
        return None
    mark = split_lines(place.source.text)[place.line - 1][place.column - 1 : place.column]
    return f"{mark}{name}{mark}" if mark in "\"'" else None
