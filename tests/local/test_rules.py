"""The rules responder: which tools it calls, and what it says."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from agentkit.events import (
    FunctionCallItem,
    FunctionCallOutputItem,
    FunctionTool,
    InputImage,
    InputText,
    MessageItem,
    OutputText,
    ToolChoice,
)
from agentkit.local import Finished, FunctionCall, ResponderOutput, ResponderRequest, RulesResponder, TextDelta
from agentkit.local.rules import SAY_EXACTLY

pytestmark = pytest.mark.anyio


def tool(name: str, description: str, *examples: object, required: Sequence[str] = (), **properties: Any) -> Any:
    """Return a tool's definition as the wire carries it."""
    schema = {"type": "object", "properties": properties, "required": list(required), "examples": list(examples)}
    return FunctionTool(name=name, description=description, parameters=schema)


STRING = {"type": "string"}
CALCULATE = tool(
    "calculate", "Work out an arithmetic expression.", "what is 17 * 23?", required=["expression"], expression=STRING
)
NOW = tool("now", "Tell the date and time in a city.", "what time is it?", "what time is it in {zone}?", zone=STRING)
SET = tool(
    "set_memory",
    "Remember a fact for later.",
    "remember that my {key} is called {value}",
    "remember that my {key} is {value}",
    required=["key", "value"],
    key=STRING,
    value=STRING,
)
GET = tool(
    "get_memory", "Recall a fact.", "what is my {key} called?", "what is my {key}?", required=["key"], key=STRING
)
WEATHER = tool("weather", "Tell the weather in a city.", "will it rain in London?", required=["city"], city=STRING)
BARE = tool("get_forecast", "Tell the forecast for a city", required=["city"], city=STRING)
TOOLS = (CALCULATE, NOW, SET, GET, WEATHER)


async def _outputs(*items: Any, tools: Sequence[Any] = TOOLS, **request: Any) -> list[ResponderOutput]:
    whole = ResponderRequest(response_id="r", model="rules", items=items, tools=tuple(tools), **request)
    return [output async for output in RulesResponder().respond(whole)]


async def _calls(text: str, **request: Any) -> list[tuple[str, Any]]:
    outputs = await _outputs(_user(text), **request)
    return [(each.name, json.loads(each.arguments)) for each in outputs if isinstance(each, FunctionCall)]


async def _text(*items: Any, **request: Any) -> str:
    outputs = await _outputs(*items, **request)
    return "".join(output.text for output in outputs if isinstance(output, TextDelta))


def _user(text: str) -> MessageItem:
    return MessageItem(role="user", content=(InputText(text=text),))


def _answered(*pairs: tuple[str, str]) -> list[Any]:
    """Return calls with one argument each, and their outputs."""
    items: list[Any] = []
    for index, (argument, output) in enumerate(pairs):
        arguments = json.dumps({"x": argument})
        items.append(FunctionCallItem(name="tool", call_id=f"c{index}", arguments=arguments))
        items.append(FunctionCallOutputItem(call_id=f"c{index}", output=output))
    return items


@pytest.mark.parametrize(
    "text,name,arguments",
    [
        ("what is 17 * 23?", "calculate", {"expression": "17 * 23"}),
        ("What's 17*23", "calculate", {"expression": "17*23"}),
        ("how much is 17 times 23?", "calculate", {"expression": "17 * 23"}),
        ("compute 3 plus four", "calculate", {"expression": "3 + 4"}),
        ("what is (2+3)*4?", "calculate", {"expression": "(2+3)*4"}),
        ("1,000 / 8", "calculate", {"expression": "1000 / 8"}),
        ("what time is it?", "now", {}),
        ("Hey, could you tell me what time it is?", "now", {}),
        ("what time is it in Tokyo?", "now", {"zone": "Tokyo"}),
        ("What time is it in New York, please?", "now", {"zone": "New York"}),
        ("remember that my dog is called Rex", "set_memory", {"key": "dog", "value": "Rex"}),
        ("Please remember that my car is dark green.", "set_memory", {"key": "car", "value": "dark green"}),
        ("what is my dog called?", "get_memory", {"key": "dog"}),
        ("what's my favourite colour", "get_memory", {"key": "favourite colour"}),
        ("weather in Turin", "weather", {"city": "Turin"}),
        ("will it rain in Trinidad and Tobago?", "weather", {"city": "Trinidad and Tobago"}),
    ],
)
async def test_a_question_that_a_tool_fits_is_a_call(text: str, name: str, arguments: Any) -> None:
    assert await _calls(text) == [(name, arguments)]


