"""Nodes become Structs beside their classes; every mistake is noted with its place."""

import datetime
import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NewType

import pytest
from msgspec import Meta, Struct, field

from agentkit.config import Diagnostic
from agentkit.config.diagnostics import Problems
from agentkit.config.loader import read_yaml
from agentkit.config.nodes import Block, Source
from agentkit.config.walk import Walker
from agentkit.values import AudioFormat, Duration, Secret, Size

UserId = NewType("UserId", str)


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Inner(Struct, frozen=True, kw_only=True):
    host: str
    port: int = 80


@dataclass
class Point:
    x: int
    y: int = 0


class Options(Struct, frozen=True, kw_only=True):
    text: str = ""
    short: Annotated[str, Meta(min_length=2, max_length=4, pattern="^[a-z]+$")] = "ab"
    count: Annotated[int, Meta(ge=1, lt=10)] = 1
    ratio: float | None = None
    above: Annotated[float, Meta(gt=0)] = 1.0
    flag: bool = False
    wait: Duration = 1.0
    size: Size = 10
    mode: Literal["fast", "slow"] = "fast"
    either: int | Literal["inf"] = 1
    level: Level = Level.LOW
    path: Path = Path("x")
    user: UserId = UserId("u")
    key: Secret = Secret("")
    audio: AudioFormat | None = None
    names: list[str] = []
    unique: frozenset[str] = frozenset()
    bag: set[int] = field(default_factory=set)
    pair: tuple[int, str] | None = None
    many: tuple[Inner, ...] = ()
    table: dict[str, int] = {}
    numbers: dict[int, str] = {}
    inner: Inner | None = None
    choice: str | list[str] | Inner = ""
    day: datetime.date | None = None
    point: Point | None = None
    anything: object = None
    renamed: str = field(default="", name="re-named")


def read(text: str, cls: type[Struct] = Options) -> tuple[object, tuple[Diagnostic, ...]]:
    problems = Problems()
    node = read_yaml(Source("a.yaml", text), problems)
    assert node is not None
    value = Walker(problems).struct(node, cls, ())
    return value, problems.finish()


def good(text: str) -> Options:
    value, found = read(text)
    assert found == ()
    assert isinstance(value, Options)
    return value


def bad(text: str, cls: type[Struct] = Options) -> Diagnostic:
    _, found = read(text, cls)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    "text, name, value",
    [
        ("text: hi", "text", "hi"),
        ("text: 'no'", "text", "no"),
        ("count: 0x5", "count", 5),
        ("count: 007", "count", 7),
        ("ratio: 1", "ratio", 1.0),
        ("ratio: 1.5e1", "ratio", 15.0),
        ("ratio: null", "ratio", None),
        ("flag: true", "flag", True),
        ("wait: 250ms", "wait", 0.25),
        ("size: 1KiB", "size", 1024),
        ("mode: slow", "mode", "slow"),
        ("either: inf", "either", "inf"),
        ("either: 4", "either", 4),
        ("level: high", "level", Level.HIGH),
        ("path: a/b", "path", Path("a/b")),
        ("user: me", "user", "me"),
        ("audio: g711_ulaw@8000", "audio", AudioFormat(encoding="g711_ulaw", rate=8000)),
        ("names: [a, b]", "names", ["a", "b"]),
        ("unique: [a, a]", "unique", frozenset({"a"})),
        ("bag: [1, 2]", "bag", {1, 2}),
        ("pair: [1, a]", "pair", (1, "a")),
        ("many: [{host: a}, {host: b, port: 1}]", "many", (Inner(host="a"), Inner(host="b", port=1))),
        ("table: {a: 1, b: null}", "table", {"a": 1}),
        ("table:", "table", {}),
        ("numbers: {1: a}", "numbers", {1: "a"}),
        ("inner: {host: h}", "inner", Inner(host="h")),
        ("choice: a", "choice", "a"),
        ("choice: [a]", "choice", ["a"]),
        ("choice: {host: h}", "choice", Inner(host="h")),
        ("day: '2024-02-03'", "day", datetime.date(2024, 2, 3)),
        ("point: {x: 1}", "point", Point(1)),
        ("anything: {a: [1, 2.5, true, null, x]}", "anything", {"a": [1, 2.5, True, None, "x"]}),
        ("re-named: x", "renamed", "x"),
        ("count: null", "count", 1),
    ],
)
def test_a_value_becomes_what_its_field_says(text: str, name: str, value: object) -> None:
    assert getattr(good(text), name) == value


