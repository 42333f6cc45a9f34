"""A session as JSON and back, to the field, and what of it a new session is told."""

import json
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from openai.types.realtime.conversation_item_create_event import ConversationItemCreateEvent
from pydantic import TypeAdapter

import agentkit
from agentkit.events import (
    AnyItem,
    AnyPart,
    AnyServerSession,
    Audio,
    AudioFormat,
    AudioInput,
    AudioOutput,
    AudioSettings,
    ConversationItemCreate,
    ConversationItemDone,
    CustomVoice,
    FunctionCallItem,
    FunctionCallOutputItem,
    FunctionTool,
    InputAudio,
    InputImage,
    InputText,
    ItemReference,
    ItemReferencePart,
    McpApprovalRequestItem,
    McpApprovalResponseItem,
    McpCallItem,
    McpListToolsItem,
    McpTool,
    MessageItem,
    OutputAudio,
    OutputText,
    ServerMcpTool,
    ServerSession,
    ServerTranscriptionSession,
    Settings,
    Text,
    ToolChoice,
    Transcription,
    TranscriptionSettings,
    TurnDetection,
    UnknownItem,
    UnknownPart,
    encode_client,
)
from agentkit.session.entries import Entry
from agentkit.session.snapshot import Replay, Snapshot, replay

SDK: Final = TypeAdapter(ConversationItemCreateEvent)


def said(role: str, *content: str | AnyPart, status: str | None = "completed", id: str | None = "m") -> MessageItem:
    text = OutputText if role == "assistant" else InputText
    parts = tuple(text(text=part) if isinstance(part, str) else part for part in content)
    return MessageItem(id=id, object="realtime.item", role=role, status=status, content=parts)


def called(call_id: str | None = "c", *, status: str | None = "completed", arguments: str = "{}") -> FunctionCallItem:
    return FunctionCallItem(
        id=f"f-{call_id}", object="realtime.item", name="weather", arguments=arguments, call_id=call_id, status=status
    )


def answered(call_id: str = "c", *, id: str | None = None, output: str = "sunny") -> FunctionCallOutputItem:
    return FunctionCallOutputItem(
        id=id or f"o-{call_id}", object="realtime.item", status="completed", call_id=call_id, output=output
    )


def replayed(*told: AnyItem | Entry) -> Replay:
    entries = tuple(one if isinstance(one, Entry) else Entry(item=one) for one in told)
    return replay(Snapshot(entries=entries))


# JSON


FULL: Final = Snapshot(
    settings=Settings(instructions=None, temperature=0.8, audio=AudioSettings(output=AudioOutput(voice="marin"))),
    entries=(
        Entry(item=said("user", "héllo", InputAudio(audio="AAAA", transcript="hi"), InputImage(image_url="data:,"))),
        Entry(item=said("assistant", Text(text="x")), at=1.5, seconds=2.0, heard_ms=300, heard_text="x"),
        Entry(item=UnknownItem({"type": "force_message", "id": "q", "deep": [{"a": None, "b": -2.5e-9}]})),
    ),
)


def test_a_snapshot_is_a_document_with_a_version() -> None:
    document = json.loads(FULL.to_json())
    assert document["v"] == 1
    assert document["settings"] == {
        "type": "realtime",
        "instructions": None,
        "temperature": 0.8,
        "audio": {"output": {"voice": "marin"}},
    }
    assert document["entries"][1] == {
        "item": {
            "type": "message",
            "id": "m",
            "object": "realtime.item",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "text", "text": "x"}],
        },
        "at": 1.5,
        "seconds": 2.0,
        "heard_ms": 300,
        "heard_text": "x",
    }


def test_a_snapshot_can_be_read_as_bytes_and_as_text() -> None:
    assert Snapshot.from_json(FULL.to_json()) == FULL
    assert Snapshot.from_json(FULL.to_json().decode()) == FULL


