"""Events about items, transcripts and the input buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.events import ConversationUpdated, FlushPlayback, InputAudio, ItemAppended, ItemCompleted, MessageItem

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

TRANSCRIPT = "conversation.item.input_audio_transcription.completed"
TRANSCRIPT_DELTA = "conversation.item.input_audio_transcription.delta"
MESSAGE = {"id": "i1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}


def test_an_item_is_told_as_appended_and_as_completed_once(drive: Drive) -> None:
    drive.server("conversation.item.added", item=MESSAGE | {"status": "in_progress", "content": []})
    for _ in range(2):
        drive.server("conversation.item.done", item=MESSAGE | {"status": "completed"})
    assert [type(event) for event in drive.emitted] == [ItemAppended, ItemCompleted]


def test_where_nobody_listens_nothing_is_told(drive: Drive) -> None:
    drive.core.items_wanted = False
    drive.server("conversation.item.done", item=MESSAGE | {"status": "completed"})
    assert drive.emitted == []
    assert drive.texts() == ["hi"]


def test_rb_02_a_done_for_an_unknown_item_brings_the_item(drive: Drive) -> None:
    drive.server("response.output_item.done", response_id="zz", item=MESSAGE | {"status": "completed"})
    drive.user_item("u1")
    assert drive.order() == ["i1", "u1"]
    assert drive.texts() == ["hi", "hi"]


def test_an_item_without_an_id_is_a_stray_wherever_it_comes(drive: Drive) -> None:
    item = {"type": "message", "role": "assistant"}
    drive.server("conversation.item.added", item=item)
    drive.server("conversation.item.done", item=item)
    drive.server("response.output_item.added", response_id="r1", item=item)
    drive.server("response.output_item.done", response_id="r1", item=item)
    assert drive.core.conversation.strays == 4
    assert drive.emitted == []


@pytest.mark.parametrize(
    "item, status",
    [
        ({"type": "message", "role": "user"}, "completed"),
        ({"type": "message", "role": "assistant"}, None),
        ({"type": "function_call_output", "call_id": "c", "output": "5"}, "completed"),
        ({"type": "function_call", "call_id": "c", "name": "tool"}, None),
    ],
)
def test_what_a_client_made_is_whole_as_it_is_added(drive: Drive, item: dict[str, object], status: str | None) -> None:
    drive.server("conversation.item.created", item=item | {"id": "i1"})
    assert [item.status for item in drive.history()] == [status]


def test_an_item_that_is_retrieved_has_its_audio(drive: Drive) -> None:
    drive.user_item("u1")
    content = [{"type": "input_audio", "audio": "AAAA", "transcript": "hi"}]
    drive.server(
        "conversation.item.retrieved", item={"id": "u2", "type": "message", "role": "user", "content": content}
    )
    assert drive.history()[1] == MessageItem(id="u2", role="user", content=(InputAudio(audio="AAAA", transcript="hi"),))


def test_a_truncated_item_knows_where_it_was_cut(drive: Drive) -> None:
    drive.created("r1")
    drive.audio("i1", 500)
    drive.server("conversation.item.truncated", item_id="i1", content_index=0, audio_end_ms=300)
    drive.server("conversation.item.truncated", item_id="zz", content_index=0, audio_end_ms=300)
    state = drive.core.conversation.get("i1")
    assert state is not None
    assert state.audio_end_ms == 300
    drive.core.output.played("i1", 400)
    assert drive.core.output.heard_ms("i1") == 0
    assert drive.core.conversation.strays == 1


def test_f41_a_deleted_item_stops_playing(drive: Drive) -> None:
    drive.created("r1")
    drive.audio("i1", 500)
    drive.server("conversation.item.deleted", item_id="i1")
    drive.server("conversation.item.deleted", item_id="zz")
    assert drive.of(FlushPlayback) == [FlushPlayback(item_id="i1")]
    assert drive.order() == []


# Transcripts


def test_rb_04_a_transcript_before_or_without_its_item_is_one_item_with_it(drive: Drive) -> None:
    drive.server(TRANSCRIPT, item_id="u1", content_index=0, transcript="hi")
    assert drive.texts() == ["hi"]
    audio = [{"type": "input_audio", "transcript": None}]
    item = {"id": "u1", "type": "message", "role": "user", "status": "completed", "content": audio}
    drive.server("conversation.item.created", item=item, previous_item_id=None)
    assert drive.texts() == ["hi"]
    assert len(drive.of(ItemAppended)) == 1


def test_f38_deltas_of_a_transcript_wait_for_their_item(drive: Drive) -> None:
    drive.server(TRANSCRIPT_DELTA, item_id="u1", delta="h")
    drive.server(TRANSCRIPT_DELTA, item_id="u1", delta="")
    drive.server("input_audio_buffer.committed", item_id="u1")
    drive.server(TRANSCRIPT_DELTA, item_id="u1", delta="i")
    assert drive.texts() == ["hi"]


def test_a_transcript_of_a_deleted_item_is_late(drive: Drive) -> None:
    drive.server("conversation.item.deleted", item_id="u1")
    drive.server(TRANSCRIPT, item_id="u1", transcript="hi")
    assert drive.suppressed == ["late"]


def test_who_listens_is_told_of_transcripts(drive: Drive) -> None:
    drive.core.updates_wanted = True
    drive.server(TRANSCRIPT, item_id="u1", transcript="hi")
    update = drive.of(ConversationUpdated)[0]
    assert isinstance(update, ConversationUpdated)
    assert update.delta is not None
    assert update.delta.transcript == "hi"


def test_a_transcript_is_its_parts(drive: Drive) -> None:
    drive.server(TRANSCRIPT, item_id="u1", content_index=None, transcript="first ")
    drive.server(TRANSCRIPT, item_id="u1", content_index=1, transcript="second")
    drive.server(TRANSCRIPT_DELTA, item_id="u1", content_index=2, delta="!")
    assert drive.texts() == ["first second!"]


# The input buffer


def test_a_commit_makes_the_users_item(drive: Drive) -> None:
    drive.server("input_audio_buffer.committed", item_id="u1", previous_item_id=None)
    assert drive.history() == [MessageItem(id="u1", role="user", content=(InputAudio(),))]
    assert len(drive.of(ItemAppended)) == 1


def test_a_commit_of_a_deleted_item_makes_no_ghost(drive: Drive) -> None:
    drive.server("conversation.item.deleted", item_id="u1")
    drive.server("input_audio_buffer.committed", item_id="u1")
    assert drive.history() == []
