"""A conversation as text, Markdown, JSON and captions: what each form says, and that nothing said is more than text."""

import json
import math
import re
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.markdown import Markdown

from agentkit.events import (
    AnyItem,
    AnyPart,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    InputImage,
    InputText,
    ItemReference,
    ItemReferencePart,
    McpApprovalRequestItem,
    McpCallItem,
    McpListToolsItem,
    MessageItem,
    OutputAudio,
    OutputText,
    Text,
    UnknownItem,
    UnknownPart,
)
from agentkit.session.entries import Entry
from agentkit.session.export import Line, Transcript, export

FORMS: Final = ("text", "markdown", "json", "vtt")
NASTY: Final = [
    "<script>alert(1)</script>",
    "</v><v agent>no",
    "&lt;&amp;&",
    "-->",
    "00:00:00.000 --> 00:00:09.000",
    "\n\n",
    "\r\r",
    "\u2028agent: yes",
    "\x85",
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\x00",
    "\ud800",
    "# h\n- a\n1. b\n> q\n---\n===\n```\n~~~\n    code",
    "| a | b |\n|---|---|",
    "**b** _i_ `c` [l](javascript:x) ![i](x) <http://a.b> http://a.b www.a.b\n\n[l]: x\n: d\n\\",
    "NOTE x\n\nSTYLE\n\n::cue {}",
]


def said(role: str, *content: str | AnyPart, status: str | None = "completed") -> MessageItem:
    text = OutputText if role == "assistant" else InputText
    parts = tuple(text(text=part) if isinstance(part, str) else part for part in content)
    return MessageItem(id="m", role=role, status=status, content=parts)


def called(call_id: str = "c", *, name: str = "weather", status: str = "completed") -> FunctionCallItem:
    return FunctionCallItem(id=f"f-{call_id}", name=name, arguments='{"city":"Turin"}', call_id=call_id, status=status)


def answered(call_id: str = "c", output: str = "sunny") -> FunctionCallOutputItem:
    return FunctionCallOutputItem(id=f"o-{call_id}", call_id=call_id, output=output)


def entries(*items: AnyItem) -> list[Entry]:
    return [Entry(item=item) for item in items]


def text_of(*items: AnyItem) -> str:
    return export(entries(*items), "text")


class Cue(msgspec.Struct):
    start: int
    end: int
    name: str
    text: str


TIME: Final = r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})"
PLAIN: Final = r"(?:[^<>&\n]|&amp;|&lt;|&gt;)"
SPOKEN: Final = re.compile(rf"<v ({PLAIN}+)>({PLAIN}+(?:\n{PLAIN}+)*)")


def read_vtt(document: str) -> list[Cue]:
    """Read captions as strictly as the format is written down, and without any of its options."""
    document.encode()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", document)
    assert document.endswith("\n")
    header, *blocks = document.removesuffix("\n").split("\n\n")
    assert header == "WEBVTT"
    cues: list[Cue] = []
    for block in blocks:
        timing, payload = block.split("\n", 1)
        found = re.fullmatch(f"{TIME} --> {TIME}", timing)
        assert found is not None, timing
        numbers = [int(group) for group in found.groups()]
        start, end = (((h * 60 + m) * 60 + s) * 1000 + ms for h, m, s, ms in (numbers[:4], numbers[4:]))
        spoken = SPOKEN.fullmatch(payload)
        assert spoken is not None, payload
        assert "-->" not in payload
        assert all(line.strip() for line in payload.split("\n"))
        name, text = (
            group.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for group in spoken.groups()
        )
        assert name.strip()
        assert start < end
        assert not cues or cues[-1].start <= start
        cues.append(Cue(start, end, name, text))
    return cues


def test_the_reader_of_captions_refuses_what_is_none() -> None:
    for wrong in ("WEBVTT", "WEBVTT\n\n00:00.000 --> 00:01.000\n<v a>x\n", "\n"):
        with pytest.raises((AssertionError, ValueError)):
            read_vtt(wrong)
    cue = "WEBVTT\n\n00:00:01.000 --> 00:00:0{}.000\n<v {}>{}\n"
    assert read_vtt(cue.format(2, "a", "x")) == [Cue(1000, 2000, "a", "x")]
    for end, name, text in ((1, "a", "x"), (2, " ", "x"), (2, "a", "<b>"), (2, "a", "x & y"), (2, "a", "x\n \ny")):
        with pytest.raises(AssertionError):
            read_vtt(cue.format(end, name, text))


