"""Views of items: what an item was at one moment, and what was heard of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.events import (
    AnyItem,
    AnyPart,
    AudioFormat,
    AudioView,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    InputImage,
    InputText,
    ItemView,
    MessageItem,
    OutputAudio,
    OutputText,
    PartView,
    UnknownItem,
    UnknownPart,
)
from agentkit.events.views import LONGEST_WORD, SPEED, heard_text

PCM = AudioFormat(type="audio/pcm", rate=24000)
TWENTY = "one two three four five"


class Held:
    """Audio of which everything is kept."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, end: int) -> bytes:
        return self.data[:end]


def viewed(base: AnyItem, *parts: tuple[AnyPart | None, str], **fields: Any) -> ItemView:
    """Return the view of an item with an id, whose parts came in one piece."""
    return ItemView(
        base,
        item_id=fields.pop("item_id", "i"),
        status=fields.pop("status", "completed"),
        parts=[PartView(part, [text]) for part, text in parts],
        **fields,
    )


def message(*parts: tuple[AnyPart | None, str], **fields: Any) -> ItemView:
    return viewed(MessageItem(role="assistant"), *parts, **fields)


def audio(ms: int, audio_format: AudioFormat = PCM) -> AudioView:
    return AudioView(Held(bytes(48 * ms)), 48 * ms, ms, audio_format)


# Parts


def test_a_part_is_as_it_was_when_it_was_viewed() -> None:
    chunks = ["one ", "two "]
    part = PartView(OutputText(), chunks)
    chunks.append("three")
    assert part.text == "one two "
    assert part.part == OutputText(text="one two ")


@pytest.mark.parametrize(
    "base, part",
    [
        (None, OutputText(text="x")),
        (OutputText(text="old"), OutputText(text="x")),
        (InputText(), InputText(text="x")),
        (OutputAudio(audio="AAAA"), OutputAudio(audio="AAAA", transcript="x")),
        (InputAudio(), InputAudio(transcript="x")),
        (InputImage(image_url="data:"), InputImage(image_url="data:")),
    ],
)
def test_a_part_is_told_in_the_protocol_s_shape(base: AnyPart | None, part: AnyPart) -> None:
    assert PartView(base, ["x"]).part == part


def test_audio_of_which_nothing_is_said_yet_has_no_transcript() -> None:
    assert PartView(OutputAudio(transcript="old"), []).part == OutputAudio()


# Items


@pytest.mark.parametrize(
    "item",
    [
        MessageItem(id="i", role="user", status="completed", content=(InputText(text="a"), InputAudio(transcript="b"))),
        MessageItem(id="i", role="assistant", content=(OutputAudio(), OutputText(text="b"))),
        MessageItem(id="i", role="user", content=(UnknownPart({"type": "odd"}), InputImage(image_url="data:"))),
        FunctionCallItem(id="i", name="f", call_id="c", arguments="{}", status="completed"),
        FunctionCallOutputItem(id="i", call_id="c", output="5"),
        UnknownItem({"id": "i", "type": "odd", "status": "completed"}),
    ],
)
def test_the_view_of_a_whole_item_is_that_item(item: AnyItem) -> None:
    view = ItemView.of(item)
    assert view.item == item
    assert (view.id, view.status, view.audio, view.heard_ms, view.interrupted) == ("i", item.status, None, None, False)


def test_an_item_without_an_id_has_an_empty_one() -> None:
    assert ItemView.of(MessageItem(role="user")).id == ""


def test_the_text_and_the_transcript_of_a_message_are_told_apart() -> None:
    view = message((None, "a"), (OutputText(), "b"), (OutputAudio(), "c"), (InputAudio(), "d"), (InputText(), "e"))
    assert (view.text, view.transcript) == ("abe", "cd")


def test_a_call_s_arguments_are_no_text() -> None:
    view = viewed(FunctionCallItem(name="f", call_id="c"), (None, '{"a"'), (None, ": 1}"))
    assert view.text == ""
    assert view.item == FunctionCallItem(id="i", name="f", call_id="c", arguments='{"a": 1}', status="completed")


def test_a_call_without_deltas_has_the_arguments_that_were_told() -> None:
    assert viewed(FunctionCallItem(name="f", call_id="c", arguments="{}")).item == FunctionCallItem(
        id="i", name="f", call_id="c", arguments="{}", status="completed"
    )


def test_views_are_equal_where_they_show_the_same() -> None:
    view = message((OutputText(), "a"), audio=audio(20), heard_ms=10)
    same = message((OutputText(), "a"), audio=audio(20), heard_ms=10)
    assert view == same
    assert hash(view) == hash(same)


@pytest.mark.parametrize(
    "other",
    [
        message((OutputText(), "b")),
        message((OutputText(), "a"), item_id="j"),
        message((OutputText(), "a"), status="incomplete"),
        message((OutputText(), "a"), heard_ms=0),
        message((OutputText(), "a"), interrupted=True),
        message((OutputText(), "a"), audio=audio(20)),
        "a",
    ],
)
def test_views_differ_where_anything_that_they_show_does(other: object) -> None:
    assert message((OutputText(), "a")) != other


