"""The client's own events: which come, in which order, and with what in them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from agentkit import RealtimeClient, ServerError
from agentkit.events import ConversationItemDelete

if TYPE_CHECKING:
    from tests.client.conftest import Record, Server

pytestmark = pytest.mark.anyio
OWN = (
    "conversation.item.appended",
    "conversation.updated",
    "conversation.item.completed",
    "conversation.interrupted",
    "error",
    "close",
)


async def test_an_answer_is_told_as_appended_updated_and_completed(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, *OWN)
    async with client:
        await server.says("r1", "Hello")
        await server.handled(client)
    expected = ["conversation.item.appended", *["conversation.updated"] * 3, "conversation.item.completed"]
    assert told.names[:5] == expected
    assert set(told.names[5:]) == {"conversation.updated", "close"}
    assert told.names.count("conversation.item.completed") == 1


async def test_an_item_that_is_added_twice_is_appended_once(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "conversation.item.appended")
    async with client:
        await server.begins()
        item = {"id": "i1", "type": "message", "role": "assistant", "content": []}
        await server.emit("response.output_item.added", response_id="r1", item=item)
        await server.adds("i1")
        await server.emit("conversation.item.created", item=item)
        await server.handled(client)
    assert [event.item.id for event in told.events] == ["i1"]


# Deltas


@pytest.mark.parametrize(
    "kind, delta, field, value",
    [
        ("output_text", "Hello", "text", "Hello"),
        ("text", "Hello", "text", "Hello"),
        ("output_audio_transcript", "Hello", "transcript", "Hello"),
        ("audio_transcript", "Hello", "transcript", "Hello"),
        ("output_audio", "AQD//w==", "audio", [1, -1]),
        ("audio", "AQD//w==", "audio", [1, -1]),
        ("function_call_arguments", '{"x"', "arguments", '{"x"'),
    ],
)
async def test_of_a_delta_exactly_the_kind_that_came_is_set(
    server: Server, record: Callable[..., Record], kind: str, delta: str, field: str, value: Any
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "conversation.updated")
    async with client:
        await server.begins()
        call = {"type_": "function_call", "call_id": "c1", "name": "look", "arguments": ""}
        await server.adds("i1", **call if field == "arguments" else {})
        await server.tells(kind, delta)
        await server.handled(client)
    got = told.events[-1].delta
    assert got.keys() == [field]
    found = got[field]
    assert getattr(got, field) is found
    if field == "audio":
        assert found.dtype == np.int16
        found = found.tolist()
    assert found == value
    assert [other for other in ("text", "transcript", "audio", "arguments") if other in got] == [field]


async def test_half_a_sample_at_the_end_of_a_delta_goes_with_the_next(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "conversation.updated")
    async with client:
        await server.begins()
        await server.adds("i1")
        for data in (b"\x01\x00\x02", b"\x00\x03", b"\x00"):
            await server.speaks(data)
        await server.handled(client)
    deltas = [event.delta.audio.tolist() for event in told.events if event.delta]
    assert [sample for delta in deltas for sample in delta] == [1, 2, 3]
    assert told.events[-1].item.formatted.audio.tolist() == [1, 2, 3]


async def test_what_the_user_said_comes_as_a_transcript(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "conversation.updated")
    name = "conversation.item.input_audio_transcription"
    async with client:
        content = [{"type": "input_audio", "transcript": None}]
        await server.adds("u1", role="user", status="completed", content=content)
        await server.emit(f"{name}.completed", item_id="u1", content_index=0, transcript="Good morning")
        await server.handled(client)
    last = told.events[-1]
    assert (last.item.role, last.item.formatted.transcript, last.item.formatted.text) == ("user", "Good morning", "")


async def test_an_update_of_the_whole_item_has_no_delta(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "conversation.updated")
    async with client:
        await server.adds("u1", role="user", status="completed")
        await server.handled(client)
    (event,) = told.events
    assert (event.delta, event["delta"], event.deleted) == (None, None, False)
    assert "delta" not in event
    assert event.get("delta", "none") == "none"


# Payloads are their reader's own


async def test_a_payload_does_not_change_with_later_events(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, *OWN[:3])
    async with client:
        await server.begins()
        await server.adds("i1")
        for word in ("One ", "two ", "three"):
            await server.tells("output_text", word)
            await server.speaks(b"\x01\x00")
        await server.handled(client)
        item = client.conversation.get_item("i1")
        await server.finishes("i1", content=[{"type": "output_text", "text": "One two three"}])
        await server.handled(client)
    events = [event for event in told.events if event.item.id == "i1"]
    assert [event.item.status for event in events[:8]] == ["in_progress"] * 8
    texts = [event.item.formatted.text for event in events if getattr(event, "delta", None) and event.delta.text]
    assert texts == ["One ", "One two ", "One two three"]
    sizes = [
        len(event.item.formatted.audio) for event in events if getattr(event, "delta", None) and "audio" in event.delta
    ]
    assert sizes == [1, 2, 3]
    assert item is not None
    assert (item.status, events[-1].item.status) == ("in_progress", "completed")


async def test_changing_a_raw_payload_changes_that_of_no_other_handler(server: Server) -> None:
    client = RealtimeClient(provider=server)
    seen: list[Any] = []

    def change(event: Any) -> None:
        event["response"]["output"].append("mine")
        event["type"] = "mine"

    client.realtime.on("server.response.done", change)
    client.realtime.on("server.response.done", seen.append)
    client.on("realtime.event", lambda event: change(event.event) if event.event.type == "response.done" else None)
    client.on("realtime.event", lambda event: seen.append(event.event))
    async with client:
        await server.ends()
        await server.handled(client)
    done = [event for event in seen if event["type"] != "marker" and "response" in event]
    assert [(event["type"], event.response.output) for event in done] == [("response.done", [])] * 2


async def test_changing_an_item_changes_that_of_no_other_handler(server: Server) -> None:
    client = RealtimeClient(provider=server)
    audio: list[Any] = []

    def change(event: Any) -> None:
        event.item.content.append("mine")
        event.item.formatted.audio[:] = 7
        event.delta.audio[:] = 7

    @client.on("conversation.updated")
    def updated(event: Any) -> None:
        if event.delta:
            change(event)

    @client.on("conversation.updated")
    def other(event: Any) -> None:
        if event.delta:
            audio.append((event.item.formatted.audio.tolist(), event.delta.audio.tolist(), len(event.item.content)))

    async with client:
        await server.begins()
        await server.adds("i1")
        await server.speaks(b"\x01\x00")
        await server.handled(client)
        item = client.conversation.get_item("i1")
    assert [each[:2] for each in audio] == [([1], [1])]
    assert item is not None
    assert "mine" not in list[Any](item.content)
    assert item.formatted.audio.tolist() == [1]


async def test_a_payload_is_read_by_attribute_and_by_key(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "conversation.item.completed")
    async with client:
        await server.says("r1", "Hello")
        await server.handled(client)
    (event,) = told.events
    assert event["item"]["formatted"]["text"] == event.item.formatted.text == "Hello"
    assert dict(event) == {"item": event.item}
    assert {"id", "type", "role", "status", "content", "formatted"} <= set(event.item.keys())
    with pytest.raises(KeyError):
        event["made_up"]
    with pytest.raises(AttributeError):
        event.item.made_up  # noqa: B018


# Raw events


async def test_every_frame_is_told_with_its_time_and_source_in_the_order_of_the_wire(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "realtime.event")
    async with client:
        await client.update_session(instructions="x")
        await client.send_user_message_content(["Hi"])
        await server.says("r1", "Hello")
        await server.handled(client)
    said = [(event.source, event.event.type) for event in told.events]
    assert said[:3] == [("server", "session.created"), ("client", "session.update"), ("server", "session.updated")]
    assert [name for source, name in said if source == "client"] == [
        "session.update",
        "conversation.item.create",
        "response.create",
    ]
    times = [datetime.fromisoformat(event["time"]) for event in told.events]
    assert times == sorted(times)
    assert all(time.utcoffset() == timedelta(0) for time in times)


async def test_client_events_are_told_on_the_low_level_as_written(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client.realtime, "client.*")
    async with client:
        await client.send_user_message_content(["Hi"])
        written = [await server.next("conversation.item.create"), await server.next("response.create")]
        await server.handled(client)
    assert told.events == written


async def test_rb_25_an_event_that_nobody_knows_is_told_as_it_is_and_the_next_one_too(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client.realtime, "server.made.up", "server.response.done")
    async with client:
        await server.emit("made.up", x=[1, {"y": 2}])
        await server.emit("response.done", response=5)
        await server.ends()
        await server.handled(client)
    assert told.names == ["server.made.up", "server.response.done", "server.response.done"]
    assert told.events[0]["x"][1].y == 2


@pytest.mark.parametrize("frame", [b"not json", b"[1]", b"\xff\xfe", b'{"type": 5}', b"null", b"[" * 5000])
async def test_a_frame_that_is_no_event_is_told_raw_and_the_client_goes_on(
    server: Server, record: Callable[..., Record], frame: bytes
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "realtime.event")
    async with client:
        await server.emit_raw(frame)
        await server.handled(client)
        assert client.is_connected()
    assert len(told.events) == 3
    assert told.events[1].source == "server"


# Errors and interruptions


async def test_an_error_of_the_server_has_its_code_and_the_event_that_caused_it(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "error")
    async with client:
        await client.delete_item("nobody's")
        sent = await server.next("conversation.item.delete")
        await server.refuses("item_delete_invalid_item_id", sent["event_id"], param="item_id")
        await server.handled(client)
    (failure,) = told.events
    assert isinstance(failure.error, ServerError)
    assert (failure.type, failure["code"]) == ("error", "item_delete_invalid_item_id")
    assert (failure.param, failure.event_id) == ("item_id", sent["event_id"])
    assert failure.message == str(failure.error)
    assert isinstance(failure.command, ConversationItemDelete)


async def test_rb_08_a_cancel_that_came_too_late_is_no_error(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "error")
    async with client:
        await server.begins()
        await server.handled(client)
        await client.cancel_response()
        sent = await server.next("response.cancel")
        await server.ends()
        await server.refuses("response_cancel_not_active", sent["event_id"])
        await server.handled(client)
    assert told.names == []


async def test_the_users_speech_over_the_agents_is_told_as_an_interruption(
    listening: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=listening)
    told = record(client, "conversation.interrupted")
    async with client:
        await listening.begins()
        await listening.adds("i1")
        await listening.tells("output_audio_transcript", "one two three four")
        await listening.speaks(bytes(48 * 2000))
        await listening.handled(client)
        client.session.playback.played("i1", 1000)
        await listening.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
        await listening.handled(client)
    (event,) = told.events
    assert (event.item_id, event["heard_ms"]) == ("i1", 1000)
    assert "one two three four".startswith(event.heard_text)


async def test_the_users_speech_over_silence_is_no_interruption(
    listening: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=listening)
    told = record(client, "conversation.interrupted")
    async with client:
        await listening.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
        await listening.handled(client)
    assert told.names == []
