"""Frames on their way to the transport: one writer, in order, and the wire tap for what was written.

Rule: a frame counts as sent, and is shown to the taps, when the transport took it. Whoever waits for a frame may be
cancelled; the frame is not. Where the session has further connections, a frame that was lost with one is no error: the
core knows what it has sent, and what of that has to be sent again.
"""

from collections import deque
from collections.abc import Callable

import anyio

from agentkit.errors import AgentkitError, SessionClosedError, TransportError
from agentkit.events import ClientEvent
from agentkit.transports.base import Transport


class Frame:
    """A frame that is not written yet."""

    __slots__ = ("done", "error", "event", "raw")

    def __init__(self, raw: bytes, event: ClientEvent) -> None:
        self.raw = raw
        self.event = event
        self.done = anyio.Event()
        self.error: AgentkitError | None = None

    def end(self, error: AgentkitError | None) -> None:
        """The frame was written, or never will be."""
        self.error = error
        self.done.set()

    async def wait(self) -> None:
        """Wait until the frame is written.

        Raises:
            TransportError: The connection is gone.
            SessionClosedError: It was closed from this side.
        """
        await self.done.wait()
        if self.error is not None:
            raise self.error.with_traceback(None)


class Outbox:
    """The frames on their way to one connection."""

    def __init__(self, sent: Callable[[bytes, ClientEvent], None]) -> None:
        self._transport: Transport | None = None
        self._sent = sent
        self._frames: deque[Frame] = deque()
        self._writing = False
        self._wake = anyio.Event()
        self._broken: AgentkitError | None = None
        self._lost: Callable[[ClientEvent], None] | None = None
        self._away = False

    def __len__(self) -> int:
        return len(self._frames) + self._writing

    def outlive(self, lost: Callable[[ClientEvent], None]) -> None:
        """Let frames be lost with their connection without an error, for there may be another.

        Args:
            lost: Told of each.
        """
        self._lost = lost

    def detach(self) -> None:
        """The connection is gone; what is put meanwhile is lost too."""
        assert self._lost is not None
        self._transport, self._away = None, True
        frames, self._frames = self._frames, deque()
        for frame in frames:
            self._lost(frame.event)
            frame.end(None)

    def attach(self, transport: Transport) -> None:
        """Write to this connection from now on."""
        self._transport, self._away = transport, False

    def put(self, raw: bytes, event: ClientEvent) -> Frame | None:
        """Write a frame after those before it: at once where nothing blocks, else by ``run``.

        Returns:
            The frame to wait for; None where it is written already.

        Raises:
            TransportError: The connection is gone.
            SessionClosedError: It was closed from this side, or never open.
        """
        if self._broken is not None:
            # Raised many times by a microphone that goes on: each raise would add to the one traceback.
            raise self._broken.with_traceback(None)
        transport = self._transport
        if self._away and self._lost is not None:
            self._lost(event)
            return None
        if transport is None:
            raise SessionClosedError("the session is not connected")
        if not (self._writing or self._frames) and transport.try_send(raw):
            self._sent(raw, event)
            return None
        frame = Frame(raw, event)
        self._frames.append(frame)
        self._wake.set()
        return frame

    async def run(self) -> None:
        """Write what waits, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._frames and self._transport is not None:
                frame = self._frames.popleft()
                self._writing = True
                error: AgentkitError | None = SessionClosedError("the session was closed before the frame was written")
                try:
                    await self._transport.send(frame.raw)
                    self._sent(frame.raw, frame.event)
                    error = None
                except AgentkitError as exc:
                    error = exc
                    if self._lost is not None and isinstance(exc, TransportError | SessionClosedError):
                        self._lost(frame.event)
                        error = None
                finally:
                    self._writing = False
                    frame.end(error)

    def fail(self, error: AgentkitError) -> None:
        """The connection is gone: everybody who waits is told."""
        self._broken = error
        while self._frames:
            self._frames.popleft().end(error)
