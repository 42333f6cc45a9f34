"""The content of responses: text, transcripts, arguments, parts and audio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.events import (
    ConversationUpdated,
    FunctionCallItem,
    ItemAppended,
    ItemDelta,
    MessageItem,
    OutputAudio,
    OutputText,
    ResponseSettings,
)

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

BESIDE = ResponseSettings(conversation="none")
AT = {"response_id": "r1", "item_id": "i1"}


def content(drive: Drive) -> list[object]:
    return [part for item in drive.history() if isinstance(item, MessageItem) for part in item.content]


def test_rb_24_both_dialects_give_the_same_conversation(drive: Drive, new_drive: type[Drive]) -> None:
    beta = new_drive()
    beta.session()
    for session, names in ((drive, GA), (beta, BETA)):
        session.ask()
        user = {"id": "u1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
        session.server(names["added"], item=user, previous_item_id=None)
        session.created("r1")
        item = {"id": "i1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        session.server("response.output_item.added", response_id="r1", item=item)
        session.server(names["added"], item=item, previous_item_id="u1")
        session.server("response.content_part.added", **AT, part={"type": "audio", "transcript": ""})
        session.server(names["audio"], **AT, delta="AAAA")
        session.server(names["transcript"], **AT, delta="hel")
        session.server(names["transcript"], **AT, delta="lo")
        session.server(names["audio"].replace("delta", "done"), **AT)
        session.server(names["transcript"].replace("delta", "done"), **AT, transcript="hello")
        session.server(names["text"], **AT, content_index=1, delta="text")
        session.server(names["text"].replace("delta", "done"), **AT, content_index=1, text="text")
        parts = [{"type": names["part"], "transcript": "hello"}, {"type": names["text part"], "text": "text"}]
        done = item | {"status": "completed", "content": parts}
        session.server("response.output_item.done", response_id="r1", item=done)
        if session is drive:
            session.server("conversation.item.done", item=user | {"status": "completed"})
            session.server("conversation.item.done", item=done)
        session.done("r1", output=[done])
    assert drive.history() == beta.history()
    assert drive.emitted == beta.emitted
    assert drive.core.output.read("i1") == beta.core.output.read("i1")
    assert [turn.text for turn in drive.ended] == [turn.text for turn in beta.ended] == ["hellotext"]
    assert drive.core.conversation.strays == beta.core.conversation.strays == 0


GA = {
    "added": "conversation.item.added",
    "audio": "response.output_audio.delta",
    "transcript": "response.output_audio_transcript.delta",
    "text": "response.output_text.delta",
    "part": "output_audio",
    "text part": "output_text",
}
BETA = {
    "added": "conversation.item.created",
    "audio": "response.audio.delta",
    "transcript": "response.audio_transcript.delta",
    "text": "response.text.delta",
    "part": "audio",
    "text part": "text",
}


# Text


def test_a_delta_of_an_item_that_nobody_announced_makes_it_where_its_response_is_known(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.text("i1", "hi")
    assert len(drive.of(ItemAppended)) == 1
    drive.text("i1", "")
    drive.done("r1")
    assert drive.history() == [
        MessageItem(id="i1", role="assistant", status="completed", content=(OutputText(text="hi"),))
    ]
    assert len(drive.of(ItemAppended)) == 1
    assert drive.ended[0].text == "hi"


def test_f40_a_delta_of_an_unknown_response_makes_no_ghost(drive: Drive) -> None:
    drive.text("i1", "hi", "zz")
    drive.audio("i1", 20, "zz")
    drive.created("r1")
    drive.done("r1")
    drive.text("i2", "late")
    assert drive.order() == []
    assert drive.core.conversation.strays == 3
    assert drive.suppressed == ["late"]


def test_f39_a_delta_after_its_done_is_ignored_and_counted(drive: Drive) -> None:
    drive.created("r1")
    drive.text("i1", "hel")
    drive.server("response.output_text.done", **AT, text="hello")
    drive.text("i1", "lo")
    assert drive.texts() == ["hello"]
    assert drive.suppressed == ["late"]


def test_f41_deltas_of_a_deleted_item_are_dropped(drive: Drive) -> None:
    drive.created("r1")
    drive.item("i1")
    drive.server("conversation.item.deleted", item_id="i1")
    drive.text("i1", "x")
    drive.audio("i1", 20)
    drive.server("response.output_text.done", **AT, text="x")
    drive.server("response.content_part.added", **AT, part={"type": "text", "text": ""})
    assert drive.order() == []
    assert drive.suppressed == ["late", "late"]


def test_a_whole_text_of_an_item_of_which_everything_was_lost_is_kept(drive: Drive) -> None:
    drive.created("r1")
    drive.server("response.output_text.done", **AT, text="hello")
    drive.server("response.output_text.done", response_id="zz", item_id="i2", text="hello")
    assert drive.texts() == ["hello"]


def test_the_whole_text_counts_more_than_its_deltas(drive: Drive) -> None:
    drive.created("r1")
    drive.text("i1", "hlo")
    drive.server("response.output_text.done", **AT, text="hello")
    drive.server("response.output_audio_transcript.done", **AT, content_index=1, transcript="!")
    assert drive.texts() == ["hello!"]


def test_a_transcript_is_the_transcript_of_audio(drive: Drive) -> None:
    drive.created("r1")
    drive.server("response.output_audio_transcript.delta", **AT, delta="hi")
    assert content(drive) == [OutputAudio(transcript="hi")]


def test_a_part_whose_index_no_item_has_is_survived(drive: Drive) -> None:
    drive.created("r1")
    for index in (-1, 10**15):
        drive.server("response.output_text.delta", **AT, content_index=index, delta="x")
        drive.server("response.content_part.done", **AT, content_index=index, part={"type": "text", "text": "x"})
        drive.server("response.output_audio.delta", **AT, content_index=index, delta="AAAA")
    assert drive.texts() == [""]


# Arguments


def test_arguments_that_come_before_their_item_are_its(drive: Drive) -> None:
    drive.created("r1")
    drive.server("response.function_call_arguments.delta", **AT, call_id="c", delta='{"x"')
    drive.server("response.function_call_arguments.done", **AT, call_id="c", arguments='{"x": 1}', name="tool")
    assert drive.history() == [
        FunctionCallItem(id="i1", name="tool", call_id="c", arguments='{"x": 1}', status="in_progress")
    ]
    drive.server(
        "response.output_item.added", response_id="r1", item={"id": "i1", "type": "function_call", "name": "tool"}
    )
    assert drive.tools == []


def test_arguments_for_what_is_a_message_change_nothing_of_its_kind(drive: Drive) -> None:
    drive.created("r1")
    drive.item("i1")
    drive.server("response.function_call_arguments.done", **AT, arguments="{}")
    drive.server("response.function_call_arguments.done", response_id="zz", item_id="zz", arguments="{}")
    assert isinstance(drive.history()[0], MessageItem)
    assert drive.order() == ["i1"]


# Parts


def test_a_part_comes_and_is_done(drive: Drive) -> None:
    drive.created("r1")
    drive.server("response.content_part.added", **AT, part={"type": "audio", "transcript": ""})
    drive.server("response.content_part.done", **AT, part={"type": "audio", "transcript": "hello"})
    assert content(drive) == [OutputAudio(transcript="hello")]


def test_a_part_of_nothing_we_know_is_a_stray(drive: Drive) -> None:
    drive.server("response.content_part.added", **AT, part={"type": "text", "text": ""})
    drive.created("r1")
    drive.server("response.function_call_arguments.delta", response_id="r1", item_id="call", delta="{")
    drive.server("response.content_part.added", response_id="r1", item_id="call", part={"type": "text", "text": "x"})
    assert drive.core.conversation.strays == 2
    assert drive.texts() == ["{"]


# Audio


def test_audio_is_kept_and_read_in_order(drive: Drive) -> None:
    drive.created("r1")
    drive.item("i1")
    drive.audio("i1", 100)
    drive.audio("i1", 20)
    assert drive.core.output.received_ms("i1") == 120
    assert content(drive) == [OutputAudio()]


def test_an_item_that_begins_with_its_audio_is_told_as_appended(drive: Drive) -> None:
    drive.created("r1")
    drive.audio("i1", 20)
    assert len(drive.of(ItemAppended)) == 1


def test_rb_20_audio_of_g711_is_counted_by_its_own_rate(drive: Drive) -> None:
    drive.session(updated=True, format={"type": "audio/pcmu"})
    drive.created("r1")
    drive.server("response.output_audio.delta", **AT, delta="AAAA" * 53 + "AA==")
    assert drive.core.output.received_ms("i1") == 20


def test_f53_bad_base64_is_left_out_and_told_once(drive: Drive) -> None:
    drive.created("r1")
    for delta in ("AAA*", "A", "AAAA"):
        drive.server("response.output_audio.delta", **AT, delta=delta)
    assert len(drive.core.output.read("i1")) == 2
    assert drive.notices() == ["bad_audio"]
    assert drive.core.conversation.strays == 2


def test_f39_audio_after_its_done_is_ignored(drive: Drive) -> None:
    drive.created("r1")
    drive.audio("i1", 20)
    drive.server("response.output_audio.done", **AT)
    drive.audio("i1", 20)
    assert drive.core.output.received_ms("i1") == 20
    assert drive.suppressed == ["late"]


def test_f39_audio_after_its_item_is_done_is_ignored(drive: Drive) -> None:
    drive.created("r1")
    drive.audio("i1", 20)
    item = {"id": "i1", "type": "message", "role": "assistant", "status": "completed"}
    drive.server("response.output_item.done", response_id="r1", item=item)
    drive.audio("i1", 20)
    assert drive.suppressed == ["late"]


def test_audio_of_a_response_beside_is_handed_on_and_not_mirrored(drive: Drive) -> None:
    token = drive.ask(BESIDE)
    drive.created("r1", metadata={"agentkit_id": token})
    drive.audio("i1", 20)
    drive.audio("i1", 20)
    assert drive.suppressed == []
    assert drive.order() == []
    assert len(drive.output) == 1
    assert drive.core.settings.voice_fixed


def test_text_of_another_part_of_a_response_beside_is_not_its_text(drive: Drive) -> None:
    token = drive.ask(BESIDE)
    drive.created("r1", metadata={"agentkit_id": token})
    drive.text("i1", "a")
    drive.server("response.output_text.delta", **AT, content_index=1, delta="b")
    drive.done("r1")
    assert drive.ended[0].text == "a"


# What the application is told


def test_the_first_output_of_a_turn_is_told_once(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.text("i1", "a")
    drive.text("i1", "b")
    drive.done("r1")
    assert len(drive.output) == 1


def test_the_first_audio_of_a_turn_is_told_once(drive: Drive) -> None:
    drive.ask()
    drive.created("r1")
    drive.audio("i1", 20)
    assert len(drive.output) == 1
    effects = drive.audio("i1", 20)
    assert effects == []


@pytest.mark.parametrize("kind", ["audio", "text"])
def test_a_response_that_sends_anything_is_not_silent(drive: Drive, kind: str) -> None:
    drive.created("r1")
    drive.item("i1")
    for _ in range(3):
        drive.audio("i1", 20) if kind == "audio" else drive.text("i1", "a")
        drive.fire("quiet")
    assert drive.notices() == []


def test_a_turn_that_joins_later_is_told_of_its_first_output_as_well(listening: Drive) -> None:
    listening.created("r1")
    listening.text("i1", "a")
    listening.ask()
    listening.text("i1", "b")
    assert len(listening.output) == 2


def test_deltas_without_a_response_id_belong_to_the_only_one(drive: Drive) -> None:
    drive.created("r1")
    drive.server("response.output_audio.delta", item_id="i1", delta="AAAA")
    assert drive.core.output.received_ms("i1") == 0
    assert len(drive.core.output.read("i1")) == 2


def test_audio_and_text_of_a_known_item_of_an_unknown_response_are_taken(drive: Drive) -> None:
    drive.item("i1", "zz")
    drive.audio("i1", 20, "zz")
    drive.text("i1", "a", "zz")
    assert drive.core.output.received_ms("i1") == 20
    assert drive.texts() == ["a"]


@pytest.mark.parametrize(
    "name, delta",
    [
        ("response.output_text.delta", ItemDelta(text="a")),
        ("response.output_audio_transcript.delta", ItemDelta(transcript="a")),
        ("response.function_call_arguments.delta", ItemDelta(arguments="a")),
    ],
)
def test_who_listens_is_told_of_every_delta(drive: Drive, name: str, delta: ItemDelta) -> None:
    drive.core.updates_wanted = True
    drive.created("r1")
    drive.server(name, **AT, delta="a")
    assert [(event.item.id, event.delta) for event in drive.of(ConversationUpdated)] == [("i1", delta)]


def test_who_listens_is_told_of_audio_and_of_changes_as_a_whole(drive: Drive) -> None:
    drive.core.updates_wanted = True
    drive.created("r1")
    drive.server("response.output_audio.delta", **AT, delta="AAAA")
    drive.server("response.output_audio_transcript.done", **AT, transcript="a")
    drive.server("conversation.item.deleted", item_id="i1")
    updates = [(event.item.id, event.delta, event.deleted) for event in drive.of(ConversationUpdated)]
    assert updates == [("i1", ItemDelta(audio=bytes(2)), False), ("i1", None, False), ("i1", None, True)]