@pytest.mark.parametrize(
    "item",
    [
        UnknownItem({"type": "message", "role": 5}),
        UnknownItem({"type": "message", "role": "user"}),
        UnknownItem({"type": "agentkit.unknown", "data": {"type": "message"}}),
        UnknownItem({"type": 5}),
        said("user", UnknownPart({"type": "input_text", "text": "a"})),
        said("user", UnknownPart({"type": "agentkit.unknown", "data": {}})),
    ],
)
def test_what_is_unknown_stays_so_whatever_its_type(item: AnyItem) -> None:
    snapshot = Snapshot(entries=(Entry(item=item),))
    assert Snapshot.from_json(snapshot.to_json()) == snapshot


def test_what_is_not_said_and_what_is_null_stay_apart() -> None:
    snapshot = Snapshot(
        settings=Settings(
            instructions=None, tracing=UNSET, audio=AudioSettings(input=AudioInput(turn_detection=None, format=UNSET))
        )
    )
    read = Snapshot.from_json(snapshot.to_json()).settings
    assert read == snapshot.settings
    assert isinstance(read, Settings)
    assert (read.instructions, read.tracing, read.truncation) == (None, UNSET, UNSET)


@pytest.mark.parametrize(
    "session, settings",
    [
        (
            ServerSession(id="s", object="realtime.session", expires_at=9, model="m", tracing=None),
            Settings(model="m", tracing=None),
        ),
        (ServerTranscriptionSession(id="s", expires_at=9, include=("x",)), TranscriptionSettings(include=("x",))),
        (ServerSession(), Settings()),
    ],
)
def test_what_only_a_server_can_say_is_not_in_a_snapshot(session: AnyServerSession, settings: object) -> None:
    snapshot = Snapshot(settings=session)
    assert snapshot.settings == settings
    assert Snapshot.from_json(snapshot.to_json()) == snapshot


def test_tools_and_their_secrets_are_not_in_a_snapshot() -> None:
    tools = (FunctionTool(name="f"), ServerMcpTool(server_label="s", authorization="secret"))
    snapshot = Snapshot(settings=Settings(instructions="x", tools=tools))
    assert snapshot.settings == Settings(instructions="x")
    assert b"secret" not in snapshot.to_json()


def test_every_beginning_of_a_snapshot_is_told_to_be_cut_short() -> None:
    document = FULL.to_json()
    for length in range(len(document)):
        with pytest.raises(ValueError, match="cut short"):
            Snapshot.from_json(document[:length])


@pytest.mark.parametrize(
    "document, reason",
    [
        (b"[]", "Expected `object`"),
        (b"WEBVTT", "malformed"),
        (b"{}", "`v`"),
        (b'{"v":"1","settings":null,"entries":[]}', "Expected `int`"),
        (b'{"v":0,"settings":null,"entries":[]}', "no version 0"),
        (b'{"v":1,"entries":[]}', "`settings`"),
        (b'{"v":1,"settings":null}', "`entries`"),
        (b'{"v":1,"settings":{"type":"odd"},"entries":[]}', "settings.type"),
        (b'{"v":1,"settings":{"type":"realtime","audio":5},"entries":[]}', "settings.audio"),
        (
            b'{"v":1,"settings":null,"entries":[{"item":{"type":"x"}},{"item":{"type":"message"}}]}',
            r"entries\[1\].*role",
        ),
        (b'{"v":1,"settings":null,"entries":[{"item":5}]}', r"entries\[0\]: Expected `object`"),
        (b'{"v":1,"settings":null,"entries":[{"item":{"type":"x"},"at":"soon"}]}', r"entries\[0\].*at"),
        (b'{"v":1,"settings":null,"entries":[]} and more', "malformed"),
        (b'{"v":1,"settings":null,"entries":[],"note":"\xff"}', "utf-8"),
        ('{"v":1,"settings":null,"entries":[],"note":"\ud800"}', "utf-8"),
        (b'{"v":1,"settings":null,"entries":[{"item":{"type":"x","y":%s}}]}' % (b"[" * 9999 + b"]" * 9999), "deep"),
    ],
)
def test_what_is_no_snapshot_is_refused_with_the_reason(document: bytes | str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"this is no snapshot: .*{reason}"):
        Snapshot.from_json(document)


