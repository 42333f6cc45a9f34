"""The session's responses: one at a time in the conversation, any number beside it."""

from collections.abc import Callable
from typing import Final

from agentkit.events import (
    AnyItem,
    ConversationItemTruncate,
    InputAudio,
    ItemReference,
    MessageItem,
    RateLimit,
    RateLimitsUpdated,
    ResponseSettings,
    ServerSession,
    StatusDetails,
    StatusError,
)
from agentkit.local.effective import (
    Abilities,
    choice_of,
    for_response,
    function_tools,
    output_of,
    said,
    token_limit,
)
from agentkit.local.effects import CancelResponse, Effect, RefusedError, StartResponse, invalid
from agentkit.local.history import History
from agentkit.local.offered import offered_item, truncate
from agentkit.local.output import ResponseWriter
from agentkit.local.responder import (
    NO_TRANSCRIBER,
    AudioDelta,
    Finished,
    FunctionCall,
    HeldItem,
    ResponderOutput,
    ResponderRequest,
    TextDelta,
)
from agentkit.local.samples import PCM

MAX_RESPONSES: Final = 32
"""Responses at one time, those beside the conversation included."""
_UNLIMITED: Final = 1_000_000
_UNHEARD: Final = "The user's newest message is audio that could not be transcribed, so there is nothing to answer."


