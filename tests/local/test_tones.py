"""Tones: text as sound and back, and the responder that speaks and hears by them."""

import string
from collections.abc import AsyncGenerator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.events import AudioFormat, TurnDetection
from agentkit.local import (
    AudioDelta,
    EnergyDetector,
    Finished,
    FunctionCall,
    Responder,
    ResponderOutput,
    ResponderRequest,
    SpeechStarted,
    SpeechStopped,
    TextDelta,
    Tones,
    decode_tones,
    encode_tones,
)
from agentkit.local.samples import to_samples
from agentkit.protocol.audio import Format

PCM = AudioFormat(type="audio/pcm", rate=24000)
ULAW = AudioFormat(type="audio/pcmu")
ALAW = AudioFormat(type="audio/pcma")
TEXT = "What is 17 * 23, and what time is it in Zürich or 東京?"
LOST = "\N{REPLACEMENT CHARACTER}"
SILENCE = {"audio/pcm": b"\0\0", "audio/pcmu": b"\xff", "audio/pcma": b"\xd5"}

rates = st.integers(8000, 48000).map(lambda rate: AudioFormat(type="audio/pcm", rate=rate))
formats = st.one_of(st.sampled_from([PCM, ULAW, ALAW]), rates)


def pcm(samples: "np.typing.NDArray[np.float64]") -> bytes:
    return np.clip(samples, -32768, 32767).astype("<i2").tobytes()


# the signal


@given(text=st.text(max_size=60), format=formats, before=st.integers(0, 3000), after=st.integers(0, 3000))
def test_a_text_survives_in_every_format_whatever_silence_is_around_it(
    text: str, format: AudioFormat, before: int, after: int
) -> None:
    silence = SILENCE[format.type]
    audio = silence * before + encode_tones(text, format) + silence * after
    assert decode_tones(audio, format) == text


@given(
    text=st.text(string.printable, min_size=1, max_size=30),
    format=rates,
    seed=st.integers(0, 2**32 - 1),
    noise=st.floats(0, 1500),
    gain=st.floats(0.2, 1.9),
    before=st.integers(0, 3000),
)
def test_a_text_survives_noise_and_another_volume(
    text: str, format: AudioFormat, seed: int, noise: float, gain: float, before: int
) -> None:
    samples = np.pad(to_samples(encode_tones(text, format), format) * gain, before)
    samples += np.random.default_rng(seed).normal(0, noise, len(samples))
    assert decode_tones(pcm(samples), format) == text


@given(texts=st.lists(st.text(max_size=20), max_size=4), format=formats, gap=st.integers(0, 400))
def test_texts_behind_each_other_are_one_text(texts: list[str], format: AudioFormat, gap: int) -> None:
    audio = (SILENCE[format.type] * gap).join(encode_tones(text, format) for text in texts)
    assert decode_tones(audio, format) == "".join(texts)


@given(end=st.floats(0, 1))
def test_what_breaks_off_is_left_out_and_what_came_before_is_heard(end: float) -> None:
    audio = encode_tones(TEXT, PCM)
    cut = audio[: int(len(audio) * end) // 2 * 2]
    assert TEXT.startswith(decode_tones(cut, PCM))


def test_a_frame_s_edges_may_be_missing() -> None:
    audio = encode_tones("hello", PCM)
    assert decode_tones(audio[48 * 3 : -48 * 3], PCM) == "hello"


def test_lost_audio_shows() -> None:
    audio = encode_tones("a" * 32, PCM) + encode_tones("b", PCM)
    assert decode_tones(audio[: 48 * 600] + audio[48 * 700 :], PCM) == f"{LOST}b"


def test_a_frame_of_a_length_that_none_has_is_a_damaged_one() -> None:
    audio = encode_tones("ab", PCM)
    # The two tones behind the mark are the length; the mark's first is the fifteenth of sixteen.
    wrong = audio[: 48 * 80] + audio[: 48 * 20] + audio[48 * 100 :]
    assert decode_tones(wrong, PCM) == LOST


@given(audio=st.binary(max_size=20_000), format=formats)
def test_what_is_no_tones_gives_no_text(audio: bytes, format: AudioFormat) -> None:
    assert decode_tones(audio, format) == ""


@pytest.mark.parametrize("pitch", ["rising", "chord", "voice"])
def test_music_and_voices_give_no_text(pitch: str) -> None:
    seconds = np.arange(3 * 24000) / 24000
    if pitch == "rising":
        samples = np.sin(2 * np.pi * (300 * seconds + 500 * seconds**2))
    elif pitch == "chord":
        samples = np.mean([np.sin(2 * np.pi * hertz * seconds) for hertz in (440, 600, 3300)], axis=0)
    else:
        samples = np.sin(2 * np.pi * 120 * seconds + 20 * np.sin(2 * np.pi * 5 * seconds)) ** 15
    assert decode_tones(pcm(samples * 16000), PCM) == ""


def test_a_byte_takes_40_ms() -> None:
    assert len(encode_tones("x" * 32, PCM)) - len(encode_tones("x" * 31, PCM)) == 48 * 40


def test_no_text_is_no_audio() -> None:
    assert encode_tones("", PCM) == b""


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    assert decode_tones(encode_tones("a\ud800b", PCM), PCM) == "a?b"


@pytest.mark.parametrize("format", [PCM, ULAW, ALAW, AudioFormat(rate=8000)], ids=["pcm", "ulaw", "alaw", "8kHz"])
def test_tones_are_loud_enough_for_the_deafest_voice_detection(format: AudioFormat) -> None:
    detector = EnergyDetector(TurnDetection(threshold=1.0, silence_duration_ms=200), format, 0)
    tones = encode_tones(TEXT, format)
    found = detector.feed(SILENCE[format.type] * Format.of(format).rate + tones)
    found += detector.feed(SILENCE[format.type] * Format.of(format).rate)
    assert [type(each) for each in found] == [SpeechStarted, SpeechStopped]
    assert found[0].at_ms == 1000


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_tones_stay_within_what_a_telephone_carries(rate: int) -> None:
    format = AudioFormat(rate=rate)
    samples = to_samples(encode_tones(TEXT, format), format).astype(np.float64)
    power = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / rate)
    assert power[(hertz < 500) | (hertz > 3400)].sum() < 0.005 * power.sum()


