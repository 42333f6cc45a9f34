"""From one connection to the next: handlers finish what they do, and nobody is told of another's end."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentkit import ConnectionLostError, RealtimeClient, ServerError
from agentkit.client import connection as module
from agentkit.session import fanout

if TYPE_CHECKING:
    from tests.client.conftest import Record, Server

pytestmark = pytest.mark.anyio


async def test_a_handler_that_disconnects_finishes_what_it_does(server: Server) -> None:
    client, saved = RealtimeClient(provider=server), anyio.Event()

    @client.on("conversation.item.appended")
    async def stop(event: Any) -> None:
        await client.disconnect()
        await anyio.wait_all_tasks_blocked()
        saved.set()

    await client.connect()
    await server.adds("i1")
    with anyio.fail_after(5):
        await saved.wait()


async def test_a_handler_that_waited_for_an_event_is_not_cut_short_by_a_disconnect(server: Server) -> None:
    client, began, saved = RealtimeClient(provider=server), anyio.Event(), anyio.Event()

    @client.on("conversation.item.appended")
    async def wait(event: Any) -> None:
        if began.is_set():
            return
        began.set()
        await client.wait_for_next("conversation.item.appended")
        await anyio.wait_all_tasks_blocked()
        saved.set()

    await client.connect()
    await server.adds("i1")
    await began.wait()
    await server.adds("i2")
    await server.handled(client)
    await client.disconnect()
    assert saved.is_set()


async def test_a_handler_of_close_may_take_its_time_to_connect_again(
    server: Server, new_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0)
    client, connected = RealtimeClient(provider=server), anyio.Event()
    following = new_server()

    @client.on("close")
    async def again(event: Any) -> None:
        if not event.error:
            return
        await anyio.wait_all_tasks_blocked()  # longer than handlers have once the program has disconnected
        client._provider = following
        await client.connect()
        connected.set()

    await client.connect()
    await server.close(1011)
    with anyio.fail_after(5):
        await connected.wait()
    assert client.is_connected()
    await client.disconnect()


async def test_who_waits_for_the_next_connections_events_is_not_told_of_the_last_ones_end(
    server: Server, new_server: Callable[..., Server]
) -> None:
    client, got, slow = RealtimeClient(provider=server), [], anyio.Event()
    following = new_server()

    @client.on("close")
    async def busy(event: Any) -> None:
        await slow.wait()

    async def follow() -> None:
        await client.wait_for_next("close")
        client._provider = following
        await client.connect()
        got.append((await client.wait_for_next_item()).item.id)

    await client.connect()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        await server.close(1011)
        await anyio.wait_all_tasks_blocked()
        slow.set()
        await anyio.wait_all_tasks_blocked()
        await following.adds("i9")
    assert got == ["i9"]
    await client.disconnect()


async def test_waiting_after_the_connection_was_lost_says_so(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.connect()
    await server.close(1011)
    with pytest.raises(ConnectionLostError):
        await client.wait_for_next_completed_item()
    with anyio.fail_after(5), pytest.raises(ConnectionLostError):
        await client.wait_for_next_completed_item()


async def test_what_came_of_a_connection_that_failed_is_told(server: Server, record: Callable[..., Record]) -> None:
    server.refusals = ["session.voice"]
    client = RealtimeClient(provider=server)
    told, wire = record(client, "error", "close"), record(client.realtime, "server.error")
    await client.update_session(voice="nobody")
    with pytest.raises(ServerError):
        await client.connect()
    assert told.names == ["error"]
    assert told.events[0].param == "session.voice"
    assert wire.names == ["server.error"]


@pytest.mark.parametrize("name", ["conversation.updated", "server.response.output_audio.delta"])
async def test_audio_that_nobody_takes_in_time_is_dropped_oldest_first(
    server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "MAX_AUDIO_BYTES", 10_000)
    client, began, go = RealtimeClient(provider=server), anyio.Event(), anyio.Event()
    heard: list[bytes] = []

    async def slow(event: Any) -> None:
        began.set()
        await go.wait()
        if "delta" in event:
            delta = event["delta"]
            heard.append(base64.b64decode(delta) if isinstance(delta, str) else delta.audio.tobytes())

    (client.realtime if name.startswith("server") else client).on(name, slow)
    await client.connect()
    await server.begins()
    for number in range(20):
        await server.speaks(bytes([number, 0]) * 960)
    await began.wait()
    await anyio.wait_all_tasks_blocked()
    queue = client._connection._tap.queue if client._connection is not None else None
    assert queue is not None
    assert queue.dropped_audio > 0
    go.set()
    await server.handled(client)
    assert heard[-1] == bytes([19, 0]) * 960
    assert len(heard) < 20
    await client.disconnect()
