"""One response in the making: the responder's output as items, parts and deltas in the protocol's order."""

from collections.abc import Callable
from typing import Final

import pybase64
from msgspec.structs import replace

from agentkit.events import (
    Audio,
    AudioSettings,
    ConversationItemAdded,
    ConversationItemDone,
    FunctionCallItem,
    FunctionCallOutputItem,
    MessageItem,
    OutputAudio,
    OutputText,
    Response,
    ResponseContentPartAdded,
    ResponseContentPartDone,
    ResponseCreated,
    ResponseDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    ServerEvent,
    ServerSession,
    StatusDetails,
    Text,
    Usage,
    UsageDetails,
)
from agentkit.local.effective import output_of, said, tokens_of
from agentkit.local.history import OBJECT, History, cut_size
from agentkit.local.responder import AudioDelta, FunctionCall, HeldItem, ResponderRequest, TextDelta
from agentkit.local.samples import PCM
from agentkit.protocol.audio import Format

DELTA_MS: Final = 200
"""The longest audio of one delta."""


class _OpenMessage:
    """The message that is being written: one part, text or audio."""

    def __init__(self, item_id: str, output_index: int, *, spoken: bool) -> None:
        self.item_id = item_id
        self.output_index = output_index
        self.spoken = spoken
        self.words: list[str] = []
        self.audio = bytearray()
        self.cut: int | None = None
        """Bytes that the client has heard, where it has truncated the message already."""


