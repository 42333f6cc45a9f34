"""Messages that were read from the socket and not yet received, with flow control; no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

HIGH_WATER = 64
"""Reading from the socket stops above this many waiting messages."""
LOW_WATER = 16
"""Reading goes on at this many."""


class Inbox:
    """The queue between the socket's side, which puts, and the one task that receives."""

    __slots__ = ("_closed", "_parts", "_pause", "_resume", "messages", "paused", "wake")

    def __init__(self, *, pause: Callable[[], object], resume: Callable[[], object]) -> None:
        self.messages: deque[bytes] = deque()
        """Whole messages in order."""
        self.paused = False
        """Whether reading is stopped."""
        self.wake: Callable[[], object] | None = None
        """Set by the task that waits; called once when there is news."""
        self._pause = pause
        self._resume = resume
        self._parts: bytearray | None = None
        self._closed = False

    def add_fragment(self, data: bytes, *, final: bool) -> None:
        """Add a data frame; the message is whole with its final one.

        The size is bounded by the parser, which counts the fragments of one message together.
        """
        if self._parts is None:
            if final:
                self.messages.append(bytes(data))
                return
            self._parts = bytearray()
        self._parts += data
        if final:
            self.messages.append(bytes(self._parts))
            self._parts = None

    def notify(self) -> None:
        """Wake the receiving task, and stop the reading if too much waits; call it after adding messages."""
        if self.wake is not None:
            wake, self.wake = self.wake, None
            wake()
        if self._closed:
            self.messages.clear()
        elif not self.paused and len(self.messages) > HIGH_WATER:
            self.paused = True
            self._pause()

    def close(self) -> None:
        """Drop what waits and what still comes, and let the reading go on, so that the end is seen."""
        self._closed = True
        if self.paused:
            self.paused = False
            self._resume()
        self.notify()

    def take(self) -> bytes:
        """Remove the oldest message; there must be one."""
        message = self.messages.popleft()
        if self.paused and len(self.messages) <= LOW_WATER:
            self.paused = False
            self._resume()
        return message
