"""The WebSocket transport on asyncio.

A subclass of websockets' connection replaces the two hot paths: whole text frames skip the parser and the
assembler, and a send writes at once where nothing blocks. Everything else stays with websockets: handshakes,
keepalive, control frames, fragments, compression and failures.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from ssl import SSLContext

from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import HeadersLike
from websockets.exceptions import InvalidStatus
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import OPEN, Event

from agentkit.errors import ConnectionLostError, SessionClosedError
from agentkit.transports.base import Transport
from agentkit.transports.closing import check_code, cut_reason
from agentkit.transports.endpoint import ConnectOptions, Endpoint
from agentkit.transports.websocket.encoding import Encoder
from agentkit.transports.websocket.failures import HandshakeRefused, lost_connection, stalled
from agentkit.transports.websocket.inbox import Inbox
from agentkit.transports.websocket.quiet import LOGGER
from agentkit.transports.websocket.splitter import FrameSplitter

_END_OF_HEADERS = b"\r\n\r\n"


class FastConnection(ClientConnection):
    """websockets' connection with an inbox of whole messages and a synchronous write."""

    inbox: Inbox
    """Made with the network connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.inbox = Inbox(pause=self.transport.pause_reading, resume=self.transport.resume_reading)
        self._splitter = FrameSplitter(
            self.inbox.messages.append, self._feed_parser, max_size=self.protocol.max_message_size or 2**63
        )
        self._past_handshake = False
        self._seen = b""

    async def handshake(
        self, additional_headers: HeadersLike | None = None, user_agent_header: str | None = None
    ) -> None:
        """Open, and turn a refusal into an error that ``connect`` neither retries nor follows."""
        try:
            await super().handshake(additional_headers, user_agent_header)
        except InvalidStatus as exc:
            raise HandshakeRefused(exc.response) from exc

    def data_received(self, data: bytes) -> None:
        if self._past_handshake:
            self._splitter.feed(data)
        else:
            self._finish_handshake(data)
        if self.inbox.messages or self.protocol.state is not OPEN:
            self.inbox.notify()

    def _finish_handshake(self, data: bytes) -> None:
        # The response may come together with the first frames, which are the splitter's.
        window = self._seen + data
        found = window.find(_END_OF_HEADERS)
        if found < 0:
            self._seen = window[-len(_END_OF_HEADERS) + 1 :]
            super().data_received(data)
            return
        cut = found + len(_END_OF_HEADERS) - len(self._seen)
        self._seen = b""
        self._past_handshake = True
        if not self._feed_parser(data[:cut]):
            # Refused: what follows is the body of the answer.
            self._splitter.stop()
        if cut < len(data):
            self._splitter.feed(data[cut:])

    def _feed_parser(self, data: bytes) -> bool:
        super().data_received(data)
        return self.protocol.state is OPEN

    def process_event(self, event: Event) -> None:
        if self.response is not None and isinstance(event, Frame) and event.opcode in DATA_OPCODES:
            self.inbox.add_fragment(bytes(event.data), final=event.fin)
        else:
            super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.inbox.notify()


class AsyncioTransport(Transport):
    """One WebSocket connection on asyncio."""

    __slots__ = ("_closed", "_connection", "_encode", "_inbox", "_options", "_protocol", "_secrets")

    def __init__(self, connection: FastConnection, options: ConnectOptions, secrets: tuple[str, ...]) -> None:
        self._connection = connection
        self._protocol = connection.protocol
        self._inbox = connection.inbox
        self._options = options
        self._secrets = secrets
        self._closed = False
        self._encode = Encoder().text

    async def send(self, frame: bytes) -> None:
        """Send one text frame; see ``Transport.send``."""
        connection = self._connection
        protocol = self._protocol
        if self._gone:
            raise self._ended()
        if protocol.extensions:
            protocol.send_text(frame)
            connection.send_data()
        else:
            connection.transport.write(self._encode(frame))
        if connection.paused:
            await self._drain()

    def try_send(self, frame: bytes) -> bool:
        """Send one text frame now, where nothing blocks; see ``Transport.try_send``."""
        if self._connection.paused or self._protocol.extensions or self._gone:
            return False
        self._connection.transport.write(self._encode(frame))
        return True

    @property
    def _gone(self) -> bool:
        return self._closed or self._protocol.state is not OPEN or self._connection.transport.is_closing()

    async def receive(self) -> bytes:
        """Wait for the next text frame; see ``Transport.receive``."""
        inbox = self._inbox
        while True:
            if inbox.messages:
                # Closing empties the inbox, and nothing enters it afterwards.
                return inbox.take()
            if self._closed or self._protocol.state is not OPEN:
                raise self._ended()
            if inbox.wake is not None:
                raise RuntimeError("another task is already receiving from this transport")
            waiter = self._connection.loop.create_future()
            inbox.wake = partial(_release, waiter)
            try:
                await waiter
            finally:
                inbox.wake = None

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection; see ``Transport.aclose``."""
        check_code(code)
        self._closed = True
        self._inbox.close()
        try:
            async with asyncio.timeout(self._options.close_timeout):
                await self._connection.close(code, cut_reason(reason))
        except TimeoutError:
            # A peer that does not read keeps even the close frame from leaving.
            self._connection.transport.abort()
        except asyncio.CancelledError:
            self._connection.transport.abort()
            raise

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._options.send_timeout) as limit:
                await self._connection.drain()
        except OSError as exc:
            self._connection.transport.abort()
            if limit.expired():
                raise stalled(self._options.send_timeout) from exc
            raise self._ended() from exc
        if self._protocol.state is not OPEN:
            raise self._ended()

    def _ended(self) -> ConnectionLostError | SessionClosedError:
        if self._closed:
            return SessionClosedError("the connection is closed")
        return lost_connection(self._protocol, self._connection.connection_exc, self._secrets)


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


@asynccontextmanager
async def dial(endpoint: Endpoint, options: ConnectOptions, tls: SSLContext | None) -> AsyncIterator[Transport]:
    """Connect, in one try, and close the connection at the end."""
    connector: Callable[..., connect] = connect
    if isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        # A dead IPv6 route must not hold up the dial. Loops of other makes do not know this argument.
        connector = partial(connect, happy_eyeballs_delay=0.25)
    async with connector(
        endpoint.url,
        additional_headers=endpoint.headers,
        compression="deflate" if options.compression else None,
        proxy=options.proxy or None,
        open_timeout=options.open_timeout,
        ping_interval=options.ping_interval,
        ping_timeout=options.ping_timeout,
        close_timeout=options.close_timeout,
        max_size=options.max_size,
        logger=LOGGER,
        create_connection=FastConnection,
        ssl=tls,
    ) as connection:
        assert isinstance(connection, FastConnection)  # as create_connection says
        yield AsyncioTransport(connection, options, endpoint.secrets)
