"""Arguments against a JSON Schema of somebody else's: each field that does not fit is named, nothing fit refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import ToolArgumentsError
from agentkit.tools import Tool

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def problems(schema: dict[str, Any], arguments: object) -> list[tuple[str, str]]:
    made = Tool.from_definition({"name": "tool", "parameters": {"type": "object", **schema}}, lambda **given: given)
    try:
        made.bind(json.dumps(arguments))
    except ToolArgumentsError as error:
        return list(error.problems)
    return []


def of(schema: object, value: object) -> list[tuple[str, str]]:
    return problems({"properties": {"x": schema}}, {"x": value})


@pytest.mark.parametrize(
    "kind, fits, fails, got",
    [
        ("string", "a", 1, "int 1"),
        ("number", 1, "1", "str '1'"),
        ("number", 1.5, True, "bool True"),
        ("integer", 2.0, 2.5, "float 2.5"),
        ("boolean", False, 0, "int 0"),
        ("object", {}, [], "list"),
        ("array", [], {}, "object"),
        ("null", None, "null", "str 'null'"),
        (["string", "null"], None, 3, "int 3"),
    ],
)
def test_a_type_is_checked(kind: Any, fits: object, fails: object, got: str) -> None:
    named = kind if isinstance(kind, str) else " or ".join(kind)
    assert of({"type": kind}, fits) == []
    assert of({"type": kind}, fails) == [("x", f"expected {named}, got {got}")]


def test_choices_are_checked_as_json_has_them() -> None:
    assert of({"enum": ["a", 1]}, 1) == []
    assert of({"enum": ["a", 1]}, True) == [("x", "expected one of 'a', 1, got True")]
    assert of({"const": 0}, 0) == []
    assert of({"const": 0}, False) == [("x", "expected 0, got False")]


def test_every_problem_is_told_with_its_path() -> None:
    schema = {
        "properties": {
            "lat": {"type": "number"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city", "zip"]},
        },
        "required": ["lat", "lng"],
        "additionalProperties": False,
    }
    given = {"lat": "north", "tags": ["a", 1], "place": {"city": 2}, "more": 1}
    assert problems(schema, given) == [
        ("lng", "missing"),
        ("lat", "expected number, got str 'north'"),
        ("tags[1]", "expected string, got int 1"),
        ("place.zip", "missing"),
        ("place.city", "expected string, got int 2"),
        ("more", "unknown"),
    ]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/City"},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"type": "city"},
        {"type": ["string", "city"]},
        {"type": 3},
        {"enum": "abc"},
        {"items": [{"type": "string"}]},
        True,
        "odd",
    ],
)
def test_what_needs_a_whole_validator_is_let_through(schema: object) -> None:
    for value in ("a", 1, None, [1], {"y": 1}):
        assert of(schema, value) == []


def test_names_that_no_schema_lists_are_let_through_unless_it_says_otherwise() -> None:
    assert problems({}, {"any": 1}) == []
    assert problems({"additionalProperties": False}, {"any": 1}) == []
    assert problems({"properties": "odd", "required": "odd"}, {"any": 1}) == []


def test_what_is_nested_too_deep_is_not_looked_at() -> None:
    schema: dict[str, Any] = {"type": "string"}
    value: object = 1
    for _ in range(40):
        schema, value = {"type": "array", "items": schema}, [value]
    assert of(schema, value) == []


@given(JSON, JSON)
def test_no_schema_and_no_value_raises_anything_else(schema: object, value: object) -> None:
    of(schema, value)
