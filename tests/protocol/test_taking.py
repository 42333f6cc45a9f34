"""Push to talk: what a key does, and that nothing is asked of the agent while it is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.errors import AgentkitError, LocalProtocolError
from agentkit.events import FlushPlayback, InputAudioBufferAppend, ResponseSettings

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

CREATE, CANCEL, ITEM = "response.create", "response.cancel", "conversation.item.create"
TRUNCATE = "conversation.item.truncate"
APPEND, COMMIT, CLEAR = "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear"
COMMITTED, CLEARED = "input_audio_buffer.committed", "input_audio_buffer.cleared"
STOPPED = "input_audio_buffer.speech_stopped"
SPEAK = ResponseSettings(instructions="speak")


def append(drive: Drive, ms: int) -> None:
    drive.send(InputAudioBufferAppend(audio=bytes(ms * 48)))


def press(drive: Drive, ms: int = 0) -> None:
    """Press the key, and say something while it is held."""
    drive.run(drive.core.taking.press())
    if ms:
        append(drive, ms)


def release(drive: Drive, reply_id: str | None = "reply") -> None:
    drive.run(drive.core.taking.release(reply_id))


def calling(drive: Drive, *call_ids: str) -> None:
    """A response has made calls, and is done; their outputs are due."""
    drive.ask()
    drive.created("r1")
    for call_id in call_ids:
        drive.call(call_id)
    drive.done("r1")
    drive.types()


def answered(drive: Drive, response_id: str) -> None:
    drive.created(response_id)
    drive.done(response_id)


# The key


def test_a_key_that_is_let_go_ends_the_turn_with_one_create(drive: Drive) -> None:
    press(drive, 200)
    assert drive.types() == [APPEND]
    release(drive)
    assert drive.types() == [COMMIT, CREATE]
    answered(drive, "r1")
    assert drive.types() == []
    assert [turn.tokens for turn in drive.ended] == [{"reply"}]


def test_a_key_that_is_let_go_may_ask_for_nothing(drive: Drive) -> None:
    press(drive, 200)
    release(drive, None)
    assert drive.types() == [APPEND, COMMIT]
    drive.ask()
    assert drive.types() == [CREATE]


def test_a_key_that_is_not_held_cannot_be_let_go(drive: Drive) -> None:
    append(drive, 200)
    release(drive)
    assert drive.types() == [APPEND]


def test_a_key_that_is_held_already_is_not_pressed_again(drive: Drive) -> None:
    press(drive, 200)
    drive.created("r1")
    assert drive.core.taking.press() == []


def test_there_is_no_key_where_the_server_finds_the_turns(listening: Drive) -> None:
    with pytest.raises(LocalProtocolError, match="no key to press in the mode server_vad"):
        listening.core.taking.press()
    release(listening)
    assert listening.types() == []


def test_a_key_cuts_the_agent_off(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.item("i1")
    drive.audio("i1", 1000)
    drive.core.output.played("i1", 300)
    drive.types()
    press(drive)
    assert drive.types() == [TRUNCATE, CANCEL]
    assert drive.of(FlushPlayback) == [FlushPlayback(item_id="i1", at_ms=300)]


def test_what_was_said_before_the_key_was_pressed_belongs_to_the_turn(drive: Drive) -> None:
    append(drive, 60)
    press(drive, 60)
    release(drive)
    assert drive.types() == [APPEND, APPEND, COMMIT, CREATE]


def test_a_commit_lets_go_of_the_key(drive: Drive) -> None:
    press(drive, 200)
    drive.run(drive.core.taking.commit("reply"))
    assert drive.types() == [APPEND, COMMIT, CREATE]
    release(drive)
    assert drive.types() == []


# What is asked for while the key is held


@pytest.mark.parametrize("settings", [None, SPEAK], ids=["plain", "with-settings"])
def test_a_create_waits_for_the_key(drive: Drive, settings: ResponseSettings | None) -> None:
    press(drive, 200)
    drive.ask(settings)
    assert drive.types() == [APPEND]
    release(drive, None)
    assert drive.types() == [COMMIT, CREATE]


def test_typed_text_goes_out_at_once_and_is_answered_with_what_is_said(drive: Drive) -> None:
    press(drive, 200)
    drive.say("typed")
    assert drive.types() == [APPEND, ITEM]
    release(drive)
    assert drive.types() == [COMMIT, CREATE]
    answered(drive, "r1")
    assert drive.types() == []
    assert [turn.tokens for turn in drive.ended] == [{"ask_1"}, {"reply"}]


def test_outputs_go_out_at_once_and_are_answered_with_what_is_said(drive: Drive) -> None:
    calling(drive, "a", "b")
    press(drive, 200)
    drive.returns("a")
    drive.returns("b")
    assert drive.types() == [APPEND, ITEM, ITEM]
    release(drive)
    assert drive.types() == [COMMIT, CREATE]
    answered(drive, "r2")
    assert drive.types() == []
    assert sorted(token for turn in drive.ended for token in turn.tokens) == ["ask_1", "reply"]


def test_all_that_waits_for_the_key_is_one_create(drive: Drive) -> None:
    calling(drive, "a")
    press(drive, 200)
    drive.returns("a")
    drive.say("typed")
    drive.ask()
    drive.types()
    release(drive)
    assert drive.types() == [COMMIT, CREATE]
    answered(drive, "r2")
    assert drive.types() == []
    assert len(drive.ended) == 4


def test_a_response_that_ends_while_the_key_is_held_lets_nothing_out(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    press(drive, 200)
    drive.ask()
    drive.types()
    drive.done("r1", "cancelled")
    assert drive.types() == []
    release(drive)
    assert drive.types() == [COMMIT, CREATE]


def test_a_retry_waits_for_the_key(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.failed("r1")
    press(drive, 200)
    drive.types()
    drive.fire("retry")
    assert drive.types() == []
    release(drive)
    assert drive.types() == [COMMIT, CREATE]


def test_a_response_beside_the_conversation_does_not_wait_for_the_key(drive: Drive) -> None:
    press(drive, 200)
    drive.ask(ResponseSettings(conversation="none"))
    assert drive.types() == [APPEND, CREATE]


@pytest.mark.parametrize("wire_type", [CLEARED, COMMITTED, STOPPED])
def test_a_late_word_on_the_turn_before_lets_nothing_out_while_the_key_is_held(drive: Drive, wire_type: str) -> None:
    press(drive, 200)
    drive.ask()
    drive.types()
    drive.server(wire_type, item_id="u0")
    assert drive.types() == []
    append(drive, 200)
    release(drive)
    assert drive.types() == [APPEND, COMMIT, CREATE]


def test_a_press_soon_after_a_short_one_holds_everything_back_too(drive: Drive) -> None:
    press(drive, 40)
    release(drive)
    press(drive, 200)
    drive.ask()
    assert drive.types() == [APPEND, CLEAR, APPEND]
    drive.server(CLEARED)
    assert drive.types() == []
    release(drive)
    assert drive.types() == [COMMIT, CREATE]


# Short presses


@pytest.mark.parametrize("ms", [0, 40, 99])
def test_a_short_press_asks_for_nothing_and_lets_out_what_waited(drive: Drive, ms: int) -> None:
    calling(drive, "a")
    press(drive, ms)
    drive.returns("a")
    drive.types()
    release(drive)
    assert drive.types() == ([CLEAR, CREATE] if ms else [CREATE])
    assert drive.notices() == ["input_too_short"]
    answered(drive, "r2")
    assert drive.types() == []


def test_a_short_press_with_nothing_waiting_is_dropped(drive: Drive) -> None:
    press(drive, 40)
    release(drive)
    assert drive.types() == [APPEND, CLEAR]
    drive.ask()
    assert drive.types() == [CREATE]


# The create of a turn and others


def test_a_turn_is_not_answered_by_what_was_asked_for_before_it(drive: Drive) -> None:
    calling(drive, "a")
    drive.returns("a")
    assert drive.types() == [ITEM, CREATE]
    append(drive, 200)
    drive.run(drive.core.taking.commit("reply"))
    assert drive.types() == [APPEND, COMMIT]
    answered(drive, "r2")
    assert drive.types() == [CREATE]
    answered(drive, "r3")
    assert [turn.tokens for turn in drive.ended] == [{"ask_1"}, {"reply"}]


def test_a_create_right_after_the_one_for_outputs_is_the_same(drive: Drive) -> None:
    calling(drive, "a")
    drive.returns("a")
    drive.ask()
    assert drive.types() == [ITEM, CREATE]
    answered(drive, "r2")
    assert drive.types() == []
    assert [turn.tokens for turn in drive.ended] == [{"ask_1"}, {"ask_2"}]


def test_a_create_with_settings_is_not_served_by_the_one_for_outputs(drive: Drive) -> None:
    calling(drive, "a")
    drive.returns("a")
    drive.ask(SPEAK)
    assert drive.types() == [ITEM, CREATE]
    answered(drive, "r2")
    assert drive.types() == [CREATE]


def test_a_create_is_not_served_by_one_that_is_stopped_as_soon_as_it_begins(drive: Drive) -> None:
    calling(drive, "a")
    drive.returns("a")
    drive.run(drive.core.interrupt())
    drive.ask()
    assert drive.types() == [ITEM, CREATE]
    drive.created("r2")
    drive.done("r2", "cancelled")
    assert drive.types() == [CANCEL, CREATE]
    answered(drive, "r3")
    assert [turn.status for turn in drive.ended] == ["cancelled", "completed"]


def test_a_press_between_a_create_and_its_response_loses_neither_turn(drive: Drive) -> None:
    calling(drive, "a")
    drive.returns("a")
    press(drive, 200)
    release(drive)
    drive.server(COMMITTED, item_id="u1")
    assert drive.types() == [ITEM, CREATE, APPEND, COMMIT]
    drive.created("r2")
    drive.done("r2", "cancelled")
    assert drive.types() == [CANCEL, CREATE]
    answered(drive, "r3")
    assert [turn.tokens for turn in drive.ended] == [{"ask_1"}, {"reply"}]


def test_a_release_whose_create_a_layer_drops_lets_out_what_waited(drive: Drive) -> None:
    press(drive, 200)
    drive.ask()
    drive.held = []
    release(drive)
    commit, create = drive.held
    drive.held = None
    drive.send(commit)
    drive.run(drive.core.dropped(create, AgentkitError("dropped")))
    assert drive.types() == [APPEND, COMMIT, CREATE]
