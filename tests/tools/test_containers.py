"""Lists, tuples, tables, unions and limits."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, time
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from agentkit.errors import ToolArgumentsError
from agentkit.tools import tool
from agentkit.tools.schema import Schema

CheckOne = Callable[..., object]

INT: Schema = {"type": "integer"}
STR: Schema = {"type": "string"}


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Dog(msgspec.Struct, tag="dog"):
    name: str


class Left(msgspec.Struct):
    next: "Left | Right | None" = None


class Right(msgspec.Struct):
    next: "Left | Right | None" = None


@pytest.mark.parametrize(
    "annotation, expected",
    [
        (list, {"type": "array", "items": {}}),
        (list[int], {"type": "array", "items": INT}),
        (Sequence[int], {"type": "array", "items": INT}),
        (set[int], {"type": "array", "items": INT, "uniqueItems": True}),
        (tuple, {"type": "array", "items": {}}),
        (tuple[int, ...], {"type": "array", "items": INT}),
        (tuple[int, str], {"type": "array", "prefixItems": [INT, STR], "minItems": 2, "maxItems": 2}),
        (tuple[()], {"type": "array", "minItems": 0, "maxItems": 0}),
        (dict, {"type": "object", "additionalProperties": {}}),
        (Mapping[str, int], {"type": "object", "additionalProperties": INT}),
        (dict[int, str], {"type": "object", "additionalProperties": STR}),
        (
            dict[Literal["a"], int],
            {
                "type": "object",
                "additionalProperties": INT,
                "propertyNames": {"type": "string", "enum": ["a"]},
            },
        ),
        (int | None, {"anyOf": [INT, {"type": "null"}]}),
        (
            Annotated[int, Meta(ge=1, lt=9, multiple_of=2)],
            {**INT, "minimum": 1, "exclusiveMaximum": 9, "multipleOf": 2},
        ),
        (Annotated[str, Meta(min_length=1, pattern="^a")], {**STR, "minLength": 1, "pattern": "^a"}),
        (Annotated[list[int], Meta(max_length=2)], {"type": "array", "items": INT, "maxItems": 2}),
        (
            Annotated[dict[str, int], Meta(max_length=2)],
            {"type": "object", "additionalProperties": INT, "maxProperties": 2},
        ),
        (Annotated[int | None, Meta(ge=1)], {"anyOf": [{**INT, "minimum": 1}, {"type": "null"}]}),
        (
            Annotated[str, Meta(title="T", examples=["a"], extra_json_schema={"x": 1})],
            {**STR, "title": "T", "examples": ["a"], "x": 1},
        ),
    ],
)
def test_the_schema_of_a_container(schema: Callable[[object], Schema], annotation: object, expected: Schema) -> None:
    assert schema(annotation) == expected


@pytest.mark.parametrize(
    "annotation, value, expected",
    [
        (list[int], [1, "2", 3.0], [1, 2, 3]),
        (Iterable[int], [1], [1]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[()], [], ()),
        (set[int], [1, 1], {1}),
        (AbstractSet[int], [1], frozenset({1})),
        (dict[int, list[str]], {"1": ["a"]}, {1: ["a"]}),
        (int | str, "3", "3"),
        (int | None, "3", 3),
        (int | float, 3.0, 3.0),
        (float | int, 3, 3),
        (float | str, 3, 3.0),
        (list[int] | str, "a", "a"),
        (Cat | Dog, {"type": "dog", "name": "Rex"}, Dog(name="Rex")),
        (Left | None, {"next": {"next": None}}, Left(next=Left())),
        (Annotated[int, Meta(ge=1, le=3)], 3, 3),
        (Annotated[bool, Meta(ge=1)], False, False),
        (Annotated[float, Meta(multiple_of=0.1)], 0.3, 0.3),
        (Annotated[int, Meta(multiple_of=5)], 10**60, 10**60),
        (Annotated[int | str, Meta(ge=1)], "ab", "ab"),
        (Annotated[time, Meta(tz=False)], "09:30", time(9, 30)),
        (Annotated[datetime, Meta(tz=None)], "2025-01-31", datetime(2025, 1, 31)),
    ],
)
def test_what_a_container_becomes(check: CheckOne, annotation: object, value: object, expected: object) -> None:
    found = check(annotation, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "annotation, value, problems",
    [
        (list[int], {"a": 1}, ["x: expected list, got object"]),
        (list[int], ["a", 1, None], ["x[0]: expected int, got str 'a'", "x[2]: expected int, got null"]),
        (set[Any], [[]], ["x: expected a list of values that can be in a set"]),
        (tuple[int, str], "ab", ["x: expected list of 2, got str"]),
        (tuple[int, str], [1], ["x: expected list of 2, got 1"]),
        (tuple[int, str], [1, 2], ["x[1]: expected str, got int"]),
        (dict[str, int], [], ["x: expected object, got list"]),
        (dict[str, int], {"a b": "z"}, ["x['a b']: expected int, got str 'z'"]),
        (dict[int, int], {"a": 1}, ["x.a: expected int, got str 'a' as a key"]),
        (int | str, [], ["x: expected int or str, got list"]),
        (int | list[int], ["a"], ["x[0]: expected int, got str 'a'"]),
        (tuple[int, int] | dict[str, int] | None, [1, "a"], ["x[1]: expected int, got str 'a'"]),
        (tuple[int, int] | dict[str, int] | None, {"b": "a"}, ["x.b: expected int, got str 'a'"]),
        (Cat | Dog, {"type": "cat", "lives": "many"}, ["x.lives: expected int, got str 'many'"]),
        (
            Cat | Dog,
            {"type": "cow"},
            ["x: expected object with type 'cat' or object with type 'dog', got object"],
        ),
        (list[Annotated[list[int] | int, Meta(max_length=1)]], [["a"]], ["x[0][0]: expected int, got str 'a'"]),
        (int | Annotated[list[int], Meta(max_length=1)], [1, 2], ["x: expected at most 1 items, got 2"]),
        (str | (list[int] | None), ["a"], ["x[0]: expected int, got str 'a'"]),
        (int | Annotated[str | list[int], Meta(max_length=9)], ["a"], ["x[0]: expected int, got str 'a'"]),
        (Annotated[int, Meta(ge=1)], 0, ["x: expected >= 1, got 0"]),
        (Annotated[int, Meta(gt=1)], 1, ["x: expected > 1, got 1"]),
        (Annotated[int, Meta(le=1)], 2, ["x: expected <= 1, got 2"]),
        (Annotated[float, Meta(lt=1)], 1.0, ["x: expected < 1, got 1.0"]),
        (Annotated[int, Meta(multiple_of=5)], 7, ["x: expected a multiple of 5, got 7"]),
        (Annotated[int, Meta(ge=1)], "a", ["x: expected int, got str 'a'"]),
        (Annotated[str, Meta(min_length=2)], "a", ["x: expected at least 2 characters, got 1"]),
        (Annotated[bytes, Meta(max_length=1)], "aGk=", ["x: expected at most 1 bytes, got 2"]),
        (Annotated[str, Meta(pattern="^a+$")], "b", ["x: expected text matching ^a+$, got 'b'"]),
        (Annotated[datetime, Meta(tz=True)], "2025-01-31", ["x: expected a time with a time zone"]),
        (Annotated[time, Meta(tz=False)], "09:30Z", ["x: expected a time without a time zone"]),
    ],
)
def test_what_is_wrong_in_a_container(check: CheckOne, annotation: object, value: object, problems: list[str]) -> None:
    assert check(annotation, value) == problems


def test_a_union_in_a_union_that_branches_at_each_level_is_given_up_in_time() -> None:
    @tool
    def walk(start: Left | Right) -> None: ...

    value: object = "wrong"
    for _ in range(50):
        value = {"next": value}
    with pytest.raises(ToolArgumentsError, match="is too large to be checked"):
        walk.bind(json.dumps({"start": value}))


def test_a_long_list_is_checked_whole() -> None:
    @tool
    def total(numbers: list[int | str]) -> None: ...

    assert total.bind(json.dumps({"numbers": list(range(50_000))})) == {"numbers": list(range(50_000))}
