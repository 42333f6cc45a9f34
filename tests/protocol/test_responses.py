"""The arbiter: when ``response.create`` goes out, and what a refusal does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.errors import RemoteProtocolError, ServerError
from agentkit.events import (
    ErrorOccurred,
    ResponseSettings,
)

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

CREATE, CANCEL, ITEM = "response.create", "response.cancel", "conversation.item.create"
BUSY = "conversation_already_has_active_response"
SPEAK = ResponseSettings(instructions="Say this")
BESIDE = ResponseSettings(conversation="none")
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"


# Wanting and getting


def test_a_create_goes_out_at_once_where_nothing_is_active(drive: Drive) -> None:
    drive.ask()
    assert drive.types() == [CREATE]
    assert drive.core.responses.state == "requested"


def test_rb_07_a_typed_text_during_a_response_is_sent_at_once_and_its_create_after_the_response(drive: Drive) -> None:
    drive.created("r1")
    drive.say("x")
    assert drive.types() == [ITEM]
    drive.done("r1")
    assert drive.types() == [CREATE]


def test_f47_a_second_create_waits_until_the_first_is_done(drive: Drive) -> None:
    first = drive.ask()
    second = drive.ask(SPEAK)
    drive.created("r1")
    assert drive.types() == [CREATE]
    drive.done("r1")
    assert drive.types() == [CREATE]
    drive.created("r2")
    drive.done("r2")
    assert [turn.tokens for turn in drive.ended] == [{first}, {second}]


def test_plain_creates_that_wait_are_served_by_one_response(drive: Drive) -> None:
    drive.created("r1")
    tokens = [drive.ask(), drive.ask()]
    drive.done("r1")
    assert drive.types() == [CREATE]
    drive.created("r2")
    drive.done("r2")
    assert [turn.tokens for turn in drive.ended[1:]] == [{token} for token in tokens]


def test_a_create_with_settings_is_never_merged(drive: Drive) -> None:
    drive.created("r1")
    drive.ask(SPEAK)
    drive.ask()
    drive.ask()
    drive.done("r1")
    drive.created("r2")
    drive.done("r2")
    assert drive.types() == [CREATE, CREATE]


def test_the_state_names_where_the_conversation_is(drive: Drive) -> None:
    assert drive.core.responses.state == "idle"
    drive.created("r1")
    assert drive.core.responses.state == "active"
    drive.run(drive.core.cancel())
    assert drive.core.responses.state == "cancelling"


def test_a_response_is_over_only_once(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.created("r1")
    drive.done("r1")
    drive.done("r1")
    assert drive.suppressed == ["duplicate", "duplicate"]
    assert len(drive.ended) == 1


def test_a_response_whose_created_was_lost_is_known_by_its_done(drive: Drive) -> None:
    token = drive.ask()
    drive.done("r1")
    assert [turn.tokens for turn in drive.ended] == [{token}]


def test_a_server_that_gives_responses_no_id_is_understood(drive: Drive) -> None:
    token = drive.ask()
    drive.server("response.created", response={"status": "in_progress"})
    drive.server("response.created", response={"status": "in_progress"})
    drive.server("response.output_text.delta", item_id="i1", delta="hi")
    drive.server("response.done", response={"status": "completed"})
    assert [(turn.tokens, turn.text) for turn in drive.ended] == [({token}, "hi")]
    assert drive.suppressed == ["duplicate"]


def test_a_done_that_names_no_status_is_completed(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.server("response.done", response={"id": "r1"})
    assert drive.ended[0].status == "completed"


def test_finished_responses_are_forgotten_in_time(drive: Drive) -> None:
    for number in range(70):
        drive.created(f"r{number}")
        drive.done(f"r{number}")
    assert drive.core.responses.find("r0") is None
    assert drive.core.responses.find("r69") is not None


# Refusals


def test_f48_a_refused_create_fails_its_turn_at_once_and_the_next_goes_out(drive: Drive) -> None:
    token = drive.ask()
    drive.ask(SPEAK)
    drive.error("invalid_value", token)
    assert [(turn.tokens, str(turn.error)) for turn in drive.ended] == [({token}, "no")]
    assert drive.types() == [CREATE, CREATE]
    assert len(drive.of(ErrorOccurred)) == 1


def test_a_create_refused_as_busy_waits_for_the_response_that_was_in_its_way(drive: Drive) -> None:
    token = drive.ask()
    drive.created("auto")  # the server's own, taken for ours
    drive.error(BUSY, token)
    assert drive.types() == [CREATE]
    drive.done("auto")
    assert [turn.tokens for turn in drive.ended] == [{"auto:auto"}]
    drive.created("r2")
    drive.done("r2")
    assert drive.types() == [CREATE]
    assert [turn.tokens for turn in drive.ended] == [{"auto:auto"}, {token}]
    assert not drive.of(ErrorOccurred)


def test_a_busy_refusal_without_an_id_means_the_create_that_was_sent_last(drive: Drive) -> None:
    drive.ask()
    drive.created("auto")
    drive.error(None, message="Conversation already has an active response")
    drive.done("auto")
    assert drive.types() == [CREATE, CREATE]


def test_a_busy_refusal_where_nothing_was_sent_is_only_an_error(drive: Drive) -> None:
    drive.error(BUSY)
    assert len(drive.of(ErrorOccurred)) == 1


def test_a_refusal_that_comes_after_everything_else_is_only_an_error(drive: Drive) -> None:
    token = drive.ask()
    drive.created("r1")
    drive.done("r1")
    drive.error("invalid_value", token)
    assert len(drive.of(ErrorOccurred)) == 1


def test_a_create_refused_for_a_response_unknown_to_us_is_sent_again_and_not_for_ever(drive: Drive) -> None:
    token = drive.ask()
    for _ in range(4):
        drive.error(BUSY, token)
        assert drive.core.responses.free is False
        drive.fire("busy")
    assert drive.timers.keys() >= {f"requested {token}"}
    assert drive.types() == [CREATE] * 5
    drive.error(BUSY, token)
    assert isinstance(drive.ended[0].error, ServerError)
    assert drive.core.responses.free is True


def test_a_held_off_create_goes_out_as_soon_as_a_response_ends(drive: Drive) -> None:
    drive.ask()
    drive.error(BUSY)
    drive.created("r1")
    drive.done("r1")
    assert drive.types() == [CREATE, CREATE]


def test_an_unanswered_create_fails_its_turn(drive: Drive) -> None:
    drive.ask()
    drive.ask(SPEAK)
    drive.run(drive.core.timer(next(iter(drive.timers))))
    assert isinstance(drive.ended[0].error, RemoteProtocolError)
    assert drive.types() == [CREATE, CREATE]


def test_a_timer_that_is_of_no_interest_any_more_does_nothing(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.done("r1")
    for name in list(drive.timers):
        assert drive.core.timer(name) == []
    assert drive.core.timer("retry gone") == drive.core.timer("what ever") == []


# Beside the conversation


def test_a_response_beside_the_conversation_does_not_wait(drive: Drive) -> None:
    drive.created("r1")
    token = drive.ask(BESIDE)
    drive.created("r2", metadata={"agentkit_id": token})
    drive.server(
        "response.output_item.added", response_id="r2", item={"id": "x", "type": "message", "role": "assistant"}
    )
    drive.text("x", "aside", "r2")
    drive.server("response.output_text.done", response_id="r2", item_id="x", text="aside")
    drive.server("response.content_part.done", response_id="r2", item_id="x", part={"type": "text", "text": "aside"})
    drive.server(
        "response.output_item.done", response_id="r2", item={"id": "x", "type": "message", "role": "assistant"}
    )
    drive.done("r2", metadata={"agentkit_id": token})
    assert drive.types() == [CREATE]
    assert [(turn.tokens, turn.text) for turn in drive.ended] == [({token}, "aside")]
    assert len(drive.output) == 1
    assert drive.order() == []


def test_a_response_beside_keeps_the_applications_metadata(drive: Drive) -> None:
    token = drive.ask(ResponseSettings(conversation="none", metadata={"topic": "x"}))
    assert drive.frames()[0]["response"] == {"conversation": "none", "metadata": {"topic": "x", "agentkit_id": token}}


def test_the_text_of_a_response_beside_is_what_its_done_says(drive: Drive) -> None:
    token = drive.ask(BESIDE)
    drive.created("r1", metadata={"agentkit_id": token})
    message = {"id": "x", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "whole"}]}
    drive.done("r1", metadata={"agentkit_id": token}, output=[message])
    assert drive.ended[0].text == "whole"


def test_a_response_without_metadata_is_not_the_one_beside(drive: Drive) -> None:
    token = drive.ask(BESIDE)
    drive.created("r1")
    drive.created("r2", metadata={"agentkit_id": token})
    drive.done("r2")
    assert [turn.tokens for turn in drive.ended] == [{token}]
    assert not drive.core.responses.beside
    assert list(drive.core.responses.active) == ["r1"]


def test_a_response_beside_that_never_begins_fails_its_turn(drive: Drive) -> None:
    drive.ask(BESIDE)
    drive.created("r1")
    drive.fire("requested")
    assert isinstance(drive.ended[0].error, RemoteProtocolError)


def test_an_ordinary_create_on_its_way_is_served_before_one_beside(drive: Drive) -> None:
    drive.ask(BESIDE)
    token = drive.ask()
    drive.created("r1")
    drive.done("r1")
    assert [turn.tokens for turn in drive.ended] == [{token}]


def test_a_response_with_metadata_of_somebody_elses_is_in_the_conversation(drive: Drive) -> None:
    drive.ask(BESIDE)
    drive.created("r1", metadata={"agentkit_id": "not ours"})
    assert list(drive.core.responses.active) == ["r1"]


def test_a_refused_response_beside_fails_its_turn(drive: Drive) -> None:
    token = drive.ask(BESIDE)
    drive.error("invalid_value", token)
    assert [turn.tokens for turn in drive.ended] == [{token}]


def test_a_failed_response_beside_is_not_tried_again(drive: Drive) -> None:
    token = drive.ask(BESIDE)
    drive.created("r1", metadata={"agentkit_id": token})
    drive.failed("r1")
    assert drive.ended[0].status == "failed"


def test_a_response_beside_is_cancelled_by_its_id_only(drive: Drive) -> None:
    token = drive.ask(BESIDE)
    drive.created("r1", metadata={"agentkit_id": token})
    drive.run(drive.core.cancel())
    assert drive.types() == [CREATE]
    drive.run(drive.core.cancel("r1"))
    assert drive.frames() == [{"type": CANCEL, "response_id": "r1"}]
