"""The pair in memory: order, bounds, and what closing means to each side."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from agentkit.errors import ConnectionLostError, SessionClosedError
from agentkit.transports import memory_pair

pytestmark = pytest.mark.anyio


async def test_frames_arrive_in_order() -> None:
    client, server = memory_pair()
    for number in range(5):
        await client.send(b"%d" % number)
    assert [await server.receive() for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


async def test_the_directions_are_independent() -> None:
    client, server = memory_pair()
    await client.send(b"up")
    await server.send(b"down")
    assert (await client.receive(), await server.receive()) == (b"down", b"up")


def test_a_send_with_room_needs_no_event_loop(anyio_backend: str) -> None:
    client, _ = memory_pair()
    with pytest.raises(StopIteration):
        client.send(b"now").send(None)


def test_a_receive_with_a_frame_waiting_needs_no_event_loop(anyio_backend: str) -> None:
    client, server = memory_pair()
    with pytest.raises(StopIteration):
        client.send(b"now").send(None)
    with pytest.raises(StopIteration, match="now"):
        server.receive().send(None)


async def test_a_receiver_waits_for_a_frame() -> None:
    client, server = memory_pair()
    got = []

    async def read() -> None:
        got.append(await client.receive())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        assert got == []
        await server.send(b"late")
    assert got == [b"late"]


async def test_a_full_direction_makes_the_sender_wait_until_a_frame_is_received() -> None:
    client, server = memory_pair(1)
    await client.send(b"first")
    sent = []

    async def write(frame: bytes) -> None:
        await client.send(frame)
        sent.append(frame)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, b"second")
        await anyio.wait_all_tasks_blocked()
        assert sent == []
        assert await server.receive() == b"first"
        await anyio.wait_all_tasks_blocked()
        assert sent == [b"second"]
    assert await server.receive() == b"second"


async def test_waiting_senders_keep_their_order() -> None:
    client, server = memory_pair(1)
    await client.send(b"0")
    got = []
    async with anyio.create_task_group() as tasks:
        for number in range(1, 5):
            tasks.start_soon(client.send, b"%d" % number)
            await anyio.wait_all_tasks_blocked()
        for _ in range(5):
            got.append(await server.receive())
            await checkpoint()
    assert got == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_send_that_is_cancelled_while_it_waits_sends_nothing() -> None:
    client, server = memory_pair(1)
    await client.send(b"first")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.send, b"never")
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    await server.receive()
    await client.send(b"second")
    assert await server.receive() == b"second"


async def test_a_receive_that_is_cancelled_loses_nothing() -> None:
    client, server = memory_pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.receive)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    await client.send(b"kept")
    assert await server.receive() == b"kept"


async def test_what_was_sent_before_the_end_is_received_before_the_error() -> None:
    client, server = memory_pair()
    await server.send(b"last")
    await server.aclose(1011, "broken")
    assert await client.receive() == b"last"
    with pytest.raises(ConnectionLostError) as caught:
        await client.receive()
    assert (caught.value.close_code, caught.value.close_reason) == (1011, "broken")
    assert caught.value.retryable


async def test_sending_to_a_closed_peer_gives_its_code_and_reason() -> None:
    client, server = memory_pair()
    await server.aclose(4000, "invalid_intent")
    with pytest.raises(ConnectionLostError, match="invalid_intent") as caught:
        await client.send(b"x")
    assert caught.value.close_code == 4000
    assert not caught.value.retryable


async def test_an_end_that_is_closed_neither_sends_nor_receives() -> None:
    client, server = memory_pair()
    await server.send(b"unread")
    await client.aclose()
    with pytest.raises(SessionClosedError):
        await client.send(b"x")
    with pytest.raises(SessionClosedError):
        await client.receive()


async def test_closing_both_ends_leaves_both_closed_by_themselves() -> None:
    client, server = memory_pair()
    await server.aclose()
    await client.aclose()
    for end in (client, server):
        with pytest.raises(SessionClosedError):
            await end.receive()
        with pytest.raises(SessionClosedError):
            await end.send(b"x")


async def test_closing_again_changes_nothing() -> None:
    client, server = memory_pair()
    await server.aclose(1001, "first")
    await server.aclose(1011, "second")
    with pytest.raises(ConnectionLostError, match="first"):
        await client.receive()


@pytest.mark.parametrize("closer", ["own", "peer"])
async def test_closing_wakes_a_receiver(closer: str) -> None:
    client, server = memory_pair()
    caught: list[BaseException] = []

    async def read() -> None:
        try:
            await client.receive()
        except (ConnectionLostError, SessionClosedError) as exc:
            caught.append(exc)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await (client if closer == "own" else server).aclose()
    assert [type(exc) for exc in caught] == [SessionClosedError if closer == "own" else ConnectionLostError]


@pytest.mark.parametrize("closer", ["own", "peer"])
async def test_closing_wakes_a_sender_that_waits(closer: str) -> None:
    client, server = memory_pair(1)
    await client.send(b"fills it")
    caught: list[BaseException] = []

    async def write() -> None:
        try:
            await client.send(b"x")
        except (ConnectionLostError, SessionClosedError) as exc:
            caught.append(exc)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        await (client if closer == "own" else server).aclose()
    assert [type(exc) for exc in caught] == [SessionClosedError if closer == "own" else ConnectionLostError]


async def test_a_second_receiver_is_refused() -> None:
    client, _ = memory_pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="already receiving"):
            await client.receive()
        tasks.cancel_scope.cancel()


async def test_a_code_that_may_not_be_sent_is_refused() -> None:
    client, server = memory_pair()
    with pytest.raises(ValueError, match="1006"):
        await client.aclose(1006)
    await client.send(b"still open")
    assert await server.receive() == b"still open"


async def test_a_long_reason_is_cut_between_characters() -> None:
    client, server = memory_pair()
    await server.aclose(1000, "é" * 100)
    with pytest.raises(ConnectionLostError) as caught:
        await client.receive()
    assert caught.value.close_reason == "é" * 61


def test_a_capacity_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        memory_pair(0)
