"""The ledger, and when calls run: once, and only if their item is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.errors import AgentkitError
from agentkit.events import (
    ConversationItemCreate,
    FunctionCallItem,
    FunctionCallOutputItem,
    ItemCompleted,
)
from agentkit.protocol.calls import TRANSITIONS, Call, CallStatus, Ledger

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

CREATE, CANCEL, ITEM = "response.create", "response.cancel", "conversation.item.create"
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
ITEM_A = FunctionCallItem(id="item_a", name="tool", call_id="a", arguments="{}")


def outputs(drive: Drive) -> list[tuple[str, str]]:
    items = [event.item for event in drive.sent if isinstance(event, ConversationItemCreate)]
    return [(item.call_id, item.output) for item in items if isinstance(item, FunctionCallOutputItem)]


# The ledger


@pytest.mark.parametrize("start", CallStatus)
@pytest.mark.parametrize("to", CallStatus)
def test_a_call_moves_only_as_the_table_says(start: CallStatus, to: CallStatus) -> None:
    call = Call(ITEM_A, "r1")
    call.status = start
    assert call.move(to) is (to in TRANSITIONS[start])


def test_a_call_is_entered_once() -> None:
    ledger = Ledger()
    call, is_new = ledger.announce(ITEM_A, "r1")
    assert is_new
    assert ledger.announce(ITEM_A, "r1") == (call, False)
    assert (len(ledger), ledger.duplicates) == (1, 1)


def test_a_call_without_an_id_is_no_call() -> None:
    assert Ledger().announce(FunctionCallItem(name="tool"), "r1") == (None, False)


def test_an_output_is_recorded_once() -> None:
    ledger = Ledger()
    call, _ = ledger.announce(ITEM_A, "r1")
    assert call is not None
    assert ledger.running == [call]
    assert ledger.finish("a", "5") is call
    assert ledger.finish("a", "6") is None
    assert ledger.finish("unknown", "5") is None
    assert (call.output, ledger.running) == ("5", [])


# Running


def test_a_call_starts_when_its_item_is_done(drive: Drive) -> None:
    drive.created("r1")
    drive.call("a")
    start = drive.tools[0]
    assert (start.call_id, start.name, start.arguments) == ("a", "tool", "{}")
    assert (start.item_id, start.response_id) == ("item_a", "r1")


def test_rb_06_two_calls_get_two_outputs_and_one_create_after_both(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("a")
    drive.call("b")
    drive.done("r1")
    drive.returns("a")
    assert drive.types() == [CREATE, ITEM]
    drive.returns("b")
    assert drive.types() == [ITEM, CREATE]


def test_rb_60_an_output_before_the_response_is_done_waits_with_its_create(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("a")
    drive.returns("a")
    assert drive.types() == [CREATE, ITEM]
    drive.done("r1")
    assert drive.types() == [CREATE]


def test_rb_06_and_07_a_text_typed_meanwhile_needs_no_create_of_its_own(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("a")
    drive.say("and?")
    drive.returns("a")
    drive.done("r1")
    assert drive.types() == [CREATE, ITEM, ITEM, CREATE]


def test_rb_12_a_call_that_was_cut_short_does_not_run(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    at = {"response_id": "r1", "item_id": "i"}
    item = {"id": "i", "type": "function_call", "call_id": "c", "name": "tool", "arguments": '{"x":'}
    drive.server("response.output_item.added", response_id="r1", item=item | {"arguments": ""})
    drive.server("response.function_call_arguments.done", **at, call_id="c", arguments='{"x":')
    drive.server("response.output_item.done", response_id="r1", item=item | {"status": "incomplete"})
    drive.done("r1", "incomplete", status_details={"reason": "max_output_tokens"}, output=[item])
    assert drive.tools == []
    assert outputs(drive) == []
    assert drive.types() == [CREATE]
    assert [event.item.status for event in drive.of(ItemCompleted)] == ["incomplete"]


def test_f45_a_call_whose_arguments_never_end_is_closed_with_its_response(drive: Drive) -> None:
    drive.created("r1")
    drive.server("response.function_call_arguments.delta", response_id="r1", item_id="i", call_id="c", delta='{"x')
    drive.done("r1")
    assert drive.tools == []
    assert [item.status for item in drive.history()] == ["incomplete"]


@pytest.mark.parametrize(
    "events",
    [
        [
            (
                "response.output_item.added",
                {"item": {"id": "i", "type": "function_call", "call_id": "c", "name": "tool"}},
            )
        ],
        [("response.function_call_arguments.done", {"item_id": "i", "call_id": "c", "arguments": "{}"})],
    ],
)
def test_a_call_of_which_only_half_is_known_does_not_run(
    drive: Drive, events: list[tuple[str, dict[str, object]]]
) -> None:
    drive.created("r1")
    for wire_type, fields in events:
        drive.server(wire_type, response_id="r1", **fields)
    drive.done("r1")
    assert drive.tools == []
    assert [item.status for item in drive.history()] == ["incomplete"]


def test_a_server_that_never_says_that_an_item_is_done_has_its_calls_run(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    at = {"response_id": "r1", "item_id": "i", "call_id": "c"}
    drive.server("response.function_call_arguments.delta", **at, delta='{"x')
    drive.server("response.function_call_arguments.done", **at, arguments='{"x": 1}', name="tool")
    drive.done("r1")
    assert [(start.name, start.arguments) for start in drive.tools] == [("tool", '{"x": 1}')]


def test_rb_17_a_call_that_is_announced_over_and_over_runs_once(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("a")
    drive.error("server_error")
    drive.call("a")
    item = {"id": "item_a", "type": "function_call", "call_id": "a", "name": "tool", "arguments": "{}"}
    drive.server("conversation.item.done", item=item | {"status": "completed"})
    drive.returns("a")
    drive.call("a")
    drive.done("r1", output=[item | {"status": "completed"}])
    assert len(drive.tools) == 1
    assert outputs(drive) == [("a", "5")]
    assert drive.types() == [CREATE, ITEM, CREATE]


def test_f72_a_call_id_used_again_by_another_response_gets_the_recorded_output(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("a")
    drive.returns("a")
    drive.done("r1")
    drive.created("r2")
    drive.call("a", "r2", id="another")
    drive.call("a", "r2", id="another")
    drive.done("r2")
    assert len(drive.tools) == 1
    assert outputs(drive) == [("a", "5"), ("a", "5")]
    assert drive.types() == [CREATE, ITEM, CREATE, ITEM, CREATE]


def test_f72_a_call_id_used_again_while_the_first_runs_gets_its_output_when_it_is_there(drive: Drive) -> None:
    drive.created("r1")
    drive.call("a")
    drive.done("r1")
    drive.created("r2")
    drive.call("a", "r2", id="another")
    drive.done("r2")
    drive.returns("a")
    assert outputs(drive) == [("a", "5"), ("a", "5")]
    assert drive.types() == [ITEM, CREATE, ITEM]


def test_a_call_whose_output_is_withheld_is_withheld_from_a_repetition_too(drive: Drive) -> None:
    drive.created("r1")
    drive.call("a")
    drive.done("r1")
    drive.created("r2")
    drive.call("a", "r2", id="another")
    drive.held = []
    drive.returns("a")
    drive.run(drive.core.dropped(drive.held[0], AgentkitError("dropped")))
    drive.held = None
    drive.done("r2")
    drive.created("r3")
    drive.call("a", "r3", id="third")
    drive.done("r3")
    assert outputs(drive) == []
    assert len(drive.ended) == 3


def test_a_call_of_which_no_event_says_whose_it_is_runs(drive: Drive) -> None:
    item = {
        "id": "i",
        "type": "function_call",
        "call_id": "c",
        "name": "tool",
        "arguments": "{}",
        "status": "completed",
    }
    drive.server("conversation.item.done", item=item)
    assert [start.call_id for start in drive.tools] == ["c"]
    drive.returns("c")
    assert outputs(drive) == [("c", "5")]
    assert drive.types() == [ITEM]


@pytest.mark.parametrize("returns_first", [True, False])
def test_a_call_whose_response_is_told_later_starts_the_next_response(drive: Drive, returns_first: bool) -> None:
    drive.ask()
    item = {"id": "item_a", "type": "function_call", "call_id": "a", "name": "tool", "arguments": "{}"}
    drive.server("conversation.item.done", item=item | {"status": "completed"})
    drive.created("r1")
    if returns_first:
        drive.returns("a")
    drive.call("a")
    if not returns_first:
        drive.returns("a")
    drive.done("r1")
    assert len(drive.tools) == 1
    assert drive.types() == [CREATE, ITEM, CREATE]


def test_an_item_of_the_conversation_done_before_its_response_says_so_is_the_active_ones(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    item = {"id": "item_a", "type": "function_call", "call_id": "a", "name": "tool", "arguments": "{}"}
    drive.server("conversation.item.done", item=item | {"status": "completed"})
    drive.call("a")
    drive.returns("a")
    drive.done("r1")
    assert drive.types() == [CREATE, ITEM, CREATE]


def test_a_call_that_the_client_added_as_history_does_not_run(drive: Drive) -> None:
    call = FunctionCallItem(id="i", name="tool", call_id="old", arguments="{}")
    drive.run(drive.core.send_item(call))
    drive.run(drive.core.send_item(FunctionCallOutputItem(call_id="old", output="7")))
    item = {"id": "i", "type": "function_call", "call_id": "old", "name": "tool", "arguments": "{}"}
    drive.server("conversation.item.done", item=item | {"status": "completed"})
    assert drive.tools == []
    assert outputs(drive) == [("old", "7")]


def test_a_call_without_an_id_cannot_run(drive: Drive) -> None:
    drive.run(drive.core.send_item(FunctionCallItem(id="i", name="tool")))
    item = {"id": "i", "type": "function_call", "name": "tool", "arguments": "{}", "status": "completed"}
    drive.server("conversation.item.done", item=item)
    assert drive.tools == []


def test_a_call_that_an_event_of_an_unknown_response_repeats_stays_whose_it_is(drive: Drive) -> None:
    drive.created("r1")
    drive.call("a")
    drive.call("a", "unknown")
    drive.done("r1")
    drive.done("unknown")
    assert [turn.tokens for turn in drive.ended] == [{"auto:unknown"}]
    drive.returns("a")
    assert outputs(drive) == [("a", "5")]
    assert len(drive.tools) == 1
