"""The core: dispatches events and commands to its five parts and collects their effects.

Rule: ``receive`` takes what came from the server, ``outgoing`` what passed the layers on its way to the server; the
commands only propose. Both apply to the mirror before the application sees anything.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any

import msgspec
from msgspec.structs import replace

from agentkit.errors import AgentkitError, LocalProtocolError
from agentkit.events import (
    AnyItem,
    AnySettings,
    AppEvent,
    ClientEvent,
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemTruncate,
    FlushPlayback,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    Interrupted,
    ItemView,
    MessageItem,
    Notice,
    ResponseCancel,
    ResponseCreate,
    ResponseSettings,
    ServerEvent,
    SessionUpdate,
    TranscriptionSessionUpdate,
    UnknownClientEvent,
)
from agentkit.protocol.audio import OutputAudio
from agentkit.protocol.calls import Call, CallStatus, Ledger, Reply
from agentkit.protocol.conversation import Conversation
from agentkit.protocol.effects import CancelTool, Effect, Emit, Propose, Transmit
from agentkit.protocol.inbound import Inbound
from agentkit.protocol.items import ItemState
from agentkit.protocol.lasting import LastingArbiter, LastingSettings
from agentkit.protocol.listening import InputAudio
from agentkit.protocol.reconnecting import OWN, Recovery
from agentkit.protocol.taking import TurnTaking
from agentkit.protocol.wanted import check_metadata, is_beside

SENT = 256
"""Client events remembered, so that an error names what caused it."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one session may do at most; None is no limit."""

    tool_calls_per_turn: int | None = 32
    tool_calls_per_session: int | None = None
    same_calls_per_turn: int | None = 5
    """Responses of a turn that make the same call: a model that makes it in more of them goes round in circles.

    Not looked at where ``tool_calls_per_turn`` is no limit.
    """
    invalid_calls_per_turn: int | None = 3
    """Calls with arguments that do not fit, after which the model is told to stop."""
    keep_audio_bytes: int = 16 << 20
    """The agent's audio kept for reading, over all items; the oldest goes first."""
    keep_input_bytes: int = 0
    """The user's audio kept for reading: half of it for what is in no item yet; 0 keeps none."""


