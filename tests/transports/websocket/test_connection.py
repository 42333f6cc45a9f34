"""One open connection: frames both ways, and every way in which it ends."""

import logging
import socket
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode, Frame, Opcode
from websockets.sync.server import ServerConnection

from agentkit.errors import ConnectionLostError, SessionClosedError
from agentkit.transports import ConnectOptions, Endpoint, Transport
from agentkit.transports.websocket import open_websocket

pytestmark = pytest.mark.anyio
Serve = Callable[..., str]
QUICK = ConnectOptions(close_timeout=0.1)


def dial(url: str, options: ConnectOptions | None = None) -> Any:
    return open_websocket(Endpoint(url=url), options)


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


def text(data: bytes) -> bytes:
    return frame(Opcode.TEXT, data)


def echo(peer: ServerConnection) -> None:
    for message in peer:
        peer.send(message)


async def received(transport: Transport) -> tuple[list[bytes], ConnectionLostError]:
    """Receive until the connection ends: the frames and the error."""
    frames: list[bytes] = []

    async def read() -> None:
        while True:
            frames.append(await transport.receive())

    with pytest.raises(ConnectionLostError) as caught:
        await read()
    return frames, caught.value


async def ending(transport: Transport) -> ConnectionLostError:
    """Receive until the connection ends: the error."""
    return (await received(transport))[1]


# Frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 5_000_000])
async def test_a_frame_of_any_size_goes_both_ways_as_text(websocket_server: Serve, size: int) -> None:
    kinds: list[type] = []

    def handler(peer: ServerConnection) -> None:
        message = peer.recv()
        kinds.append(type(message))
        peer.send(message)

    async with dial(websocket_server(handler)) as transport:
        await transport.send(b"x" * size)
        assert await transport.receive() == b"x" * size
    assert kinds == [str]


async def test_frames_arrive_in_order_and_in_bytes(websocket_server: Serve) -> None:
    async with dial(websocket_server(echo)) as transport:
        for number in range(300):
            await transport.send(f"é{number}".encode())
        assert [await transport.receive() for _ in range(300)] == [f"é{number}".encode() for number in range(300)]


async def test_many_tasks_may_send_at_once(websocket_server: Serve) -> None:
    async with dial(websocket_server(echo)) as transport:
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(transport.send, b"%d" % number * 1000)
        got = {await transport.receive() for _ in range(50)}
    assert got == {b"%d" % number * 1000 for number in range(50)}


async def test_the_first_frames_may_come_with_the_answer_to_the_handshake(raw_peer: Any, tools: Any) -> None:
    def script(connection: socket.socket, request: bytes) -> None:
        connection.sendall(tools.upgrade_answer(request) + text(b"a") + text(b"b")[:2])
        connection.sendall(text(b"b")[2:])
        tools.drain(connection)

    async with dial(raw_peer(script).url, QUICK) as transport:
        assert [await transport.receive(), await transport.receive()] == [b"a", b"b"]


async def test_the_answer_to_the_handshake_may_come_byte_by_byte(raw_peer: Any, tools: Any) -> None:
    def script(connection: socket.socket, request: bytes) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in tools.upgrade_answer(request) + text(b"hello"):
            connection.sendall(bytes([byte]))
        tools.drain(connection)

    async with dial(raw_peer(script).url, QUICK) as transport:
        assert await transport.receive() == b"hello"


async def test_fragments_become_one_frame(upgraded_peer: Any, tools: Any) -> None:
    def script(connection: socket.socket) -> None:
        parts = [
            text(b"0"),
            frame(Opcode.TEXT, b"1", fin=False),
            frame(Opcode.PING, b"between"),
            frame(Opcode.CONT, b"2", fin=False),
            frame(Opcode.CONT, b"3"),
            text(b"4"),
        ]
        connection.sendall(b"".join(parts))
        tools.drain(connection)

    async with dial(upgraded_peer(script).url, QUICK) as transport:
        assert [await transport.receive() for _ in range(3)] == [b"0", b"123", b"4"]


