"""One item: what less is said never erases what is known."""

import itertools

import pytest

from agentkit.events import (
    FunctionCallItem,
    FunctionCallOutputItem,
    McpCallItem,
    MessageItem,
    OutputText,
    UnknownItem,
)
from agentkit.protocol.items import PARTS, ItemState


def state_of(*tellings: tuple[object, bool]) -> ItemState:
    state = ItemState("i", tellings[0][0])  # type: ignore[arg-type]  # every telling is an item
    for item, done in tellings:
        assert state.merge(item, done=done)  # type: ignore[arg-type]  # as above
        state.advance(item.status or ("completed" if done else None))  # type: ignore[attr-defined]  # as above
    return state


CALL = (
    (FunctionCallItem(id="i", name="tool", call_id="c", status="in_progress"), False),
    (FunctionCallItem(id="i", name="", arguments='{"x": 1}', status="completed"), True),
    (FunctionCallItem(id="i", name="tool", object="realtime.item", status="in_progress"), False),
)
MCP = (
    (McpCallItem(id="i", server_label="s", name="t"), False),
    (McpCallItem(id="i", server_label="s", name="t", arguments="{}", output="5"), True),
)
UNKNOWN = (
    (UnknownItem({"type": "new", "id": "i", "a": 0}), False),
    (UnknownItem({"type": "new", "id": "i", "a": 1, "status": "completed"}), True),
)


@pytest.mark.parametrize("tellings", list(itertools.permutations(CALL)))
def test_a_call_is_the_same_in_every_order(tellings: tuple[tuple[object, bool], ...]) -> None:
    assert state_of(*tellings).snapshot() == FunctionCallItem(
        id="i", object="realtime.item", name="tool", call_id="c", arguments='{"x": 1}', status="completed"
    )


@pytest.mark.parametrize("tellings", list(itertools.permutations(MCP)))
def test_a_server_run_call_is_the_same_in_every_order(tellings: tuple[tuple[object, bool], ...]) -> None:
    assert state_of(*tellings).snapshot() == McpCallItem(
        id="i", server_label="s", name="t", arguments="{}", output="5", status="completed"
    )


@pytest.mark.parametrize("tellings", list(itertools.permutations(UNKNOWN)))
def test_an_unknown_item_is_the_same_in_every_order(tellings: tuple[tuple[object, bool], ...]) -> None:
    assert state_of(*tellings).snapshot() == UNKNOWN[1][0]


def test_a_message_keeps_its_text_where_a_later_event_has_none() -> None:
    state = state_of(
        (MessageItem(id="i", role="assistant", status="completed", content=(OutputText(text="hello"),)), True),
        (MessageItem(id="i", role="assistant", status="in_progress"), False),
    )
    assert state.text == "hello"
    assert state.final


def test_a_final_status_does_not_go_back() -> None:
    state = ItemState("i", MessageItem(role="user"))
    state.advance("completed")
    state.advance("in_progress")
    state.advance(None)
    assert state.status == "completed"


@pytest.mark.parametrize("statuses", list(itertools.permutations(("in_progress", "completed", "incomplete"))))
def test_incomplete_is_the_word_that_stays(statuses: tuple[str, ...]) -> None:
    state = ItemState("i", MessageItem(role="user"))
    for status in statuses:
        state.advance(status)
    assert state.status == "incomplete"


@pytest.mark.parametrize("index", [-1, PARTS, 10**12])
def test_a_part_that_no_item_has_counts_for_nothing(index: int) -> None:
    state = ItemState("i", MessageItem(role="user"))
    state.part(index).add("x")
    assert state.parts == []


def test_an_output_is_read_with_its_status() -> None:
    state = state_of((FunctionCallOutputItem(id="i", call_id="c", output="5"), True))
    assert state.snapshot() == FunctionCallOutputItem(id="i", call_id="c", output="5", status="completed")


def test_arguments_in_deltas_count_more_than_those_of_an_unfinished_item() -> None:
    state = state_of((FunctionCallItem(id="i", name="tool", arguments="{"), False))
    state.part(0).add('{"x": 1}')
    item = state.snapshot()
    assert isinstance(item, FunctionCallItem)
    assert item.arguments == '{"x": 1}'


def test_the_later_word_counts_while_an_item_grows() -> None:
    state = state_of(
        (FunctionCallItem(id="i", name="tool", arguments="{"), False),
        (FunctionCallItem(id="i", name="tool", arguments='{"x"'), False),
    )
    item = state.snapshot()
    assert isinstance(item, FunctionCallItem)
    assert item.arguments == '{"x"'
