"""WAV files: read whatever their bits and channels, refused with what to do, and written while audio comes in."""

import io
import struct
import wave
from array import array
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit import audio
from agentkit.audio import WavWriter, read_wav, write_wav

PCM_GUID: Final = bytes.fromhex("0100000000001000800000aa00389b71")
FLOAT_GUID: Final = bytes.fromhex("0300000000001000800000aa00389b71")
UNKNOWN: Final = 0xFFFF_FFFF
PARTS: Final = st.lists(st.binary(max_size=60), max_size=6)


class Pipe(io.RawIOBase):
    """What can only be written on and on; its base refuses to seek and to tell."""

    def __init__(self) -> None:
        self.got = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.got += bytes(data)
        return len(data)


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<L", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def layout(bits: int, channels: int = 1, *, tag: int = 1, rate: int = 8000, block: int | None = None) -> bytes:
    width = (bits + 7) // 8 * channels if block is None else block
    return chunk(b"fmt ", struct.pack("<HHLLHH", tag, channels, rate, rate * width, width, bits))


def extensible(bits: int, guid: bytes) -> bytes:
    width = bits // 8
    plain = struct.pack("<HHLLHH", 0xFFFE, 1, 8000, 8000 * width, width, bits)
    return chunk(b"fmt ", plain + struct.pack("<HHL", 22, bits, 4) + guid)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<L", len(body) if size is None else size) + body


def samples_in(data: bytes) -> list[int]:
    samples = read_wav(io.BytesIO(data)).samples
    assert samples.dtype == np.int16
    assert samples.flags.writeable
    return [int(sample) for sample in samples]


def as_python_reads(data: bytes) -> tuple[int, int, int, bytes]:
    with wave.open(io.BytesIO(data)) as reader:
        form = (reader.getnchannels(), reader.getsampwidth(), reader.getframerate())
        return (*form, reader.readframes(reader.getnframes()))


