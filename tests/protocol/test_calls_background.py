"""What follows an output, and calls whose turn goes on without theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.errors import AgentkitError
from agentkit.events import ConversationItemCreate, FunctionCallOutputItem, Notice, ResponseSettings
from agentkit.protocol import Limits

if TYPE_CHECKING:
    from agentkit.protocol.calls import Reply
    from tests.protocol.conftest import Drive

CREATE, CANCEL, ITEM = "response.create", "response.cancel", "conversation.item.create"


def returns(drive: Drive, call_id: str, *, reply: Reply = "wait", invalid: bool = False) -> str:
    """Let a tool return; return what the model is told."""
    before = len(drive.sent)
    drive.run(drive.core.finish_call(call_id, "5", reply=reply, invalid=invalid))
    items = [event.item for event in drive.sent[before:] if isinstance(event, ConversationItemCreate)]
    return next((item.output for item in items if isinstance(item, FunctionCallOutputItem)), "")


def calls(drive: Drive, response_id: str, *call_ids: str, **fields: object) -> None:
    """Make a whole response of calls."""
    drive.created(response_id)
    for call_id in call_ids:
        drive.call(call_id, response_id, **fields)
    drive.done(response_id)


# What follows an output


def test_a_silent_output_goes_out_and_no_response_follows(drive: Drive) -> None:
    token = drive.ask()
    calls(drive, "r1", "a")
    returns(drive, "a", reply="silent")
    assert drive.types() == [CREATE, ITEM]
    assert [turn.tokens for turn in drive.ended] == [{token}]


def test_an_output_that_speaks_does_not_wait_for_the_others_and_the_turn_ends_with_the_last(drive: Drive) -> None:
    drive.ask()
    calls(drive, "r1", "a", "b")
    returns(drive, "a", reply="speak")
    assert drive.types() == [CREATE, ITEM, CREATE]
    drive.created("r2")
    drive.done("r2")
    assert drive.ended == []
    returns(drive, "b")
    assert drive.types() == [ITEM, CREATE]
    drive.created("r3")
    drive.done("r3")
    assert [turn.response_ids for turn in drive.ended] == [["r1", "r2", "r3"]]


def test_a_turn_in_which_the_last_output_is_silent_ends_with_it(drive: Drive) -> None:
    drive.ask()
    calls(drive, "r1", "a", "b")
    returns(drive, "a", reply="speak")
    drive.created("r2")
    drive.done("r2")
    returns(drive, "b", reply="silent")
    assert drive.types() == [CREATE, ITEM, CREATE, ITEM]
    assert len(drive.ended) == 1


def test_outputs_that_speak_one_after_the_other_while_a_response_is_made_share_the_next(drive: Drive) -> None:
    drive.ask()
    calls(drive, "r1", "a", "b", "c", "d")
    returns(drive, "a", reply="speak")
    drive.created("r2")
    returns(drive, "b", reply="speak")
    returns(drive, "c", reply="speak")
    drive.done("r2")
    assert drive.types() == [CREATE, ITEM, CREATE, ITEM, ITEM, CREATE]
    drive.created("r3")
    drive.item("i3", "r3")
    drive.text("i3", "both", "r3")
    drive.done("r3")
    returns(drive, "d", reply="silent")
    assert [(turn.response_ids, turn.text) for turn in drive.ended] == [(["r1", "r2", "r3"], "both")]


def test_a_turn_of_which_the_user_cuts_one_response_short_ends_once(drive: Drive) -> None:
    drive.ask()
    calls(drive, "r1", "a", "b")
    returns(drive, "a", reply="speak")
    drive.created("r2")
    drive.run(drive.core.interrupt())
    drive.done("r2", "cancelled")
    assert [turn.status for turn in drive.ended] == ["cancelled"]
    returns(drive, "b")
    assert len(drive.ended) == 1


def test_a_turn_waits_for_its_outputs_however_many_responses_are_made_meanwhile(drive: Drive) -> None:
    token = drive.ask()
    calls(drive, "r0", "a")
    for number in range(1, 100):
        drive.ask()
        drive.created(f"r{number}")
        drive.done(f"r{number}")
    ended = len(drive.ended)
    returns(drive, "a")
    drive.created("last")
    drive.done("last")
    assert [turn.tokens for turn in drive.ended[ended:]] == [{token}]


def test_as_many_turns_as_there_are_may_wait_for_their_outputs(drive: Drive) -> None:
    numbers = range(70)
    for number in numbers:
        drive.ask(ResponseSettings(instructions="x"))
        calls(drive, f"r{number}", f"c{number}", arguments=f"[{number}]")
    assert drive.ended == []
    for number in numbers:
        returns(drive, f"c{number}", reply="silent")
    assert len(drive.ended) == 70


# In the background


def test_the_turn_of_a_call_in_the_background_ends_without_its_output_which_is_a_turn_of_its_own(drive: Drive) -> None:
    token = drive.ask()
    calls(drive, "r1", "a")
    drive.run(drive.core.detach_call("a"))
    assert [turn.tokens for turn in drive.ended] == [{token}]
    assert drive.core.quiet
    returns(drive, "a")
    assert drive.types() == [CREATE, ITEM, CREATE]
    drive.created("r2")
    drive.done("r2")
    assert [turn.tokens for turn in drive.ended[1:]] == [{"call:a"}]


def test_the_other_calls_of_a_turn_are_waited_for(drive: Drive) -> None:
    drive.ask()
    calls(drive, "r1", "a", "b")
    drive.run(drive.core.detach_call("a"))
    assert drive.ended == []
    returns(drive, "b")
    assert drive.types() == [CREATE, ITEM, CREATE]
    drive.created("r2")
    drive.done("r2")
    assert len(drive.ended) == 1


def test_an_output_that_is_in_before_its_response_is_over_belongs_to_that_turn(drive: Drive) -> None:
    token = drive.ask()
    drive.created("r1")
    drive.call("a")
    drive.run(drive.core.detach_call("a"))
    returns(drive, "a")
    drive.done("r1")
    assert drive.types() == [CREATE, ITEM, CREATE]
    drive.created("r2")
    drive.done("r2")
    assert [turn.tokens for turn in drive.ended] == [{token}]


def test_a_silent_output_of_the_background_is_no_turn(drive: Drive) -> None:
    drive.ask()
    calls(drive, "r1", "a")
    drive.run(drive.core.detach_call("a"))
    returns(drive, "a", reply="silent")
    assert drive.types() == [CREATE, ITEM]
    assert len(drive.began) == len(drive.ended) == 1


def test_a_call_of_which_nobody_said_whose_it_is_may_run_in_the_background(drive: Drive) -> None:
    drive.call("a", None)
    drive.run(drive.core.detach_call("a"))
    returns(drive, "a")
    assert drive.types() == [ITEM, CREATE]


def test_a_call_whose_response_is_known_later_is_not_waited_for(drive: Drive) -> None:
    drive.call("a", "r1")
    drive.run(drive.core.detach_call("a"))
    drive.done("r1")
    assert [turn.tokens for turn in drive.ended] == [{"auto:r1"}]
    returns(drive, "a")
    assert drive.types() == [ITEM, CREATE]


@pytest.mark.parametrize("repeated", ["before", "after"])
def test_a_call_of_the_background_that_is_made_again_is_not_waited_for_either(drive: Drive, repeated: str) -> None:
    calls(drive, "r1", "a")
    if repeated == "after":
        drive.run(drive.core.detach_call("a"))
    calls(drive, "r2", "a", id="other")
    if repeated == "before":
        drive.run(drive.core.detach_call("a"))
    assert [turn.tokens for turn in drive.ended] == [{"auto:r1"}, {"auto:r2"}]
    returns(drive, "a")
    assert len(drive.tools) == 1
    assert drive.types() == [ITEM, CREATE, ITEM]


def test_only_a_call_that_is_known_goes_to_the_background_and_once(drive: Drive) -> None:
    calls(drive, "r1", "a")
    assert drive.core.detach_call("zz") == []
    drive.run(drive.core.detach_call("a"))
    assert drive.core.detach_call("a") == []
    assert len(drive.ended) == 1


def test_an_output_that_a_layer_drops_is_not_spoken_of(drive: Drive) -> None:
    calls(drive, "r1", "a")
    drive.run(drive.core.detach_call("a"))
    drive.held = []
    returns(drive, "a")
    drive.run(drive.core.dropped(drive.held[0], AgentkitError("dropped")))
    assert drive.types() == []
    assert len(drive.began) == 1


# Limits


def test_f77_calls_beyond_the_sessions_budget_are_refused_and_in_the_end_nothing_more_is_asked(
    new_drive: type[Drive],
) -> None:
    drive = new_drive(limits=Limits(tool_calls_per_session=1))
    drive.session()
    asked = []
    for number in range(3):
        drive.ask()
        drive.types()
        calls(drive, f"r{number}", f"c{number}")
        if number == 0:
            returns(drive, "c0")
        asked.append(CREATE in drive.types())
        if asked[-1]:
            drive.created(f"s{number}")
            drive.done(f"s{number}")
    assert len(drive.tools) == 1
    assert drive.notices() == ["tool_call_limit"] * 2
    assert asked == [True, True, False]


def test_f77_a_call_that_is_made_again_and_again_is_refused_and_in_the_end_nothing_more_is_asked(
    new_drive: type[Drive],
) -> None:
    drive = new_drive(limits=Limits(same_calls_per_turn=1))
    drive.session()
    token = drive.ask()
    for number in range(3):
        calls(drive, f"r{number}", f"c{number}")
        if number == 0:
            returns(drive, "c0")
    assert len(drive.tools) == 1
    assert drive.notices() == ["tool_loop"] * 2
    assert drive.types() == [CREATE, ITEM, CREATE, ITEM, CREATE, ITEM]
    assert [turn.tokens for turn in drive.ended] == [{token}]


def test_the_same_call_twice_in_one_response_is_no_circle(new_drive: type[Drive]) -> None:
    drive = new_drive(limits=Limits(same_calls_per_turn=1))
    drive.session()
    calls(drive, "r1", "a", "b")
    assert len(drive.tools) == 2
    assert drive.notices() == []


def test_f68_after_some_calls_with_wrong_arguments_the_model_is_told_to_stop_and_in_the_end_not_asked(
    new_drive: type[Drive],
) -> None:
    drive = new_drive(limits=Limits(invalid_calls_per_turn=2))
    drive.session()
    told = []
    asked = []
    drive.ask()
    for number in range(5):
        calls(drive, f"r{number}", f"c{number}", arguments=f'{{"x": {number}}}')
        drive.types()
        told.append(returns(drive, f"c{number}", invalid=True))
        asked.append(CREATE in drive.types())
    assert told == ["5", *["5; do not try again, answer with what you have"] * 4]
    assert asked == [True, True, True, True, False]
    assert drive.notices() == ["invalid_calls"] * 4
    assert "4 tool calls" in drive.of(Notice)[-2].message


@pytest.mark.parametrize("whose", ["nobody's", "no limit"])
def test_wrong_arguments_are_told_as_they_are_where_no_limit_holds(new_drive: type[Drive], whose: str) -> None:
    drive = new_drive(limits=Limits(invalid_calls_per_turn=None if whose == "no limit" else 1))
    drive.session()
    if whose == "no limit":
        calls(drive, "r1", "a")
    else:
        drive.call("a", None)
    assert returns(drive, "a", invalid=True) == "5"
    assert drive.notices() == []


# Tools that change


def test_no_response_is_asked_for_while_the_tools_change(drive: Drive) -> None:
    drive.core.responses.changes += 1
    drive.ask()
    assert drive.types() == []
    drive.core.responses.changes -= 1
    drive.run(drive.core.responses.release())
    assert drive.types() == [CREATE]
