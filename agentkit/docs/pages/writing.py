"""Markdown out of code: docstrings, the strings below attributes, tables."""

import enum
import inspect
import itertools
import re
import textwrap
import types
from collections.abc import Iterable, Sequence
from typing import Final, Literal, Union, get_args, get_origin

from msgspec import Raw

from agentkit.config.describe import field_docs

_WORDS: Final = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    bytes: "bytes",
    object: "anything",
    type(None): "null",
    Raw: "JSON",
}
_CODE: Final = re.compile(r"``?(.+?)``?(?!`)")


def attribute_docs(cls: type) -> dict[str, str]:
    """Return the string below each attribute of a class and of those it is made of, on one line."""
    return {name: inline(text) for name, text in field_docs(cls).items()}


def inline(text: str) -> str:
    """Return a text of a docstring on one line, with code in single backticks."""
    return _CODE.sub(r"`\1`", " ".join(text.split()))


def summary(item: object) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return inline((inspect.getdoc(item) or "").partition("\n\n")[0])


def prose(text: str) -> str:
    """Return a docstring as Markdown: paragraphs, and what follows ``::`` as Python."""
    parts: list[str] = []
    lines = text.strip().splitlines()
    while lines:
        block = list(itertools.takewhile(lambda line: line.strip(), lines))
        lines = lines[len(block) :]
        if parts and parts[-1].endswith("::") and (not block or block[0].startswith(" ")):
            code = list(itertools.takewhile(lambda line: not line or line.startswith(" "), [*block, *lines]))
            lines = [*block, *lines][len(code) :]
            parts[-1] = parts[-1][:-1]
            parts.append(fenced(textwrap.dedent("\n".join(code)).strip("\n"), "python"))
        elif block:
            parts.append(inline(" ".join(block)))
        if lines and not lines[0].strip():
            lines = lines[1:]
    return "\n\n".join(parts)


def fenced(text: str, language: str = "") -> str:
    """Return a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, or nothing where there are no rows."""
    lines = [_row(row) for row in rows]
    return "\n".join([_row(head), _row(["---"] * len(head)), *lines]) if lines else ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in cells) + " |"


def page(title: str, *parts: str) -> str:
    """Return a page of its parts, without the empty ones, with a line on where it comes from."""
    made = "<!-- Made by `python -m agentkit.docs` from the code: change that, not this. -->"
    return "\n\n".join([f"# {title}", made, *(part.strip("\n") for part in parts if part.strip())]) + "\n"


def type_in_words(expected: object) -> str:
    """Say what a value of a field's type is."""
    core = expected
    while get_origin(core) is not None and hasattr(core, "__metadata__"):
        core = get_args(core)[0]
    origin, arguments = get_origin(core), get_args(core)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_in_words(member) for member in arguments))
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin in (tuple, list, frozenset, set):
        return f"list of {_plural(type_in_words(arguments[0]))}" if arguments[1:] in ((), (...,)) else "list"
    if origin is dict or core is dict:
        return "map"
    if isinstance(core, type):
        if core in _WORDS:
            return _WORDS[core]
        return " or ".join(f"`{each.value}`" for each in core) if issubclass(core, enum.Enum) else f"`{core.__name__}`"
    return str(core)


def _plural(words: str) -> str:
    return f"{words}s" if words.replace(" ", "").isalpha() and words in ("text", "number", "whole number") else words
