"""Two transports joined in memory: for the embedded server and for tests."""

from __future__ import annotations

from collections import deque

import anyio

from agentkit.errors import ConnectionLostError, SessionClosedError
from agentkit.transports.base import Transport
from agentkit.transports.closing import check_code, cut_reason, lost

DEFAULT_CAPACITY = 256
"""Frames that may wait in each direction before a sender waits."""


class _Waiting:
    """A sender that found no room, with its frame."""

    __slots__ = ("event", "frame", "taken")

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.event = anyio.Event()
        self.taken = False


class _Lane:
    """One direction: frames in order, and who waits for what.

    The two ends share lanes and do not know each other, so there is no reference cycle.
    """

    __slots__ = ("capacity", "frames", "reader", "reader_end", "waiting", "writer_end")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.frames: deque[bytes] = deque()
        self.waiting: deque[_Waiting] = deque()
        self.reader: anyio.Event | None = None
        self.reader_end: tuple[int, str] | None = None
        self.writer_end: tuple[int, str] | None = None

    def wake_reader(self) -> None:
        if self.reader is not None:
            self.reader.set()

    def take(self) -> bytes:
        frame = self.frames.popleft()
        if self.waiting:
            # The freed place goes to the first who waits, so senders keep their order.
            first = self.waiting.popleft()
            self.frames.append(first.frame)
            first.taken = True
            first.event.set()
        return frame

    def end_writing(self, code: int, reason: str) -> None:
        self.writer_end = (code, reason)
        self._release_writers()
        self.wake_reader()

    def end_reading(self, code: int, reason: str) -> None:
        self.reader_end = (code, reason)
        self.frames.clear()
        self._release_writers()
        self.wake_reader()

    def _release_writers(self) -> None:
        while self.waiting:
            self.waiting.popleft().event.set()


class MemoryTransport(Transport):
    """One end of a pair made by ``memory_pair``."""

    __slots__ = ("_inbox", "_outbox")

    def __init__(self, inbox: _Lane, outbox: _Lane) -> None:
        self._inbox = inbox
        self._outbox = outbox

    async def send(self, frame: bytes) -> None:
        """Send one text frame; waits only where the other end has not read enough.

        Raises:
            ConnectionLostError: The other end is closed.
            SessionClosedError: This end is closed.
        """
        lane = self._outbox
        if lane.writer_end is not None or lane.reader_end is not None:
            raise self._ended(lane)
        if self.try_send(frame):
            return
        waiting = _Waiting(frame)
        lane.waiting.append(waiting)
        try:
            await waiting.event.wait()
        finally:
            if not waiting.event.is_set():
                lane.waiting.remove(waiting)
        if not waiting.taken:
            raise self._ended(lane)

    def try_send(self, frame: bytes) -> bool:
        """Send one text frame now, where there is room; see ``Transport.try_send``."""
        lane = self._outbox
        if lane.writer_end is not None or lane.reader_end is not None or len(lane.frames) >= lane.capacity:
            return False
        lane.frames.append(frame)
        lane.wake_reader()
        return True

    async def receive(self) -> bytes:
        """Wait for the next frame.

        Raises:
            ConnectionLostError: The other end is closed, and all that it sent has been received.
            SessionClosedError: This end is closed.
            RuntimeError: Another task is already receiving.
        """
        lane = self._inbox
        while not lane.frames:
            if lane.reader_end is not None:
                raise SessionClosedError("the transport is closed")
            if lane.writer_end is not None:
                raise lost(*lane.writer_end)
            if lane.reader is not None:
                raise RuntimeError("another task is already receiving from this transport")
            lane.reader = anyio.Event()
            try:
                await lane.reader.wait()
            finally:
                lane.reader = None
        return lane.take()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close this end; the other one reads what was sent before, and then the end.

        Raises:
            ValueError: ``code`` is not one that may be sent.
        """
        check_code(code)
        if self._outbox.writer_end is None:
            reason = cut_reason(reason)
            self._outbox.end_writing(code, reason)
            self._inbox.end_reading(code, reason)

    @staticmethod
    def _ended(lane: _Lane) -> ConnectionLostError | SessionClosedError:
        if lane.writer_end is not None or lane.reader_end is None:
            return SessionClosedError("the transport is closed")
        return lost(*lane.reader_end)


def memory_pair(capacity: int = DEFAULT_CAPACITY) -> tuple[MemoryTransport, MemoryTransport]:
    """Make two transports that are each other's peer.

    Args:
        capacity: Frames that may wait in each direction before ``send`` waits.

    Raises:
        ValueError: ``capacity`` is below one.
    """
    if capacity < 1:
        msg = f"the capacity must be at least 1 frame, not {capacity}"
        raise ValueError(msg)
    up, down = _Lane(capacity), _Lane(capacity)
    return MemoryTransport(down, up), MemoryTransport(up, down)
