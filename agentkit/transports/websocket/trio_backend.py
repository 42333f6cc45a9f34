"""The WebSocket transport on trio: websockets' connection with an inbox and sends of bounded time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext

import trio
from websockets.client import ClientProtocol
from websockets.datastructures import HeadersLike
from websockets.exceptions import InvalidStatus
from websockets.frames import CLOSE, DATA_OPCODES, TEXT, Frame
from websockets.protocol import OPEN, Event
from websockets.trio.client import ClientConnection, connect

from agentkit.errors import ConnectionLostError, SessionClosedError
from agentkit.transports.base import Transport
from agentkit.transports.closing import check_code, cut_reason
from agentkit.transports.endpoint import ConnectOptions, Endpoint
from agentkit.transports.websocket.encoding import Encoder
from agentkit.transports.websocket.failures import HandshakeRefused, lost_connection, stalled
from agentkit.transports.websocket.inbox import Inbox
from agentkit.transports.websocket.quiet import LOGGER

FAILURES: tuple[type[Exception], ...] = (trio.BrokenResourceError, trio.ClosedResourceError)
"""What a dial can raise on this backend alone: trio wraps TLS errors so."""


class InboxConnection(ClientConnection):
    """websockets' connection with an inbox of whole messages."""

    def __init__(
        self,
        nursery: trio.Nursery,
        stream: trio.abc.Stream,
        protocol: ClientProtocol,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: int | tuple[int | None, int | None] | None = 16,
    ) -> None:
        self.inbox = Inbox(pause=self.pause_reading, resume=self.resume_reading)
        self.ended = False
        super().__init__(
            nursery,
            stream,
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
        )

    async def handshake(
        self, additional_headers: HeadersLike | None = None, user_agent_header: str | None = None
    ) -> None:
        """Open, and turn a refusal into an error that ``connect`` neither retries nor follows."""
        try:
            await super().handshake(additional_headers, user_agent_header)
        except InvalidStatus as exc:
            raise HandshakeRefused(exc.response) from exc

    def process_event(self, event: Event) -> None:
        if self.response is not None and isinstance(event, Frame) and event.opcode in DATA_OPCODES:
            self.inbox.add_fragment(bytes(event.data), final=event.fin)
        else:
            super().process_event(event)
            # The protocol's state changes before the last messages are in the inbox, so it does not tell.
            self.ended = self.ended or (isinstance(event, Frame) and event.opcode is CLOSE)
        if self.inbox.messages or self.ended:
            self.inbox.notify()

    async def send_data(self) -> None:
        await super().send_data()
        if self.protocol.parser_exc is not None and not self.ended:
            # What came before the failure in the same read is put into the inbox first: the reading task goes on
            # without a checkpoint. The peer may never close its side, so the receiver does not wait for that.
            self.nursery.start_soon(self._end)

    async def _end(self) -> None:
        self.ended = True
        self.inbox.notify()

    async def close_stream(self) -> None:
        try:
            await super().close_stream()
        finally:
            await self._end()


class TrioTransport(Transport):
    """One WebSocket connection on trio."""

    __slots__ = ("_closed", "_connection", "_encode", "_inbox", "_options", "_protocol", "_secrets")

    def __init__(self, connection: InboxConnection, options: ConnectOptions, secrets: tuple[str, ...]) -> None:
        self._connection = connection
        self._protocol = connection.protocol
        self._inbox = connection.inbox
        self._options = options
        self._secrets = secrets
        self._closed = False
        self._encode = Encoder().text

    async def send(self, frame: bytes) -> None:
        """Send one text frame; see ``Transport.send``.

        Cancelling a send that is blocked closes the connection: half a frame may be on the wire.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed or self._protocol.state is not OPEN:
            raise self._ended()
        lock = self._connection.send_lock
        with trio.move_on_after(self._options.send_timeout) as limit:
            try:
                lock.acquire_nowait()
            except trio.WouldBlock:
                await lock.acquire()
            try:
                await self._write(frame)
            finally:
                lock.release()
        if limit.cancelled_caught:
            await trio.aclose_forcefully(self._connection.stream)
            raise stalled(self._options.send_timeout)

    async def _write(self, frame: bytes) -> None:
        # The state may have changed while another send held the lock.
        protocol = self._protocol
        if protocol.state is not OPEN:
            raise self._ended()
        if protocol.extensions:
            data = Frame(TEXT, frame).serialize(mask=True, extensions=protocol.extensions)
        else:
            data = self._encode(frame)
        try:
            await self._connection.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            await trio.aclose_forcefully(self._connection.stream)
            raise self._ended() from exc
        except trio.Cancelled:
            await trio.aclose_forcefully(self._connection.stream)
            raise

    async def receive(self) -> bytes:
        """Wait for the next text frame; see ``Transport.receive``."""
        inbox = self._inbox
        while True:
            if inbox.messages:
                # Closing empties the inbox, and nothing enters it afterwards.
                return inbox.take()
            if self._closed or self._connection.ended:
                raise self._ended()
            if inbox.wake is not None:
                raise RuntimeError("another task is already receiving from this transport")
            news = trio.Event()
            inbox.wake = news.set
            try:
                await news.wait()
            finally:
                inbox.wake = None

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection; see ``Transport.aclose``."""
        check_code(code)
        self._closed = True
        self._inbox.close()
        closed = False
        try:
            with trio.move_on_after(self._options.close_timeout):
                await self._connection.aclose(code, cut_reason(reason))
                closed = True
        finally:
            if not closed:
                await trio.aclose_forcefully(self._connection.stream)

    def _ended(self) -> ConnectionLostError | SessionClosedError:
        if self._closed:
            return SessionClosedError("the connection is closed")
        return lost_connection(self._protocol, self._connection.connection_exc, self._secrets)


@asynccontextmanager
async def dial(endpoint: Endpoint, options: ConnectOptions, tls: SSLContext | None) -> AsyncIterator[Transport]:
    """Connect, in one try, and close the connection at the end."""
    async with connect(
        endpoint.url,
        ssl=tls,
        additional_headers=endpoint.headers,
        compression="deflate" if options.compression else None,
        proxy=options.proxy or None,
        open_timeout=options.open_timeout,
        ping_interval=options.ping_interval,
        ping_timeout=options.ping_timeout,
        close_timeout=options.close_timeout,
        max_size=options.max_size,
        logger=LOGGER,
        create_connection=InboxConnection,
    ) as connection:
        assert isinstance(connection, InboxConnection)  # as create_connection says
        yield TrioTransport(connection, options, endpoint.secrets)
