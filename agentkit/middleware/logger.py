"""The logger: every frame of both directions in one JSONL file, in true wire order."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from agentkit.errors import ConfigError
from agentkit.events import Event, MalformedEvent
from agentkit.masking import WireMasker
from agentkit.middleware.base import Direction, Middleware
from agentkit.middleware.frames import without_audio
from agentkit.middleware.secrets import wire_masker


class LoggerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the ``logger`` middleware."""

    path: str = "logs/{session}.jsonl"
    """Where to write, from the working directory; ``{session}`` and ``{date}`` are filled in. A file is appended to."""
    audio: bool = False
    """Write audio as it is on the wire; otherwise its length stands in for it."""


class Logger(Middleware):
    """Write each frame as it went over the wire, with its time, number and direction.

    A line is ``{"time": ..., "seq": ..., "direction": "in" | "out", "event": {...}}``; what is no JSON is written as
    ``"raw"``. A line is written before anything acts on the event. Secrets are masked, a tool's secret arguments too.
    """

    def __init__(self, path: str | os.PathLike[str] = "logs/{session}.jsonl", *, audio: bool = False) -> None:
        """Make the layer; the file is opened with the session.

        Args:
            path: Where to write; ``{session}`` and ``{date}`` are filled in.
            audio: Write audio as it is on the wire.
        """
        self._template = os.fspath(path)
        self._audio = audio
        self._sequence = 0
        self._file = -1
        self._masker: WireMasker
        self.path: Path | None = None
        """The file that is written, once the session runs."""

    @classmethod
    def from_config(cls, config: LoggerConfig) -> "Logger":
        """Make the layer from its options."""
        return cls(config.path, audio=config.audio)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold the file open."""
        self._masker = wire_masker(self.session)
        today = datetime.now(UTC).strftime("%Y-%m-%d")
        path = Path(self._template.replace("{session}", self.session.id).replace("{date}", today))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as exc:
            raise ConfigError(
                f"the logger cannot write {str(path)!r}: {exc.strerror or exc}",
                hint="give a path that can be written: {use: logger, with: {path: ...}}",
            ) from exc
        self.path = path
        try:
            yield
        finally:
            os.close(self._file)

    def on_wire(self, direction: Direction, raw: bytes, event: Event) -> None:
        """Write one frame."""
        self._sequence += 1
        raw = self._masker.frame(raw if self._audio else without_audio(raw, event))
        if isinstance(event, MalformedEvent):
            text = msgspec.json.encode(raw[:4096].decode("utf-8", "replace"))
            body = b'"raw":' + self._masker.masker.bytes(text)  # what is no JSON has no quotes to be masked in
        else:
            body = b'"event":' + raw
        if b"\n" in body:
            body = body.replace(b"\r", b"").replace(b"\n", b"")  # only between tokens: in a JSON string it is escaped
        head = b'{"time":"%s","seq":%d,"direction":"%s",' % (_now(), self._sequence, direction.encode())
        os.write(self._file, head + body + b"}\n")


def _now() -> bytes:
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1e6):06d}Z".encode()
