"""A first look at the lines of a text that is not YAML: where quotes open, which line is an entry, where a value ends.

Rule: it guesses from how people write, and only to word what the parser has refused.
"""

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

ENTRY: Final = re.compile(r"""(?P<lead>[ \t]*(?:-[ \t]+)*)(?P<key>"[^"]*"|'[^']*'|[\w.$-]+)[ \t]*:(?=[ \t]|$)""")
"""A line that begins with ``key:``, behind any dashes."""
ITEM: Final = re.compile(r"[ \t]*-(?=[ \t]|$)")
"""A line that is an item of a list."""
GLUED: Final = re.compile(r"(?P<key>[A-Za-z_][\w-]*):(?=[^\s:/\]},#&*!|>%@`])")
"""``key:value``, where the space behind the colon is missing and a value could begin."""
_BLOCK: Final = re.compile(r"[|>][-+0-9]*[ \t]*(?:#.*)?$")


class Quote(Struct, frozen=True):
    """A text in quotes, with where it opens and where it ends; rows and columns count from 0."""

    row: int
    column: int
    end_row: int | None
    """None where it is never closed."""
    end_column: int
    """Behind the closing quote."""


def indent_of(line: str) -> int:
    """Return how many spaces or tabs a line begins with."""
    return len(line) - len(line.lstrip(" \t"))


def is_content(line: str) -> bool:
    """Tell whether a line holds more than a comment."""
    return bool(line.strip()) and not line.lstrip(" \t").startswith("#")


def starts_entry(line: str) -> bool:
    """Tell whether a line begins a key or an item."""
    return ENTRY.match(line) is not None or ITEM.match(line) is not None


def value_start(line: str) -> int:
    """Return the column where the value of a line begins: behind its dashes and its key."""
    entry = ENTRY.match(line)
    item = re.match(r"[ \t]*(?:-[ \t]+)*", line)
    start = entry.end() if entry is not None else item.end() if item is not None else 0
    return start + indent_of(line[start:])


def value_end(line: str, start: int = 0) -> int:
    """Return the column behind a plain value that runs to the end of its line: a comment is not part of it."""
    comment = re.compile(r"[ \t]#").search(line, start)
    return len(line[: comment.start() if comment is not None else None].rstrip())


def flow_end(line: str, start: int) -> int:
    """Return the column behind a value inside of braces or brackets, with the braces of its ``${...}``."""
    depth = 0
    for column in range(start, len(line)):
        char = line[column]
        if char == "{":
            depth += 1
        elif depth and char == "}":
            depth -= 1
        elif not depth and char in ",]}":
            return len(line[:column].rstrip())
    return len(line.rstrip())


def flow_start(line: str, column: int) -> int:
    """Return the column where the value around a column inside of braces or brackets begins."""
    start = max(line.rfind(mark, 0, column) + width for mark, width in ((": ", 2), ("{", 1), ("[", 1), (",", 1)))
    return start + indent_of(line[start:])


class Scan(Struct, frozen=True):
    """What a reader sees who goes from line to line."""

    quotes: tuple[Quote, ...]
    """The texts in quotes, in their order."""
    opened: tuple[tuple[int, int] | None, ...]
    """For each row, the outermost brace or bracket that is open where it begins."""


def scan(lines: Sequence[str]) -> Scan:
    """Find the quotes, and what is open where."""
    found: list[Quote] = []
    opened: list[tuple[int, int] | None] = []
    brackets: list[tuple[int, int]] = []
    quote: tuple[int, int, str] | None = None
    block: int | None = None
    for row, line in enumerate(lines):
        opened.append(brackets[0] if brackets else None)
        if quote is None and block is not None:
            if not line.strip() or indent_of(line) > block:
                continue
            block = None
        column, fresh = 0, True
        while column < len(line):
            char = line[column]
            if quote is not None:
                if char == "\\" and quote[2] == '"':
                    column += 1
                elif char == quote[2]:
                    if char == "'" and line[column + 1 : column + 2] == "'":
                        column += 1
                    else:
                        found.append(Quote(quote[0], quote[1], row, column + 1))
                        quote, fresh = None, False
            elif char == "#" and (column == 0 or line[column - 1] in " \t"):
                break
            elif fresh and char in "\"'":
                quote = (row, column, char)
            elif fresh and not brackets and _BLOCK.match(line, column):
                block = indent_of(line)
                break
            elif char in "[{" and (fresh or brackets):
                brackets.append((row, column))
                fresh = True
            elif char in "]}" and brackets:
                brackets.pop()
                fresh = False
            elif char not in " \t":
                ends = line[column + 1 : column + 2] in ("", " ", "\t")
                fresh = (char == "," and bool(brackets)) or (char == ":" and ends) or (char == "-" and fresh and ends)
            column += 1
    if quote is not None:
        found.append(Quote(quote[0], quote[1], None, 0))
    return Scan(tuple(found), tuple(opened))


def runaway(lines: Sequence[str], row: int, seen: Scan) -> Quote | None:
    """Find the quote that was not meant to go on: one that swallows whole entries before a row."""
    for quote in seen.quotes:
        if quote.row > row:
            break
        last = len(lines) - 1 if quote.end_row is None else quote.end_row
        around = indent_of(lines[quote.row])
        for line in lines[quote.row + 1 : last + 1]:
            if starts_entry(line) and (indent_of(line) <= around or quote.end_row in (None, row)):
                return quote
    return None


def never_closed(lines: Sequence[str], row: int, seen: Scan) -> tuple[int, int] | None:
    """Find the brace or bracket that swallows the entry of a row, because it is never closed."""
    opener = seen.opened[row] if row < len(seen.opened) else None
    if opener is None or not starts_entry(lines[row]):
        return None
    depth = 0
    for number in range(opener[0], len(lines)):
        line = lines[number][opener[1] if number == opener[0] else 0 :]
        if number > opener[0] and is_content(line):
            inside = indent_of(line) > key_column(lines, opener[0]) or line.lstrip()[0] in "}]"
            if not inside:
                return opener
        depth += sum(line.count(char) for char in "[{") - sum(line.count(char) for char in "]}")
        if depth <= 0:
            return None
    return opener


def levels_of(lines: Sequence[str], row: int) -> dict[int, int]:
    """Return the columns where the blocks around a row begin, each with the last row that does."""
    found: dict[int, int] = {}
    least: int | None = None
    for each in range(row - 1, -1, -1):
        line = lines[each]
        if not is_content(line) or not starts_entry(line):
            continue
        column = indent_of(line)
        inner = key_column(lines, each)
        for level in (inner, column):
            if level not in found and (least is None or level < least):
                found[level] = each
        least = column if least is None else min(least, column)
        if column == 0:
            break
    return found


def key_column(lines: Sequence[str], row: int) -> int:
    """Return the column of the key of a row, behind its dashes."""
    entry = ENTRY.match(lines[row])
    return len(entry["lead"]) if entry is not None else indent_of(lines[row])
