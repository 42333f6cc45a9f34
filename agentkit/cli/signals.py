"""Ctrl-C, SIGTERM and SIGHUP as calls in the event loop."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final, TypeVar, TypeVarTuple, Unpack

import anyio

from agentkit.cli.exits import Exit

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_ENDING: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""SIGHUP, which Windows has not, says that the terminal was closed."""
_NUMBERS: Final = (signal.SIGINT, *_ENDING)


def run_to_end(function: "Callable[[Unpack[Ts]], Awaitable[T]]", *arguments: "Unpack[Ts]") -> T:
    """Run an async function in an event loop; where SIGTERM or SIGHUP comes, what it has opened is closed first.

    Raises:
        SystemExit: With the exit code of such a signal.
    """

    async def run() -> T:
        with anyio.CancelScope() as scope, signals_to(lambda number: scope.cancel(), _ENDING):
            return await function(*arguments)
        raise SystemExit(Exit.TERMINATED)

    return anyio.run(run)


@contextmanager
def signals_to(handle: Callable[[int], None], numbers: Sequence[int] = _NUMBERS) -> Iterator[None]:
    """Call ``handle`` with the number of each of these signals, from the running event loop."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
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
