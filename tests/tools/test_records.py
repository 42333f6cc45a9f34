"""Objects with named fields, of every kind that Python has."""

import dataclasses
import datetime
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, NotRequired, Optional, TypedDict

import msgspec
import pydantic
import pytest
from msgspec import UNSET, Meta, UnsetType

from agentkit.tools.schema import Schema

CheckOne = Callable[..., object]
SchemaOf = Callable[[object], Schema]


class Address(msgspec.Struct, rename="camel"):
    """Where somebody lives.

    Attributes:
        city: The town.
    """

    city: str
    post_code: Annotated[str, "As on a letter"] = ""
    floors: list[int] = []
    note: str | UnsetType = UNSET


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0
    tags: list[str] = dataclasses.field(default_factory=list)
    length: float = dataclasses.field(init=False, default=0.0)

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x must not be negative")
        if self.x == 13:
            raise ValueError
        if self.x == 14:
            raise ZeroDivisionError


class Options(TypedDict):
    """Options."""

    size: int
    colour: NotRequired[str]


class Pair(NamedTuple):
    left: int
    right: int = 2


class Event(msgspec.Struct, tag_field="kind", tag=7):
    name: str


class Tree(msgspec.Struct):
    name: str
    children: "list[Tree]" = []


class Inner(pydantic.BaseModel):
    when: datetime.date


class Outer(pydantic.BaseModel):
    inner: Inner
    count: int = pydantic.Field(default=1, ge=1, description="How many")


class Branch(pydantic.BaseModel):
    branches: "list[Branch]" = []


class Touchy(pydantic.BaseModel):
    a: int

    @pydantic.field_validator("a")
    @classmethod
    def refuse(cls, value: int) -> int:
        raise ZeroDivisionError


@pydantic.dataclasses.dataclass
class Checked:
    a: pydantic.PositiveInt


