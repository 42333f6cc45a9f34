"""The program on a real pseudo-terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pyte

IN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.executable, [sys.executable, '-m', 'agentkit', *sys.argv[1:]])"
)
"""Makes the terminal the process's own, so that Ctrl-C is a signal."""
CTRL_C = "\x03"
CTRL_D = "\x04"
ESCAPE = "\x1b"
SECONDS = 8
"""How long something may take to come."""


class Terminal:
    """The program in a terminal, and what a person sees there; ``expect`` reads until a text has come."""

    def __init__(
        self, folder: Path, environ: dict[str, str], *arguments: str, columns: int = 80, rows: int = 24
    ) -> None:
        self.master, self.slave = pty.openpty()
        self._screen = pyte.HistoryScreen(columns, rows, history=2000)
        self._stream = pyte.ByteStream(self._screen)
        self._set_size(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_TERMINAL, *arguments],
            cwd=folder,
            # As in xterm, which breaks no line anew: neither does this one.
            env={"TERM": "xterm-256color", "XTERM_VERSION": "XTerm(390)", **environ},
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )
        self.raw = ""
        """Everything that was written."""
        self._read = 0

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int = 24) -> None:
        """Make the window another size."""
        self._screen.resize(rows, columns)
        self._set_size(columns, rows)

    @property
    def screen(self) -> list[str]:
        """The rows of the screen down to the last one with anything on it."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip().split("\n")

    @property
    def bar(self) -> str:
        """The last row with anything on it."""
        return self.screen[-1]

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row."""
        return self._screen.cursor.x, self._screen.cursor.y

    @property
    def text(self) -> str:
        """What a person can read, from the scrollback's beginning to the cursor at least; a prompt has its space."""
        above = ["".join(line[x].data for x in range(self._screen.columns)) for line in self._screen.history.top]
        below = [""] * (self._screen.cursor.y + 1 - len(self.screen))
        lines = [line.rstrip() for line in [*above, *self.screen, *below]]
        return "\n".join(f"{line} " if line.endswith(">") else line for line in lines)

    def expect(self, text: str) -> str:
        """Read until a text has come behind the one that was expected last, and return what is before it."""
        self.until(lambda: self.text.find(text, self._read) >= 0, repr(text))
        found = self.text.index(text, self._read)
        before, self._read = self.text[self._read : found], min(found + len(text), self._live)
        return before

    @property
    def _live(self) -> int:
        """Where in the text the cursor's row begins: above it something may still come in between."""
        rows = len(self._screen.history.top) + self._screen.cursor.y
        return sum(len(line) + 1 for line in self.text.split("\n")[:rows])

    def until(self, seen: Callable[[], bool], what: str = "it") -> None:
        """Read until something is seen."""
        deadline = time.monotonic() + SECONDS
        while not seen():
            self._take(0.1)
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come; the terminal has\n{self.text}")

    def _take(self, seconds: float) -> bool:
        """Read what comes, and tell whether anything did."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        try:
            data = os.read(self.master, 1 << 16) if ready else b""
        except OSError:  # how Linux says that the other end is closed
            data = b""
        self.raw += data.decode("utf-8", "replace")
        self._stream.feed(data)
        return bool(data)

    def type(self, keys: str) -> None:
        """Type keys."""
        os.write(self.master, keys.encode())

    def say(self, text: str) -> None:
        """Type a line."""
        self.type(f"{text}\r")

    def end(self) -> int:
        """Wait for the program's end; the terminal has to be as it was."""
        deadline = time.monotonic() + SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it has not ended; the terminal has\n{self.text}"
            self._take(0.05)
        while self._take(0):
            pass
        assert termios.tcgetattr(self.slave) == self.before
        assert not self._screen.cursor.hidden
        return self.process.returncode

    def cook(self) -> None:
        """Put the settings back, as a shell does that has the terminal meanwhile."""
        termios.tcsetattr(self.slave, termios.TCSANOW, self.before)

    @property
    def raw_mode(self) -> bool:
        """Whether the program reads keys instead of lines."""
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def close(self) -> None:
        """Kill what still runs."""
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class OpenTerminal(Protocol):
    """Starts ``agentkit run`` in a terminal which the fixture closes."""

    def __call__(self, *arguments: str, columns: int = 80, variables: Mapping[str, str] | None = None) -> Terminal: ...
