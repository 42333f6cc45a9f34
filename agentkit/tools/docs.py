"""Docstrings (Google, NumPy, Sphinx and Epydoc style) as a summary and the description of each parameter.

Rule: the parser is imported when a docstring of several lines is first read, never at import.
"""

import inspect
import re
from collections.abc import Mapping

from msgspec import Struct


class Docs(Struct, frozen=True, kw_only=True):
    """What a docstring says."""

    summary: str = ""
    parameters: Mapping[str, str] = {}


def read_docs(text: str | None) -> Docs:
    """Read a docstring."""
    text = inspect.cleandoc(text or "")
    if "\n" not in text and not text.startswith(":"):
        return Docs(summary=text)

    from docstring_parser import ParseError, parse

    try:
        parsed = parse(text)
    except ParseError:
        return Docs(summary=text.partition("\n\n")[0])
    paragraphs = (parsed.short_description, parsed.long_description)
    gap = "\n\n" if parsed.blank_after_short_description else "\n"
    return Docs(
        summary=_unwrapped(gap.join(paragraph for paragraph in paragraphs if paragraph)),
        parameters={
            parameter.arg_name.lstrip("*"): _unwrapped(parameter.description)
            for parameter in parsed.params
            if parameter.description
        },
    )


def _unwrapped(text: str) -> str:
    """Join the lines of each paragraph, broken for the source file's sake; lists keep their lines."""
    return re.sub(r"(?<=\S)\n(?=[^\s*+\-0-9])", " ", text.strip())
