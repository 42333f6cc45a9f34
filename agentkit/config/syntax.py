"""What the YAML parser means, in the user's words: the cause, its exact place, and the fix where there is one.

Rule: the parser says where it gave up, which is often behind the mistake; the lines around it say what was meant.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from agentkit.config.fixes import TYPOGRAPHIC, on_row, quoting, requoting
from agentkit.config.nodes import MAX_DEPTH
from agentkit.config.refusals import Mistake, Refused
from agentkit.config.scanning import (
    ENTRY,
    GLUED,
    ITEM,
    flow_end,
    flow_start,
    indent_of,
    is_content,
    key_column,
    levels_of,
    never_closed,
    runaway,
    scan,
    value_end,
    value_start,
)

_NAMES: Final = {"'": "single", '"': "double"}


def explain(error: Any, lines: Sequence[str]) -> Mistake:
    """Say what an error of the YAML parser means.

    Args:
        lines: The text, where it was split as the parser counts lines.
    """
    context = getattr(error, "context_mark", None)
    mark = getattr(error, "problem_mark", None) or context
    refused = Refused(
        said=getattr(error, "problem", None) or "this cannot be read",
        context=getattr(error, "context", None) or "",
        lines=lines,
        row=mark.line if mark is not None else 0,
        column=mark.column if mark is not None else 0,
        began=(context.line, context.column) if context is not None else None,
        seen=scan(lines),
    )
    for cause in _CAUSES:
        found = cause(refused)
        if found is not None:
            return found
    return refused.mistake(f"this is not YAML: {refused.said}")


def _tab(refused: Refused) -> Mistake | None:
    line = refused.line
    if "\t" not in line[: indent_of(line)] or refused.column > indent_of(line):
        return None
    column = line.index("\t")
    return refused.mistake(
        "a tab cannot indent YAML", "use spaces", at=(refused.row, column), end=indent_of(line), code="AK002"
    )


def _deep(refused: Refused) -> Mistake | None:
    if "nesting depth" not in refused.said:
        return None
    return refused.mistake(f"lists and maps nest deeper than {MAX_DEPTH} here", code="AK010")


def _quote(refused: Refused) -> Mistake | None:
    """A quote that is never closed, or only by the next one that comes."""
    quote = runaway(refused.lines, refused.row, refused.seen)
    if quote is not None:
        at = (quote.row, quote.column)
    elif "unexpected end of stream" in refused.said and "quoted" in refused.context and refused.began is not None:
        at = refused.began
    else:
        return None
    mark = refused.lines[at[0]][at[1]]
    name = _NAMES.get(mark, "")
    return refused.mistake(f"a {name} quote is opened here and never closed", f"add the closing {mark}", at=at)


def _template(refused: Refused) -> Mistake | None:
    """``{{name}} and more``: the braces are no map."""
    line = refused.line
    start = value_start(line)
    if not _unfit(refused) or not line.startswith("{{", start) or refused.column <= start:
        return None
    end = value_end(line, start)
    fix = quoting(refused.row, start, line[start:end])
    message, at = "a text cannot begin with `{{`", (refused.row, start)
    return refused.mistake(message, "put the text in quotes", at=at, end=end, code="AK004", fix=fix)


def _behind_quotes(refused: Refused) -> Mistake | None:
    """``'It's fine'``: the text goes on behind what closed the quote."""
    line, column = refused.line, refused.column
    closed = [
        quote
        for quote in refused.seen.quotes
        if quote.end_row == refused.row and quote.end_column <= column and not line[quote.end_column : column].strip()
    ]
    if not closed or not _unfit(refused) or line[column : column + 1] in ":,]}":
        return None
    quote = closed[-1]
    start = quote.column
    mark, end = line[start : start + 1], value_end(line, column)
    fix = None
    if quote.row == refused.row and line[end - 1] == mark:
        fix = requoting(refused.row, start, end, line[start:end])
    other = "double" if mark == "'" else "single"
    return refused.mistake(
        f"the text goes on behind the quote that closes at column {quote.end_column}",
        f"put all of it in {other} quotes" if mark in _NAMES else None,
        end=max(end, column + 1),
        code="AK004",
        fix=fix,
    )


def _bracket(refused: Refused) -> Mistake | None:
    """A brace or bracket that is never closed, so that the entries below it are read as a part of it."""
    opener = never_closed(refused.lines, refused.row, refused.seen)
    return None if opener is None else _open(refused, opener)


def _open(refused: Refused, opener: tuple[int, int]) -> Mistake:
    char = refused.lines[opener[0]][opener[1]]
    closing = "}" if char == "{" else "]"
    return refused.mistake(f"`{char}` is opened here and never closed", f"add the closing `{closing}`", at=opener)


