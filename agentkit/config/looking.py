"""Tools that are the user's own Python, looked at without running any of it.

Rule: nothing is imported here; a file is parsed, and the names that it defines are read off.
"""

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from agentkit.config.agents import own_tools
from agentkit.config.diagnostics import Diagnostic
from agentkit.config.draft import Draft
from agentkit.config.nodes import KeyPath, ListNode, MapNode, Node, ScalarNode
from agentkit.config.python_tools import PythonToolError, file_of, missing, parts_of
from agentkit.files import read_regular

UNTRUSTED = "`python:` runs code, and this configuration is no file that you named"


def python_items(root: MapNode) -> Iterator[tuple[KeyPath, ScalarNode]]:
    """Find what ``python:`` says in each item of tools that is not switched off, with its path."""
    tools = root.get("tools")
    common: Iterable[tuple[KeyPath, Node]] = (
        (("tools", index), item) for index, item in enumerate(tools.items if isinstance(tools, ListNode) else ())
    )
    for path, item in [*common, *own_tools(root)]:
        said = item.get("python") if isinstance(item, MapNode) else None
        when = item.get("when") if isinstance(item, MapNode) else None
        if isinstance(when, ScalarNode) and when.text == "false":
            continue
        if isinstance(said, ScalarNode) and said.kind == "str" and said.text and not said.lost:
            yield (*path, "python"), said


def check_python(draft: Draft, *, trust: bool) -> list[Diagnostic]:
    """Look at each python tool, and return what can be known to be wrong without running it.

    Args:
        trust: Whether the configuration may name code at all.
    """
    found = []
    for path, said in python_items(draft.root):
        if not trust:
            hint = "read it, then write it into a file, or say --trust to `run` or `check`"
            found.append(draft.problem("AK210", UNTRUSTED, *path, hint=hint))
            continue
        try:
            _look(said.text, draft.folders_of(*path))
        except PythonToolError as exc:
            found.append(draft.problem("AK207", str(exc), *path, hint=exc.hint))
    return found


def _look(reference: str, folders: tuple[Path, Path] | None) -> None:
    """Find a function or a class where it is written.

    Raises:
        PythonToolError: It is not there, or its file is no Python.
    """
    home, name = parts_of(reference)
    path = file_of(home, folders) if home.endswith(".py") else _package_file(home)
    if path is None:
        return  # compiled, or made by an importer of its own
    try:
        tree = ast.parse(read_regular(path), filename=str(path))
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise PythonToolError(f"{home} cannot be read: {reason.lower()}") from exc
    except SyntaxError as exc:
        raise PythonToolError(f"{home} is no Python: {exc.msg}", f"see its line {exc.lineno}") from exc
    names = set(_names(tree.body))
    if name not in names and not {"*", "__getattr__"} & names:
        own = [
            each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        ]
        raise missing(home, name, [each for each in own if not each.startswith("_")])


def _names(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Return the names that statements of a module may define."""
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield statement.name
            case ast.Import() | ast.ImportFrom():
                yield from (alias.asname or alias.name for alias in statement.names)
            case _:
                for node in ast.walk(statement):
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                        yield node.id
                    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                        yield node.name
                    elif isinstance(node, ast.Import | ast.ImportFrom):
                        yield from (alias.asname or alias.name for alias in node.names)


def _package_file(home: str) -> Path | None:
    """Return the file of a module, without importing the packages around it; None where it has none."""
    spec: ModuleSpec | None = None
    whole = ""
    for part in home.split("."):
        try:
            if not whole:
                spec = importlib.util.find_spec(part)
            else:
                spec = PathFinder.find_spec(f"{whole}.{part}", spec.submodule_search_locations if spec else None)
        except (ImportError, ValueError):
            spec = None
        whole = f"{whole}.{part}" if whole else part
        if spec is None:
            raise PythonToolError(
                f"there is no module {whole}", "for a file beside this one, write ./tools.py:function"
            )
    origin = spec.origin if spec is not None else None
    return Path(origin) if origin is not None and origin.endswith(".py") else None
