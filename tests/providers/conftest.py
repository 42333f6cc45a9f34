"""A WebSocket server on loopback that keeps the requests it got."""

import os
import threading
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve


class Listening:
    """Where the server is, and what was asked of it."""

    def __init__(self, port: int) -> None:
        self.url = f"ws://127.0.0.1:{port}/v1/realtime"
        self.requests: list[Request] = []


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)

    def handler(peer: ServerConnection) -> None:
        assert peer.request is not None
        found.requests.append(peer.request)
        peer.send("hello")

    def process(peer: ServerConnection, request: Request) -> Response | None:
        return peer.respond(HTTPStatus.UNAUTHORIZED, "no") if request.path.startswith("/refuse") else None

    with serve(handler, "127.0.0.1", 0, process_request=process) as server:
        found = Listening(server.socket.getsockname()[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
