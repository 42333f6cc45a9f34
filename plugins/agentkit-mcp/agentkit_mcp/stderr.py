"""What a server writes to its stderr: into the log, and its last lines kept for messages.

A thread reads it, because a pipe can be waited for in no other way that works on every system.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

import anyio.to_thread

logger = logging.getLogger("agentkit.mcp")

KEPT: Final = 20
"""Lines."""
MAX_LINE: Final = 2000
"""Bytes; a longer line is taken as several."""
PATIENCE: Final = 1.0
"""Seconds to wait for the last words of a server that has ended."""


class Stderr:
    """The stderr of one process, from its start to its end."""

    def __init__(self, name: str, mask: Callable[[str], str]) -> None:
        """Begin to read.

        Args:
            name: What the log calls the server.
            mask: Takes what is secret out of a line.
        """
        self._name = name
        self._mask = mask
        self._lines: deque[str] = deque(maxlen=KEPT)
        reader, writer = os.pipe()
        self.file = os.fdopen(writer, "w", encoding="utf-8")
        """Where the process has to write; closed here once it has it."""
        self._thread = threading.Thread(target=self._read, args=(reader,), name=f"stderr of {name}", daemon=True)
        self._thread.start()

    def _read(self, reader: int) -> None:
        with os.fdopen(reader, "rb") as pipe:
            for raw in iter(partial(pipe.readline, MAX_LINE), b""):
                text = raw.decode("utf-8", "replace")
                line = self._mask("".join(char if char.isprintable() else " " for char in text).strip())
                if line:
                    self._lines.append(line)
                    logger.info("%s: %s", self._name, line)

    async def last(self, count: int) -> list[str]:
        """Return the last lines; all that were written, where the process has ended."""
        await anyio.to_thread.run_sync(self._thread.join, PATIENCE, abandon_on_cancel=True)
        return list(self._lines)[-count:]