def test_a_later_version_is_refused_whatever_its_shape() -> None:
    with pytest.raises(ValueError, match="of version 2, and this agentkit reads version 1"):
        Snapshot.from_json(b'{"conversation":{},"v":2}')


@pytest.mark.parametrize("odd", [object(), "\ud800"])
def test_what_json_cannot_hold_is_refused_when_written(odd: object) -> None:
    with pytest.raises(ValueError, match="holds what JSON cannot"):
        Snapshot(entries=(Entry(item=UnknownItem({"type": "x", "odd": odd})),)).to_json()


# Replay: messages


def test_messages_are_replayed_as_a_client_may_send_them() -> None:
    told = replayed(said("system", "Be brief", id="s"), said("user", "Hi", id="u"), said("assistant", "Yes?", id="a"))
    assert told == Replay(
        items=(
            MessageItem(id="s", role="system", content=(InputText(text="Be brief"),)),
            MessageItem(id="u", role="user", content=(InputText(text="Hi"),)),
            MessageItem(id="a", role="assistant", content=(OutputText(text="Yes?"),)),
        ),
        left_out=(),
    )


@pytest.mark.parametrize(
    "role, part, sent",
    [
        ("user", InputText(text="a  b\n"), InputText(text="a  b\n")),
        ("user", InputAudio(transcript="hi"), InputText(text="hi")),
        ("user", InputAudio(audio="", transcript="hi"), InputText(text="hi")),
        ("user", InputAudio(audio="AAAA", transcript="hi"), InputAudio(audio="AAAA", transcript="hi")),
        ("user", InputAudio(audio="AAAA"), InputAudio(audio="AAAA")),
        ("user", InputImage(image_url="data:,", detail="low"), InputImage(image_url="data:,", detail="low")),
        ("user", OutputText(text="a"), InputText(text="a")),
        ("system", InputAudio(audio="AAAA", transcript="hi"), InputText(text="hi")),
        ("assistant", Text(text="a"), OutputText(text="a")),
        ("assistant", Audio(transcript="a"), OutputText(text="a")),
        ("assistant", OutputAudio(audio="AAAA", transcript="a"), OutputText(text="a")),
    ],
)
def test_each_part_is_sent_as_its_role_may_say_it(role: str, part: AnyPart, sent: AnyPart) -> None:
    told = replayed(said(role, part))
    assert told == Replay(items=(MessageItem(id="m", role=role, content=(sent,)),), left_out=())


@pytest.mark.parametrize(
    "role, part, reason",
    [
        ("user", InputAudio(), "its audio is not kept, and it has no transcript"),
        ("assistant", OutputAudio(audio="AAAA"), "its audio is not kept, and it has no transcript"),
        ("user", InputImage(), "its image is not kept"),
        ("system", InputImage(image_url="data:,"), "content of type 'input_image' cannot be sent in a message of the"),
        ("user", UnknownPart({"type": "input_video"}), "content of type 'input_video' is not known here"),
        ("user", ItemReferencePart(id="i"), "content of type 'item_reference' cannot be sent"),
    ],
)
def test_a_part_that_cannot_be_sent_is_left_out_and_reported(role: str, part: AnyPart, reason: str) -> None:
    alone = replayed(said(role, part))
    assert alone.items == ()
    assert [(id, why[: len(reason)]) for id, why in alone.left_out] == [("m", reason)]
    beside = replayed(said(role, "words", part))
    assert [len(item.content) for item in beside.items if isinstance(item, MessageItem)] == [1]
    assert [(id, why.startswith(f"a part: {reason}")) for id, why in beside.left_out] == [("m", True)]