@pytest.mark.parametrize(
    "text, code, column",
    [
        ("text: 5", "AK102", 7),
        ("text: true", "AK102", 7),
        ("text: [a]", "AK102", 7),
        ("text: {a: b}", "AK102", 7),
        ("short: a", "AK105", 8),
        ("short: abcde", "AK105", 8),
        ("short: AB", "AK105", 8),
        ("count: x", "AK102", 8),
        ("count: '5'", "AK102", 8),
        ("count: 1.5", "AK102", 8),
        ("count: 0", "AK105", 8),
        ("count: 10", "AK105", 8),
        ("count: 99999999999999999999999", "AK105", 8),
        ("count: " + "9" * 5000, "AK105", 8),
        ("ratio: x", "AK102", 8),
        ("ratio: .nan", "AK105", 8),
        ("ratio: .inf", "AK105", 8),
        ("ratio: -.Inf", "AK105", 8),
        ("ratio: 1e999", "AK105", 8),
        ("above: 0", "AK105", 8),
        ("flag: yes", "AK102", 7),
        ("flag: 'true'", "AK102", 7),
        ("flag: 1", "AK102", 7),
        ("wait: 5", "AK102", 7),
        ("wait: -5s", "AK102", 7),
        ("wait: soon", "AK102", 7),
        ("size: 5", "AK102", 7),
        ("mode: fats", "AK104", 7),
        ("mode: 1", "AK104", 7),
        ("either: x", "AK104", 9),
        ("either: 1.5", "AK102", 9),
        ("level: mid", "AK104", 8),
        ("key: 5", "AK102", 6),
        ("key: [a]", "AK102", 6),
        ("audio: mp3", "AK102", 8),
        ("names: a", "AK102", 8),
        ("names: {a: b}", "AK102", 8),
        ("names: [a, 1]", "AK102", 12),
        ("names: [null]", "AK102", 9),
        ("pair: [a, b]", "AK102", 8),
        ("many: [{port: 1}]", "AK103", 8),
        ("many: [{host: h, prot: 1}]", "AK101", 18),
        ("table: {a: x}", "AK102", 12),
        ("table: x", "AK102", 8),
        ("numbers: {a: b}", "AK102", 10),
        ("inner: {}", "AK103", 1),
        ("many: [{host: a}, null]", "AK103", 19),
        ("choice: [1]", "AK102", 10),
        ("pair: x", "AK102", 7),
        ("pair: [1]", "AK102", 7),
        ("inner: [h]", "AK102", 8),
        ("choice: 5", "AK102", 9),
        ("day: x", "AK102", 6),
        ("point: {x: y}", "AK102", 12),
        ("colour: red", "AK101", 1),
    ],
)
def test_a_value_that_does_not_fit_is_cited(text: str, code: str, column: int) -> None:
    found = bad(text)
    assert (found.code, found.line, found.column) == (code, 1, column)


@pytest.mark.parametrize(
    "text, hint",
    [
        ("text: 1.10", 'YAML reads it as a number; quote it: "1.10"'),
        ("text: true", 'YAML reads it as a truth value; quote it: "true"'),
        ("flag: no", "write false"),
        ("count: '5'", "take the quotes away"),
        ("wait: 5", "write 5s"),
        ("size: 5", "write 5B"),
        ("mode: fats", "did you mean `fast`?"),
        ("either: infi", "did you mean `inf`?"),
        ("names: a", "write it as a list: [ ... ]"),
        ("cuont: 1", "did you mean `count`?"),
    ],
)
def test_a_mistake_comes_with_its_mending(text: str, hint: str) -> None:
    assert bad(text).hint == hint


