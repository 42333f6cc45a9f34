"""Finds what blocks an event loop: a heartbeat on the loop, and a thread that looks where it stands when that is late.

Rule: time is the machine's own, for a loop whose clock is virtual can be blocked as well.
"""

import logging
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import anyio

logger = logging.getLogger("agentkit_observe")

_STANDARD: Final = tuple({path for name in ("stdlib", "platstdlib") if (path := sysconfig.get_path(name))})
_INSTALLED: Final = ("site-packages", "dist-packages")


class LagWatch:
    """Watches one event loop from a thread."""

    def __init__(self, threshold: float, tell: Callable[[float, str], None]) -> None:
        """Prepare to watch.

        Args:
            threshold: Seconds that the loop may be blocked.
            tell: Told on the loop, when it goes on, how long it was blocked, and where; empty where it is not known.
        """
        self._threshold = threshold
        self._tell = tell
        self._pause = min(0.1, max(0.01, threshold / 4))
        self._beat = time.monotonic()
        self._place = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="agentkit-watchdog", daemon=True)
        self._watched = 0

    async def run(self) -> None:
        """Beat until cancelled."""
        self._watched = threading.get_ident()
        self._beat = time.monotonic()
        self._thread.start()
        try:
            while True:
                await anyio.sleep(self._pause)
                now = time.monotonic()
                blocked, place = now - self._beat - self._pause, self._place
                self._beat, self._place = now, ""
                if blocked > self._threshold:
                    self._tell(blocked, place)
        finally:
            self._over.set()

    def close(self) -> None:
        """Stop the thread."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(self._pause):
            beat = self._beat
            if time.monotonic() - beat <= self._threshold + self._pause or self._place:
                continue
            frame = sys._current_frames().get(self._watched)
            if frame is None:
                continue
            place = place_of(frame)
            del frame
            if place and self._beat == beat:  # otherwise it went on meanwhile, and stands somewhere else by now
                self._place = place
                # Told at once, too: while the loop is blocked for good, nobody can be told on it.
                logger.warning("the event loop is blocked %s", place)


def place_of(frame: FrameType) -> str:
    """Return in words where a thread's event loop is busy; empty where it only waits.

    That is the innermost line which is neither Python's own nor an installed library's, or else the innermost of a
    library.
    """
    current: FrameType | None = frame
    library: FrameType | None = None
    while current is not None and not _is_loop(current):
        file = current.f_code.co_filename
        installed = any(folder in file for folder in _INSTALLED)
        if not installed and not file.startswith((*_STANDARD, "<")):
            return _words(current)
        if installed and library is None:
            library = current
        current = current.f_back
    return _words(library) if library is not None else ""


def _is_loop(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return package in ("asyncio", "trio", "uvloop")


def _words(frame: FrameType) -> str:
    file = "/".join(Path(frame.f_code.co_filename).parts[-2:])
    return f"in {frame.f_code.co_qualname} ({file}:{frame.f_lineno})"