def as_python_writes(channels: int, width: int, rate: int, frames: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(frames)
    return file.getvalue()


# Reading


@pytest.mark.parametrize(
    "bits, body, expected",
    [
        (8, b"\x00\x80\xff\x81", [-0x8000, 0, 0x7F00, 0x100]),
        (16, b"\x00\x80\x01\x00\xff\xff", [-0x8000, 1, -1]),
        (24, b"\x00\x00\x80\x7f\x01\x00\x80\x01\x00\xff\xff\x7f", [-0x8000, 1, 2, 0x7FFF]),
        (32, b"\xff\x7f\x01\x00\x00\x80\x01\x00\xff\x7f\xfe\xff\x00\x00\x00\x80", [1, 2, -2, -0x8000]),
        (20, b"\x00\x00\x80\x00\x01\x00", [-0x8000, 1]),
    ],
)
def test_samples_of_any_width_are_rounded_to_16_bits(bits: int, body: bytes, expected: list[int]) -> None:
    assert samples_in(riff(layout(bits), chunk(b"data", body))) == expected


@pytest.mark.parametrize(
    "channels, body, expected",
    [
        (2, array("h", [1, 2, -1, -2, 0x7FFF, 0x7FFF, -0x8000, -0x8000]), [2, -1, 0x7FFF, -0x8000]),
        (3, array("h", [1, 0, 0, 1, 1, 0, -1, -1, 0]), [0, 1, -1]),
    ],
)
def test_channels_are_averaged_and_a_half_goes_up(channels: int, body: "array[int]", expected: list[int]) -> None:
    assert samples_in(riff(layout(16, channels), chunk(b"data", audio.to_bytes(body)))) == expected


def test_channels_are_averaged_before_they_lose_bits() -> None:
    body = b"\x7f\x00\x00\x81\x00\x00"  # 0.496 and 0.504 of a step: each alone would be nothing and one
    assert samples_in(riff(layout(24, 2), chunk(b"data", body))) == [1]


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_what_python_writes_is_read(width: int, channels: int) -> None:
    high = b"\xc0" if width == 1 else b"\0" * (width - 1) + b"\x40"
    wav = read_wav(io.BytesIO(as_python_writes(channels, width, 22050, high * channels * 5)))
    assert wav.rate == 22050
    assert wav.samples.tolist() == [0x4000] * 5


def test_an_extensible_header_with_integers_is_read() -> None:
    assert samples_in(riff(extensible(24, PCM_GUID), chunk(b"data", b"\x00\x07\x00"))) == [7]


def test_other_chunks_are_passed_over_with_their_padding() -> None:
    assert samples_in(
        riff(
            chunk(b"JUNK", b"odd"), layout(16), chunk(b"LIST", b"12345"), chunk(b"data", b"\1\0"), chunk(b"id3 ", b"x")
        )
    ) == [1]


@pytest.mark.parametrize("size", [UNKNOWN, 0x8000_0000, 0x7FFF_F000])
def test_a_stream_of_unknown_length_is_read_to_its_end(size: int) -> None:
    assert samples_in(riff(layout(16), chunk(b"data", b"", size), b"\1\0\2\0\3", size=size)) == [1, 2]


def test_a_size_that_no_program_writes_for_an_unknown_one_is_believed() -> None:
    with pytest.raises(ValueError, match="is cut short"):
        samples_in(riff(layout(16), chunk(b"data", b"\1\0", 0x7FFF_EFFF)))


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_a_file_without_audio_has_no_samples(bits: int) -> None:
    assert samples_in(riff(layout(bits, 2), chunk(b"data", b""))) == []


@pytest.mark.parametrize(
    "data, what",
    [
        (b"", "is no WAV file"),
        (b"ID3\x04" + bytes(100), "is no WAV file"),
        (b"RIFF\x04\0\0\0AVI ", "is no WAV file"),
        (riff(), "is cut short: it has no audio"),
        (riff(layout(16)), "is cut short: it has no audio"),
        (riff(layout(16), b"data\x04"), "is cut short: it has no audio"),
        (riff(layout(16))[:30], "is cut short: its header is not whole"),
        (riff(layout(16), chunk(b"data", b"\1\0", 4800)), "is cut short: 2 of its 4,800 bytes of audio are there"),
        (riff(layout(8), b"data\2\0\0\0\1"), "is cut short: 1 of its 2 bytes of audio are there"),
        (riff(chunk(b"data", b"\1\0"), layout(16)), "has audio before the header"),
        (riff(layout(32, tag=3), chunk(b"data", bytes(4))), "holds floats, not integers"),
        (riff(extensible(32, FLOAT_GUID), chunk(b"data", bytes(4))), "holds floats, not integers"),
        (riff(layout(8, tag=7), chunk(b"data", bytes(4))), r"another kind than integers \(its tag is 7\)"),
        (riff(extensible(16, bytes(16)), chunk(b"data", b"")), r"another kind than integers \(its tag is 65534\)"),
        (riff(layout(64), chunk(b"data", bytes(8))), r"cannot be read \(64 bits"),
        (riff(layout(0, block=2), chunk(b"data", bytes(8))), r"cannot be read \(0 bits"),
        (riff(layout(16, 0), chunk(b"data", bytes(8))), "0 channels"),
        (riff(layout(16, rate=0), chunk(b"data", bytes(8))), "0 Hz"),
        (riff(layout(16, 2, block=2), chunk(b"data", bytes(8))), "2 bytes for all"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_to_do(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"call\.wav .*{what}.*; ffmpeg can .*: ffmpeg -i in\.wav -c:a pcm_s16le"):
        read_wav(path)
    with pytest.raises(ValueError, match=f"^the audio .*{what}"):
        read_wav(io.BytesIO(data))


@given(st.binary(max_size=80))
def test_any_bytes_are_audio_or_a_value_error(data: bytes) -> None:
    for whole in (data, riff(data), riff(layout(16), data)):
        try:
            read_wav(io.BytesIO(whole))
        except ValueError as error:
            assert "ffmpeg" in str(error)  # noqa: PT017  # either way is right


def test_a_missing_file_is_a_file_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "none.wav")


# Writing


@pytest.mark.parametrize("kind", [str, Path])
def test_a_written_file_is_what_python_writes(tmp_path: Path, kind: Any) -> None:
    path = kind(tmp_path / "reply.wav")
    write_wav(path, np.array([1, -2], dtype=">i2"), rate=16000, channels=2)
    assert Path(path).read_bytes() == as_python_writes(2, 2, 16000, b"\1\0\xfe\xff")


@given(st.binary(max_size=200).map(lambda data: data[: len(data) // 2 * 2]), st.integers(1, 192_000))
def test_audio_comes_back_from_a_file(data: bytes, rate: int) -> None:
    file = io.BytesIO()
    write_wav(file, data, rate=rate)
    file.seek(0)
    wav = read_wav(file)
    assert (audio.to_bytes(wav.samples), wav.rate) == (data, rate)


@given(PARTS, st.integers(1, 3))
def test_audio_that_comes_in_makes_the_same_file_as_all_at_once(parts: list[bytes], channels: int) -> None:
    streamed, whole = io.BytesIO(), io.BytesIO()
    with WavWriter(streamed, channels=channels) as writer:
        for part in parts:
            writer.write(part)
    data = b"".join(parts)
    write_wav(whole, data[: len(data) - len(data) % (2 * channels)], channels=channels)
    assert streamed.getvalue() == whole.getvalue()


@pytest.mark.parametrize("held", [np.array([1, -1], dtype=">i2"), array("h", [1, -1]), b"\1\0\xff\xff"])
def test_a_writer_takes_samples_and_bytes(held: Any) -> None:
    file = io.BytesIO()
    with WavWriter(file) as writer:
        writer.write(held)
    assert as_python_reads(file.getvalue()) == (1, 2, 24000, b"\1\0\xff\xff")


def test_the_header_is_right_where_an_exception_ends_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"

    def record() -> None:
        with WavWriter(path, rate=8000) as writer:
            writer.write(b"\1\0\2\0\3")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        record()
    assert as_python_reads(path.read_bytes()) == (1, 2, 8000, b"\1\0\2\0")
    assert path.stat().st_size == 48


def test_a_recording_can_be_read_before_it_is_closed() -> None:
    file = io.BytesIO()
    with WavWriter(file) as writer:
        assert samples_in(file.getvalue()) == []
        writer.write(b"\1\0\2\0")
        assert samples_in(file.getvalue()) == [1, 2]


def test_closing_twice_is_closing_once_and_nothing_is_written_afterwards(tmp_path: Path) -> None:
    writer = WavWriter(tmp_path / "call.wav")
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="the WAV file is closed"):
        writer.write(b"\1\0")
    assert read_wav(tmp_path / "call.wav").samples.size == 0


def test_a_file_that_was_open_stays_open_and_where_it_was() -> None:
    file = io.BytesIO()
    file.write(b"before")
    with WavWriter(file) as writer:
        writer.write(b"\1\0")
    file.write(b"after")
    data = file.getvalue()
    assert (data[:6], data[-5:]) == (b"before", b"after")
    assert as_python_reads(data[6:-5]) == (1, 2, 24000, b"\1\0")
    write_wav(file, b"")
    read_wav(io.BytesIO(data[6:-5]))
    assert not file.closed


def test_a_recording_is_whole_when_the_writer_is_closed_though_its_file_is_open(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    with path.open("wb") as file:
        with WavWriter(file) as writer:
            writer.write(b"\1\0")
        assert as_python_reads(path.read_bytes()) == (1, 2, 24000, b"\1\0")


def test_a_pipe_gets_a_header_without_the_length_that_nobody_knows_yet() -> None:
    pipe = Pipe()
    with io.BufferedWriter(pipe) as file:
        with WavWriter(file) as writer:
            writer.write(b"\1\0\2\0")
        assert struct.unpack_from("<L", pipe.got, 40) == (UNKNOWN,)
        assert samples_in(pipe.got) == [1, 2]


def test_a_pipe_gets_the_length_of_audio_that_is_written_at_once() -> None:
    pipe = Pipe()
    with io.BufferedWriter(pipe) as file:
        write_wav(file, b"\1\0\2\0")
    assert as_python_reads(pipe.got) == (1, 2, 24000, b"\1\0\2\0")


@pytest.mark.parametrize(
    "rate, channels", [(0, 1), (-1, 1), (24000, 0), (24000, -1), (24000, 0x8000), (2**31, 1), (2**30, 2)]
)
def test_a_file_with_an_impossible_header_is_not_begun(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "call.wav"
    with pytest.raises(ValueError, match=f"cannot have {channels} channels at {rate} Hz"):
        WavWriter(path, rate=rate, channels=channels)
    with pytest.raises(ValueError, match=f"cannot have {channels} channels at {rate} Hz"):
        write_wav(path, b"", rate=rate, channels=channels)
    assert not path.exists()


def test_samples_that_the_channels_cannot_share_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 samples cannot be shared among 2 channels"):
        write_wav(tmp_path / "call.wav", bytes(6), channels=2)
    assert not (tmp_path / "call.wav").exists()


def test_a_file_does_not_grow_beyond_what_its_header_can_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "MAX_WAV_BYTES", 4)
    file = io.BytesIO()
    with WavWriter(file) as writer:
        writer.write(bytes(4))
        with pytest.raises(ValueError, match="more than 4 GiB"):
            writer.write(bytes(2))
    assert samples_in(file.getvalue()) == [0, 0]
    with pytest.raises(ValueError, match="more than 4 GiB"):
        write_wav(io.BytesIO(), bytes(6))
