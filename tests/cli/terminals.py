"""The program on a real pseudo-terminal."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

IN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.executable, [sys.executable, '-m', 'agentkit', *sys.argv[1:]])"
)
"""Makes the terminal the process's own, so that Ctrl-C is a signal."""
CTRL_C = "\x03"
CTRL_D = "\x04"
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class Terminal:
    """The program in a terminal; ``expect`` reads until a text has come."""

    def __init__(self, folder: Path, environ: dict[str, str], *arguments: str, columns: int = 80) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_TERMINAL, *arguments],
            cwd=folder,
            env={"TERM": "xterm-256color", **environ},
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )
        self.raw = ""
        self._read = 0

    def expect(self, text: str) -> str:
        """Read until a text has come, and return what came before it."""
        deadline = time.monotonic() + 12
        while (found := self.text.find(text, self._read)) < 0:
            ready, _, _ = select.select([self.master], [], [], max(deadline - time.monotonic(), 0))
            try:
                data = os.read(self.master, 1 << 16) if ready else b""
            except OSError:  # how Linux says that the other end is closed
                data = b""
            if not data:
                raise AssertionError(f"{text!r} did not come; the terminal has {self.text!r}")
            self.raw += data.decode()
        before, self._read = self.text[self._read : found], found + len(text)
        return before

    @property
    def text(self) -> str:
        """Everything that was written, without escapes."""
        return ESCAPES.sub("", self.raw).replace("\r\n", "\n").replace(">\b", "> ")

    def type(self, keys: str) -> None:
        """Type keys."""
        os.write(self.master, keys.encode())

    def say(self, text: str) -> None:
        """Type a line."""
        self.type(f"{text}\r")

    def end(self) -> int:
        """Wait for the program's end; the terminal has to be as it was."""
        code = self.process.wait(12)
        assert termios.tcgetattr(self.slave) == self.before
        return code

    def close(self) -> None:
        """Kill what still runs."""
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class OpenTerminal(Protocol):
    """Starts ``agentkit run`` in a terminal which the fixture closes."""

    def __call__(self, *arguments: str, columns: int = 80, variables: Mapping[str, str] | None = None) -> Terminal: ...
