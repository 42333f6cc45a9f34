"""Audio for tests, made by computation: speech in tones, a tone, noise, silence.

No recording of a voice comes with it. ``speech`` is the test signal of ``agentkit.local``: text as tones, which the
embedded server hears with ``Local(speech="tones")``, and energy detection finds as it finds a voice; no speech
recognition understands it.
"""

from typing import Final

import numpy as np

from agentkit.audio import encode
from agentkit.events import AudioFormat
from agentkit.local import encode_tones
from agentkit.protocol.audio import Format

PCM: Final = AudioFormat(type="audio/pcm", rate=24000)
"""What a session speaks and hears unless it is told otherwise."""


def speech(text: str, *, format: AudioFormat = PCM) -> bytes:
    """Return a text as tones, a test signal that ``agentkit.local.decode_tones`` reads again.

    Args:
        text: What is said; about 25 characters take a second.
        format: PCM of any rate from 8 kHz, or G.711.
    """
    return encode_tones(text, format)


def tone(seconds: float, *, hertz: float = 440.0, loudness: float = 0.5, format: AudioFormat = PCM) -> bytes:
    """Return a pure tone.

    Args:
        seconds: How long it is.
        hertz: Its frequency.
        loudness: Of full scale.
        format: Of the audio that is returned.
    """
    rate = Format.of(format).rate
    times = np.arange(round(seconds * rate)) / rate
    return _encoded(np.sin(2 * np.pi * hertz * times) * loudness, format)


def noise(seconds: float, *, loudness: float = 0.1, seed: int = 0, format: AudioFormat = PCM) -> bytes:
    """Return white noise; the same seed gives the same noise.

    Args:
        seconds: How long it is.
        loudness: Its loudest samples, of full scale.
        seed: Which noise.
        format: Of the audio that is returned.
    """
    count = round(seconds * Format.of(format).rate)
    return _encoded(np.random.default_rng(seed).uniform(-loudness, loudness, count), format)


def silence(seconds: float, *, format: AudioFormat = PCM) -> bytes:
    """Return silence."""
    return _encoded(np.zeros(round(seconds * Format.of(format).rate)), format)


def _encoded(samples: "np.typing.NDArray[np.float64]", format: AudioFormat) -> bytes:
    return encode((np.clip(samples, -1, 1) * 32767).astype(np.int16), format)
