"""The core between two connections: what is kept of the old one, and what the new one is told.

Rule: one session, one mirror, one ledger, however many connections it takes. What the lost connection did not say any
more is said in its place: an unfinished response is asked for again, or is incomplete. What was sent and not
acknowledged is sent again, and what is sent meanwhile waits.
"""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentkit.errors import AgentkitError, ConnectionLostError, LocalProtocolError
from agentkit.events import (
    AnyItem,
    ClientEvent,
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemDeleted,
    ConversationItemTruncate,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    MessageItem,
    Notice,
    OutputAudioBufferClear,
    Response,
    ResponseCancel,
    ResponseCreate,
    ResponseDone,
    SessionUpdate,
    StatusDetails,
    TranscriptionSessionUpdate,
)
from agentkit.protocol.audio import MIN_COMMIT_MS
from agentkit.protocol.calls import CallStatus
from agentkit.protocol.effects import Effect, Emit, Transmit, TurnBegan
from agentkit.protocol.items import ItemState, call_of
from agentkit.protocol.turns import TurnState
from agentkit.protocol.wanted import ActiveResponse

if TYPE_CHECKING:
    from agentkit.protocol.core import Core

OWN = "app."
"""How the types begin of events that are the application's own, and never go out."""
HELD = 1000
"""Events that may wait for the next connection."""
UNACKNOWLEDGED = 1000
"""Items remembered that the server has not acknowledged; the oldest go first."""
HELD_AUDIO_MS = 5000
"""The user's audio that is kept while a session is renewed, in milliseconds; the oldest goes first."""
_ELSEWHERE = (SessionUpdate, TranscriptionSessionUpdate, ResponseCreate, ResponseCancel)
"""Events that the arbiter and the settings hold by themselves."""


