"""Audio that is made for tests."""

import numpy as np
import pytest

from agentkit.audio import decode
from agentkit.events import AudioFormat
from agentkit.local import decode_tones
from agentkit.testing import noise, silence, speech, tone

FORMATS = [
    AudioFormat(type="audio/pcm", rate=24000),
    AudioFormat(type="audio/pcm", rate=16000),
    AudioFormat(type="audio/pcmu"),
    AudioFormat(type="audio/pcma"),
]


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: f"{format.type}-{format.rate}")
def test_speech_is_heard_by_what_reads_tones(format: AudioFormat) -> None:
    assert decode_tones(speech("is it open?", format=format), format) == "is it open?"


def test_a_tone_has_its_frequency_its_length_and_its_loudness() -> None:
    samples = np.frombuffer(tone(0.5, hertz=1000, loudness=0.25), dtype="<i2").astype(float)
    assert len(samples) == 12_000
    assert np.abs(np.fft.rfft(samples)).argmax() * 2 == 1000  # half a second: bins of 2 Hz
    assert np.abs(samples).max() == pytest.approx(0.25 * 32767, rel=0.01)


def test_noise_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert noise(0.1, seed=1) == noise(0.1, seed=1)
    assert noise(0.1, seed=1) != noise(0.1, seed=2)


def test_noise_is_no_louder_than_it_was_asked_for() -> None:
    samples = np.frombuffer(noise(0.5, loudness=0.1), dtype="<i2").astype(float)
    assert 0.09 * 32767 < np.abs(samples).max() <= 0.1 * 32767


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: f"{format.type}-{format.rate}")
def test_silence_is_silent_in_every_format(format: AudioFormat) -> None:
    samples = decode(silence(0.25, format=format), format)
    assert len(samples) == (format.rate or 8000) // 4
    assert np.abs(samples.astype(float)).max() <= 8