@pytest.mark.parametrize(
    "heard, sent",
    [
        ({"heard_ms": 900, "heard_text": "one"}, ["one"]),
        ({"heard_text": "one"}, ["one"]),
        ({"heard_ms": 900}, ["one two"]),
        ({"heard_ms": 900, "heard_text": ""}, []),
        ({"heard_ms": 0}, []),
    ],
)
def test_of_the_agent_only_what_was_heard_is_replayed(heard: dict[str, Any], sent: list[str]) -> None:
    told = replayed(Entry(item=said("assistant", OutputAudio(transcript="one two"), status="incomplete"), **heard))
    assert [item.content for item in told.items if isinstance(item, MessageItem)] == [
        (OutputText(text=text),) for text in sent
    ]
    assert told.left_out == (() if sent else (("m", "nothing of it was heard"),))


def test_a_message_in_progress_is_replayed_as_far_as_it_came() -> None:
    told = replayed(said("assistant", "Well", status="in_progress"), said("assistant", status="in_progress", id="n"))
    assert told.items == (MessageItem(id="m", role="assistant", content=(OutputText(text="Well"),)),)
    assert told.left_out == (("n", "it says nothing"),)


@pytest.mark.parametrize("content", [(), ("",), (" \n",)])
def test_a_message_that_says_nothing_is_left_out(content: tuple[str, ...]) -> None:
    assert replayed(said("user", *content)) == Replay(items=(), left_out=(("m", "it says nothing"),))


def test_a_message_of_another_role_is_left_out() -> None:
    assert replayed(said("developer", "x")) == Replay(
        items=(), left_out=(("m", "messages of the role 'developer' cannot be sent"),)
    )


# Replay: calls


def plain(item: AnyItem) -> AnyItem:
    assert not isinstance(item, UnknownItem)
    return msgspec.structs.replace(item, object=None, status=None)


def test_calls_and_their_outputs_keep_their_places() -> None:
    order: list[AnyItem] = [called("a"), called("b"), answered("b"), said("user", "well?"), answered("a")]
    told = replayed(*order)
    assert list(told.items) == [plain(item) for item in order]
    assert told.left_out == ()


def test_an_output_that_stands_before_its_call_follows_it() -> None:
    told = replayed(answered(), said("user", "x"), called())
    assert told.items == (plain(said("user", "x")), plain(called()), plain(answered()))
    assert told.left_out == ()


def test_a_call_without_an_output_gets_one_that_says_that_nobody_knows() -> None:
    told = replayed(called(), said("user", "well?"))
    call, output, _ = told.items
    assert call == plain(called())
    assert isinstance(output, FunctionCallOutputItem)
    assert (output.id, output.call_id) == (None, "c")
    assert list(json.loads(output.output)) == ["error"]
    assert "not known" in output.output
    assert told.left_out == ()


@pytest.mark.parametrize("status", ["in_progress", "incomplete"])
def test_a_call_that_was_not_finished_is_left_out_with_its_output(status: str) -> None:
    told = replayed(called(status=status), answered())
    assert told == Replay(items=(), left_out=(("f-c", "the call was not finished"), ("o-c", "its call is not sent")))


@pytest.mark.parametrize("arguments, count", [("{}", 2), ('{"a":', 0), ("", 0)])
def test_a_call_whose_status_was_not_told_is_judged_by_its_arguments(arguments: str, count: int) -> None:
    assert len(replayed(called(status=None, arguments=arguments)).items) == count


def test_a_call_whose_status_was_not_told_was_finished_where_it_has_an_output() -> None:
    assert len(replayed(called(status=None, arguments=""), answered()).items) == 2


def test_an_output_of_no_call_is_left_out() -> None:
    assert replayed(answered("x")) == Replay(items=(), left_out=(("o-x", "its call is not sent"),))


def test_a_call_without_an_id_is_left_out() -> None:
    assert replayed(called(None)).left_out == (("f-None", "the call has no call_id"),)


def test_a_call_and_an_output_are_told_once() -> None:
    told = replayed(called(), called(), answered(), answered(id="again"))
    assert [item.id for item in told.items] == ["f-c", "o-c"]
    assert told.left_out == (("f-c", "another call has its call_id"), ("again", "its call has another output"))


