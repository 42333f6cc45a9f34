"""What a body returned becomes text that the wire takes, or one clear error."""

import collections
import dataclasses
import enum
import json
import sys
import typing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from types import MappingProxyType
from uuid import UUID

import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.tools import ToolResult
from agentkit.tools.output import OutputError, to_text, to_wire


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Name(str):
    __slots__ = ()


class Point(msgspec.Struct, rename="camel"):
    pos_x: int
    note: str | msgspec.UnsetType = msgspec.UNSET


class Tagged(msgspec.Struct, tag="t"):
    a: int = 1


@dataclasses.dataclass
class Place:
    city: str
    colour: Colour = Colour.RED


class Pair(typing.NamedTuple):
    left: int
    right: int


class Model(pydantic.BaseModel):
    when: date


@pytest.mark.parametrize(
    "value, text",
    [
        (None, "null"),
        ("as it is\n", "as it is\n"),
        (Name("name"), "name"),
        ("", ""),
        (True, "true"),
        (3, "3"),
        (2.5, "2.5"),
        (float("nan"), "NaN"),
        ([float("inf"), float("-inf")], '["Infinity","-Infinity"]'),
        ("é".encode(), "é"),
        (bytearray(b"x"), "x"),
        (memoryview(b"\xff"), '{"base64":"/w=="}'),
        (Colour.RED, "red"),
        ([Level.LOW], "[1]"),
        (Point(pos_x=1), '{"posX":1}'),
        (Tagged(), '{"type":"t","a":1}'),
        (Place("Turin"), '{"city":"Turin","colour":"red"}'),
        (Pair(1, 2), '{"left":1,"right":2}'),
        (Model(when=date(2025, 1, 31)), '{"when":"2025-01-31"}'),
        (datetime(2025, 1, 31, 9, 30, tzinfo=UTC), "2025-01-31T09:30:00+00:00"),
        (date(2025, 1, 31), "2025-01-31"),
        (time(9, 30), "09:30:00"),
        (timedelta(hours=1, minutes=30), "PT5400S"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ([Decimal("1.50")], '["1.50"]'),
        (PurePosixPath("/a/b"), "/a/b"),
        ({3, 1, 2}, "[1,2,3]"),
        (frozenset({"b", "a"}), '["a","b"]'),
        (collections.deque([1]), "[1]"),
        ({"a": 1}.values(), "[1]"),
        (MappingProxyType({"a": "é"}), '{"a":"é"}'),
        (
            {1: 1, None: 2, False: 3, date(2025, 1, 1): 4, Colour.RED: 5},
            '{"1":1,"null":2,"false":3,"2025-01-01":4,"red":5}',
        ),
        ({2.5: 1}, '{"2.5":1}'),
        (np.float32(0.5), "0.5"),
        (np.longdouble(0.5), "0.5"),
        (np.int64(3), "3"),
        (np.array([[1, 2], [3, 4]]), "[[1,2],[3,4]]"),
        (np.array([np.nan]), '["NaN"]'),
    ],
)
def test_the_conversions(value: object, text: str) -> None:
    assert to_text(value) == text


def looped() -> list[object]:
    loop: list[object] = [1]
    loop.append({"again": loop})
    return loop


def deep() -> list[object]:
    value: list[object] = []
    for _ in range(5000):
        value = [value]
    return value


class Trap(collections.UserDict[str, int]):
    def items(self) -> typing.NoReturn:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "value, message",
    [
        (object(), "the tool returned an object at $, which has no JSON form"),
        ({"a": [1, 2j]}, "the tool returned a complex at $.a[1], which has no JSON form"),
        (Place, "the tool returned a type at $, which has no JSON form"),
        ((n for n in "ab"), "the tool returned a generator at $, which has no JSON form"),
        ({(1, 2): 3}, "the tool returned an object with a tuple as a key, at $"),
        (looped(), "the tool returned a list that contains itself, at $[1].again"),
        (deep(), "the tool returned a value nested deeper than 64"),
        ([10**5000], "the tool returned an int of 16610 bits at $[0], too large for JSON"),
        (Trap(), "the tool returned a Trap, and reading it failed (ZeroDivisionError)"),
        ({"k" * 500: object()}, f"at $.{'k' * 198}…, which"),
    ],
)
def test_what_has_no_json_form_is_named_with_its_place(value: object, message: str) -> None:
    with pytest.raises(OutputError) as caught:
        to_text(value)
    assert message in str(caught.value)


def test_the_same_value_twice_is_no_cycle() -> None:
    shared = [1]
    assert to_text([shared, shared]) == "[[1],[1]]"


def test_numpy_and_pydantic_are_looked_for_only_where_they_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numpy")
    monkeypatch.delitem(sys.modules, "pydantic")
    with pytest.raises(OutputError):
        to_text(object())


def test_lone_surrogates_are_replaced_and_pairs_are_joined() -> None:
    assert to_wire("a\ud800b \ud83d\ude00") == "a\ufffdb 😀"


@pytest.mark.parametrize(
    "text, size, shown",
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc… [truncated: 3 of 4 bytes shown]"),
        ("ééé", 3, "é… [truncated: 2 of 6 bytes shown]"),
        ("😀", 3, "… [truncated: 0 of 4 bytes shown]"),
        ("abc", -1, "… [truncated: 0 of 3 bytes shown]"),
    ],
)
def test_a_long_text_is_cut_between_characters(text: str, size: int, shown: str) -> None:
    assert to_wire(text, max_bytes=size) == shown


def test_the_cap_is_64_kib() -> None:
    result = ToolResult.of("x" * 10_000_000)
    assert result.output == "x" * 65536 + "… [truncated: 65536 of 10000000 bytes shown]"
    assert result.value == "x" * 10_000_000


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.dates()
    | st.decimals()
    | st.uuids()
    | st.complex_numbers()
    | st.sampled_from(Colour),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner) | st.tuples(inner),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(values)
def test_any_value_gives_a_result_that_the_wire_takes(value: object) -> None:
    result = ToolResult.of(value)
    result.output.encode()
    assert result.status in ("ok", "error")
    if isinstance(value, list | dict) and result.ok:
        json.loads(result.output)