def test_views_differ_by_the_length_and_the_format_of_their_audio() -> None:
    view = message(audio=audio(20))
    assert view != message(audio=audio(40))
    assert view != message(audio=audio(20, AudioFormat(type="audio/pcmu")))


def test_a_view_says_what_it_shows() -> None:
    assert repr(message((OutputText(), "hello"))).startswith("ItemView(MessageItem(")
    assert "hello" in repr(message((OutputText(), "hello")))


def test_the_audio_of_a_view_ends_where_it_did_then() -> None:
    held = Held(b"abcd")
    view = AudioView(held, 2, 1, PCM)
    held.data = b"abcdef"
    assert view.read() == b"ab"


# What was heard


def test_nothing_is_told_of_what_was_heard_where_nothing_was_cut_off() -> None:
    assert message((OutputAudio(), TWENTY), audio=audio(1000)).heard_text is None


def test_what_was_heard_is_the_transcript_up_to_where_it_was_cut_off() -> None:
    assert message((OutputAudio(), TWENTY), audio=audio(2300), heard_ms=1000).heard_text == "one two"


def test_written_text_was_not_heard() -> None:
    assert message((OutputText(), TWENTY), audio=audio(2300), heard_ms=1000).heard_text == ""


def test_an_item_without_audio_was_not_heard() -> None:
    assert message((OutputAudio(), TWENTY), heard_ms=1000).heard_text == ""


def test_the_transcript_of_an_item_that_is_not_done_runs_ahead_of_its_audio() -> None:
    words = "word " * 100
    cut = message((OutputAudio(), words), audio=audio(1000), heard_ms=500, done=False)
    assert cut.heard_text == "word"
    assert 4 <= 500 * SPEED < 9


@pytest.mark.parametrize(
    "heard_ms, audio_ms, done, heard",
    [
        (0, 2300, True, ""),
        (-5, 2300, True, ""),
        (100, 0, True, ""),
        (100, -1, True, ""),
        (2300, 2300, True, TWENTY),
        (9999, 2300, True, TWENTY),
        (2300, 2300, False, TWENTY),
        (99, 2300, True, ""),
        (299, 2300, True, ""),
        (300, 2300, True, "one"),
        (399, 2300, True, "one"),
        (699, 2300, True, "one"),
        (700, 2300, True, "one two"),
        (2299, 2300, True, "one two three four"),
    ],
)
def test_only_whole_words_were_heard(heard_ms: int, audio_ms: int, done: bool, heard: str) -> None:
    assert heard_text(TWENTY, heard_ms, audio_ms, done=done) == heard


@pytest.mark.parametrize("space", [" ", "\n", "\t", "\u00a0", "\u3000", "  "])
def test_any_space_is_the_end_of_a_word(space: str) -> None:
    transcript = f"one{space}two"
    assert heard_text(transcript, len(transcript) - 1, len(transcript), done=True) == "one"
    assert heard_text(transcript, 3, len(transcript), done=True) == "one"


def test_a_transcript_that_is_slower_than_speech_is_read_by_its_own_pace() -> None:
    assert heard_text("one two three", 5000, 10_000, done=False) == "one"


@pytest.mark.parametrize(
    "transcript",
    [
        "今天天气很好我们去公园散步吧",
        "きょうはとてもいいてんきですね",
        "วันนี้อากาศดีมาก",
        "今天天气很好。我们去公园散步吧。",
    ],
)
def test_a_script_without_spaces_is_cut_anywhere(transcript: str) -> None:
    for heard in range(1, len(transcript)):
        assert heard_text(transcript, heard, len(transcript), done=True) == transcript[:heard]


def test_a_word_within_a_script_without_spaces_is_still_whole_or_not_heard() -> None:
    assert heard_text("我用iPhone打电话", 5, 11, done=True) == "我用"
    assert heard_text("我用iPhone打电话", 8, 11, done=True) == "我用iPhone"


@pytest.mark.parametrize("length, heard", [(LONGEST_WORD, "one"), (LONGEST_WORD + 1, "all")])
def test_a_run_that_is_too_long_for_a_word_is_cut_in_it(length: int, heard: str) -> None:
    transcript = "one " + "x" * 100
    cut = heard_text(transcript, 4 + length, len(transcript), done=True)
    assert cut == ("one" if heard == "one" else transcript[: 4 + length])


def test_an_empty_transcript_says_nothing() -> None:
    assert heard_text("", 10, 100, done=False) == ""


@given(st.text("ab \n我", max_size=80), st.integers(0, 3000), st.integers(0, 3000), st.booleans())
def test_what_was_heard_is_the_beginning_of_what_was_said_and_grows(
    transcript: str, heard_ms: int, audio_ms: int, done: bool
) -> None:
    heard = heard_text(transcript, heard_ms, audio_ms, done=done)
    assert transcript.startswith(heard)
    if done and heard_ms >= audio_ms > 0:
        assert heard == transcript
    if done and heard_ms < audio_ms:
        assert len(heard) <= len(transcript) * heard_ms / audio_ms + 1
    assert heard_text(transcript, heard_ms + 40, audio_ms, done=done).startswith(heard)