# Replay: the rest


@pytest.mark.parametrize(
    "item",
    [
        McpListToolsItem(id="x", server_label="s"),
        McpCallItem(id="x", server_label="s", name="n"),
        McpApprovalRequestItem(id="x", server_label="s", name="n"),
        McpApprovalResponseItem(id="x", approval_request_id="r", approve=True),
        ItemReference(id="x"),
        UnknownItem({"type": "force_message", "id": "x"}),
    ],
)
def test_what_a_server_makes_by_itself_is_left_out(item: AnyItem) -> None:
    told = replayed(item)
    assert told.items == ()
    assert [(id, item.wire_type in reason) for id, reason in told.left_out] == [("x", True)]


def test_what_has_no_id_is_reported_without_one() -> None:
    assert replayed(UnknownItem({})).left_out == (("", "items of type '' are not known here"),)


def test_an_id_is_used_once() -> None:
    told = replayed(said("user", "a"), said("user", "b"), said("user", "c", id=None), said("user", "d", id=""))
    assert [item.id for item in told.items] == ["m", None, None, None]


@pytest.mark.anyio
async def test_a_server_takes_what_is_replayed() -> None:
    told = replayed(
        said("system", "Be brief", id="s"),
        said("user", InputAudio(transcript="hi"), id="u"),
        Entry(item=said("assistant", OutputAudio(transcript="one two"), id="a"), heard_ms=900, heard_text="one"),
        called("c1"),
        answered("c1"),
        called("c2"),
    )
    async with agentkit.open(agentkit.Local()) as session:
        with session.subscribe(ConversationItemDone) as done:
            for item in told.items:
                await session.send(ConversationItemCreate(item=item))
                await anext(done)
        held = session.history.items()
    made_up = held[-1]
    assert [plain(item) for item in held[:-1]] == list(told.items[:-1])
    assert isinstance(made_up, FunctionCallOutputItem)
    assert made_up.call_id == "c2"


# Anything

words = st.text(max_size=4)
maybe = st.none() | words
floats = st.floats(allow_nan=False, allow_infinity=False)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | floats | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
types = st.sampled_from(["message", "input_text", "function_call", "agentkit.unknown", "odd", ""]) | values
data = st.fixed_dictionaries({}, optional={"type": types, "id": values, "role": words, "text": words, "data": values})
parts = st.one_of(
    st.builds(InputText, text=words),
    st.builds(OutputText, text=words),
    st.builds(Text, text=words),
    st.builds(InputAudio, audio=st.sampled_from([None, "", "AAAA"]), transcript=maybe),
    st.builds(OutputAudio, audio=maybe, transcript=maybe),
    st.builds(Audio, audio=maybe, transcript=maybe),
    st.builds(InputImage, image_url=maybe, detail=st.sampled_from([None, "low", "auto"])),
    st.builds(ItemReferencePart, id=maybe),
    st.builds(UnknownPart, data),
)
common: dict[str, Any] = {
    "id": maybe,
    "object": maybe,
    "status": st.sampled_from([None, "completed", "in_progress", "incomplete"]) | words,
}
calls = st.sampled_from(["a", "b", "c"])
items = st.one_of(
    st.builds(
        MessageItem,
        **common,
        role=st.sampled_from(["user", "assistant", "system"]) | words,
        content=st.lists(parts, max_size=3).map(tuple),
    ),
    st.builds(FunctionCallItem, **common, name=words, arguments=words, call_id=st.none() | words | calls),
    st.builds(FunctionCallOutputItem, **common, call_id=calls | words, output=words),
    st.builds(
        McpListToolsItem,
        **common,
        server_label=words,
        tools=st.lists(st.builds(McpTool, name=words, input_schema=values), max_size=1).map(tuple),
    ),
    st.builds(
        McpCallItem,
        **common,
        server_label=words,
        name=words,
        output=maybe,
        error=maybe | st.dictionaries(words, values, max_size=1),
    ),
    st.builds(McpApprovalResponseItem, **common, approval_request_id=words, approve=st.booleans()),
    st.builds(ItemReference, **common),
    st.builds(UnknownItem, data),
)
entries = st.builds(
    Entry,
    item=items,
    at=st.none() | floats,
    seconds=st.none() | floats,
    heard_ms=st.none() | st.integers(-(2**63), 2**63),
    heard_text=maybe,
)


