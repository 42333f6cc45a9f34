"""Without a connection, disconnecting in a handler, and the end of the event loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from agentkit import Local, LocalProtocolError, RealtimeClient

if TYPE_CHECKING:
    from tests.client.conftest import Record, Server

pytestmark = pytest.mark.anyio


# Without a connection


async def test_what_needs_a_connection_says_so(server: Server) -> None:
    client = RealtimeClient(provider=server)
    calls: list[Callable[[], Any]] = [
        client.create_response,
        client.cancel_response,
        client.wait_for_session_created,
        client.send_user_message_content,
        partial(client.send_user_message_content, [{"type": "input_text", "text": "x"}]),
        partial(client.delete_item, "i1"),
        partial(client.realtime.send, "response.create"),
    ]
    for call in calls:
        with pytest.raises(LocalProtocolError, match=r"use connect\(\) first"):
            await call()


async def test_rb_13_audio_without_a_connection_is_dropped_and_counted(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.append_input_audio(bytes(100))
    assert client.dropped_input == 100
    async with client:
        await client.append_input_audio(bytes(10))
    await client.append_input_audio(bytes(100))
    assert client.dropped_input == 200


async def test_the_session_is_there_once_connected(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.wait_for_session_created()
        assert client.session.settings is not None


# In a handler, and at the end of the event loop


async def test_a_handler_may_disconnect(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "close", "error")
    over = anyio.Event()

    @client.on("conversation.item.completed")
    async def stop(event: Any) -> None:
        session = client.session
        await client.disconnect()
        assert session.ended is not None
        assert not client.is_connected()
        over.set()

    await client.connect()
    await server.says("r1", "Hello")
    with anyio.fail_after(5):
        await over.wait()
    await client.disconnect()
    await wait_all_tasks_blocked()
    assert told.names == ["close"]


async def test_a_handler_may_reset(server: Server) -> None:
    client = RealtimeClient(provider=server)
    over = anyio.Event()

    @client.on("conversation.item.completed")
    async def stop(event: Any) -> None:
        await client.reset()
        over.set()

    await client.connect()
    await server.says("r1", "Hello")
    with anyio.fail_after(5):
        await over.wait()
    assert not client.is_connected()


async def test_a_handler_of_close_may_connect_again(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    again = anyio.Event()

    @client.on("close")
    async def reconnect(event: Any) -> None:
        if event.error:
            await client.connect()
            again.set()

    told = record(client, "conversation.item.completed", "error", "close")
    await client.connect()
    await server.close(1011)
    with anyio.fail_after(5):
        await again.wait()
    await server.says("r1", "Hello")
    await server.handled(client)
    await client.disconnect()
    assert told.names == ["error", "close", "conversation.item.completed", "close"]


@pytest.mark.parametrize("lost", [False, True])
async def test_a_handler_of_close_may_disconnect(server: Server, lost: bool) -> None:
    client = RealtimeClient(provider=server)
    over = anyio.Event()

    @client.on("close")
    async def closed(event: Any) -> None:
        await client.disconnect()
        over.set()

    await client.connect()
    await (server.close(1011) if lost else client.disconnect())
    with anyio.fail_after(5):
        await over.wait()
    assert not client.is_connected()


async def test_a_disconnect_waits_until_the_handlers_were_told(server: Server) -> None:
    client = RealtimeClient(provider=server)
    told: list[str] = []

    @client.on("*")
    async def slowly(event: Any) -> None:
        await wait_all_tasks_blocked()
        told.append(type(event).__name__)

    await client.connect()
    await client.disconnect()
    assert told[-1] == "Closed"


def test_a_program_that_ends_without_disconnecting_ends(anyio_backend: str) -> None:
    async def main() -> RealtimeClient:
        client = RealtimeClient(provider=Local())
        await client.connect()
        return client

    assert not anyio.run(main, backend=anyio_backend).is_connected()
