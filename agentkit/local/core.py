"""The server of one session without I/O: a client's events in, server events and instructions out.

Rule: no clock, no randomness, no waiting. Ids come from the ``new_id`` that the driver gives.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from msgspec import UNSET
from msgspec.structs import replace

from agentkit.events import (
    ClientEvent,
    ConversationItemAdded,
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemDeleted,
    ConversationItemDone,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionDelta,
    ConversationItemInputAudioTranscriptionFailed,
    ConversationItemRetrieve,
    ConversationItemRetrieved,
    ConversationItemTruncate,
    ConversationItemTruncated,
    Dialect,
    ErrorDetails,
    ErrorEvent,
    InputAudio,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCleared,
    InputAudioBufferCommit,
    InputAudioBufferCommitted,
    MalformedEvent,
    MessageItem,
    ResponseCancel,
    ResponseCreate,
    ServerEvent,
    SessionCreated,
    SessionUpdate,
    SessionUpdated,
    Settings,
    TranscriptionError,
    UnknownEvent,
    decode_client,
)
from agentkit.local.checks import check_frame, refusal_of
from agentkit.local.effective import Abilities, defaults, input_of, said, turn_detection_of, updated
from agentkit.local.effects import Effect, RefusedError, Transcribe
from agentkit.local.history import OBJECT, History, unknown_item
from agentkit.local.listening import Listening
from agentkit.local.offered import audio_apart, offered_item
from agentkit.local.responder import NO_TRANSCRIBER, ResponderOutput
from agentkit.local.responses import Responses
from agentkit.local.samples import PCM
from agentkit.local.vad import DetectorFactory, EnergyDetector

MAX_ITEMS: Final = 20_000
NewId: TypeAlias = Callable[[str], str]
"""Makes an id that begins with the given kind: ``item`` gives ``item_...``."""


class ServerCore:
    """One session as its server holds it."""

    def __init__(
        self,
        new_id: NewId,
        model: str,
        *,
        dialect: Dialect = Dialect.GA,
        speaks: bool = False,
        hears: bool = False,
        make_detector: DetectorFactory = EnergyDetector,
    ) -> None:
        """Make the session.

        Args:
            new_id: Makes ids.
            model: The model's name, as the session tells it.
            dialect: Whose fields are accepted.
            speaks: Whether the responder makes audio.
            hears: Whether the driver can transcribe.
            make_detector: Finds the user's turns.
        """
        self._new_id = new_id
        self._dialect = dialect
        self._abilities = Abilities(speaks=speaks, hears=hears)
        self._session = defaults(
            id=new_id("sess"),
            model=model,
            abilities=self._abilities,
            temperature=0.8 if dialect is Dialect.BETA else UNSET,
        )
        self._history = History()
        self._responses = Responses(new_id, self._history, self._abilities)
        self._listening = Listening(make_detector)
        self._listening.configure(PCM, turn_detection_of(self._session))
        self._deafness_told = False

    def begin(self) -> list[Effect]:
        """Return the session's first event."""
        return self._numbered([SessionCreated(session=self._session)])

    def receive_frame(self, frame: bytes) -> list[Effect]:
        """Take a frame from the client; never raises."""
        event = decode_client(frame)
        try:
            if isinstance(event, UnknownEvent | MalformedEvent):
                raise refusal_of(event)
            check_frame(frame, event.wire_type, self._dialect)
        except RefusedError as refusal:
            return self._numbered([ErrorEvent(error=refusal.details(event.event_id))])
        return self.receive(event)

    def receive(self, event: ClientEvent) -> list[Effect]:
        """Take an event from the client; a refused one gives an ``error`` and changes nothing."""
        try:
            effects = self._take(event)
        except RefusedError as refusal:
            effects = [ErrorEvent(error=refusal.details(event.event_id))]
        return self._numbered(effects)

    def output(self, response_id: str, output: ResponderOutput) -> list[Effect]:
        """Take a piece of a response from the responder."""
        return self._numbered(self._responses.output(response_id, output))

    def finish(self, response_id: str) -> list[Effect]:
        """Take the end of a response from the responder."""
        return self._numbered(self._responses.finish(response_id))

    def fail(self, response_id: str, message: str, *, code: str, type: str) -> list[Effect]:
        """Take that the responder cannot answer."""
        return self._numbered(self._responses.fail(response_id, message, code=code, type=type))

    def transcribed(self, item_id: str, content_index: int, transcript: str) -> list[Effect]:
        """Take the transcript of a user's audio; the client is told it where the session asks for transcription."""
        self._set_transcript(item_id, content_index, transcript)
        effects: list[Effect] = []
        if said(input_of(self._session).transcription) is not None:
            effects = self._told(item_id, content_index, transcript)
        return self._numbered([*effects, *self._responses.heard(item_id)])

    def transcription_failed(self, item_id: str, content_index: int, message: str, *, code: str) -> list[Effect]:
        """Take that a user's audio could not be transcribed; the client is told it whatever the session asks for."""
        failed = ConversationItemInputAudioTranscriptionFailed(
            item_id=item_id,
            content_index=content_index,
            error=TranscriptionError(type="transcription_error", code=code, message=message),
        )
        return self._numbered([failed, *self._responses.heard(item_id)])

    def _take(self, event: ClientEvent) -> list[Effect]:
        match event:
            case InputAudioBufferAppend():
                return self._append(event.audio)
            case InputAudioBufferCommit():
                item_id, audio = self._listening.take(self._new_id)
                return self._commit(item_id, audio)
            case InputAudioBufferClear():
                self._listening.clear()
                return [InputAudioBufferCleared()]
            case ConversationItemCreate():
                return self._create_item(event)
            case ConversationItemRetrieve():
                item = self._history.get(event.item_id)
                if item is None:
                    raise unknown_item("retrieve", event.item_id)
                return [ConversationItemRetrieved(item=self._history.with_audio(item))]
            case ConversationItemTruncate():
                self._responses.truncate(event)
                return [
                    ConversationItemTruncated(
                        item_id=event.item_id,
                        content_index=event.content_index,
                        audio_end_ms=event.audio_end_ms,
                    )
                ]
            case ConversationItemDelete():
                self._history.remove(event.item_id)
                return [ConversationItemDeleted(item_id=event.item_id)]
            case ResponseCreate():
                return self._responses.create(self._session, event.response)
            case ResponseCancel():
                return self._responses.cancel(event.response_id)
            case SessionUpdate():
                return self._update(event)
            case _:
                # What is left is output_audio_buffer.clear.
                raise RefusedError(
                    f"'{event.wire_type}' is for WebRTC and SIP only; here the client plays the audio.",
                    code="invalid_value",
                    param="type",
                )

    def _update(self, event: SessionUpdate) -> list[Effect]:
        if not isinstance(event.session, Settings):
            raise RefusedError(
                "A 'realtime' session cannot be updated to a 'transcription' session.",
                code="invalid_value",
                param="session.type",
            )
        self._session = updated(
            self._session,
            event.session,
            abilities=self._abilities,
            audio_emitted=self._responses.audio_emitted,
        )
        incoming = input_of(self._session)
        self._listening.configure(said(incoming.format) or PCM, said(incoming.turn_detection))
        return [SessionUpdated(session=self._session)]

    def _append(self, audio: bytes) -> list[Effect]:
        effects: list[Effect] = []
        for turn in self._listening.append(audio, self._new_id):
            detection = turn_detection_of(self._session)
            if turn.started is not None:
                effects.append(turn.started)
                if detection is not None and detection.interrupt_response:
                    effects += self._responses.interrupt()
            elif turn.stopped is not None:
                effects.append(turn.stopped)
                effects += self._commit(turn.item_id, turn.audio)
                if detection is not None and detection.create_response:
                    effects += self._responses.create_after_turn(self._session)
        return effects

    def _commit(self, item_id: str, audio: bytes) -> list[Effect]:
        item = MessageItem(
            id=item_id, object=OBJECT, status="completed", role="user", content=(InputAudio(transcript=None),)
        )
        previous = self._history.add(item)
        return [
            InputAudioBufferCommitted(item_id=item_id, previous_item_id=previous),
            ConversationItemAdded(previous_item_id=previous, item=item),
            ConversationItemDone(previous_item_id=previous, item=item),
            *self._hear(item_id, 0, audio),
        ]

    def _create_item(self, event: ConversationItemCreate) -> list[Effect]:
        if len(self._history) >= MAX_ITEMS:
            raise RefusedError(f"The conversation is full: {MAX_ITEMS} items.", code="invalid_value", param="item")
        offered = offered_item(event.item, self._history, self._new_id)
        item, audio = audio_apart(offered, "item")
        previous = self._history.add(item, event.previous_item_id)
        effects: list[Effect] = [
            ConversationItemAdded(previous_item_id=previous, item=item),
            ConversationItemDone(previous_item_id=previous, item=item),
        ]
        for index, samples in audio.items():
            effects += self._hear(str(item.id), index, samples)
        return effects

    def _hear(self, item_id: str, content_index: int, audio: bytes) -> list[Effect]:
        """Keep a user's audio, and have it transcribed; or say, once, that nobody can."""
        format = self._listening.format
        self._history.keep_audio(item_id, content_index, audio, format)
        if self._abilities.hears:
            self._responses.hearing(item_id)
            return [Transcribe(item_id=item_id, content_index=content_index, audio=audio, format=format)]
        if self._deafness_told:
            return []
        self._deafness_told = True
        return [
            ErrorEvent(
                error=ErrorDetails(type="invalid_request_error", code="transcriber_missing", message=NO_TRANSCRIBER)
            )
        ]

    @staticmethod
    def _told(item_id: str, content_index: int, transcript: str) -> list[Effect]:
        completed = ConversationItemInputAudioTranscriptionCompleted(
            item_id=item_id,
            content_index=content_index,
            transcript=transcript,
            usage={"type": "tokens", "total_tokens": 0, "input_tokens": 0, "output_tokens": 0},
        )
        if not transcript:
            return [completed]
        delta = ConversationItemInputAudioTranscriptionDelta(
            item_id=item_id, content_index=content_index, delta=transcript
        )
        return [delta, completed]

    def _set_transcript(self, item_id: str, content_index: int, transcript: str) -> None:
        item = self._history.get(item_id)
        if isinstance(item, MessageItem):
            content = list(item.content)
            content[content_index] = InputAudio(transcript=transcript)
            self._history.put(replace(item, content=tuple(content)))

    def _numbered(self, effects: Sequence[Effect]) -> list[Effect]:
        return [
            replace(effect, event_id=self._new_id("event")) if isinstance(effect, ServerEvent) else effect
            for effect in effects
        ]
