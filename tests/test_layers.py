"""Which way imports point: what each part of the package may import, read from the source and never run.

An import under ``TYPE_CHECKING`` may point anywhere; one inside a function counts like any other.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[1] / "agentkit"

LEAVES: Final = {"cleaning", "distributions", "errors", "files", "lazy", "masking", "values"}
CORE: Final = LEAVES | {"events", "protocol"}
SHAPES: Final = CORE | {"audio", "tools", "middleware", "presets"}
ENGINE: Final = SHAPES | {"session", "transports.base", "transports"}
PARTS: Final = ENGINE | {
    "transports.websocket",
    "providers",
    "local",
    "registry",
    "hookspecs",
    "discovery",
    "isolation",
    "plugins",
}

# Beside what lies below it, a part may import the neighbours named here, and none of the others.
MAY_IMPORT: Final[Mapping[str, set[str]]] = {
    "cleaning": set(),
    "distributions": set(),
    "errors": set(),
    "files": set(),
    "lazy": set(),
    "masking": {"errors"},
    "values": {"errors"},
    "events": LEAVES,
    "protocol": LEAVES | {"events"},
    "audio": CORE,
    "tools": CORE,
    "presets": CORE,
    "middleware": CORE | {"tools"},
    "transports.base": SHAPES,
    "transports": SHAPES | {"transports.base"},
    "session": SHAPES | {"transports.base"},
    "transports.websocket": ENGINE,
    "local": ENGINE | {"transports.websocket"},
    "providers": ENGINE | {"transports.websocket", "local"},
    "registry": ENGINE,
    "hookspecs": ENGINE | {"registry"},
    "discovery": ENGINE | {"registry"},
    "isolation": ENGINE | {"registry", "hookspecs", "discovery"},
    "plugins": ENGINE | {"registry", "hookspecs", "discovery", "isolation"},
    "builtin": PARTS - {"discovery", "isolation", "plugins"},
    "config": PARTS,
    "testing": PARTS | {"config", "agentkit"},
    "client": PARTS | {"config"},
    "docs": PARTS | {"config", "client", "cli", "agentkit"},
    "cli": PARTS | {"config", "testing", "agentkit"},
    "pytest_plugin": {"testing", "cli", "agentkit"},
    "__main__": {"cli"},
    "templates": {"agentkit"},
    "agentkit": {"lazy"},
}
"""Each part of the package with what it may import; ``agentkit`` is the package's own ``__init__``."""

ONLY_IN: Final[Mapping[str, tuple[str, ...]]] = {
    "websockets": ("agentkit.transports.websocket", "agentkit.local.socket", "agentkit.testing"),
    "trio": (
        "agentkit.transports.websocket",
        "agentkit.local.socket",
        "agentkit.session.call_tasks",
        "agentkit.testing",
        "agentkit.pytest_plugin",
        "agentkit.client",
    ),
    "yaml": ("agentkit.config.loader",),
    "pluggy": ("agentkit.hookspecs", "agentkit.plugins", "agentkit.registry"),
    "click": ("agentkit.cli", "agentkit.docs"),
    "prompt_toolkit": ("agentkit.cli",),
    "docstring_parser": ("agentkit.tools",),
}
"""The modules that may import a dependency, each with all that is below it."""

PURE: Final = ("events", "protocol")
PURE_DEPENDENCIES: Final = {"msgspec", "numpy", "pybase64"}
IMPURE: Final = {
    "asyncio",
    "concurrent",
    "contextvars",
    "datetime",
    "http",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "queue",
    "random",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "uuid",
    "warnings",
}
"""What has a clock, a random, a thread, a file, a network or a log."""


class Import(NamedTuple):
    """One imported name."""

    module: str
    name: str | None
    """None for ``import module``."""
    alias: str
    """What it is called from there on."""
    line: int


class Source:
    """One module of the package, parsed."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.tree = ast.parse(text, name)
        self.imports = list(_imports(self.tree))

    @property
    def part(self) -> str:
        """The part of the package that it belongs to."""
        return part_of(self.name)


def _imports(node: ast.AST) -> Iterator[Import]:
    """Find every import that happens when the program runs."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import():
                for name in child.names:
                    yield Import(name.name, None, name.asname or name.name.partition(".")[0], child.lineno)
            case ast.ImportFrom():
                module = "." * child.level + (child.module or "")
                for name in child.names:
                    yield Import(module, name.name, name.asname or name.name, child.lineno)
            case ast.If() if "TYPE_CHECKING" in ast.unparse(child.test):
                for statement in child.orelse:
                    yield from _imports(ast.Module([statement], []))
            case _:
                yield from _imports(child)


def part_of(module: str) -> str:
    """Return the part that a module is in: its first name below the package, or its first two in ``transports``."""
    names = module.split(".")[1:]
    if not names:
        return "agentkit"
    two = ".".join(names[:2])
    return two if two in MAY_IMPORT else names[0]


