"""The journal: what a session did, on disk before it goes on, so that a killed process does not do it twice.

Rule: a call is on disk before its body begins, and its outcome before anybody else is told of it. A call without an
outcome may have run or not: whoever takes the conversation up again says so, and does not run it.
"""

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread
import msgspec

from agentkit.errors import ConfigError
from agentkit.events import (
    AnySettings,
    ConversationItemDeleted,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemTruncated,
    FunctionCallItem,
    FunctionCallOutputItem,
    HandedOver,
    Interrupted,
    ItemCompleted,
    SessionUpdated,
)
from agentkit.masking import WireMasker
from agentkit.middleware import Middleware, Next, NextCall, on
from agentkit.middleware.secrets import wire_masker
from agentkit.session.entries import Entry
from agentkit.session.journaled import VERSION, Heard, Line, Transcript
from agentkit.session.snapshot import Snapshot, encode_entry
from agentkit.tools import ToolCall, ToolResult

UNWRITTEN = "the journal cannot be written"


class JournalConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the ``journal`` middleware."""

    path: str
    """Where to write, from the working directory. A file that is there goes on: one file is one conversation."""


class Journal(Middleware):
    """Write down what a session needs to be taken up again after its process was killed.

    The last layer before the guards, so a call that a guard refuses is on disk as one that has begun, and then with the
    refusal as its outcome. The file may be read by its owner only; secrets are masked in it, a tool's secret arguments
    too, so the model of the session that goes on sees ``***`` in their place. A call that cannot be written down does
    not run.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Make the layer; the file is opened with the session.

        Args:
            path: Where to write; a file that is there goes on.
        """
        self.path = Path(path)
        self._file = -1
        self._cut = False
        """Whether the last line may have no end."""
        self._masker: WireMasker
        self._settings: AnySettings | None = None
        self._told = False

    @classmethod
    def from_config(cls, config: JournalConfig) -> "Journal":
        """Make the layer from its options."""
        return cls(config.path)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold the file open."""
        self._masker = wire_masker(self.session)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, flags, 0o600)
            size = os.fstat(self._file).st_size
            self._cut = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"
            self._append(b'{"v":%d}' % VERSION)
            if self.session.agent is not None:
                self._append(self._masker.frame(msgspec.json.encode(Line(agent=self.session.agent))))
        except OSError as exc:
            if self._file >= 0:
                os.close(self._file)
            raise ConfigError(
                f"the journal cannot write {str(self.path)!r}: {exc.strerror or exc}",
                hint="give a path that can be written",
            ) from exc
        try:
            yield
        finally:
            os.close(self._file)

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        """Write the call down, then let it run, then write down what came of it."""
        item = FunctionCallItem(id=call.item_id, name=call.name, arguments=call.raw_arguments, call_id=call.call_id)
        if not await self._write_through(b'{"call":%s}' % msgspec.json.encode(item)):
            return ToolResult.refused(f"{UNWRITTEN}, so the call was not run")
        result = await call_next(call)
        output = FunctionCallOutputItem(call_id=call.call_id, output=result.output)
        await self._write_through(b'{"outcome":%s}' % msgspec.json.encode(output))
        return result

    @on(ItemCompleted)
    async def completed(self, event: ItemCompleted, call_next: Next[ItemCompleted]) -> None:
        """Write an item down."""
        view = event.item
        self._write(b'{"entry":%s}' % encode_entry(Entry(item=view.item, heard_ms=view.heard_ms)))
        await call_next(event)

    @on(ConversationItemInputAudioTranscriptionCompleted)
    async def transcribed(
        self,
        event: ConversationItemInputAudioTranscriptionCompleted,
        call_next: Next[ConversationItemInputAudioTranscriptionCompleted],
    ) -> None:
        """Write down what the user said."""
        told = Transcript(event.item_id, event.content_index or 0, event.transcript)
        self._write(msgspec.json.encode(Line(transcript=told)))
        await call_next(event)

    @on(Interrupted)
    async def interrupted(self, event: Interrupted, call_next: Next[Interrupted]) -> None:
        """Write down how much was heard."""
        if event.item_id is not None:
            self._write(msgspec.json.encode(Line(heard=Heard(event.item_id, event.heard_ms, event.heard_text))))
        await call_next(event)

    @on(ConversationItemTruncated)
    async def truncated(self, event: ConversationItemTruncated, call_next: Next[ConversationItemTruncated]) -> None:
        """Write down where an item was cut."""
        self._write(msgspec.json.encode(Line(heard=Heard(event.item_id, event.audio_end_ms))))
        await call_next(event)

    @on(ConversationItemDeleted)
    async def deleted(self, event: ConversationItemDeleted, call_next: Next[ConversationItemDeleted]) -> None:
        """Write down that an item is gone."""
        self._write(msgspec.json.encode(Line(deleted=event.item_id)))
        await call_next(event)

    @on(SessionUpdated)
    async def updated(self, event: SessionUpdated, call_next: Next[SessionUpdated]) -> None:
        """Write the settings down, without the tools, which belong to the program."""
        settings = Snapshot(settings=self.session.settings).settings
        if settings is not None and settings != self._settings:
            self._settings = settings
            self._write(b'{"settings":%s}' % msgspec.json.encode(settings))
        await call_next(event)

    @on(HandedOver)
    async def handed_over(self, event: HandedOver, call_next: Next[HandedOver]) -> None:
        """Write down whom the conversation is with."""
        self._write(msgspec.json.encode(Line(agent=event.agent)))
        await call_next(event)

    def _write(self, line: bytes) -> bool:
        """Hand a line to the system: it outlives this process. Return whether it could."""
        try:
            self._append(self._masker.frame(line))
        except OSError as exc:
            self._failed(exc)
            return False
        return True

    def _append(self, line: bytes) -> None:
        """Write a line, which never goes on from one that was cut short.

        Raises:
            OSError: It is not in the file, or not all of it.
        """
        line = b"\n" + line if self._cut else line
        written = os.write(self._file, line + b"\n")
        self._cut = written <= len(line)
        if written < len(line):
            raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes could be written")

    async def _write_through(self, line: bytes) -> bool:
        """Write a line to the disk itself."""
        if not self._write(line):
            return False
        try:
            await anyio.to_thread.run_sync(os.fsync, self._file)
        except OSError as exc:
            self._failed(exc)
            return False
        return True

    def _failed(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            message = f"{UNWRITTEN} ({self.path}: {error.strerror or error}), so no tool runs"
            self.session.notice("journal_failed", message, level="error", hint="make room for it, or leave it out")
