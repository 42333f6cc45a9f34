"""``cancel_response``: what goes over the wire, what stays of the item, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from agentkit import LocalProtocolError, RealtimeClient

if TYPE_CHECKING:
    from tests.client.conftest import Record, Server

pytestmark = pytest.mark.anyio
WORDS = "one two three four five six seven eight nine ten"


async def speak(server: Server, client: RealtimeClient, *, ms: int = 2000, byte_rate: int = 48) -> None:
    """Begin an answer, and say some of it."""
    await server.begins()
    item = {"id": "i1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    await server.emit("response.output_item.added", response_id="r1", output_index=0, item=item)
    await server.adds("i1")
    await server.tells("output_audio_transcript", WORDS)
    await server.speaks(bytes(ms * byte_rate))
    await server.handled(client)


async def frames(server: Server, client: RealtimeClient) -> list[dict[str, Any]]:
    """Return what the client has written."""
    await server.handled(client)
    await client.realtime.send("marker.of_client")
    written = []
    while (frame := await server.next())["type"] != "marker.of_client":
        written.append({name: value for name, value in frame.items() if name != "event_id"})
    return written


async def test_the_item_is_cut_where_it_was_heard_and_the_response_is_stopped(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await speak(server, client)
        told = await client.cancel_response("i1", 24 * 700)
        assert told.item.id == told["item"].id == "i1"
        written = await frames(server, client)
    cut = {"type": "conversation.item.truncate", "item_id": "i1", "content_index": 0, "audio_end_ms": 700}
    assert cut in written
    assert [frame["type"] for frame in written if frame != cut] == ["response.cancel"]


@pytest.mark.parametrize("sample_count", [np.int64(24 * 700), 24 * 700.0])
async def test_samples_may_be_counted_by_numpy(server: Server, sample_count: Any) -> None:
    async with RealtimeClient(provider=server) as client:
        await speak(server, client)
        await client.cancel_response("i1", sample_count)
        ends = [frame["audio_end_ms"] for frame in await frames(server, client) if "audio_end_ms" in frame]
        assert ends == [700]


async def test_without_an_id_the_response_is_stopped_and_nothing_is_cut(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await speak(server, client)
        assert (await client.cancel_response()).item is None
        assert [frame["type"] for frame in await frames(server, client)] == ["response.cancel"]


async def test_an_item_whose_response_is_over_is_only_cut(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await speak(server, client)
        await server.finishes("i1", content=[{"type": "output_audio", "transcript": WORDS}])
        await server.ends()
        await server.handled(client)
        await client.cancel_response("i1", 24 * 700)
        assert [frame["type"] for frame in await frames(server, client)] == ["conversation.item.truncate"]


async def test_rb_08_nothing_is_sent_where_nothing_is_to_be_stopped(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await server.says("r1", "Hello")
        await server.handled(client)
        await client.cancel_response()
        await server.expect_nothing(client)


async def test_rb_32_more_samples_than_came_are_as_many_as_came(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await speak(server, client, ms=500)
        await client.cancel_response("i1", 24 * 5000)
        ends = [frame["audio_end_ms"] for frame in await frames(server, client) if "audio_end_ms" in frame]
        assert ends == [500]


@pytest.mark.parametrize("sample_count", [0])
async def test_an_item_of_which_nothing_was_heard_is_stopped_and_not_cut_at_its_beginning(
    server: Server, sample_count: int
) -> None:
    async with RealtimeClient(provider=server) as client:
        await speak(server, client)
        await client.cancel_response("i1", sample_count)
        assert [frame["type"] for frame in await frames(server, client)] == ["response.cancel"]


async def test_rb_20_samples_are_counted_at_the_rate_of_the_agents_audio(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.update_session(output_audio_format="g711_ulaw")
    async with client:
        await speak(server, client, byte_rate=8)
        await client.cancel_response("i1", 8 * 700)
        ends = [frame["audio_end_ms"] for frame in await frames(server, client) if "audio_end_ms" in frame]
        assert ends == [700]


async def test_a_cut_item_has_what_was_heard_of_it_and_no_more_audio(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "conversation.interrupted")
    async with client:
        await speak(server, client)
        await server.finishes("i1", content=[{"type": "output_audio", "transcript": WORDS}])
        await server.ends()
        await server.handled(client)
        await client.cancel_response("i1", 24 * 1000)
        await server.handled(client)
        item = client.conversation.get_item("i1")
        assert item is not None
        assert (item.interrupted, item.heard_ms, item["heard_text"]) == (True, 1000, "one two three four five")
        assert len(item.formatted.audio) == 24 * 1000
        assert item.formatted.transcript == WORDS
    assert told.events == []  # nobody has spoken


@pytest.mark.parametrize("sample_count", [-5, "4800", None, float("nan")])
async def test_what_is_no_number_of_samples_is_an_error(server: Server, sample_count: Any) -> None:
    async with RealtimeClient(provider=server) as client:
        await speak(server, client)
        with pytest.raises(ValueError, match="a number of samples"):
            await client.cancel_response("i1", sample_count)
        await server.expect_nothing(client)


async def test_the_users_speech_is_told_as_an_interruption(listening: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=listening)
    told = record(client, "conversation.interrupted")
    async with client:
        await speak(listening, client)
        client.session.playback.played("i1", 1000)
        await listening.emit("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
        await listening.handled(client)
    assert [(event.item_id, event.heard_ms) for event in told.events] == [("i1", 1000)]


async def test_what_still_comes_of_a_cut_item_is_not_added_to_it(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await speak(server, client)
        await client.cancel_response("i1", 24 * 700)
        await server.speaks(bytes(48 * 1000))
        await server.handled(client)
        item = client.conversation.get_item("i1")
        assert item is not None
        assert len(item.formatted.audio) == 24 * 700


async def test_an_item_that_was_not_cut_was_not_interrupted(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await speak(server, client)
        item = client.conversation.get_item("i1")
        assert item is not None
        assert (item.interrupted, item.heard_ms, item.heard_text) == (False, None, None)


@pytest.mark.parametrize(
    "item_id, message",
    [
        ("nobody's", "there is no item"),
        ("user", "no message of the agent's"),
        ("call", "no message of the agent's"),
        ("text", "has no audio"),
    ],
)
async def test_what_cannot_be_cut_is_an_error_and_nothing_is_sent(server: Server, item_id: str, message: str) -> None:
    async with RealtimeClient(provider=server) as client:
        await server.begins()
        await server.adds("user", role="user", content=[{"type": "input_text", "text": "Hi"}])
        await server.adds("call", "function_call", call_id="c1", name="look", arguments="")
        await server.adds("text")
        await server.tells("output_text", "Hello", "text")
        await server.handled(client)
        with pytest.raises(LocalProtocolError, match=message):
            await client.cancel_response(item_id, 100)
        await server.expect_nothing(client)


async def test_after_a_cancel_the_next_response_waits_for_the_end_of_the_old_one(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await speak(server, client)
        await client.cancel_response()
        await server.next("response.cancel")
        await client.send_user_message_content(["Something else"])
        await server.next("conversation.item.create")
        await server.expect_nothing(client)
        await server.ends(status="cancelled")
        await server.next("response.create")


async def test_a_handler_may_cancel_the_response(server: Server) -> None:
    client = RealtimeClient(provider=server)

    @client.on("conversation.updated")
    async def stop(event: Any) -> None:
        if event.delta and event.delta.transcript and "seven" in event.item.formatted.transcript:
            await client.cancel_response()

    async with client:
        await speak(server, client)
        assert [frame["type"] for frame in await frames(server, client)] == ["response.cancel"]
