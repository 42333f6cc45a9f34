"""The arbiter when a session ends: what the server has begun may end, and nothing more is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.events import ResponseCreate, ResponseSettings

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

CREATE, CANCEL, ITEM = "response.create", "response.cancel", "conversation.item.create"
SPEAK = ResponseSettings(instructions="Say this")


def stop_asking(drive: Drive) -> None:
    drive.run(drive.core.responses.stop_asking())


def test_what_the_server_has_begun_goes_on(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    stop_asking(drive)
    assert drive.ended == []
    drive.done("r1")
    assert [turn.status for turn in drive.ended] == ["completed"]
    assert drive.types() == [CREATE]


def test_what_it_was_asked_for_and_has_not_begun_is_stopped_once_it_has(drive: Drive) -> None:
    drive.ask()
    stop_asking(drive)
    drive.created("r1")
    assert drive.types() == [CREATE, CANCEL]
    drive.done("r1", "cancelled")
    assert [turn.status for turn in drive.ended] == ["cancelled"]


def test_what_waits_is_given_up(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    waiting = {drive.ask(SPEAK), drive.ask(), drive.ask(SPEAK)}
    stop_asking(drive)
    assert {token for turn in drive.ended for token in turn.tokens} == waiting
    assert {turn.status for turn in drive.ended} == {"cancelled"}
    drive.done("r1")
    assert drive.types() == [CREATE]
    assert drive.core.quiet


def test_what_waits_for_the_servers_own_response_is_given_up(listening: Drive) -> None:
    listening.server("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
    token = listening.ask()
    stop_asking(listening)
    assert [turn.tokens for turn in listening.ended] == [{token}]
    listening.server("input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=900)
    listening.fire("auto")
    assert CREATE not in listening.types()


def test_a_turn_that_waits_for_an_output_or_a_retry_ends(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("c1")
    drive.done("r1")
    stop_asking(drive)
    assert [turn.status for turn in drive.ended] == ["cancelled"]
    drive.returns("c1")
    assert drive.types() == [CREATE, ITEM]
    drive.ask()
    drive.created("r2")
    drive.failed("r2")
    stop_asking(drive)
    assert [turn.status for turn in drive.ended] == ["cancelled", "cancelled"]


def test_a_proposal_that_is_on_its_way_is_withdrawn_once(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("c1")
    drive.done("r1")
    drive.held = []
    drive.returns("c1")
    drive.run(drive.core.outgoing(drive.held.pop()))
    (create,) = drive.held
    assert isinstance(create, ResponseCreate)
    drive.run(drive.core.responses.withdraw(create))
    drive.run(drive.core.responses.withdraw(create))
    assert [turn.status for turn in drive.ended] == ["cancelled"]


def test_a_proposal_that_is_given_up_needs_no_withdrawing(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.call("c1")
    drive.done("r1")
    drive.held = []
    drive.returns("c1")
    drive.run(drive.core.outgoing(drive.held.pop()))
    stop_asking(drive)
    assert len(drive.ended) == 1
    (create,) = drive.held
    assert isinstance(create, ResponseCreate)
    assert drive.core.responses.withdraw(create) == []


def test_something_else_can_still_be_asked_for(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    stop_asking(drive)
    token = drive.ask(SPEAK)
    assert drive.types() == [CREATE]
    drive.done("r1")
    drive.created("r2")
    drive.done("r2")
    assert drive.types() == [CREATE]
    assert drive.ended[-1].tokens == {token}