def test_every_mistake_is_found_in_one_pass() -> None:
    value, found = read("count: x\nflag: 3\nmany:\n  - {host: 1}\n  - {prt: 2}\nnope: 1\n")
    assert value is not None
    assert [(each.line, each.column, each.code) for each in found] == [
        (1, 8, "AK102"),
        (2, 7, "AK102"),
        (4, 12, "AK102"),
        (5, 5, "AK103"),
        (5, 6, "AK101"),
        (6, 1, "AK101"),
    ]


def test_a_problem_names_its_key_path() -> None:
    assert bad("many:\n  - host: h\n    port: x\n").key == "many[0].port"


def test_a_missing_key_is_cited_at_the_key_of_its_block() -> None:
    found = bad("inner:\n  port: 5\n")
    assert (found.line, found.column) == (1, 1)
    assert found.message == "`inner` needs `host`"


def test_a_part_repeated_by_an_alias_is_one_mistake() -> None:
    assert bad("anything: &x {host: 5}\ninner: *x\nmany: [*x]\n").line == 1


def test_a_secret_in_the_file_is_a_warning() -> None:
    value, found = read("key: canary\n")
    assert isinstance(value, Options)
    assert value.key.reveal() == "canary"
    assert [(each.code, each.severity) for each in found] == [("AK302", "warning")]


def test_a_secret_of_the_wrong_type_is_not_shown() -> None:
    assert "31337" not in repr(bad("key: 31337\n"))


class Blocks(Struct, frozen=True, kw_only=True):
    options: Block = field(name="with")


@pytest.mark.parametrize("text", ["with: 5", "with: [a]", "with: x"])
def test_options_must_be_a_block_of_keys(text: str) -> None:
    found = bad(text, Blocks)
    assert (found.code, found.column) == ("AK102", 7)


def test_options_stay_as_they_are_until_their_class_is_known() -> None:
    value, found = read("with: {a: {b: 1}}", Blocks)
    assert found == ()
    assert isinstance(value, Blocks)
    assert value.options.given
    assert str(value.options.node.entries["a"].key.place) == "a.yaml:1:8"
    assert repr(value.options) == "Block(with)"


class Odd(Struct, frozen=True, kw_only=True):
    maybe: list[int | None] = []
    either: datetime.date | Point | None = None
    point: Point | None = None


def test_an_item_may_be_nothing_where_its_type_says_so() -> None:
    assert read("maybe: [1, null]", Odd) == (Odd(maybe=[1, None]), ())


def test_a_mistake_in_a_class_of_another_library_is_cited() -> None:
    found = bad("point:\n  x: 1\n  y: [2]\n", Odd)
    assert (found.code, found.line, found.column) == ("AK102", 3, 6)


def test_a_type_that_no_file_can_give_is_an_error() -> None:
    class Strange(Struct, frozen=True):
        value: complex | None = None

    assert bad("value: {a: 1}", Strange).code == "AK102"


class Checked(Struct, frozen=True, kw_only=True):
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


def test_what_a_class_checks_itself_is_cited_at_its_block() -> None:
    found = bad("low: 2\nhigh: 1\n", Checked)
    assert found.code == "AK105"
    assert "low is above high" in found.message


class Cat(Struct, frozen=True, tag="cat", tag_field="kind"):
    lives: int = 9


class Dog(Struct, frozen=True, tag="dog", tag_field="kind"):
    tricks: int = 0


class Pets(Struct, frozen=True):
    one: Cat | None = None
    any: Cat | Dog | None = None


def test_tagged_classes_are_told_apart_by_their_tag() -> None:
    assert read("one: {kind: cat}\nany: {kind: dog, tricks: 2}\n", Pets) == (Pets(Cat(), Dog(2)), ())


def test_a_mistake_in_a_tagged_class_is_cited() -> None:
    found = bad("any: {kind: dog, tricks: x}\n", Pets)
    assert (found.code, found.column) == ("AK102", 26)


class Empty(Struct, frozen=True):
    pass


def test_a_class_without_fields_has_no_keys() -> None:
    assert bad("a: 1\n", Empty).notes == ("it has no keys",)