class Responses:
    """Which responses run, and what each may see."""

    def __init__(self, new_id: Callable[[str], str], history: History, abilities: Abilities) -> None:
        self._new_id = new_id
        self._history = history
        self._abilities = abilities
        self._conversation_id = new_id("conv")
        self._running: dict[str, ResponseWriter] = {}
        self._finished: dict[str, Finished] = {}
        self._active: str | None = None
        self._hearing: set[str] = set()
        self._waiting: dict[str, tuple[ServerSession, ResponseSettings | None]] = {}
        self._due: ServerSession | None = None
        self.audio_emitted = False
        """Whether the client has had audio, after which the voice stays."""

    def truncate(self, event: ConversationItemTruncate) -> None:
        """Cut one of the agent's messages to what was heard, also while it is being made.

        Raises:
            RefusedError: It is not the agent's audio, or shorter than asked for.
        """
        writer = self._running.get(self._active or "")
        if writer is None or not writer.truncate(event.item_id, event.audio_end_ms):
            truncate(self._history, event)

    def create(self, session: ServerSession, asked: ResponseSettings | None) -> list[Effect]:
        """Begin a response.

        Raises:
            RefusedError: Another is active in the conversation, or a setting is invalid.
        """
        effective = for_response(session, asked, abilities=self._abilities)
        beside = asked is not None and said(asked.conversation) == "none"
        if not beside and self._active is not None:
            raise RefusedError(
                f"Conversation already has an active response in progress: {self._active}. "
                "Wait until the response is finished before creating a new one.",
                code="conversation_already_has_active_response",
            )
        if len(self._running) >= MAX_RESPONSES:
            raise RefusedError(f"There are already {MAX_RESPONSES} responses in progress.", code="invalid_value")
        if asked is not None:
            self._seen(asked)
        writer = ResponseWriter(
            self._new_id("resp"),
            effective,
            history=None if beside else self._history,
            conversation_id=None if beside else self._conversation_id,
            metadata=said(asked.metadata) if asked is not None else None,
            new_id=self._new_id,
        )
        self._running[writer.response_id] = writer
        if not beside:
            self._active = writer.response_id
        effects: list[Effect] = [*writer.created()]
        self._waiting[writer.response_id] = (effective, asked)
        if not self._hearing:
            effects += self._start(writer.response_id)
        return effects

    def create_after_turn(self, session: ServerSession) -> list[Effect]:
        """Begin a response to the user's spoken turn; one that still runs makes it wait."""
        if self._active is not None:
            self._due = session
            return []
        return self.create(session, None)

    def hearing(self, item_id: str) -> None:
        """Hold new responses until this item has its transcript."""
        self._hearing.add(item_id)

    def heard(self, item_id: str) -> list[Effect]:
        """Start what waited for the transcript."""
        self._hearing.discard(item_id)
        if self._hearing:
            return []
        return [effect for response_id in list(self._waiting) for effect in self._start(response_id)]

    def output(self, response_id: str, output: ResponderOutput) -> list[Effect]:
        """Write a piece of a response; what comes after its end is ignored."""
        writer = self._running.get(response_id)
        if writer is None:
            return []
        match output:
            case TextDelta():
                return [*writer.text(output)]
            case AudioDelta():
                self.audio_emitted = True
                return [*writer.audio(output)]
            case FunctionCall():
                return [*writer.call(output)]
            case Finished():
                self._finished[response_id] = output
                return []

    def finish(self, response_id: str) -> list[Effect]:
        """End a response whose responder is done."""
        finished = self._finished.get(response_id, Finished())
        if finished.reason is None:
            return self._end(response_id, "completed")
        return self._end(response_id, "incomplete", StatusDetails(type="incomplete", reason=finished.reason))

    def fail(self, response_id: str, message: str, *, code: str, type: str) -> list[Effect]:
        """End a response that could not be made."""
        error = StatusError(type=type, code=code, message=message)
        return self._end(response_id, "failed", StatusDetails(type="failed", error=error))

    def cancel(self, response_id: str | None) -> list[Effect]:
        """Stop a response.

        Raises:
            RefusedError: It does not run.
        """
        wanted = response_id or self._active
        if wanted is None or wanted not in self._running:
            raise RefusedError("Cancellation failed: no active response found", code="response_cancel_not_active")
        return self._stop(wanted, "client_cancelled")

    def interrupt(self) -> list[Effect]:
        """Stop the conversation's response, as the user speaks."""
        self._due = None
        return [] if self._active is None else self._stop(self._active, "turn_detected")

    def _stop(self, response_id: str, reason: str) -> list[Effect]:
        started = response_id not in self._waiting
        events = self._end(response_id, "cancelled", StatusDetails(type="cancelled", reason=reason))
        return [CancelResponse(response_id=response_id), *events] if started else events

    def _start(self, response_id: str) -> list[Effect]:
        effective, asked = self._waiting.pop(response_id)
        items = self._items_for(asked)
        if _unheard(items):
            if self._abilities.hears:
                return self.fail(response_id, _UNHEARD, code="transcript_missing", type="server_error")
            return self.fail(response_id, NO_TRANSCRIBER, code="transcriber_missing", type="invalid_request_error")
        output = output_of(effective)
        voice = said(output.voice)
        request = ResponderRequest(
            response_id=response_id,
            model=said(effective.model) or "",
            instructions=said(effective.instructions) or "",
            own_instructions=said(asked.instructions) if asked is not None else None,
            items=items,
            tools=function_tools(effective),
            tool_choice=choice_of(effective),
            max_output_tokens=token_limit(effective),
            output_modalities=said(effective.output_modalities) or ("text",),
            output_format=said(output.format) or PCM,
            voice=voice if isinstance(voice, str) else "",
            temperature=said(effective.temperature),
            metadata=(said(asked.metadata) if asked is not None else None) or {},
        )
        self._running[response_id].saw(request)
        return [StartResponse(response_id=response_id, request=request)]

    def _end(self, response_id: str, status: str, details: StatusDetails | None = None) -> list[Effect]:
        writer = self._running.pop(response_id, None)
        if writer is None:
            return []
        finished = self._finished.pop(response_id, Finished())
        self._waiting.pop(response_id, None)
        effects: list[Effect] = [*writer.done(status, details, finished.usage)]
        # Nothing is limited here; the event is there for clients that show it.
        effects.append(
            RateLimitsUpdated(
                rate_limits=tuple(
                    RateLimit(name=name, limit=_UNLIMITED, remaining=_UNLIMITED, reset_seconds=0.0)
                    for name in ("requests", "tokens")
                )
            )
        )
        if response_id == self._active:
            self._active = None
            due, self._due = self._due, None
            if due is not None:
                effects += self.create(due, None)
        return effects

    def _items_for(self, asked: ResponseSettings | None) -> tuple[HeldItem, ...]:
        wanted = said(asked.input) if asked is not None else None
        if asked is None or wanted is None:
            return tuple(item for item in self._history if item.status != "in_progress")
        return self._seen(asked)

    def _seen(self, asked: ResponseSettings) -> tuple[HeldItem, ...]:
        """Return the items of a response's own input, references resolved.

        Raises:
            RefusedError: An item is invalid, or a reference leads nowhere.
        """
        private = History()
        for index, item in enumerate(said(asked.input) or ()):
            private.add(self._resolved(item, private, f"response.input[{index}]"))
        return tuple(private)

    def _resolved(self, item: AnyItem, private: History, where: str) -> HeldItem:
        if not isinstance(item, ItemReference):
            return offered_item(item, private, self._new_id, where=where)
        found = self._history.get(item.id or "")
        if found is None:
            raise invalid(f"{where}.id", f"the item with id '{item.id}' does not exist.")
        return found


def _unheard(items: tuple[HeldItem, ...]) -> bool:
    """Whether the newest user message is audio that nobody has understood."""
    for item in reversed(items):
        if isinstance(item, MessageItem) and item.role == "user":
            audio = [part for part in item.content if isinstance(part, InputAudio)]
            return len(audio) == len(item.content) and all(part.transcript is None for part in audio)
        if isinstance(item, MessageItem) and item.role == "assistant":
            return False
    return False
