"""The server core: given events, then what it says; responses."""

from typing import Any

import pytest

from agentkit.events import FunctionCallItem, MessageItem
from agentkit.local import CancelResponse, Finished, FunctionCall, StartResponse, TextDelta

Bench = Any


def test_an_empty_delta_says_nothing(bench: Bench) -> None:
    assert bench.core.output(bench.started().response_id, TextDelta(text="")) == []


def test_a_text_response_has_the_protocol_s_order(bench: Bench) -> None:
    bench.user("hi")
    effects = bench.create()
    start = bench.start_of(effects)
    for text in ("Hel", "lo"):
        effects += bench.core.output(start.response_id, TextDelta(text=text))
    effects += bench.core.finish(start.response_id)
    assert bench.names(effects) == [
        "response.created",
        "StartResponse",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "rate_limits.updated",
    ]
    done = bench.only(effects, "response.done").response
    assert done.status == "completed"
    assert done.output[0].text == "Hello"
    assert done.output[0].content[0].wire_type == "output_text"
    assert bench.only(effects, "response.content_part.added").part.wire_type == "text"
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens > 0
    assert bench.only(effects, "conversation.item.done").previous_item_id == "item_1"


def test_text_then_two_calls_are_three_items(bench: Bench) -> None:
    start = bench.started()
    effects = bench.core.output(start.response_id, TextDelta(text="Let me see."))
    effects += bench.core.output(start.response_id, FunctionCall(name="now", arguments='{"a":1}'))
    effects += bench.core.output(start.response_id, FunctionCall(name="now", call_id="mine"))
    effects += bench.core.finish(start.response_id)
    assert bench.names(effects)[8:13] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
    ]
    output = bench.only(effects, "response.done").response.output
    assert [item.wire_type for item in output] == ["message", "function_call", "function_call"]
    assert [item.status for item in output] == ["completed"] * 3
    assert isinstance(output[1], FunctionCallItem)
    assert (output[1].call_id, output[1].arguments) == ("call_1", '{"a":1}')
    assert output[2].call_id == "mine"


def test_a_call_that_was_cut_short_is_incomplete(bench: Bench) -> None:
    start = bench.started()
    effects = bench.core.output(start.response_id, FunctionCall(name="now", arguments='{"a', complete=False))
    assert bench.only(effects, "response.output_item.done").item.status == "incomplete"


def test_an_empty_answer_is_a_response_without_items(bench: Bench) -> None:
    start = bench.started()
    done = bench.only(bench.core.finish(start.response_id), "response.done")
    assert (done.response.status, done.response.output) == ("completed", ())


def test_one_response_at_a_time_in_the_conversation(bench: Bench) -> None:
    start = bench.started()
    [error] = bench.create()
    assert error.error.code == "conversation_already_has_active_response"
    assert start.response_id in error.error.message
    bench.core.finish(start.response_id)
    assert bench.started()


def test_a_cancelled_response_finishes_everything_that_is_open(bench: Bench) -> None:
    start = bench.started()
    bench.core.output(start.response_id, TextDelta(text="Hel"))
    effects = bench.send("response.cancel")
    assert isinstance(effects[0], CancelResponse)
    assert bench.names(effects)[1:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "rate_limits.updated",
    ]
    done = bench.only(effects, "response.done").response
    assert (done.status, done.status_details.reason) == ("cancelled", "client_cancelled")
    assert done.output[0].status == "incomplete"


def test_what_comes_after_a_cancel_is_ignored(bench: Bench) -> None:
    start = bench.started()
    bench.send("response.cancel", response_id=start.response_id)
    assert bench.core.output(start.response_id, TextDelta(text="late")) == []
    assert bench.core.finish(start.response_id) == []
    assert bench.core.fail(start.response_id, "late", code="x", type="y") == []


def test_cancelling_nothing_is_refused(bench: Bench) -> None:
    assert bench.refused(bench.send("response.cancel"))[0] == "response_cancel_not_active"
    assert bench.refused(bench.send("response.cancel", response_id="resp_9"))[0] == "response_cancel_not_active"


def test_a_failed_response_says_why(bench: Bench) -> None:
    start = bench.started()
    done = bench.only(bench.core.fail(start.response_id, "no", code="c", type="t"), "response.done").response
    error = done.status_details.error
    assert (done.status, error.code, error.type, error.message) == ("failed", "c", "t", "no")