async def test_a_ping_is_answered_while_nobody_receives(websocket_server: Serve) -> None:
    answered = threading.Event()

    def handler(peer: ServerConnection) -> None:
        if peer.ping(b"there?").wait(10):
            answered.set()
        peer.send("done")

    async with dial(websocket_server(handler)) as transport:
        assert await transport.receive() == b"done"
    assert answered.is_set()


async def test_compression_works_both_ways_where_it_is_asked_for(websocket_server: Serve) -> None:
    extensions: list[str] = []

    def handler(peer: ServerConnection) -> None:
        assert peer.response is not None
        extensions.append(peer.response.headers.get("Sec-WebSocket-Extensions", ""))
        echo(peer)

    url = websocket_server(handler, compression="deflate")
    async with dial(url, ConnectOptions(compression=True)) as transport:
        for size in (10, 100_000, 10):
            await transport.send(b"z" * size)
            assert await transport.receive() == b"z" * size
    assert "permessage-deflate" in extensions[0]


async def test_compression_is_off_unless_asked_for(websocket_server: Serve) -> None:
    offered: list[bool] = []

    def handler(peer: ServerConnection) -> None:
        assert peer.request is not None
        offered.append("Sec-WebSocket-Extensions" in peer.request.headers)
        peer.send("done")

    async with dial(websocket_server(handler, compression="deflate")) as transport:
        await transport.receive()
    assert offered == [False]


async def test_a_receive_that_is_cancelled_loses_nothing(websocket_server: Serve) -> None:
    async with dial(websocket_server(echo)) as transport:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.receive)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await transport.send(b"kept")
        assert await transport.receive() == b"kept"


async def test_a_second_receiver_is_refused(websocket_server: Serve) -> None:
    async with dial(websocket_server(echo)) as transport, anyio.create_task_group() as tasks:
        tasks.start_soon(transport.receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="already receiving"):
            await transport.receive()
        tasks.cancel_scope.cancel()


async def test_a_flood_that_nobody_reads_stops_at_the_network(upgraded_peer: Any, tools: Any) -> None:
    blocked = threading.Event()
    message = text(b"x" * 65000)

    def script(connection: socket.socket) -> None:
        connection.settimeout(0.3)
        sent = 0
        try:
            while sent < 2000:
                connection.sendall(message)
                sent += 1
        except TimeoutError:
            blocked.set()
        finally:
            connection.settimeout(None)

    async with dial(upgraded_peer(script).url, QUICK) as transport:
        assert await anyio.to_thread.run_sync(blocked.wait, 15)
        for _ in range(20):
            assert await transport.receive() == b"x" * 65000


# The end


@pytest.mark.parametrize(
    "code, retryable",
    [(1000, True), (1001, True), (1008, False), (1011, True), (1012, True), (1013, True), (4000, False), (4321, False)],
)
async def test_the_code_and_reason_of_the_server_reach_the_receiver(
    websocket_server: Serve, code: int, retryable: bool
) -> None:
    def handler(peer: ServerConnection) -> None:
        peer.send("last")
        peer.close(code, "because")

    async with dial(websocket_server(handler)) as transport:
        assert await transport.receive() == b"last"
        error = await ending(transport)
    assert (error.close_code, error.close_reason, error.retryable) == (code, "because", retryable)


async def test_everything_before_the_close_frame_is_received(websocket_server: Serve) -> None:
    def handler(peer: ServerConnection) -> None:
        for number in range(500):
            peer.send(str(number))

    async with dial(websocket_server(handler)) as transport:
        got, _ = await received(transport)
    assert got == [b"%d" % number for number in range(500)]


async def test_a_close_frame_without_a_code_gives_1005(upgraded_peer: Any, tools: Any) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(frame(Opcode.CLOSE, b""))
        tools.drain(connection)

    async with dial(upgraded_peer(script).url, QUICK) as transport:
        error = await ending(transport)
    assert (error.close_code, error.retryable) == (1005, True)


