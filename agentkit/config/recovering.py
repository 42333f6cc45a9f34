"""Reading on behind a mistake: the smallest part around it is left out, and the rest is read.

Rule: rows are emptied, never removed, so every place stays right; what surrounds an emptied part is marked as torn,
so nothing is said to be missing that stands in it.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from agentkit.config.diagnostics import line_breaks, split_lines
from agentkit.config.scanning import ITEM, indent_of, is_content, starts_entry


class Damage(Struct):
    """A part of a text that is left out; rows count from 0, the last is included."""

    first: int
    last: int
    indent: int
    """The column where it begins."""
    item: bool
    """Whether it begins with a dash."""
    claimed: bool = False
    """Whether the list or map that it stood in is known."""


class Tabs(Struct, frozen=True):
    """How one line was indented with tabs, and is read with spaces."""

    written: int
    """How many tabs and spaces there are."""
    tabs: int
    """How many of them are tabs; those stand first."""
    width: int
    """How many spaces one tab counts."""

    @property
    def shown(self) -> int:
        """How many spaces they are read as."""
        return self.written + self.tabs * (self.width - 1)

    def column(self, read: int) -> int:
        """Return the column of the file for one of what was read; both count from 0."""
        return read // self.width if read < self.tabs * self.width else read - self.tabs * (self.width - 1)


def expanded(text: str, width: int, row: int) -> tuple[str, dict[int, Tabs]]:
    """Return a text with spaces for the tabs that its lines begin with, and which lines those are.

    Args:
        width: How many spaces a tab counts.
        row: One that is among them, even where spaces stand before its tabs.
    """
    lines, breaks = split_lines(text), [*line_breaks(text), ""]
    found = {}
    for number, line in enumerate(lines):
        lead = line[: indent_of(line)]
        if lead.startswith("\t") or ("\t" in lead and number == row):
            found[number] = Tabs(len(lead), lead.count("\t"), width)
            lines[number] = " " * found[number].shown + line[len(lead) :]
    return "".join(line + end for line, end in zip(lines, breaks, strict=True)), found


def parts_around(lines: Sequence[str], first: int, last: int) -> Iterator[Damage]:
    """Find what may have to be left out because of a mistake, the smallest part first.

    Args:
        first: The row of the mistake.
        last: The last row that is known to be spoilt by it.
    """
    top = first
    while True:
        yield _part(lines, top, _end_of(lines, top, last))
        parent = next(
            (
                row
                for row in range(top - 1, -1, -1)
                if is_content(lines[row]) and _indent(lines, row) < _indent(lines, top)
            ),
            None,
        )
        if parent is None:
            break
        top = parent
    yield _part(lines, top, len(lines) - 1)


def without(text: str, damage: Damage) -> str:
    """Return a text with the rows of a part emptied."""
    lines, breaks = split_lines(text), [*line_breaks(text), ""]
    for row in range(damage.first, min(damage.last, len(lines) - 1) + 1):
        # Nothing between a lone carriage return and a line feed would make one line end of the two.
        lines[row] = " " if row and breaks[row - 1] == "\r" else ""
    return "".join(line + end for line, end in zip(lines, breaks, strict=True))


def _part(lines: Sequence[str], first: int, last: int) -> Damage:
    line = lines[first] if first < len(lines) else ""
    return Damage(first, last, _indent(lines, first), ITEM.match(line) is not None)


def _indent(lines: Sequence[str], row: int) -> int:
    return indent_of(lines[row]) if row < len(lines) else 0


def _end_of(lines: Sequence[str], top: int, last: int) -> int:
    """Return the last row of the part that begins with a row: what is indented deeper, and what starts nothing."""
    around = _indent(lines, top)
    dashed = top < len(lines) and ITEM.match(lines[top]) is not None
    end = max(top, last)
    for row in range(top + 1, len(lines)):
        line = lines[row]
        if row > end and is_content(line):
            deeper = indent_of(line) > around
            items = not dashed and indent_of(line) == around and ITEM.match(line) is not None
            if not deeper and not items and (starts_entry(line) or line.startswith(("---", "..."))):
                break
        end = max(end, row)
    return end
