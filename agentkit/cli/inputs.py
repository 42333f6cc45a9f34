"""What the user says where it does not come from a prompt: one text, the whole of stdin, or its lines."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Final

import anyio
import anyio.lowlevel

from agentkit.cli.exits import Problem

_WAIT_SECONDS: Final = 5.0
_CHUNK: Final = 1 << 16
MAX_INPUT: Final = 4 << 20
"""Bytes of one turn; more is surely the wrong file."""


def read_whole(waiting: Callable[[], None]) -> str:
    """Read stdin to its end.

    Args:
        waiting: Called, in another thread, where the end has not come after five seconds.

    Raises:
        Problem: There is too much of it.
    """
    if sys.stdin is None:
        return ""
    timer = threading.Timer(_WAIT_SECONDS, waiting)
    timer.daemon = True
    timer.start()
    try:
        data = sys.stdin.buffer.read(MAX_INPUT + 1)
    except (OSError, ValueError) as exc:
        raise Problem(f"stdin cannot be read: {exc}") from exc
    finally:
        timer.cancel()
    if len(data) > MAX_INPUT:
        raise Problem(
            f"stdin has more than {MAX_INPUT >> 20} MiB, which is too much for one turn",
            hint="with --lines each line is a turn of its own",
        )
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


async def one(text: str) -> AsyncIterator[str]:
    """Give one text."""
    await anyio.lowlevel.checkpoint()
    yield text


async def nothing() -> AsyncIterator[str]:
    """Give no text."""
    await anyio.lowlevel.checkpoint()
    texts: tuple[str, ...] = ()
    for text in texts:
        yield text


async def lines(reader: "LineReader") -> AsyncIterator[str]:
    """Give the lines of stdin that are not blank, each when it is asked for.

    Raises:
        Problem: Stdin cannot be read.
    """
    while (line := await reader.line()) is not None:
        text = line.strip().removeprefix("\ufeff")
        if text:
            yield text
    if reader.error is not None:
        raise Problem(f"stdin cannot be read: {reader.error}") from reader.error


class LineReader:
    """Reads stdin line by line in a thread that nobody has to wait for.

    A thread, since a file cannot be waited for by the event loop; unbuffered, since a buffered reader's lock would
    stop the interpreter from ending while the thread still reads. Where several wait, the last one has the next line:
    a question that comes up is answered before what was waited for until then.
    """

    def __init__(self) -> None:
        self._wanted = threading.Semaphore(0)
        self._asked = False
        """Whether the thread has a line to read."""
        self._waiting: list[_Waiter] = []
        self._kept: list[str] = []
        self._ended = False
        self.error: OSError | ValueError | None = None
        """Why stdin could not be read to its end; there is no line after it."""
        self._loop: asyncio.AbstractEventLoop | None = None

    async def line(self) -> str | None:
        """Return the next line without its end, or None where there is none."""
        if self._kept:
            return self._kept.pop(0)
        if self._ended:
            return None
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self._read, name="agentkit stdin", daemon=True).start()
        waiter = _Waiter()
        self._waiting.append(waiter)
        self._ask()
        try:
            await waiter.done.wait()
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
        return waiter.line

    def forget(self) -> None:
        """Drop the lines that nobody has waited for."""
        self._kept.clear()

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            self._wanted.release()

    def _read(self) -> None:
        buffer = b""
        at_end = sys.stdin is None
        while True:
            self._wanted.acquire()
            while b"\n" not in buffer and not at_end:
                try:
                    data = os.read(sys.stdin.fileno(), _CHUNK)
                except (OSError, ValueError) as exc:
                    self.error, data = exc, b""
                at_end = not data
                buffer += data
            line, newline, buffer = buffer.partition(b"\n")
            text = line.decode("utf-8", "replace").removesuffix("\r") if line or newline else None
            assert self._loop is not None
            try:
                self._loop.call_soon_threadsafe(self._take, text)
            except RuntimeError:
                return  # the program has ended meanwhile
            if text is None:
                return

    def _take(self, line: str | None) -> None:
        self._asked = False
        if line is None:
            self._ended = True
            for waiter in self._waiting:
                waiter.done.set()
            self._waiting.clear()
            return
        if not self._waiting:
            self._kept.append(line)
            return
        waiter = self._waiting.pop()
        waiter.line = line
        waiter.done.set()
        if self._waiting:
            self._ask()


class _Waiter:
    """Somebody who waits for a line."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.line: str | None = None
