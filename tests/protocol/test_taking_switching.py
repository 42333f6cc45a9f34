"""Switching between push to talk and the server's turn detection in the middle of what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.events import (
    AudioInput,
    AudioSettings,
    InputAudioBufferAppend,
    ResponseSettings,
    Settings,
    TurnDetection,
)
from agentkit.protocol import Limits

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

CREATE, UPDATE = "response.create", "session.update"
APPEND, COMMIT, CLEAR = "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear"
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
COMMITTED = "input_audio_buffer.committed"
VAD: dict[str, object] = {"type": "server_vad"}
FINDS: dict[str, object] = {"type": "server_vad", "create_response": False}
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


def switch(drive: Drive, detection: str | None) -> None:
    """Ask for another mode; the server has not confirmed it yet."""
    turns = TurnDetection(type=detection) if detection is not None else None
    settings = Settings(audio=AudioSettings(input=AudioInput(turn_detection=turns)))
    drive.run(drive.core.update(settings, f"update {detection}"))


def answered(drive: Drive, response_id: str) -> None:
    drive.created(response_id)
    drive.done(response_id)


# From push to talk to the server's turn detection


def test_what_was_said_before_the_switch_becomes_an_item_without_a_response(drive: Drive) -> None:
    press(drive, 200)
    switch(drive, "server_vad")
    assert drive.types() == [APPEND, COMMIT, UPDATE]
    drive.session(VAD, updated=True)
    assert drive.types() == []
    assert drive.core.taking.mode == "server_vad"
    assert not drive.core.taking.held


def test_too_little_to_be_an_item_is_left_to_the_server(drive: Drive) -> None:
    press(drive, 40)
    switch(drive, "server_vad")
    assert drive.types() == [APPEND, UPDATE]


def test_what_was_said_without_the_key_is_left_to_the_server(drive: Drive) -> None:
    append(drive, 200)
    switch(drive, "semantic_vad")
    assert drive.types() == [APPEND, UPDATE]


@pytest.mark.parametrize("settings", [Settings(instructions="x"), Settings(audio=AudioSettings(input=AudioInput()))])
def test_an_update_of_something_else_leaves_the_turn_alone(drive: Drive, settings: Settings) -> None:
    press(drive, 200)
    drive.ask()
    drive.run(drive.core.update(settings, "u"))
    drive.types()
    drive.session(updated=True)
    assert drive.types() == []
    assert drive.core.taking.held
    release(drive)
    assert drive.types() == [COMMIT, CREATE]


def test_what_waited_for_the_key_is_answered_by_the_server_s_response(drive: Drive) -> None:
    press(drive, 200)
    drive.ask()
    switch(drive, "server_vad")
    drive.session(VAD, updated=True)
    drive.types()
    drive.server(STARTED, item_id="u2")
    drive.server(STOPPED, item_id="u2")
    drive.server(COMMITTED, item_id="u2")
    assert drive.types() == []
    answered(drive, "r1")
    assert drive.types() == []
    assert [turn.tokens for turn in drive.ended] == [{"ask_1"}]


def test_what_waited_for_the_key_goes_out_where_the_server_hears_nothing_more(drive: Drive) -> None:
    press(drive, 200)
    drive.ask()
    drive.ask(SPEAK)
    switch(drive, "server_vad")
    drive.session(VAD, updated=True)
    drive.types()
    drive.fire("auto")
    assert drive.types() == [CREATE]
    answered(drive, "r1")
    assert drive.types() == [CREATE]
    answered(drive, "r2")
    assert len(drive.ended) == 2


def test_what_waited_for_the_key_goes_out_where_the_server_only_finds_turns(drive: Drive) -> None:
    press(drive, 200)
    drive.ask()
    drive.types()
    drive.session(FINDS, updated=True)
    assert drive.types() == [CREATE]


def test_a_release_before_the_switch_is_confirmed_is_a_turn_of_its_own(drive: Drive) -> None:
    press(drive, 200)
    switch(drive, "server_vad")
    append(drive, 200)
    release(drive)
    assert drive.types() == [APPEND, COMMIT, UPDATE, APPEND, COMMIT, CREATE]
    drive.session(VAD, updated=True)
    release(drive)
    assert drive.types() == []


def test_a_switch_that_the_server_refuses_leaves_the_key_held(drive: Drive) -> None:
    press(drive, 200)
    switch(drive, "server_vad")
    drive.error("invalid_value", "update server_vad")
    drive.ask()
    append(drive, 200)
    drive.types()
    release(drive)
    assert drive.types() == [COMMIT, CREATE]


# From the server's turn detection to push to talk


def test_what_was_said_of_an_utterance_goes_with_the_next_commit(listening: Drive) -> None:
    append(listening, 200)
    listening.server(STARTED, item_id="u1")
    switch(listening, None)
    listening.session(updated=True)
    assert listening.types() == [APPEND, UPDATE]
    press(listening, 100)
    release(listening)
    assert listening.types() == [APPEND, COMMIT, CREATE]
    assert listening.core.taking.mode == "push_to_talk"


def test_silence_of_which_no_turn_was_made_is_cleared(listening: Drive) -> None:
    append(listening, 200)
    listening.session(updated=True)
    assert listening.types() == [APPEND, CLEAR]
    listening.run(listening.core.taking.commit("reply"))
    assert listening.notices() == ["input_too_short"]


def test_nothing_is_cleared_where_nothing_was_appended(listening: Drive) -> None:
    listening.session(updated=True)
    assert listening.types() == []


def test_an_update_without_a_change_of_mode_clears_nothing(listening: Drive, drive: Drive) -> None:
    for each, detection in ((listening, VAD), (drive, None)):
        append(each, 200)
        each.session(detection, updated=True)
        assert each.types() == [APPEND]


def test_a_create_that_waited_for_speech_does_not_wait_after_the_switch(listening: Drive) -> None:
    listening.server(STARTED, item_id="u1")
    listening.ask()
    assert listening.types() == []
    listening.session(updated=True)
    assert listening.types() == [CREATE]


def test_speech_that_is_told_of_after_the_switch_holds_nothing_up(listening: Drive) -> None:
    listening.session(updated=True)
    listening.server(STARTED, item_id="u1")
    listening.ask()
    assert listening.types() == [CREATE]


def test_speech_that_a_server_tells_of_which_says_nothing_of_turn_detection_counts(new_drive: type[Drive]) -> None:
    for session in ({"type": "realtime"}, {"type": "realtime", "audio": {}}):
        drive = new_drive()
        drive.server("session.created", session=session)
        drive.server(STARTED, item_id="u1")
        drive.ask()
        assert drive.types() == []
        drive.server(STOPPED, item_id="u1")
        assert drive.types() == [CREATE]


def test_there_and_back_in_one_utterance_loses_nothing(new_drive: type[Drive]) -> None:
    drive = new_drive(limits=Limits(keep_input_bytes=1 << 20))
    drive.session(VAD)
    append(drive, 200)
    drive.server(STARTED, item_id="u0", audio_start_ms=0)
    drive.session(updated=True)
    press(drive, 200)
    switch(drive, "server_vad")
    drive.session(VAD, updated=True)
    drive.server(COMMITTED, item_id="u1")
    append(drive, 200)
    drive.server(STARTED, item_id="u2", audio_start_ms=400)
    drive.server(STOPPED, item_id="u2", audio_end_ms=600)
    drive.server(COMMITTED, item_id="u2")
    views = [drive.core.input.view(item_id) for item_id in ("u1", "u2")]
    assert [view.ms for view in views if view is not None] == [400, 200]
    assert drive.types().count(COMMIT) == 1
    assert drive.core.input.pending == 0