def test_the_schema_of_a_struct_has_its_wire_names_and_what_its_docstring_says(schema: SchemaOf) -> None:
    assert schema(Address) == {
        "description": "Where somebody lives.",
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The town."},
            "postCode": {"type": "string", "description": "As on a letter", "default": ""},
            "floors": {"type": "array", "items": {"type": "integer"}},
            "note": {"type": "string"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_the_schema_of_a_dataclass_has_no_made_docstring_and_no_computed_field(schema: SchemaOf) -> None:
    assert schema(Point) == {
        "type": "object",
        "properties": {
            "x": {"type": "integer"},
            "y": {"type": "number", "default": 0.0},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["x"],
        "additionalProperties": False,
    }


def test_the_schema_of_a_tagged_struct_has_the_tag(schema: SchemaOf) -> None:
    assert schema(Event)["properties"] == {
        "kind": {"type": "integer", "const": 7},
        "name": {"type": "string"},
    }
    assert schema(Event)["required"] == ["kind", "name"]


def test_a_record_inside_itself_stays_a_definition(schema: SchemaOf) -> None:
    found = schema(Optional[Tree])  # noqa: UP045 - the older spelling is one that users have
    assert found["anyOf"] == [{"$ref": "#/$defs/Tree"}, {"type": "null"}]
    definitions = found["$defs"]
    assert isinstance(definitions, dict)
    assert definitions["Tree"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}


@pytest.mark.parametrize(
    "annotation, value, expected",
    [
        (Address, {"city": "Turin", "postCode": "10121"}, Address(city="Turin", post_code="10121")),
        (Point, {"x": "1", "tags": ["a"]}, Point(x=1, tags=["a"])),
        (Options, {"size": 1.0}, {"size": 1}),
        (Pair, {"left": 1}, Pair(1, 2)),
        (Event, {"kind": 7, "name": "a"}, Event(name="a")),
        (Tree, {"name": "a", "children": [{"name": "b"}]}, Tree(name="a", children=[Tree(name="b")])),
        (Outer, {"inner": {"when": "2025-01-31"}}, Outer(inner=Inner(when=datetime.date(2025, 1, 31)))),
        (list[Inner], [{"when": "2025-01-31"}], [Inner(when=datetime.date(2025, 1, 31))]),
        (Annotated[int, pydantic.Field(ge=1)], 3, 3),
        (Checked, {"a": 1}, Checked(a=1)),
    ],
)
def test_what_an_object_becomes(check: CheckOne, annotation: Any, value: object, expected: object) -> None:
    found = check(annotation, value)
    assert found == expected
    assert type(found) is type(expected)


def test_null_for_a_default_is_left_out_unless_it_can_be_null(check: CheckOne) -> None:
    assert check(Address, {"city": "Turin", "postCode": None}) == Address(city="Turin")

    class Maybe(msgspec.Struct):
        number: int | None = 1

    assert check(Maybe, {"number": None}) == Maybe(number=None)


@pytest.mark.parametrize(
    "annotation, value, problems",
    [
        (Address, [], ["x: expected object, got list"]),
        (
            Address,
            {"cty": "Turin", "postCode": 1, "zz": 1},
            [
                "x.city: missing",
                "x.postCode: expected str, got int",
                "x.cty: unknown (did you mean city?)",
                "x.zz: unknown",
            ],
        ),
        (Address, {"city": None}, ["x.city: expected str, got null"]),
        (Point, {"x": -1}, ["x: x must not be negative"]),
        (Point, {"x": 13}, ["x: is not a valid Point"]),
        (Point, {"x": 14}, ["x: is not a valid Point (ZeroDivisionError)"]),
        (Event, {"name": "a"}, ["x.kind: expected 7, got nothing"]),
        (Event, {"kind": "b"}, ["x.kind: expected 7, got 'b'"]),
        (Event, {"kind": 7, "nam": "a"}, ["x.name: missing", "x.nam: unknown (did you mean name?)"]),
        (Tree, {"name": "a", "children": [{"name": 1}]}, ["x.children[0].name: expected str, got int"]),
        (Outer, {"inner": {"when": "soon"}, "count": 0}, None),
        (Touchy, {"a": 1}, ["x: is not a valid Touchy (ZeroDivisionError)"]),
    ],
)
def test_what_is_wrong_with_an_object(
    check: CheckOne, annotation: object, value: object, problems: list[str] | None
) -> None:
    found = check(annotation, value)
    if problems is None:
        assert isinstance(found, list)
        assert [line.partition(":")[0] for line in found] == ["x.inner.when", "x.count"]
    else:
        assert found == problems


def test_the_problems_of_pydantic_in_lists_have_a_path(check: CheckOne) -> None:
    found = check(Branch, {"branches": [{"branches": 1}]})
    assert found == ["x.branches[0].branches: Input should be a valid array"]


def test_another_value_error_of_an_adapter_is_one_problem() -> None:
    from agentkit.tools.records import Foreign
    from agentkit.tools.shapes import Check

    class Adapter:
        def validate_json(self, data: str) -> object:
            raise ValueError("not today")

        def json_schema(self) -> Schema:
            return {}

    attempt = Check(lax=True, budget=[1])
    Foreign("thing", Adapter()).check({}, "x", attempt)
    assert attempt.problems == [("x", "not today")]


def test_a_union_shows_the_problems_of_a_pydantic_model(check: CheckOne) -> None:
    assert check(Inner | None, {}) == ["x.when: Field required"]


def test_the_schema_of_a_pydantic_model_has_its_parts_written_in(schema: SchemaOf) -> None:
    found = schema(Outer)
    properties = found["properties"]
    assert isinstance(properties, dict)
    assert properties["inner"]["properties"]["when"]["format"] == "date"
    assert properties["count"]["minimum"] == 1
    assert "$defs" not in found


def test_the_schema_of_a_pydantic_model_inside_itself_stays_a_definition(schema: SchemaOf) -> None:
    found = schema(Branch | None)
    members, definitions = found["anyOf"], found["$defs"]
    assert isinstance(members, list)
    assert isinstance(definitions, dict)
    assert members[0] == {"$ref": "#/$defs/Branch"}
    assert definitions["Branch"]["properties"]["branches"]["items"] == {"$ref": "#/$defs/Branch"}


def test_limits_apply_to_a_field(check: CheckOne) -> None:
    class Order(msgspec.Struct):
        amount: Annotated[int, Meta(ge=1)]

    assert check(Order, {"amount": 0}) == ["x.amount: expected >= 1, got 0"]
