"""What ``redact`` and ``topic`` do with what the server says."""

from agentkit import Next, on
from agentkit.events import (
    AnyItem,
    ContentPartEvent,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionDelta,
    ConversationItemInputAudioTranscriptionFailed,
    ConversationItemInputAudioTranscriptionSegment,
    ItemEvent,
    MalformedEvent,
    MessageItem,
    OutputItemEvent,
    PartEvent,
    ResponseContentPartDone,
    ResponseCreated,
    ResponseDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseMcpCallArgumentsDelta,
    ResponseMcpCallArgumentsDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    SessionCreated,
    SessionUpdated,
    UnknownEvent,
)
from agentkit_guard.arguments import change_data
from agentkit_guard.places import Where, change_item, change_part, changed
from agentkit_guard.screening import with_delta
from agentkit_guard.screening_out import OutwardScreening

AGENT = ("agent", "agent updated")
USER = ("user", "user updated")


class InwardScreening(OutwardScreening):
    """Screen what comes from the server."""

    # The agent's words

    @on(ResponseOutputTextDelta, ResponseOutputAudioTranscriptDelta)
    async def agent_delta(
        self,
        event: ResponseOutputTextDelta | ResponseOutputAudioTranscriptDelta,
        call_next: Next[ResponseOutputTextDelta | ResponseOutputAudioTranscriptDelta],
    ) -> None:
        """More of what the agent says."""
        if not self.is_stopped(event.response_id, event.item_id):
            where = {"item_id": event.item_id, "index": event.content_index}
            await self.piece("agent", event, call_next, event.delta, with_delta, **where)  # type: ignore[arg-type]

    @on(ResponseOutputAudioDelta)
    async def agent_audio(self, event: ResponseOutputAudioDelta, call_next: Next[ResponseOutputAudioDelta]) -> None:
        """What the agent says, until it is cut off."""
        if not self.is_stopped(event.response_id, event.item_id):
            await call_next(event)

    @on(ResponseOutputTextDone)
    async def text_done(self, event: ResponseOutputTextDone, call_next: Next[ResponseOutputTextDone]) -> None:
        """The whole text."""
        await self._part_over(event, event.text)
        await call_next(changed(event, text=self.seen("output", event.text)))

    @on(ResponseOutputAudioTranscriptDone)
    async def transcript_done(
        self, event: ResponseOutputAudioTranscriptDone, call_next: Next[ResponseOutputAudioTranscriptDone]
    ) -> None:
        """The whole transcript."""
        await self._part_over(event, event.transcript)
        await call_next(changed(event, transcript=self.seen("output", event.transcript)))

    async def _part_over(self, event: PartEvent, text: str) -> None:
        self.react("output", event.item_id, text, event.response_id)
        self.settle(event.item_id, event.content_index)
        await self.flush(event.item_id, event.content_index, kinds=AGENT)

    @on(ContentPartEvent)
    async def part(self, event: ContentPartEvent, call_next: Next[ContentPartEvent]) -> None:
        """A content part as a whole."""
        if isinstance(event, ResponseContentPartDone):
            change_part(event.part, lambda text: self._noted("output", event.item_id, text, event.response_id))
            self.settle(event.item_id, event.content_index)
            await self.flush(event.item_id, event.content_index, kinds=AGENT)
        await call_next(changed(event, part=change_part(event.part, lambda text: self.seen("output", text))))

    def _noted(self, where: Where, subject: str, text: str, response_id: str | None = None) -> str:
        self.react(where, subject, text, response_id)
        return text

    @on(OutputItemEvent)
    async def output_item(self, event: OutputItemEvent, call_next: Next[OutputItemEvent]) -> None:
        """An item of a response."""
        if isinstance(event, ResponseOutputItemDone):
            self._note_item(event.item, event.response_id)
            await self.flush(event.item.id or "", kinds=("agent",))
        await call_next(changed(event, item=self.seen_item(event.item)))

    def _note_item(self, item: AnyItem, response_id: str | None = None) -> None:
        if isinstance(item, MessageItem) and item.role == "assistant":
            change_item(item, lambda where, text, _: self._noted(where, item.id or "", text, response_id))

    @on(ResponseCreated, ResponseDone)
    async def response(
        self, event: ResponseCreated | ResponseDone, call_next: Next[ResponseCreated | ResponseDone]
    ) -> None:
        """A response as a whole."""
        response = event.response
        if isinstance(event, ResponseDone):
            for item in response.output:
                self._note_item(item, response.id)
                await self.flush(item.id or "", kinds=("agent",))
            for key in [key for key in self._told if key[0] == "agent" and self._is_of(key, response.id)]:
                await self.flush(key[1], key[2], kinds=("agent",))
        output = tuple(self.seen_item(item) for item in response.output)
        await call_next(changed(event, response=changed(response, output=output)))

    def _is_of(self, key: tuple[str, str, int], response_id: str | None) -> bool:
        held = self._told[key].event
        return held is not None and getattr(held, "response_id", None) in (response_id, None)

    # Calls

    @on(ResponseFunctionCallArgumentsDelta, ResponseMcpCallArgumentsDelta)
    async def arguments_delta(
        self,
        event: ResponseFunctionCallArgumentsDelta | ResponseMcpCallArgumentsDelta,
        call_next: Next[ResponseFunctionCallArgumentsDelta | ResponseMcpCallArgumentsDelta],
    ) -> None:
        """More of a call's arguments."""
        await self.arguments_piece("arguments", event, call_next, event.item_id, with_delta)

    @on(ResponseFunctionCallArgumentsDone, ResponseMcpCallArgumentsDone)
    async def arguments_done(
        self,
        event: ResponseFunctionCallArgumentsDone | ResponseMcpCallArgumentsDone,
        call_next: Next[ResponseFunctionCallArgumentsDone | ResponseMcpCallArgumentsDone],
    ) -> None:
        """All of a call's arguments."""
        arguments = self.seen("tool_arguments", event.arguments)
        await self.arguments_over(event.item_id, arguments)
        await call_next(changed(event, arguments=arguments))

    @on(SessionCreated, SessionUpdated)
    async def settings_in(
        self, event: SessionCreated | SessionUpdated, call_next: Next[SessionCreated | SessionUpdated]
    ) -> None:
        """Settings as the server confirms them."""
        await call_next(changed(event, session=self.settings_seen(event.session)))

    @on(ItemEvent)
    async def item_in(self, event: ItemEvent, call_next: Next[ItemEvent]) -> None:
        """An item as the server has it."""
        await call_next(changed(event, item=self.seen_item(event.item)))

    @on(ConversationItemInputAudioTranscriptionDelta)
    async def user_delta(
        self,
        event: ConversationItemInputAudioTranscriptionDelta,
        call_next: Next[ConversationItemInputAudioTranscriptionDelta],
    ) -> None:
        """More of what the user said."""
        self.transcribing.note(event.item_id)
        if "input" in self._at and event.logprobs and self._action != "warn":
            event = changed(event, logprobs=None)  # they spell the text
        place = {"item_id": event.item_id, "index": event.content_index or 0}
        await self.piece("user", event, call_next, event.delta or "", with_delta, **place)  # type: ignore[arg-type]

    @on(ConversationItemInputAudioTranscriptionCompleted)
    async def user_done(
        self,
        event: ConversationItemInputAudioTranscriptionCompleted,
        call_next: Next[ConversationItemInputAudioTranscriptionCompleted],
    ) -> None:
        """All that the user said."""
        await self._transcribed(event.item_id)
        self.react("input", event.item_id, event.transcript)
        if self._action == "interrupt" and f"input {event.item_id}" in self._reacted and "input" in self._at:
            self.session.start_soon(self._refuse_spoken, event.item_id)
        shown = self.seen("input", event.transcript)
        logprobs = event.logprobs if shown == event.transcript else None
        await call_next(changed(event, transcript=shown, logprobs=logprobs))

    async def _refuse_spoken(self, item_id: str) -> None:
        await self.session.interrupt()
        await self.session.delete_item(item_id)
        await self._speaker.say()

    async def _transcribed(self, item_id: str) -> None:
        await self.flush(item_id, kinds=USER)
        self.transcribing.pop(item_id, None)
        self.transcribed.note(item_id)

    @on(ConversationItemInputAudioTranscriptionFailed)
    async def user_failed(
        self,
        event: ConversationItemInputAudioTranscriptionFailed,
        call_next: Next[ConversationItemInputAudioTranscriptionFailed],
    ) -> None:
        """No more of what the user said will come."""
        await self._transcribed(event.item_id)
        await call_next(event)

    @on(ConversationItemInputAudioTranscriptionSegment)
    async def user_segment(
        self,
        event: ConversationItemInputAudioTranscriptionSegment,
        call_next: Next[ConversationItemInputAudioTranscriptionSegment],
    ) -> None:
        """One speaker's part of what was said."""
        await call_next(changed(event, text=self.seen("input", event.text)))

    # What nobody knows

    @on(UnknownEvent)
    async def unknown(self, event: UnknownEvent, call_next: Next[UnknownEvent]) -> None:
        """An event of a type that is not known: every text in it may be anybody's."""
        if self._action != "warn" and self._at:
            data = change_data(event.data, self._masking.apply)
            assert isinstance(data, dict)
            event = changed(event, data=data)
        await call_next(event)

    @on(MalformedEvent)
    async def malformed(self, event: MalformedEvent, call_next: Next[MalformedEvent]) -> None:
        """A frame that is no event."""
        head = event.head if self._action == "warn" else self._masking.apply(event.head)
        await call_next(changed(event, head=head))
