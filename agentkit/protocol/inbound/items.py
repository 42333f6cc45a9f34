"""What the events about items, the user's speech and its transcripts do."""

from typing import TYPE_CHECKING

from agentkit import events as e
from agentkit.protocol.effects import Effect, Emit, ItemBegan, Suppress
from agentkit.protocol.items import ItemState

if TYPE_CHECKING:
    from agentkit.protocol.core import Core

LATE = Suppress("late")


class Items:
    """Takes events of the conversation and of the input buffer."""

    def __init__(self, core: "Core") -> None:
        self._core = core

    def put(
        self, item: e.AnyItem, *, previous_item_id: str | None = None, done: str | None = None
    ) -> tuple[ItemState | None, list[Effect]]:
        """Take an item as the server tells it, and tell the application."""
        state, became_final = self._core.conversation.put(item, previous_item_id=previous_item_id, done=done)
        if state is None:
            return None, []
        effects = self.changed(state)
        if became_final and self._core.items_wanted:
            effects.append(Emit(e.ItemCompleted(item=self._core.view(state))))
        return state, effects

    def changed(self, state: ItemState, delta: e.ItemDelta | None = None) -> list[Effect]:
        """Tell the application of an item that changed, as a whole or by a delta."""
        effects: list[Effect] = []
        if not state.announced:
            state.announced = True
            effects.append(ItemBegan(state.id))
            if self._core.items_wanted:
                effects.append(Emit(e.ItemAppended(item=self._core.view(state))))
        if self._core.updates_wanted:
            effects.append(Emit(e.ConversationUpdated(item=self._core.view(state), delta=delta)))
        return effects

    def stray(self) -> list[Effect]:
        """Count an event that is about nothing we know."""
        self._core.conversation.strays += 1
        return []

    # Items as a whole

    def added(self, event: e.ConversationItemAdded) -> list[Effect]:
        """An item is there. What a client made is whole already; not every server says so once more."""
        item = event.item
        if self._core.recovery.acknowledged(item):
            return []
        by_client = isinstance(item, e.FunctionCallOutputItem | e.McpApprovalResponseItem) or (
            isinstance(item, e.MessageItem) and item.role != "assistant"
        )
        effects = self.put(item, previous_item_id=event.previous_item_id, done="completed" if by_client else None)[1]
        if isinstance(item, e.FunctionCallOutputItem):
            effects += self._core.answered(item.call_id)
        return effects

    def retrieved(self, event: e.ConversationItemRetrieved) -> list[Effect]:
        """The server repeats an item, with its audio."""
        return self.put(event.item)[1]

    def truncated(self, event: e.ConversationItemTruncated) -> list[Effect]:
        """An item's audio was cut."""
        state = self._core.conversation.get(event.item_id)
        if state is None:
            return self.stray()
        state.audio_end_ms = event.audio_end_ms
        self._core.output.cut(state.id, event.audio_end_ms)
        return self.changed(state)

    def deleted(self, event: e.ConversationItemDeleted) -> list[Effect]:
        """An item is gone; what is still playing of it stops."""
        core = self._core
        core.deleting.discard(event.item_id)
        known = core.conversation.get(event.item_id)
        view = core.view(known) if known is not None else None
        core.conversation.delete(event.item_id)
        core.input.remove(event.item_id)
        effects: list[Effect] = []
        if core.output.remove(event.item_id):
            effects.append(Emit(e.FlushPlayback(item_id=event.item_id)))
        if view is not None and core.updates_wanted:
            effects.append(Emit(e.ConversationUpdated(item=view, deleted=True)))
        return effects

    # Transcripts of the user's audio

    def transcript(self, event: e.ConversationItemInputAudioTranscriptionCompleted) -> list[Effect]:
        """A whole transcript; its item may not exist yet."""
        state = self._core.conversation.transcript(event.item_id, event.content_index or 0, event.transcript)
        if state is None:
            return [LATE]
        return self.changed(state, e.ItemDelta(transcript=event.transcript))

    def transcript_delta(self, event: e.ConversationItemInputAudioTranscriptionDelta) -> list[Effect]:
        """More of a transcript."""
        if not event.delta:
            return []
        state = self._core.conversation.transcript_delta(event.item_id, event.content_index or 0, event.delta)
        return self.changed(state, e.ItemDelta(transcript=event.delta)) if state is not None else []

    # Input audio

    def committed(self, event: e.InputAudioBufferCommitted) -> list[Effect]:
        """The user's audio became an item."""
        core = self._core
        core.input.emptied(event.item_id)
        turn_over = core.responses.user_speaking and not core.taking.held
        effects = core.responses.speech_stopped() if turn_over else []
        base = e.MessageItem(role="user", content=(e.InputAudio(),))
        state = core.conversation.adopt(event.item_id, base, previous_item_id=event.previous_item_id)
        core.responses.added()
        return effects + (self.changed(state) if state is not None else [])

    def cleared(self, event: e.InputAudioBufferCleared) -> list[Effect]:
        """The user's audio was dropped, so nothing will answer it."""
        responses = self._core.responses
        self._core.input.emptied()
        if not responses.user_speaking or self._core.taking.held:
            return []
        responses.user_speaking = False
        return responses.flush()

    def speech_started(self, event: e.InputAudioBufferSpeechStarted) -> list[Effect]:
        """The user begins to speak."""
        self._core.input.speech(event.item_id, began_ms=event.audio_start_ms)
        late = self._core.settings.finds_no_turns  # nothing would tell that the turn is over
        effects = [] if late else self._core.taking.heard_speech()
        if event.item_id is not None:
            effects.append(ItemBegan(event.item_id))
        return effects + self._core.interrupt(by_speech=True)

    def speech_stopped(self, event: e.InputAudioBufferSpeechStopped) -> list[Effect]:
        """The user's turn is over, unless a commit has said so already."""
        self._core.input.speech(event.item_id, ended_ms=event.audio_end_ms)
        responses = self._core.responses
        if self._core.taking.held:
            return []
        if not responses.user_speaking and (responses.auto_expected or responses.answering_speech):
            return []
        return responses.speech_stopped()

    def timeout_triggered(self, event: e.InputAudioBufferTimeoutTriggered) -> list[Effect]:
        """The user said nothing for long: the server makes a response by itself."""
        responses = self._core.responses
        return responses.expect_auto() if responses.server_creates else []
