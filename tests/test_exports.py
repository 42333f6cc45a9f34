"""The public names: complete, sorted, loaded on first use, and each in one place."""

import ast
import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

import agentkit

ROOT: Final = Path(agentkit.__file__).parent
PACKAGES: Final = sorted(
    ".".join(("agentkit", *path.parent.relative_to(ROOT).parts)) for path in ROOT.rglob("*/__init__.py")
)
# The command line is used through its verbs, not through names.
FACES: Final = [name for name in PACKAGES if name.split(".")[1] != "cli"]


def exports_of(module: ModuleType) -> list[str]:
    return list(module.__all__)


def order(name: str) -> tuple[int, str]:
    """Constants, classes, functions, each by name: the order that ruff keeps too."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2, name)


def names_given(module: ModuleType) -> set[str]:
    """Return every public name that the source of a package's ``__init__`` imports from the package, or defines."""
    names = set()
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "agentkit":
            names |= {alias.asname or alias.name for alias in node.names}
    for statement in tree.body:
        if isinstance(statement, (ast.ClassDef, ast.FunctionDef)):
            names.add(statement.name)
    return {name for name in names if not name.startswith("_")}


def fresh(code: str) -> list[str]:
    """Run code in a new interpreter and return the modules that it loaded."""
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return sorted(done.stdout.split())


def foreign(modules: list[str]) -> set[str]:
    """Return the packages among these modules that are neither Python's nor ours."""
    return {name.split(".")[0] for name in modules} - sys.stdlib_module_names - {"agentkit"}


@pytest.mark.parametrize("package", ["agentkit", *FACES])
def test_the_names_of_a_package_are_sorted_and_unique(package: str) -> None:
    names = exports_of(importlib.import_module(package))
    assert names == sorted(set(names), key=order)


@pytest.mark.parametrize("package", ["agentkit", *FACES])
def test_the_names_of_a_package_are_those_that_it_gives(package: str) -> None:
    module = importlib.import_module(package)
    assert set(exports_of(module)) == names_given(module)


@pytest.mark.parametrize("package", ["agentkit", *FACES])
def test_every_name_of_a_package_is_there(package: str) -> None:
    module = importlib.import_module(package)
    assert [name for name in exports_of(module) if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", ["agentkit", *FACES])
def test_a_package_lists_its_names(package: str) -> None:
    module = importlib.import_module(package)
    assert set(exports_of(module)) <= set(dir(module))


@pytest.mark.parametrize("package", ["agentkit", *FACES])
def test_a_name_that_is_not_there_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        importlib.import_module(package).no_such_name  # noqa: B018  # looking it up is the test


@pytest.mark.parametrize("name", agentkit.__all__)
def test_a_public_name_is_one_object_wherever_it_is_exported(name: str) -> None:
    homes = [module for package in FACES if name in exports_of(module := importlib.import_module(package))]
    assert {id(getattr(module, name)) for module in homes} <= {id(getattr(agentkit, name))}, homes


def test_importing_the_package_loads_nothing_else() -> None:
    assert [name for name in fresh("import agentkit") if name.startswith("agentkit.")] == ["agentkit.lazy"]
    assert foreign(fresh("import agentkit")) == set()


def test_a_plugin_that_gives_a_tool_loads_no_engine() -> None:
    loaded = foreign(fresh("from agentkit import hookimpl, tool"))
    assert loaded & {"click", "numpy", "prompt_toolkit", "pydantic", "rich", "trio", "websockets", "yaml"} == set()


EMBEDDED: Final = """
import anyio, agentkit

async def main():
    async with agentkit.open(agentkit.Local()) as session:
        await session.ask("hello")

anyio.run(main)
"""


def test_a_session_in_a_program_needs_neither_yaml_nor_plugins_nor_a_network() -> None:
    loaded = foreign(fresh(EMBEDDED))
    assert "msgspec" in loaded
    assert loaded & {"click", "pluggy", "prompt_toolkit", "pydantic", "rich", "websockets", "yaml"} == set()


def test_the_version_is_that_of_the_distribution() -> None:
    assert importlib.metadata.version("agentkit-realtime") == agentkit.__version__
