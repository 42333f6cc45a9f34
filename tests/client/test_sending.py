"""What the client says: messages, audio, responses, items, and raw events."""

from __future__ import annotations

import base64
import logging
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from agentkit import LocalProtocolError, RealtimeClient
from agentkit.events import Dialect, InputText

if TYPE_CHECKING:
    from tests.client.conftest import Record, Server

pytestmark = pytest.mark.anyio
SAMPLES = np.array([0, 1, -1, 32767, -32768], dtype=np.int16)
PCM = SAMPLES.astype("<i2").tobytes()
TEXT = {"type": "input_text", "text": "Hi"}
IMAGE = "data:image/png;base64,AAAA"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def content(server: Server) -> list[dict[str, Any]]:
    """Return the content of the next frame, which has to be a message of the user's."""
    item = (await server.next("conversation.item.create"))["item"]
    assert (item["type"], item["role"]) == ("message", "user")
    parts: list[dict[str, Any]] = item["content"]
    return parts


# Messages


@pytest.mark.parametrize(
    "given",
    [
        [{"type": "input_text", "text": "Hi"}],
        ["Hi"],
        [InputText(text="Hi")],
        "Hi",
        {"type": "input_text", "text": "Hi"},
    ],
    ids=["mappings", "strings", "parts", "string", "mapping"],
)
async def test_text_is_sent_as_a_message_and_answered(server: Server, given: Any) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.send_user_message_content(given)
        assert await content(server) == [{"type": "input_text", "text": "Hi"}]
        await server.next("response.create")
        await server.expect_nothing(client)


@pytest.mark.parametrize(
    "audio",
    [PCM, bytearray(PCM), memoryview(PCM), SAMPLES, array("h", SAMPLES), b64(PCM)],
    ids=lambda x: type(x).__name__,
)
async def test_audio_in_a_message_is_sent_as_base64(server: Server, audio: Any) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.send_user_message_content([{"type": "input_audio", "audio": audio}])
        assert await content(server) == [{"type": "input_audio", "audio": b64(PCM)}]


async def test_an_image_is_sent_with_the_text(server: Server) -> None:
    image = {"type": "input_image", "image_url": IMAGE}
    async with RealtimeClient(provider=server) as client:
        await client.send_user_message_content([{"type": "input_text", "text": "What is it?"}, image])
        assert await content(server) == [{"type": "input_text", "text": "What is it?"}, image]


