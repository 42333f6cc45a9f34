import io
import sys

import pytest

from agentkit.cli.arguments import arguments_of
from agentkit.cli.exits import Problem

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "deep": {"type": "boolean"},
        "names": {"type": "array", "items": {"type": "string"}},
        "sizes": {"type": "array", "items": {"type": "integer"}},
        "point": {"$ref": "#/$defs/Point"},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "size": {"enum": [1, 2]},
    },
    "$defs": {"Point": {"type": "object"}},
}


@pytest.mark.parametrize(
    "pair, value",
    [
        ("text=12", "12"),
        ("text=a=b", "a=b"),
        ("text=", ""),
        ("count=12", 12),
        ("count=many", "many"),
        ("ratio=2", 2),
        ("ratio=0.5", 0.5),
        ("deep=true", True),
        ("names=x", ["x"]),
        ('names=["x", "y"]', ["x", "y"]),
        ("sizes=4", [4]),
        ('point={"x": 1}', {"x": 1}),
        ("maybe=null", None),
        ("maybe=3", 3),
        ("size=2", 2),
        ("unknown=3", "3"),
    ],
)
def test_a_value_is_read_as_the_schema_takes_it(pair: str, value: object) -> None:
    assert arguments_of(SCHEMA, [pair], None) == {pair.partition("=")[0]: value}


def test_a_name_given_several_times_makes_a_list() -> None:
    assert arguments_of(SCHEMA, ["names=x", "names=y", "sizes=1", "sizes=2"], None) == {
        "names": ["x", "y"],
        "sizes": [1, 2],
    }


def test_pairs_come_on_top_of_json() -> None:
    assert arguments_of(SCHEMA, ["count=2"], '{"count": 1, "text": "x"}') == {"count": 2, "text": "x"}


def test_json_comes_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"count": 1}'))
    assert arguments_of(SCHEMA, [], "-") == {"count": 1}


@pytest.mark.parametrize("pair", ["count", "=1"])
def test_an_argument_without_a_name_or_a_value_names_those_there_are(pair: str) -> None:
    with pytest.raises(Problem) as caught:
        arguments_of({"properties": {"count": {}}}, [pair], None)
    assert "count" in str(caught.value.hint)


@pytest.mark.parametrize("given", ["{", "[1]", "[" * 100_000])
def test_what_is_no_json_object_is_refused(given: str) -> None:
    with pytest.raises(Problem, match="--args"):
        arguments_of(SCHEMA, [], given)
