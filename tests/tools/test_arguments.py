"""The text of a call's arguments, however bad, is a dict or one ToolArgumentsError."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import ToolArgumentsError
from agentkit.tools.arguments import arguments_error, read_arguments


@pytest.mark.parametrize("raw", ["", "  \n", "null", " null ", "{}"])
def test_nothing_means_no_arguments(raw: str) -> None:
    assert read_arguments(raw) == {}


def test_an_object_is_a_dict() -> None:
    assert read_arguments('{"a": [1, 2.5, true, null, "x"], "b": {}}') == {"a": [1, 2.5, True, None, "x"], "b": {}}


@pytest.mark.parametrize(
    "raw, message",
    [
        ('{"x":', "not valid JSON: Expecting value at character 6, where they end: '{\"x\":'"),
        ('{"a" 1}', "not valid JSON: Expecting ':' delimiter at character 6: '{\"a\" 1}'"),
        ("{} {}", "not valid JSON: Extra data at character 4"),
        ("x" * 99, f"at character 1: {'x' * 40!r}…"),
        ('{"' + "y" * 99 + '" 1}', "…'yyy"),
        ("[1]", "expected a JSON object, got '[1]'"),
        ('"a"', "expected a JSON object"),
        ("[" * 5000, "nested deeper than 64"),
        ('{"a":' * 5000, "nested deeper than 64"),
        ('{"a": ' + "9" * 5000 + "}", "a number of 5000 digits"),
        ('{"a": 1e999}', "a number that is too large: 1e999"),
        ('{"a": NaN}', "they hold NaN"),
        ('{"a": -Infinity}', "they hold -Infinity"),
        ('{"a": 1, "b": 2, "a": 3}', "the name 'a' is given twice"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ('{"\\udc00": 1}', "half of a surrogate pair"),
        ('{"a": [[{"b": "\ud800"}]]}', "half of a surrogate pair"),
        ('"' + '\\"' * 200 + "[" * 100, "not valid JSON"),
    ],
)
def test_what_is_wrong_with_the_text_is_said(raw: str, message: str) -> None:
    with pytest.raises(ToolArgumentsError) as caught:
        read_arguments(raw)
    assert message in str(caught.value)
    ((path, problem),) = caught.value.problems
    assert path == ""
    assert message in problem


def test_many_brackets_that_are_not_deep_are_fine() -> None:
    raw = json.dumps({"a": [[]] * 100, "b": "[" * 100, "c": '\\"[['})
    assert read_arguments(raw) == json.loads(raw)


def test_a_whole_surrogate_pair_and_other_escapes_are_text() -> None:
    assert read_arguments('{"a": "\\ud83d\\ude00 \\u00e9", "é": [1]}') == {"a": "😀 é", "é": [1]}


def test_a_line_break_inside_of_a_string_is_let_through() -> None:
    assert read_arguments('{"a": "one\ntwo"}') == {"a": "one\ntwo"}


def test_an_error_shows_twenty_problems_and_carries_all() -> None:
    error = arguments_error([(f"a{number}", "missing") for number in range(25)])
    assert str(error).endswith("a19: missing; and 5 more")
    assert len(error.problems) == 25


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.text('{}[]":,\\0123456789.eE-+ntfu ud8', max_size=60)))
def test_no_text_gives_another_error(raw: str) -> None:
    try:
        found = read_arguments(raw)
    except ToolArgumentsError:
        return
    assert isinstance(found, dict)
    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
