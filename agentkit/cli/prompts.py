"""The prompts of a terminal that takes no escapes (TERM=dumb, NO_COLOR, --color never): plain lines, no line editor."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final, Protocol

import anyio

from agentkit.cli.approvals import QuestionClosed
from agentkit.cli.inputs import LineReader
from agentkit.cli.terminal import Face, TerminalState, cells, clean

PROMPT: Final = "> "
_KEYS: Final = re.compile("\x1bO.")
"""What a keypad sends; the other keys send what ``clean`` takes away."""


class Surface(Protocol):
    """What is around a prompt."""

    above: Face | None
    """Takes whole lines, while a prompt is on the screen."""

    def settle(self) -> None:
        """End what is open, so that a prompt can follow."""

    def tell(self, text: str) -> None:
        """Show lines of our own."""


class Bare:
    """Nothing but a stream, and those of ``sys``, which lead above a prompt while one is there."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._kept = sys.stdout, sys.stderr
        self._above: Face | None = None

    @property
    def above(self) -> Face | None:
        """Takes whole lines, while a prompt is on the screen."""
        return self._above

    @above.setter
    def above(self, stream: Face | None) -> None:
        if self._above is None:
            self._kept = sys.stdout, sys.stderr
        self._above = stream
        sys.stdout, sys.stderr = self._kept if stream is None else (stream, stream)

    def settle(self) -> None:
        """Nothing is open."""

    def tell(self, text: str) -> None:
        """Write lines."""
        self._stream.write(text + "\n")
        self._stream.flush()


class Turns:
    """Questions come before what the user says, and one after the other."""

    def __init__(self) -> None:
        self._free = anyio.Event()
        self._free.set()

    async def free(self) -> None:
        """Wait until no question is asked."""
        while not self._free.is_set():
            await self._free.wait()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a question."""
        self._free = anyio.Event()
        try:
            yield
        finally:
            self._free.set()


class PlainPrompt:
    """Reads lines as the terminal gives them."""

    def __init__(self, surface: Surface, terminal: TerminalState, reader: LineReader, stream: IO[str]) -> None:
        self._surface = surface
        self._terminal = terminal
        self._reader = reader
        self._stream = stream
        self._turns = Turns()
        self._shown: list[str] = []
        """The prompts that wait, the one on the screen last."""
        self._scope = anyio.CancelScope()

    async def ask(self) -> str | None:
        """Return what was typed; None at the end."""
        await self._turns.free()
        return await self._line(PROMPT)

    async def question(self, text: str, *, default: str = "") -> str | None:
        """Return an answer; None at the end."""
        self._surface.settle()
        self._terminal.forget_typed()
        self._reader.forget()
        if default:
            self._surface.tell(f"  they are {default}\n  write them anew as JSON, or nothing to leave them")
        with self._turns.taken(), self._terminal.asking(), anyio.CancelScope() as self._scope:
            return await self._line(text)
        raise QuestionClosed

    def close_question(self) -> None:
        """Take the question back, where one is asked."""
        self._scope.cancel()

    async def _line(self, text: str) -> str | None:
        line = None
        with self._on_screen(text):
            try:
                line = await self._reader.line()
                if line is not None:
                    line = clean(_KEYS.sub("", line))
            finally:
                if line is None:
                    self._write("\n")
        return line

    @contextmanager
    def _on_screen(self, text: str) -> Iterator[None]:
        """Show a prompt, below the one that is there; what is written meanwhile appears above it."""
        self._write(f"\n{text}" if self._shown else text)
        self._shown.append(text)
        above, before = Above(self._stream, text), self._surface.above
        self._surface.above = above
        try:
            yield
        finally:
            self._shown.remove(text)
            self._surface.above = before
            above.finish()
            if self._shown:
                self._write(self._shown[-1])

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Above(Face):
    """Writes whole lines above a prompt that is on the screen, which it shows again below them."""

    def __init__(self, stream: IO[str], prompt: str) -> None:
        super().__init__(stream)
        self._prompt = prompt
        self._rest = ""

    def write(self, text: str) -> int:
        """Write what is whole."""
        lines, newline, self._rest = (self._rest + text).rpartition("\n")
        if newline:
            self._stream.write(f"\r{' ' * cells(self._prompt)}\r{lines}\n{self._prompt}")
            self._stream.flush()
        return len(text)

    def finish(self) -> None:
        """Write what is left."""
        if self._rest:
            self._stream.write(f"{self._rest}\n")
            self._rest = ""
