"""The arbiter: responses that fail, are stopped, or go silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.errors import AgentkitError, RemoteProtocolError, ServerError
from agentkit.events import (
    ErrorOccurred,
    Notice,
    ResponseCancel,
    ResponseSettings,
)

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

CREATE, CANCEL, ITEM = "response.create", "response.cancel", "conversation.item.create"
BUSY = "conversation_already_has_active_response"
SPEAK = ResponseSettings(instructions="Say this")
BESIDE = ResponseSettings(conversation="none")
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"


# Failing


def test_rb_15_a_failed_response_is_asked_for_again_twice_and_then_reported(drive: Drive) -> None:
    token = drive.ask()
    for number in range(2):
        drive.created(f"r{number}")
        drive.failed(f"r{number}")
        assert not drive.ended
        drive.fire("retry")
    assert drive.notices() == ["response_retried"] * 2
    drive.created("r9")
    drive.failed("r9")
    assert [(turn.tokens, turn.status) for turn in drive.ended] == [({token}, "failed")]
    assert len(drive.of(ErrorOccurred)) == 1
    assert drive.types() == [CREATE] * 3


def test_rb_15_a_response_that_succeeds_at_the_third_try_ends_its_turn_well(drive: Drive) -> None:
    drive.ask()
    for number in range(2):
        drive.created(f"r{number}")
        drive.item(f"i{number}", f"r{number}")
        drive.text(f"i{number}", "Hel", f"r{number}")
        drive.failed(f"r{number}")
        drive.fire("retry")
    drive.created("r3")
    drive.item("i3", "r3")
    drive.text("i3", "Hello", "r3")
    drive.done("r3")
    assert [(turn.status, turn.text, turn.error) for turn in drive.ended] == [("completed", "Hello", None)]


def test_the_waits_between_tries_grow(drive: Drive) -> None:
    drive.ask(SPEAK)
    drive.created("r1")
    drive.failed("r1")
    assert drive.timers["retry r1"] == 0.5
    drive.fire("retry")
    drive.created("r2")
    drive.failed("r2")
    assert drive.timers["retry r2"] == 1.0
    assert [frame.get("response") for frame in drive.frames()] == [{"instructions": "Say this"}] * 2


def test_rb_49_an_exhausted_quota_is_final(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.failed("r1", "insufficient_quota")
    error = drive.ended[0].error
    assert isinstance(error, ServerError)
    assert not error.retryable
    assert "credit" in (error.hint or "")
    assert not [name for name in drive.timers if name.startswith("retry")]
    assert len(drive.of(ErrorOccurred)) == 1


def test_f43_what_a_failed_response_said_is_kept(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.item("i1")
    drive.text("i1", "Half a")
    drive.failed("r1", "insufficient_quota")
    assert (drive.ended[0].text, drive.ended[0].status) == ("Half a", "failed")


def test_f43_an_incomplete_response_is_reported_with_its_reason(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.done("r1", "incomplete", status_details={"reason": "content_filter"})
    assert drive.ended[0].status == "incomplete"
    drive.created("r2")
    drive.done("r2", "incomplete")
    assert [event.message for event in drive.of(Notice)] == [
        "the response stopped early: content_filter",
        "the response stopped early: the server gives no reason",
    ]


def test_a_failure_without_a_reason_is_tried_again(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.done("r1", "failed")
    assert "retry r1" in drive.timers


def test_a_response_of_the_servers_own_that_fails_is_asked_for_by_us(drive: Drive) -> None:
    drive.created("auto")
    drive.failed("auto")
    drive.fire("retry")
    assert drive.types() == [CREATE]


def test_a_retry_that_waits_is_served_by_a_response_that_comes_first(drive: Drive) -> None:
    token = drive.ask()
    drive.created("r1")
    drive.failed("r1")
    drive.created("r2")
    drive.done("r2")
    assert [turn.tokens for turn in drive.ended] == [{token}]
    assert drive.core.timer("retry r1") == []


def test_a_retry_with_settings_of_its_own_is_not_served_by_another_response(drive: Drive) -> None:
    drive.ask(SPEAK)
    drive.created("r1")
    drive.failed("r1")
    drive.created("r2")
    drive.done("r2")
    drive.fire("retry")
    assert drive.types() == [CREATE, CREATE]


def test_a_create_with_settings_does_not_serve_a_retry(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.failed("r1")
    drive.ask(SPEAK)
    drive.created("r2")
    drive.done("r2")
    assert len(drive.ended) == 1
    drive.fire("retry")
    assert drive.types() == [CREATE] * 3


def test_a_response_that_failed_after_a_call_goes_on_with_its_output_instead(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("a")
    drive.failed("r1")
    assert drive.types() == [CREATE]
    drive.returns("a")
    assert drive.types() == [ITEM, CREATE]


def test_a_turn_that_failed_for_good_does_not_end_again_with_a_late_output(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("a")
    drive.failed("r1", "insufficient_quota")
    drive.returns("a")
    assert len(drive.ended) == 1


def test_nobody_asks_again_for_a_failed_response_that_the_user_has_silenced(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.run(drive.core.interrupt())
    drive.failed("r1")
    assert [turn.status for turn in drive.ended] == ["failed"]


# Stopping


def test_rb_08_a_cancel_when_nothing_is_active_is_not_sent(drive: Drive) -> None:
    drive.created("r1")
    drive.done("r1")
    drive.run(drive.core.cancel())
    drive.send(ResponseCancel())
    drive.send(ResponseCancel(response_id="r1"))
    assert drive.types() == []


def test_rb_08_a_cancel_that_lost_the_race_is_no_error(drive: Drive) -> None:
    drive.created("r1")
    drive.run(drive.core.cancel())
    drive.done("r1")
    drive.error("response_cancel_not_active", drive.sent[-1].event_id)
    assert drive.suppressed == ["benign"]
    assert not drive.of(ErrorOccurred)


def test_f46_a_lost_cancel_is_known_without_an_id_too_and_another_error_is_shown(drive: Drive) -> None:
    drive.error("response_cancel_not_active")
    assert len(drive.of(ErrorOccurred)) == 1
    drive.created("r1")
    drive.run(drive.core.cancel("r1"))
    drive.error("response_cancel_not_active")
    drive.error("invalid_value", drive.sent[-1].event_id)
    assert drive.suppressed == ["benign"]
    assert len(drive.of(ErrorOccurred)) == 2


def test_a_response_is_cancelled_once(drive: Drive) -> None:
    drive.created("r1")
    drive.run(drive.core.cancel())
    drive.run(drive.core.cancel("r1"))
    drive.run(drive.core.cancel("unknown"))
    drive.send(ResponseCancel())
    assert drive.frames() == [{"type": CANCEL, "response_id": "r1"}]


def test_a_cancel_that_a_layer_holds_is_not_asked_for_again(drive: Drive) -> None:
    drive.held = []
    drive.created("r1")
    drive.run(drive.core.cancel())
    drive.run(drive.core.cancel())
    assert len(drive.held) == 1


def test_a_cancel_before_the_response_is_created_stops_it_when_it_is(drive: Drive) -> None:
    drive.ask()
    drive.run(drive.core.cancel())
    assert drive.types() == [CREATE]
    drive.created("r1")
    assert drive.types() == [CANCEL]


def test_a_plain_cancel_frame_before_the_response_is_created_stops_it_when_it_is(drive: Drive) -> None:
    drive.ask()
    drive.send(ResponseCancel())
    drive.created("r1")
    assert drive.types() == [CREATE, CANCEL]


def test_a_cancel_of_a_create_that_was_refused_does_not_touch_the_next(drive: Drive) -> None:
    token = drive.ask()
    drive.run(drive.core.cancel())
    drive.error("invalid_value", token)
    drive.ask()
    drive.created("r1")
    assert drive.types() == [CREATE, CREATE]


def test_a_cancel_of_a_create_that_was_never_answered_does_not_touch_the_next(drive: Drive) -> None:
    drive.ask()
    drive.run(drive.core.cancel())
    drive.fire("requested")
    drive.ask()
    drive.created("r1")
    assert drive.types() == [CREATE, CREATE]


def test_a_cancel_that_a_layer_dropped_leaves_the_response_going_on(drive: Drive) -> None:
    drive.held = []
    drive.created("r1")
    drive.run(drive.core.cancel())
    drive.run(drive.core.dropped(drive.held[0], AgentkitError("dropped")))
    assert drive.core.responses.state == "active"
    drive.run(drive.core.dropped(ResponseCancel(response_id="gone"), AgentkitError("dropped")))
    drive.held = None
    drive.run(drive.core.cancel())
    drive.run(drive.core.dropped(ResponseCancel(), AgentkitError("too late")))
    assert drive.core.responses.state == "cancelling"


def test_f42_a_response_that_goes_silent_is_stopped_and_then_given_up(drive: Drive) -> None:
    drive.ask()
    drive.ask(SPEAK)
    drive.created("r1")
    drive.fire("quiet")
    drive.item("i1")
    drive.fire("quiet")
    assert drive.types() == [CREATE]
    drive.fire("quiet")
    assert drive.types() == [CANCEL]
    assert drive.notices() == ["response_quiet"]
    drive.fire("quiet")
    drive.fire("quiet")
    assert isinstance(drive.ended[0].error, RemoteProtocolError)
    assert drive.notices()[1:] == ["response_stuck"]
    assert drive.types() == [CREATE]


# Interruption of what is still to come


def test_an_interruption_ends_a_turn_that_waits_for_a_retry(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.failed("r1")
    drive.run(drive.core.interrupt())
    assert [turn.status for turn in drive.ended] == ["cancelled"]
    assert drive.core.timer("retry r1") == []


def test_an_interruption_drops_a_create_that_only_a_tool_wanted_and_keeps_the_users(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("a")
    drive.done("r1")
    drive.created("r2")
    drive.returns("a")
    drive.run(drive.core.interrupt())
    drive.done("r2", "cancelled")
    assert drive.types() == [CREATE, ITEM, CANCEL]
    drive.ask()
    assert drive.types() == [CREATE]


def test_an_interruption_keeps_a_create_that_the_user_wants_as_well(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("a")
    drive.done("r1")
    drive.created("r2")
    drive.returns("a")
    drive.say("and?")
    drive.run(drive.core.interrupt())
    drive.done("r2", "cancelled")
    assert drive.types() == [CREATE, ITEM, ITEM, CANCEL, CREATE]


def test_an_interruption_ends_the_turn_of_a_running_tool_at_once(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("a")
    drive.done("r1")
    drive.run(drive.core.interrupt())
    drive.run(drive.core.interrupt())
    assert [turn.status for turn in drive.ended] == ["cancelled"]
    drive.returns("a")
    assert drive.types() == [CREATE, ITEM]