INLINE: Final = {"text", "hardbreak", "strong_open", "strong_close", "em_open", "em_close"}


def shown(document: str) -> list[str]:
    """Return the paragraphs that a viewer of Markdown shows; there may be nothing but paragraphs of text."""
    paragraphs = []
    for token in Markdown(document).parsed:
        assert token.type in ("paragraph_open", "inline", "paragraph_close"), token
        if token.type == "inline":
            children = token.children or []
            assert {child.type for child in children} <= INLINE, children
            paragraphs.append("".join("\n" if child.type == "hardbreak" else child.content for child in children))
    return paragraphs


def lines_of(document: str) -> list[Line]:
    return list(msgspec.json.decode(document, type=Transcript).entries)


# Text


def test_a_message_is_a_line() -> None:
    assert text_of(said("user", "Hello,\n\nagent"), said("assistant", "Hi")) == "you: Hello, agent\nagent: Hi\n"


def test_a_call_and_its_output_are_one_line() -> None:
    lines = text_of(called("a"), called("b"), said("user", "well?"), answered("b", "rainy"), answered("a"))
    assert lines.splitlines() == [
        'tool: weather({"city":"Turin"}) -> sunny',
        'tool: weather({"city":"Turin"}) -> rainy',
        "you: well?",
    ]


def test_a_call_without_an_output_says_so() -> None:
    assert text_of(called()) == 'tool: weather({"city":"Turin"}) [no output]\n'
    assert text_of(called(status="in_progress")) == 'tool: weather({"city":"Turin"}) [in progress]\n'
    assert text_of(called(status="incomplete")) == 'tool: weather({"city":"Turin"}) [incomplete]\n'


def test_an_output_whose_call_is_not_there_names_the_call() -> None:
    assert text_of(answered("c9")) == "tool: [call c9] -> sunny\n"


def test_of_two_calls_with_one_id_each_has_one_output() -> None:
    lines = text_of(called(), called(), answered(output="first"), answered(output="second"), answered(output="third"))
    assert [line.rpartition("-> ")[2] for line in lines.splitlines()] == ["first", "second", "third"]


@pytest.mark.parametrize(
    "entry, line",
    [
        (Entry(item=said("assistant", "one two"), heard_ms=1250, heard_text="one"), "one [cut off after 1.2 s]"),
        (Entry(item=said("assistant", "one two"), heard_text="one"), "one [cut off]"),
        (Entry(item=said("assistant", "one two"), heard_ms=900), "one two [cut off after 0.9 s]"),
        (Entry(item=said("assistant", "one"), heard_ms=0), "[cut off before any of it was heard]"),
        (Entry(item=said("assistant", "one"), heard_ms=9, heard_text=""), "[cut off before any of it was heard]"),
    ],
)
def test_of_a_message_that_was_cut_off_only_what_was_heard_is_told(entry: Entry, line: str) -> None:
    assert export([entry], "text") == f"agent: {line}\n"


@pytest.mark.parametrize(
    "item, line",
    [
        (said("system", "Be brief"), "system: Be brief"),
        (said("developer", "Be brief"), "developer: Be brief"),
        (said("", "x"), "somebody: x"),
        (said("user", "look", InputImage(image_url="data:,")), "you: look [image]"),
        (said("user", InputAudio(audio="AAAA")), "you: [audio]"),
        (said("user", InputAudio(transcript="hi")), "you: hi"),
        (said("user", UnknownPart({"type": "input_video"})), "you: [input_video]"),
        (said("user", UnknownPart({})), "you: [part]"),
        (said("user", ItemReferencePart(id="i")), "you: [item_reference]"),
        (said("user"), "you: [no text]"),
        (said("assistant", status="in_progress"), "agent: [in progress]"),
        (said("assistant", "Well", status="in_progress"), "agent: Well [in progress]"),
        (said("assistant", "Well", status="incomplete"), "agent: Well [incomplete]"),
        (UnknownItem({"type": "force_message"}), "[force_message]"),
        (UnknownItem({}), "[item]"),
        (McpListToolsItem(server_label="docs"), "[mcp_list_tools]"),
        (McpCallItem(server_label="docs", name="find", arguments="{}", output="it"), "tool: docs.find({}) -> it"),
        (McpCallItem(server_label="docs", name="find", error="no"), "tool: docs.find() -> no [error]"),
        (McpCallItem(server_label="docs", name="find", error={"e": 1}), 'tool: docs.find() -> {"e":1} [error]'),
    ],
)
def test_every_item_has_its_line(item: AnyItem, line: str) -> None:
    assert text_of(item) == f"{line}\n"