def unset(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.just(UNSET) | inner


audio = st.builds(
    AudioSettings,
    input=unset(
        st.builds(
            AudioInput,
            format=unset(st.none() | st.builds(AudioFormat, type=words, rate=unset(st.none() | st.integers(0, 9)))),
            transcription=unset(st.none() | st.builds(Transcription, model=unset(maybe))),
            turn_detection=unset(st.none() | st.builds(TurnDetection, type=words, threshold=unset(st.none() | floats))),
        )
    ),
    output=unset(st.builds(AudioOutput, voice=unset(maybe | st.builds(CustomVoice, id=words)))),
)
settings = st.none() | st.one_of(
    st.builds(
        Settings,
        instructions=unset(maybe),
        output_modalities=unset(st.none() | st.lists(words, max_size=2).map(tuple)),
        tool_choice=unset(maybe | st.builds(ToolChoice, type=words, name=maybe)),
        max_output_tokens=unset(st.none() | st.integers(0, 9) | words),
        prompt=unset(st.none() | st.dictionaries(words, values, max_size=2)),
        temperature=unset(st.none() | floats),
        model=unset(maybe),
        audio=unset(audio),
        tracing=unset(maybe | st.dictionaries(words, values, max_size=2)),
    ),
    st.builds(TranscriptionSettings, audio=unset(audio), include=unset(st.none() | st.lists(words).map(tuple))),
)
snapshots = st.builds(Snapshot, settings=settings, entries=st.lists(entries, max_size=6).map(tuple))


@given(snapshots)
def test_any_snapshot_comes_back_the_same(snapshot: Snapshot) -> None:
    read = Snapshot.from_json(snapshot.to_json())
    assert read == snapshot
    assert repr(read) == repr(snapshot)  # 1 and 1.0 and True are equal, and not the same


@given(snapshots, st.data())
def test_any_snapshot_that_is_cut_anywhere_is_told_to_be(snapshot: Snapshot, choice: st.DataObject) -> None:
    document = snapshot.to_json()
    with pytest.raises(ValueError, match="cut short"):
        Snapshot.from_json(document[: choice.draw(st.integers(0, len(document) - 1))])


@given(snapshots)
def test_whatever_is_replayed_each_call_is_followed_by_its_one_output(snapshot: Snapshot) -> None:
    told = replay(snapshot).items
    asked = [item.call_id for item in told if isinstance(item, FunctionCallItem)]
    outputs = [item.call_id for item in told if isinstance(item, FunctionCallOutputItem)]
    assert len(set(asked)) == len(asked)
    assert sorted(map(str, asked)) == sorted(outputs)
    seen: set[str | None] = set()
    for item in told:
        if isinstance(item, FunctionCallOutputItem):
            assert item.call_id in seen
        elif isinstance(item, FunctionCallItem):
            seen.add(item.call_id)


@given(snapshots)
def test_whatever_is_replayed_can_be_sent(snapshot: Snapshot) -> None:
    told = replay(snapshot).items
    for item in told:
        assert (item.object, item.status) == (None, None)
        SDK.validate_json(encode_client(ConversationItemCreate(item=item)))
    ids = [item.id for item in told if item.id is not None]
    assert len(set(ids)) == len(ids)


@given(snapshots)
def test_whatever_is_not_replayed_is_reported(snapshot: Snapshot) -> None:
    told = replay(snapshot)
    missing = {entry.item.id or "" for entry in snapshot.entries} - {item.id or "" for item in told.items}
    assert missing <= {id for id, _ in told.left_out}
