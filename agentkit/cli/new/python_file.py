"""Adding a function to a Python file of the user's.

Rule: lines are added and none is changed; a file that is not understood is left alone.
"""

import ast
import io
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from agentkit.cli.exits import Problem
from agentkit.files import read_regular

_IMPORT: Final = "from agentkit import tool"


def read_source(path: Path) -> str | None:
    """Return the text of a Python file, line ends as they are; None where there is no such file.

    Raises:
        Problem: It cannot be read, or is not UTF-8.
    """
    try:
        data = read_regular(path)
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        if encoding not in ("utf-8", "utf-8-sig"):
            raise Problem(f"{path} is written in {encoding}", hint="save it as UTF-8")
        return data.decode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise Problem(f"{path} cannot be read: {exc.strerror}") from exc
    except (UnicodeDecodeError, SyntaxError) as exc:
        raise Problem(f"{path} is not UTF-8 text", hint="save it as UTF-8") from exc


class SourceFile:
    """The text of a Python file, and what stands at its top level."""

    def __init__(self, path: Path, text: str) -> None:
        """Read it; nothing of it is run.

        Raises:
            Problem: It is not Python.
        """
        self._text = text
        try:
            self._body = ast.parse(text.removeprefix("\ufeff"), str(path)).body
        except (SyntaxError, ValueError) as exc:
            line = f":{exc.lineno}" if isinstance(exc, SyntaxError) and exc.lineno else ""
            said = exc.msg if isinstance(exc, SyntaxError) else str(exc)
            raise Problem(f"{path}{line} is not Python: {said}", hint="mend that first; nothing was changed") from exc

    def line_of(self, name: str) -> int | None:
        """Return the line that gives a name its value; None where none does."""
        return next((line for bound, line, _ in _bound(self._body) if bound == name), None)

    def function_line(self, name: str) -> int | None:
        """Return the line on which a function of a name is defined; None where it has none."""
        defined = (node for node in self._body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        return next((node.lineno for node in defined if node.name == name), None)

    @property
    def decorator(self) -> str:
        """How ``agentkit.tool`` is called here; empty where it has to be imported first."""
        origins = {name: origin for name, _, origin in _bound(self._body)}
        for name, origin in origins.items():
            if origin == "agentkit.tool":
                return name
        return next((f"{name}.tool" for name, origin in origins.items() if origin == "agentkit"), "")

    def with_function(self, function: str) -> str:
        """Return the text with a function at its end.

        Args:
            function: Its source, as lines that end in a newline; ``@tool`` has to be known where it is used.
        """
        # str.splitlines would also split at a form feed, where Python counts no line.
        lines = io.StringIO(self._text, newline="").readlines()
        if lines and not lines[-1].endswith(("\n", "\r")):
            lines[-1] += self._newline
        if not self.decorator:
            at = self._import_line()
            before = ["\n"] if at and not self._is_import(at) and lines[at - 1].strip() else []
            after = ["\n"] if not (at and self._is_import(at)) and at < len(lines) and lines[at].strip() else []
            lines[at:at] = self._ended([*before, f"{_IMPORT}\n", *after])
        blank = 0
        while blank < len(lines) and not lines[-1 - blank].strip():
            blank += 1
        lines += self._ended(["\n"] * max(2 - blank, 0))
        return "".join([*lines, *self._ended(function.splitlines(keepends=True))])

    @property
    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self._text else "\n"

    def _ended(self, lines: Sequence[str]) -> list[str]:
        return [line.removesuffix("\n") + self._newline for line in lines]

    def _import_line(self) -> int:
        """Return how many lines stand before a new import: those of the docstring and of the first imports."""
        last = 0
        for number, node in enumerate(self._body):
            docstring = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if not docstring and not isinstance(node, ast.Import | ast.ImportFrom):
                break
            last = node.end_lineno or last
        if last:
            return last
        lines = self._text.splitlines()
        return next((number for number, line in enumerate(lines) if not line.startswith(("#", "\ufeff#"))), len(lines))

    def _is_import(self, line: int) -> bool:
        return any(isinstance(node, ast.Import | ast.ImportFrom) and node.end_lineno == line for node in self._body)


def _bound(body: Sequence[ast.stmt]) -> Iterator[tuple[str, int, str]]:
    """Give every name that a module's statements bind, its line, and for an import what it stands for."""
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno, ""
            case ast.Import():
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    yield alias.asname or top, node.lineno, alias.name if alias.asname else top
            case ast.ImportFrom():
                for alias in node.names:
                    yield alias.asname or alias.name, node.lineno, f"{'.' * node.level}{node.module}.{alias.name}"
            case _:
                for child in ast.walk(node):
                    if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                        yield child.id, child.lineno, ""
                for name in ("body", "orelse", "finalbody"):
                    yield from _bound(getattr(node, name, []))
                for handler in getattr(node, "handlers", []):
                    yield from _bound(handler.body)