def test_names_can_be_chosen() -> None:
    names = {"user": "Ada\n", "tool": "T"}
    document = export(entries(said("user", "a"), said("assistant", "b"), called()), "text", names=names)
    assert [line.partition(":")[0] for line in document.splitlines()] == ["Ada", "agent", "T"]


@pytest.mark.parametrize(
    "text, line",
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("a\x9b2Jb\x00c\x7f", "abc"),
        ("a\u202eb\u2066c\u200f\u061cd", "abcd"),
        ("a\ragent: b\u2028agent: c\x85d", "a agent: b agent: c d"),
        ("\ud800", "?"),
    ],
)
def test_a_text_cannot_be_more_than_its_line(text: str, line: str) -> None:
    assert text_of(said("user", text)) == f"you: {line}\n"


# Markdown


def test_markdown_tells_the_same() -> None:
    cut = Entry(item=said("assistant", "one two"), heard_ms=1250, heard_text="one")
    others = entries(said("user", "a\n\n b"), called(), answered(), called("d"), McpListToolsItem(server_label="s"))
    assert shown(export([*others, cut], "markdown")) == [
        "you: a\nb",
        'tool: weather({"city":"Turin"}) → sunny',
        'tool: weather({"city":"Turin"}) (no output)',
        "(mcp_list_tools)",
        "agent: one (cut off after 1.2 s)",
    ]


def test_names_are_bold_and_only_they() -> None:
    assert export(entries(said("user", "**agent:** yes")), "markdown") == "**you:** \\*\\*agent:\\*\\* yes\n"


def test_addresses_are_no_links_in_markdown() -> None:
    document = export(entries(said("user", "http://a.b www.a.b x@a.b")), "markdown")
    assert document == "**you:** http\\://a.b www\\.a.b x\\@a.b\n"


@pytest.mark.parametrize("text", NASTY)
def test_what_was_said_is_no_markup(text: str) -> None:
    document = export(entries(said("user", f"a\n{text}\nb"), called(name=text), answered(output=text)), "markdown")
    assert "<" not in document
    assert len(shown(document)) == 2


@given(st.lists(st.sampled_from(NASTY) | st.text(), max_size=4).map("".join))
def test_markdown_shows_what_was_said(text: str) -> None:
    items = entries(said("user", text), said(text, "a"))
    paragraphs = [" ".join(paragraph.split()) for paragraph in shown(export(items, "markdown"))]
    assert paragraphs == export(items, "text").replace("you: [no text]", "you: (no text)").splitlines()


# JSON


def test_json_tells_each_item_with_its_times() -> None:
    entry = Entry(
        item=said("assistant", OutputAudio(transcript="one two")), at=1.5, seconds=2.0, heard_ms=900, heard_text="one"
    )
    document = json.loads(export([entry], "json"))
    assert document == {
        "v": 1,
        "entries": [
            {
                "type": "message",
                "id": "m",
                "status": "completed",
                "role": "assistant",
                "text": "one two",
                "parts": ["output_audio"],
                "at": 1.5,
                "seconds": 2.0,
                "heard_ms": 900,
                "heard_text": "one",
                "call": None,
            }
        ],
    }


def test_json_pairs_calls_and_outputs_by_their_id() -> None:
    line = lines_of(export([Entry(item=called(), at=1.0), Entry(item=answered(), at=2.0)], "json"))[0]
    assert line.call is not None
    assert (line.type, line.id, line.at, line.call.call_id) == ("function_call", "f-c", 1.0, "c")
    assert line.call.output is not None
    assert (line.call.output.id, line.call.output.at, line.call.output.text) == ("o-c", 2.0, "sunny")


