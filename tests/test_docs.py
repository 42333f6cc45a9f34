"""What the source says of itself: every module, and every public name with its methods, has its docstring."""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from agentkit import hookspecs

ROOT: Final = Path(__file__).parents[1]
MODULES: Final = sorted([*ROOT.glob("agentkit/**/*.py"), *ROOT.glob("plugins/*/agentkit_*/**/*.py")])
PACKAGES: Final = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for path in ROOT.glob("agentkit/**/__init__.py")
    if path.parent.name != "cli"
)


def undocumented(package: str) -> Iterator[str]:
    """Return the public names of a package, and the public methods that its classes define, without a docstring."""
    module = import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not value.__doc__:
            yield f"{package}.{name}"
        if inspect.isclass(value):
            for attribute, member in vars(value).items():
                function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                if not attribute.startswith("_") and inspect.isfunction(function) and not inspect.getdoc(function):
                    yield f"{package}.{name}.{attribute}"


def test_every_module_says_first_what_it_owns() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if not (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").strip()
    ]
    assert silent == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_explained(package: str) -> None:
    assert list(undocumented(package)) == []


@pytest.mark.parametrize("name", hookspecs.HOOKS)
def test_a_hookspec_says_what_it_takes_and_returns_and_shows_it(name: str) -> None:
    text = inspect.getdoc(getattr(hookspecs, name)) or ""
    assert "Takes no arguments. Returns an iterable of" in text
    assert f"@hookimpl\n    def {name}():" in text
