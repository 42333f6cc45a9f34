"""Ctrl-C, SIGTERM and SIGHUP as calls in the event loop."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_NUMBERS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""SIGHUP, which Windows has not, says that the terminal was closed."""


@contextmanager
def signals_to(handle: Callable[[int], None]) -> Iterator[None]:
    """Call ``handle`` with the number of each of these signals, from the running event loop."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    for number in _NUMBERS:
        if sys.platform == "win32":
            # The loop's own handlers do not exist there; its wake-up for plain ones does.
            def caught(number: int, frame: FrameType | None) -> None:
                loop.call_soon_threadsafe(handle, number)

            signal.signal(number, caught)
        else:
            # A plain handler would wait for the loop to wake up, where the signal comes just before it sleeps.
            loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            if sys.platform != "win32":
                loop.remove_signal_handler(number)
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