def _flow(refused: Refused) -> Mistake | None:
    """Something is wrong between ``{ }`` or ``[ ]``."""
    said, line, column = refused.said, refused.line, refused.column
    if "','" not in said:
        return None
    variable = line.rfind("${", 0, column + 1)
    if variable >= 0 and not _in_quotes(refused, variable):
        start = flow_start(line, variable)
        end = flow_end(line, start)
        return refused.mistake(
            "`${` inside { } or [ ] needs quotes",
            "put the value in quotes",
            at=(refused.row, start),
            end=end,
            code="AK004",
            fix=None if end == len(line.rstrip()) else quoting(refused.row, start, line[start:end]),
        )
    if refused.began is None:
        return refused.mistake("a comma or the closing bracket is missing in the list or map")
    row, opened = refused.began
    char = refused.lines[row][opened]
    closing = {"{": "}", "[": "]"}.get(char, "}")
    where = f"that opens at line {row + 1}, column {opened + 1}"
    wrong = next((place for place in (column, column - 1) if line[place : place + 1] in ("}", "]")), None)
    if wrong is not None and line[wrong] != closing:
        return refused.mistake(
            f"`{line[wrong]}` cannot close the `{char}` {where}", f"write `{closing}`", at=(refused.row, wrong)
        )
    if not is_content(line):
        return _open(refused, (row, opened))
    return refused.mistake(
        f"a comma or the closing bracket is missing in the list or map {where}",
        "write a comma between two values, or quote a text that has one of , : { } [ ]",
    )


def _colon(refused: Refused) -> Mistake | None:
    """A second ``: ``: in this line, or because the line above has no end."""
    if "mapping values are not allowed" not in refused.said:
        return None
    line, row, column = refused.line, refused.row, refused.column
    start = value_start(line)
    if ENTRY.match(line) is not None and start < column:
        end = value_end(line, start)
        text = line[start:end]
        mark = text[:1]
        if mark in TYPOGRAPHIC:
            return _typographic(refused, start, end)
        free = mark not in "\"'[{|>&*!-"
        return refused.mistake(
            f"a text with `: ` in it needs quotes: the value begins at column {start + 1}",
            "put the value in quotes",
            end=column + 1,
            code="AK004",
            fix=quoting(row, start, text) if free else None,
        )
    above = next((each for each in range(row - 1, -1, -1) if is_content(refused.lines[each])), None)
    if above is None:
        return refused.mistake("a value is not expected here", "put the text in quotes", code="AK004")
    return _under(refused, above)


def _under(refused: Refused, above: int) -> Mistake:
    """The line above takes this one for a part of its text."""
    upper = refused.lines[above]
    glued = _glued(refused, above)
    if glued is not None:
        return glued
    if ENTRY.match(upper) is None:
        start = value_start(upper)
        return refused.mistake(
            "a colon is missing: this is no `key: value`",
            "write `key: value`",
            at=(above, start),
            end=max(value_end(upper, start), start + 1),
        )
    lead = ENTRY.match(upper)
    column = len(lead["lead"]) if lead is not None else 0
    start = indent_of(refused.line)
    return refused.mistake(
        f"this line is indented deeper than line {above + 1}, which has a value already",
        f"align it with column {column + 1}, as line {above + 1}, or put it behind a key without a value",
        at=(refused.row, start),
        end=max(refused.column, start + 1),
    )


def _glued(refused: Refused, row: int) -> Mistake | None:
    line = refused.lines[row]
    start = value_start(line)
    match = GLUED.match(line, start)
    if match is None or ENTRY.match(line) is not None:
        return None
    end = match.end()
    fix = on_row(row, end, end, " ", "put a space behind the colon")
    return refused.mistake(
        "a space is missing behind this colon", f"write `{match['key']}: ...`", at=(row, end - 1), code="AK012", fix=fix
    )


def _no_colon(refused: Refused) -> Mistake | None:
    if "could not find expected ':'" not in refused.said:
        return None
    row = refused.began[0] if refused.began is not None else refused.row
    glued = _glued(refused, row)
    if glued is not None:
        return glued
    line = refused.lines[row] if row < len(refused.lines) else ""
    start = indent_of(line)
    end = max(value_end(line, start), start + 1)
    return refused.mistake(
        "a `key: value` is expected here, and the colon is missing", "write `key: value`", at=(row, start), end=end
    )


def _item(refused: Refused) -> Mistake | None:
    if "sequence entries are not allowed" not in refused.said:
        return None
    return refused.mistake(
        "a list cannot begin in the line of its key", "put each `- ` in a line of its own, below the key"
    )