@pytest.mark.parametrize(
    "text",
    [
        "what is the capital of France?",
        "tell me a joke",
        "hello",
        "who won the world cup in 2018?",
        "what is love?",
        "weather",
        "remember",
        "?",
    ],
)
async def test_what_no_tool_fits_gets_a_list_of_what_does(text: str) -> None:
    assert await _calls(text) == []
    said = await _text(_user(text))
    assert "not a language model" in said
    assert "- calculate: Work out an arithmetic expression, for example" in said


async def test_two_requests_joined_by_and_are_two_calls() -> None:
    assert await _calls("what is 2+2 and what time is it in Tokyo?") == [
        ("calculate", {"expression": "2+2"}),
        ("now", {"zone": "Tokyo"}),
    ]


async def test_two_sentences_are_two_calls() -> None:
    calls = await _calls("What time is it in Paris? And the weather in Rome?")
    assert calls == [("now", {"zone": "Paris"}), ("weather", {"city": "Rome"})]


async def test_a_request_may_go_on_with_the_same_tool() -> None:
    assert await _calls("remember that my dog is called Rex and my cat is called Tom") == [
        ("set_memory", {"key": "dog", "value": "Rex"}),
        ("set_memory", {"key": "cat", "value": "Tom"}),
    ]
    assert await _calls("what time is it in Tokyo and in Paris?") == [
        ("now", {"zone": "Tokyo"}),
        ("now", {"zone": "Paris"}),
    ]


async def test_the_part_without_a_tool_is_named_beside_the_call() -> None:
    outputs = await _outputs(_user("what is 2+2 and who won the world cup?"))
    assert isinstance(outputs[-1], FunctionCall)
    assert "who won the world cup" in "".join(each.text for each in outputs if isinstance(each, TextDelta))


async def test_without_examples_name_and_description_have_to_do() -> None:
    assert await _calls("what is the forecast for Turin?", tools=[BARE]) == [("get_forecast", {"city": "Turin"})]
    assert await _calls("tell me about Turin", tools=[BARE]) == []


async def test_a_required_argument_that_is_not_said_means_no_call() -> None:
    assert await _calls("what is the forecast?", tools=[BARE]) == []


async def test_an_example_with_arguments_is_a_phrase_with_slots() -> None:
    example = {"phrase": "dim the lamp to 40 percent", "arguments": {"level": 40, "device": "lamp", "slow": True}}
    integer = {"type": "integer"}
    lamp = tool("dim", "Dim.", example, required=["level"], level=integer, device=STRING, slow={"type": "boolean"})
    calls = await _calls("dim the ceiling light to 15 percent", tools=[lamp])
    assert calls == [("dim", {"level": 15, "device": "ceiling light", "slow": True})]


@pytest.mark.parametrize(
    "schema,said,value",
    [
        ({"type": "integer"}, "twelve", 12),
        ({"type": "integer"}, "1.5", None),
        ({"type": "number"}, "1.5", 1.5),
        ({"type": ["number", "null"]}, "-2", -2),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "3", 3),
        ({"type": "boolean"}, "on", True),
        ({"type": "boolean"}, "perhaps", None),
        ({"enum": ["Asia/Tokyo", "Europe/New_Town"]}, "new town", "Europe/New_Town"),
        ({"enum": ["red", "green"]}, "Green", "green"),
        ({"enum": ["red", "green"]}, "blue", None),
        ({"const": "x"}, "X", "x"),
        ({"$ref": "#/$defs/Colour"}, "red", "red"),
        ({"type": "array", "items": {"type": "integer"}}, "1, 2 and 3", [1, 2, 3]),
        ({"type": "object"}, "thing", None),
        ({"type": "string", "description": "An arithmetic expression"}, "two plus two", "2 + 2"),
        ({"type": "string", "description": "An arithmetic expression"}, "the capital of France", None),
        (True, "anything", "anything"),
    ],
)
async def test_a_slot_takes_only_what_its_schema_allows(schema: Any, said: str, value: Any) -> None:
    declared = tool("act", "Do it.", "act on {x}", required=["x"], x=schema)
    declared.parameters["$defs"] = {"Colour": {"enum": ["red"]}}
    calls = await _calls(f"act on {said}", tools=[declared])
    assert calls == ([] if value is None else [("act", {"x": value})])


async def test_tool_choice_none_calls_nothing() -> None:
    assert await _calls("what is 17 * 23?", tool_choice="none") == []


async def test_a_chosen_tool_is_called_without_shared_words() -> None:
    choice = ToolChoice(name="get_forecast")
    assert await _calls("how about Turin?", tools=[NOW, BARE], tool_choice=choice) == [
        ("get_forecast", {"city": "Turin"})
    ]


