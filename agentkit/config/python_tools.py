"""Tools that are the user's own Python, a function or a ``Toolset`` class: ``./file.py:NAME`` or ``package:NAME``."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from agentkit.registry import nearest
from agentkit.tools import Tool, Toolset, tool


class PythonToolError(Exception):
    """Why a function cannot be used as a tool, for a diagnostic."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def load_python_tool(reference: str, folders: tuple[Path, Path] | None) -> "Tool[..., object] | type[Toolset]":
    """Import a function, and make a tool of it; or import a class that is a toolset.

    Args:
        reference: ``./file.py:function``, relative to the configuration, or ``package.module:function``.
        folders: The folder that relative paths start from and the one they may not leave; None for a configuration
            that is no file.

    Raises:
        PythonToolError: It cannot be found, imported, or used as a tool.
    """
    home, name = parts_of(reference)
    module = _from_file(home, folders) if home.endswith(".py") else _from_package(home)
    found: object = getattr(module, name, None)
    if found is None:
        own = [key for key, value in vars(module).items() if _is_own(module, value) and not key.startswith("_")]
        raise missing(home, name, own)
    if isinstance(found, Tool) or (isinstance(found, type) and issubclass(found, Toolset)):
        return found
    if isinstance(found, Toolset):
        raise PythonToolError(f"`{name}` of {home} is one toolset, and each session needs its own", "name its class")
    if not callable(found):
        raise PythonToolError(f"`{name}` of {home} is no function; it is of type {type(found).__name__}")
    try:
        return tool(found)
    except TypeError as exc:
        raise PythonToolError(f"`{name}` of {home} cannot be a tool: {exc}") from exc


def parts_of(reference: str) -> tuple[str, str]:
    """Return the file or module and the name that a reference is made of.

    Raises:
        PythonToolError: It is not ``./file.py:NAME`` or ``package.module:NAME``.
    """
    home, colon, name = reference.rpartition(":")
    if not colon or not home or not name.isidentifier():
        raise PythonToolError(
            f"`{reference}` names no function", "write ./tools.py:function or package.module:function"
        )
    return home, name


def missing(home: str, name: str, own: Sequence[str]) -> PythonToolError:
    """Return the error of a name that a file or module does not have."""
    near = nearest(name, own)
    said = f"did you mean `{near[0]}`?" if near else f"it has: {', '.join(sorted(own)[:12]) or 'no functions'}"
    return PythonToolError(f"{home} has no `{name}`", said)


def file_of(home: str, folders: tuple[Path, Path] | None) -> Path:
    """Return the path of a file that a reference names.

    Raises:
        PythonToolError: It is not there, or not below the configuration's folder.
    """
    if folders is None:
        raise PythonToolError(f"{home} is relative to a file, and this configuration is none")
    start, boundary = folders
    path = (start / home).resolve()
    if not path.is_relative_to(boundary.resolve()):
        raise PythonToolError(f"{home} is outside of the configuration's folder", "keep it below the configuration")
    if path.exists() and not path.is_file():
        raise PythonToolError(f"{home} is no file", f"it is a folder, a pipe or a device: {path}")
    if not path.is_file():
        raise PythonToolError(f"there is no file {home}", f"it is looked for at {path}")
    return path


def _is_own(module: ModuleType, value: object) -> bool:
    """Tell whether a module's value is a tool, or a function that was written there."""
    own = inspect.isfunction(value) or (isinstance(value, type) and issubclass(value, Toolset))
    return isinstance(value, Tool) or (own and value.__module__ == module.__name__)


def _from_file(home: str, folders: tuple[Path, Path] | None) -> ModuleType:
    path = file_of(home, folders)
    name = f"agentkit_tools_{path.stem}_{abs(hash(str(path))):x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PythonToolError(f"{home} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as exc:  # noqa: BLE001  # isolation boundary, as for plugins: it may fail in any way
        del sys.modules[name]
        _failed(home, exc)
    return module


def _from_package(home: str) -> ModuleType:
    try:
        return importlib.import_module(home)
    except (Exception, SystemExit) as exc:  # noqa: BLE001  # as above
        _failed(home, exc)


def _failed(home: str, exc: BaseException) -> NoReturn:
    raise PythonToolError(f"{home} could not be imported: {type(exc).__name__}: {exc}") from exc
