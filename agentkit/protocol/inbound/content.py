"""What the events about the content of responses do: text, transcripts, arguments, parts and audio.

Rule: an item that nobody announced is made only where its response is known and not over: a delta makes no ghosts.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from agentkit import events as e
from agentkit.protocol.effects import Effect, Emit, TurnOutput
from agentkit.protocol.inbound.items import LATE, Items
from agentkit.protocol.inbound.responses import Responses
from agentkit.protocol.items import ItemState
from agentkit.protocol.wanted import ActiveResponse

if TYPE_CHECKING:
    from agentkit.protocol.core import Core

TEXT_PART, AUDIO_PART = e.OutputText(), e.OutputAudio()
TEXT = e.MessageItem(role="assistant", status="in_progress")
SPOKEN = e.MessageItem(role="assistant", status="in_progress", content=(AUDIO_PART,))


class Content:
    """Takes events of the content of responses."""

    def __init__(self, core: "Core", items: Items, responses: Responses) -> None:
        self._core = core
        self._items = items
        self._responses = responses
        self._known = core.conversation.items
        self._active = core.responses.active
        self._bad_audio = False

    def _target(
        self, event: e.OutputEvent, response: ActiveResponse | None, base: e.MessageItem | e.FunctionCallItem
    ) -> ItemState | None:
        """Return the item that an event is about; None where there is none."""
        state = self._known.get(event.item_id)
        if state is None:
            if response is None or response.beside or response.done:
                return None
            state = self._core.conversation.adopt(event.item_id, base)
            if state is not None:
                self._responses.belongs(state, response)
        return state

    def _begun(self, response: ActiveResponse) -> list[Effect]:
        """Note that output came, and tell the response's turns where it is the first."""
        response.alive = True
        if response.output_begun:
            return []
        response.output_begun = True
        effects: list[Effect] = []
        for turn in response.turns:
            if not turn.output_begun:
                turn.output_begun = True
                effects.append(TurnOutput(turn))
        return effects

    def _late(self, event: e.OutputEvent, response: ActiveResponse | None) -> list[Effect]:
        """Count a delta that changes nothing; one of which we know nothing at all is still handed on, as data."""
        conversation = self._core.conversation
        conversation.strays += 1
        unknown = response is None and event.item_id not in self._known and not conversation.was_deleted(event.item_id)
        return [] if unknown else [LATE]

    # Text

    def _delta(
        self,
        event: e.OutputEvent,
        index: int,
        text: str,
        base: e.MessageItem | e.FunctionCallItem,
        part_base: e.AnyPart | None,
        told: Callable[[str], e.ItemDelta],
    ) -> list[Effect]:
        response = self._core.responses.find(event.response_id)
        if response is not None and response.beside:
            if index == event.output_index == 0:
                response.deltas.append(text)
            return self._begun(response)
        state = self._target(event, response, base)
        if state is not None and state.response_id is None:
            self._responses.belongs(state, response)
        if state is None or state.interrupted or (part := state.part(index)).final:
            return self._late(event, response)
        if part_base is not None:
            part.become(part_base)
        part.add(text)
        effects = [] if response is None else self._begun(response)
        if self._core.updates_wanted or not state.announced:
            effects += self._items.changed(state, told(text))
        return effects

    def _final(
        self, event: e.OutputEvent, index: int, text: str, base: e.MessageItem | e.FunctionCallItem
    ) -> list[Effect]:
        state = self._target(event, self._core.responses.find(event.response_id), base)
        if state is None:
            return []
        state.part(index).set_final(text)
        return self._items.changed(state)

    def text_delta(self, event: e.ResponseOutputTextDelta) -> list[Effect]:
        """More text."""
        return self._delta(event, event.content_index, event.delta, TEXT, TEXT_PART, _of_text)

    def transcript_delta(self, event: e.ResponseOutputAudioTranscriptDelta) -> list[Effect]:
        """More of the transcript of the agent's audio."""
        return self._delta(event, event.content_index, event.delta, SPOKEN, AUDIO_PART, _of_transcript)

    def arguments_delta(self, event: e.ResponseFunctionCallArgumentsDelta) -> list[Effect]:
        """More of a call's arguments."""
        base = e.FunctionCallItem(name="", call_id=event.call_id, status="in_progress")
        return self._delta(event, 0, event.delta, base, None, _of_arguments)

    def text_done(self, event: e.ResponseOutputTextDone) -> list[Effect]:
        """The whole text."""
        return self._final(event, event.content_index, event.text, TEXT)

    def transcript_done(self, event: e.ResponseOutputAudioTranscriptDone) -> list[Effect]:
        """The whole transcript of the agent's audio."""
        return self._final(event, event.content_index, event.transcript, SPOKEN)

    def arguments_done(self, event: e.ResponseFunctionCallArgumentsDone) -> list[Effect]:
        """All of a call's arguments; they announce no call, for they come for one that was cut short too."""
        told = e.FunctionCallItem(name=event.name or "", call_id=event.call_id, status="in_progress")
        effects = self._final(event, 0, event.arguments, told)
        state = self._known.get(event.item_id)
        if state is not None and isinstance(state.base, e.FunctionCallItem):
            guessed = state.guessed
            state.merge(told, done=False)
            state.guessed = guessed
        return effects

    # Parts

    def part_added(self, event: e.ResponseContentPartAdded) -> list[Effect]:
        """A response begins a content part."""
        return self._part(event, final=False)

    def part_done(self, event: e.ResponseContentPartDone) -> list[Effect]:
        """A content part is final."""
        return self._part(event, final=True)

    def _part(self, event: e.ContentPartEvent, *, final: bool) -> list[Effect]:
        response = self._core.responses.find(event.response_id)
        if response is not None and response.beside:
            return []
        state = self._target(event, response, TEXT)
        if state is None or not isinstance(state.base, e.MessageItem):
            return self._items.stray()
        state.part(event.content_index).merge(event.part, final=final)
        return self._items.changed(state)

    # Audio: the hot path, so what it needs is looked up once, and nothing is made that nobody wants

    def audio_delta(self, event: e.ResponseOutputAudioDelta) -> list[Effect]:
        """More audio."""
        core = self._core
        core.settings.voice_fixed = True
        response = self._active.get(event.response_id or "") or core.responses.find(event.response_id)
        if response is not None and response.beside:
            return self._begun(response)
        state = self._known.get(event.item_id) or self._target(event, response, SPOKEN)
        if state is not None and state.response_id is None:
            self._responses.belongs(state, response)
        if state is None or state.interrupted:
            return self._late(event, response)
        audio = event.audio
        if audio is None:
            return self._not_base64()
        index = event.content_index
        audio = core.output.append(event.item_id, audio, index)
        if audio is None:
            return self._late(event, response)
        part = state.part(index)
        if part.base is None:
            part.base = AUDIO_PART
        effects: list[Effect] = []
        if response is not None:
            response.alive = True
            if not response.output_begun:
                effects = self._begun(response)
        if core.updates_wanted or not state.announced:
            effects += self._items.changed(state, e.ItemDelta(audio=audio))
        return effects

    def _not_base64(self) -> list[Effect]:
        self._core.conversation.strays += 1
        if self._bad_audio:
            return []
        self._bad_audio = True
        message = "an audio delta was not valid base64 and was left out"
        return [Emit(e.Notice(code="bad_audio", message=message, level="info"))]

    def audio_done(self, event: e.ResponseOutputAudioDone) -> list[Effect]:
        """No more audio will come for a part."""
        self._core.output.finished(event.item_id, event.content_index)
        return []


def _of_text(text: str) -> e.ItemDelta:
    return e.ItemDelta(text=text)


def _of_transcript(text: str) -> e.ItemDelta:
    return e.ItemDelta(transcript=text)


def _of_arguments(text: str) -> e.ItemDelta:
    return e.ItemDelta(arguments=text)