def test_json_keeps_an_output_whose_call_is_not_there() -> None:
    line = lines_of(export(entries(answered("c9")), "json"))[0]
    assert line.call is not None
    assert (line.type, line.call.call_id, line.call.name) == ("function_call_output", "c9", None)
    assert line.call.output is not None


def test_json_has_the_same_keys_for_every_item() -> None:
    items: list[AnyItem] = [
        said("user", "a"),
        called(),
        answered("x"),
        McpCallItem(server_label="s", name="n"),
        UnknownItem({}),
    ]
    document = json.loads(export(entries(*items), "json"))
    assert {tuple(entry) for entry in document["entries"]} == {Line.__struct_fields__}


def test_json_has_a_schema() -> None:
    definitions = msgspec.json.schema(Transcript)["$defs"]
    assert list(definitions["Line"]["properties"]) == list(Line.__struct_fields__)
    assert set(definitions["Line"]["required"]) == set(Line.__struct_fields__)


def test_json_keeps_a_text_as_it_is_but_shows_no_terminal_anything() -> None:
    text = "a\x1b[31m\x9b\x7f\u2028\n<b>é"
    document = export(entries(said("user", text)), "json")
    assert lines_of(document)[0].text == text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028]", document)
    assert "é" in document


# Captions


def spoken(at: float | None = None, seconds: float | None = None, text: str = "x" * 30, **heard: Any) -> Entry:
    return Entry(item=said("assistant", text), at=at, seconds=seconds, **heard)


def times(*shown_entries: Entry) -> list[tuple[int, int]]:
    return [(cue.start, cue.end) for cue in read_vtt(export(shown_entries, "vtt"))]


def test_a_caption_has_the_times_and_the_name_of_its_entry() -> None:
    document = export([spoken(1.5, 3723.25, "a & <b> -->\n\nc")], "vtt")
    assert document == (
        "WEBVTT\n\n00:00:01.500 --> 01:02:04.750\n<v agent>a &amp; &lt;b&gt; --&gt;\nc\n"  # no empty line in a cue
    )


def test_a_caption_without_a_length_is_shown_as_long_as_it_takes_to_read() -> None:
    assert times(spoken(1.0)) == [(1000, 3000)]
    assert times(spoken(1.0, text="hi")) == [(1000, 2000)]


def test_a_caption_without_a_length_ends_where_the_next_begins() -> None:
    assert times(spoken(1.0), spoken(1.5))[0] == (1000, 1500)
    assert times(spoken(1.0), spoken(9.0))[0] == (1000, 3000)


def test_captions_without_any_time_follow_the_one_before() -> None:
    assert times(spoken(), spoken(seconds=1.0), spoken()) == [(0, 2000), (2000, 3000), (3000, 5000)]


def test_a_caption_that_began_before_the_one_before_it_begins_with_it() -> None:
    assert times(spoken(5.0, 1.0), spoken(2.0, 1.0)) == [(5000, 6000), (5000, 6000)]


def test_captions_that_begin_at_once_are_all_shown() -> None:
    assert times(spoken(1.0), spoken(1.0)) == [(1000, 3000), (1000, 3000)]


def test_voices_that_overlap_do_so_in_captions() -> None:
    assert times(spoken(1.0, 4.0), spoken(2.0, 1.0)) == [(1000, 5000), (2000, 3000)]


def test_a_caption_of_a_message_that_was_cut_off_ends_where_it_was() -> None:
    cues = read_vtt(export([spoken(1.0, 4.0, heard_ms=1500, heard_text="one"), spoken(heard_ms=700)], "vtt"))
    assert [(cue.start, cue.end, cue.text) for cue in cues] == [(1000, 2500, "one—"), (2500, 3200, "x" * 30 + "—")]


def test_no_more_is_heard_than_there_is() -> None:
    assert times(spoken(1.0, 4.0, heard_ms=9000)) == [(1000, 5000)]


def test_what_nobody_heard_is_no_caption() -> None:
    hidden = entries(
        said("system", "secret"),
        said("user"),
        said("assistant", status="in_progress"),
        called(),
        answered(),
        answered("x"),
        McpListToolsItem(server_label="s"),
        UnknownItem({"type": "x"}),
    )
    assert export([*hidden, spoken(heard_ms=0)], "vtt") == "WEBVTT\n"


