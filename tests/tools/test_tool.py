"""Making a tool, what is told of it, and checking the arguments of a call."""

import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import ToolArgumentsError
from agentkit.tools import Tool, ToolCall, tool


@tool(timeout=5, examples=["how is the weather in Turin?"])
def weather(city: str, days: int = 3) -> str:
    """Tell the weather.

    Args:
        city: The place.
        days: How far ahead.
    """
    return f"{city} {days}"


def test_a_tool_is_called_like_its_function() -> None:
    assert weather("Turin", days=1) == "Turin 1"


def test_the_definition_is_the_protocols_flat_form() -> None:
    assert weather.definition() == {
        "type": "function",
        "name": "weather",
        "description": "Tell the weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The place."},
                "days": {"type": "integer", "description": "How far ahead.", "default": 3},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    }


def test_a_definition_may_be_changed_without_changing_the_tool() -> None:
    before = copy.deepcopy(weather.parameters)
    definition: dict[str, Any] = weather.definition()
    definition["parameters"]["properties"].clear()
    assert weather.parameters == before


def test_a_tool_keeps_its_policy() -> None:
    assert (weather.policy.timeout, weather.examples, weather.is_async) == (5, ("how is the weather in Turin?",), False)
    assert repr(weather) == "<Tool weather>"


def test_a_tool_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        weather.name = "other"  # type: ignore[misc]  # that is the point


def test_a_description_may_be_given() -> None:
    assert tool(weather.function, description="Say it.").description == "Say it."
    assert tool(weather.function, description="").description == ""


def test_a_tool_under_another_name_is_the_same_otherwise() -> None:
    other = weather.renamed("forecast-2")
    assert other.definition() == {**weather.definition(), "name": "forecast-2"}
    assert other.policy == weather.policy


def test_a_tool_with_another_policy_keeps_the_rest() -> None:
    other = weather.with_(timeout=None, description="New.", examples=["rain?"])
    assert (other.policy.timeout, other.description, other.examples) == (None, "New.", ("rain?",))
    same = weather.with_()
    assert (same.policy.timeout, same.description, same.examples) == (5, weather.description, weather.examples)


@pytest.mark.parametrize("name", ["http-get", "a", "A_1", "x" * 64])
def test_a_name_that_fits_is_taken(name: str) -> None:
    assert tool(weather.function, name=name).name == name


@pytest.mark.parametrize("name", ["a b", "é", "a.b", "x" * 65, "a\n"])
def test_a_name_that_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="cannot be a tool's name"):
        weather.renamed(name)


def test_a_lambda_needs_a_name() -> None:
    with pytest.raises(TypeError, match=r"'<lambda>' cannot be a tool's name.*give another with name="):
        tool(lambda: 1)


@pytest.mark.parametrize("timeout", [0, -1, math.nan])
def test_a_timeout_must_be_above_zero(timeout: float) -> None:
    with pytest.raises(TypeError, match=r"timeout is .* and must be above 0"):
        weather.with_(timeout=timeout)


def test_examples_must_be_several() -> None:
    with pytest.raises(TypeError, match="examples must be several phrases"):
        weather.with_(examples="rain?")


@pytest.mark.parametrize("raw", ['{"city": "Turin"}', '{"city": "Turin", "days": null}'])
def test_what_is_left_out_is_left_to_the_function(raw: str) -> None:
    assert weather.bind(raw) == {"city": "Turin"}


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ToolArgumentsError) as caught:
        weather.bind('{"days": "three", "cty": "Turin"}')
    assert caught.value.problems == (
        ("city", "missing"),
        ("days", "expected int, got str 'three'"),
        ("cty", "unknown (did you mean city?)"),
    )
    assert str(caught.value).startswith("invalid arguments: city: missing; days: expected int, got str")


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["city", "days", "zz", ""]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
    )
)
def test_arguments_either_fit_or_are_refused(arguments: dict[str, object]) -> None:
    try:
        bound = weather.bind(json.dumps(arguments))
    except ToolArgumentsError as error:
        str(error).encode()
    else:
        weather(**bound)  # type: ignore[arg-type]  # checked by bind


GIVEN = {
    "type": "function",
    "name": "lookup",
    "description": "Look it up.",
    "parameters": {
        "type": "object",
        "properties": {"class": {"type": "string"}},
        "required": ["class"],
        "additionalProperties": False,
    },
}


def test_a_tool_from_a_definition_tells_the_definition() -> None:
    made = Tool.from_definition(GIVEN, lambda **arguments: arguments, timeout=1, examples=["look"])
    assert made.definition() == GIVEN
    assert (made.policy.timeout, made.examples) == (1, ("look",))


@pytest.mark.anyio
async def test_a_tool_from_a_definition_gets_its_arguments_by_name() -> None:
    async def lookup(**arguments: object) -> object:
        return arguments

    made = Tool.from_definition(GIVEN, lookup)
    call = ToolCall(call_id="c", name="lookup", raw_arguments='{"class": "a"}')
    assert (await made.run(call)).value == {"class": "a"}


def test_a_tool_from_a_definition_checks_the_names() -> None:
    with pytest.raises(ToolArgumentsError) as caught:
        Tool.from_definition(GIVEN, print).bind('{"x": 1}')
    assert caught.value.problems == (("class", "missing"), ("x", "unknown"))


def test_a_definition_without_parameters_takes_whatever_comes() -> None:
    made = Tool.from_definition({"name": "ping"}, print)
    assert made.parameters == {"type": "object", "properties": {}}
    assert made.bind('{"x": 1}') == {"x": 1}


@pytest.mark.parametrize("parameters", [[], {"type": "string"}])
def test_a_definition_whose_parameters_are_no_object_is_refused(parameters: object) -> None:
    with pytest.raises(TypeError, match="tool ping: parameters must be the JSON Schema of an object"):
        Tool.from_definition({"name": "ping", "parameters": parameters}, print)


def test_type_checkers_see_the_functions_own_signature(tmp_path: Path) -> None:
    source = tmp_path / "use.py"
    source.write_text(
        "from agentkit.tools import tool\n"
        "@tool\n"
        "def a(x: int) -> str: return ''\n"
        "@tool(timeout=1)\n"
        "async def b(x: int) -> str: return ''\n"
        "reveal_type(a(1))\n"
        "reveal_type(b)\n"
        "a('no')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    notes = [line.partition("use.py:")[2] for line in done.stdout.splitlines()[:-1]]
    assert notes[0].endswith('Revealed type is "str"')
    assert "Tool[[x: int]" in notes[1].replace("def (x: int)", "[x: int]")
    assert 'Argument 1 to "Tool" has incompatible type "str"; expected "int"' in notes[2] or "arg-type" in notes[2]
