"""Single values: their schema, what they become, and how lax that is."""

import enum
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.tools.annotations import Scope
from agentkit.tools.schema import Schema
from agentkit.tools.shapes import Check, join


class Colour(enum.Enum):
    RED = "red"
    DARK_BLUE = "dark-blue"

    @classmethod
    def _missing_(cls, value: object) -> "Colour | None":
        if value == "boom":
            raise ZeroDivisionError
        return cls.RED if str(value).lower() == "red" else None


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@pytest.mark.parametrize(
    "annotation, expected",
    [
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (str, {"type": "string"}),
        (None, {"type": "null"}),
        (type(None), {"type": "null"}),
        (Any, {}),
        (object, {}),
        (datetime, {"type": "string", "format": "date-time"}),
        (bytes, {"type": "string", "contentEncoding": "base64"}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a", 1, None], {"type": ["string", "integer", "null"], "enum": ["a", 1, None]}),
        (Literal[Colour.RED], {"type": "string", "enum": ["red"]}),
        (Level, {"type": "integer", "enum": [1, 2]}),
    ],
)
def test_the_schema_of_a_single_value(schema: Callable[[object], Schema], annotation: object, expected: Schema) -> None:
    assert schema(annotation) == expected


@pytest.mark.parametrize(
    "annotation, value, expected",
    [
        (int, 3, 3),
        (int, 3.0, 3),
        (int, "-3", -3),
        (float, 2.5, 2.5),
        (float, 2, 2.0),
        (float, "2.5e1", 25.0),
        (bool, True, True),
        (bool, "false", False),
        (str, "3", "3"),
        (None, None, None),
        (Any, [1, {}], [1, {}]),
        (datetime, "2025-01-31T09:30:00Z", datetime(2025, 1, 31, 9, 30, tzinfo=UTC)),
        (date, "2025-01-31", date(2025, 1, 31)),
        (time, "09:30", time(9, 30)),
        (timedelta, "PT1H30M", timedelta(minutes=90)),
        (timedelta, 90, timedelta(seconds=90)),
        (UUID, "00000000-0000-0000-0000-000000000001", UUID(int=1)),
        (Decimal, "1.50", Decimal("1.50")),
        (Decimal, 0.1, Decimal("0.1")),
        (Path, "a/b", Path("a/b")),
        (bytes, "aGk=", b"hi"),
        (Literal["a", 1], 1.0, 1),
        (Literal[Colour.RED], "red", Colour.RED),
        (Colour, "dark-blue", Colour.DARK_BLUE),
        (Colour, "DARK_BLUE", Colour.DARK_BLUE),
        (Colour, "Red", Colour.RED),
        (Level, 2, Level.HIGH),
    ],
)
def test_what_a_value_becomes(
    check: Callable[..., object], annotation: object, value: object, expected: object
) -> None:
    found = check(annotation, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "annotation, value, problem",
    [
        (int, "three", "expected int, got str 'three'"),
        (int, "9" * 500, f"expected int, got str '{'9' * 39}…"),
        (int, "03", "expected int, got str '03'"),
        (int, 2.5, "expected int, got float 2.5"),
        (int, True, "expected int, got bool"),
        (int, None, "expected int, got null"),
        (float, "abc", "expected float, got str"),
        (float, True, "expected float, got bool"),
        (float, 10**400, "expected float, got a number too large for one"),
        (float, "1e999", "expected float, got a number too large for one"),
        (bool, 1, "expected bool, got int"),
        (bool, "yes", "expected bool, got str"),
        (str, 5, "expected str, got int"),
        (str, [], "expected str, got list"),
        (None, {}, "expected null, got object"),
        (datetime, "noon", "expected date and time like \"2025-01-31T09:30:00Z\", got 'noon'"),
        (date, 20250131, 'expected date like "2025-01-31", got int'),
        (timedelta, True, 'expected duration like "PT1H30M", got bool'),
        (timedelta, 1e300, 'expected duration like "PT1H30M", got 1e+300'),
        (timedelta, "soon", "expected duration like \"PT1H30M\", got 'soon'"),
        (Decimal, "NaN", "expected decimal number like \"12.50\", got 'NaN'"),
        (bytes, "a", "expected base64 like \"aGVsbG8=\", got 'a'"),
        (Literal["a", 1], True, 'expected one of "a", 1, got true'),
        (Literal["a"], ["a"], 'expected one of "a", got list'),
        (Colour, "green", 'expected one of "red", "dark-blue", got "green"'),
        (Colour, "boom", 'expected one of "red", "dark-blue", got "boom"'),
        (Level, "x" * 99, f'expected one of 1, 2, got "{"x" * 39}…'),
    ],
)
def test_what_is_wrong_with_a_value(
    check: Callable[..., object], annotation: object, value: object, problem: str
) -> None:
    assert check(annotation, value) == [f"x: {problem}"]


@pytest.mark.parametrize(
    "annotation, value",
    [(int, 3.0), (int, "3"), (float, 3), (bool, "true"), (Decimal, 3), (Colour, "RED")],
)
def test_a_strict_check_converts_nothing(check: Callable[..., object], annotation: object, value: object) -> None:
    assert isinstance(check(annotation, value, lax=False), list)


def test_a_long_choice_names_twenty(check: Callable[..., object]) -> None:
    many = enum.Enum("many", {f"M{number}": number for number in range(30)})  # type: ignore[misc]  # made at run time
    assert check(many, "x") == [f'x: expected one of {", ".join(map(str, range(20)))}, …, got "x"']


@pytest.mark.parametrize(
    "path, name, joined",
    [("", "city", "city"), ("a", "b-c", "a.b-c"), ("a", "b c", "a['b c']"), ("", "x" * 99, f"['{'x' * 39}…]")],
)
def test_the_path_of_a_member_is_readable(path: str, name: str, joined: str) -> None:
    assert join(path, name) == joined


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([int, float, bool, str, datetime, timedelta, Decimal, UUID, bytes, Path, Colour, Literal["a", 1]]),
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.none()),
)
def test_no_value_breaks_a_check(annotation: object, value: object) -> None:
    shape = Scope(names={}, local={}, module="").shape(annotation)
    shape.check(value, "x", Check(lax=True, budget=[100]))
