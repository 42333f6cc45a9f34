"""Which annotations a tool may have, how strings are resolved, and what is said of the others."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import types
import typing
from typing import Annotated, Any, Generic, Literal, NewType, Required, TypedDict, TypeVar

import msgspec
import pydantic
import pytest

from agentkit.tools import Tool, tool
from agentkit.tools.annotations import Scope, UnsupportedError

T = TypeVar("T")
UserId = NewType("UserId", int)


class Page(msgspec.Struct, Generic[T]):
    items: list[T]
    first: T
    total: int = 0


class Envelope(pydantic.BaseModel, Generic[T]):
    body: T


class Holder(msgspec.Struct):
    class Part(msgspec.Struct):
        size: int

    part: Part


class Partial(TypedDict, total=False):
    a: Required[int]
    b: str


class Whole(TypedDict):
    a: int
    b: typing.NotRequired[str]


class Empty(enum.Enum):
    pass


class Odd(enum.Enum):
    A = (1, 2)


class Plain:
    pass


class Vague(msgspec.Struct):
    what: Plain


class Lost(msgspec.Struct):
    what: Missing  # type: ignore[name-defined]  # noqa: F821 - that is the point


def properties(made: Tool[..., object]) -> dict[str, Any]:
    found = made.parameters["properties"]
    assert isinstance(found, dict)
    return found


def test_postponed_annotations_find_types_local_to_the_function_that_makes_the_tool() -> None:
    class Local(msgspec.Struct):
        child: Local | None = None

    @dataclasses.dataclass
    class Other:
        local: Local

    @tool
    def bare(other: Other) -> None: ...

    @tool(name="named")
    def decorated(local: Local) -> None: ...

    assert bare.bind('{"other": {"local": {"child": {}}}}') == {"other": Other(Local(child=Local()))}
    assert decorated.bind('{"local": {}}') == {"local": Local()}
    assert tool(decorated.function).bind('{"local": {}}') == {"local": Local()}


def test_the_names_where_a_function_of_another_module_is_made_a_tool_mean_nothing() -> None:
    space: dict[str, Any] = {"__name__": "elsewhere"}
    exec("def far(value: 'Local') -> None: ...", space)

    class Local(msgspec.Struct):
        pass

    with pytest.raises(TypeError, match="far cannot be a tool: parameter 'value': the name 'Local'"):
        tool(space["far"])


def test_a_type_inside_of_a_class_is_found() -> None:
    @tool
    def take(holder: Holder) -> None: ...

    assert take.bind('{"holder": {"part": {"size": 1}}}') == {"holder": Holder(part=Holder.Part(size=1))}


def test_a_generic_struct_is_filled_in() -> None:
    @tool
    def take(numbers: Page[int], words: Page[list[str]]) -> None: ...

    schema = properties(take)
    assert schema["numbers"]["properties"]["first"] == {"type": "integer"}
    assert schema["words"]["properties"]["items"]["items"]["items"] == {"type": "string"}


def test_a_generic_pydantic_model_is_filled_in() -> None:
    @tool
    def take(envelope: Envelope[int]) -> None: ...

    assert take.bind('{"envelope": {"body": 1}}') == {"envelope": Envelope[int](body=1)}


def test_a_typed_dict_knows_what_must_be_given_though_annotations_are_postponed() -> None:
    @tool
    def take(partial: Partial, whole: Whole) -> None: ...

    schema = properties(take)
    assert schema["partial"]["required"] == ["a"]
    assert schema["whole"]["required"] == ["a"]


def test_a_description_beside_the_type_is_shown() -> None:
    @tool
    def take(
        a: Annotated[int, "the first"],
        b: Annotated[Annotated[int, msgspec.Meta(description="the second", ge=1)], msgspec.Meta(le=9), 5],
        c: Annotated[int, pydantic.Field(ge=1, description="the third")] = 1,
    ) -> None: ...

    assert properties(take) == {
        "a": {"type": "integer", "description": "the first"},
        "b": {"type": "integer", "minimum": 1, "maximum": 9, "description": "the second"},
        "c": {"type": "integer", "minimum": 1, "description": "the third", "default": 1},
    }


@pytest.mark.parametrize(
    "annotation, value, expected",
    [
        (UserId, 1, 1),
        (int | msgspec.UnsetType, 1, 1),
        (collections.abc.MutableMapping[str, int], {"a": 1}, {"a": 1}),
        (set, [1], {1}),
    ],
)
def test_other_annotations_that_work(
    check: collections.abc.Callable[..., object], annotation: object, value: object, expected: object
) -> None:
    assert check(annotation, value) == expected


def test_an_alias_of_a_type_is_the_type(check: collections.abc.Callable[..., object]) -> None:
    class TypeAliasType:
        """What a `type` statement makes, where Python has it."""

        __value__ = list[int]

    assert check(TypeAliasType(), ["1"]) == [1]


def test_an_alias_that_contains_itself_is_refused() -> None:
    class TypeAliasType:
        def __init__(self) -> None:
            self.__value__ = typing.Union[int, list[self]]  # type: ignore[valid-type]  # noqa: UP007 - made at run time

    with pytest.raises(UnsupportedError, match="contains itself; use a Struct"):
        Scope(names={}, local={}, module="").shape(TypeAliasType())


@pytest.mark.parametrize(
    "annotation, reason",
    [
        (Plain, "the type Plain has no JSON form; use a Struct, a dataclass or a TypedDict"),
        (list[Plain], "the type Plain has no JSON form"),
        (complex, "the type complex has no JSON form"),
        (Vague, "Vague.what: the type Plain has no JSON form"),
        (Lost, "Lost: the name 'Missing' in its annotation is not defined here"),
        (collections.abc.Callable[[], int], "the type Callable[...] is not supported"),
        (collections.deque[int], "the type deque[...] is not supported"),
        (typing.ClassVar[int], "the type typing.ClassVar[int] is not supported"),
        (T, "~T is not a type that a tool can take"),
        ([], "[] is not a type that a tool can take"),
        (Page, "Page.items: ~T is not a type"),
        (dict[bool, int], "bool cannot be the key of a JSON object"),
        (dict[tuple[int], int], "tuple[int] cannot be the key of a JSON object"),
        (Empty, "the Enum Empty has no members"),
        (Odd, "the Enum Odd has the value (1, 2), which JSON has no form for"),
        (Literal[b"a"], "a Literal has the value b'a', which JSON has no form for"),
        (Annotated[Plain, pydantic.Field()], "pydantic cannot use"),
    ],
)
def test_an_annotation_that_cannot_work_is_refused_with_the_reason(annotation: object, reason: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        Scope(names={}, local={}, module="").shape(annotation)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "text, reason",
    [
        ("Missing", "the name 'Missing' in its annotation is not defined here"),
        ("list[", "its annotation cannot be evaluated ("),
        ("types.nothing", "its annotation cannot be evaluated ("),
    ],
)
def test_a_string_that_cannot_be_resolved_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        Scope(names={"types": types}, local={}, module="").resolve(text)
    assert reason in str(caught.value)


def test_nothing_of_pydantic_is_looked_at_where_it_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(__import__("sys").modules, "pydantic")
    with pytest.raises(UnsupportedError):
        Scope(names={}, local={}, module="").shape(Plain)
