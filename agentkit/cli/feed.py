"""From a session's events to records."""

import traceback
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

import anyio
import msgspec

from agentkit.cli.records import (
    AgentRecord,
    AnyRecord,
    ApprovalRecord,
    EndRecord,
    ErrorRecord,
    NoticeRecord,
    ToolRecord,
    TurnRecord,
    UserRecord,
)
from agentkit.errors import AgentkitError, ServerError, ToolError
from agentkit.events import (
    AnyItem,
    ApprovalDecided,
    ApprovalRequested,
    ConversationUpdated,
    ErrorOccurred,
    Event,
    ItemAppended,
    ItemCompleted,
    ItemView,
    MessageItem,
    Notice,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputTextDelta,
    SessionEnded,
    SettingsMismatch,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnCompleted,
)
from agentkit.masking import Masker
from agentkit.tools import ToolResult

DELTAS: Final = (ResponseOutputAudioTranscriptDelta, ResponseOutputTextDelta)
"""The agent's words as they come, through the layers."""
CLASSES: Final = (
    ApprovalDecided,
    ApprovalRequested,
    ConversationUpdated,
    ErrorOccurred,
    Event,
    ItemAppended,
    ItemCompleted,
    Notice,
    *DELTAS,
    SessionEnded,
    SettingsMismatch,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnCompleted,
)
"""The events that records are made of."""
_MAX_LATENCIES: Final = 1000
_MAX_PARTIAL: Final = 2000
"""Bytes of a partial result in a record."""
_OURS: Final = Path(__file__).parents[1]


class Skin(Protocol):
    """How records are shown."""

    def show(self, record: AnyRecord) -> None:
        """Show one record.

        Raises:
            OutputClosed: Nobody reads any more.
        """


