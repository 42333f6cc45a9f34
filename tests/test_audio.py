"""Audio as samples, floats, base64 and G.711, and its time."""

import hashlib
import subprocess
import sys
import warnings
from array import array
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit import audio
from agentkit.events import AudioFormat
from agentkit.protocol.audio import Format

EVERY_SAMPLE: Final = np.arange(-0x8000, 0x8000, dtype=np.int32).astype(np.int16)
EVERY_BYTE: Final = bytes(range(256))
PCM: Final = AudioFormat(type="audio/pcm", rate=24000)
ULAW: Final = AudioFormat(type="audio/pcmu")
ALAW: Final = AudioFormat(type="audio/pcma")
WHOLE: Final = st.binary(max_size=400).map(lambda data: data[: len(data) // 2 * 2])


def numbers(samples: audio.Samples) -> list[int]:
    """Return samples as numbers, where they are what every call here promises: new, native, writable, one channel."""
    assert samples.dtype == np.dtype(np.int16)
    assert samples.dtype.isnative
    assert samples.flags.writeable
    assert samples.ndim == 1
    return [int(sample) for sample in samples]


def test_the_package_itself_loads_neither_audio_nor_numpy() -> None:
    code = "import sys, agentkit; print(*sorted({'numpy', 'agentkit.audio'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# Samples


@pytest.mark.parametrize(
    "held",
    [
        b"\x01\x00\xff\xff\x00\x80",
        bytearray(b"\x01\x00\xff\xff\x00\x80"),
        memoryview(b"\x01\x00\xff\xff\x00\x80"),
        memoryview(b"\x01-\x00-\xff-\xff-\x00-\x80-")[::2],
        array("h", [1, -1, -0x8000]),
        memoryview(array("h", [1, -1, -0x8000])),
        np.array([1, -1, -0x8000], dtype="<i2"),
        np.array([1, -1, -0x8000], dtype=">i2"),
        memoryview(np.array([1, -1, -0x8000], dtype=">i2").data),
        np.array([1, 9, -1, 9, -0x8000, 9], dtype=np.int16)[::2],
        np.array([[1], [-1], [-0x8000]], dtype=np.int16),
        np.array([[1, -1, -0x8000]], dtype=np.int16),
    ],
)
def test_samples_are_taken_from_whatever_holds_16_bits(held: Any) -> None:
    assert numbers(audio.as_samples(held)) == [1, -1, -0x8000]
    assert audio.to_bytes(held) == b"\x01\x00\xff\xff\x00\x80"


@pytest.mark.parametrize("empty", [b"", array("h"), np.empty(0, dtype=np.int16), np.empty((0, 1), dtype=np.int16)])
def test_nothing_is_no_samples(empty: Any) -> None:
    assert numbers(audio.as_samples(empty)) == []
    assert audio.to_bytes(empty) == b""
    assert audio.to_base64(empty) == ""


@pytest.mark.parametrize("held", [bytearray(4), array("h", [0, 0]), np.zeros(2, dtype=np.int16)])
def test_samples_do_not_change_with_what_they_were_taken_from(held: Any) -> None:
    samples = audio.as_samples(held)
    held[0] = 7
    assert numbers(samples) == [0, 0]


@pytest.mark.parametrize("take", [audio.as_samples, audio.to_bytes, audio.merge, audio.pcm16_to_float])
def test_half_a_sample_is_refused_by_its_size(take: Callable[[bytes], object]) -> None:
    with pytest.raises(ValueError, match="and 3 is an odd number of bytes"):
        take(bytes(3))


@pytest.mark.parametrize(
    "held",
    [
        np.zeros(2, dtype=np.float32),
        np.zeros(2, dtype=np.uint8),
        np.zeros(2, dtype=np.uint16),
        np.zeros(2, dtype=np.int32),
        array("f", [0.0]),
        memoryview(array("i", [0])),
    ],
)
def test_other_numbers_than_16_bits_are_refused(held: Any) -> None:
    for take in (audio.as_samples, audio.to_bytes, audio.to_base64, audio.encode_ulaw):
        with pytest.raises(TypeError, match="16-bit audio is bytes or an array of int16"):
            take(held)


def test_two_channels_are_not_taken_for_one() -> None:
    with pytest.raises(ValueError, match=r"the shape \(3, 2\)"):
        audio.as_samples(np.zeros((3, 2), dtype=np.int16))
    with pytest.raises(ValueError, match=r"the shape \(3, 2\)"):
        audio.float_to_pcm16(np.zeros((3, 2)))


def test_parts_are_merged_in_order_whatever_holds_them() -> None:
    parts = (b"\x01\x00", np.array([2, 3], dtype=">i2"), b"", array("h", [4]))
    assert numbers(audio.merge(*parts)) == [1, 2, 3, 4]


def test_a_merge_is_new_even_where_there_is_one_part_or_none() -> None:
    part = np.array([1], dtype=np.int16)
    merged = audio.merge(part)
    part[0] = 2
    assert numbers(merged) == [1]
    assert numbers(audio.merge()) == []


# Floats


@pytest.mark.parametrize(
    "number, sample",
    [
        (0.0, 0),
        (-0.0, 0),
        (1.0, 0x7FFF),
        (-1.0, -0x8000),
        (0.5, 16383),
        (-0.5, -16384),
        (1.9 / 0x7FFF, 1),
        (-1.9 / 0x8000, -1),
        (1.5, 0x7FFF),
        (-7.0, -0x8000),
        (float("inf"), 0x7FFF),
        (float("-inf"), -0x8000),
        (float("nan"), 0),
    ],
)
def test_a_float_becomes_the_sample_that_javascript_makes_of_it(number: float, sample: int) -> None:
    assert numbers(audio.float_to_pcm16([number])) == [sample]
    assert numbers(audio.float_to_pcm16(np.array([number]))) == [sample]


def test_single_floats_are_scaled_in_double_precision_as_in_javascript() -> None:
    number = np.float32(2 / 0x7FFF)  # a little below: twice as precise, the product is below 2 as well
    assert float(number) * 0x7FFF < 2 == np.float32(number * np.float32(0x7FFF))
    assert numbers(audio.float_to_pcm16(np.array([number], dtype=np.float32))) == [1]


def test_double_floats_lose_nothing_before_they_are_scaled() -> None:
    number = (1027 - 1e-6) / 0x7FFF
    assert float(np.float32(number)) * 0x7FFF >= 1027
    assert numbers(audio.float_to_pcm16([number])) == [1026]


def test_a_sequence_of_whole_numbers_is_taken_for_floats() -> None:
    assert numbers(audio.float_to_pcm16([0, 1, -1])) == [0, 0x7FFF, -0x8000]
    assert numbers(audio.float_to_pcm16([])) == []


@pytest.mark.parametrize("samples", [np.array([100], dtype=np.int16), array("h", [100])])
def test_samples_given_as_floats_by_mistake_are_refused(samples: Any) -> None:
    with pytest.raises(TypeError, match="not an array of int16"):
        audio.float_to_pcm16(samples)


def test_an_array_of_floats_is_taken_whatever_its_precision() -> None:
    for held in (array("f", [0.5]), array("d", [0.5]), np.array([0.5], dtype=">f4"), np.array([0.5], dtype=np.float16)):
        assert numbers(audio.float_to_pcm16(held)) == [16383]


def test_every_sample_is_an_exact_float() -> None:
    floats = audio.pcm16_to_float(EVERY_SAMPLE)
    assert floats.dtype == np.float32
    assert (floats.astype(np.float64) * 0x8000 == EVERY_SAMPLE).all()
    assert audio.pcm16_to_float(b"\x00\x80\x00\x40").tolist() == [-1.0, 0.5]


def test_every_sample_comes_back_from_its_float_within_one_step_and_never_louder() -> None:
    back = audio.float_to_pcm16(audio.pcm16_to_float(EVERY_SAMPLE)).astype(np.int32)
    assert np.abs(back - EVERY_SAMPLE).max() == 1
    assert (np.abs(back) <= np.abs(EVERY_SAMPLE.astype(np.int32))).all()


@given(st.lists(st.floats(-1, 1, width=32)))
def test_a_float_comes_back_from_its_sample_within_two_steps(floats: list[float]) -> None:
    back = audio.pcm16_to_float(audio.float_to_pcm16(floats))
    assert all(abs(float(one) - other) < 2 / 0x8000 for one, other in zip(back, floats, strict=True))


# Base64


def test_base64_is_that_of_the_little_endian_bytes() -> None:
    assert audio.to_base64(np.array([1, -2], dtype=">i2")) == "AQD+/w=="
    assert numbers(audio.from_base64("AQD+/w==")) == [1, -2]


@pytest.mark.parametrize("held", [b"abc", bytearray(b"abc"), memoryview(b"a-b-c")[::2]])
def test_bytes_become_base64_as_they_are(held: Any) -> None:
    assert audio.to_base64(held) == "YWJj"


@given(WHOLE)
def test_audio_comes_back_from_base64(data: bytes) -> None:
    assert audio.to_bytes(audio.from_base64(audio.to_base64(audio.as_samples(data)))) == data


@pytest.mark.parametrize("text", ["AQD", "AQD+/w", "AQD+/w==\n", "AQ D+/w==", "AQD-_w==", "é", "data:audio/pcm,AQD+"])
def test_what_is_not_base64_to_the_letter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the audio is not valid base64: "):
        audio.from_base64(text)


def test_base64_of_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="and 3 is an odd number of bytes"):
        audio.from_base64("YWJj")


# G.711


@pytest.mark.parametrize(
    "decoder, digest",
    [
        (audio.decode_ulaw, "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827"),
        (audio.decode_alaw, "e04788d110e58ff8c70c93b8480190d973e3b67876b6119abbaec766cc75c174"),
    ],
)
def test_every_code_is_decoded_as_the_standard_says(decoder: Callable[[bytes], audio.Samples], digest: str) -> None:
    samples = decoder(EVERY_BYTE)
    assert len(numbers(samples)) == 256
    assert hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest() == digest


@pytest.mark.parametrize(
    "encoder, digest",
    [
        (audio.encode_ulaw, "617fa4850d68d3906597e949f7625fb2fc46db479e29707f33159b3d131721cb"),
        (audio.encode_alaw, "f77c76aa923ee25617453f87514828a12896227f82ff383bf3bb53d6ac7c2a0f"),
    ],
)
def test_every_sample_is_encoded_as_the_standard_says(encoder: Callable[[bytes], bytes], digest: str) -> None:
    by_their_bits = np.arange(0x10000, dtype="<u2").tobytes()
    assert hashlib.sha256(encoder(by_their_bits)).hexdigest() == digest


def test_g711_is_that_of_pythons_own_audioop_where_there_is_one() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop", reason="Python 3.13 has none")
    native = EVERY_SAMPLE.tobytes()
    assert audio.encode_ulaw(EVERY_SAMPLE) == audioop.lin2ulaw(native, 2)
    assert audio.encode_alaw(EVERY_SAMPLE) == audioop.lin2alaw(native, 2)
    assert audio.decode_ulaw(EVERY_BYTE).tobytes() == audioop.ulaw2lin(EVERY_BYTE, 2)
    assert audio.decode_alaw(EVERY_BYTE).tobytes() == audioop.alaw2lin(EVERY_BYTE, 2)


@given(st.binary(max_size=300), st.sampled_from([ULAW, ALAW]))
def test_decoded_g711_stays_what_it_is_when_it_is_encoded_again(data: bytes, format: AudioFormat) -> None:
    samples = audio.decode(data, format)
    assert numbers(audio.decode(audio.encode(samples, format), format)) == numbers(samples)


def test_a_decoded_array_is_not_the_table() -> None:
    audio.decode_ulaw(EVERY_BYTE)[:] = 0
    assert numbers(audio.decode_ulaw(b"\x00\x80")) == [-32124, 32124]


# Formats


@pytest.mark.parametrize(
    "format, data",
    [
        (PCM, b"\x08\x00\xf8\xff"),
        (Format("audio/pcm", 16000), b"\x08\x00\xf8\xff"),
        (ULAW, b"\xfe\x7e"),
        (Format("audio/pcmu", 8000), b"\xfe\x7e"),
        (ALAW, b"\xd5\x55"),
        (Format("audio/pcma", 8000), b"\xd5\x55"),
    ],
)
def test_audio_is_read_and_written_by_its_format(format: AudioFormat | Format, data: bytes) -> None:
    samples = np.array([8, -8], dtype=np.int16)
    assert audio.encode(samples, format) == data
    assert numbers(audio.decode(data, format)) == [8, -8]


@pytest.mark.parametrize("format", [AudioFormat(type="audio/opus"), Format("audio/opus", 48000)])
def test_a_format_that_is_not_known_is_refused_by_name(format: AudioFormat | Format) -> None:
    calls: list[Callable[[], object]] = [
        lambda: audio.decode(b"", format),
        lambda: audio.encode(b"", format),
        lambda: audio.ms_of(0, format),
        lambda: audio.samples_of(0, format),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="'audio/opus' is not known"):
            call()


def test_half_a_sample_is_refused_in_pcm_alone() -> None:
    assert len(audio.decode(bytes(3), ULAW)) == 3
    with pytest.raises(ValueError, match="3 is an odd number"):
        audio.decode(bytes(3), PCM)


@pytest.mark.parametrize(
    "size, format, ms",
    [
        (4800, PCM, 100),
        (4798, PCM, 99),
        (4800, AudioFormat(), 100),
        (160, ULAW, 20),
        (44100, Format("audio/pcm", 22050), 1000),
        (44, Format("audio/pcm", 22050), 0),
        (45, Format("audio/pcm", 22050), 0),
        (46, Format("audio/pcm", 22050), 1),
        (2 * 22050 * 10**15, Format("audio/pcm", 22050), 10**18),
    ],
)
def test_time_is_counted_in_whole_samples_and_rounded_down(size: int, format: AudioFormat | Format, ms: int) -> None:
    assert audio.ms_of(size, format) == ms


@pytest.mark.parametrize(
    "ms, format, count",
    [
        (100, PCM, 2400),
        (20, ALAW, 160),
        (1, Format("audio/pcm", 22050), 22),
        (10**18, Format(rate=22050), 2205 * 10**16),
    ],
)
def test_samples_are_counted_by_the_formats_own_rate(ms: int, format: AudioFormat | Format, count: int) -> None:
    assert audio.samples_of(ms, format) == count


@given(st.integers(0, 10**12), st.integers(1000, 48000))
def test_time_loses_less_than_a_millisecond_on_its_way_through_samples(ms: int, rate: int) -> None:
    format = Format("audio/pcm", rate)
    assert ms - audio.ms_of(2 * audio.samples_of(ms, format), format) in ({0} if rate % 1000 == 0 else {0, 1})
