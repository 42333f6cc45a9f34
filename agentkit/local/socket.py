"""The socket front: the embedded server on a WebSocket, for any Realtime client, on asyncio and on trio.

It is a tool for development on one machine: every key is accepted, and pages in a browser are refused by their Origin.
"""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit

import anyio
from websockets.asyncio.server import ServerConnection as AsyncioConnection
from websockets.asyncio.server import serve as serve_on_asyncio
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from agentkit.errors import ConnectionLostError, SessionClosedError
from agentkit.events import Dialect
from agentkit.local.responder import Responder
from agentkit.local.server import serve_session
from agentkit.transports.base import Transport
from agentkit.transports.closing import check_code, cut_reason
from agentkit.transports.websocket.quiet import LOGGER

if TYPE_CHECKING:
    from websockets.trio.server import ServerConnection as TrioConnection

    Connection: TypeAlias = "AsyncioConnection | TrioConnection"

PATHS: Final = ("/v1/realtime", "/realtime")
MAX_FRAME: Final = 16 * 1024 * 1024
CLOSE_SECONDS: Final = 2.0
"""How long a client has to answer the closing handshake."""
_SUBPROTOCOL: Final = Subprotocol("realtime")


class SocketTransport(Transport):
    """A server's end of a WebSocket."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._closed = False

    async def send(self, frame: bytes) -> None:
        """Send one text frame; see ``Transport.send``."""
        try:
            await self._connection.send(frame, text=True)
        except ConnectionClosed as exc:
            raise self._ended(exc) from exc

    async def receive(self) -> bytes:
        """Wait for the next text frame; see ``Transport.receive``."""
        try:
            frame = await self._connection.recv(decode=False)
        except ConnectionClosed as exc:
            raise self._ended(exc) from exc
        return frame if isinstance(frame, bytes) else frame.encode()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection; see ``Transport.aclose``."""
        check_code(code)
        self._closed = True
        if isinstance(self._connection, AsyncioConnection):
            await self._connection.close(code, cut_reason(reason))
        else:
            await self._connection.aclose(code, cut_reason(reason))

    def _ended(self, exc: ConnectionClosed) -> ConnectionLostError | SessionClosedError:
        if self._closed:
            return SessionClosedError("the connection is closed")
        received = exc.rcvd
        return ConnectionLostError(
            "the client closed the connection",
            close_code=None if received is None else received.code,
            close_reason="" if received is None else received.reason,
        )


class _Front:
    """What every connection goes through."""

    def __init__(
        self,
        responder_factory: Callable[[], Responder],
        *,
        dialect: Dialect | None,
        model: str | None,
        origins: Sequence[str],
        max_sessions: int,
        paced: bool,
    ) -> None:
        self._responder_factory = responder_factory
        self._dialect = dialect
        self._model = model
        self._origins = frozenset(origins)
        self._max_sessions = max_sessions
        self._paced = paced
        self._sessions = 0

    def check(self, connection: "Connection", request: Request) -> Response | None:
        """Answer by HTTP what is no WebSocket for us."""
        path = urlsplit(request.path).path.rstrip("/")
        if path not in PATHS:
            return connection.respond(404, f"There is nothing at {path[:100] or '/'}. Connect to {PATHS[0]}.\n")
        if request.headers.get("Upgrade", "").lower() != "websocket":
            response = connection.respond(
                426, "This is a Realtime server: connect to it with a WebSocket client, not by a plain request.\n"
            )
            response.headers["Upgrade"] = "websocket"
            return response
        origin = request.headers.get("Origin")
        if origin is not None and origin not in self._origins:
            return connection.respond(403, "Pages in a browser may not use this server.\n")
        if self._sessions >= self._max_sessions:
            return connection.respond(503, f"There are already {self._max_sessions} sessions.\n")
        return None

    async def handle(self, connection: "Connection") -> None:
        """Serve one connection."""
        request = connection.request
        assert request is not None
        query = parse_qs(urlsplit(request.path).query)
        transport = SocketTransport(connection)
        if query.get("intent", ["realtime"])[0] != "realtime":
            # The real server refuses an intent that it does not serve in the same way.
            await transport.aclose(4000, "invalid_request_error.invalid_intent")
            return
        self._sessions += 1
        try:
            await serve_session(
                transport,
                self._responder_factory(),
                dialect=self._dialect or _asked_dialect(request),
                model=self._model or query.get("model", [None])[0],
                paced=self._paced,
            )
        finally:
            self._sessions -= 1


async def serve_socket(
    host: str,
    port: int,
    *,
    responder_factory: Callable[[], Responder],
    on_ready: Callable[[str], None],
    dialect: Dialect | None = None,
    model: str | None = None,
    origins: Sequence[str] = (),
    max_sessions: int = 64,
    paced: bool = False,
) -> None:
    """Serve sessions on a WebSocket until cancelled; then every connection is closed with code 1001.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        responder_factory: Makes what answers, once a session.
        on_ready: Called once with the URL, when clients can connect.
        dialect: What is spoken; if left out, each client's ``OpenAI-Beta: realtime=v1`` header asks for beta.
        model: The model's name in every session; if left out, what the client asks for by ``?model=``.
        origins: Origins of pages in a browser that may connect.
        max_sessions: Sessions at one time; more are refused.
        paced: Send audio as fast as it plays, not as fast as it is made.

    Raises:
        OSError: The address cannot be listened on.
    """
    front = _Front(
        responder_factory,
        dialect=dialect,
        model=model,
        origins=origins,
        max_sessions=max_sessions,
        paced=paced,
    )
    if _on_trio():
        await _serve_on_trio(front, host, port, on_ready)
    else:
        await _serve_on_asyncio(front, host, port, on_ready)


async def _serve_on_asyncio(front: _Front, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    server = await serve_on_asyncio(
        front.handle,
        host,
        port,
        process_request=front.check,
        select_subprotocol=_subprotocol,
        compression=None,
        max_size=MAX_FRAME,
        close_timeout=CLOSE_SECONDS,
        logger=LOGGER,
    )
    try:
        on_ready(_url(host, next(iter(server.sockets)).getsockname()[1]))
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            server.close()
            await server.wait_closed()


async def _serve_on_trio(front: _Front, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    import trio
    from websockets.trio.server import Server, serve

    async def serve_shielded(*, task_status: trio.TaskStatus[Server]) -> None:
        # The server must be alive to close its connections, so our cancellation does not reach it.
        with anyio.CancelScope(shield=True):
            await serve(
                front.handle,
                port,
                host=host,
                process_request=front.check,
                select_subprotocol=_subprotocol,
                compression=None,
                max_size=MAX_FRAME,
                close_timeout=CLOSE_SECONDS,
                logger=LOGGER,
                task_status=task_status,
            )

    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(serve_shielded)
        try:
            on_ready(_url(host, server.listeners[0].socket.getsockname()[1]))
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await server.aclose()


def _asked_dialect(request: Request) -> Dialect:
    asked = request.headers.get_all("OpenAI-Beta") + request.headers.get_all("Sec-WebSocket-Protocol")
    return Dialect.BETA if any("realtime=v1" in each or "realtime-v1" in each for each in asked) else Dialect.GA


def _subprotocol(_connection: "Connection", offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return _SUBPROTOCOL if _SUBPROTOCOL in offered else None


def _url(host: str, port: int) -> str:
    return f"ws://{f'[{host}]' if ':' in host else host}:{port}{PATHS[0]}"


def _on_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())