def _start(refused: Refused) -> Mistake | None:
    """A text that begins with a mark which has a meaning of its own."""
    signs = ("cannot start any token", "alphabetic or numeric", "mapping keys are not allowed", "node content", "tag")
    if not any(sign in refused.said + refused.context for sign in signs):
        return None
    line = refused.line
    row, column = refused.row, refused.column
    if refused.began is not None and refused.began[0] == row and "node" not in refused.context:
        column = refused.began[1]
    char = line[column : column + 1]
    if not char:
        return None
    flowing = "flow" in refused.context or _in_flow(line, column)
    start = flow_start(line, column) if flowing else value_start(line)
    if column != start or char in "]},":
        return refused.mistake(f"a `{char}` cannot stand here", "put the text in quotes")
    end = flow_end(line, start) if flowing else value_end(line, start)
    said = f"a text cannot begin with `{char}`"
    goes_on = flowing and end == len(line.rstrip())
    fix = None if goes_on else quoting(row, start, line[start:end])
    return refused.mistake(said, "put the text in quotes", at=(row, start), end=end, code="AK004", fix=fix)


def _escape(refused: Refused) -> Mistake | None:
    if "unknown escape" not in refused.said:
        return None
    line = refused.line
    column = line.rfind("\\", 0, refused.column + 1)
    if column < 0:
        return None
    shown = line[column : column + 2]
    return refused.mistake(
        f"`{shown}` is no escape that YAML knows in double quotes",
        f"write `\\{shown}`, or put the text in single quotes",
        at=(refused.row, column),
        end=column + 2,
        code="AK004",
        fix=on_row(refused.row, column, column, "\\", "double the backslash"),
    )


def _header(refused: Refused) -> Mistake | None:
    if "block scalar" not in refused.context:
        return None
    return refused.mistake(
        "the text of `|` or `>` begins in the next line", "move it there, indented deeper than the key"
    )


def _directive(refused: Refused) -> Mistake | None:
    row: int | None = None
    if refused.line.startswith("%"):
        row = refused.row
    elif "directive" in refused.context and refused.began is not None:
        row = refused.began[0]
    elif "document start" in refused.said:
        row = next((each for each in range(refused.row) if refused.lines[each].startswith("%")), None)
    if row is None:
        return None
    return refused.mistake("a line cannot begin with `%`", "begin a comment with `#`", at=(row, 0))


def _unfit(refused: Refused) -> bool:
    said = refused.said
    return "expected key" in said or "block end" in said or "'-' indicator" in said or "document start" in said


def _misfit(refused: Refused) -> Mistake | None:
    """A line whose indentation fits none of the blocks that are open."""
    if not _unfit(refused):
        return None
    line, row, column = refused.line, refused.row, refused.column
    char = line[column : column + 1]
    if char in ("}", "]"):
        return refused.mistake(f"a `{char}` without one that opens", "delete it, or put the text in quotes")
    if line[:column].strip():
        return refused.mistake("this cannot stand here", "put the value in quotes, or begin a new line")
    dash = re.compile(r"-(?=[A-Za-z_])").match(line, column)
    if dash is not None:
        fix = on_row(row, column + 1, column + 1, " ", "put a space behind the dash")
        return refused.mistake("a space is missing behind this dash", "write `- `", code="AK012", fix=fix)
    levels = levels_of(refused.lines, row)
    same = levels.get(column)
    if same is not None and ITEM.match(line) is not None and ITEM.match(refused.lines[same]) is None:
        return refused.mistake(
            f"a list item stands among keys (line {same + 1})", "put it below its key, or delete the dash"
        )
    if same is not None and ITEM.match(refused.lines[same]) is not None:
        hint = f"begin it with `- `, or move it to the keys of the item: column {key_column(refused.lines, same) + 1}"
        return refused.mistake(f"a key stands among the items of a list (line {same + 1})", hint)
    if not levels:
        return refused.mistake("this line does not fit the lines above it", "check its indentation")
    near = sorted(levels, key=lambda each: (abs(each - column), -each))[:2]
    places = " or ".join(f"column {each + 1} (line {levels[each] + 1})" for each in near)
    return refused.mistake(f"this line begins at column {column + 1}, where no block does", f"align it with {places}")


def _typographic(refused: Refused, start: int, end: int) -> Mistake:
    line = refused.line
    closed = line[end - 1] in TYPOGRAPHIC
    return refused.mistake(
        f"`{line[start]}` is no quotation mark of YAML",
        "write straight quotes",
        at=(refused.row, start),
        end=end,
        code="AK013",
        fix=requoting(refused.row, start, end, line[start:end]) if closed else None,
    )


def _in_quotes(refused: Refused, column: int) -> bool:
    at = (refused.row, column)
    return any(
        (quote.row, quote.column) <= at and (quote.end_row is None or at < (quote.end_row, quote.end_column))
        for quote in refused.seen.quotes
    )


def _in_flow(line: str, column: int) -> bool:
    before = re.sub(r"\$\{[^}]*\}", "", line[:column])
    return before.count("{") + before.count("[") > before.count("}") + before.count("]")


_CAUSES: Final[Sequence[Callable[[Refused], Mistake | None]]] = (
    _tab,
    _deep,
    _quote,
    _bracket,
    _template,
    _behind_quotes,
    _flow,
    _colon,
    _no_colon,
    _item,
    _header,
    _escape,
    _directive,
    _start,
    _misfit,
)