async def test_a_server_that_closes_but_keeps_the_socket_is_not_waited_for(upgraded_peer: Any, tools: Any) -> None:
    left = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(frame(Opcode.CLOSE, b"\x03\xf4bye"))
        left.wait(10)

    async with dial(upgraded_peer(script).url, QUICK) as transport:
        error = await ending(transport)
        assert error.close_code == 1012
        left.set()


@pytest.mark.parametrize("sent", [b"", b"\x81", b"\x81\x7e\x01", text(b"x" * 500)[:300]])
@pytest.mark.parametrize("how", ["end", "reset"])
async def test_a_socket_that_ends_anywhere_in_a_frame_is_a_lost_connection(
    upgraded_peer: Any, tools: Any, sent: bytes, how: str
) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(text(b"whole") + sent)
        # The last message is acknowledged, so that a reset cannot overtake it.
        connection.recv(100)
        if how == "reset":
            tools.reset(connection)

    async with dial(upgraded_peer(script).url, QUICK) as transport:
        assert await transport.receive() == b"whole"
        await transport.send(b"got it")
        error = await ending(transport)
    assert (error.close_code, error.retryable) == (None, True)


async def test_sending_after_the_end_gives_the_same_error(websocket_server: Serve) -> None:
    async with dial(websocket_server(lambda peer: peer.close(1011, "oops"))) as transport:
        await ending(transport)
        with pytest.raises(ConnectionLostError, match="oops") as caught:
            await transport.send(b"x")
        with pytest.raises(ConnectionLostError, match="oops"):
            await transport.receive()
    assert caught.value.close_code == 1011


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_message_above_the_limit_ends_the_connection_with_1009(
    raw_peer: Any, tools: Any, compressed: bool
) -> None:
    """Also one that is small on the wire: the limit counts after decompression."""

    def script(connection: socket.socket, request: bytes) -> None:
        head = tools.upgrade_answer(request)
        if compressed:
            head = head[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
            packer = zlib.compressobj(wbits=-15)
            bomb = packer.compress(b"0" * 20_000_000) + packer.flush(zlib.Z_SYNC_FLUSH)
            data = b"\xc1\x7f" + len(bomb[:-4]).to_bytes(8, "big") + bomb[:-4]
        else:
            data = b"\x81\x7f" + (16 * 1024 * 1024 + 1).to_bytes(8, "big")
        connection.sendall(head + data)
        tools.drain(connection)

    options = ConnectOptions(compression=compressed, close_timeout=0.1)
    async with dial(raw_peer(script).url, options) as transport:
        error = await ending(transport)
    assert (error.close_code, error.retryable) == (1009, False)


async def test_a_frame_that_breaks_the_protocol_ends_the_connection_with_1002(upgraded_peer: Any, tools: Any) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(text(b"before") + b"\x83\x00" + text(b"after"))
        tools.drain(connection)

    async with dial(upgraded_peer(script).url, QUICK) as transport:
        got, error = await received(transport)
    assert got == [b"before"]
    assert error.close_code == CloseCode.PROTOCOL_ERROR
    assert "given up" in str(error)


async def test_a_peer_that_answers_no_ping_is_given_up(upgraded_peer: Any, tools: Any) -> None:
    options = ConnectOptions(ping_interval=0.05, ping_timeout=0.1, close_timeout=0.1)
    async with dial(upgraded_peer(tools.drain).url, options) as transport:
        error = await ending(transport)
    assert error.retryable
    assert "keepalive ping timeout" in str(error)


# Slow peers


@asynccontextmanager
async def stuck(upgraded_peer: Any, *, send_timeout: float) -> AsyncIterator[tuple[Transport, Callable[[], None]]]:
    """Connect to a peer that reads nothing until it is let go."""
    let_go = threading.Event()

    def script(connection: socket.socket) -> None:
        let_go.wait(15)
        while connection.recv(1_000_000):
            pass

    url = upgraded_peer(script).url
    try:
        async with dial(url, ConnectOptions(send_timeout=send_timeout, close_timeout=0.1)) as transport:
            yield transport, let_go.set
    finally:
        let_go.set()


async def test_a_send_that_blocks_too_long_gives_the_connection_up(upgraded_peer: Any) -> None:
    async with stuck(upgraded_peer, send_timeout=0.2) as (transport, _):
        with pytest.raises(ConnectionLostError, match=r"read nothing for 0\.2 s") as caught:
            await transport.send(b"x" * 30_000_000)
        assert caught.value.retryable
        assert (await ending(transport)).close_code is None


async def test_a_send_that_blocks_goes_on_when_the_peer_reads(upgraded_peer: Any) -> None:
    async with stuck(upgraded_peer, send_timeout=10) as (transport, let_go):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.send, b"x" * 30_000_000)
            await anyio.wait_all_tasks_blocked()
            let_go()
        await transport.send(b"more")


