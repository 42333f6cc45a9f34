"""From a session's events to records."""

from collections import deque
from collections.abc import AsyncIterable, Callable
from typing import Final, Protocol

import anyio

from agentkit.cli.calls import Calls
from agentkit.cli.records import (
    AgentRecord,
    AnyRecord,
    AudioRecord,
    EndRecord,
    ErrorRecord,
    HandoffRecord,
    NoticeRecord,
    TurnRecord,
    UserRecord,
)
from agentkit.cli.states import CLASSES as STATES
from agentkit.cli.states import States
from agentkit.errors import AgentkitError, ServerError
from agentkit.events import (
    AnyItem,
    ApprovalDecided,
    ApprovalRequested,
    AudioFormat,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionFailed,
    ConversationUpdated,
    ErrorOccurred,
    Event,
    HandedOver,
    InputAudio,
    InputAudioBufferSpeechStarted,
    Interrupted,
    ItemAppended,
    ItemCompleted,
    ItemView,
    MessageItem,
    Notice,
    ResponseOutputAudioDelta,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputTextDelta,
    SessionEnded,
    SettingsMismatch,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnCompleted,
)
from agentkit.protocol.audio import Format

DELTAS: Final = (ResponseOutputAudioTranscriptDelta, ResponseOutputTextDelta)
"""The agent's words as they come, through the layers."""
CLASSES: Final = (
    ApprovalDecided,
    ApprovalRequested,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionFailed,
    ConversationUpdated,
    ErrorOccurred,
    HandedOver,
    Interrupted,
    ItemAppended,
    ItemCompleted,
    Notice,
    *DELTAS,
    *STATES,
    SessionEnded,
    SettingsMismatch,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnCompleted,
)
"""The events that records are made of."""
NO_SPEECH: Final = "the rules of the provider local can be spoken to in a test signal: --set provider.with.speech=tones"
"""What to do where the embedded server has neither an ear nor a voice."""
_MAX_LATENCIES: Final = 1000
_MAX_ENDED: Final = 32
"""Messages that are whole and may still be cut off, because their audio is being played."""


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
        *,
        changed: bool = False,
        whole: bool = False,
        approval: Callable[[ApprovalRequested | ApprovalDecided], None] | None = None,
    ) -> None:
        """Make a feed.

        Args:
            skin: What shows the records.
            changed: Whether a layer handles the agent's words: then they are what came through it, and not what the
                server holds.
            whole: Whether a turn is all that is waited for: what a layer says in the place of its answer is shown with
                it then, and not when it comes as a message of its own.
            approval: Told of each approval that is asked for, and of each that is decided, after it was shown.
        """
        self._changed = changed
        self._whole = whole
        self._words: dict[str, str] = {}
        """What was said of each message so far."""
        self._ended: dict[str, str] = {}
        """What was said in each of the last messages that are whole."""
        self._wordless: list[tuple[str, str | None]] = []
        """The messages of this turn of which no words came through the layers, with their status."""
        self._stand_in: str | None = None
        """What was said in the place of the last answer, which only the turn had."""
        self._unheard: set[str] = set()
        """What the user has spoken and is not in words yet."""
        self._transcripts: dict[str, str] = {}
        self._finals: list[str] = []
        """The messages of this turn."""
        self._skin = skin
        self._roles: dict[str, str] = {}
        self._ended_turn = anyio.Event()
        self._began = anyio.current_time()
        self.calls = Calls(skin.show, approval)
        self.states = States(skin.show)
        self.over = anyio.Event()
        """Set once there are no more events."""
        self.said = anyio.Event()
        """Set once the agent has said something."""
        self.answered = False
        """Whether it has said something since this was last put to False."""
        self.spoken = False
        """Whether it has said something at all."""
        self.turns = 0
        self.last_turn: TurnCompleted | None = None
        self.limit: str | None = None
        """Which limit was reached."""
        self.transcribes = False
        """Whether the server puts into words what the user speaks."""
        self.audio_format = AudioFormat()
        """The agent's audio, where it is shown."""
        self.errors = 0
        """Errors that were shown."""
        self.on_turn: Callable[[], None] | None = None
        """Called after each turn was shown."""
        self._shown_errors: set[tuple[str | None, str]] = set()
        """What was shown since something was last said to the agent."""
        self._tokens = [0, 0]
        self._latencies: deque[float] = deque(maxlen=_MAX_LATENCIES)

    async def run(self, events: AsyncIterable[Event]) -> None:
        """Show events until there are no more."""
        self.states.begin()
        try:
            async for event in events:
                self.take(event)
        except AgentkitError:
            pass  # how the session ended is told by `SessionEnded`
        finally:
            self.over.set()
            self.calls.close()

    def take(self, event: Event) -> None:
        """Show an event."""
        self.states.take(event)
        match event:
            case InputAudioBufferSpeechStarted():
                self._shown_errors.clear()
            case ResponseOutputTextDelta(item_id=item_id) | ResponseOutputAudioTranscriptDelta(item_id=item_id):
                self._said(item_id, event.delta)
            case ResponseOutputAudioDelta(item_id=item_id, delta=data):
                kind = Format.of(self.audio_format)
                self._skin.show(AudioRecord(item_id=item_id, format=kind.name, rate=kind.rate, data=data))
            case ConversationUpdated(item=view, delta=delta):
                if delta is not None and delta.transcript and self._roles.get(view.id) == "user":
                    self._skin.show(UserRecord(event="partial", item_id=view.id, text=delta.transcript))
            case ItemAppended(item=ItemView(id=item_id, item=MessageItem(role=role) as item)):
                self._roles[item_id] = role
                if role == "assistant" and item.status == "completed":  # added whole, as a greeting is: no words come
                    self._words[item_id] = item.text
            case ItemCompleted(item=view):
                self._completed(view.item)
            case ConversationItemInputAudioTranscriptionCompleted(item_id=item_id, transcript=transcript):
                self._transcribed(item_id, transcript)
            case ConversationItemInputAudioTranscriptionFailed(item_id=item_id):
                self._transcribed(item_id, "")
            case Interrupted():
                self._interrupted(event)
            case ToolStarted() | ToolProgress() | ToolFinished() | ApprovalRequested() | ApprovalDecided():
                self.calls.take(event)
            case TurnCompleted():
                self._turn(event)
            case HandedOver(agent=agent, previous=previous):
                self._skin.show(HandoffRecord(agent=agent, previous=previous))
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
        self._words[item_id] = self._words.get(item_id, "") + text
        self._skin.show(AgentRecord(event="delta", item_id=item_id, text=text))

    def _completed(self, item: AnyItem) -> None:
        if not isinstance(item, MessageItem) or item.id is None:
            return
        self._roles.pop(item.id, None)
        if item.role == "assistant":
            words = self._words.pop(item.id, "")
            text = words if self._changed else item.text
            _remember(self._ended, item.id, text)
            if self._stand_in is not None and text == self._stand_in:
                self._stand_in = None  # what the layer has put in the place of the answer comes as a message, too
            elif self._changed and not text.strip():
                self._wordless.append((item.id, item.status))
            else:
                self._final(item.id, text, item.status)
        elif item.role == "user":
            spoken = any(isinstance(part, InputAudio) for part in item.content)
            if spoken and not item.text and self.transcribes and item.id not in self._transcripts:
                self._unheard.add(item.id)
                return
            text = item.text or self._transcripts.get(item.id, "")
            self._skin.show(UserRecord(event="final", item_id=item.id, text=text))

    def _final(self, item_id: str, text: str, status: str | None) -> None:
        self._finals.append(text)
        self._skin.show(AgentRecord(event="final", item_id=item_id, text=text, status=status))
        self.said.set()
        self._answered(text)

    def _transcribed(self, item_id: str, text: str) -> None:
        """Take what the user said in words, which may come before the item is whole or long after."""
        if item_id in self._unheard:
            self._unheard.discard(item_id)
            self._skin.show(UserRecord(event="final", item_id=item_id, text=text))
        else:
            _remember(self._transcripts, item_id, text)

    def _answered(self, text: str) -> None:
        if text.strip():
            self.answered = self.spoken = True

    def _interrupted(self, event: Interrupted) -> None:
        item_id = event.item_id or next(reversed(self._words), None)
        if item_id is not None:
            self._skin.show(
                AgentRecord(
                    event="interrupted",
                    item_id=item_id,
                    text=self._words.get(item_id) or self._ended.get(item_id, ""),
                    heard_ms=event.heard_ms,
                    heard_text=event.heard_text,
                )
            )

    def _turn(self, event: TurnCompleted) -> None:
        self.turns += 1
        latency = None if event.first_output_seconds is None else _ms(event.first_output_seconds)
        if latency is not None:
            self._latencies.append(latency)
        self._tokens[0] += event.usage.input_tokens or 0
        self._tokens[1] += event.usage.output_tokens or 0
        for index, (item_id, status) in enumerate(self._wordless, start=1):
            # Where a layer has put words in the place of all that the agent said, only the turn has them.
            last = self._whole and index == len(self._wordless) and not any(self._finals)
            self._final(item_id, event.text if last else "", status)
            self._stand_in = event.text if last else None
        self._wordless.clear()
        text = "\n".join(text for text in self._finals if text) if self._changed else event.text
        text = text or event.text
        self._answered(text)
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
                background=len(self.calls.background),
                cost_usd=event.cost_usd,
            )
        )
        if self.on_turn is not None:
            self.on_turn()
        self.last_turn = event
        self._ended_turn.set()

    def asked(self) -> None:
        """Something is said to the agent."""
        self.answered = False
        self._shown_errors.clear()
        self.states.asked()

    async def turn_shown(self, seconds: float) -> None:
        """Wait until the turn that took ``seconds`` was shown; for a moment only, since a layer may hide it."""
        with anyio.move_on_after(1):
            while self.last_turn is None or self.last_turn.seconds != seconds:
                self._ended_turn = anyio.Event()
                await self._ended_turn.wait()

    def error(self, error: AgentkitError) -> None:
        """Show an error, once."""
        if isinstance(error, ServerError):
            said = (error.code, str(error))
            if said in self._shown_errors:
                return
            self._shown_errors.add(said)
        code = getattr(error, "code", None)
        self.errors += 1
        self._skin.show(
            ErrorRecord(
                code=code,
                message=str(error),
                retryable=bool(getattr(error, "retryable", False)),
                hint=error.hint or (NO_SPEECH if code == "transcriber_missing" else None),
            )
        )

    def notice(self, level: str, code: str, message: str, *, hint: str | None = None) -> None:
        """Show a notice."""
        self._skin.show(NoticeRecord(level=level, code=code, message=message, hint=hint))

    def end(self, cause: str, *, reason: str | None, exit_code: int, cost_usd: float | None = None) -> None:
        """Show the end."""
        self._skin.show(
            EndRecord(
                cause=cause,
                reason=reason,
                exit_code=int(exit_code),
                turns=self.turns,
                seconds=round(anyio.current_time() - self._began, 3),
                tool_calls=self.calls.ended,
                tool_failures=self.calls.failed,
                input_tokens=self._tokens[0],
                output_tokens=self._tokens[1],
                latencies_ms=tuple(self._latencies),
                cost_usd=cost_usd,
            )
        )


def _remember(known: dict[str, str], key: str, text: str) -> None:
    """Remember one more, and no more than so many."""
    known[key] = text
    if len(known) > _MAX_ENDED:
        del known[next(iter(known))]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
