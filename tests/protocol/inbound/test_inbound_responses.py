"""Events of responses: what is final when one is over (calls: ``test_calls``; creates: ``test_responses``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.events import ItemCompleted

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

CALL = {"id": "c1", "type": "function_call", "call_id": "c", "name": "tool", "arguments": '{"x'}


@pytest.mark.parametrize(
    "status, expected",
    [("completed", "completed"), ("cancelled", "incomplete"), ("failed", "incomplete"), ("incomplete", "incomplete")],
)
def test_an_item_that_nobody_finishes_ends_with_its_response(drive: Drive, status: str, expected: str) -> None:
    drive.created("r1")
    drive.item("i1")
    drive.text("i1", "Hel")
    drive.done("r1", status)
    assert [item.status for item in drive.history()] == [expected]
    assert len(drive.of(ItemCompleted)) == 1


def test_an_item_that_does_not_say_how_it_ended_ended_as_its_response_did(drive: Drive) -> None:
    drive.created("r1")
    drive.done("r1", "incomplete", output=[CALL])
    assert drive.tools == []
    drive.created("r2")
    drive.done("r2", output=[CALL | {"id": "c2", "call_id": "d", "arguments": "{}"}])
    assert [start.call_id for start in drive.tools] == ["d"]


def test_a_response_lists_items_that_were_never_announced(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    message = {"id": "i1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}
    drive.done("r1", output=[message, {"type": "message", "role": "assistant"}])
    assert drive.order() == ["i1"]
    assert drive.ended[0].text == "hi"


def test_an_item_that_was_deleted_is_not_part_of_its_turn(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.item("i1")
    drive.text("i1", "secret")
    drive.server("conversation.item.deleted", item_id="i1")
    drive.done("r1")
    assert drive.ended[0].text == ""


def test_an_item_that_the_server_finishes_later_is_left_to_it(drive: Drive) -> None:
    drive.created("r1")
    item = {"id": "m1", "type": "mcp_call", "server_label": "s", "name": "t", "arguments": "{}"}
    drive.server("response.output_item.added", response_id="r1", item=item)
    drive.done("r1")
    assert [item.status for item in drive.history()] == [None]
    drive.server("response.output_item.done", response_id="r1", item=item | {"output": "5"})
    assert [item.status for item in drive.history()] == ["completed"]


def test_an_item_is_its_first_responses_for_ever(drive: Drive) -> None:
    drive.created("r1")
    drive.item("i1")
    drive.item("i1")
    response = drive.core.responses.find("r1")
    assert response is not None
    assert response.item_ids == ["i1"]
