"""The arbiter under the server's own turn detection, and behind layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.errors import AgentkitError
from agentkit.events import (
    ConversationItemCreate,
    InputText,
    MessageItem,
    ResponseCreate,
    ResponseSettings,
)

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

CREATE, CANCEL, ITEM = "response.create", "response.cancel", "conversation.item.create"
BUSY = "conversation_already_has_active_response"
SPEAK = ResponseSettings(instructions="Say this")
BESIDE = ResponseSettings(conversation="none")
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"


# The server's own turn detection


def test_rb_67_no_create_where_the_server_makes_the_response(listening: Drive) -> None:
    listening.server(STARTED, item_id="u1")
    listening.server(STOPPED, item_id="u1")
    listening.server("input_audio_buffer.committed", item_id="u1")
    listening.created("r1")
    token = listening.ask()
    listening.done("r1")
    assert listening.types() == []
    assert [turn.tokens for turn in listening.ended] == [{"auto:r1"}, {token}]


def test_a_create_while_the_user_speaks_is_served_by_the_servers_response(listening: Drive) -> None:
    listening.server(STARTED)
    token = listening.ask()
    listening.server(STOPPED)
    other = listening.ask()
    listening.created("r1")
    listening.done("r1")
    assert listening.types() == []
    assert [turn.tokens for turn in listening.ended] == [{token}, {other}]


def test_a_text_typed_during_the_servers_response_gets_a_response_of_its_own(listening: Drive) -> None:
    listening.created("r1")
    listening.say("and this?")
    assert listening.types() == [ITEM]
    listening.done("r1")
    assert listening.types() == [CREATE]


def test_a_text_typed_while_the_user_speaks_is_seen_by_the_servers_response(listening: Drive) -> None:
    listening.server(STARTED)
    listening.say("and this?")
    listening.server(STOPPED)
    listening.created("r1")
    listening.done("r1")
    assert listening.types() == [ITEM]


def test_a_text_typed_when_the_servers_response_may_be_made_already_gets_one_of_its_own(listening: Drive) -> None:
    listening.server(STARTED)
    listening.server(STOPPED)
    token = listening.say("and this?")
    listening.created("r1")
    other = listening.ask()
    listening.done("r1")
    assert listening.types() == [ITEM, CREATE]
    listening.created("r2")
    listening.done("r2")
    assert [turn.tokens for turn in listening.ended] == [{"auto:r1"}, {token}, {other}]


def test_a_create_is_not_served_by_a_response_that_is_being_stopped(listening: Drive) -> None:
    listening.created("r1")
    listening.run(listening.core.cancel())
    listening.ask()
    listening.done("r1", "cancelled")
    assert listening.types() == [CANCEL, CREATE]


def test_where_the_server_makes_no_response_after_all_ours_goes_out(listening: Drive) -> None:
    listening.server(STARTED)
    listening.ask()
    listening.server(STOPPED)
    assert listening.types() == []
    listening.fire("auto")
    assert listening.types() == [CREATE]


def test_a_timer_for_an_earlier_turn_does_not_count_while_the_user_speaks_again(listening: Drive) -> None:
    listening.server(STARTED)
    listening.ask()
    listening.server(STOPPED)
    listening.server(STARTED)
    listening.run(listening.core.timer("auto 1"))
    assert listening.types() == []
    listening.server(STOPPED)
    listening.run(listening.core.timer("auto 1"))
    assert listening.types() == []
    listening.run(listening.core.timer("auto 2"))
    assert listening.types() == [CREATE]


def test_a_create_with_settings_waits_for_the_servers_response(listening: Drive) -> None:
    listening.server(STARTED)
    listening.ask(SPEAK)
    listening.server(STOPPED)
    listening.created("r1")
    assert listening.types() == []
    listening.done("r1")
    assert listening.types() == [CREATE]


def test_a_server_that_only_finds_turns_leaves_the_create_to_us(drive: Drive) -> None:
    drive.session({"type": "server_vad", "create_response": False}, updated=True)
    drive.server(STARTED)
    drive.ask()
    assert drive.types() == []
    drive.server(STOPPED)
    assert drive.types() == [CREATE]


def test_turn_detection_that_is_switched_off_meanwhile_holds_nothing_up(listening: Drive) -> None:
    listening.server(STARTED)
    listening.ask()
    listening.session(updated=True)
    assert listening.types() == [CREATE]


def test_turn_detection_that_no_longer_makes_responses_holds_nothing_up(listening: Drive) -> None:
    listening.server(STARTED)
    listening.ask()
    listening.session({"type": "server_vad", "create_response": False}, updated=True)
    listening.server(STOPPED)
    assert listening.types() == [CREATE]


def test_turn_detection_that_stops_making_responses_in_an_utterance_leaves_the_create_to_us(listening: Drive) -> None:
    listening.server(STARTED)
    listening.server(STOPPED)
    listening.server(STARTED)
    listening.ask()
    listening.fire("auto")
    listening.session({"type": "server_vad", "create_response": False}, updated=True)
    assert listening.types() == []
    listening.server(STOPPED)
    assert listening.types() == [CREATE]


def test_a_commit_ends_the_users_turn_where_the_stop_was_lost(listening: Drive) -> None:
    listening.server(STARTED, item_id="u1")
    listening.server("input_audio_buffer.committed", item_id="u1")
    assert listening.core.responses.user_speaking is False
    listening.server(STOPPED, item_id="u1")
    assert "auto 1" in listening.timers
    listening.created("r1")
    listening.server(STOPPED, item_id="u1")
    assert listening.core.responses.auto_expected is False


def test_a_stop_whose_start_was_lost_counts(listening: Drive) -> None:
    listening.server(STOPPED)
    assert listening.core.responses.auto_expected is True


def test_a_buffer_that_was_cleared_ends_the_users_turn_without_an_answer(listening: Drive) -> None:
    listening.server("input_audio_buffer.cleared")
    listening.server(STARTED)
    listening.ask()
    listening.server("input_audio_buffer.cleared")
    assert listening.types() == [CREATE]


def test_an_answer_that_did_not_come_before_the_user_spoke_again_is_not_awaited_for_ever(listening: Drive) -> None:
    listening.server(STARTED)
    listening.server(STOPPED)
    listening.server(STARTED)
    listening.fire("auto")
    listening.ask()
    assert listening.types() == []
    listening.server("input_audio_buffer.cleared")
    assert listening.types() == [CREATE]


def test_an_idle_timeout_lets_us_expect_a_response(listening: Drive, drive: Drive) -> None:
    timeout = {"audio_start_ms": 0, "audio_end_ms": 5000, "item_id": "u1"}
    listening.server("input_audio_buffer.timeout_triggered", **timeout)
    drive.server("input_audio_buffer.timeout_triggered", **timeout)
    assert listening.core.responses.auto_expected is True
    assert drive.core.responses.auto_expected is False


def test_a_create_answered_by_the_wrong_response_is_made_up_for(listening: Drive) -> None:
    token = listening.ask()
    listening.server(STARTED)
    listening.server(STOPPED)
    waiting = listening.ask()
    listening.created("r1")
    listening.fire("auto")
    listening.done("r1")
    listening.created("r2")
    listening.done("r2")
    assert [turn.tokens for turn in listening.ended] == [{token}, {waiting}]


# Layers


def test_a_create_that_a_layer_dropped_fails_who_waits_for_it(drive: Drive) -> None:
    drive.held = []
    token = drive.ask()
    error = AgentkitError("dropped by Layer")
    drive.run(drive.core.dropped(drive.held[0], error))
    assert [(turn.tokens, turn.error) for turn in drive.ended] == [({token}, error)]
    drive.run(drive.core.dropped(ResponseCreate(), error))
    assert len(drive.ended) == 1


def test_a_create_that_could_not_be_written_frees_the_conversation(drive: Drive) -> None:
    drive.ask()
    drive.ask(SPEAK)
    drive.run(drive.core.dropped(drive.sent[0], AgentkitError("cannot be encoded")))
    assert drive.types() == [CREATE, CREATE]
    assert len(drive.ended) == 1


def test_a_create_beside_that_could_not_be_written_fails_its_turn(drive: Drive) -> None:
    token = drive.ask(BESIDE)
    drive.run(drive.core.dropped(ResponseCreate(event_id=token), AgentkitError("no")))
    assert [turn.tokens for turn in drive.ended] == [{token}]


def test_a_dropped_create_for_outputs_ends_the_turn_that_needed_it(drive: Drive) -> None:
    token = drive.ask()
    drive.created("r1")
    drive.call("a")
    drive.returns("a")
    drive.held = []
    drive.done("r1")
    drive.run(drive.core.dropped(drive.held[0], AgentkitError("dropped")))
    assert [turn.tokens for turn in drive.ended] == [{token}]


def test_an_event_nobody_waits_for_may_be_dropped(drive: Drive) -> None:
    event = ConversationItemCreate(item=MessageItem(role="user", content=(InputText(text="x"),)))
    assert drive.core.dropped(event, AgentkitError("dropped")) == []
