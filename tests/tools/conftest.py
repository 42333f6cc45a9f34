"""Ways to look at one annotation by itself."""

from collections.abc import Callable

import pytest

from agentkit.tools.annotations import Scope
from agentkit.tools.schema import Definitions, Schema
from agentkit.tools.shapes import INVALID, Check

CheckOne = Callable[..., object]
SchemaOf = Callable[[object], Schema]


@pytest.fixture
def check() -> CheckOne:
    """Give what a value becomes, or the problems as a list of lines."""

    def check(annotation: object, value: object, *, lax: bool = True, budget: int = 10_000) -> object:
        attempt = Check(lax=lax, budget=[budget])
        found = Scope(names={}, local={}, module="").shape(annotation).check(value, "x", attempt)
        lines = [f"{path}: {problem}" for path, problem in attempt.problems]
        assert (found is INVALID) == bool(lines)
        return lines or found

    return check


@pytest.fixture
def schema() -> SchemaOf:
    """Give the JSON Schema of an annotation."""

    def schema(annotation: object) -> Schema:
        defs = Definitions()
        return defs.close(Scope(names={}, local={}, module="").shape(annotation).schema(defs))

    return schema
