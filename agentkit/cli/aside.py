"""What code that is not ours prints while a conversation is on the screen: whole lines, cleaned, and not too many."""

import asyncio
import threading
from collections.abc import Callable
from typing import IO, Final

from agentkit.cli.terminal import Face, clean

LINES_PER_SECOND: Final = 20
_REST_SECONDS: Final = 0.5
"""How long a line may take to become whole."""
_MAX_LINE: Final = 2000
_MAX_REST: Final = 1 << 16


class Throttle:
    """Lets so many lines through in each second, and tells how many it has dropped."""

    def __init__(self, show: Callable[[list[str]], None]) -> None:
        """Make it, in the event loop.

        Args:
            show: Takes lines to show.
        """
        self._show = show
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._left = LINES_PER_SECOND
        self._dropped = 0

    def take(self, lines: list[str]) -> None:
        """Show lines, or count them."""
        allowed = lines[: self._left]
        self._left -= len(allowed)
        self._dropped += len(lines) - len(allowed)
        if allowed:
            self._show(allowed)
        if self._timer is None:
            self._timer = self._loop.call_later(1.0, self._next)

    def _next(self) -> None:
        self._timer = None
        self._left = LINES_PER_SECOND
        self.finish()

    def finish(self) -> None:
        """Tell what was dropped."""
        if self._dropped:
            count, self._dropped = self._dropped, 0
            self._show(
                [f"({count} more line{'s' * (count != 1)} dropped: at most {LINES_PER_SECOND} a second are shown)"]
            )


class Aside(Face):
    """Stands in the place of a stream, from any thread."""

    def __init__(self, stream: IO[str], throttle: Throttle) -> None:
        super().__init__(stream)
        self._throttle = throttle
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._rest = ""
        self._lines: list[str] = []
        self._due = False

    def write(self, text: str) -> int:
        """Take what is whole of it."""
        with self._lock:
            *lines, rest = (self._rest + text).split("\n")
            self._rest = rest[-_MAX_REST:]
            self._lines += map(_shown, lines)
            due, self._due = not self._due, True
        if due:
            try:
                self._loop.call_soon_threadsafe(self._show)
            except RuntimeError:
                pass  # the conversation has ended meanwhile
        return len(text)

    def flush(self) -> None:
        """Do nothing: a line is shown once it is whole, or nothing more comes of it."""

    def finish(self) -> None:
        """Show what is left, whole or not."""
        with self._lock:
            if self._rest:
                self._lines.append(_shown(self._rest))
                self._rest = ""
        self._show()

    def _show(self) -> None:
        with self._lock:
            self._due = False
            lines, self._lines = self._lines, []
            waits = bool(self._rest)
        if lines:
            self._throttle.take(lines)
        if waits:
            self._loop.call_later(_REST_SECONDS, self._show_rest, self._rest)

    def _show_rest(self, rest: str) -> None:
        if self._rest == rest:
            self.finish()


def _shown(line: str) -> str:
    """Return what is left of a line on a terminal: what a carriage return has written over is gone."""
    return clean(line.rstrip("\r").rpartition("\r")[2].expandtabs())[:_MAX_LINE]