class Core:
    """The state of one session, and what may be said in it."""

    def __init__(self, *, prefix: str = "ak", limits: Limits | None = None) -> None:
        """Begin a session.

        Args:
            prefix: Begins every id made here; unique among the sessions of one conversation.
            limits: What the session may do at most.
        """
        self.limits = limits or Limits()
        self.conversation = Conversation()
        self.responses = LastingArbiter(self.next_id)
        self.calls = Ledger()
        self.input = InputAudio(self.limits.keep_input_bytes)
        self.output = OutputAudio(self.limits.keep_audio_bytes)
        self.settings = LastingSettings()
        self.items_wanted = True
        """Whether anybody listens to ``ItemAppended`` or ``ItemCompleted``, which carry copies."""
        self.updates_wanted = False
        """Whether anybody listens to ``ConversationUpdated``."""
        self.added_calls: set[str] = set()
        """Call ids of function calls that the client itself put into the conversation: they are history, not calls."""
        self.deleting: set[str] = set()
        """Items that the server was asked to delete."""
        self.taking = TurnTaking(self)
        self.recovery = Recovery(self)
        self._prefix = prefix
        self._count = 0
        self._sent: dict[str, ClientEvent] = {}
        self._outputs: dict[str, str] = {}
        self._inbound = Inbound(self)
        self._outgoing: dict[type[ClientEvent], Callable[[Any], list[Effect]]] = {
            SessionUpdate: self.settings.outgoing,
            TranscriptionSessionUpdate: self.settings.outgoing,
            InputAudioBufferCommit: self._emptied,
            InputAudioBufferClear: self._emptied,
            ConversationItemCreate: self._item_create,
            ConversationItemDelete: self._delete,
            ConversationItemTruncate: self._truncate,
            ResponseCreate: self._response_create,
            ResponseCancel: self.responses.send_cancel,
            UnknownClientEvent: self._unknown,
        }

    def next_id(self) -> str:
        """Return an id that this session has not used."""
        self._count += 1
        return f"{self._prefix}_{self._count}"

    def view(self, state: ItemState) -> ItemView:
        """Return an item as it is now, in constant time."""
        item_id = state.id
        audio = self.output.view(item_id) or self.input.view(item_id)
        return state.view(audio, self.output.cut_ms(item_id))

    # What comes

    def receive(self, event: ServerEvent) -> list[Effect]:
        """Apply a server event; never raises, whatever came."""
        return self._inbound.receive(event)

    def timer(self, name: str) -> list[Effect]:
        """Take a timer that ran out."""
        kind, _, key = name.partition(" ")
        if kind.startswith("mcp"):
            return self._inbound.hosted.timer(kind, key)
        return self.taking.timer(key) if kind == "speech" else self.responses.timer(name)

    def origin(self, event_id: str | None) -> ClientEvent | None:
        """Return the client event with this id, where it is still remembered."""
        return self._sent.get(event_id) if event_id is not None else None

    def sent(self, event_class: type[ClientEvent]) -> bool:
        """Tell whether an event of this class went out lately."""
        return any(type(event) is event_class for event in self._sent.values())

    def forget_events(self) -> None:
        """Forget the ids of events that came: another connection has its own."""
        self._inbound.forget()

    def lose_hosted(self) -> list[Effect]:
        """Take it that nothing comes any more of what the server was doing."""
        return self._inbound.hosted.lose()

    # What goes

    def outgoing(self, event: ClientEvent) -> list[Effect]:
        """Take a client event that passed the layers: transmit it, or hold it.

        Raises:
            LocalProtocolError: It may not be sent; nothing changed.
        """
        recovery = self.recovery
        if type(event) is InputAudioBufferAppend:
            if recovery.away:
                recovery.append(event)
                return []
            self.input.append(event.audio)
            return [Transmit(event)]
        if event.event_id is None:
            event = replace(event, event_id=self.next_id())
        event = recovery.named(event)
        if recovery.away and (held := recovery.holds(event)) is not None:
            return held
        handler = self._outgoing.get(type(event))
        effects: list[Effect] = [Transmit(event)] if handler is None else handler(event)
        if type(event) is ConversationItemCreate and any(type(effect) is Transmit for effect in effects):
            recovery.went(event)
        self.remember(event)
        return effects

    def remember(self, event: ClientEvent) -> None:
        """Remember an event that goes out, so that an error names what caused it."""
        self._sent[event.event_id or ""] = event
        if len(self._sent) > SENT:
            del self._sent[next(iter(self._sent))]

    def _response_create(self, event: ResponseCreate) -> list[Effect]:
        check_metadata(event.response)
        return self.responses.want(event)

    def _unknown(self, event: UnknownClientEvent) -> list[Effect]:
        if event.wire_type.startswith(OWN):
            return [Emit(AppEvent(name=event.wire_type, data=event.data))]
        return [Transmit(event)]

    def _emptied(self, event: InputAudioBufferCommit | InputAudioBufferClear) -> list[Effect]:
        commit = isinstance(event, InputAudioBufferCommit)
        self.input.emptied_by_us(event.event_id, commit=commit)
        if commit:
            self.responses.added()
        return [Transmit(event)]

    def _item_create(self, event: ConversationItemCreate) -> list[Effect]:
        item = event.item
        if isinstance(item, FunctionCallOutputItem):
            effects = self._output_item(event, item)
        else:
            effects = [Transmit(event)]
            if isinstance(item, FunctionCallItem) and item.call_id:
                self.added_calls.add(item.call_id)
            if isinstance(item, MessageItem) and item.role == "user":
                self.responses.typed()
        due = self._outputs.pop(event.event_id or "", None)
        if due is not None and not (isinstance(item, FunctionCallOutputItem) and item.call_id == due):
            effects += self._withhold(due)  # a layer put something else in the place of an output
        return effects

    def _output_item(self, event: ConversationItemCreate, item: FunctionCallOutputItem) -> list[Effect]:
        call = self.calls.get(item.call_id)
        if call is None:
            if item.call_id in self.added_calls:
                return [Transmit(event)]
            raise LocalProtocolError(
                f"no call {item.call_id!r} is in this conversation, so it can have no output; "
                "answer with the call_id of a function_call item"
            )
        if call.settled:
            raise LocalProtocolError(f"the call {item.call_id!r} of {call.name} has its output already")
        try:
            item.output.encode()
        except UnicodeEncodeError as exc:
            raise LocalProtocolError(f"the output of the call of {call.name} is no text: {exc}") from exc
        by_hand = self.calls.finish(call.call_id, item.output) is not None
        if call.item_id is not None and (call.item_id in self.deleting or self.conversation.was_deleted(call.item_id)):
            notice = Notice(
                code="call_deleted",
                message=f"the call of {call.name} was deleted from the conversation, so its output was not sent",
            )
            return [Emit(notice), *self._withhold(call.call_id)]
        self.responses.added()
        if call.move(CallStatus.DELIVERED):
            again = [self.send_output(call.call_id, item.output) for _ in call.repeats] if by_hand else []
            return [Transmit(event), *self._settle(call, call.response_id, delivered=True), *chain.from_iterable(again)]
        return [Transmit(event), *self._settle(call, call.repeats.pop(0), delivered=True)]

    def _withhold(self, call_id: str) -> list[Effect]:
        """Go on without a call's output, which will not be written."""
        call = self.calls.get(call_id)
        if call is None:
            return []
        waiting = [call.response_id] if call.move(CallStatus.WITHHELD) else []
        waiting, call.repeats = [*waiting, *call.repeats], []
        return [effect for response_id in waiting for effect in self._settle(call, response_id, delivered=False)]

    def answered(self, call_id: str) -> list[Effect]:
        """Take an output that is in the conversation: one that is not ours, another client has given, and goes on."""
        call = self.calls.get(call_id)
        return self._withhold(call_id) if call is not None and call.status is CallStatus.RUNNING else []

    def _settle(self, call: Call, response_id: str | None, *, delivered: bool) -> list[Effect]:
        response = self.responses.find(response_id) if response_id is not None else None
        speaks = delivered and call.reply != "silent"
        if response is None or (call.detached and response.done and not response.turns):
            # Nothing waits for it any more, so it is a turn of its own.
            return self.responses.volunteer(call.call_id) if speaks and call.detached else []
        response.outstanding.discard(call.call_id)
        response.calls += speaks
        response.speaks = response.speaks or (speaks and call.reply == "speak")
        return self.responses.settle(response)

    def _delete(self, event: ConversationItemDelete) -> list[Effect]:
        self.deleting.add(event.item_id)
        return [Transmit(event)]

    def _truncate(self, event: ConversationItemTruncate) -> list[Effect]:
        received = self.output.received_ms(event.item_id)
        if event.audio_end_ms > received:
            event = replace(event, audio_end_ms=received)
        if event.audio_end_ms <= 0:
            raise LocalProtocolError(f"item {event.item_id!r} has no audio that could be cut")
        return [Transmit(event)]

    def dropped(self, event: ClientEvent, error: AgentkitError) -> list[Effect]:
        """An event was not written, by a layer's will or because it could not be: go on, and tell who waits for it."""
        self.recovery.undone(event)
        if isinstance(event, ResponseCreate):
            return self.responses.dropped(event, error)
        if isinstance(event, ResponseCancel):
            self.responses.cancel_dropped(event)
        elif isinstance(event, SessionUpdate) and event.event_id is not None:
            return self.settings.dropped(event.event_id, error)
        elif isinstance(event, ConversationItemCreate) and isinstance(event.item, FunctionCallOutputItem):
            self._outputs.pop(event.event_id or "", None)
            return self._withhold(event.item.call_id)
        return []

    # Commands

    def update(self, settings: AnySettings, event_id: str) -> list[Effect]:
        """Ask for settings; ``UpdateEnded`` with this id tells how it went."""
        return [*self.taking.before_update(settings), *self.settings.ask(settings, event_id)]

    def send_item(self, item: AnyItem, *, previous_item_id: str | None = None) -> list[Effect]:
        """Add an item to the conversation."""
        return [Propose(ConversationItemCreate(item=item, previous_item_id=previous_item_id))]

    def respond(self, event_id: str, settings: ResponseSettings | None = None, *, commit: bool = True) -> list[Effect]:
        """Ask for a response, after committing what the user has said where the client commits."""
        effects = self.taking.commit_pending() if commit and not is_beside(settings) else []
        return [*effects, Propose(ResponseCreate(event_id=event_id, response=settings))]

    def detach_call(self, call_id: str) -> list[Effect]:
        """Let a call's turn go on without its output, which is a turn of its own once it is there."""
        call = self.calls.get(call_id)
        if call is None or call.detached:
            return []
        call.detached = True
        effects: list[Effect] = []
        for response_id in (call.response_id, *call.repeats):
            response = self.responses.find(response_id) if response_id is not None else None
            if response is not None:
                response.outstanding.discard(call_id)
                effects += self.responses.settle(response)
        return effects

    def finish_call(self, call_id: str, output: str, *, reply: Reply = "wait", invalid: bool = False) -> list[Effect]:
        """Deliver a call's output; nothing where it has one already.

        Args:
            call_id: Which call.
            output: What the model is told.
            reply: What follows.
            invalid: Whether its arguments did not fit, which a model may try to mend a few times only.

        Raises:
            LocalProtocolError: No such call was announced.
        """
        if self.calls.get(call_id) is None:
            raise LocalProtocolError(f"no call {call_id!r} was announced in this session")
        effects: list[Effect] = []
        if invalid:
            output, effects = self._inbound.invalid(call_id, output)
        call = self.calls.finish(call_id, output)
        if call is None:
            return []
        call.reply = reply
        return effects + [effect for _ in range(1 + len(call.repeats)) for effect in self.send_output(call_id, output)]

    def decided(self, item_id: str, *, approved: bool, reason: str = "") -> list[Effect]:
        """Answer the server's question whether it may run a tool (``AskForServer``)."""
        return self._inbound.hosted.decided(item_id, approved=approved, reason=reason)

    def send_output(self, call_id: str, output: str) -> list[Effect]:
        """Hand a known output on its way; a layer that puts something else in its place withholds it."""
        event_id = self.next_id()
        self._outputs[event_id] = call_id
        item = FunctionCallOutputItem(call_id=call_id, output=output)
        return [Propose(ConversationItemCreate(event_id=event_id, item=item))]

    def cancel(self, response_id: str | None = None) -> list[Effect]:
        """Stop the active response, or one by its id; nothing where none is active."""
        return self.responses.cancel(response_id)

    @property
    def quiet(self) -> bool:
        """Whether nothing is due: no response, no output of a call, no retry."""
        return self.responses.quiet and not self.calls.due and not self.recovery.waiting

    def interrupt(
        self, heard_ms: int | None = None, *, item_id: str | None = None, by_speech: bool = False
    ) -> list[Effect]:
        """Cut the agent off: drop what is not played, cut the item to what was heard, stop what is being made.

        Args:
            heard_ms: Milliseconds of the item that were heard; None takes the playback clock's word.
            item_id: The item that is playing; None takes the one whose audio came last.
            by_speech: Whether the user has begun to speak; the server may then stop the response by itself.
        """
        responses = self.responses
        generating = [response for response in responses.active.values() if not response.stopping]
        unfinished = {item_id for response in generating for item_id in response.item_ids}
        item_id, heard = self._playing_item(item_id, heard_ms, unfinished)
        playing = bool(generating) or self.output.waiting  # where nobody moves the clock, it may be
        effects: list[Effect] = []
        if item_id is not None:
            effects.append(Emit(FlushPlayback(item_id=item_id, at_ms=heard)))
            if heard > 0:
                effects.append(Propose(ConversationItemTruncate(item_id=item_id, content_index=0, audio_end_ms=heard)))
            self.output.cut(item_id, heard)
        elif playing:
            effects.append(Emit(FlushPlayback()))
        if effects:
            self.output.flush()
        for other in unfinished:
            if (state := self.conversation.get(other)) is not None:
                state.interrupted = True
        if by_speech and self._server_interrupts():
            for response in generating:
                response.interrupted = True
        else:
            effects += responses.cancel()
        if playing:
            effects.append(Emit(replace(self._interrupted(item_id), by_speech=by_speech)))
        effects += [CancelTool(call.call_id) for call in self.calls.running]
        return effects if by_speech else effects + responses.silence()

    def _interrupted(self, item_id: str | None) -> Interrupted:
        state = self.conversation.get(item_id) if item_id is not None else None
        if state is None:
            return Interrupted(item_id=item_id)
        view = self.view(state)
        return Interrupted(item_id=item_id, heard_ms=view.heard_ms, heard_text=view.heard_text)

    def _playing_item(self, item_id: str | None, heard_ms: int | None, unfinished: set[str]) -> tuple[str | None, int]:
        """Return the item that is cut off, and how much of it was heard; none where all of it was."""
        if item_id is None:
            item_id = self.output.playing if heard_ms is None else self.output.latest
        if item_id is None or self.output.view(item_id) is None or self.output.cut_ms(item_id) is not None:
            return None, 0
        if heard_ms is not None:
            self.output.was_heard(item_id, heard_ms)
        heard = self.output.heard_ms(item_id)
        if heard >= self.output.received_ms(item_id) and item_id not in unfinished:
            return None, 0
        return item_id, heard

    def _server_interrupts(self) -> bool:
        detection = self.settings.turn_detection
        return detection is not None and detection.interrupt_response is not False

    def delete_item(self, item_id: str) -> list[Effect]:
        """Remove an item from the conversation."""
        return [Propose(ConversationItemDelete(item_id=item_id))]

    def auto_creates(self) -> bool:
        """Tell whether the server's turn detection makes responses by itself."""
        detection = self.settings.turn_detection
        return detection is not None and detection.create_response is not False
