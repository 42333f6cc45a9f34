"""Voice activity by energy: where the user begins and ends, on the audio's own clock.

A plugin with a real detector gives the server core another ``DetectorFactory``.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

import msgspec
import numpy as np

from agentkit.events import AudioFormat, TurnDetection
from agentkit.local.samples import to_samples
from agentkit.protocol.audio import Format

FRAME_MS: Final = 20
ONSET_MS: Final = 60
"""Shorter sounds are clicks, not speech."""
QUIET_DB: Final = -60.0
LOUD_DB: Final = -20.0
_EAGER_MS: Final = {"low": 1200, "medium": 800, "auto": 800, "high": 400}
"""The silence that ends a turn under ``semantic_vad``, which energy can only approximate."""


class SpeechStarted(msgspec.Struct, frozen=True, kw_only=True):
    """The user began."""

    at_ms: int


class SpeechStopped(msgspec.Struct, frozen=True, kw_only=True):
    """The user has been silent for long enough."""

    at_ms: int
    """Where the silence was long enough: the end of the turn's audio."""


class Detector(Protocol):
    """Finds the user's turns in audio."""

    def feed(self, audio: bytes) -> list[SpeechStarted | SpeechStopped]:
        """Take more audio and return what it shows, in order."""


DetectorFactory: TypeAlias = Callable[[TurnDetection, AudioFormat, int], Detector]
"""Makes a detector from the turn's settings, the format, and the clock's present milliseconds."""


class EnergyDetector:
    """Tells speech from silence by loudness: ``threshold`` 0..1 is -60..-20 dBFS."""

    def __init__(self, settings: TurnDetection, format: AudioFormat, start_ms: int) -> None:
        threshold = settings.threshold if isinstance(settings.threshold, float | int) else 0.5
        level = 10 ** ((QUIET_DB + (LOUD_DB - QUIET_DB) * threshold) / 20) * 32768
        self._power = level * level
        silence = settings.silence_duration_ms if isinstance(settings.silence_duration_ms, int) else 500
        if settings.type == "semantic_vad":
            silence = _EAGER_MS.get(str(settings.eagerness), _EAGER_MS["auto"])
        self._silence_ms = silence
        self._format = format
        self._frame = Format.of(format).size(FRAME_MS)
        self._rest = b""
        self._now_ms = start_ms
        self._voiced_ms = 0
        self._silent_ms = 0
        self._speaking = False

    def feed(self, audio: bytes) -> list[SpeechStarted | SpeechStopped]:
        """Take more audio and return what it shows, in order."""
        data = self._rest + audio
        whole = len(data) - len(data) % self._frame
        self._rest = data[whole:]
        if not whole:
            return []
        samples = to_samples(data[:whole], self._format).astype(np.float64)
        frames = samples.reshape(whole // self._frame, -1)
        found: list[SpeechStarted | SpeechStopped] = []
        for voiced in ((frames * frames).mean(axis=1) >= self._power).tolist():
            self._now_ms += FRAME_MS
            event = self._step(voiced=voiced)
            if event is not None:
                found.append(event)
        return found

    def _step(self, *, voiced: bool) -> SpeechStarted | SpeechStopped | None:
        self._voiced_ms = self._voiced_ms + FRAME_MS if voiced else 0
        self._silent_ms = 0 if voiced else self._silent_ms + FRAME_MS
        if not self._speaking and self._voiced_ms >= ONSET_MS:
            self._speaking = True
            return SpeechStarted(at_ms=self._now_ms - self._voiced_ms)
        if self._speaking and self._silent_ms >= self._silence_ms:
            self._speaking = False
            return SpeechStopped(at_ms=self._now_ms)
        return None