def test_a_response_that_runs_out_of_tokens_is_incomplete(bench: Bench) -> None:
    start = bench.started()
    bench.core.output(start.response_id, TextDelta(text="a"))
    assert bench.core.output(start.response_id, Finished(reason="max_output_tokens")) == []
    done = bench.only(bench.core.finish(start.response_id), "response.done").response
    assert (done.status, done.status_details.reason) == ("incomplete", "max_output_tokens")
    assert done.output[0].status == "incomplete"


def test_the_responder_is_asked_with_the_response_s_own_settings(bench: Bench) -> None:
    tool = {"type": "function", "name": "now"}
    bench.update(instructions="Be brief.", tools=[tool], max_output_tokens=100)
    bench.user("hi")
    request = bench.started(instructions="Be long.", max_output_tokens="inf", metadata={"a": "b"}).request
    assert (request.instructions, request.own_instructions) == ("Be long.", "Be long.")
    assert request.max_output_tokens is None
    assert [tool.name for tool in request.tools] == ["now"]
    assert request.metadata == {"a": "b"}
    assert request.last_user_text == "hi"


def test_the_session_keeps_its_settings_after_a_response_with_its_own(bench: Bench) -> None:
    bench.update(instructions="Be brief.")
    bench.core.finish(bench.started(instructions="Be long.").response_id)
    request = bench.started().request
    assert (request.instructions, request.own_instructions) == ("Be brief.", None)


@pytest.mark.parametrize(
    "settings,code,param",
    [
        ({"foo": 1}, "unknown_parameter", "response.foo"),
        ({"conversation": "mine"}, "invalid_value", "response.conversation"),
        ({"metadata": {"k" * 65: "v"}}, "invalid_value", "response.metadata"),
        ({"metadata": {"k": 1}}, "invalid_value", "response.metadata"),
        ({"input": [{"type": "item_reference", "id": "no"}]}, "invalid_value", "response.input[0].id"),
        ({"tool_choice": "maybe"}, "invalid_value", "response.tool_choice"),
    ],
)
def test_a_refused_response_create_makes_no_response(bench: Bench, settings: Any, code: str, param: str) -> None:
    refused = bench.refused(bench.create(**settings))
    assert refused[0] == code
    assert refused[1] is not None
    assert refused[1].startswith(param)
    assert bench.started()


def test_responses_beside_the_conversation_run_at_the_same_time(bench: Bench) -> None:
    bench.user("hi", id="a")
    inside = bench.started()
    effects = bench.create(conversation="none", metadata={"topic": "x"})
    beside = bench.start_of(effects)
    created = bench.only(effects, "response.created").response
    assert (created.conversation_id, created.metadata) == (None, {"topic": "x"})
    assert [item.id for item in beside.request.items] == ["a"]
    told = bench.core.output(beside.response_id, TextDelta(text="x")) + bench.core.finish(beside.response_id)
    assert not [name for name in bench.names(told) if name.startswith("conversation.")]
    bench.core.finish(inside.response_id)
    assert [item.id for item in bench.started().request.items] == ["a"]


def test_a_response_can_see_its_own_input_and_nothing_else(bench: Bench) -> None:
    bench.user("hi", id="a")
    bench.user("there", id="b")
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "own"}]}
    start = bench.started(conversation="none", input=[{"type": "item_reference", "id": "b"}, message])
    assert [item.text for item in start.request.items if isinstance(item, MessageItem)] == ["there", "own"]
    assert bench.started(conversation="none", input=[]).request.items == ()


def test_cancelling_by_id_reaches_a_response_beside_the_conversation(bench: Bench) -> None:
    beside = bench.started(conversation="none")
    effects = bench.send("response.cancel", response_id=beside.response_id)
    assert isinstance(effects[0], CancelResponse)


def test_responses_at_one_time_are_bounded(bench: Bench) -> None:
    for _ in range(32):
        assert bench.started(conversation="none")
    assert bench.refused(bench.create(conversation="none"))[0] == "invalid_value"


def test_an_item_deleted_while_it_is_written_stays_deleted(bench: Bench) -> None:
    start = bench.started()
    [added] = [
        effect.item.id
        for effect in bench.core.output(start.response_id, TextDelta(text="a"))
        if getattr(effect, "wire_type", "") == "conversation.item.added"
    ]
    bench.send("conversation.item.delete", item_id=added)
    effects = bench.core.finish(start.response_id)
    assert "conversation.item.done" not in bench.names(effects)
    assert bench.started().request.items == ()


def test_the_conversation_s_response_starts_only_one_request(bench: Bench) -> None:
    assert sum(isinstance(effect, StartResponse) for effect in bench.create()) == 1
