"""``hold``: what the agent says is heard and seen only once its text has passed.

Rule: events come out in the order in which they came in. What belongs to a text waits for it: the text itself until the
stretch that it ends in has passed, audio until a stretch has passed that came after it, the end of a part, an item or a
response until all of it is decided. With the response's end everything is.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar, Final, Literal, NamedTuple

from msgspec.structs import replace

from agentkit import AgentkitError, Middleware, Next, on
from agentkit.events import (
    AnyItem,
    ContentPartEvent,
    ConversationItemDone,
    ConversationItemRetrieved,
    ConversationUpdated,
    Event,
    Interrupted,
    ItemAppended,
    ItemCompleted,
    ItemEvent,
    ItemView,
    MalformedEvent,
    OutputItemEvent,
    Reconnected,
    ResponseContentPartDone,
    ResponseCreated,
    ResponseDone,
    ResponseEvent,
    ResponseOutputAudioDelta,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    TurnCompleted,
    UnknownEvent,
)
from agentkit_guard.arguments import texts_in
from agentkit_guard.judging import ChecksConfig, Judge, Verdict
from agentkit_guard.places import ChangedView, Where, change_item, change_part, changed, name_of, said_in, said_in_part
from agentkit_guard.reacting import Remembered, Speaker, is_aside
from agentkit_guard.sentences import last_end
from agentkit_guard.topic import MESSAGE
from agentkit_guard.waiting import Need, Spoken, found_across, said_before

BEFORE: Final = 500
"""Characters before a stretch that a function or a model gets with it."""
ITEMS: Final = 256
"""Items whose texts are remembered."""


class HoldConfig(ChecksConfig, frozen=True, kw_only=True):
    """The options of the ``hold`` guard: what may not pass, as for ``gate``, and how much waits for a check."""

    unit: Literal["sentence", "response"] = "sentence"
    """How much is checked at once, and so how long the agent is silent at first."""
    message: str | None = MESSAGE
    """What is said instead of what was held back."""


class _Entry(NamedTuple):
    """An event that waits for its turn."""

    event: Event
    pass_on: Callable[[Event], Awaitable[None]]
    needs: Sequence[Need]
    content: str | None
    """The item that it is a piece of, if it is one."""
    is_audio: bool = False


class Hold(Middleware):
    """Hold back what the agent says until it was checked."""

    critical: ClassVar[bool] = True

    def __init__(self, config: HoldConfig) -> None:
        """Make the layer.

        Raises:
            ValueError: The message itself holds what may not pass.
        """
        self._judge = Judge(config)
        if config.message and self._judge.at_once(config.message) is not None:
            raise ValueError(f"the message {config.message!r} itself holds what may not pass")
        self._by_sentence = config.unit == "sentence"
        self._speaker = Speaker(self, config.message)
        self._queue: deque[_Entry] = deque()
        self._pumping = False
        self._spoken: dict[str, dict[int, Spoken]] = {}
        """Texts by item and content part."""
        self._silent = Remembered()
        """Items whose audio nobody shall hear any more."""
        self._stopped = Remembered()
        """Responses that were stopped."""
        self._refusals = Remembered()
        """Responses that were begun to say something instead of another."""
        self._beside = Remembered()
        """Responses beside the conversation, which may go on while another begins."""
        self._current: str | None = None
        """The response in the conversation that is being made."""
        self._instead: str | None = None
        """What is said instead of what was stopped last."""
        self._turn: list[str] = []
        """Items of the turn that goes on."""
        self._jobs: deque[tuple[Spoken, int]] = deque()
        self._working = False

    # Texts

    def _text(self, item_id: str, index: int, response_id: str | None) -> Spoken:
        parts = self._spoken.get(item_id)
        if parts is None:
            parts = self._spoken[item_id] = {}
            if response_id is not None:
                self._turn.append(item_id)
            if len(self._spoken) > ITEMS:
                del self._spoken[next(iter(self._spoken))]
        spoken = parts.get(index)
        if spoken is None:
            spoken = parts[index] = Spoken(self._judge.screen, response_id, item_id)
            if response_id in self._stopped:
                spoken.stop()
        spoken.response_id = spoken.response_id or response_id
        return spoken

    def _item_texts(self, item: AnyItem, response_id: str | None, *, of_response: bool = False) -> list[Spoken]:
        """Take an item's texts, which may be more than what came in deltas, and return all that is known of it."""
        name = name_of(item)
        for index, text in said_in(item, whoever=of_response or name in self._spoken).items():
            self._text(name, index, response_id).become(text)
        return self._of_item(name)

    def _loose(self, text: str) -> list[Spoken]:
        """Return a text that belongs to no item, and has to pass as it is."""
        if not text.strip():
            return []
        spoken = Spoken(self._judge.screen, self._current, None)
        spoken.add(text)
        spoken.final = True
        if self._current in self._stopped:
            spoken.stop()
        return [spoken]

    def _over(self, texts: Iterable[Spoken], *, response_too: bool = False) -> None:
        """Note that no more of these texts will come."""
        for spoken in texts:
            if self._by_sentence or response_too:
                spoken.final = True

    def _of_item(self, item_id: str | None) -> list[Spoken]:
        return list(self._spoken.get(item_id or "", {}).values())

    def _of_message(self, spoken: Spoken) -> list[Spoken]:
        return [part for _, part in sorted(self._spoken.get(spoken.item_id or "", {}).items())]

    def _of_response(self, response_id: str | None) -> list[Spoken]:
        texts = (spoken for parts in self._spoken.values() for spoken in parts.values())
        return [spoken for spoken in texts if spoken.response_id in (response_id, None)]

    def _give_up(self) -> None:
        """Stop the texts that no more will come of, for what they belonged to is gone."""
        for spoken in [spoken for parts in self._spoken.values() for spoken in parts.values()]:
            if not spoken.final and spoken.response_id not in self._beside:
                spoken.stop()

    # What comes in

    @on(ResponseEvent)
    async def said(self, event: ResponseEvent, call_next: Next[ResponseEvent]) -> None:
        """An event of a response."""
        texts: list[Spoken] = []
        content, after = None, False
        match event:
            case ResponseCreated():
                self._begin(event)
                for item in event.response.output:
                    texts += self._item_texts(item, event.response.id, of_response=True)
            case ResponseOutputTextDelta() | ResponseOutputAudioTranscriptDelta():
                texts = [self._text(event.item_id, event.content_index, event.response_id)]
                texts[0].add(event.delta)
                content = event.item_id
            case ResponseOutputAudioDelta():
                texts = [self._text(event.item_id, event.content_index, event.response_id)]
                texts[0].has_audio = after = True
                content = event.item_id
            case ResponseOutputTextDone(text=text) | ResponseOutputAudioTranscriptDone(transcript=text):
                texts = [self._text(event.item_id, event.content_index, event.response_id)]
                texts[0].become(text)
                self._over(texts)
            case ContentPartEvent():
                texts = [self._text(event.item_id, event.content_index, event.response_id)]
                if text := said_in_part(event.part):
                    texts[0].become(text)
                if isinstance(event, ResponseContentPartDone):
                    self._over(texts)
            case OutputItemEvent():
                texts = self._item_texts(event.item, event.response_id, of_response=True)
                if isinstance(event, ResponseOutputItemDone):
                    self._over(texts)
            case ResponseDone():
                for item in event.response.output:
                    self._item_texts(item, event.response.id, of_response=True)
                texts = self._of_response(event.response.id)
                self._over(texts, response_too=True)
                if event.response.id == self._current:
                    self._current = None
        await self._line_up(event, call_next, texts, content=content, after=after)

    def _begin(self, event: ResponseCreated) -> None:
        """Take note of a response; one in the conversation means that the one before it is over."""
        response_id = event.response.id
        if self._speaker.is_speaking and response_id is not None:
            self._refusals.note(response_id)
        if is_aside(event.response):
            self._beside.note_all((response_id,))
        else:
            self._give_up()
            self._current = response_id

    @on(ItemEvent)
    async def item(self, event: ItemEvent, call_next: Next[ItemEvent]) -> None:
        """An item of the conversation."""
        texts = self._item_texts(event.item, self._current)
        if isinstance(event, ConversationItemDone):
            self._over(texts)
        if self._current is None or isinstance(event, ConversationItemRetrieved):
            self._over(texts, response_too=True)
        await self._line_up(event, call_next, texts)

    @on(UnknownEvent, MalformedEvent)
    async def unknown(
        self, event: UnknownEvent | MalformedEvent, call_next: Next[UnknownEvent | MalformedEvent]
    ) -> None:
        """An event that is not known here: any text in it has to pass, or it is dropped."""
        told = [event.head] if isinstance(event, MalformedEvent) else texts_in(_without_names(event.data))
        await self._line_up(event, call_next, self._loose("\n".join(told)), content="")

    @on(Reconnected)
    async def reconnected(self, event: Reconnected, call_next: Next[Reconnected]) -> None:
        """Another connection: what the last one has not finished never comes."""
        self._beside.clear()
        self._give_up()
        self._current = None
        await self._line_up(event, call_next, [])

    @on(ConversationUpdated)
    async def updated(self, event: ConversationUpdated, call_next: Next[ConversationUpdated]) -> None:
        """An item changed."""
        texts = self._of_item(event.item.id)
        content = event.item.id if texts and event.delta is not None else None
        after = event.delta is not None and event.delta.audio is not None
        await self._line_up(event, call_next, texts, content=content, after=after)

    @on(ItemAppended, ItemCompleted)
    async def item_told(
        self, event: ItemAppended | ItemCompleted, call_next: Next[ItemAppended | ItemCompleted]
    ) -> None:
        """An item is there, or final."""
        await self._line_up(event, call_next, self._of_item(event.item.id))

    @on(TurnCompleted)
    async def turn(self, event: TurnCompleted, call_next: Next[TurnCompleted]) -> None:
        """The agent has answered."""
        await self._line_up(event, call_next, [])

    @on(Interrupted)
    async def interrupted(self, event: Interrupted, call_next: Next[Interrupted]) -> None:
        """The user cut the agent off: audio that waits is not played any more."""
        self._silent.note_all(entry.content for entry in self._queue if entry.is_audio)
        if event.item_id is not None:
            self._silent.note(event.item_id)
            if event.heard_text is not None:
                event = changed(event, heard_text=self._shown(event.item_id, 0, event.heard_text))
        await self._pump()
        await call_next(event)

    # The line

    async def _line_up(
        self,
        event: Event,
        call_next: Callable[..., Awaitable[None]],
        texts: Sequence[Spoken],
        *,
        content: str | None = None,
        after: bool = False,
    ) -> None:
        """Put an event at the end of the line, and let out what may go."""
        needs = [Need(spoken, len(spoken.text), after, spoken.version) for spoken in texts]
        for spoken in texts:
            self._advance(spoken)
        self._queue.append(_Entry(event, call_next, needs, content, after))
        await self._pump()

    async def _pump(self) -> None:
        """Let out, in order, what does not wait for anything any more."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._queue and all(need.met for need in self._queue[0].needs):
                entry = self._queue.popleft()
                if entry.content is not None and self._is_dropped(entry):
                    continue
                try:
                    await entry.pass_on(self._cut(entry.event))
                except AgentkitError:
                    continue  # the layer that failed has told it, and the line goes on
        finally:
            self._pumping = False

    def _is_dropped(self, entry: _Entry) -> bool:
        return any(need.dropped for need in entry.needs) or (
            entry.is_audio
            and (entry.content in self._silent or any(need.spoken.stopped is not None for need in entry.needs))
        )

    # Checking

    def _advance(self, spoken: Spoken) -> None:
        """Have a text checked as far as it can be."""
        if spoken.stopped is not None:
            return
        upto = spoken.checkable(last_end(spoken.text) if self._by_sentence else 0)
        if spoken.found or found_across(self._judge.screen, self._of_message(spoken), BEFORE):
            self._stop(spoken, Verdict(reason="it holds what is denied"))
        elif spoken.final and spoken.has_audio and not spoken.text.strip():
            self._stop(spoken, Verdict(reason="there is audio without a transcript"))
        elif self._judge.decides_at_once:
            spoken.passed = max(spoken.passed, upto)
        elif upto > spoken.asked:
            spoken.asked = upto
            self._jobs.append((spoken, upto))
            if not self._working:
                self._working = True
                self.session.start_soon(self._work)

    async def _work(self) -> None:
        try:
            while self._jobs:
                spoken, upto = self._jobs.popleft()
                if spoken.stopped is not None or upto <= spoken.passed:
                    continue
                text = spoken.text[max(0, spoken.passed - BEFORE) : upto]
                if spoken.passed < BEFORE:
                    text = said_before(spoken, self._of_message(spoken), BEFORE) + text
                version = spoken.version
                verdict = await self._judge.verdict(text, "output")
                if verdict is not None:
                    self._stop(spoken, verdict)
                elif version == spoken.version:
                    spoken.passed = max(spoken.passed, upto)
                await self._pump()
        finally:
            self._working = False

    def _stop(self, spoken: Spoken, verdict: Verdict) -> None:
        """Drop what is held of a response, stop it, and say something instead."""
        if spoken.stopped is not None:
            return
        if spoken.response_id is not None:
            self._stopped.note(spoken.response_id)
        spoken.stop()
        others = self._of_item(spoken.item_id)
        for other in others if spoken.response_id is None else [*others, *self._of_response(spoken.response_id)]:
            other.stop()
        self.session.notice("guard", f"{self.name}: what the agent was to say was stopped: {verdict.reason}")
        self._instead = verdict.message or self._speaker.message
        if spoken.response_id is not None:
            self._speaker.cut_off(message=verdict.message, silently=spoken.response_id in self._refusals)

    # What is seen of a text that was stopped

    def _shown(self, item_id: str | None, index: int, text: str) -> str:
        spoken = self._spoken.get(item_id or "", {}).get(index)
        return text if spoken is None or spoken.stopped is None else spoken.shown(text)

    def _cut(self, event: Event) -> Event:
        """Return an event with what may be seen of its texts."""
        match event:
            case ResponseOutputTextDone():
                return changed(event, text=self._shown(event.item_id, event.content_index, event.text))
            case ResponseOutputAudioTranscriptDone():
                return changed(event, transcript=self._shown(event.item_id, event.content_index, event.transcript))
            case ContentPartEvent():
                part = change_part(event.part, lambda text: self._shown(event.item_id, event.content_index, text))
                return changed(event, part=part)
            case OutputItemEvent() | ItemEvent():
                return changed(event, item=self._cut_item(event.item))
            case ResponseCreated() | ResponseDone():
                output = tuple(self._cut_item(item) for item in event.response.output)
                return changed(event, response=changed(event.response, output=output))
            case ConversationUpdated() | ItemAppended() | ItemCompleted():
                return replace(event, item=self._cut_view(event.item))
            case TurnCompleted():
                return self._cut_turn(event)
        return event

    def _cut_item(self, item: AnyItem) -> AnyItem:
        name = name_of(item)

        def shown(where: Where, text: str, index: int) -> str:
            return text if where.startswith("tool_") else self._shown(name, index, text)

        return change_item(item, shown)

    def _cut_view(self, view: ItemView) -> ItemView:
        if all(spoken.stopped is None for spoken in self._of_item(view.id)):
            return view
        return ChangedView(view, self._cut_item, lambda heard, _: self._shown(view.id, 0, heard))

    def _cut_turn(self, event: TurnCompleted) -> TurnCompleted:
        items, self._turn = self._turn, []
        texts = [list(self._spoken.get(item_id, {}).values()) for item_id in items]
        if any(spoken.stopped is not None for parts in texts for spoken in parts):
            shown = ("".join(spoken.shown(spoken.text) for spoken in parts) for parts in texts)
            told = "\n".join(text for text in shown if text)
            event = changed(event, text=told or self._instead or "")  # who asked gets an answer, at least this one
        return event


def _without_names(data: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in data.items() if name != "type" and not name.endswith("_id")}
