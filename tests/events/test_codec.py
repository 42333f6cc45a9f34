"""Between frames and events: nothing that arrives raises, and what is sent is right in its dialect."""

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import LocalProtocolError
from agentkit.events import (
    CLIENT_EVENTS,
    SERVER_EVENTS,
    ConversationItemAdded,
    ConversationItemCreate,
    ConversationItemCreated,
    ConversationItemDone,
    ConversationUpdated,
    Dialect,
    ErrorDetails,
    ErrorEvent,
    FunctionCallItem,
    FunctionTool,
    InputAudioBufferAppend,
    InputAudioBufferCommit,
    InputText,
    ItemView,
    MalformedEvent,
    MessageItem,
    OutputText,
    Response,
    ResponseContentPartAdded,
    ResponseCreate,
    ResponseDone,
    ResponseEvent,
    ResponseFunctionCallArgumentsDone,
    ResponseOutputAudioDelta,
    ResponseSettings,
    ServerEvent,
    ServerSession,
    ServerTranscriptionSession,
    SessionCreated,
    SessionUpdate,
    Settings,
    TranscriptionSessionCreated,
    TranscriptionSessionUpdate,
    TranscriptionSettings,
    UnknownClientEvent,
    UnknownEvent,
    decode_client,
    decode_server,
    encode_client,
    encode_server,
)

DELTA = b'{"type":"response.output_audio.delta","item_id":"i","delta":"AAAA"}'


def written(frame: bytes | None) -> Any:
    assert frame is not None
    return json.loads(frame)