async def test_a_reset_while_a_send_blocks_is_a_lost_connection(upgraded_peer: Any, tools: Any) -> None:
    let_go = threading.Event()

    def script(connection: socket.socket) -> None:
        let_go.wait(15)
        tools.reset(connection)

    caught: list[ConnectionLostError] = []

    async def send(transport: Transport) -> None:
        try:
            await transport.send(b"x" * 30_000_000)
        except ConnectionLostError as exc:
            caught.append(exc)

    async with dial(upgraded_peer(script).url, QUICK) as transport:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, transport)
            await anyio.wait_all_tasks_blocked()
            let_go.set()
        assert (await ending(transport)).close_code is None
    assert [exc.close_code for exc in caught] == [None]


async def test_a_send_that_waits_for_another_finds_the_connection_lost(upgraded_peer: Any, tools: Any) -> None:
    let_go = threading.Event()

    def script(connection: socket.socket) -> None:
        let_go.wait(15)
        tools.reset(connection)

    caught: list[ConnectionLostError] = []

    async def send(transport: Transport) -> None:
        try:
            await transport.send(b"x" * 30_000_000)
        except ConnectionLostError as exc:
            caught.append(exc)

    async with dial(upgraded_peer(script).url, QUICK) as transport, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(send, transport)
        await anyio.wait_all_tasks_blocked()
        let_go.set()
    assert len(caught) == 3


async def test_closing_is_bounded_though_the_peer_reads_nothing(upgraded_peer: Any) -> None:
    caught: list[BaseException] = []

    async def send(transport: Transport) -> None:
        try:
            await transport.send(b"x" * 30_000_000)
        except (ConnectionLostError, SessionClosedError) as exc:
            caught.append(exc)

    async with stuck(upgraded_peer, send_timeout=60) as (transport, _), anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(send, transport)
        await anyio.wait_all_tasks_blocked()
        await transport.aclose()
    assert [type(exc) for exc in caught] == [SessionClosedError] * 3


async def test_cancelling_a_send_that_blocks_is_prompt(upgraded_peer: Any) -> None:
    async with stuck(upgraded_peer, send_timeout=60) as (transport, _), anyio.create_task_group() as tasks:
        tasks.start_soon(transport.send, b"x" * 30_000_000)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()


# Closing


async def test_the_server_sees_the_code_and_reason(websocket_server: Serve) -> None:
    seen: list[tuple[int, str] | None] = []
    done = threading.Event()

    def handler(peer: ServerConnection) -> None:
        try:
            peer.recv()
        except ConnectionClosed as exc:
            seen.append((exc.rcvd.code, exc.rcvd.reason) if exc.rcvd else None)
        done.set()

    async with dial(websocket_server(handler)) as transport:
        await transport.aclose(4001, "é" * 100)
    assert done.wait(10)
    assert seen == [(4001, "é" * 61)]


