"""Which functions can be tools, and what is made of their parameters."""

import enum
import functools
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest

from agentkit.errors import ToolArgumentsError
from agentkit.tools import Tool, ToolContext, tool
from agentkit.tools.schema import Schema
from agentkit.tools.signature import describe


class Unit(enum.Enum):
    CELSIUS = "celsius"


def gen(a: int) -> Iterator[int]:
    yield a


def varied(*args: int) -> None: ...


def named(**kwargs: int) -> None: ...


def placed(a: int, /) -> None: ...


class Service:
    """The service."""

    def call(self, a: int) -> int:
        """Call it."""
        return a

    def __call__(self, b: int) -> int:
        return b


class Stream:
    def __call__(self, a: int) -> Iterator[int]:
        yield a


class Plain:
    pass


class Native:
    """An object whose signature cannot be read."""

    __signature__ = "none"

    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    "function, message",
    [
        (varied, "varied cannot be a tool: parameter 'args': *args cannot be described to a model"),
        (named, "named cannot be a tool: parameter 'kwargs': **kwargs cannot be described to a model"),
        (placed, "placed cannot be a tool: parameter 'a': it is positional-only"),
        (gen, "gen cannot be a tool: it is a generator; return the whole result, or make it `async def`"),
        (functools.partial(gen, a=1), "gen cannot be a tool: it is a generator"),
        (Stream(), "Stream cannot be a tool: it is a generator"),
        (Service, "Service cannot be a tool: it is a class; give a function"),
        (Service.call, "Service.call cannot be a tool: it is a method; use tool(instance.call) instead"),
        (Native(), "Native cannot be a tool: it has no signature that can be read"),
        (dict.fromkeys, "dict.fromkeys cannot be a tool: parameter 'iterable': it is positional-only"),
        (5, "int cannot be a tool: it cannot be called"),
        (tool(lambda: 1, name="one"), "one is a tool already; use its renamed() or with_()"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_when_it_is_made(function: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        tool(function, name="x")
    assert message in str(caught.value)


def schema(made: Tool[..., object]) -> Schema:
    return made.parameters


def test_the_schema_of_a_function_without_parameters() -> None:
    @tool
    def now() -> None: ...

    expected = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    assert schema(now) == expected


def test_defaults_are_shown_where_json_has_them() -> None:
    @tool
    def f(a: int, b: Unit = Unit.CELSIUS, c: object = object, d: "int | None" = None) -> None: ...

    assert schema(f)["properties"] == {
        "a": {"type": "integer"},
        "b": {"type": "string", "enum": ["celsius"], "default": "celsius"},
        "c": {},
        "d": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
    }
    assert schema(f)["required"] == ["a"]


def test_a_parameter_without_annotation_takes_its_type_from_its_default() -> None:
    @tool
    def f(a, b=1, c=None, d=Plain()) -> None:  # type: ignore[no-untyped-def]  # noqa: B008 - that is the point
        ...

    assert schema(f)["properties"] == {
        "a": {},
        "b": {"type": "integer", "default": 1},
        "c": {"default": None},
        "d": {},
    }
    assert f.bind('{"a": [1], "b": "2", "d": 5}') == {"a": [1], "b": 2, "d": 5}


@pytest.mark.parametrize(
    "annotation",
    [ToolContext, ToolContext | None, Annotated[ToolContext, "the call"]],
)
def test_the_context_is_not_the_models_business(annotation: Any) -> None:
    def f(a: int, context: Any) -> None: ...

    f.__annotations__["context"] = annotation
    made = tool(f)
    assert schema(made)["properties"] == {"a": {"type": "integer"}}
    assert made.signature.context_names == ("context",)
    with pytest.raises(ToolArgumentsError, match="context: unknown"):
        made.bind('{"a": 1, "context": {}}')


def test_a_union_of_the_context_and_another_type_is_refused() -> None:
    def f(context: ToolContext | int) -> None: ...

    with pytest.raises(TypeError, match="parameter 'context'"):
        tool(f)


def test_what_a_partial_fills_in_is_not_shown() -> None:
    def fetch(url: str, key: str, limit: int = 3) -> str:
        return f"{url} {key} {limit}"

    made = tool(functools.partial(functools.partial(fetch, key="secret"), limit=5))
    assert made.name == "fetch"
    assert schema(made)["properties"] == {"url": {"type": "string"}}
    assert made(url="a") == "a secret 5"


def test_bound_methods_and_objects_are_named_and_described_by_what_was_written() -> None:
    method, thing = tool(Service().call), tool(Service())
    assert (method.name, method.description) == ("call", "Call it.")
    assert (thing.name, thing.description) == ("Service", "The service.")
    assert schema(method)["required"] == ["a"]
    assert schema(thing)["required"] == ["b"]


def test_a_static_method_may_be_a_tool() -> None:
    class Group:
        @tool
        @staticmethod
        def add(a: int, b: int) -> int:
            return a + b

    assert Group.add(1, 2) == 3
    assert Group.add.name == "add"


def test_a_wrapped_function_has_the_signature_and_the_docstring_of_the_inner_one() -> None:
    def wrapper(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def inner(*args: int, **kwargs: int) -> int:
            return function(*args, **kwargs)

        return inner

    @tool
    @wrapper
    def add(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    assert (add.name, add.description, schema(add)["required"]) == ("add", "Add.", ["a"])


def test_a_function_is_named_without_the_place_it_was_made_in() -> None:
    def inner() -> None: ...

    assert describe(inner) == "inner"
    assert describe(Service().call) == "Service.call"
    assert describe(Service()) == "Service"
