"""Waiting for the next event: it comes, or the time is over, or the connection is; nothing stays behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from trio.testing import MockClock

from agentkit import ConnectionLostError, Local, RealtimeClient, SessionClosedError

if TYPE_CHECKING:
    from tests.client.conftest import Server

pytestmark = pytest.mark.anyio
VIRTUAL = [("trio", {"clock": MockClock(autojump_threshold=0)})]


async def user_item(server: Server, item_id: str, status: str = "completed") -> None:
    content = [{"type": "input_text", "text": item_id}]
    item = {"id": item_id, "type": "message", "role": "user", "content": content, "status": status}
    await server.emit("conversation.item.added", item=item)


async def test_the_next_item_is_returned_though_it_is_not_complete(server: Server) -> None:
    async with RealtimeClient(provider=server) as client, anyio.create_task_group() as tasks:
        items: list[Any] = []

        async def wait() -> None:
            items.append((await client.wait_for_next_item(5)).item)

        tasks.start_soon(wait)
        await wait_all_tasks_blocked()
        await server.begins()
        await server.adds("i1")
        await server.handled(client)
        assert [(item.id, item.status) for item in items] == [("i1", "in_progress")]


async def test_the_next_completed_item_is_the_one_that_is_complete(server: Server) -> None:
    async with RealtimeClient(provider=server) as client, anyio.create_task_group() as tasks:
        told: list[Any] = []

        async def wait() -> None:
            told.append(await client.wait_for_next_completed_item(5))

        tasks.start_soon(wait)
        await wait_all_tasks_blocked()
        await server.begins()
        await server.adds("i1")
        await server.handled(client)
        assert told == []
        await server.finishes("i1", content=[{"type": "output_text", "text": "Hello"}])
        await server.handled(client)
        assert [event["item"]["formatted"]["text"] for event in told] == ["Hello"]


async def test_an_item_that_was_cut_off_is_not_completed(server: Server) -> None:
    async with RealtimeClient(provider=server) as client, anyio.create_task_group() as tasks:
        ids: list[str] = []

        async def wait() -> None:
            ids.append((await client.wait_for_next_completed_item(5)).item.id)

        tasks.start_soon(wait)
        await wait_all_tasks_blocked()
        await server.says("r1", "Hel", status="incomplete")
        await server.says("r2", "Hello")
        await server.handled(client)
        assert ids == ["item_r2"]


@pytest.mark.parametrize("name", ["server.response.done", "server.response.*", "*.done", "server.response.d?ne"])
async def test_raw_events_can_be_waited_for_by_name_and_by_pattern(server: Server, name: str) -> None:
    async with RealtimeClient(provider=server) as client, anyio.create_task_group() as tasks:
        types: list[str] = []

        async def wait() -> None:
            types.append((await client.realtime.wait_for_next(name, 5))["type"])

        tasks.start_soon(wait)
        await wait_all_tasks_blocked()
        await server.emit("rate_limits.updated", rate_limits=[])
        await server.ends()
        await server.handled(client)
        assert types == ["response.done"]


async def test_everybody_who_waits_for_an_event_gets_it(server: Server) -> None:
    async with RealtimeClient(provider=server) as client, anyio.create_task_group() as tasks:
        ids: list[str] = []

        async def wait() -> None:
            ids.append((await client.wait_for_next_item(5)).item.id)

        for _ in range(3):
            tasks.start_soon(wait)
        await wait_all_tasks_blocked()
        await user_item(server, "a")
        await server.handled(client)
        assert ids == ["a"] * 3


async def test_a_loop_of_waits_misses_nothing_that_comes_at_once(server: Server) -> None:
    async with RealtimeClient(provider=server) as client, anyio.create_task_group() as tasks:
        ids: list[str] = []

        async def wait() -> None:
            while len(ids) < 20:
                ids.append((await client.wait_for_next_completed_item(5)).item.id)

        tasks.start_soon(wait)
        await wait_all_tasks_blocked()
        for number in range(20):
            await user_item(server, str(number))
        await server.handled(client)
        assert ids == [str(number) for number in range(20)]


async def test_a_loop_of_waits_sees_every_delta(server: Server) -> None:
    async with RealtimeClient(provider=server) as client, anyio.create_task_group() as tasks:
        text: list[str] = []

        async def wait() -> None:
            while "".join(text) != "0123456789":
                event = await client.wait_for_next("conversation.updated", 5)
                text.append(event.delta.text if event.delta else "")

        tasks.start_soon(wait)
        await wait_all_tasks_blocked()
        await server.begins()
        await server.adds("i1")
        for number in range(10):
            await server.tells("output_text", str(number))


# The time is over


@pytest.mark.parametrize("anyio_backend", VIRTUAL, ids=["trio-virtual"])
@pytest.mark.parametrize("method", ["wait_for_next_item", "wait_for_next_completed_item"])
async def test_a_wait_for_an_item_ends_with_its_time(server: Server, method: str) -> None:
    async with RealtimeClient(provider=server) as client:
        began = anyio.current_time()
        with pytest.raises(TimeoutError):
            await getattr(client, method)(timeout=30)
        assert anyio.current_time() - began == pytest.approx(30)


async def test_rb_35_a_wait_whose_time_is_over_leaves_no_listener(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await client.realtime.wait_for_next("server.x", 0)
            assert not client.realtime.listened("server.x")
            with pytest.raises(TimeoutError):
                await client.wait_for_next("conversation.updated", 0)
            assert not client.listened("conversation.updated")


async def test_a_wait_that_is_cancelled_leaves_no_listener(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.wait_for_next, "conversation.updated")
            await wait_all_tasks_blocked()
            assert client.listened("conversation.updated")
            tasks.cancel_scope.cancel()
        assert not client.listened("conversation.updated")


async def test_a_wait_that_is_over_leaves_no_listener(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.wait_for_next_item)
            await wait_all_tasks_blocked()
            await user_item(server, "a")
        assert not client.listened("conversation.item.appended")


# The connection is over


@pytest.mark.parametrize("lost", [False, True])
async def test_rb_35_the_end_of_the_connection_wakes_everybody_who_waits(server: Server, lost: bool) -> None:
    client = RealtimeClient(provider=server)
    woken: list[type[BaseException]] = []

    async def wait(method: Callable[..., Any], *args: Any) -> None:
        with pytest.raises((SessionClosedError, ConnectionLostError)) as caught:
            await method(*args)
        woken.append(caught.type)

    await client.connect()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, client.wait_for_next_item)
        tasks.start_soon(wait, client.wait_for_next_completed_item, 60)
        tasks.start_soon(wait, client.wait_for_next, "conversation.interrupted")
        tasks.start_soon(wait, client.realtime.wait_for_next, "server.never")
        await wait_all_tasks_blocked()
        await (server.close(1011) if lost else client.disconnect())
    assert woken == [ConnectionLostError if lost else SessionClosedError] * 4
    assert not client.listened("conversation.interrupted")
    assert not client.realtime.listened("server.never")


async def test_who_waits_for_the_close_gets_it(server: Server) -> None:
    client = RealtimeClient(provider=server)
    causes: list[str] = []

    async def wait() -> None:
        causes.append((await client.wait_for_next("close", 5)).cause)

    await client.connect()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await wait_all_tasks_blocked()
        await client.disconnect()
    assert causes == ["closed"]


async def test_a_reset_wakes_who_waits(server: Server) -> None:
    client = RealtimeClient(provider=server)

    async def wait() -> None:
        with pytest.raises(SessionClosedError):
            await client.wait_for_next_item()

    await client.connect()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await wait_all_tasks_blocked()
        await client.reset()


# In a handler


async def test_a_handler_may_wait_for_a_later_event(server: Server) -> None:
    client = RealtimeClient(provider=server)
    pairs: list[tuple[str, str]] = []

    @client.on_next("conversation.item.completed")
    async def first(event: Any) -> None:
        later = await client.wait_for_next_completed_item(5)
        pairs.append((event.item.id, later.item.id))

    async with client:
        await user_item(server, "a")
        await user_item(server, "b")
        await server.handled(client)
        await wait_all_tasks_blocked()
    assert pairs == [("a", "b")]


async def test_events_go_on_in_order_while_handlers_wait(server: Server) -> None:
    client = RealtimeClient(provider=server)
    ids: list[str] = []
    waited: list[tuple[str, str]] = []

    @client.on("conversation.item.completed")
    async def wait(event: Any) -> None:
        if event.item.id in "036":
            later = await client.wait_for_next_completed_item(5)
            waited.append((event.item.id, later.item.id))

    client.on("conversation.item.completed", lambda event: ids.append(event.item.id))
    async with client:
        for number in range(9):
            await user_item(server, str(number))
        await server.handled(client)
        await wait_all_tasks_blocked()
    assert waited == [("0", "1"), ("3", "4"), ("6", "7")]
    assert sorted(ids) == [str(number) for number in range(9)]
    assert [each for each in ids if each not in "036"] == list("124578")


async def test_handlers_still_run_one_after_the_other_after_one_has_waited(server: Server) -> None:
    client = RealtimeClient(provider=server)
    running: list[str] = []
    most: list[int] = []

    @client.on_next("conversation.item.completed")
    async def wait(event: Any) -> None:
        await client.wait_for_next_completed_item(5)

    async with client:
        await user_item(server, "first")
        await server.handled(client)

        @client.on("conversation.item.completed")
        async def slow(event: Any) -> None:
            running.append(event.item.id)
            most.append(len(running))
            await wait_all_tasks_blocked()
            running.remove(event.item.id)

        for number in range(5):
            await user_item(server, str(number))
        await server.handled(client)
    assert most == [1] * 5


async def test_a_handler_of_raw_events_may_wait_for_the_clients_own(server: Server) -> None:
    client = RealtimeClient(provider=server)
    texts: list[str] = []

    @client.realtime.on_next("server.response.created")
    async def created(event: Any) -> None:
        texts.append((await client.wait_for_next_completed_item(5)).item.formatted.text)

    async with client:
        await server.says("r1", "Hello")
        await server.handled(client)
        await wait_all_tasks_blocked()
    assert texts == ["Hello"]


async def test_a_handler_may_send_and_wait_for_the_answer(server: Server) -> None:
    client = RealtimeClient(provider=server)

    @client.on_next("conversation.item.completed")
    async def instruct(event: Any) -> None:
        await client.update_session(instructions=event.item.formatted.text)
        await client.add_tool({"name": "look"}, lambda: 1)

    async with client:
        await user_item(server, "a")
        await server.handled(client)
    assert [list(asked) for asked in server.asked] == [["instructions"], ["tools"]]


async def test_a_handler_that_waits_is_woken_by_the_end(server: Server) -> None:
    client = RealtimeClient(provider=server)
    woken = anyio.Event()

    @client.on("conversation.item.completed")
    async def wait(event: Any) -> None:
        try:
            await client.wait_for_next("conversation.interrupted")
        finally:
            woken.set()

    await client.connect()
    await user_item(server, "a")
    await server.handled(client)
    assert not woken.is_set()
    await client.disconnect()
    assert woken.is_set()


async def test_the_question_and_the_answer_are_the_next_two_items_of_the_embedded_server() -> None:
    async with RealtimeClient(provider=Local()) as client:
        await client.send_user_message_content([{"type": "input_text", "text": "Hello!"}])
        question = await client.wait_for_next_completed_item(5)
        answer = await client.wait_for_next_completed_item(5)
        assert (question.item.role, question.item.formatted.text) == ("user", "Hello!")
        assert (answer.item.role, bool(answer.item.formatted.text)) == ("assistant", True)


async def test_a_timeout_says_what_did_not_come(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        with pytest.raises(TimeoutError, match=r"conversation\.updated did not come within 0\.01 s"):
            await client.wait_for_next("conversation.updated", 0.01)


@pytest.mark.parametrize("listen", ["on", "on_next"])
def test_an_event_that_there_is_not_is_an_error_with_the_nearest_one(server: Server, listen: str) -> None:
    client = RealtimeClient(provider=server)
    with pytest.raises(ValueError, match=r"no event 'conversation\.update'; did you mean conversation\.updated\?"):
        getattr(client, listen)("conversation.update", print)
    with pytest.raises(ValueError, match=r"no event 'response\.done'"):
        getattr(client.realtime, listen)("response.done", print)
    for pattern in ("*", "conversation.*", "conversation.item.?ompleted"):
        getattr(client, listen)(pattern, print)


async def test_waiting_for_an_event_that_there_is_not_is_an_error(server: Server) -> None:
    with pytest.raises(ValueError, match=r"no event 'zzz'; known: realtime\.event"):
        await RealtimeClient(provider=server).wait_for_next("zzz")


async def test_a_handler_that_takes_nothing_is_called_without(server: Server) -> None:
    client, called = RealtimeClient(provider=server), []
    client.on("conversation.item.appended", lambda: called.append("sync"))

    async def nothing() -> None:
        called.append("async")

    client.on("conversation.item.appended", nothing)
    async with client:
        await server.adds("i1")
        await server.handled(client)
    assert called == ["sync", "async"]