def read(path: Path) -> Source:
    """Parse a module of the package."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return Source(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path.read_text(encoding="utf-8"))


SOURCES: Final = {source.name: source for source in map(read, sorted(ROOT.rglob("*.py")))}
PURE_SOURCES: Final = [source for source in SOURCES.values() if source.part in PURE]


def own(imported: Import) -> str | None:
    """Return the module of ours that an import loads, or None for another's."""
    if imported.module.split(".")[0] != "agentkit":
        return None
    inner = f"{imported.module}.{imported.name}"
    return inner if inner in SOURCES else imported.module


def is_private(name: str) -> bool:
    """Tell whether a name belongs to its own module or package alone."""
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def upwards(source: Source) -> list[str]:
    """Return each import of a part that this module's part may not have."""
    allowed = MAY_IMPORT[source.part] | {source.part}
    return [
        f"{source.name}:{imported.line}: {source.part} may not import {target}"
        for imported in source.imports
        if (target := own(imported)) is not None and part_of(target) not in allowed
    ]


def trespasses(source: Source) -> list[str]:
    """Return each use of a private name of another part, imported or reached through an imported name."""
    found = []
    foreign = set()
    for imported in source.imports:
        target = own(imported)
        if target is None or part_of(target) == source.part:
            continue
        foreign.add(imported.alias)
        if any(is_private(name) for name in (*imported.module.split("."), imported.name or "")):
            found.append(f"{source.name}:{imported.line}: {imported.module}.{imported.name}")
    for node in ast.walk(source.tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in foreign and is_private(attribute):
                found.append(f"{source.name}:{node.lineno}: {name}.{attribute}")
    return found


def actions(source: Source) -> list[str]:
    """Return each import and each ``async`` or ``await`` that sans-io code may not have."""
    allowed = (sys.stdlib_module_names - IMPURE) | PURE_DEPENDENCIES | {"agentkit"}
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    return [
        f"{source.name}:{imported.line}: imports {imported.module}"
        for imported in source.imports
        if imported.module.split(".")[0] not in allowed
    ] + [f"{source.name}:{node.lineno}: waits" for node in ast.walk(source.tree) if isinstance(node, waiting)]


def strays(source: Source) -> list[str]:
    """Return each import of a dependency outside the modules where it belongs."""
    return [
        f"{source.name}:{imported.line}: imports {imported.module}"
        for imported in source.imports
        if (homes := ONLY_IN.get(imported.module.split(".")[0])) is not None
        and not any(f"{source.name}.".startswith(f"{home}.") for home in homes)
    ]


def test_imports_point_down() -> None:
    assert [found for source in SOURCES.values() for found in upwards(source)] == []


def test_the_order_itself_has_no_circle() -> None:
    TopologicalSorter(MAY_IMPORT).prepare()


def test_no_two_modules_import_each_other() -> None:
    graph = {
        name: {target for imported in source.imports if (target := own(imported)) not in (None, name)}
        for name, source in SOURCES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these modules import each other: {' <- '.join(error.args[1])}")


def test_no_import_is_relative() -> None:
    assert [
        f"{source.name}:{imported.line}"
        for source in SOURCES.values()
        for imported in source.imports
        if imported.module.startswith(".")
    ] == []


def test_no_private_name_of_another_part_is_used() -> None:
    assert [found for source in SOURCES.values() for found in trespasses(source)] == []


def test_a_dependency_is_imported_only_where_it_belongs() -> None:
    assert [found for source in SOURCES.values() for found in strays(source)] == []


def test_events_and_protocol_do_nothing_but_compute() -> None:
    assert PURE_SOURCES
    assert [found for source in PURE_SOURCES for found in actions(source)] == []


# A check that finds nothing proves nothing, so each is given something to find.


@pytest.mark.parametrize(
    "text",
    [
        "from agentkit.session import Session",
        "from agentkit import session",
        "import agentkit.session.engine",
        "from agentkit import Session",
        "def late():\n    from agentkit.session import Session",
        "try:\n    import agentkit.session\nexcept ImportError:\n    pass",
    ],
)
def test_an_import_upwards_would_be_found(text: str) -> None:
    assert len(upwards(Source("agentkit.events.codec", text))) == 1


def test_an_import_for_the_type_checker_may_point_upwards() -> None:
    text = "if TYPE_CHECKING:\n    from agentkit.session import Session\nelse:\n    import agentkit.errors"
    source = Source("agentkit.events.codec", text)
    assert [imported.module for imported in source.imports] == ["agentkit.errors"]
    assert upwards(source) == []


@pytest.mark.parametrize(
    "text",
    [
        "from agentkit.events.codec import _table",
        "from agentkit.events import codec as c\nc._table",
        "import agentkit._x",
    ],
)
def test_a_private_name_of_another_part_would_be_found(text: str) -> None:
    assert len(trespasses(Source("agentkit.session.engine", text))) == 1


@pytest.mark.parametrize("text", ["import time", "from os import path", "import anyio", "async def f(): pass"])
def test_an_action_in_the_core_would_be_found(text: str) -> None:
    assert len(actions(Source("agentkit.protocol.core", text))) == 1


@pytest.mark.parametrize("text", ["import yaml", "from websockets.asyncio import client", "import pluggy"])
def test_a_stray_dependency_would_be_found(text: str) -> None:
    assert len(strays(Source("agentkit.session.engine", text))) == 1
