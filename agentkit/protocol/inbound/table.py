"""The table of server events.

Rule: nothing that arrives raises. What is unknown, late or doubled is counted and goes no further than it must.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from agentkit import events as e
from agentkit.protocol.audio import Format
from agentkit.protocol.effects import Effect, Emit
from agentkit.protocol.inbound.content import Content
from agentkit.protocol.inbound.duplicates import TAIL, Window
from agentkit.protocol.inbound.errors import Errors
from agentkit.protocol.inbound.hosted import Hosted
from agentkit.protocol.inbound.items import Items
from agentkit.protocol.inbound.responses import DUPLICATE, Responses

if TYPE_CHECKING:
    from agentkit.protocol.core import Core

KINDS = 64
"""Kinds of odd events told apart; those beyond are counted only."""


class Inbound:
    """Applies server events."""

    def __init__(self, core: "Core") -> None:
        self._core = core
        self._window = Window()
        self._counted: dict[str, int] = {}
        errors = Errors(core)
        items = Items(core)
        self.hosted = Hosted(core)
        responses = Responses(core, items, self.hosted)
        self.invalid = responses.invalid
        content = Content(core, items, responses)
        self._table: dict[type[e.ServerEvent], Callable[[Any], list[Effect]]] = {
            e.ErrorEvent: errors.error,
            e.SessionCreated: self._session_created,
            e.SessionUpdated: self._session_updated,
            e.ConversationItemAdded: responses.conversation_item_added,
            e.ConversationItemDone: responses.conversation_item_done,
            e.ConversationItemRetrieved: items.retrieved,
            e.ConversationItemTruncated: items.truncated,
            e.ConversationItemDeleted: items.deleted,
            e.ConversationItemInputAudioTranscriptionDelta: items.transcript_delta,
            e.ConversationItemInputAudioTranscriptionCompleted: items.transcript,
            e.InputAudioBufferCommitted: items.committed,
            e.InputAudioBufferCleared: items.cleared,
            e.InputAudioBufferSpeechStarted: items.speech_started,
            e.InputAudioBufferSpeechStopped: items.speech_stopped,
            e.InputAudioBufferTimeoutTriggered: items.timeout_triggered,
            e.ResponseCreated: responses.created,
            e.ResponseDone: responses.done,
            e.ResponseOutputItemAdded: responses.item_added,
            e.ResponseOutputItemDone: responses.item_done,
            e.ResponseContentPartAdded: content.part_added,
            e.ResponseContentPartDone: content.part_done,
            e.ResponseOutputTextDelta: content.text_delta,
            e.ResponseOutputTextDone: content.text_done,
            e.ResponseOutputAudioDelta: content.audio_delta,
            e.ResponseOutputAudioDone: content.audio_done,
            e.ResponseOutputAudioTranscriptDelta: content.transcript_delta,
            e.ResponseOutputAudioTranscriptDone: content.transcript_done,
            e.ResponseFunctionCallArgumentsDelta: content.arguments_delta,
            e.ResponseFunctionCallArgumentsDone: content.arguments_done,
            e.ResponseMcpCallArgumentsDone: self.hosted.arguments_done,
            e.ResponseMcpCallInProgress: self.hosted.in_progress,
            e.ResponseMcpCallCompleted: self.hosted.over,
            e.ResponseMcpCallFailed: self.hosted.over,
            e.McpListToolsFailed: self.hosted.listing_failed,
            e.UnknownEvent: self._unknown,
            e.MalformedEvent: self._malformed,
        }
        for cls in e.SERVER_EVENTS.values():  # beta's names are subclasses
            known = next((base for base in cls.__mro__ if base in self._table), None)
            if known is not None:
                self._table[cls] = self._table[known]

    def forget(self) -> None:
        """Forget the ids of events: those of another connection are its own."""
        self._window = Window()

    def receive(self, event: e.ServerEvent) -> list[Effect]:
        """Apply one event."""
        cls = type(event)
        event_id = event.event_id
        if event_id:
            told = (cls, event.item_id, event.delta[-TAIL:]) if cls in _DELTAS else event  # type: ignore[attr-defined]  # _DELTAS have both
            if self._window.has(event_id, told):
                self._core.conversation.strays += 1
                return [DUPLICATE]
        handler = self._table.get(cls)
        return [] if handler is None else handler(event)

    # The session

    def _session_created(self, event: e.SessionCreated) -> list[Effect]:
        detected = self._core.settings.turn_detection is not None
        effects = self._core.settings.on_created(event.session)
        return effects + self._settings_changed(detected=detected)

    def _session_updated(self, event: e.SessionUpdated) -> list[Effect]:
        detected = self._core.settings.turn_detection is not None
        effects = self._core.settings.on_updated(event.session)
        return effects + self._settings_changed(detected=detected)

    def _settings_changed(self, *, detected: bool) -> list[Effect]:
        core = self._core
        session = core.settings.confirmed
        if session is not None and session.audio is not UNSET:
            if session.audio.input is not UNSET:
                core.input.use(Format.of(session.audio.input.format))
            if session.audio.output is not UNSET:
                core.output.format = Format.of(session.audio.output.format)
        return core.taking.listen(detected=detected)

    # What is odd

    def _unknown(self, event: e.UnknownEvent) -> list[Effect]:
        name = event.wire_type
        return self._first_of(name, "unknown_event", f"the server sent {name!r}, which is not known here")

    def _malformed(self, event: e.MalformedEvent) -> list[Effect]:
        message = f"a frame of {event.size} bytes was not understood: {event.reason}: {event.head}"
        return self._first_of(f"{event.wire_type} {event.reason}", "malformed_event", message)

    def _first_of(self, kind: str, code: str, message: str) -> list[Effect]:
        """Count something odd, and say it once per kind."""
        if kind not in self._counted and len(self._counted) >= KINDS:
            kind = "others"
            message = f"the server sent more than {KINDS} kinds of odd events; further kinds are only counted"
        count = self._counted[kind] = self._counted.get(kind, 0) + 1
        return [Emit(e.Notice(code=code, message=message, level="info"))] if count == 1 else []


_DELTAS = frozenset(
    cls
    for cls in e.SERVER_EVENTS.values()
    if issubclass(
        cls,
        e.ResponseOutputAudioDelta
        | e.ResponseOutputTextDelta
        | e.ResponseOutputAudioTranscriptDelta
        | e.ResponseFunctionCallArgumentsDelta,
    )
)
