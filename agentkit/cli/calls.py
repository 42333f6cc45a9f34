"""The records of tool calls and of their approvals, and the count of them."""

import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import anyio
import msgspec

from agentkit.cli.records import AnyRecord, ApprovalRecord, ToolRecord
from agentkit.errors import ToolError
from agentkit.events import ApprovalDecided, ApprovalRequested, ToolFinished, ToolProgress, ToolStarted
from agentkit.masking import Masker
from agentkit.tools import ToolResult

_MAX_PARTIAL: Final = 2000
"""Bytes of a partial result in a record."""
_OURS: Final = Path(__file__).parents[1]


class Calls:
    """Shows what becomes of each call, and knows which ones run."""

    def __init__(
        self,
        show: Callable[[AnyRecord], None],
        approval: Callable[[ApprovalRequested | ApprovalDecided], None] | None,
    ) -> None:
        """Make it.

        Args:
            show: Takes the records.
            approval: Told of each approval that is asked for, and of each that is decided, after it was shown.
        """
        self._show = show
        self._approval = approval
        self._masker = Masker()
        self._running: dict[str, str | None] = {}
        """Where the configuration names the tool of each call that runs."""
        self._call_over = anyio.Event()
        self._closed = False
        self.background: set[str] = set()
        """The calls that run beside the conversation."""
        self.ended = 0
        self.failed = 0

    def take(self, event: ToolStarted | ToolProgress | ToolFinished | ApprovalRequested | ApprovalDecided) -> None:
        """Show an event of a call."""
        match event:
            case ToolStarted():
                self._started(event)
            case ToolProgress():
                self._progress(event)
            case ToolFinished():
                self._finished(event)
            case ApprovalRequested():
                self._requested(event)
            case ApprovalDecided():
                self._decided(event)

    def close(self) -> None:
        """The session is over."""
        self._closed = True
        self._call_over.set()

    async def one_is_over(self) -> None:
        """Wait until a call has ended, or the session has."""
        self._call_over = anyio.Event()
        if not self._closed:
            await self._call_over.wait()

    async def are_over(self, call_ids: Iterable[str]) -> None:
        """Wait until these calls have ended, or the session has."""
        while not self._closed and not self._running.keys().isdisjoint(call_ids):
            await self.one_is_over()

    def _started(self, event: ToolStarted) -> None:
        self._running[event.call_id] = event.where
        if event.background:
            self.background.add(event.call_id)
        self._show(
            ToolRecord(
                event="start",
                call_id=event.call_id,
                name=event.name,
                where=event.where,
                arguments=as_json(event.arguments),
                background=event.background,
            )
        )

    def _progress(self, event: ToolProgress) -> None:
        partial = None if event.partial is None else ToolResult.of(event.partial, max_bytes=_MAX_PARTIAL).output
        self._show(
            ToolRecord(
                event="progress",
                call_id=event.call_id,
                name=event.name,
                where=self._running.get(event.call_id),
                background=event.call_id in self.background,
                message=self._masker.text(event.message) or None,
                done=event.done,
                partial=partial and self._masker.text(partial),
            )
        )

    def _finished(self, event: ToolFinished) -> None:
        self.ended += 1
        self.failed += not event.ok
        self._running.pop(event.call_id, None)
        self.background.discard(event.call_id)
        self._call_over.set()
        reason = reason_of(event.error)
        self._show(
            ToolRecord(
                event="end",
                call_id=event.call_id,
                name=event.name,
                where=event.where,
                ok=event.ok,
                status=event.status,
                ms=round(event.seconds * 1000, 1),
                output=self._masker.text(event.output),
                reason=reason and self._masker.text(reason),
                background=event.background,
            )
        )

    def _requested(self, event: ApprovalRequested) -> None:
        self._show(
            ApprovalRecord(
                event="request",
                call_id=event.call_id,
                name=event.name,
                where=self._running.get(event.call_id),
                arguments=as_json(event.arguments),
                effects=event.effects,
                seconds=event.seconds,
            )
        )
        if self._approval is not None:
            self._approval(event)

    def _decided(self, event: ApprovalDecided) -> None:
        self._show(
            ApprovalRecord(
                event="decision",
                call_id=event.call_id,
                name=event.name,
                where=self._running.get(event.call_id),
                approved=event.approved,
                by=event.by,
                reason=event.reason or None,
                edited=event.edited,
                arguments=None if event.arguments is None else as_json(event.arguments),
            )
        )
        if self._approval is not None:
            self._approval(event)


def as_json(text: str) -> msgspec.Raw | str:
    """Return JSON as it is, for a record to hold; the text where it is none."""
    try:
        msgspec.json.decode(text)
        return msgspec.Raw(text.encode())
    except (msgspec.DecodeError, ValueError, RecursionError):
        return text


def reason_of(error: BaseException | None) -> str | None:
    """Say what a tool's body raised, and where in the tool's own code; a ToolError has said all in its output."""
    if error is None or isinstance(error, ToolError):
        return None
    where = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = Path(frame.f_code.co_filename)
        if not file.is_relative_to(_OURS):
            where = f" ({file.name}:{line})"
    said = str(error)
    return f"{type(error).__name__}{': ' if said else ''}{said}{where}"
