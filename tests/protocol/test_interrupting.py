"""What an interruption leaves: what was not heard never will be, and nothing is told twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.events import (
    AudioInput,
    AudioSettings,
    FlushPlayback,
    Interrupted,
    Notice,
    Settings,
    TurnDetection,
)
from agentkit.protocol import patience

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
CREATE, COMMIT = "response.create", "input_audio_buffer.commit"


def spoken(drive: Drive, *item_ids: str) -> None:
    """A whole response of messages, a second of audio each."""
    drive.created("r1")
    for item_id in item_ids:
        drive.item(item_id)
        drive.audio(item_id, 1000)
    drive.done("r1")


def cuts(drive: Drive) -> list[tuple[str, int]]:
    frames = [frame for frame in drive.frames() if frame["type"] == "conversation.item.truncate"]
    return [(str(frame["item_id"]), int(str(frame["audio_end_ms"]))) for frame in frames]


def test_what_was_flushed_is_not_playing_any_more(listening: Drive) -> None:
    spoken(listening, "i1", "i2")
    listening.server(STARTED)
    listening.server(STOPPED)
    listening.server(STARTED)
    assert len(listening.of(Interrupted)) == 1
    assert len(listening.of(FlushPlayback)) == 1


def test_where_a_flushed_item_was_cut_can_be_told_later_and_interrupts_nothing_more(listening: Drive) -> None:
    spoken(listening, "i1", "i2")
    listening.server(STARTED)
    for _ in range(3):  # as a handler of the interruption does, each time that it is called
        listening.run(listening.core.interrupt(400, item_id="i2"))
    assert cuts(listening) == [("i2", 400)]
    assert len(listening.of(Interrupted)) == 1


def test_an_item_that_waits_behind_the_one_that_is_cut_was_not_heard_where_the_clock_is_moved(drive: Drive) -> None:
    spoken(drive, "i1", "i2")
    drive.core.output.played("i1", 300)
    drive.run(drive.core.interrupt())
    heard = [drive.core.view(state).heard_ms for state in drive.core.conversation]
    assert heard == [300, 0]
    assert cuts(drive) == [("i1", 300)]


def test_the_callers_word_counts_more_than_the_clocks(drive: Drive) -> None:
    spoken(drive, "i1")
    drive.core.output.played("i1", 900)
    drive.run(drive.core.interrupt(500, item_id="i1"))
    assert cuts(drive) == [("i1", 500)]


@pytest.mark.parametrize("named", ["i1", "lost"])
def test_an_item_that_cannot_be_cut_does_not_cut_another(drive: Drive, named: str) -> None:
    spoken(drive, "i1")
    drive.run(drive.core.interrupt(300, item_id="i1"))
    drive.created("r2")
    drive.item("i2", "r2")
    drive.audio("i2", 1000, "r2")
    drive.core.output.played("i2", 400)
    drive.run(drive.core.interrupt(300, item_id=named))
    assert cuts(drive) == [("i1", 300)]


def test_an_item_that_only_deltas_tell_of_is_its_responses(drive: Drive) -> None:
    drive.created("r1")
    drive.server("conversation.item.added", item={"id": "i1", "type": "message", "role": "assistant", "content": []})
    drive.audio("i1", 500)
    drive.run(drive.core.interrupt(5000, item_id="i1"))
    assert cuts(drive) == [("i1", 500)]


# Speech that never ends


def test_speech_whose_end_never_comes_does_not_silence_the_agent_for_ever(listening: Drive) -> None:
    listening.core.input.append(bytes(4800))
    listening.server(STARTED)
    listening.ask()
    assert listening.timers["speech 1"] == patience.SPEECH_SECONDS
    listening.fire("speech")
    assert [notice.code for notice in listening.of(Notice)] == ["speech_unended"]
    listening.fire("auto")
    assert listening.types() == [CREATE]


def test_while_audio_comes_the_user_may_speak_for_as_long_as_he_likes(listening: Drive) -> None:
    listening.core.input.append(bytes(4800))
    listening.server(STARTED)
    listening.ask()
    for _ in range(3):
        listening.core.input.append(bytes(4800))
        listening.fire("speech")
    assert listening.types() == []


def test_where_the_audio_takes_another_way_the_patience_is_longer(listening: Drive) -> None:
    listening.server(STARTED)
    assert listening.timers["speech 1"] == patience.QUIET_SECONDS


def test_the_timer_of_a_speech_that_ended_does_nothing(listening: Drive) -> None:
    listening.server(STARTED)
    listening.server(STOPPED)
    assert listening.fire("speech") == []


# A commit that is refused


def test_what_a_refused_commit_took_goes_with_the_next(drive: Drive) -> None:
    drive.core.input.append(bytes(300 * 48))
    drive.run(drive.core.taking.commit())
    drive.error("server_error", drive.sent[-1].event_id)
    drive.run(drive.core.taking.commit())
    assert drive.types() == [COMMIT, COMMIT]


def test_a_commit_that_the_server_finds_empty_is_not_tried_again(drive: Drive) -> None:
    drive.core.input.append(bytes(300 * 48))
    drive.run(drive.core.taking.commit())
    drive.error("input_audio_buffer_commit_empty", drive.sent[-1].event_id)
    drive.run(drive.core.taking.commit())
    assert drive.types() == [COMMIT]


def test_a_turn_that_was_handed_over_to_a_server_which_refuses_it_is_answered_all_the_same(drive: Drive) -> None:
    drive.run(drive.core.taking.press())
    drive.core.input.append(bytes(300 * 48))
    wanted = Settings(audio=AudioSettings(input=AudioInput(turn_detection=TurnDetection())))
    drive.run(drive.core.update(wanted, "u"))
    drive.error("invalid_value", "u", param="session.audio.input.turn_detection")
    drive.run(drive.core.taking.release("reply"))
    assert drive.types() == [COMMIT, "session.update", CREATE]
