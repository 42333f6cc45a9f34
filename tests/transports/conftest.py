"""Peers on loopback that run in threads, so the same ones serve asyncio and trio."""

import base64
import hashlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
from websockets.sync.server import ServerConnection, serve

Handler = Callable[[ServerConnection], None]
Script = Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxies of the machine that runs the tests out of them."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def websocket_server() -> Iterator[Callable[..., str]]:
    """Serve WebSockets with a handler; gives the URL."""
    running = []

    def start(handler: Handler, *, compression: str | None = None, tls: ssl.SSLContext | None = None) -> str:
        server = serve(handler, "127.0.0.1", 0, compression=compression, max_size=None, ssl=tls)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        running.append((server, thread))
        return f"{'wss' if tls else 'ws'}://127.0.0.1:{server.socket.getsockname()[1]}/v1/realtime"

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()


class RawPeer:
    """Accepts connections and runs a script on each socket, after the request was read."""

    def __init__(self, script: Callable[[socket.socket, bytes], None], *, eager: bool = False) -> None:
        self.requests: list[bytes] = []
        self._script = script
        self._end = b"" if eager else b"\r\n\r\n"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"ws://{self.host}/v1/realtime"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            request = b""
            try:
                while self._end not in request:
                    data = connection.recv(65536)
                    if not data:
                        return
                    request += data
                self.requests.append(request)
                self._script(connection, request)
            except OSError:
                return

    def close(self) -> None:
        # Closing alone does not wake an accept that another thread waits in.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def raw_peer() -> Iterator[Callable[..., RawPeer]]:
    """Run a script on the socket of each connection, after its request or, if eager, at once."""
    peers: list[RawPeer] = []

    def start(script: Callable[[socket.socket, bytes], None], *, eager: bool = False) -> RawPeer:
        peers.append(RawPeer(script, eager=eager))
        return peers[-1]

    yield start
    for peer in peers:
        peer.close()


@pytest.fixture
def http_peer(raw_peer: Callable[..., RawPeer]) -> Callable[..., RawPeer]:
    """Answer each request with the same bytes."""

    def start(answer: bytes, *, eager: bool = False) -> RawPeer:
        def script(connection: socket.socket, _request: bytes) -> None:
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)
            drain(connection)

        return raw_peer(script, eager=eager)

    return start


@pytest.fixture
def upgraded_peer(raw_peer: Callable[..., RawPeer]) -> Callable[[Script], RawPeer]:
    """Upgrade each connection to a WebSocket, then run a script on its socket."""

    def start(script: Script) -> RawPeer:
        def upgrade(connection: socket.socket, request: bytes) -> None:
            connection.sendall(upgrade_answer(request))
            script(connection)

        return raw_peer(upgrade)

    return start


def upgrade_answer(request: bytes) -> bytes:
    headers = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:] if b": " in line)
    key = {name.lower(): value for name, value in headers.items()}[b"sec-websocket-key"]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def drain(connection: socket.socket) -> None:
    """Read until the other side closes."""
    while connection.recv(65536):
        pass


def reset(connection: socket.socket) -> None:
    """Close with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.fixture
def tools() -> "type[Tools]":
    """What scripts need, as one name."""
    return Tools


class Tools:
    drain = staticmethod(drain)
    reset = staticmethod(reset)
    upgrade_answer = staticmethod(upgrade_answer)