@pytest.mark.parametrize("fails, code", [(False, 1000), (True, 1001)])
async def test_leaving_the_context_closes_the_connection(websocket_server: Serve, fails: bool, code: int) -> None:
    seen: list[int] = []
    done = threading.Event()

    def handler(peer: ServerConnection) -> None:
        try:
            peer.recv()
        except ConnectionClosed as exc:
            seen.append(0 if exc.rcvd is None else exc.rcvd.code)
        done.set()

    url = websocket_server(handler)
    try:
        async with dial(url):
            if fails:
                raise KeyError("body")
    except KeyError:
        assert fails
    assert done.wait(10)
    assert seen == [code]


async def test_after_closing_neither_send_nor_receive_works(websocket_server: Serve) -> None:
    async with dial(websocket_server(echo)) as transport:
        await transport.aclose()
        await transport.aclose()
        with pytest.raises(SessionClosedError):
            await transport.send(b"x")
        with pytest.raises(SessionClosedError):
            await transport.receive()


async def test_closing_wakes_the_receiver(websocket_server: Serve) -> None:
    async def read(transport: Transport) -> None:
        with pytest.raises(SessionClosedError):
            await transport.receive()

    async with dial(websocket_server(echo)) as transport, anyio.create_task_group() as tasks:
        tasks.start_soon(read, transport)
        await anyio.wait_all_tasks_blocked()
        await transport.aclose()


async def test_a_code_that_may_not_be_sent_is_refused(websocket_server: Serve) -> None:
    async with dial(websocket_server(echo)) as transport:
        with pytest.raises(ValueError, match="1006"):
            await transport.aclose(1006)
        await transport.send(b"still open")
        assert await transport.receive() == b"still open"


async def test_closing_after_the_server_closed_does_nothing(websocket_server: Serve) -> None:
    async with dial(websocket_server(lambda peer: peer.close(1001))) as transport:
        await ending(transport)
        await transport.aclose()


async def test_a_server_that_does_not_answer_the_close_frame_is_left(upgraded_peer: Any, tools: Any) -> None:
    async with dial(upgraded_peer(tools.drain).url, QUICK) as transport:
        await transport.aclose()


async def test_cancelling_everything_leaves_nothing_open(websocket_server: Serve) -> None:
    ended = threading.Event()

    def handler(peer: ServerConnection) -> None:
        try:
            peer.recv()
        except ConnectionClosed:
            ended.set()

    url = websocket_server(handler)
    connected = anyio.Event()

    async def run() -> None:
        async with dial(url) as transport:
            connected.set()
            await transport.receive()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await connected.wait()
        tasks.cancel_scope.cancel()
    assert ended.wait(10)


async def test_cancelling_a_dial_leaves_nothing_open(raw_peer: Any, tools: Any) -> None:
    asked, ended = threading.Event(), threading.Event()

    def script(connection: socket.socket, _request: bytes) -> None:
        asked.set()
        try:
            tools.drain(connection)
        finally:
            ended.set()

    peer = raw_peer(script)

    async def run() -> None:
        async with dial(peer.url):
            pytest.fail("the handshake cannot have ended")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        assert await anyio.to_thread.run_sync(asked.wait, 10)
        tasks.cancel_scope.cancel()
    assert ended.wait(10)


# Secrets and settings


async def test_the_headers_are_sent_and_never_logged(websocket_server: Serve, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def handler(peer: ServerConnection) -> None:
        assert peer.request is not None
        seen.append(peer.request.headers["Authorization"])
        peer.send("payload-canary")

    url = websocket_server(handler)
    # The server in the same process logs too; only what the client says counts here.
    with caplog.at_level(logging.DEBUG, "agentkit"), caplog.at_level(logging.DEBUG, "websockets.client"):
        async with open_websocket(Endpoint(url=url, headers={"Authorization": "Bearer header-canary"})) as transport:
            await transport.receive()
    assert seen == ["Bearer header-canary"]
    assert [record for record in caplog.records if "canary" in record.getMessage()] == []


async def test_two_dials_are_two_connections(websocket_server: Serve) -> None:
    url = websocket_server(echo)
    async with dial(url) as first, dial(url) as second:
        await first.send(b"1")
        await second.send(b"2")
        assert (await first.receive(), await second.receive()) == (b"1", b"2")