@pytest.mark.parametrize(
    "output,said",
    [
        ("391", "391"),
        ("2.0", "2"),
        ('"plain"', "plain"),
        ("no JSON", "no JSON"),
        ('{"text": "It is 14:05.", "zone": "Asia/Tokyo"}', "It is 14:05."),
        ('{"name": "Rex", "big_dog": true, "age": null}', "name: Rex, big dog: yes, age: nothing"),
        ('["a", "b"]', "a, b"),
        ("[]", "Nothing was found."),
        ("null", "Done."),
        ("{}", "Done."),
        ('{"ok": true}', "Done."),
        ('{"error": "no such city"}', "That did not work: no such city"),
        ('{"error": {"message": "no"}}', "That did not work: no"),
        ("Error: no such city", "That did not work: no such city"),
        ("true", "yes"),
        ('{"a": {"b": {"c": {"d": {"e": 1}}}}}', "a: b: c: d: ..."),
    ],
)
async def test_an_output_is_put_into_words(output: str, said: str) -> None:
    assert await _text(_user("do it"), *_answered(("x", output))) == said


async def test_several_bare_outputs_say_what_they_are_of() -> None:
    items = _answered(("2+2", "4"), ("Tokyo", '{"text": "It is 14:05 in Tokyo."}'))
    assert await _text(_user("both"), *items) == "2+2: 4\nIt is 14:05 in Tokyo."


async def test_outputs_of_an_earlier_turn_are_not_said_again() -> None:
    assert "391" not in await _text(_user("a"), *_answered(("x", "391")), _user("tell me a joke"))


def _call_of(call_id: str) -> FunctionCallItem:
    return FunctionCallItem(call_id=call_id, name="slowly", arguments="{}")


def _output_of(call_id: str) -> FunctionCallOutputItem:
    return FunctionCallOutputItem(call_id=call_id, output=f"Slowly {call_id}.")


def _agent(text: str) -> MessageItem:
    return MessageItem(role="assistant", content=(OutputText(text=text),))


async def test_a_stopped_question_is_not_answered_with_the_next() -> None:
    items = (_user("a"), _call_of("A"), _user("b"), _call_of("B"), _output_of("A"), _output_of("B"))
    assert await _text(*items) == "Slowly B."


async def test_a_result_that_comes_late_is_said_alone() -> None:
    items = (_user("a"), _call_of("A"), _user("b"), _call_of("B"), _output_of("B"), _agent("Slowly B."))
    assert await _text(*items, _output_of("A")) == "Slowly A."
    both = (_user("a"), _call_of("A"), _call_of("B"), _user("b"), _agent("Well."), _output_of("A"), _output_of("B"))
    assert await _text(*both) == "Slowly A.\nSlowly B."


async def test_asked_once_more_without_anything_new_it_says_the_same() -> None:
    assert await _text(_user("a"), _call_of("A"), _output_of("A"), _agent("Slowly A.")) == "Slowly A."


async def test_a_response_can_be_told_what_to_say() -> None:
    assert await _text(_user("what is 2+2?"), own_instructions=f"{SAY_EXACTLY}Good morning.") == "Good morning."


async def test_without_a_message_it_introduces_itself() -> None:
    assert (await _text()).startswith("Hello. I am agentkit's rules responder, not a language model.")


async def test_without_tools_it_says_so() -> None:
    assert "no tools" in await _text(_user("hi"), tools=())


async def test_an_image_alone_cannot_be_read() -> None:
    image = MessageItem(role="user", content=(InputImage(image_url="data:,"),))
    assert "can only read text" in await _text(image)


async def test_a_very_long_text_is_refused_not_cut() -> None:
    assert "at most" in await _text(_user("remember that my note is " + "word " * 200))


async def test_the_token_limit_cuts_the_answer() -> None:
    outputs = await _outputs(_user("hello"), max_output_tokens=12)
    assert outputs[-1] == Finished(reason="max_output_tokens")
    assert all(isinstance(output, TextDelta) for output in outputs[:-1])


@pytest.mark.parametrize("piece", ["what is ", "and ", "my is called ", "(", "9", "1,", "1 + ", "x ", "{expression} "])
async def test_hostile_text_takes_bounded_steps(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    real = __import__("agentkit.local.repertoire", fromlist=["value_of"]).value_of

    def counted(slot: Any, text: str) -> Any:
        nonlocal steps
        steps += 1
        return real(slot, text)

    monkeypatch.setattr("agentkit.local.repertoire.value_of", counted)
    await _outputs(_user((piece * 2_000)[:2_000]))
    assert steps < 20_000


@pytest.mark.parametrize(
    "parameters", [None, [], {"properties": []}, {"properties": {"a": 5}, "examples": [5, {}, ""]}]
)
async def test_an_odd_definition_does_no_harm(parameters: Any) -> None:
    assert await _text(_user("hello"), tools=[FunctionTool(name="odd", parameters=parameters)])
