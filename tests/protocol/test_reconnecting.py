"""Between two connections: what is kept of the old one, and what the new one is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentkit.errors import ConnectionLostError, LocalProtocolError
from agentkit.events import (
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemTruncate,
    FlushPlayback,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    InputText,
    McpApprovalResponseItem,
    MessageItem,
    ResponseCreate,
    ResponseSettings,
    Settings,
    TranscriptionSettings,
    UnknownClientEvent,
)
from agentkit.protocol.effects import Effect, ServerCallEnded
from agentkit.protocol.reconnecting import HELD, HELD_AUDIO_MS, UNACKNOWLEDGED

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

CREATE, ITEM, UPDATE = "response.create", "conversation.item.create", "session.update"
BESIDE = ResponseSettings(conversation="none")
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"


@pytest.fixture
def drive(new_drive: type[Drive]) -> Drive:
    """A session that may have further connections."""
    drive = new_drive()
    drive.core.recovery.on = True
    drive.session()
    return drive


@pytest.fixture
def listening(new_drive: type[Drive]) -> Drive:
    drive = new_drive()
    drive.core.recovery.on = True
    drive.session({"type": "server_vad"})
    return drive


def lose(drive: Drive, *, keep_audio: bool = False) -> None:
    drive.run(drive.core.recovery.lose(keep_audio=keep_audio))
    drive.frames()


def resume(drive: Drive, *items: MessageItem | FunctionCallItem | FunctionCallOutputItem) -> list[dict[str, Any]]:
    """Greet on the next connection, confirm the settings, tell it the items, and return what else was written."""
    greet(drive)
    drive.frames()
    drive.run(drive.core.recovery.resume(items))
    return drive.frames()


def greet(drive: Drive) -> None:
    drive.server("session.created", session={"type": "realtime", "id": "sess_2"})


def message(item_id: str | None, text: str = "hi") -> MessageItem:
    return MessageItem(id=item_id, role="user", content=(InputText(text=text),))


def create(item: MessageItem, **fields: Any) -> ConversationItemCreate:
    return ConversationItemCreate(item=item, **fields)


# Items


def test_items_that_a_session_with_one_connection_makes_have_no_ids(new_drive: type[Drive]) -> None:
    drive = new_drive()
    drive.session()
    drive.send(create(message(None)))
    assert "id" not in drive.frames()[0]["item"]  # type: ignore[operator]  # JSON


def test_items_have_ids_and_one_that_was_given_stays(drive: Drive) -> None:
    drive.send(create(message(None)))
    drive.send(create(message("mine")))
    first, second = (frame["item"] for frame in drive.frames())
    assert first["id"]  # type: ignore[index]  # JSON
    assert second["id"] == "mine"  # type: ignore[index]  # JSON


def test_an_item_that_cannot_have_an_id_of_ours_goes_as_it_is(drive: Drive) -> None:
    drive.send(ConversationItemCreate(item=McpApprovalResponseItem(approval_request_id="a", approve=True)))
    assert drive.types() == [ITEM]


def test_an_item_is_sent_again_until_it_is_acknowledged(drive: Drive) -> None:
    drive.send(create(message("a")))
    lose(drive)
    assert [frame["item"]["id"] for frame in resume(drive)] == ["a"]
    drive.user_item("a")
    lose(drive)
    assert resume(drive) == []


def test_an_item_that_was_refused_is_not_sent_again(drive: Drive) -> None:
    drive.send(create(message("a"), event_id="e"))
    drive.error("item_create_invalid", "e")
    lose(drive)
    assert resume(drive) == []


def test_an_item_that_was_not_written_is_not_sent_again(drive: Drive) -> None:
    event = create(message("a"), event_id="e")
    drive.send(event)
    drive.run(drive.core.dropped(event, LocalProtocolError("no")))
    lose(drive)
    assert resume(drive) == []


def test_what_was_not_acknowledged_comes_where_it_was_sent(drive: Drive) -> None:
    drive.send(create(message("first")))
    drive.user_item("second")
    drive.send(create(message("third")))
    drive.send(create(message("fourth")))
    lose(drive)
    told = resume(drive, message("second"))
    assert [frame["item"]["id"] for frame in told] == ["first", "second", "third", "fourth"]


def test_a_place_after_an_item_that_is_gone_is_not_asked_for(drive: Drive) -> None:
    drive.send(create(message("a"), previous_item_id="gone"))
    drive.send(create(message("b"), previous_item_id="a"))
    drive.send(create(message("c"), previous_item_id="root"))
    lose(drive)
    told = {frame["item"]["id"]: frame.get("previous_item_id") for frame in resume(drive)}
    assert told == {"a": None, "b": "a", "c": "root"}


def test_only_so_many_items_are_remembered(drive: Drive) -> None:
    for number in range(UNACKNOWLEDGED + 1):
        drive.send(create(message(f"i{number}")))
    lose(drive)
    told = resume(drive)
    assert len(told) == UNACKNOWLEDGED
    assert told[0]["item"]["id"] == "i1"


def test_the_mirror_takes_an_item_of_the_replay_for_what_it_has(drive: Drive) -> None:
    drive.user_item("a", "as it was")
    lose(drive)
    resume(drive, message("a", "as it is told"))
    drive.user_item("a", "as it is told")
    drive.server("conversation.item.done", item={"id": "a", "type": "message", "role": "user", "content": []})
    assert drive.texts() == ["as it was"]


@pytest.mark.parametrize(
    "ours, told",
    [
        (message("a", "hi"), {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}),
        (FunctionCallItem(id="a", call_id="c", name="t"), {"type": "function_call", "call_id": "c", "name": "t"}),
        (FunctionCallOutputItem(id="a", call_id="c", output="5"), {"type": "function_call_output", "call_id": "c"}),
    ],
)
def test_an_item_of_the_replay_is_known_under_another_id(
    drive: Drive, ours: MessageItem | FunctionCallItem | FunctionCallOutputItem, told: dict[str, object]
) -> None:
    lose(drive)
    resume(drive, ours)
    drive.server("conversation.item.added", item={"id": "other", "output": "5", "arguments": "{}"} | told)
    assert drive.order() == []
    drive.user_item("new", "something else")
    assert drive.order() == ["new"]


def test_an_item_that_says_something_else_is_a_new_one(drive: Drive) -> None:
    lose(drive)
    resume(drive, message("a", "hi"))
    drive.user_item("other", "not that")
    drive.server("conversation.item.added", item={"id": "call", "type": "function_call", "name": "t", "call_id": "c"})
    assert drive.order() == ["other", "call"]


def test_an_output_of_a_call_that_the_client_made_is_told_once(drive: Drive) -> None:
    call = FunctionCallItem(id="a", call_id="c", name="t", arguments="{}")
    output = FunctionCallOutputItem(id="b", call_id="c", output="5")
    drive.send(ConversationItemCreate(item=call))
    drive.send(ConversationItemCreate(item=output))
    lose(drive)
    assert [frame["item"]["id"] for frame in resume(drive)] == ["a", "b"]
    lose(drive)
    assert [frame["item"]["id"] for frame in resume(drive, call, output)].count("b") == 1


# While there is no connection


def test_what_is_sent_meanwhile_waits_in_its_order(drive: Drive) -> None:
    lose(drive)
    drive.say("one")
    drive.send(UnknownClientEvent(wire_type="some.event", data={}))
    assert drive.types() == []
    assert not drive.core.quiet
    assert [frame["type"] for frame in resume(drive)] == [ITEM, "some.event", CREATE]


def test_events_of_the_applications_own_do_not_wait(drive: Drive) -> None:
    lose(drive)
    drive.send(UnknownClientEvent(wire_type="app.hello", data={}))
    assert drive.emitted[-1].wire_type == "app.event"
    assert resume(drive) == []


def test_only_so_many_events_wait(drive: Drive) -> None:
    lose(drive)
    for _ in range(HELD):
        drive.send(create(message(None)))
    with pytest.raises(LocalProtocolError, match="events wait"):
        drive.send(create(message(None)))


def test_an_event_that_may_not_be_sent_any_more_is_told(drive: Drive) -> None:
    drive.created("r1")
    drive.call("c")
    lose(drive)
    drive.returns("c")
    other = FunctionCallOutputItem(call_id="c", output="6")
    drive.send(ConversationItemCreate(item=other))
    resume(drive)
    assert drive.notices().count("not_sent") == 1


def test_audio_is_dropped_and_its_commit_refused(drive: Drive) -> None:
    lose(drive)
    with pytest.raises(ConnectionLostError):
        drive.send(InputAudioBufferAppend(audio=bytes(480)))
    with pytest.raises(ConnectionLostError):
        drive.send(InputAudioBufferCommit())
    drive.send(InputAudioBufferClear())
    assert drive.core.input.pending == 0
    assert resume(drive) == []


def test_audio_is_kept_for_a_while_where_that_is_asked_for(drive: Drive) -> None:
    lose(drive, keep_audio=True)
    drive.send(InputAudioBufferAppend(audio=bytes(480)))
    for _ in range(HELD_AUDIO_MS // 100):
        drive.send(InputAudioBufferAppend(audio=bytes(4800)))
    assert [frame["type"] for frame in resume(drive)] == ["input_audio_buffer.append"] * (HELD_AUDIO_MS // 100)
    assert drive.core.input.pending_ms == HELD_AUDIO_MS


def test_audio_that_was_kept_may_be_cleared(drive: Drive) -> None:
    lose(drive, keep_audio=True)
    drive.send(InputAudioBufferAppend(audio=bytes(480)))
    drive.send(InputAudioBufferClear())
    assert resume(drive) == []


def test_the_clock_of_the_users_audio_begins_anew(drive: Drive) -> None:
    drive.core.input.keep_bytes = 1 << 20
    drive.send(InputAudioBufferAppend(audio=bytes(4800)))
    lose(drive)
    assert (drive.core.input.position_ms, drive.core.input.pending, drive.core.input.kept) == (0, 0, 0)


def test_an_item_deleted_meanwhile_is_gone_at_once(drive: Drive) -> None:
    drive.user_item("a")
    drive.send(create(message("b")))
    lose(drive)
    drive.send(ConversationItemDelete(item_id="a"))
    drive.send(ConversationItemDelete(item_id="b"))
    assert drive.order() == []
    assert resume(drive) == []


def test_a_deletion_that_was_not_confirmed_is_taken_as_done(drive: Drive) -> None:
    drive.user_item("a")
    drive.send(ConversationItemDelete(item_id="a"))
    lose(drive)
    assert drive.order() == []


def test_a_truncation_meanwhile_cuts_the_mirror(drive: Drive) -> None:
    drive.created("r1")
    drive.item("i1")
    drive.audio("i1", 1000)
    drive.done("r1")
    lose(drive)
    drive.send(ConversationItemTruncate(item_id="i1", content_index=0, audio_end_ms=300))
    drive.send(ConversationItemTruncate(item_id="unknown", content_index=0, audio_end_ms=300))
    assert drive.core.output.cut_ms("i1") == 300
    assert resume(drive) == []


# Responses


def test_a_response_that_was_asked_for_is_asked_for_again(drive: Drive) -> None:
    token = drive.ask()
    lose(drive)
    assert [frame["type"] for frame in resume(drive)] == [CREATE]
    drive.created("r2")
    drive.done("r2")
    assert [turn.tokens for turn in drive.ended] == [{token}]


def test_it_has_another_id_so_that_an_old_timer_is_not_its_own(drive: Drive) -> None:
    drive.ask()
    lose(drive)
    resume(drive)
    drive.run(drive.core.timer("requested ask_1"))
    assert drive.ended == []


def test_a_response_that_was_to_be_stopped_is_not_asked_for_again(drive: Drive) -> None:
    drive.ask()
    drive.run(drive.core.cancel())
    lose(drive)
    assert [turn.status for turn in drive.ended] == ["cancelled"]
    assert resume(drive) == []


def test_unfinished_items_go_and_their_playback_stops(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.item("i1")
    drive.audio("i1", 100)
    lose(drive)
    assert drive.order() == []
    assert drive.of(FlushPlayback) == [FlushPlayback(item_id="i1")]
    assert [frame["type"] for frame in resume(drive)] == [CREATE]


def test_two_plain_wishes_become_one(drive: Drive) -> None:
    first = drive.ask()
    lose(drive)
    second = drive.ask()
    assert [frame["type"] for frame in resume(drive)] == [CREATE]
    drive.created("r1")
    drive.done("r1")
    assert {token for turn in drive.ended for token in turn.tokens} == {first, second}


def test_a_wish_that_was_lost_joins_one_that_waits(drive: Drive) -> None:
    first, second = drive.ask(), drive.ask()
    lose(drive)
    assert [frame["type"] for frame in resume(drive)] == [CREATE]
    drive.created("r1")
    drive.done("r1")
    assert {token for turn in drive.ended for token in turn.tokens} == {first, second}


def test_a_wish_does_not_join_one_with_settings_of_its_own(drive: Drive) -> None:
    drive.ask()
    drive.ask(ResponseSettings(instructions="Say this"))
    lose(drive)
    (first,) = resume(drive)
    assert "response" not in first


def test_a_wish_with_settings_of_its_own_comes_first_and_keeps_them(drive: Drive) -> None:
    drive.ask(ResponseSettings(instructions="Say this"))
    lose(drive)
    drive.ask()
    (first,) = resume(drive)
    assert first["response"]["instructions"] == "Say this"


def test_a_turn_is_not_asked_for_again_for_ever(drive: Drive) -> None:
    drive.ask()
    for _ in range(2):
        lose(drive)
        assert [frame["type"] for frame in resume(drive)] == [CREATE]
    lose(drive)
    assert [turn.status for turn in drive.ended] == ["incomplete"]
    assert resume(drive) == []


def test_a_response_beside_the_conversation_is_asked_for_again(drive: Drive) -> None:
    drive.ask(BESIDE)
    lose(drive)
    assert not drive.core.quiet
    drive.ask(BESIDE)
    assert drive.types() == []
    told = resume(drive)
    assert [frame["response"]["conversation"] for frame in told] == ["none", "none"]


def test_one_that_had_begun_is_asked_for_again_too(drive: Drive) -> None:
    drive.ask(BESIDE)
    metadata = drive.frames()[0]["response"]["metadata"]  # type: ignore[index]  # JSON
    drive.created("r1", metadata=metadata)
    lose(drive)
    assert [frame["type"] for frame in resume(drive)] == [CREATE]


def test_a_response_of_the_servers_own_is_asked_for(listening: Drive) -> None:
    listening.created("r1")
    lose(listening)
    assert [frame["type"] for frame in resume(listening)] == [CREATE]


def test_a_response_with_something_whole_is_incomplete(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    content = [{"type": "output_text", "text": "Ten."}]
    item = {"id": "i1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    drive.server("response.output_item.done", response_id="r1", item=item)
    drive.item("i2")
    drive.text("i2", "And")
    lose(drive)
    assert [(turn.status, turn.text) for turn in drive.ended] == [("incomplete", "Ten.\nAnd")]
    assert resume(drive) == []


def test_a_response_that_the_user_cut_off_is_cancelled_and_its_waiting_calls_do_not_run(listening: Drive) -> None:
    listening.created("r1")
    listening.item("i0")
    listening.server(STARTED, item_id="u1", audio_start_ms=0)
    listening.call("c")
    lose(listening)
    assert listening.tools == []
    assert [turn.status for turn in listening.ended] == ["cancelled"]
    assert "cancelled" in str(listening.core.calls.get("c").output)  # type: ignore[union-attr]  # it is there


def test_the_servers_own_answer_that_was_awaited_is_asked_for(listening: Drive) -> None:
    listening.server(STARTED, item_id="u1", audio_start_ms=0)
    listening.server(STOPPED, item_id="u1", audio_end_ms=900)
    listening.server("input_audio_buffer.committed", item_id="u1")
    words = {"item_id": "u1", "content_index": 0, "transcript": "Is it open?"}
    listening.server("conversation.item.input_audio_transcription.completed", **words)
    lose(listening)
    assert CREATE in [frame["type"] for frame in resume(listening)]


def test_nothing_is_asked_where_nobody_knows_what_the_user_said(listening: Drive) -> None:
    listening.server(STARTED, item_id="u1", audio_start_ms=0)
    listening.server(STOPPED, item_id="u1", audio_end_ms=900)
    listening.server("input_audio_buffer.committed", item_id="u1")
    lose(listening)
    assert CREATE not in [frame["type"] for frame in resume(listening)]


def test_what_waited_for_the_users_turn_is_asked_for(listening: Drive) -> None:
    listening.server(STARTED, item_id="u1", audio_start_ms=0)
    listening.ask()
    assert CREATE not in listening.types()
    lose(listening)
    assert CREATE in [frame["type"] for frame in resume(listening)]


def test_what_the_user_was_saying_is_told_as_lost(listening: Drive) -> None:
    listening.send(InputAudioBufferAppend(audio=bytes(48 * 500)))
    listening.server(STARTED, item_id="u1", audio_start_ms=0)
    lose(listening)
    assert listening.notices() == ["speech_lost"]
    assert not listening.core.responses.user_speaking


def test_what_the_user_has_said_and_the_server_has_not_taken_is_told_as_lost(drive: Drive) -> None:
    drive.send(InputAudioBufferAppend(audio=bytes(48 * 500)))
    drive.send(InputAudioBufferCommit())
    lose(drive)
    assert drive.notices() == ["speech_lost"]


def test_what_the_server_has_taken_is_not_told_as_lost(drive: Drive) -> None:
    drive.send(InputAudioBufferAppend(audio=bytes(48 * 500)))
    drive.send(InputAudioBufferCommit())
    drive.server("input_audio_buffer.committed", item_id="u1")
    lose(drive)
    assert drive.notices() == []


def test_while_the_key_is_held_nothing_is_asked(drive: Drive) -> None:
    drive.run(drive.core.taking.press())
    lose(drive)
    drive.ask()
    assert resume(drive) == []
    drive.run(drive.core.taking.release())
    assert drive.types() == [CREATE]


# Calls


def test_a_call_that_runs_is_pending_and_its_output_brings_one_response(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("c")
    lose(drive)
    assert drive.core.recovery.pending() == {"c"}
    assert resume(drive, FunctionCallItem(id="item_c", call_id="c", name="tool", arguments="{}")) != []
    drive.returns("c")
    assert drive.types() == [ITEM, CREATE]
    assert len(drive.tools) == 1


def test_an_output_that_came_meanwhile_follows_what_is_told(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("c")
    drive.done("r1")
    lose(drive)
    drive.returns("c")
    assert drive.core.recovery.pending() == {"c"}
    call = FunctionCallItem(id="item_c", call_id="c", name="tool", arguments="{}")
    told = resume(drive, call)
    assert [frame.get("item", {}).get("type") for frame in told] == ["function_call", "function_call_output", None]


def test_an_output_that_was_sent_is_known_and_not_pending(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("c")
    drive.returns("c")
    lose(drive)
    assert drive.core.recovery.pending() == set()
    assert drive.core.recovery.outputs["c"].output == "5"
    assert [frame["type"] for frame in resume(drive)] == [CREATE]


def test_a_call_that_was_not_announced_is_gone_and_may_be_made_again(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("c1")
    item = {"id": "item_c2", "type": "function_call", "call_id": "c2", "name": "tool", "status": "completed"}
    drive.server("conversation.item.added", item={**item, "arguments": "{}"})
    drive.server("response.output_item.added", response_id="r1", item={**item, "arguments": "{}"})
    lose(drive)
    assert drive.order() == ["item_c1"]
    assert [start.call_id for start in drive.tools] == ["c1"]


def test_a_call_of_which_nobody_has_said_whose_it_is_belongs_to_the_response_there_was(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    item = {"id": "item_c", "type": "function_call", "call_id": "c", "name": "tool", "arguments": "{}"}
    drive.server("conversation.item.done", item={**item, "status": "completed"})
    lose(drive)
    assert drive.ended == []
    resume(drive)
    drive.returns("c")
    assert drive.types() == [ITEM, CREATE]


def test_a_call_that_was_told_before_its_response_was_known_is_that_responses(drive: Drive) -> None:
    drive.ask()
    drive.call("c", "r1")
    drive.created("r1")
    lose(drive)
    resume(drive)
    drive.returns("c")
    assert drive.types() == [ITEM, CREATE]


def test_the_same_call_told_again_does_not_run_again(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("c")
    drive.returns("c")
    lose(drive)
    resume(drive)
    drive.created("r2")
    drive.call("c", "r2")
    assert len(drive.tools) == 1


# Tools that the server runs

HOSTED: dict[str, object] = {"server_label": "docs", "name": "find", "arguments": "{}"}


def hosted(drive: Drive, **fields: object) -> None:
    """Let the server make a call of its own in the response that it makes."""
    item = {"id": "m1", "type": "mcp_call", "status": "in_progress", **HOSTED, **fields}
    drive.server("response.output_item.added", response_id="r1", item=item)
    if "output" in fields or "error" in fields:
        drive.server("response.output_item.done", response_id="r1", item={**item, "status": "completed"})
    drive.server("response.mcp_call.in_progress", item_id="m1", output_index=0)


def ended(effects: list[Effect]) -> list[ServerCallEnded]:
    return [effect for effect in effects if isinstance(effect, ServerCallEnded)]


def words(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["item"]["content"][0]["text"] for frame in frames if frame["type"] == ITEM]


@pytest.mark.parametrize("fields", [{"output": "found it"}, {"error": "found it not"}])
def test_what_a_call_of_the_servers_gave_is_told_in_words_once(drive: Drive, fields: dict[str, object]) -> None:
    drive.ask()
    drive.created("r1")
    hosted(drive, **fields)
    lose(drive)
    told = resume(drive)
    assert [frame["type"] for frame in told] == [ITEM, CREATE]
    assert "docs.find" in words(told)[0]
    assert str(next(iter(fields.values()))) in words(told)[0]
    drive.run(drive.core.responses.dropped(ResponseCreate(event_id="x"), LocalProtocolError("no")))
    lose(drive)
    assert len(words(resume(drive))) == 1  # as an item that was not acknowledged


def test_a_call_of_the_servers_that_was_under_way_is_not_known_and_not_waited_for(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("c")
    hosted(drive)
    drive.done("r1")
    effects = drive.run(drive.core.recovery.lose())
    drive.frames()
    assert [effect.item_id for effect in ended(effects)] == ["m1"]
    told = resume(drive)
    assert "not known" in words(told)[0]
    drive.returns("c")
    assert drive.types() == [ITEM, CREATE]


def test_a_call_of_the_servers_that_had_not_begun_is_not_told_as_ended(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    item = {"id": "m1", "type": "mcp_call", "status": "in_progress", **HOSTED}
    drive.server("response.output_item.added", response_id="r1", item=item)
    effects = drive.run(drive.core.recovery.lose())
    assert ended(effects) == []


def test_an_approval_that_the_lost_connection_asked_for_is_answered_nowhere(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    item = {"id": "a1", "type": "mcp_approval_request", **HOSTED}
    drive.server("response.output_item.done", response_id="r1", item=item)
    drive.done("r1")
    lose(drive)
    assert [frame["type"] for frame in resume(drive)] == [CREATE]
    drive.run(drive.core.decided("a1", approved=True))
    assert drive.types() == []
    assert drive.notices() == ["approval_lost"]


def test_a_turn_that_the_user_has_ended_does_not_go_on_without_the_servers_call(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    hosted(drive)
    drive.done("r1")
    drive.run(drive.core.interrupt())
    lose(drive)
    assert [turn.status for turn in drive.ended] == ["cancelled"]
    assert [frame["type"] for frame in resume(drive)] == [ITEM]


# Settings


def test_what_the_session_had_is_asked_for_again_and_nothing_else(drive: Drive) -> None:
    drive.run(drive.core.update(Settings(instructions="Be brief."), "u1"))
    session = {"type": "realtime", "id": "sess", "instructions": "Be brief.", "model": "m1"}
    drive.server("session.updated", session=session)
    lose(drive)
    drive.server("session.created", session={"type": "realtime", "id": "sess_2", "model": "m2", "instructions": ""})
    (frame,) = drive.frames()
    assert frame == {"type": UPDATE, "session": {"type": "realtime", "instructions": "Be brief.", "audio": AUDIO}}


AUDIO = {"input": {"turn_detection": None}}


def test_what_the_server_does_not_repeat_is_asked_for_again(drive: Drive) -> None:
    drive.run(drive.core.update(Settings(instructions="Be brief."), "u1"))
    drive.server("session.updated", session={"type": "realtime", "id": "sess"})
    drive.run(drive.core.update(Settings(max_output_tokens=5), "u2"))
    drive.server("session.updated", session={"type": "realtime", "id": "sess"})
    lose(drive)
    greet(drive)
    session: Any = drive.frames()[0]["session"]
    assert (session["instructions"], session["max_output_tokens"]) == ("Be brief.", 5)


def test_where_nothing_differs_nothing_is_asked(drive: Drive) -> None:
    lose(drive)
    audio = {"input": {"turn_detection": None}, "output": {}}
    drive.server("session.created", session={"type": "realtime", "id": "sess_2", "audio": audio})
    assert drive.frames() == []
    assert drive.updates[-1].event_id == drive.core.recovery.restoring


def test_an_update_waits_and_is_sent_after_what_the_session_had(drive: Drive) -> None:
    drive.run(drive.core.update(Settings(instructions="One."), "u1"))
    lose(drive)
    drive.run(drive.core.update(Settings(instructions="Two."), "u2"))
    greet(drive)
    assert drive.types() == [UPDATE]
    drive.server("session.updated", session={"type": "realtime", "id": "sess_2", "audio": AUDIO})
    drive.run(drive.core.recovery.resume([]))
    assert [frame["session"]["instructions"] for frame in drive.frames()] == ["One.", "Two."]  # type: ignore[index]  # JSON


def test_the_mode_does_not_change_in_between(drive: Drive) -> None:
    lose(drive)
    assert drive.core.taking.mode == "push_to_talk"
    vad = {"input": {"turn_detection": {"type": "server_vad"}}}
    drive.server("session.created", session={"type": "realtime", "id": "sess_2", "audio": vad})
    assert drive.core.taking.mode == "push_to_talk"


def test_the_voice_may_be_asked_for_again(drive: Drive) -> None:
    drive.core.settings.voice_fixed = True
    lose(drive)
    assert not drive.core.settings.voice_fixed


def test_a_connection_lost_before_it_was_told_anything_changes_nothing(drive: Drive) -> None:
    drive.run(drive.core.update(Settings(instructions="One."), "u1"))
    drive.server("session.updated", session={"type": "realtime", "id": "sess", "instructions": "One."})
    drive.ask()
    lose(drive)
    greet(drive)
    lose(drive)
    greet(drive)
    assert drive.frames()[0]["session"]["instructions"] == "One."  # type: ignore[index]  # JSON
    drive.run(drive.core.recovery.resume([]))
    assert drive.types() == [CREATE]


def test_a_transcription_session_stays_one(new_drive: type[Drive]) -> None:
    drive = new_drive()
    drive.core.recovery.on = True
    drive.server("session.created", session={"type": "transcription", "id": "s"})
    drive.run(drive.core.update(TranscriptionSettings(include=("a",)), "u1"))
    drive.server("session.updated", session={"type": "transcription", "id": "s"})
    lose(drive)
    drive.server("session.created", session={"type": "transcription", "id": "s2"})
    assert drive.frames()[0]["session"] == {"type": "transcription", "include": ["a"]}


def test_where_the_next_session_is_of_another_kind_all_is_asked_for(drive: Drive) -> None:
    lose(drive)
    drive.server("session.created", session={"type": "transcription", "id": "s2"})
    assert drive.frames()[0]["session"] == {"type": "realtime", "audio": {**AUDIO, "output": {}}}


def test_a_connection_lost_before_the_session_was_there_has_nothing_to_ask_for(new_drive: type[Drive]) -> None:
    drive = new_drive()
    drive.core.recovery.on = True
    lose(drive)
    greet(drive)
    assert drive.frames() == []


def test_an_item_of_the_replay_may_have_no_id(drive: Drive) -> None:
    lose(drive)
    assert [frame["type"] for frame in resume(drive, message(None))] == [ITEM]


def test_ids_of_events_are_the_connections_own(drive: Drive) -> None:
    drive.server("response.created", event_id="e", response={"id": "r1", "status": "in_progress"})
    lose(drive)
    resume(drive)
    drive.server("response.created", event_id="e", response={"id": "r2", "status": "in_progress"})
    assert "duplicate" not in drive.suppressed
    assert drive.core.responses.find("r2") is not None


def test_a_create_that_a_layer_holds_is_sent_on_the_next_connection(drive: Drive) -> None:
    drive.held = []
    drive.ask()
    lose(drive)
    (event,) = drive.held
    drive.held = None
    assert isinstance(event, ResponseCreate)
    drive.send(event)
    assert [frame["type"] for frame in resume(drive)] == [CREATE]
