"""The input audio buffer: appended audio, its clock, the user's turns in it, and commits."""

from collections.abc import Callable
from typing import Final

import msgspec

from agentkit.events import (
    AudioFormat,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    ServerEvent,
    TurnDetection,
)
from agentkit.local.effects import RefusedError, invalid
from agentkit.local.vad import Detector, DetectorFactory, SpeechStarted
from agentkit.protocol.audio import MIN_COMMIT_MS, Format

MAX_APPEND_BYTES: Final = 15 * 1024 * 1024
MAX_BUFFER_BYTES: Final = 64 * 1024 * 1024


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What the buffer heard; exactly one of the fields is set."""

    started: ServerEvent | None = None
    stopped: ServerEvent | None = None
    audio: bytes = b""
    """The turn's audio, where it has stopped."""
    item_id: str = ""
    """The item that the turn's audio becomes."""


class Listening:
    """The session's ear; all its times are the audio's own."""

    def __init__(self, make_detector: DetectorFactory) -> None:
        self._make_detector = make_detector
        self._format = AudioFormat(rate=24000)
        self._settings: TurnDetection | None = None
        self._detector: Detector | None = None
        self._buffer = bytearray()
        self._total = 0
        self._speech_item: str | None = None

    @property
    def format(self) -> AudioFormat:
        """The format of the buffered audio."""
        return self._format

    def configure(self, format: AudioFormat, settings: TurnDetection | None) -> None:
        """Follow the session's settings; a changed format empties the buffer, whose bytes would be noise."""
        if format != self._format:
            self._total = Format.of(format).size(self._ms(self._total))
            self._buffer.clear()
        elif settings == self._settings:
            return
        self._format = format
        self._settings = settings
        self._speech_item = None
        self._detector = None
        if settings is not None:
            self._detector = self._make_detector(settings, format, self._ms(self._total))

    def append(self, audio: bytes, new_item_id: Callable[[str], str]) -> list[Turn]:
        """Take audio and return what it begins and ends.

        Raises:
            RefusedError: It is too much.
        """
        if len(audio) > MAX_APPEND_BYTES:
            raise invalid("audio", "at most 15 MiB of audio fit in one append.")
        if self._detector is None and len(self._buffer) + len(audio) > MAX_BUFFER_BYTES:
            raise invalid("audio", "the input buffer is full; commit or clear it.")
        self._buffer += audio
        self._total += len(audio)
        if self._detector is None:
            return []
        turns = []
        for found in self._detector.feed(audio):
            if isinstance(found, SpeechStarted):
                turns.append(self._started(found.at_ms, new_item_id("item")))
            else:
                turns.append(self._stopped(found.at_ms))
        self._trim()
        return turns

    def take(self, new_item_id: Callable[[str], str]) -> tuple[str, bytes]:
        """Empty the buffer for a commit, and return the item's id and its audio.

        Raises:
            RefusedError: There is too little audio.
        """
        size, minimum = len(self._buffer), Format.of(self._format).size(MIN_COMMIT_MS)
        if size < minimum:
            raise RefusedError(
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{MIN_COMMIT_MS}ms of audio, but buffer only has {self._ms(size):.2f}ms of audio.",
                code="input_audio_buffer_commit_empty",
            )
        audio = bytes(self._buffer)
        item_id = self._speech_item or new_item_id("item")
        self.clear()
        return item_id, audio

    def clear(self) -> None:
        """Drop what is buffered, and the turn that it began."""
        self._buffer.clear()
        self._speech_item = None
        if self._settings is not None:
            self._detector = self._make_detector(self._settings, self._format, self._ms(self._total))

    def _started(self, at_ms: int, item_id: str) -> Turn:
        self._speech_item = item_id
        start_ms = max(at_ms - self._padding_ms(), self._ms(self._total - len(self._buffer)), 0)
        del self._buffer[: max(self._offset(start_ms), 0)]
        event = InputAudioBufferSpeechStarted(audio_start_ms=start_ms, item_id=item_id)
        return Turn(started=event, item_id=item_id)

    def _stopped(self, at_ms: int) -> Turn:
        item_id, self._speech_item = self._speech_item or "", None
        end = max(self._offset(at_ms), 0)
        audio = bytes(self._buffer[:end])
        del self._buffer[:end]
        event = InputAudioBufferSpeechStopped(audio_end_ms=at_ms, item_id=item_id)
        return Turn(stopped=event, audio=audio, item_id=item_id)

    def _trim(self) -> None:
        """Keep of silence only what the next turn's prefix may need, and of endless speech the last part."""
        keep = MAX_BUFFER_BYTES
        if self._speech_item is None:
            # The detector hears of an onset a little after it was.
            keep = Format.of(self._format).size(self._padding_ms() + 1000)
        if len(self._buffer) > keep:
            del self._buffer[: len(self._buffer) - keep]

    def _offset(self, at_ms: int) -> int:
        """Return where a time of the clock is in the buffer."""
        return Format.of(self._format).size(at_ms) - (self._total - len(self._buffer))

    def _padding_ms(self) -> int:
        padding = self._settings.prefix_padding_ms if self._settings is not None else 0
        return padding if isinstance(padding, int) else 300

    def _ms(self, size: int) -> int:
        return Format.of(self._format).ms(size)