class Feed:
    """Shows a session's events on a skin, and counts."""

    def __init__(
        self,
        skin: Skin,
        places: Mapping[str, str],
        *,
        changed: bool = False,
        approval: Callable[[ApprovalRequested | ApprovalDecided], None] | None = None,
    ) -> None:
        """Make a feed.

        Args:
            skin: What shows the records.
            places: Where the configuration names each tool.
            changed: Whether a layer handles the agent's words: then they are what came through it, and not what the
                server holds.
            approval: Told of each approval that is asked for, and of each that is decided, after it was shown.
        """
        self._approval = approval
        self._changed = changed
        self._words: dict[str, str] = {}
        """What came through the layers, by item."""
        self._finals: list[str] = []
        """The messages of this turn."""
        self._skin = skin
        self._masker = Masker()
        self._places = places
        self._roles: dict[str, str] = {}
        self._ended_turn = anyio.Event()
        self._began = anyio.current_time()
        self.background: set[str] = set()
        """The calls that run beside the conversation."""
        self._running: set[str] = set()
        self._call_over = anyio.Event()
        self.over = anyio.Event()
        """Set once there are no more events."""
        self.said = anyio.Event()
        """Set once the agent has said something."""
        self.answered = False
        """Whether it has said something since this was last put to False."""
        self.turns = 0
        self.last_turn: TurnCompleted | None = None
        self.limit: str | None = None
        """Which limit was reached."""
        self._shown_error: ServerError | None = None
        self._calls = 0
        self._failures = 0
        self._tokens = [0, 0]
        self._latencies: deque[float] = deque(maxlen=_MAX_LATENCIES)

    async def run(self, events: AsyncIterable[Event]) -> None:
        """Show events until there are no more."""
        try:
            async for event in events:
                self._take(event)
        except AgentkitError:
            pass  # how the session ended is told by `SessionEnded`
        finally:
            self.over.set()
            self._call_over.set()

    def _take(self, event: Event) -> None:
        match event:
            case ResponseOutputTextDelta(item_id=item_id) | ResponseOutputAudioTranscriptDelta(item_id=item_id):
                self._said(item_id, event.delta)
            case ConversationUpdated(item=view, delta=delta):
                if delta is not None and delta.transcript and self._roles.get(view.id) == "user":
                    self._skin.show(UserRecord(event="partial", item_id=view.id, text=delta.transcript))
            case ItemAppended(item=ItemView(id=item_id, item=MessageItem(role=role) as item)):
                self._roles[item_id] = role
                if self._changed and item.status == "completed":  # added whole, as a greeting is: no words will come
                    self._words[item_id] = item.text
            case ItemCompleted(item=view):
                self._completed(view.item)
            case ToolStarted():
                self._tool_started(event)
            case ToolProgress():
                self._tool_progress(event)
            case ToolFinished():
                self._tool_finished(event)
            case ApprovalRequested():
                self._approval_requested(event)
            case ApprovalDecided():
                self._approval_decided(event)
            case TurnCompleted():
                self._turn(event)
            case Notice(code="limit", message=message):
                self.limit = message
            case Notice():
                self.notice(event.level, event.code, event.message, hint=event.hint)
            case SettingsMismatch(differences=differences):
                fields = ", ".join(path for path, _, _ in differences)
                self.notice("info", "settings_mismatch", f"the server's settings differ from what was asked: {fields}")
            case ErrorOccurred(error=error):
                self.error(error)
            case _:
                pass

    def _said(self, item_id: str, text: str) -> None:
        if not text:
            return
        if self._changed:
            self._words[item_id] = self._words.get(item_id, "") + text
        self._skin.show(AgentRecord(event="delta", item_id=item_id, text=text))

    def _completed(self, item: AnyItem) -> None:
        if not isinstance(item, MessageItem) or item.id is None:
            return
        self._roles.pop(item.id, None)
        if item.role == "assistant":
            text = self._words.pop(item.id, "") if self._changed else item.text
            self._finals.append(text)
            self._skin.show(AgentRecord(event="final", item_id=item.id, text=text, status=item.status))
            self.said.set()
            self.answered = self.answered or bool(text.strip())
        elif item.role == "user":
            self._skin.show(UserRecord(event="final", item_id=item.id, text=item.text))

    def _tool_started(self, event: ToolStarted) -> None:
        self._running.add(event.call_id)
        if event.background:
            self.background.add(event.call_id)
        self._skin.show(
            ToolRecord(
                event="start",
                call_id=event.call_id,
                name=event.name,
                where=self._places.get(event.name),
                arguments=_as_json(event.arguments),
                background=event.background,
            )
        )

    def _tool_progress(self, event: ToolProgress) -> None:
        partial = None if event.partial is None else ToolResult.of(event.partial, max_bytes=_MAX_PARTIAL).output
        self._skin.show(
            ToolRecord(
                event="progress",
                call_id=event.call_id,
                name=event.name,
                where=self._places.get(event.name),
                background=event.call_id in self.background,
                message=self._masker.text(event.message) or None,
                done=event.done,
                partial=partial and self._masker.text(partial),
            )
        )

    def _tool_finished(self, event: ToolFinished) -> None:
        self._calls += 1
        self._running.discard(event.call_id)
        self.background.discard(event.call_id)
        self._call_over.set()
        self._failures += not event.ok
        reason = _reason(event.error)
        self._skin.show(
            ToolRecord(
                event="end",
                call_id=event.call_id,
                name=event.name,
                where=self._places.get(event.name),
                ok=event.ok,
                status=event.status,
                ms=_ms(event.seconds),
                output=self._masker.text(event.output),
                reason=reason and self._masker.text(reason),
                background=event.background,
            )
        )

    def _approval_requested(self, event: ApprovalRequested) -> None:
        self._skin.show(
            ApprovalRecord(
                event="request",
                call_id=event.call_id,
                name=event.name,
                where=self._places.get(event.name),
                arguments=_as_json(event.arguments),
                effects=event.effects,
                seconds=event.seconds,
            )
        )
        if self._approval is not None:
            self._approval(event)

    def _approval_decided(self, event: ApprovalDecided) -> None:
        self._skin.show(
            ApprovalRecord(
                event="decision",
                call_id=event.call_id,
                name=event.name,
                where=self._places.get(event.name),
                approved=event.approved,
                by=event.by,
                reason=event.reason or None,
                edited=event.edited,
                arguments=None if event.arguments is None else _as_json(event.arguments),
            )
        )
        if self._approval is not None:
            self._approval(event)

    def _turn(self, event: TurnCompleted) -> None:
        self.turns += 1
        latency = None if event.first_output_seconds is None else _ms(event.first_output_seconds)
        if latency is not None:
            self._latencies.append(latency)
        self._tokens[0] += event.usage.input_tokens or 0
        self._tokens[1] += event.usage.output_tokens or 0
        text = "\n".join(text for text in self._finals if text) if self._changed else event.text
        text = text or event.text  # where a layer has put words in the place of all that the agent said
        self.answered = self.answered or bool(text.strip())
        self._finals.clear()
        self._skin.show(
            TurnRecord(
                number=self.turns,
                status=event.status,
                text=text,
                latency_ms=latency,
                ms=_ms(event.seconds),
                tool_calls=event.tool_calls,
                responses=event.responses,
                input_tokens=event.usage.input_tokens,
                output_tokens=event.usage.output_tokens,
                background=len(self.background),
            )
        )
        self.last_turn = event
        self._ended_turn.set()

    async def a_call_is_over(self) -> None:
        """Wait until a call has ended, or the session has."""
        self._call_over = anyio.Event()
        if not self.over.is_set():
            await self._call_over.wait()

    async def calls_over(self, call_ids: Iterable[str]) -> None:
        """Wait until these calls have ended, or the session has."""
        while not self.over.is_set() and not self._running.isdisjoint(call_ids):
            await self.a_call_is_over()

    async def turn_shown(self, seconds: float) -> None:
        """Wait until the turn that took ``seconds`` was shown; for a moment only, since a layer may hide it."""
        with anyio.move_on_after(1):
            while self.last_turn is None or self.last_turn.seconds != seconds:
                self._ended_turn = anyio.Event()
                await self._ended_turn.wait()

    def error(self, error: AgentkitError) -> None:
        """Show an error, once."""
        if isinstance(error, ServerError):
            if error is self._shown_error:
                return
            self._shown_error = error
        self._skin.show(
            ErrorRecord(
                code=getattr(error, "code", None),
                message=str(error),
                retryable=bool(getattr(error, "retryable", False)),
                hint=error.hint,
            )
        )

    def notice(self, level: str, code: str, message: str, *, hint: str | None = None) -> None:
        """Show a notice."""
        self._skin.show(NoticeRecord(level=level, code=code, message=message, hint=hint))

    def end(self, cause: str, *, reason: str | None, exit_code: int) -> None:
        """Show the end."""
        self._skin.show(
            EndRecord(
                cause=cause,
                reason=reason,
                exit_code=int(exit_code),
                turns=self.turns,
                seconds=round(anyio.current_time() - self._began, 3),
                tool_calls=self._calls,
                tool_failures=self._failures,
                input_tokens=self._tokens[0],
                output_tokens=self._tokens[1],
                latencies_ms=tuple(self._latencies),
            )
        )


def _as_json(text: str) -> msgspec.Raw | str:
    """Return JSON as it is, for a record to hold; the text where it is none."""
    try:
        msgspec.json.decode(text)
        return msgspec.Raw(text.encode())
    except (msgspec.DecodeError, ValueError, RecursionError):
        return text


def _reason(error: BaseException | None) -> str | None:
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


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