HOSTILE = {
    "empty": b"",
    "cut short": b'{"type":"response.do',
    "a list": b"[]",
    "a string": b'"response.done"',
    "null": b"null",
    "no type": b"{}",
    "a number for a type": b'{"type":5}',
    "null for a type": b'{"type":null}',
    "not a number": b'{"type":"response.output_audio.delta","item_id":"i","delta":"","x":NaN}',
    "infinity": b'{"type":"x","y":Infinity}',
    "an integer of 5,000 digits": b'{"type":"x","y":' + b"9" * 5000 + b"}",
    "such an integer where one is expected": b'{"type":"input_audio_buffer.speech_started","audio_start_ms":'
    + b"9" * 5000
    + b"}",
    "a float that overflows": b'{"type":"x","y":1e999}',
    "5,000 nested lists": b'{"type":"x","y":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "5,000 nested lists in a known event": b'{"type":"response.done","response":{"x":'
    + b"[" * 5000
    + b"]" * 5000
    + b"}}",
    "5,000 nested objects at the top": b'{"type":' * 5000 + b"1" + b"}" * 5000,
    "invalid UTF-8": b'{"type":"x","y":"\xff"}',
    "invalid UTF-8 in a field that nobody reads": DELTA[:-1] + b',"x":"\xff"}',
    "an encoded surrogate": b'{"type":"x","y":"\xed\xa0\x80"}',
    "a lone high surrogate": b'{"type":"x","y":"\\ud800"}',
    "a lone low surrogate": b'{"type":"x","y":"\\udc00 and more"}',
    "a lone surrogate in a known field": b'{"type":"response.output_text.delta","item_id":"i","delta":"a\\ud83d"}',
    "a lone surrogate in a raw field": b'{"type":"conversation.item.added","item":{"type":"x","y":"\\ud800"}}',
    "a control character": b'{"type":"x\x00"}',
    "two documents": b'{"type":"x"}{"type":"x"}',
    "binary": bytes(range(256)),
    "a field of the wrong type": b'{"type":"response.output_text.delta","item_id":"i","delta":5}',
    "a field that is missing": b'{"type":"response.output_text.delta","item_id":"i"}',
    "an item that does not fit": b'{"type":"conversation.item.added","item":{"type":"message","role":5}}',
    "an item that is no object": b'{"type":"conversation.item.added","item":"x"}',
    "a part that does not fit": b'{"type":"response.content_part.added","item_id":"i","part":{"type":"text","text":5}}',
    "a session that is no object": b'{"type":"session.created","session":[]}',
    "a response that is no object": b'{"type":"response.done","response":"x"}',
    "a string with a lone surrogate": '{"type":"x","y":"\ud800"}',
}


@pytest.mark.parametrize("frame", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_frame_is_one_malformed_event(frame: bytes | str) -> None:
    event = decode_server(frame)
    assert type(event) is MalformedEvent
    assert event.reason
    assert len(event.head) <= 100
    assert event.head.isprintable()
    assert event.size == len(frame if isinstance(frame, bytes) else frame.encode("utf-8", "backslashreplace"))


@pytest.mark.parametrize("frame", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_frame_of_a_client_never_raises(frame: bytes | str) -> None:
    assert type(decode_client(frame)) in (MalformedEvent, UnknownEvent)


def test_a_frame_of_16_mib_decodes() -> None:
    event = decode_server(b'{"type":"response.audio.delta","item_id":"i","delta":"' + b"A" * 2**24 + b'"}')
    assert isinstance(event, ResponseOutputAudioDelta)
    assert event.audio == bytes(3 * 2**22)


@given(st.binary(max_size=200))
def test_no_bytes_raise(frame: bytes) -> None:
    assert isinstance(decode_server(frame), ServerEvent)
    decode_client(frame)


NAMES = ["type", "name", "tools", "tool_choice", "audio", "input", "output", "format", "content", "voice"]
NAMES += ["turn_detection", "modalities", "function", "part"]
keys = st.text(max_size=3) | st.sampled_from(NAMES)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(sorted(SERVER_EVENTS)), st.data())
def test_no_field_of_any_type_raises(name: str, data: st.DataObject) -> None:
    fields = st.fixed_dictionaries({}, optional=dict.fromkeys(SERVER_EVENTS[name].__struct_fields__, json_values))
    event = decode_server(json.dumps({"type": name, **data.draw(fields)}))
    assert isinstance(event, SERVER_EVENTS[name] | MalformedEvent)
    if not isinstance(event, MalformedEvent):
        assert msgspec.Raw not in {type(getattr(event, key)) for key in event.__struct_fields__}
        encode_server(event, Dialect.GA)
        encode_server(event, Dialect.BETA)


@given(st.sampled_from(sorted(CLIENT_EVENTS)), st.data())
def test_no_field_of_a_client_s_event_raises(name: str, data: st.DataObject) -> None:
    fields = st.fixed_dictionaries({}, optional=dict.fromkeys(CLIENT_EVENTS[name].__struct_fields__, json_values))
    event = decode_client(json.dumps({"type": name, **data.draw(fields)}))
    assert isinstance(event, CLIENT_EVENTS[name] | MalformedEvent)
    if not isinstance(event, MalformedEvent):
        assert msgspec.Raw not in {type(getattr(event, key)) for key in event.__struct_fields__}


def test_the_last_of_duplicate_keys_wins() -> None:
    event = decode_server(b'{"type":"response.output_text.delta","item_id":"i","delta":"a","delta":"b"}')
    assert getattr(event, "delta", None) == "b"


def test_a_malformed_event_names_its_type_its_event_id_and_the_field() -> None:
    event = decode_server(b'{"event_id":"e1","type":"conversation.item.truncated","item_id":"i","audio_end_ms":"x"}')
    assert isinstance(event, MalformedEvent)
    assert (event.wire_type, event.event_id) == ("conversation.item.truncated", "e1")
    assert "audio_end_ms" in event.reason


def test_a_malformed_event_s_head_is_escaped() -> None:
    event = decode_server(b"\x1b[31m" + b"\n" * 200)
    assert isinstance(event, MalformedEvent)
    assert event.head.startswith("\\x1b[31m\\n")
    assert len(event.head) == 100


def test_an_event_of_an_unknown_type_is_kept_and_written_as_it_was() -> None:
    data: dict[str, object] = {"type": "made.up", "event_id": "e1", "x": [1, {"y": None}]}
    event = decode_server(json.dumps(data))
    assert event == UnknownEvent(wire_type="made.up", event_id="e1", data=data)
    assert written(encode_server(event)) == data


def test_an_unknown_event_s_odd_event_id_is_not_taken() -> None:
    assert decode_server(b'{"type":"made.up","event_id":5}').event_id is None


def test_the_type_may_come_last() -> None:
    fields = json.loads(DELTA)
    fields["type"] = fields.pop("type")
    assert decode_server(json.dumps(fields)) == decode_server(DELTA)


def test_a_string_decodes_as_bytes_do() -> None:
    frame = '{"type":"response.output_text.delta","item_id":"i","delta":"\N{SNOWMAN}"}'
    assert decode_server(frame) == decode_server(frame.encode())
    frame = '{"type":"conversation.item.delete","item_id":"\N{SNOWMAN}"}'
    assert decode_client(frame) == decode_client(frame.encode())


@pytest.mark.parametrize("name", ["response.output_audio.delta", "response.audio.delta"])
def test_both_names_of_an_event_are_one_family(name: str) -> None:
    event = decode_server(DELTA.replace(b"response.output_audio.delta", name.encode()))
    assert isinstance(event, ResponseOutputAudioDelta)
    assert isinstance(event, ResponseEvent)
    assert event.wire_type == name


@pytest.mark.parametrize("name", sorted({**SERVER_EVENTS, **CLIENT_EVENTS}))
def test_an_event_s_class_is_its_wire_name_in_camel_case(name: str) -> None:
    cls = {**SERVER_EVENTS, **CLIENT_EVENTS}[name]
    expected = "".join(word.capitalize() for word in name.replace(".", "_").split("_"))
    assert cls.__name__ == ("ErrorEvent" if name == "error" else expected)
    assert cls.wire_type == name


def test_audio_goes_out_as_base64() -> None:
    assert written(encode_client(InputAudioBufferAppend(audio=b"\x00\x01\x02"))) == {
        "type": "input_audio_buffer.append",
        "audio": "AAEC",
    }


@given(st.binary(max_size=50), st.none() | st.text(max_size=5))
def test_an_append_comes_back(audio: bytes, event_id: str | None) -> None:
    event = InputAudioBufferAppend(audio=audio, event_id=event_id)
    assert decode_client(encode_client(event)) == event


def test_what_is_not_set_is_not_sent() -> None:
    assert encode_client(InputAudioBufferCommit()) == b'{"type":"input_audio_buffer.commit"}'
    assert encode_client(ResponseCreate()) == b'{"type":"response.create"}'
    assert encode_client(SessionUpdate(session=Settings())) == (
        b'{"type":"session.update","session":{"type":"realtime"}}'
    )


def test_client_events_keep_their_event_id_and_place() -> None:
    item = MessageItem(role="user", content=(InputText(text="hi"),))
    event = ConversationItemCreate(event_id="e", previous_item_id="root", item=item)
    assert decode_client(encode_client(event)) == event
    asked = ResponseCreate(event_id="e", response=ResponseSettings(conversation="none", input=(item,)))
    assert decode_client(encode_client(asked)) == asked


def test_null_settings_of_a_response_are_none() -> None:
    assert decode_client(b'{"type":"response.create","response":null}') == ResponseCreate()


def test_a_transcription_session_s_update_has_beta_s_own_name() -> None:
    update = SessionUpdate(session=TranscriptionSettings(include=("a",)))
    frame = encode_client(update, Dialect.BETA)
    assert written(frame) == {"type": "transcription_session.update", "session": {"include": ["a"]}}
    again = decode_client(frame)
    assert isinstance(again, TranscriptionSessionUpdate)
    assert again.session == update.session
    assert decode_client(encode_client(again, Dialect.GA)) == update


@pytest.mark.parametrize(
    "event",
    [
        ConversationItemCreate(item=MessageItem(role="user", content=(InputText(text="\ud800"),))),
        SessionUpdate(session=Settings(tools=(FunctionTool(name="f", parameters={"x": time}),))),
    ],
)
def test_what_json_cannot_hold_is_refused(event: ConversationItemCreate | SessionUpdate) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be sent as JSON"):
        encode_client(event)


def test_what_json_cannot_hold_is_refused_of_a_server_too() -> None:
    with pytest.raises(LocalProtocolError, match=r"made\.up holds what cannot be sent as JSON"):
        encode_server(UnknownEvent(wire_type="made.up", data={"x": time}))


def test_a_server_writes_the_names_of_the_dialect() -> None:
    item = FunctionCallItem(id="i", name="f")
    for event in (ConversationItemAdded(item=item), ConversationItemCreated(item=item)):
        assert written(encode_server(event, Dialect.GA))["type"] == "conversation.item.added"
        assert written(encode_server(event, Dialect.BETA))["type"] == "conversation.item.created"
    delta = ResponseOutputAudioDelta(item_id="i", delta="AAAA")
    assert decode_server(encode_server(delta, Dialect.GA) or b"") == delta
    assert written(encode_server(delta, Dialect.BETA))["type"] == "response.audio.delta"


@pytest.mark.parametrize(
    "name",
    [
        "conversation.item.done",
        "input_audio_buffer.dtmf_event_received",
        "input_audio_buffer.timeout_triggered",
        "mcp_list_tools.completed",
        "mcp_list_tools.failed",
        "mcp_list_tools.in_progress",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
    ],
)
def test_a_server_does_not_write_what_beta_has_not(name: str) -> None:
    fields = {"type": name, "item_id": "i", "delta": "", "arguments": "", "event": "1", "received_at": 1}
    fields |= {"audio_start_ms": 0, "audio_end_ms": 0, "item": {"type": "message", "role": "user"}}
    event = decode_server(json.dumps(fields))
    assert not isinstance(event, MalformedEvent)
    assert encode_server(event, Dialect.GA) is not None
    assert encode_server(event, Dialect.BETA) is None


def test_a_server_s_session_follows_the_dialect() -> None:
    session = ServerSession(id="s", instructions="hi", truncation="auto", temperature=0.8)
    event = SessionCreated(session=session)
    assert written(encode_server(event, Dialect.GA))["session"] == {
        "type": "realtime",
        "id": "s",
        "instructions": "hi",
        "truncation": "auto",
    }
    assert written(encode_server(event, Dialect.BETA))["session"] == {
        "id": "s",
        "instructions": "hi",
        "temperature": 0.8,
    }


def test_a_server_s_transcription_session_has_beta_s_own_event() -> None:
    session = ServerTranscriptionSession(id="s")
    frame = encode_server(SessionCreated(session=session), Dialect.BETA)
    assert written(frame)["type"] == "transcription_session.created"
    event = decode_server(frame or b"")
    assert event == TranscriptionSessionCreated(session=session)
    assert written(encode_server(event, Dialect.GA))["type"] == "session.created"


def test_a_server_s_response_follows_the_dialect() -> None:
    item = MessageItem(id="i", role="assistant", content=(OutputText(text="hi"),))
    event = ResponseDone(response=Response(id="r", output=(item,), output_modalities=("audio",)))
    ga = written(encode_server(event, Dialect.GA))["response"]
    assert (ga["output_modalities"], ga["output"][0]["content"][0]["type"]) == (["audio"], "output_text")
    assert "temperature" not in ga
    beta = written(encode_server(event, Dialect.BETA))["response"]
    assert (beta["modalities"], beta["output"][0]["content"][0]["type"]) == (["text", "audio"], "text")


def test_a_part_s_own_event_has_the_short_name_in_both_dialects() -> None:
    event = ResponseContentPartAdded(item_id="i", part=OutputText(text=""))
    for dialect in Dialect:
        assert written(encode_server(event, dialect))["part"]["type"] == "text"


def test_the_name_of_a_call_is_ga_s_alone_when_its_arguments_are_done() -> None:
    event = ResponseFunctionCallArgumentsDone(item_id="i", call_id="c", arguments="{}", name="f")
    assert written(encode_server(event, Dialect.GA))["name"] == "f"
    assert "name" not in written(encode_server(event, Dialect.BETA))


def test_an_error_is_the_same_in_both_dialects() -> None:
    event = ErrorEvent(event_id="e", error=ErrorDetails(message="no"))
    assert encode_server(event, Dialect.GA) == encode_server(event, Dialect.BETA)


@pytest.mark.parametrize(
    "event",
    [
        MalformedEvent(reason="x", head="", size=0),
        ConversationUpdated(item=ItemView.of(MessageItem(role="user"))),
        ServerEvent(),
    ],
)
def test_what_is_no_server_event_is_not_written(event: Any) -> None:
    with pytest.raises(LocalProtocolError, match=type(event).__name__):
        encode_server(event)


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_client_event_that_is_not_known_here_is_written_as_it_is(dialect: Dialect) -> None:
    event = UnknownClientEvent(wire_type="odd.event", data={"modalities": ["text"], "type": "other", "event_id": "no"})
    assert written(encode_client(event, dialect)) == {"type": "odd.event", "modalities": ["text"], "event_id": "no"}
    event = UnknownClientEvent(wire_type="odd.event", event_id="e1", data={"event_id": "no"})
    assert written(encode_client(event, dialect)) == {"type": "odd.event", "event_id": "e1"}


def test_a_client_event_that_is_not_known_here_may_still_hold_what_cannot_be_sent() -> None:
    with pytest.raises(LocalProtocolError, match=r"odd\.event holds what cannot be sent as JSON"):
        encode_client(UnknownClientEvent(wire_type="odd.event", data={"x": object()}))


def test_a_done_item_is_written_with_its_place() -> None:
    event = ConversationItemDone(item=FunctionCallItem(id="i", name="f"), previous_item_id="p")
    assert decode_server(encode_server(event) or b"") == event
