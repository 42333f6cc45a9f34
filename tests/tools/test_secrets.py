"""Secret arguments: shown as ``***``, put back where they were, and looked for in other texts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import ToolArgumentsError
from agentkit.tools.secrets import canonical, hidden, masked, secret_values, unmasked

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=3)


@given(OBJECTS, st.booleans())
def test_two_ways_to_write_the_same_arguments_are_the_same(arguments: dict[str, object], ascii_only: bool) -> None:
    other = json.dumps(dict(reversed(arguments.items())), ensure_ascii=ascii_only, indent=1)
    assert canonical(other) == canonical(json.dumps(arguments))


@given(OBJECTS, OBJECTS)
def test_other_arguments_are_not_the_same(one: dict[str, object], two: dict[str, object]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)  # where true is not 1
    assert (canonical(json.dumps(one)) == canonical(json.dumps(two))) == same


def test_what_is_no_json_stands_for_itself() -> None:
    assert canonical("{") == "{"
    assert masked("{", ["pin"]) == "***"
    assert masked("{", []) == "{"
    assert secret_values("{", ["pin"]) == ()


def test_only_secret_arguments_are_masked() -> None:
    assert json.loads(masked('{"pin": {"a": [1, "2468"]}, "who": "Ann"}', ["pin", "other"])) == {
        "pin": "***",
        "who": "Ann",
    }


def test_a_masked_argument_that_was_left_alone_is_put_back() -> None:
    assert json.loads(unmasked('{"pin": "***", "who": "Bob"}', '{"pin": 2468, "who": "Ann"}', ["pin"])) == {
        "pin": 2468,
        "who": "Bob",
    }
    assert json.loads(unmasked('{"pin": "1357"}', '{"pin": "2468"}', ["pin"])) == {"pin": "1357"}
    assert json.loads(unmasked('{"pin": "***"}', "{}", ["pin"])) == {"pin": "***"}
    assert json.loads(unmasked('{"who": "***"}', '{"who": "Ann"}', [])) == {"who": "***"}
    with pytest.raises(ToolArgumentsError):
        unmasked("[]", "{}", ["pin"])


def test_every_text_of_a_secret_argument_is_known_longest_first() -> None:
    raw = '{"pin": {"a": ["abcd", "no"], "b": 123456, "c": true, "d": null}, "who": "Annabel"}'
    assert secret_values(raw, ["pin"]) == ("123456", "abcd")
    assert secret_values(raw, []) == ()


@given(st.text(min_size=4), st.text(), st.text())
def test_a_secret_is_hidden_as_it_is_and_as_json_writes_it(secret: str, before: str, after: str) -> None:
    for text in (f"{before}{secret}{after}", json.dumps({before: secret}), repr([secret, after])):
        assert secret not in hidden(text, [secret]).replace("***", "\0")