@pytest.mark.parametrize("time", [math.nan, math.inf, -1.0, 1e300])
def test_a_time_that_is_none_counts_for_nothing(time: float) -> None:
    assert times(spoken(1.0, 1.0), spoken(time, time)) == [(1000, 2000), (2000, 4000)]


# All forms


def test_an_empty_conversation_is_an_empty_document() -> None:
    assert [export([], form) for form in FORMS] == ["", "", '{\n  "v": 1,\n  "entries": []\n}\n', "WEBVTT\n"]


def test_another_form_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(ValueError, match="'srt'; known: text, markdown, json, vtt"):
        export([], "srt")


texts = st.lists(st.sampled_from(NASTY) | st.text(max_size=5), max_size=3).map("".join)
maybe = st.none() | texts
statuses = st.sampled_from([None, "completed", "in_progress", "incomplete", "odd"])
parts = st.one_of(
    st.builds(InputText, text=texts),
    st.builds(OutputText, text=texts),
    st.builds(Text, text=texts),
    st.builds(InputAudio, audio=maybe, transcript=maybe),
    st.builds(OutputAudio, audio=maybe, transcript=maybe),
    st.builds(InputImage, image_url=maybe),
    st.builds(ItemReferencePart, id=maybe),
    st.builds(UnknownPart, st.dictionaries(st.sampled_from(["type", "text"]), texts | st.integers())),
)
common: dict[str, Any] = {"id": maybe, "status": statuses}
calls = st.sampled_from(["a", "b", ""])
arbitrary_items = st.one_of(
    st.builds(
        MessageItem,
        **common,
        role=st.sampled_from(["user", "assistant", "system"]) | texts,
        content=st.lists(parts, max_size=3).map(tuple),
    ),
    st.builds(FunctionCallItem, **common, name=texts, arguments=texts, call_id=st.none() | calls),
    st.builds(FunctionCallOutputItem, **common, call_id=calls, output=texts),
    st.builds(McpCallItem, **common, server_label=texts, name=texts, output=maybe, error=maybe),
    st.builds(McpCallItem, server_label=texts, name=texts, error=st.dictionaries(texts, texts, max_size=1)),
    st.builds(McpApprovalRequestItem, **common, server_label=texts, name=texts),
    st.builds(ItemReference, id=maybe),
    st.builds(UnknownItem, st.dictionaries(st.sampled_from(["type", "id", "status"]), texts | st.integers())),
)
seconds = st.none() | st.floats()
arbitrary_entries = st.lists(
    st.builds(
        Entry,
        item=arbitrary_items,
        at=seconds,
        seconds=seconds,
        heard_ms=st.none() | st.integers(),
        heard_text=maybe,
    ),
    max_size=6,
)
some_names = st.dictionaries(st.sampled_from(["user", "assistant", "system", "tool"]), texts, max_size=4)


@given(arbitrary_entries, some_names)
def test_captions_of_anything_are_valid(told: list[Entry], names: dict[str, str]) -> None:
    messages = [entry for entry in told if isinstance(entry.item, MessageItem)]
    assert len(read_vtt(export(told, "vtt", names=names))) <= len(messages)


@given(arbitrary_entries, some_names)
def test_text_of_anything_has_a_line_for_each_item_that_is_no_paired_output(
    told: list[Entry], names: dict[str, str]
) -> None:
    document = export(told, "text", names=names)
    document.encode()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", document)
    assert document.splitlines() == document.split("\n")[:-1]
    assert len(document.splitlines()) == len(lines_of(export(told, "json")))


@given(arbitrary_entries, some_names)
def test_markdown_of_anything_has_a_paragraph_for_each_line_of_text(told: list[Entry], names: dict[str, str]) -> None:
    document = export(told, "markdown", names=names)
    assert "<" not in document
    assert len(shown(document)) == len(export(told, "text").splitlines())


@given(arbitrary_entries)
def test_json_of_anything_can_be_read_and_tells_every_item(told: list[Entry]) -> None:
    document = export(told, "json")
    outputs = sum(
        line.call is not None and line.call.output is not None and line.type == "function_call"
        for line in lines_of(document)
    )
    assert json.loads(document)["v"] == 1
    assert len(lines_of(document)) + outputs == len(told)
