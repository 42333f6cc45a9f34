"""Commands, and what goes out: interruption, commits, items, and what is refused here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.errors import LocalProtocolError
from agentkit.events import (
    AppEvent,
    ConversationItemTruncate,
    FlushPlayback,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    Interrupted,
    MessageItem,
    OutputAudioBufferClear,
    ResponseSettings,
    UnknownClientEvent,
)
from agentkit.protocol.core import SENT

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

CREATE, CANCEL, ITEM = "response.create", "response.cancel", "conversation.item.create"
TRUNCATE = "conversation.item.truncate"
APPEND, COMMIT, CLEAR = "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear"
STARTED = "input_audio_buffer.speech_started"


def speaking(drive: Drive, ms: int) -> None:
    """The agent speaks: a response with one item and its audio so far."""
    drive.created("r1")
    drive.item("i1")
    drive.audio("i1", ms)


def cut(item_id: str, ms: int) -> dict[str, object]:
    return {"type": TRUNCATE, "item_id": item_id, "content_index": 0, "audio_end_ms": ms}


def append(drive: Drive, ms: int) -> None:
    drive.send(InputAudioBufferAppend(audio=bytes(ms * 48)))


# Interruption


def test_rb_11_speech_cuts_the_item_to_what_was_heard_and_leaves_the_cancel_to_the_server(listening: Drive) -> None:
    speaking(listening, 2000)
    listening.core.output.played("i1", 700)
    listening.server(STARTED)
    assert listening.frames() == [cut("i1", 700)]
    assert listening.of(FlushPlayback) == [FlushPlayback(item_id="i1", at_ms=700)]
    assert listening.of(Interrupted) == [Interrupted(item_id="i1", heard_ms=700, heard_text="", by_speech=True)]


def test_rb_11_speech_over_a_server_that_does_not_interrupt_cancels_by_us(drive: Drive) -> None:
    drive.session({"type": "server_vad", "interrupt_response": False}, updated=True)
    speaking(drive, 2000)
    drive.server(STARTED)
    assert drive.types() == [CANCEL]


def test_rb_11_an_item_that_still_plays_after_its_response_is_cut(listening: Drive) -> None:
    speaking(listening, 2000)
    listening.done("r1")
    listening.core.output.played("i1", 700)
    listening.server(STARTED)
    assert listening.frames() == [cut("i1", 700)]


def test_rb_32_the_cut_is_never_beyond_what_the_current_item_has(drive: Drive) -> None:
    drive.created("r1")
    drive.item("i1")
    drive.audio("i1", 500)
    drive.item("i2")
    drive.audio("i2", 300)
    drive.core.output.played("i2", 5000)
    drive.run(drive.core.interrupt())
    assert drive.frames()[0] == cut("i2", 300)


def test_rb_32_nothing_is_cut_where_everything_was_played(listening: Drive) -> None:
    speaking(listening, 500)
    listening.done("r1")
    listening.core.output.played("i1", 500)
    listening.server(STARTED)
    assert listening.frames() == []
    assert listening.emitted[2:] == listening.of(Interrupted) == []


def test_rb_34_an_interruption_names_item_part_and_time(drive: Drive) -> None:
    speaking(drive, 2000)
    drive.run(drive.core.interrupt(heard_ms=120))
    assert drive.frames() == [cut("i1", 120), {"type": CANCEL, "response_id": "r1"}]


def test_an_interruption_before_anything_was_heard_cuts_nothing_at_0_ms(drive: Drive) -> None:
    speaking(drive, 2000)
    drive.run(drive.core.interrupt(heard_ms=0))
    assert drive.types() == [CANCEL]
    assert drive.of(FlushPlayback) == [FlushPlayback(item_id="i1", at_ms=0)]


def test_without_a_playback_clock_playback_is_flushed_and_nothing_is_cut(drive: Drive) -> None:
    speaking(drive, 2000)
    drive.run(drive.core.interrupt())
    assert drive.types() == [CANCEL]
    assert drive.of(FlushPlayback) == [FlushPlayback()]
    assert drive.of(Interrupted) == [Interrupted()]


def test_nothing_is_interrupted_where_nothing_is_going_on(drive: Drive) -> None:
    assert drive.core.interrupt() == drive.core.interrupt(heard_ms=5) == []


def test_what_was_cut_off_is_not_cut_again(drive: Drive) -> None:
    speaking(drive, 2000)
    drive.core.output.played("i1", 700)
    drive.run(drive.core.interrupt())
    drive.core.output.played("i1", 720)
    drive.run(drive.core.interrupt())
    assert drive.types() == [TRUNCATE, CANCEL]
    assert len(drive.of(Interrupted)) == 1


@pytest.mark.parametrize("by_server", [True, False])
def test_what_still_comes_of_an_interrupted_item_is_dropped(drive: Drive, listening: Drive, by_server: bool) -> None:
    session = listening if by_server else drive
    speaking(session, 500)
    session.core.output.played("i1", 100)
    if by_server:
        session.server(STARTED)
    else:
        session.run(session.core.interrupt())
    session.audio("i1", 500)
    session.text("i1", "late")
    session.item("i2")
    session.audio("i2", 500)
    assert session.suppressed == ["late"] * 3
    assert session.core.output.received_ms("i1") == 500
    assert session.core.output.received_ms("i2") == 0
    assert session.core.conversation.strays == 3


def test_an_item_deleted_while_it_is_spoken_is_no_trouble(drive: Drive) -> None:
    speaking(drive, 500)
    drive.server("conversation.item.deleted", item_id="i1")
    drive.run(drive.core.interrupt())
    assert drive.types() == [CANCEL]


def test_rb_43_a_typed_interruption_flushes_cuts_cancels_and_then_speaks(drive: Drive) -> None:
    speaking(drive, 2000)
    drive.core.output.played("i1", 700)
    drive.run(drive.core.interrupt())
    drive.say("stop")
    assert drive.types() == [TRUNCATE, CANCEL, ITEM]
    assert isinstance(drive.emitted[1], FlushPlayback)
    drive.done("r1", "cancelled")
    assert drive.types() == [CREATE]


# Truncation


def test_f51_a_truncation_is_clamped_to_what_was_received(drive: Drive) -> None:
    speaking(drive, 500)
    drive.send(ConversationItemTruncate(item_id="i1", content_index=0, audio_end_ms=5000))
    drive.send(ConversationItemTruncate(item_id="i1", content_index=0, audio_end_ms=5))
    assert drive.frames() == [cut("i1", 500), cut("i1", 5)]


@pytest.mark.parametrize("item_id, ms", [("i1", 0), ("unknown", 100)])
def test_a_truncation_of_nothing_is_refused(drive: Drive, item_id: str, ms: int) -> None:
    speaking(drive, 500)
    with pytest.raises(LocalProtocolError, match="no audio"):
        drive.send(ConversationItemTruncate(item_id=item_id, content_index=0, audio_end_ms=ms))


# Committing


def test_rb_27_a_short_press_is_cleared_and_reported(drive: Drive) -> None:
    append(drive, 40)
    drive.run(drive.core.taking.commit())
    assert drive.types() == [APPEND, CLEAR]
    assert drive.notices() == ["input_too_short"]


def test_rb_27_exactly_100_ms_are_enough(drive: Drive) -> None:
    append(drive, 100)
    drive.run(drive.core.taking.commit())
    assert drive.types() == [APPEND, COMMIT]


def test_rb_27_an_empty_buffer_is_not_committed(drive: Drive) -> None:
    drive.run(drive.core.taking.commit())
    assert drive.types() == []
    assert drive.notices() == ["input_too_short"]


def test_rb_27_nothing_is_committed_where_the_server_finds_the_turns(listening: Drive) -> None:
    append(listening, 500)
    listening.run(listening.core.taking.commit())
    listening.ask()
    assert listening.types() == [APPEND, CREATE]


def test_rb_27_nothing_is_committed_for_a_response_beside_the_conversation(drive: Drive) -> None:
    append(drive, 500)
    drive.ask(ResponseSettings(conversation="none"))
    assert drive.types() == [APPEND, CREATE]


def test_rb_30_without_turn_detection_audio_is_committed_before_the_create(drive: Drive) -> None:
    append(drive, 200)
    drive.ask()
    assert drive.types() == [APPEND, COMMIT, CREATE]


def test_rb_42_a_commit_alone_asks_for_no_reply(drive: Drive) -> None:
    append(drive, 200)
    drive.run(drive.core.taking.commit())
    drive.say("x", reply=False)
    assert drive.types() == [APPEND, COMMIT, ITEM]


def test_rb_66_typed_text_and_a_tool_leave_the_held_audio_alone(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("a")
    append(drive, 200)
    drive.returns("a")
    drive.done("r1")
    assert drive.types() == [CREATE, APPEND, ITEM, CREATE]
    assert drive.core.input.pending_ms == 200


def test_rb_66_a_commit_that_is_answered_late_does_not_lose_the_next_press(drive: Drive) -> None:
    append(drive, 200)
    drive.run(drive.core.taking.commit())
    append(drive, 150)
    drive.server("input_audio_buffer.committed", item_id="u1")
    drive.run(drive.core.taking.commit())
    assert drive.types() == [APPEND, COMMIT, APPEND, COMMIT]


def test_rb_66_audio_is_bound_by_the_committed_item(drive: Drive) -> None:
    drive.server("input_audio_buffer.committed", item_id="u1")
    drive.user_item("typed", "text", previous_item_id="u1")
    drive.server("conversation.item.input_audio_transcription.completed", item_id="u1", transcript="spoken")
    assert drive.order() == ["u1", "typed"]
    assert drive.texts() == ["spoken", "text"]


@pytest.mark.parametrize("event", [InputAudioBufferCommit(), InputAudioBufferClear()])
def test_a_commit_by_hand_empties_the_buffer(drive: Drive, event: InputAudioBufferCommit) -> None:
    append(drive, 200)
    drive.send(event)
    assert drive.core.input.pending == 0


# Events and their ids


def test_every_event_but_an_append_gets_an_id_of_its_own(drive: Drive) -> None:
    append(drive, 20)
    drive.send(OutputAudioBufferClear())
    drive.send(OutputAudioBufferClear(event_id="mine"))
    assert [event.event_id for event in drive.sent] == [None, "ak_1", "mine"]


def test_events_that_were_sent_are_remembered_and_forgotten_in_time(drive: Drive) -> None:
    for number in range(SENT + 1):
        drive.send(OutputAudioBufferClear(event_id=f"e{number}"))
    assert drive.core.origin("e0") is None
    assert drive.core.origin("e1") is not None
    assert drive.core.origin(None) is None


def test_an_item_goes_where_it_is_told_to(drive: Drive) -> None:
    drive.run(drive.core.delete_item("x"))
    assert drive.frames() == [{"type": "conversation.item.delete", "item_id": "x"}]
    drive.run(drive.core.send_item(MessageItem(role="system"), previous_item_id="root"))
    assert drive.frames()[0]["previous_item_id"] == "root"


def test_an_event_of_the_applications_own_goes_no_further(drive: Drive) -> None:
    drive.send(UnknownClientEvent(wire_type="app.cursor", data={"x": 1}))
    assert drive.of(AppEvent) == [AppEvent(name="app.cursor", data={"x": 1})]
    assert drive.frames() == []
    drive.send(UnknownClientEvent(wire_type="vendor.ping", data={"n": 2}))
    assert drive.frames() == [{"type": "vendor.ping", "n": 2}]