class Recovery:
    """What outlives a connection, besides the mirror and the ledger."""

    def __init__(self, core: "Core") -> None:
        self._core = core
        self.on = False
        """Whether the session may have further connections; then the items that it makes have ids."""
        self.away = False
        """Whether there is no connection, or one that does not know the conversation yet."""
        self.outputs: dict[str, FunctionCallOutputItem] = {}
        """The outputs of calls as they were sent, by call id."""
        self._unacknowledged: dict[str, tuple[ConversationItemCreate, str | None]] = {}
        """Each with the item that was the last of the conversation when it went out."""
        self._held: list[ClientEvent] = []
        self._replayed: set[str] = set()
        """Ids of items that the mirror has and this connection was told."""
        self._due: dict[str, AnyItem] = {}
        """Items of the replay that the server has not acknowledged."""
        self._keeps_audio = False
        self._audio: deque[bytes] = deque()
        self._audio_size = 0
        self._count = 0

    # What goes

    def named(self, event: ClientEvent) -> ClientEvent:
        """Give an item an id, so that it is known when the server says it, or is told it once more."""
        if not self.on or not isinstance(event, ConversationItemCreate):
            return event
        item = event.item
        if item.id or not isinstance(item, MessageItem | FunctionCallItem | FunctionCallOutputItem):
            return event
        return replace(event, item=replace(item, id=self._core.next_id()))

    def holds(self, event: ClientEvent) -> list[Effect] | None:
        """Take an event while there is no connection: it waits, or is done with. None where others see to it.

        Raises:
            ConnectionLostError: It is about audio, which went with the connection.
            LocalProtocolError: Too many events wait.
        """
        match event:
            case InputAudioBufferCommit():
                raise ConnectionLostError("what was to be committed was lost with the connection")
            case InputAudioBufferClear() | OutputAudioBufferClear():
                self._audio.clear()
                self._audio_size = 0
                return []
            case ConversationItemDelete(item_id=item_id):
                if self._unacknowledged.pop(item_id, None) is not None and self._core.conversation.get(item_id) is None:
                    return []
                return self._core.receive(ConversationItemDeleted(item_id=item_id))
            case ConversationItemTruncate(item_id=item_id, audio_end_ms=ms):
                state = self._core.conversation.get(item_id)
                if state is not None:
                    state.audio_end_ms = ms
                    self._core.output.cut(item_id, ms)
                return []
        if isinstance(event, _ELSEWHERE) or event.wire_type.startswith(OWN):
            return None
        if len(self._held) >= HELD:
            raise LocalProtocolError(f"the connection was lost, and {HELD} events wait for the next one already")
        self._held.append(event)
        return []

    def append(self, event: InputAudioBufferAppend) -> None:
        """Take audio while there is no connection.

        Raises:
            ConnectionLostError: It is dropped.
        """
        if not self._keeps_audio:
            raise ConnectionLostError("the connection was lost, so this audio was dropped")
        self._audio.append(event.audio)
        self._audio_size += len(event.audio)
        while self._core.input.format.ms(self._audio_size) > HELD_AUDIO_MS:
            self._audio_size -= len(self._audio.popleft())

    def went(self, event: ConversationItemCreate) -> None:
        """Remember an item that goes out, until the server acknowledges it."""
        if not self.on:
            return
        item = event.item
        if isinstance(item, FunctionCallOutputItem):
            self.outputs[item.call_id] = item
            if item.call_id not in self._core.added_calls:
                return  # it is told with its call
        if item.id:
            last = self._core.conversation.last_id
            self._unacknowledged[item.id] = event, last
            if len(self._unacknowledged) > UNACKNOWLEDGED:
                del self._unacknowledged[next(iter(self._unacknowledged))]

    def undone(self, event: ClientEvent | None) -> None:
        """Forget an item that was not written, or that the server has refused."""
        if isinstance(event, ConversationItemCreate):
            self._unacknowledged.pop(event.item.id or "", None)

    @property
    def waiting(self) -> bool:
        """Whether anything waits for the next connection."""
        return bool(self._held)

    # What comes

    def acknowledged(self, item: AnyItem) -> bool:
        """Take an item as the server tells it; return whether the mirror has it already, from another connection."""
        if not self.on or item.id is None:
            return False
        self._unacknowledged.pop(item.id, None)
        if item.id in self._replayed:
            self._due.pop(item.id, None)
            return True
        if self._due and item.id not in self._core.conversation.items:
            for item_id, due in self._due.items():  # not every server takes a client's ids
                if _same(due, item):
                    self._replayed.add(item.id)
                    del self._due[item_id]
                    return True
        return False

    # The connection is lost

    def lose(self, *, keep_audio: bool = False) -> list[Effect]:
        """Take the loss of the connection; nothing goes out until ``resume``.

        Args:
            keep_audio: Keep the user's audio meanwhile, for it will not take long.
        """
        core, responses = self._core, self._core.responses
        effects: list[Effect] = []
        self._count += 1
        self._replayed.clear()
        self._due.clear()
        self._keeps_audio = keep_audio and (self._keeps_audio or not self.away)
        core.settings.lose(core.next_id())
        core.forget_events()
        if self.away:
            return []
        self.away = True
        for item_id in list(core.deleting):
            effects += core.receive(ConversationItemDeleted(item_id=item_id))
        speaks = core.taking.held or responses.user_speaking
        if core.input.committing or (speaks and core.input.pending_ms >= MIN_COMMIT_MS):
            effects.append(Emit(_SPEECH_LOST))
        core.input.restart()
        lost, server_was_about_to, after = responses.lose(user_speaks=core.taking.held)
        for response in lost:
            effects += self._unfinished(response)
        effects += [*core.lose_hosted(), *after]
        if server_was_about_to and self._user_spoke_last():
            turn = TurnState(f"auto:lost {self._count}")
            effects += [TurnBegan(turn), *responses.propose([turn])]
        return effects

    @property
    def restoring(self) -> str:
        """Id of the update that asks the new connection for the session's settings."""
        return self._core.settings.restoring

    def _unfinished(self, response: ActiveResponse) -> list[Effect]:
        """End a response whose end will not come."""
        core = self._core
        states = [state for item_id in response.item_ids if (state := core.conversation.get(item_id)) is not None]
        calls = response.outstanding or response.calls or core.calls.expects(response.id)
        whole = calls or any(state.final and not self._is_unannounced(state) for state in states)
        effects: list[Effect] = []
        if not (response.stopping or response.silent or whole):
            for state in states:  # it will be said again
                effects += core.receive(ConversationItemDeleted(item_id=state.id))
            return effects + core.responses.abandon(response)
        for state in states:
            if self._is_unannounced(state):  # it has not run, and the model may make it again
                effects += core.receive(ConversationItemDeleted(item_id=state.id))
        status = "cancelled" if response.stopping else "incomplete"
        reason = StatusDetails(type=status, reason="the connection was lost")
        done = ResponseDone(response=Response(id=response.id, status=status, status_details=reason))
        return effects + core.receive(done)

    def _is_unannounced(self, state: ItemState) -> bool:
        call = call_of(state)
        return call is not None and self._core.calls.get(call.call_id or "") is None

    def _user_spoke_last(self) -> bool:
        last = self._core.conversation.last(1)
        return bool(last) and isinstance(last[0], MessageItem) and last[0].role == "user" and bool(last[0].text)

    # There is another

    def pending(self) -> set[str]:
        """Return the ids of the calls whose outputs are still to come."""
        calls = self._core.calls
        return {
            call.call_id
            for call in calls
            if call.status in (CallStatus.RUNNING, CallStatus.DONE) and call.call_id not in self.outputs
        }

    def resume(self, items: Iterable[MessageItem | FunctionCallItem | FunctionCallOutputItem]) -> list[Effect]:
        """Tell the new connection, which has the settings, the conversation, and what has waited.

        Args:
            items: The conversation, as a client may send it.
        """
        core = self._core
        self.away = False
        effects = core.settings.resume()
        events = [ConversationItemCreate(event_id=core.next_id(), item=item) for item in items]
        for event in events:
            if event.item.id:
                self._replayed.add(event.item.id)
                self._due[event.item.id] = event.item
            core.remember(event)
        effects += [Transmit(event) for event in self._with_unacknowledged(events)]
        held, self._held = self._held, []
        for waiting in held:
            try:
                effects += core.outgoing(waiting)
            except AgentkitError as exc:
                notice = Notice(code="not_sent", message=f"{waiting.wire_type} was not sent: {exc}")
                effects += [Emit(notice), *core.dropped(waiting, exc)]
        effects += self._kept_audio()
        return effects + core.responses.resume()

    def _with_unacknowledged(self, events: list[ConversationItemCreate]) -> list[ConversationItemCreate]:
        """Put what the lost connection has not acknowledged where it belongs."""
        answered = {event.item.call_id for event in events if isinstance(event.item, FunctionCallOutputItem)}
        ours: set[str | None] = set()
        for event, last in self._unacknowledged.values():
            if isinstance(event.item, FunctionCallOutputItem) and event.item.call_id in answered:
                continue
            ids = [each.item.id for each in events]
            place = 0 if last is None else ids.index(last) + 1 if last in ids else len(ids)
            while place < len(ids) and ids[place] in ours:
                place += 1
            ours.add(event.item.id)
            known = event.previous_item_id is None or event.previous_item_id in (*ids, "root")
            events.insert(place, event if known else replace(event, previous_item_id=None))
        return events

    def _kept_audio(self) -> list[Effect]:
        kept, self._audio, self._audio_size = self._audio, deque(), 0
        self._keeps_audio = False
        return [effect for audio in kept for effect in self._core.outgoing(InputAudioBufferAppend(audio=audio))]


_SPEECH_LOST = Notice(
    code="speech_lost",
    message="what the user said last was lost with the connection",
    hint="say it again",
)


def _same(one: AnyItem, other: AnyItem) -> bool:
    """Tell whether two items say the same, whatever their ids."""
    match one, other:
        case MessageItem(role=role), MessageItem(role=other_role):
            return role == other_role and one.text == other.text
        case FunctionCallItem(call_id=call_id), FunctionCallItem(call_id=other_id):
            return call_id == other_id
        case FunctionCallOutputItem(call_id=call_id), FunctionCallOutputItem(call_id=other_id):
            return call_id == other_id
        case _:
            return False