async def test_an_empty_message_only_asks_for_a_response(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.send_user_message_content()
        await server.next("response.create")
        await client.send_user_message_content([])
        await server.expect_nothing(client)


@pytest.mark.parametrize(
    "part, message",
    [
        ({"text": "Hi"}, "has no type"),
        ({"type": "input_txt", "text": "Hi"}, "its type should be input_text"),
        ({"type": "text", "text": "Hi"}, "its type should be input_text"),
        ({"type": "input_text", "txt": "Hi"}, "its field 'txt' should be text"),
        ({"type": "input_text", "text": 5}, "input_text"),
        ({"type": "input_text", "text": object()}, "input_text"),
        ({"type": "input_audio", "audio": 1.5}, "not float"),
        ({"type": "input_audio", "audio": [1, 2]}, "array of 16-bit numbers, not list"),
        ({"type": "input_audio", "audio": np.zeros(4, dtype=np.float32)}, "float32"),
    ],
)
async def test_a_part_that_cannot_be_sent_is_an_error_and_nothing_is_sent(
    server: Server, part: Any, message: str
) -> None:
    async with RealtimeClient(provider=server) as client:
        with pytest.raises((ValueError, TypeError), match=message):
            await client.send_user_message_content([{"type": "input_text", "text": "Hi"}, part])
        await server.expect_nothing(client)


async def test_rb_07_a_message_during_a_response_is_sent_at_once_and_answered_after_it(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await server.begins()
        await server.handled(client)
        await client.send_user_message_content(["Hi"])
        assert await content(server)
        await server.expect_nothing(client)
        await server.ends()
        await server.next("response.create")
        await server.expect_nothing(client)


async def test_rb_66_typed_text_leaves_the_users_audio_alone(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.append_input_audio(bytes(9600))
        await server.next("input_audio_buffer.append")
        await client.send_user_message_content(["Hi"])
        assert await content(server)
        await server.next("response.create")
        await server.expect_nothing(client)


# Audio


@pytest.mark.parametrize(
    "audio", [PCM, bytearray(PCM), memoryview(PCM), SAMPLES, array("h", SAMPLES)], ids=lambda x: type(x).__name__
)
async def test_audio_is_appended_as_base64(server: Server, audio: Any) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.append_input_audio(audio)
        assert (await server.next("input_audio_buffer.append"))["audio"] == b64(PCM)


@pytest.mark.parametrize("name", ["g711_ulaw", "g711_alaw"])
async def test_rb_20_samples_are_brought_into_the_sessions_format_and_bytes_are_in_it(
    server: Server, name: str
) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.update_session(input_audio_format=name)
        await client.append_input_audio(SAMPLES)
        await client.append_input_audio(b"\xd5\xff")
        assert len(base64.b64decode((await server.next("input_audio_buffer.append"))["audio"])) == len(SAMPLES)
        assert base64.b64decode((await server.next("input_audio_buffer.append"))["audio"]) == b"\xd5\xff"


@pytest.mark.parametrize("audio", [b"", np.array([], dtype=np.int16)], ids=["bytes", "array"])
async def test_no_audio_is_not_sent(server: Server, audio: Any) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.append_input_audio(audio)
        await server.expect_nothing(client)


@pytest.mark.parametrize("audio", [[1, 2], "AAAA", None, np.zeros(4)], ids=repr)
async def test_what_is_no_audio_is_an_error_and_nothing_is_sent(server: Server, audio: Any) -> None:
    async with RealtimeClient(provider=server) as client:
        with pytest.raises(TypeError, match="16-bit"):
            await client.append_input_audio(audio)
        await server.expect_nothing(client)


async def test_a_response_is_asked_for_after_the_users_audio_is_committed(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.append_input_audio(bytes(9600))
        await client.create_response()
        for name in ("input_audio_buffer.append", "input_audio_buffer.commit", "response.create"):
            await server.next(name)
        await server.expect_nothing(client)


async def test_rb_30_audio_is_committed_where_turn_detection_was_disabled(listening: Server) -> None:
    client = RealtimeClient(provider=listening)
    await client.update_session(turn_detection="none")
    async with client:
        await client.append_input_audio(bytes(9600))
        await client.create_response()
        for name in ("input_audio_buffer.append", "input_audio_buffer.commit", "response.create"):
            await listening.next(name)


async def test_rb_27_too_little_audio_is_not_committed(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.append_input_audio(bytes(40 * 48))
        await client.create_response()
        await server.next("input_audio_buffer.append")
        frame = await server.next()
        if frame["type"] == "input_audio_buffer.clear":
            frame = await server.next()
        assert frame["type"] == "response.create"


async def test_rb_27_nothing_is_committed_where_the_server_finds_the_turns(listening: Server) -> None:
    async with RealtimeClient(provider=listening) as client:
        await client.append_input_audio(bytes(9600))
        await client.create_response()
        await listening.next("input_audio_buffer.append")
        await listening.handled(client)
        await client.realtime.send("marker.of_client")
        assert (await listening.next())["type"] in ("response.create", "marker.of_client")


# Items, and raw events


async def test_an_item_is_deleted_by_its_id_and_told(server: Server, record: Callable[..., Any]) -> None:
    async with RealtimeClient(provider=server) as client:
        told = record(client, "conversation.updated")
        await server.says("r1", "Hello")
        await server.handled(client)
        await client.delete_item("item_r1")
        assert (await server.next("conversation.item.delete"))["item_id"] == "item_r1"
        await server.emit("conversation.item.deleted", item_id="item_r1")
        await server.handled(client)
        assert (told.events[-1].deleted, told.events[-1].item.formatted.text) == (True, "Hello")
        assert client.conversation.get_item("item_r1") is None


async def test_items_are_read_in_the_order_of_the_conversation(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        for item_id, previous in (("a", None), ("c", "a"), ("b", "a")):
            item = {"id": item_id, "type": "message", "role": "user", "content": [], "status": "completed"}
            await server.emit("conversation.item.added", item=item, previous_item_id=previous)
        await server.handled(client)
        assert [item.id for item in client.conversation.get_items()] == ["a", "b", "c"]
        found = client.conversation.get_item("b")
        assert found is not None
        assert (found.id, found["previous_item_id"]) == ("b", "a")


@pytest.mark.parametrize("dialect", list(Dialect), ids=str)
@pytest.mark.parametrize("kind", ["text", "output_text"])
async def test_raw_events_are_sent_in_the_servers_dialect_whichever_they_were_written_in(
    new_server: Callable[..., Server], dialect: Dialect, kind: str
) -> None:
    server = new_server(dialect)
    async with RealtimeClient(provider=server) as client:
        item = {"type": "message", "role": "assistant", "content": [{"type": kind, "text": "Hi"}]}
        await client.realtime.send("conversation.item.create", {"item": item})
        sent = (await server.next("conversation.item.create"))["item"]["content"]
        assert sent == [{"type": "text" if dialect is Dialect.BETA else "output_text", "text": "Hi"}]


async def test_a_raw_event_of_no_known_type_is_sent_as_it_is(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.realtime.send("made.up", {"x": [1, {"y": None}]})
        sent = await server.next("made.up")
        assert sent["x"] == [1, {"y": None}]


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("conversation.item.create", {"item": 5}, "conversation.item.create"),
        ("conversation.item.delete", {}, "item_id"),
        ("response.create", [1], "have to be a dict, not list"),
        ("made.up", {"x": object()}, "cannot be sent as JSON"),
    ],
)
async def test_raw_fields_that_do_not_fit_are_an_error_and_nothing_is_sent(
    server: Server, name: str, data: Any, message: str
) -> None:
    async with RealtimeClient(provider=server) as client:
        with pytest.raises(ValueError, match=message):
            await client.realtime.send(name, data)
        await server.expect_nothing(client)


async def test_a_raw_output_of_a_call_that_is_not_known_is_refused_here(server: Server) -> None:
    output = {"type": "function_call_output", "call_id": "nobody's", "output": "5"}
    async with RealtimeClient(provider=server) as client:
        with pytest.raises(LocalProtocolError, match="nobody's"):
            await client.realtime.send("conversation.item.create", {"item": output})
        await server.expect_nothing(client)


# Debugging


async def test_debug_logs_every_event_both_ways(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "agentkit.client")
    async with RealtimeClient(provider=server, debug=True) as client:
        await client.realtime.send("marker.of_client")
        await server.handled(client)
    said = [record.getMessage() for record in caplog.records if record.name == "agentkit.client"]
    assert [line.split(" {")[0] for line in said] == [
        "received session.created",
        "sent marker.of_client",
        "received marker",
    ]


async def test_without_debug_nothing_is_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "agentkit.client")
    async with RealtimeClient(provider=server) as client:
        await server.handled(client)
    assert [record for record in caplog.records if record.name == "agentkit.client"] == []


async def test_no_key_is_in_what_is_logged_or_shown(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    key = "canary0123456789abcdef"
    caplog.set_level(logging.DEBUG)
    client = RealtimeClient("ws://127.0.0.1:1/x", key, debug=True, headers={"X-Secret": f"{key}-too"})
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1") as caught:
        await client.connect()
    tool = {"type": "mcp", "server_label": "x", "authorization": key, "headers": {"Authorization": key}}
    shown = [repr(client), repr(client.realtime), repr(caught.value)]
    assert key not in "".join([*shown, caplog.text])
    async with RealtimeClient(provider=server, debug=True) as other:
        await other.realtime.send("session.update", {"session": {"type": "realtime", "tools": [tool]}})
        await server.handled(other)
    assert "sent session.update" in caplog.text
    assert key not in caplog.text


async def test_content_that_is_no_list_is_an_error(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        with pytest.raises(TypeError, match="a list of parts, not int"):
            await client.send_user_message_content(3)  # type: ignore[arg-type]  # what a caller may do


async def test_a_press_that_is_too_short_is_told(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "notice")
    async with client:
        await client.append_input_audio(bytes(48 * 50))
        await client.create_response()
        await server.handled(client)
    assert told.events[0].code == "input_too_short"
