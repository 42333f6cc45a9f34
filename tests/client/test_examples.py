"""The examples in the docstrings run as they stand, and name only what there is."""

from __future__ import annotations

import ast
import doctest
import inspect
import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

import agentkit.client
from agentkit import Local, RealtimeClient
from agentkit.client import EventHandlers, RealtimeAPI, RealtimeConversation

MODULES = [import_module(f"agentkit.client.{each.name}") for each in pkgutil.iter_modules(agentkit.client.__path__)]
EXAMPLES = [
    pytest.param(example, id=example.name.removeprefix("agentkit.client."))
    for module in MODULES
    for example in doctest.DocTestFinder(exclude_empty=True).find(module)
    if example.examples
]
SAME = {"connect", "disconnect"}
"""Methods of the low level that are those of the client."""


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_and_gives_what_it_shows(example: doctest.DocTest) -> None:
    said: list[str] = []
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert results.attempted > 0
    assert results.failed == 0, "".join(said)


@pytest.mark.anyio
@pytest.mark.parametrize("example", EXAMPLES)
async def test_an_example_uses_only_what_a_client_has(example: doctest.DocTest) -> None:
    async with RealtimeClient(provider=Local()) as client:
        for step in example.examples:
            for node in ast.walk(ast.parse(step.source)):
                if isinstance(node, ast.Attribute) and (path := _path(node)) is not None:
                    found: Any = client
                    for name in path:
                        found = getattr(found, name)


def _path(node: ast.Attribute) -> list[str] | None:
    """Return the names of ``client.a.b``; None for what is no attribute of the client's."""
    names: list[str] = []
    value: ast.expr = node
    while isinstance(value, ast.Attribute):
        names.insert(0, value.attr)
        value = value.value
    return names if isinstance(value, ast.Name) and value.id == "client" else None


INNER = {"dispatch", "listened", "begin_waiting", "end_waiting", "log"}
"""Methods that the parts of the client have for each other."""


@pytest.mark.parametrize("owner", [RealtimeClient, RealtimeAPI, RealtimeConversation, EventHandlers])
def test_every_method_that_the_reference_has_comes_with_an_example(owner: type) -> None:
    same = SAME if owner is RealtimeAPI else set()
    without = [
        name
        for name, method in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_")
        and name not in {"dispatch", "listened", "begin_waiting", "end_waiting", "log", *same}
        if ">>>" not in (inspect.getdoc(method) or "")
    ]
    assert without == []


def test_every_module_says_what_it_owns() -> None:
    assert [module.__name__ for module in MODULES if not _documented(module)] == []


def _documented(module: ModuleType) -> bool:
    return bool((module.__doc__ or "").strip())
