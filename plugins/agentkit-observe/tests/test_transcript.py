"""The transcript: what is in it, in which words, and when the file is whole."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from agentkit_observe.configs import TranscriptConfig
from agentkit_observe.transcript import EVERY, Transcript
from msgspec.structs import replace
from trio.testing import MockClock

from agentkit import Middleware, Next, on, tool
from agentkit.events import (
    ConversationItemInputAudioTranscriptionCompleted,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
)

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Open

pytestmark = pytest.mark.anyio
in_virtual_time = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["virtual"]
)


def transcript(folder: Path, name: str = "t.txt", *, tools: bool = False) -> Transcript:
    return Transcript(TranscriptConfig(path=str(folder / name), tools=tools))


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "t.jsonl").read_text().splitlines()]


class Whisper(Middleware):
    """Makes small letters of what the agent says while it says it."""

    @on(ResponseOutputAudioTranscriptDelta)
    async def small(
        self, event: ResponseOutputAudioTranscriptDelta, call_next: Next[ResponseOutputAudioTranscriptDelta]
    ) -> None:
        await call_next(replace(event, delta=event.delta.lower()))


class Silence(Middleware):
    """Lets no words through, of either side."""

    @on(ResponseOutputAudioTranscriptDelta)
    async def no_delta(
        self, event: ResponseOutputAudioTranscriptDelta, call_next: Next[ResponseOutputAudioTranscriptDelta]
    ) -> None:
        """Drop it."""

    @on(ResponseOutputAudioTranscriptDone)
    async def no_end(
        self, event: ResponseOutputAudioTranscriptDone, call_next: Next[ResponseOutputAudioTranscriptDone]
    ) -> None:
        """Drop it."""

    @on(ConversationItemInputAudioTranscriptionCompleted)
    async def no_user(
        self,
        event: ConversationItemInputAudioTranscriptionCompleted,
        call_next: Next[ConversationItemInputAudioTranscriptionCompleted],
    ) -> None:
        """Drop it."""


@tool
async def lookup(word: str) -> str:
    """Look a word up."""
    return f"{word}: found"


async def test_both_sides_are_in_it_in_order(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path)) as it:
        await it.server.types("u1", "hello")
        await it.server.begins()
        await it.server.speaks("Good ", "day.")
        await it.server.ends("Good day.")
        await it.handled()
    assert (tmp_path / "t.txt").read_text() == "you: hello\nagent: Good day.\n"


@pytest.mark.parametrize(
    "ending, begins",
    [("md", "**you:** hello"), ("vtt", "WEBVTT\n"), ("json", '{\n  "v": 1'), ("txt", "you: hello")],
)
async def test_the_paths_ending_says_the_form(opened: Open, tmp_path: Path, ending: str, begins: str) -> None:
    async with opened(transcript(tmp_path, f"t.{ending}")) as it:
        await it.server.types("u1", "hello")
        await it.handled()
    assert (tmp_path / f"t.{ending}").read_text().startswith(begins)


def test_an_ending_that_says_no_form_is_refused() -> None:
    with pytest.raises(ValueError, match=r"says nothing of the form: end it in \.txt"):
        Transcript(TranscriptConfig(path="notes.doc"))


async def test_the_words_are_those_that_passed_the_layers(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path), Whisper()) as it:
        await it.server.begins()
        await it.server.speaks("LOUD ", "WORDS")
        await it.server.ends("LOUD WORDS")
        await it.handled()
    assert (tmp_path / "t.txt").read_text() == "agent: loud words\n"


async def test_words_that_a_layer_has_dropped_are_not_taken_from_elsewhere(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path), Silence()) as it:
        await it.server.hears("u1", "my number is 12345")
        await it.server.begins()
        await it.server.speaks("forbidden")
        await it.server.ends("forbidden")
        await it.handled()
    written = (tmp_path / "t.txt").read_text()
    assert [line.partition(":")[0] for line in written.splitlines()] == ["you", "agent"]
    assert "forbidden" not in written
    assert "12345" not in written


async def test_what_a_user_said_stands_in_its_place_however_late_it_is_understood(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path)) as it:
        await it.server.hears("u1", None)
        await it.server.begins()
        await it.server.ends("Fine.")
        await it.server.understands("u1", "how are you?")
        await it.handled()
    assert (tmp_path / "t.txt").read_text() == "you: how are you?\nagent: Fine.\n"


async def test_of_an_answer_that_was_cut_off_there_is_what_was_heard(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path)) as it:
        await it.server.begins()
        await it.server.plays(bytes(4 * 48000))
        await it.server.speaks("one two three four")
        await it.server.ends("one two three four")
        await it.handled()
        it.session.playback.played("i1", 2000)
        await it.session.interrupt()
        await it.handled()
    assert (tmp_path / "t.txt").read_text() == "agent: one two [cut off after 2.0 s]\n"


async def test_what_was_deleted_is_not_in_it(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path)) as it:
        await it.server.types("u1", "hello")
        await it.server.types("u2", "forget this")
        await it.handled()
        await it.server.emit("conversation.item.deleted", item_id="u2")
        await it.handled()
    assert (tmp_path / "t.txt").read_text() == "you: hello\n"


async def test_tool_calls_are_in_it_where_they_are_wanted(opened: Open, tmp_path: Path) -> None:
    layers = (transcript(tmp_path, "with.txt", tools=True), transcript(tmp_path, "without.txt"))
    async with opened(*layers, tools=(lookup,)) as it:
        await it.server.calls("r1", c1=("lookup", '{"word":"sun"}'))
        await it.server.next("conversation.item.create")
        await it.server.types("u1", "thanks")
        await it.handled()
    assert (tmp_path / "with.txt").read_text() == 'tool: lookup({"word":"sun"}) -> sun: found\nyou: thanks\n'
    assert (tmp_path / "without.txt").read_text() == "you: thanks\n"


@in_virtual_time
async def test_the_file_is_whole_within_a_second_while_the_session_goes_on(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path, "t.json")) as it:
        for number in range(3):
            await it.server.types(f"u{number}", f"word {number}")
            await it.handled()
            await anyio.sleep(EVERY * 1.5)
            entries = json.loads((tmp_path / "t.json").read_bytes())["entries"]
            assert [entry["text"] for entry in entries] == [f"word {each}" for each in range(number + 1)]
    assert names(tmp_path) == ["t.json"]


async def test_a_line_is_appended_for_each_item_and_again_where_it_changes(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path, "t.jsonl")) as it:
        await it.server.types("u1", "hello")
        await it.server.begins()
        await it.server.plays(bytes(2 * 48000))
        await it.server.ends("one two")
        await it.handled()
        assert [(line["id"], line["text"]) for line in lines(tmp_path)] == [("u1", "hello"), ("i1", "one two")]
        it.session.playback.played("i1", 1000)
        await it.session.interrupt()
        await it.server.emit("conversation.item.deleted", item_id="u1")
        await it.handled()
    *_, heard, gone = lines(tmp_path)
    assert (heard["id"], heard["heard_ms"], heard["heard_text"]) == ("i1", 1000, "one")
    assert gone == {"type": "deleted", "id": "u1"}


async def test_a_line_waits_for_the_users_words_but_not_beyond_the_end(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path, "t.jsonl")) as it:
        await it.server.hears("u1", None)
        await it.handled()
        assert (tmp_path / "t.jsonl").read_text() == ""
        await it.server.understands("u1", "hello")
        await it.server.hears("u2", None)
        await it.handled()
    assert [(line["id"], line["text"]) for line in lines(tmp_path)] == [("u1", "hello"), ("u2", "")]


async def test_a_line_waits_for_the_users_words_no_longer_than_the_turn_lasts(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path, "t.jsonl")) as it:
        await it.server.hears("u1", None)
        await it.server.begins()
        await it.server.ends("Fine.")
        await it.handled()
        assert sorted(line["id"] for line in lines(tmp_path)) == ["i1", "u1"]


async def test_a_line_does_not_wait_for_words_that_nobody_has_understood(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path, "t.jsonl")) as it:
        await it.server.hears("u1", None)
        kind = "conversation.item.input_audio_transcription.failed"
        await it.server.emit(kind, item_id="u1", content_index=0, error={"code": "unclear"})
        await it.handled()
        assert [line["id"] for line in lines(tmp_path)] == ["u1"]


async def test_what_is_told_again_is_no_other_line(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path, "t.jsonl")) as it:
        await it.server.hears("u1", "hello")
        await it.server.understands("u1", "hello")
        await it.handled()
    assert [line["id"] for line in lines(tmp_path)] == ["u1"]


async def test_an_item_that_the_server_has_cut_is_cut(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path)) as it:
        await it.server.begins()
        await it.server.plays(bytes(4 * 48000))
        await it.server.ends("one two three four")
        await it.server.emit("conversation.item.truncated", item_id="i1", content_index=0, audio_end_ms=2000)
        await it.handled()
    assert (tmp_path / "t.txt").read_text() == "agent: one two [cut off after 2.0 s]\n"


async def test_keys_are_masked(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path)) as it:
        await it.server.types("u1", "it is sk-abcdefghijklmnop123")
        await it.server.begins()
        await it.server.ends("So it is sk-abcdefghijklmnop123.")
        await it.handled()
    assert (tmp_path / "t.txt").read_text() == "you: it is ***\nagent: So it is ***.\n"


async def test_a_session_without_a_word_leaves_no_file(opened: Open, tmp_path: Path) -> None:
    async with opened(transcript(tmp_path)):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["t.txt", "t.jsonl"])
async def test_a_full_disk_ends_the_transcript_with_a_notice_and_the_session_goes_on(
    opened: Open, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    layer = transcript(tmp_path, name)
    async with opened(layer) as it:
        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", full)
            patched.setattr(os, "write", full)
            await it.server.types("u1", "hello")
            await it.handled()
            await it.told("transcript_stopped")
        await it.server.types("u2", "still here")
        await it.handled()
        assert [item.id for item in it.session.history.items()] == ["u1", "u2"]
    [message] = it.of("transcript_stopped")
    assert "No space left on device" in message