class ResponseWriter:
    """Writes the events of one response; ``history`` is ``None`` for one beside the conversation."""

    def __init__(
        self,
        response_id: str,
        session: ServerSession,
        *,
        history: History | None,
        conversation_id: str | None,
        metadata: dict[str, str] | None,
        new_id: Callable[[str], str],
    ) -> None:
        self.response_id = response_id
        self.session = session
        self._input_tokens = 0
        self.output_ms = 0
        """Milliseconds of audio made so far."""
        self._history = history
        self._new_id = new_id
        self._conversation_id = conversation_id
        self._metadata = metadata
        self._format = said(output_of(session).format) or PCM
        self._items: list[HeldItem] = []
        self._open: _OpenMessage | None = None
        self._text_bytes = 0

    def saw(self, request: ResponderRequest) -> None:
        """Estimate the tokens of what the responder is given."""
        size = len(request.instructions) + sum(_size(item) for item in request.items)
        self._input_tokens = -(-size // 4)

    def truncate(self, item_id: str, ms: int) -> bool:
        """Cut the audio of the open message, if it is this item's.

        Raises:
            RefusedError: There is not so much audio.
        """
        message = self._open
        if message is None or message.item_id != item_id or not message.spoken:
            return False
        message.cut = cut_size(len(message.audio), ms, self._format)
        return True

    def created(self) -> list[ServerEvent]:
        """Begin."""
        return [ResponseCreated(response=self._response("in_progress"))]

    def text(self, output: TextDelta) -> list[ServerEvent]:
        """Add text to the open message, opening one where none is."""
        if not output.text:
            return []
        events, message = self._message(spoken=False)
        message.words.append(output.text)
        events.append(self._said(message, output.text))
        return events

    def audio(self, output: AudioDelta) -> list[ServerEvent]:
        """Add audio and its transcript to the open message, opening one where none is."""
        events, message = self._message(spoken=True)
        if not message.spoken:
            events = [*self._close_message("completed"), *events]
            opened, message = self._message(spoken=True)
            events.extend(opened)
        if output.transcript:
            message.words.append(output.transcript)
            events.append(self._said(message, output.transcript))
        step = Format.of(self._format).size(DELTA_MS)
        for start in range(0, len(output.audio), step):
            events.append(
                ResponseOutputAudioDelta(
                    response_id=self.response_id,
                    item_id=message.item_id,
                    output_index=message.output_index,
                    delta=pybase64.b64encode(output.audio[start : start + step]).decode("ascii"),
                )
            )
        message.audio += output.audio
        self.output_ms += Format.of(self._format).ms(len(output.audio))
        return events

    def call(self, output: FunctionCall) -> list[ServerEvent]:
        """Add a function call, closing the open message."""
        events = self._close_message("completed")
        item = FunctionCallItem(
            id=self._new_id("item"),
            object=OBJECT,
            status="in_progress",
            name=output.name,
            call_id=output.call_id or self._new_id("call"),
            arguments="",
        )
        index = self._add(item, events)
        self._text_bytes += len(output.name) + len(output.arguments)
        events += [
            ResponseFunctionCallArgumentsDelta(
                response_id=self.response_id,
                item_id=str(item.id),
                output_index=index,
                call_id=item.call_id,
                delta=output.arguments,
            ),
            ResponseFunctionCallArgumentsDone(
                response_id=self.response_id,
                item_id=str(item.id),
                output_index=index,
                call_id=item.call_id,
                arguments=output.arguments,
                name=output.name,
            ),
        ]
        self._finish_item(
            replace(item, status="completed" if output.complete else "incomplete", arguments=output.arguments),
            index,
            events,
        )
        return events

    def done(self, status: str, details: StatusDetails | None = None, usage: Usage | None = None) -> list[ServerEvent]:
        """End: every open part and item gets its last event, and the response its own."""
        events = self._close_message("completed" if status == "completed" else "incomplete")
        events.append(ResponseDone(response=self._response(status, details, usage or self._estimate())))
        return events

    def _response(self, status: str, details: StatusDetails | None = None, usage: Usage | None = None) -> Response:
        return Response(
            id=self.response_id,
            object="realtime.response",
            status=status,
            status_details=details,
            output=tuple(self._items),
            conversation_id=self._conversation_id,
            output_modalities=said(self.session.output_modalities),
            max_output_tokens=tokens_of(self.session),
            audio=AudioSettings(output=output_of(self.session)),
            metadata=self._metadata,
            usage=usage,
        )

    def _message(self, *, spoken: bool) -> tuple[list[ServerEvent], _OpenMessage]:
        """Return the open message and what opening it said."""
        if self._open is not None:
            return [], self._open
        item = MessageItem(id=self._new_id("item"), object=OBJECT, status="in_progress", role="assistant", content=())
        events: list[ServerEvent] = []
        index = self._add(item, events)
        self._open = message = _OpenMessage(str(item.id), index, spoken=spoken)
        # The part's type is the short name here, and the long one inside items; so does the real server.
        part = Audio(transcript="") if spoken else Text(text="")
        events.append(
            ResponseContentPartAdded(
                response_id=self.response_id, item_id=message.item_id, output_index=index, part=part
            )
        )
        return events, message

    def _close_message(self, status: str) -> list[ServerEvent]:
        message, self._open = self._open, None
        if message is None:
            return []
        text = "".join(message.words)
        self._text_bytes += len(text.encode())
        events = self._all_said(message, text)
        events.append(
            ResponseContentPartDone(
                response_id=self.response_id,
                item_id=message.item_id,
                output_index=message.output_index,
                part=Audio(transcript=text) if message.spoken else Text(text=text),
            )
        )
        item = MessageItem(
            id=message.item_id,
            object=OBJECT,
            status=status,
            role="assistant",
            content=(OutputAudio(transcript=text) if message.spoken else OutputText(text=text),),
        )
        held = self._history is not None and message.item_id in self._history
        if held and message.spoken and self._history is not None:
            self._history.keep_audio(message.item_id, 0, bytes(message.audio), self._format)
        self._finish_item(item, message.output_index, events)
        if held and message.cut is not None and self._history is not None:
            self._history.truncate(message.item_id, 0, message.cut)
        return events

    def _said(self, message: _OpenMessage, delta: str) -> ServerEvent:
        delta_event = ResponseOutputAudioTranscriptDelta if message.spoken else ResponseOutputTextDelta
        return delta_event(
            response_id=self.response_id,
            item_id=message.item_id,
            output_index=message.output_index,
            delta=delta,
        )

    def _all_said(self, message: _OpenMessage, text: str) -> list[ServerEvent]:
        response_id, item_id, index = self.response_id, message.item_id, message.output_index
        if not message.spoken:
            return [ResponseOutputTextDone(response_id=response_id, item_id=item_id, output_index=index, text=text)]
        return [
            ResponseOutputAudioDone(response_id=response_id, item_id=item_id, output_index=index),
            ResponseOutputAudioTranscriptDone(
                response_id=response_id, item_id=item_id, output_index=index, transcript=text
            ),
        ]

    def _add(self, item: HeldItem, events: list[ServerEvent]) -> int:
        index = len(self._items)
        self._items.append(item)
        events.append(ResponseOutputItemAdded(response_id=self.response_id, output_index=index, item=item))
        if self._history is not None:
            events.append(ConversationItemAdded(previous_item_id=self._history.add(item), item=item))
        return index

    def _finish_item(self, item: HeldItem, index: int, events: list[ServerEvent]) -> None:
        self._items[index] = item
        events.append(ResponseOutputItemDone(response_id=self.response_id, output_index=index, item=item))
        # A client may have deleted the item meanwhile; then it is not in the conversation any more.
        if self._history is not None and item.id in self._history:
            self._history.put(item)
            events.append(ConversationItemDone(previous_item_id=self._history.before(str(item.id)), item=item))

    def _estimate(self) -> Usage:
        """Return an estimate: four bytes of text a token, one token for 50 ms of audio."""
        text, audio = -(-self._text_bytes // 4), -(-self.output_ms // 50)
        return Usage(
            total_tokens=self._input_tokens + text + audio,
            input_tokens=self._input_tokens,
            output_tokens=text + audio,
            input_token_details=UsageDetails(text_tokens=self._input_tokens, audio_tokens=0, cached_tokens=0),
            output_token_details=UsageDetails(text_tokens=text, audio_tokens=audio),
        )


def _size(item: HeldItem) -> int:
    if isinstance(item, MessageItem):
        return len(item.text)
    return len(item.output) if isinstance(item, FunctionCallOutputItem) else len(item.name) + len(item.arguments)
