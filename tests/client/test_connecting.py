"""Connecting, disconnecting, and what stays between two connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from agentkit import (
    ConnectError,
    ConnectionLostError,
    LocalProtocolError,
    RealtimeClient,
    RemoteProtocolError,
    ServerError,
    SessionClosedError,
)
from agentkit.testing import FakeServer
from agentkit.transports.base import Provider, Transport

if TYPE_CHECKING:
    from tests.client.conftest import Record, Server

pytestmark = pytest.mark.anyio


class Unreachable(Provider):
    """Refuses the first connection, and lets the others through."""

    name = "unreachable"

    def __init__(self, server: FakeServer) -> None:
        self.dialect = server.dialect
        self.model = None
        self._server = server
        self._refused = False

    def connect(self) -> AbstractAsyncContextManager[Transport]:
        return self._connect()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Transport]:
        if not self._refused:
            self._refused = True
            raise ConnectError("nobody is there", retryable=True)
        async with self._server.connect() as transport:
            yield transport


async def test_a_client_is_connected_from_connect_to_disconnect(server: Server) -> None:
    client = RealtimeClient(provider=server)
    assert client.is_connected() is False
    await client.connect()
    assert client.is_connected() is True
    assert client.realtime.is_connected() is True
    await client.disconnect()
    assert client.is_connected() is False


async def test_connecting_twice_is_an_error_and_the_connection_stays(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        with pytest.raises(LocalProtocolError, match=r"use disconnect\(\) first"):
            await client.connect()
        await client.realtime.send("marker")
        await server.next("marker")


async def test_connecting_while_connecting_is_an_error(new_server: Callable[..., Server]) -> None:
    server = new_server(handshake=False)
    client = RealtimeClient(provider=server)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.connect)
        await wait_all_tasks_blocked()
        with pytest.raises(LocalProtocolError, match="connected already"):
            await client.connect()
        await server.emit("session.created", session=server.session)
    assert client.is_connected()
    await client.disconnect()


async def test_disconnecting_without_a_connection_does_nothing(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.disconnect()
    await client.connect()
    await client.disconnect()
    await client.disconnect()
    assert not client.is_connected()


async def test_two_tasks_may_disconnect_at_once(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "close")
    await client.connect()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.disconnect)
        tasks.start_soon(client.disconnect)
    assert told.names == ["close"]


async def test_the_low_level_connects_and_disconnects_the_client(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.realtime.connect()
    assert client.is_connected()
    await client.realtime.disconnect()
    assert not client.is_connected()


async def test_a_disconnect_is_told_as_a_close_without_an_error(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "close", "error")
    async with client:
        pass
    assert told.names == ["close"]
    (closed,) = told.events
    assert (closed.error, closed.cause, closed.code, closed.reason) == (False, "closed", None, None)
    assert closed["error"] is False


async def test_a_fault_in_the_with_block_disconnects_and_is_raised(server: Server) -> None:
    client = RealtimeClient(provider=server)
    with pytest.raises(ZeroDivisionError):
        async with client:
            raise ZeroDivisionError
    assert not client.is_connected()


async def test_a_handler_of_the_first_event_finds_the_client_connected(server: Server) -> None:
    client = RealtimeClient(provider=server)

    @client.realtime.on("server.session.created")
    async def created(event: Any) -> None:
        assert client.is_connected()
        await client.send_user_message_content("Hi")

    async with client:
        await server.next("conversation.item.create")
        await server.next("response.create")


async def test_what_is_set_while_the_client_connects_reaches_the_server(new_server: Callable[..., Server]) -> None:
    server = new_server()
    client = RealtimeClient(provider=server)
    await client.update_session(voice="verse")
    server.holding = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.connect)
        await wait_all_tasks_blocked()
        await client.update_session(instructions="Late.")
        await client.add_tool({"name": "look"}, lambda: 1)
        server.holding = False
        await server.confirm(server.held[0])
    assert [list(asked) for asked in server.asked] == [["audio"], ["tools"], ["instructions"]]
    assert client.is_connected()
    await client.disconnect()


# Connect again


async def test_handlers_tools_and_settings_stay_for_the_next_connection(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "conversation.item.completed")
    await client.update_session(instructions="Be brief.")
    await client.add_tool({"name": "look"}, lambda: "seen")
    for _ in range(2):
        async with client:
            await server.says("r1", "Hello")
            await server.calls("r2", c1=("look", "{}"))
            assert await server.output() == ("c1", "seen")
            await server.next("response.create")
            await server.handled(client)
    assert [event.item.type for event in told.events] == ["message", "function_call"] * 2
    assert server.asked[0]["instructions"] == "Be brief."
    assert [tool["name"] for tool in server.asked[0]["tools"]] == ["look"]


async def test_the_conversation_is_empty_in_the_next_connection(server: Server) -> None:
    client = RealtimeClient(provider=server)
    async with client:
        await server.says("r1", "Hello")
        await server.handled(client)
        assert [item.id for item in client.conversation.get_items()] == ["item_r1"]
    assert client.conversation.get_items() == []
    async with client:
        assert client.conversation.get_items() == []
        assert client.conversation.get_item("item_r1") is None


async def test_rb_01_frames_that_come_after_a_disconnect_are_told_to_nobody(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "conversation.updated", "error", "realtime.event")
    await client.connect()
    await server.begins()
    await server.adds("i1")
    await server.handled(client)
    await client.disconnect()
    before = len(told.told)
    with pytest.raises((SessionClosedError, ConnectionLostError)):
        await server.speaks(b"\0\0")
    async with client:
        await server.handled(client)
        assert client.conversation.get_items() == []
    assert {event["event"]["type"] for event in told.events[before:]} == {"session.created", "marker"}


async def test_reset_disconnects_and_forgets_handlers_settings_and_tools(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    told = [record(client, "*"), record(client.realtime, "*")]
    await client.connect()
    await client.update_session(instructions="Be brief.")
    await client.add_tool({"name": "look"}, lambda: "seen")
    await client.reset()
    assert not client.is_connected()
    assert (client.session_config, client.tools) == ({}, {})
    before = [len(each.told) for each in told]
    server.updates.clear()
    async with client:
        await server.says("r1", "Hello")
        await server.handled(client)
    assert server.updates == []
    assert [len(each.told) for each in told] == before


# What fails


async def test_a_connection_that_cannot_be_opened_is_raised_and_may_be_tried_again(server: Server) -> None:
    client = RealtimeClient(provider=Unreachable(server))
    with pytest.raises(ConnectError, match="nobody is there"):
        await client.connect()
    assert not client.is_connected()
    async with client:
        assert client.is_connected()


async def test_settings_that_are_refused_are_raised_by_connect_which_may_be_tried_again(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.update_session(instructions="No.")
    server.refusals = ["session.instructions"]
    with pytest.raises(ServerError) as caught:
        await client.connect()
    assert caught.value.param == "session.instructions"
    assert not client.is_connected()
    await client.update_session(instructions="Yes.")
    async with client:
        assert server.asked[-1] == {"instructions": "Yes."}


async def test_a_server_that_says_nothing_is_no_realtime_server(new_server: Callable[..., Server]) -> None:
    client = RealtimeClient(provider=new_server(handshake=False), ready_timeout=0.01)
    with pytest.raises(RemoteProtocolError, match=r"session\.created"):
        await client.connect()
    assert not client.is_connected()


async def test_a_connect_that_is_cancelled_leaves_no_connection(new_server: Callable[..., Server]) -> None:
    server = new_server(handshake=False)
    client = RealtimeClient(provider=server)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.connect)
        await wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    await wait_all_tasks_blocked()
    assert not client.is_connected()
    with pytest.raises((SessionClosedError, ConnectionLostError)):
        await server.emit("session.created", session=server.session)


async def test_a_disconnect_while_connecting_ends_the_connect(new_server: Callable[..., Server]) -> None:
    server = new_server(handshake=False)
    client = RealtimeClient(provider=server)

    async def connect() -> None:
        with pytest.raises(SessionClosedError, match="disconnected while it connected"):
            await client.connect()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connect)
        await wait_all_tasks_blocked()
        await client.disconnect()
    assert not client.is_connected()


@pytest.mark.parametrize(
    "code, reason, cause",
    [(1011, "out of order", "connection_lost"), (1001, "", "connection_lost"), (4000, "too old", "ended_by_server")],
)
async def test_a_connection_that_is_lost_is_told_as_an_error_and_a_close(
    server: Server, record: Callable[..., Record], code: int, reason: str, cause: str
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "error", "close")
    closed = anyio.Event()
    client.on("close", lambda event: closed.set())
    await client.connect()
    await server.close(code, reason)
    with anyio.fail_after(5):
        await closed.wait()
    assert told.names == ["error", "close"]
    failure, close = told.events
    assert isinstance(failure.error, ConnectionLostError)
    assert (failure.code, failure["message"]) == ("connection_lost", str(failure.error))
    assert (close.error, close.code, close.cause) == (True, code, cause)
    assert reason in close.reason
    assert not client.is_connected()
    await client.disconnect()


async def test_after_a_lost_connection_the_client_connects_again_without_a_disconnect(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.connect()
    closed = anyio.Event()
    client.on("close", lambda event: closed.set())
    await server.close(1011)
    with anyio.fail_after(5):
        await closed.wait()
    await client.connect()
    assert client.is_connected()
    await client.disconnect()


async def test_rb_05_an_error_and_a_reset_both_reach_the_error_handler(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "error")
    closed = anyio.Event()
    client.on("close", lambda event: closed.set())
    await client.connect()
    await client.realtime.send("conversation.item.delete", {"item_id": "zz", "event_id": "evt1"})
    await server.next("conversation.item.delete")
    await server.refuses("item_delete_invalid_item_id", "evt1")
    await server.close(1011)
    with anyio.fail_after(5):
        await closed.wait()
    first, second = told.events
    assert (first.code, first.event_id, first.command.item_id) == ("item_delete_invalid_item_id", "evt1", "zz")
    assert (first.type, second.code) == ("error", "connection_lost")
