"""The table of server events: what is known, doubled, unknown or broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.events import SERVER_EVENTS, ItemAppended, MalformedEvent, RateLimitsUpdated, UnknownEvent, decode_server
from agentkit.protocol.inbound.table import KINDS

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive


def malformed(reason: str) -> MalformedEvent:
    return MalformedEvent(reason=reason, head="{", size=1)


def test_f37_the_second_of_two_equal_events_is_ignored_and_counted(drive: Drive) -> None:
    drive.created("r1")
    for _ in range(2):
        drive.server("response.output_text.delta", event_id="same", response_id="r1", item_id="i1", delta="ha")
    assert drive.texts() == ["ha"]
    assert drive.suppressed == ["duplicate"]
    assert drive.core.conversation.strays == 1


@pytest.mark.parametrize("event_id", ["", "always_the_same"])
def test_a_server_whose_ids_say_nothing_is_understood(drive: Drive, event_id: str) -> None:
    drive.created("r1", event_id=event_id)
    for delta in ("a", "b"):
        drive.server("response.output_text.delta", event_id=event_id, response_id="r1", item_id="i1", delta=delta)
    assert drive.texts() == ["ab"]


def test_an_event_that_changes_nothing_here_has_no_effects(drive: Drive) -> None:
    assert drive.receive(RateLimitsUpdated(event_id="e")) == []


def test_every_name_of_both_dialects_is_in_the_table_or_passes_through(drive: Drive) -> None:
    for name in SERVER_EVENTS:
        assert isinstance(drive.receive(decode_server(b'{"type": "%b"}' % name.encode())), list)


def test_rb_25_and_f33_an_unknown_event_is_told_once_and_the_next_is_handled(drive: Drive) -> None:
    for _ in range(2):
        drive.receive(UnknownEvent(wire_type="made.up", data={}))
    drive.server("session.updated", session={"type": "realtime", "audio": {"output": {"voice": "human_X"}}})
    drive.server("conversation.item.input_audio_transcription.delta", item_id="u1", delta="hi")
    drive.server("response.output_text.delta", response_id="zz", item_id="zz", delta="hi")
    drive.user_item("i1")
    assert drive.notices() == ["unknown_event"]
    assert drive.suppressed == []
    assert drive.order() == ["i1"]


def test_f34_a_frame_that_is_no_event_is_told_with_its_size_and_beginning(drive: Drive) -> None:
    drive.receive(malformed("truncated"))
    drive.user_item("i1")
    assert drive.notices() == ["malformed_event"]
    assert [type(event) for event in drive.emitted[1:]] == [ItemAppended, drive.emitted[-1].__class__]


def test_kinds_of_odd_events_are_bounded_and_so_is_what_is_said_of_them(drive: Drive) -> None:
    for number in range(3 * KINDS):
        drive.receive(malformed(f"at byte {number}"))
    assert drive.notices() == ["malformed_event"] * (KINDS + 1)
