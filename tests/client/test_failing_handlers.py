"""Handlers that fail, are slow, or never end: nobody else is held up, and nothing is lost without a word."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from trio.testing import MockClock

from agentkit import RealtimeClient

if TYPE_CHECKING:
    from tests.client.conftest import Record, Server

pytestmark = pytest.mark.anyio
VIRTUAL = [("trio", {"clock": MockClock(autojump_threshold=0)})]


async def test_a_failing_handler_stops_neither_the_next_nor_the_reader_and_is_told_by_error(
    server: Server, record: Callable[..., Record], caplog: pytest.LogCaptureFixture
) -> None:
    client = RealtimeClient(provider=server)

    @client.on("conversation.item.completed")
    async def fail(event: Any) -> None:
        raise ZeroDivisionError("nothing goes by nothing")

    told = record(client, "conversation.item.completed", "error")
    async with client:
        await server.says("r1", "one")
        await server.says("r2", "two")
        await server.handled(client)
        assert client.is_connected()
    assert told.names == ["conversation.item.completed", "error"] * 2
    failure = told.events[1]
    assert (type(failure.error), failure.code) == (ZeroDivisionError, "handler_failed")
    assert "conversation.item.completed failed: ZeroDivisionError: nothing goes by nothing" in failure.message
    assert [each for each in caplog.records if each.name == "agentkit.client"] == []  # a handler was told


async def test_what_no_handler_is_told_of_is_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    client = RealtimeClient(provider=server)

    @client.on("conversation.item.completed")
    def fail(event: Any) -> None:
        raise ZeroDivisionError("nothing goes by nothing")

    async with client:
        await server.says("r1", "one")
        await server.refuses("invalid_value")
        await server.handled(client)
    logged = [(each.levelno, each.getMessage()) for each in caplog.records if each.name == "agentkit.client"]
    assert logged == [
        (logging.ERROR, "a handler of conversation.item.completed failed"),
        (logging.WARNING, "refused: invalid_value"),
    ]


async def test_a_failing_handler_of_raw_events_is_told_by_error(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    client.realtime.on("server.response.*", lambda event: event["no such key"])
    told, raw = record(client, "error"), record(client.realtime, "server.response.done")
    async with client:
        await server.ends()
        await server.handled(client)
    assert [type(event.error) for event in told.events] == [KeyError]
    assert raw.names == ["server.response.done"]


async def test_a_failing_handler_of_errors_does_not_go_round_in_circles(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    client = RealtimeClient(provider=server)
    told: list[str] = []

    @client.on("error")
    def fail(event: Any) -> None:
        told.append(event.code)
        raise ZeroDivisionError

    async with client:
        await server.refuses("made_up")
        await server.handled(client)
        assert client.is_connected()
    assert told == ["made_up"]
    assert "a handler of error failed" in caplog.text


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_handler_that_awaits_a_cancelled_task_fails_like_any_other(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)

    @client.on_next("conversation.item.completed")
    async def fail(event: Any) -> None:
        task = asyncio.ensure_future(anyio.sleep_forever())
        task.cancel()
        await task

    told = record(client, "conversation.item.completed", "error")
    async with client:
        await server.says("r1", "one")
        await server.says("r2", "two")
        await server.handled(client)
    assert told.names == ["conversation.item.completed", "error", "conversation.item.completed"]
    assert isinstance(told.events[1].error, asyncio.CancelledError)


async def test_a_slow_handler_holds_back_no_tool_and_no_later_event_is_lost(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    go_on = anyio.Event()

    @client.on_next("conversation.item.completed")
    async def slow(event: Any) -> None:
        await go_on.wait()

    told = record(client, "conversation.item.completed")
    await client.add_tool({"name": "look"}, lambda: "seen")
    async with client:
        await server.says("r1", "one")
        await server.calls("r2", c1=("look", "{}"))
        assert await server.output() == ("c1", "seen")
        await server.next("response.create")
        assert [event.item.id for event in told.events] == ["item_r1"]
        item = client.conversation.get_item("item_c1")
        assert item is not None
        go_on.set()
        await server.handled(client)
        assert [event.item.id for event in told.events] == ["item_r1", "item_c1"]


@pytest.mark.parametrize("lost", [False, True])
async def test_a_handler_that_falls_too_far_behind_is_told_so_and_of_the_end(
    server: Server, record: Callable[..., Record], monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    monkeypatch.setattr("agentkit.session.fanout.MAX_EVENTS", 20)
    client = RealtimeClient(provider=server)
    go_on, closed = anyio.Event(), anyio.Event()

    @client.on_next("conversation.item.appended")
    async def slow(event: Any) -> None:
        await go_on.wait()

    told = record(client, "error", "close")
    client.on("close", lambda event: closed.set())
    await client.connect()
    await server.begins()
    await server.adds("i1")
    for _ in range(30):
        await server.tells("output_text", "x")
    await wait_all_tasks_blocked()
    if lost:
        await server.close(1011)
        await wait_all_tasks_blocked()
    go_on.set()
    if not lost:
        await server.handled(client)
        await client.disconnect()
    with anyio.fail_after(5):
        await closed.wait()
    assert told.names == (["error", "error", "close"] if lost else ["error", "close"])
    assert told.events[0].code == "slow_handlers"


@pytest.mark.parametrize("anyio_backend", VIRTUAL, ids=["trio-virtual"])
async def test_a_handler_that_never_ends_does_not_keep_a_disconnect_for_ever(server: Server) -> None:
    client = RealtimeClient(provider=server)
    cancelled = anyio.Event()

    @client.on("conversation.item.completed")
    async def hang(event: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    await client.connect()
    await server.says("r1", "one")
    await wait_all_tasks_blocked()
    await client.disconnect()
    assert cancelled.is_set()
