"""What ``redact`` and ``topic`` do with the events that the engine makes of what the server says."""

from msgspec.structs import replace

from agentkit import Next, on
from agentkit.events import (
    AnyItem,
    ApprovalRequested,
    ConversationUpdated,
    Interrupted,
    ItemAppended,
    ItemCompleted,
    ItemDelta,
    ItemView,
    ToolCallPending,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnCompleted,
)
from agentkit_guard.arguments import change_data
from agentkit_guard.places import ChangedView, Where, change_item, changed
from agentkit_guard.screening_in import InwardScreening

_FINAL = ("completed", "incomplete")


class SessionScreening(InwardScreening):
    """Screen everything that passes."""

    def _view(self, view: ItemView) -> ItemView:
        """Return a view as it may be seen; what is not whole yet is shown without an end that may become something."""
        if self._action == "warn":
            return view
        settled = self.settled.get(view.id, frozenset())
        whole = view.status in _FINAL and view.id not in self.transcribing

        def seen(where: Where, text: str, index: int) -> str:
            if where == "tool_arguments" and not whole and where in self._at:
                return ""
            return self.seen(where, text, final=whole or index in settled)

        def change(item: AnyItem) -> AnyItem:
            return change_item(item, seen)

        def heard(text: str, transcript: str) -> str:
            return self.seen("output", text, final=whole and text == transcript)

        return ChangedView(view, change, heard)

    @on(ConversationUpdated)
    async def updated(self, event: ConversationUpdated, call_next: Next[ConversationUpdated]) -> None:
        """An item changed."""
        delta, item_id = event.delta, event.item.id
        event = replace(event, item=self._view(event.item))
        if delta is None:
            await call_next(event)
        elif delta.arguments is not None:
            await self.arguments_piece("arguments updated", event, call_next, item_id, _with_arguments)
        elif delta.text is not None:
            if not self.is_stopped(item_id):
                await self.piece("agent updated", event, call_next, delta.text, _with_text, item_id=item_id)
        elif delta.transcript is not None:
            await self._transcript(event, call_next, delta.transcript)
        elif not self.is_stopped(item_id):
            await call_next(event)

    async def _transcript(self, event: ConversationUpdated, call_next: Next[ConversationUpdated], text: str) -> None:
        item_id = event.item.id
        if item_id in self.transcribed:
            await call_next(replace(event, delta=ItemDelta(transcript=self.seen("input", text))))
        elif item_id in self.transcribing:
            await self.piece("user updated", event, call_next, text, _with_transcript, item_id=item_id)
        elif not self.is_stopped(item_id):
            await self.piece("agent updated", event, call_next, text, _with_transcript, item_id=item_id)

    @on(ItemAppended)
    async def appended(self, event: ItemAppended, call_next: Next[ItemAppended]) -> None:
        """An item entered the conversation."""
        await call_next(replace(event, item=self._view(event.item)))

    @on(ItemCompleted)
    async def completed(self, event: ItemCompleted, call_next: Next[ItemCompleted]) -> None:
        """An item is final."""
        await self.flush(event.item.id, kinds=("agent updated",))
        await call_next(replace(event, item=self._view(event.item)))

    @on(TurnCompleted)
    async def turn(self, event: TurnCompleted, call_next: Next[TurnCompleted]) -> None:
        """The agent has answered; a turn of which nothing is left tells what is said instead."""
        text = self.seen("output", event.text)
        if event.text and not text.strip():
            text = self._speaker.message or text
        await call_next(changed(event, text=text))

    @on(Interrupted)
    async def interrupted(self, event: Interrupted, call_next: Next[Interrupted]) -> None:
        """The user cut the agent off, perhaps in the middle of what may not be seen."""
        if event.heard_text is not None:
            event = changed(event, heard_text=self.seen("output", event.heard_text, final=False))
        await call_next(event)

    @on(ToolStarted, ToolCallPending, ApprovalRequested)
    async def tool_started(
        self,
        event: ToolStarted | ToolCallPending | ApprovalRequested,
        call_next: Next[ToolStarted | ToolCallPending | ApprovalRequested],
    ) -> None:
        """A call as it is told to the application."""
        await call_next(changed(event, arguments=self.seen("tool_arguments", event.arguments)))

    @on(ToolFinished)
    async def tool_finished(self, event: ToolFinished, call_next: Next[ToolFinished]) -> None:
        """A call's result as it is told to the application."""
        output = self.seen("tool_output", event.output)
        if output != event.output:
            event = replace(event, output=output, result=output, error=None)
        await call_next(event)

    @on(ToolProgress)
    async def tool_progress(self, event: ToolProgress, call_next: Next[ToolProgress]) -> None:
        """How far a call has come."""
        message = self.seen("tool_output", event.message)
        partial = change_data(event.partial, lambda text: self.seen("tool_output", text))
        await call_next(replace(event, message=message, partial=partial))


def _with_text(event: ConversationUpdated, text: str) -> ConversationUpdated:
    return replace(event, delta=ItemDelta(text=text))


def _with_transcript(event: ConversationUpdated, text: str) -> ConversationUpdated:
    return replace(event, delta=ItemDelta(transcript=text))


def _with_arguments(event: ConversationUpdated, text: str) -> ConversationUpdated:
    return replace(event, delta=ItemDelta(arguments=text))
