"""Whose an error is, and what is no error at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.events import (
    ConversationItemRetrieve,
    ConversationItemTruncate,
    ErrorOccurred,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
)

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive


def occurred(drive: Drive) -> list[tuple[str | None, str | None]]:
    """Return each error's code and the type of the command it names."""
    found = [event for event in drive.emitted if isinstance(event, ErrorOccurred)]
    return [(event.error.code, event.command.wire_type if event.command else None) for event in found]


def test_f48_an_error_names_the_command_that_caused_it(drive: Drive) -> None:
    drive.send(ConversationItemRetrieve(event_id="e1", item_id="x"))
    drive.error("item_retrieve_invalid_item_id", "e1")
    assert occurred(drive) == [("item_retrieve_invalid_item_id", "conversation.item.retrieve")]


@pytest.mark.parametrize("event_id", [None, "unknown"])
def test_f49_an_error_of_nobodys_harms_no_waiter(drive: Drive, event_id: str | None) -> None:
    drive.ask()
    drive.error("server_error", event_id)
    assert occurred(drive) == [("server_error", None)]
    assert not drive.ended
    assert not drive.updates


def test_an_empty_commit_is_no_error_where_the_server_commits(drive: Drive, listening: Drive) -> None:
    drive.error("input_audio_buffer_commit_empty")
    listening.error("input_audio_buffer_commit_empty")
    assert occurred(drive) == [("input_audio_buffer_commit_empty", None)]
    assert occurred(listening) == []
    assert listening.suppressed == ["benign"]


@pytest.mark.parametrize("event_class", [InputAudioBufferCommit, InputAudioBufferClear])
def test_a_refused_commit_is_not_waited_for(drive: Drive, event_class: type[InputAudioBufferCommit]) -> None:
    drive.send(event_class(event_id="e1"))
    drive.error("input_audio_buffer_commit_empty", "e1")
    drive.send(InputAudioBufferAppend(audio=bytes(48)))
    drive.server("input_audio_buffer.committed", item_id="u1")
    assert drive.core.input.pending == 0


@pytest.mark.parametrize(
    "code, message, event_id, shown",
    [
        ("unsupported_content_type", "", "e1", False),
        ("invalid_value", "", "e1", False),
        ("server_error", "", "e1", True),
        ("invalid_value", "Audio content of 500ms is already shorter than 700ms", None, False),
        ("invalid_value", "Only model output audio messages can be truncated", None, False),
        ("invalid_value", "Audio content of 500ms is already shorter than 700ms", "other", True),
        ("invalid_value", "something else", None, True),
    ],
)
def test_f51_a_truncation_that_was_not_needed_is_no_error(
    drive: Drive, code: str, message: str, event_id: str | None, shown: bool
) -> None:
    drive.created("r1")
    drive.audio("i1", 500)
    drive.send(ConversationItemTruncate(event_id="e1", item_id="i1", content_index=0, audio_end_ms=300))
    drive.error(code, event_id, message=message)
    assert bool(occurred(drive)) is shown