def test_tones_begin_and_end_without_a_click() -> None:
    samples = to_samples(encode_tones(TEXT, PCM), PCM).reshape(-1, 480).astype(np.int32)
    assert np.abs(samples[:, [0, -1]]).max() < 500


@pytest.mark.parametrize("rate", [7999, 1])
def test_a_rate_that_cannot_carry_the_tones_is_refused(rate: int) -> None:
    with pytest.raises(ValueError, match=f"8000 samples a second or more, not {rate}"):
        encode_tones("hello", AudioFormat(rate=rate))
    with pytest.raises(ValueError, match=f"8000 samples a second or more, not {rate}"):
        decode_tones(b"", AudioFormat(rate=rate))


# the responder


class Writer(Responder):
    """Writes what it is given to write, and keeps what it was asked."""

    name = "writer"

    def __init__(self, *outputs: ResponderOutput) -> None:
        self._outputs = outputs
        self.asked: list[ResponderRequest] = []
        self.stopped = False
        self.closed = False

    async def respond(self, request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        self.asked.append(request)
        try:
            for output in self._outputs:
                yield output
        finally:
            self.stopped = True

    async def aclose(self) -> None:
        self.closed = True


def request(*modalities: str, format: AudioFormat = PCM) -> ResponderRequest:
    return ResponderRequest(response_id="r", model="m", output_modalities=modalities, output_format=format)


@pytest.mark.anyio
@pytest.mark.parametrize("format", [PCM, ULAW, ALAW], ids=["pcm", "ulaw", "alaw"])
async def test_text_is_spoken_where_audio_is_asked_for(format: AudioFormat) -> None:
    tones = Tones(Writer(TextDelta(text="one "), TextDelta(text="two")))
    outputs = [each async for each in tones.respond(request("audio", format=format))]
    spoken = [each for each in outputs if isinstance(each, AudioDelta)]
    assert [each.transcript for each in spoken] == ["one ", "two"]
    assert [decode_tones(each.audio, format) for each in spoken] == ["one ", "two"]


@pytest.mark.anyio
async def test_a_long_text_is_spoken_piece_by_piece() -> None:
    tones = Tones(Writer(TextDelta(text=TEXT)))
    outputs = [each async for each in tones.respond(request("audio"))]
    spoken = [each for each in outputs if isinstance(each, AudioDelta)]
    assert len(spoken) == 2
    assert "".join(each.transcript for each in spoken) == TEXT


@pytest.mark.anyio
async def test_text_stays_text_where_text_is_asked_for() -> None:
    outputs: list[ResponderOutput] = [TextDelta(text="hello")]
    tones = Tones(Writer(*outputs))
    assert [each async for each in tones.respond(request("text"))] == outputs


@pytest.mark.anyio
async def test_calls_and_audio_of_the_responder_s_own_pass_as_they_are() -> None:
    outputs: list[ResponderOutput] = [
        FunctionCall(name="now"),
        AudioDelta(audio=b"\0\0", transcript="hm"),
        Finished(reason="max_output_tokens"),
    ]
    tones = Tones(Writer(*outputs))
    assert [each async for each in tones.respond(request("audio"))] == outputs


@pytest.mark.anyio
async def test_the_responder_is_asked_for_text() -> None:
    writer = Writer()
    assert [each async for each in Tones(writer).respond(request("audio"))] == []
    assert [each.output_modalities for each in writer.asked] == [("text",)]


@pytest.mark.anyio
async def test_closing_the_answer_closes_the_responder_s() -> None:
    writer = Writer(TextDelta(text="hello"), TextDelta(text="again"))
    outputs = Tones(writer).respond(request("audio"))
    await anext(outputs)
    await outputs.aclose()
    assert writer.stopped


@pytest.mark.anyio
async def test_it_has_the_responder_s_name_and_closes_it() -> None:
    writer = Writer()
    tones = Tones(writer)
    await tones.aclose()
    assert (tones.name, tones.speaks, tones.hears, writer.closed) == ("writer", True, True, True)


@pytest.mark.anyio
async def test_what_is_no_tones_is_heard_as_nothing() -> None:
    assert await Tones(Writer()).transcribe(bytes(48_000), PCM) == ""
