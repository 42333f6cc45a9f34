"""Frames on their way to the transport: one writer at a time, in order, and the wire tap for what was written.

Rule: a frame counts as sent, and is shown to the taps, when the transport took it.
"""

from collections import deque
from collections.abc import Callable

import anyio

from agentkit.errors import AgentkitError, SessionClosedError
from agentkit.events import ClientEvent
from agentkit.transports.base import Transport


class _Frame:
    __slots__ = ("done", "error", "event", "raw")

    def __init__(self, raw: bytes, event: ClientEvent, done: anyio.Event | None) -> None:
        self.raw = raw
        self.event = event
        self.done = done
        self.error: AgentkitError | None = None


class Outbox:
    """The frames on their way to one connection."""

    def __init__(self, sent: Callable[[bytes, ClientEvent], None]) -> None:
        self._transport: Transport | None = None
        self._sent = sent
        self._frames: deque[_Frame] = deque()
        self._writing = False
        self._wake = anyio.Event()
        self._broken: AgentkitError | None = None

    def attach(self, transport: Transport) -> None:
        """Write to this connection from now on."""
        self._transport = transport

    async def write(self, raw: bytes, event: ClientEvent) -> None:
        """Write a frame after those before it, and wait until the transport took it.

        Raises:
            TransportError: The connection is gone.
            SessionClosedError: It was closed from this side.
        """
        if self._writing or self._frames:
            frame = _Frame(raw, event, anyio.Event())
            self._put(frame)
            assert frame.done is not None
            await frame.done.wait()
            if frame.error is not None:
                raise frame.error
            return
        if self._broken is not None:
            raise self._broken
        self._writing = True
        try:
            await self._send(raw, event)
        finally:
            self._writing = False
            if self._frames:
                self._wake.set()

    def post(self, raw: bytes, event: ClientEvent) -> None:
        """Write a frame at once where nothing blocks, else soon; dropped where it cannot be written any more."""
        free = not (self._writing or self._frames) and self._broken is None
        if free and self._transport is not None and self._transport.try_send(raw):
            self._sent(raw, event)
        else:
            self._put(_Frame(raw, event, None))

    def _put(self, frame: _Frame) -> None:
        self._frames.append(frame)
        if not self._writing:
            self._wake.set()

    async def run(self) -> None:
        """Write what was posted, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._frames and not self._writing:
                frame = self._frames.popleft()
                self._writing = True
                try:
                    if self._broken is not None:
                        raise self._broken
                    await self._send(frame.raw, frame.event)
                except AgentkitError as exc:
                    frame.error = exc
                finally:
                    self._writing = False
                    if frame.done is not None:
                        frame.done.set()

    async def _send(self, raw: bytes, event: ClientEvent) -> None:
        if self._transport is None:
            raise SessionClosedError("the session is not connected")
        await self._transport.send(raw)
        self._sent(raw, event)

    def fail(self, error: AgentkitError) -> None:
        """The connection is gone: everybody who waits is told."""
        self._broken = error
        self._wake.set()
