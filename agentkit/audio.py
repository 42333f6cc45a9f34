"""Audio as 16-bit samples: to and from floats, bytes, base64, G.711 and WAV files.

Rule: PCM is 16 bits, signed, little-endian, mono; what is returned as samples is a new array in the machine's own
byte order, which the caller may write to. ``import agentkit`` does not load this module, for numpy is slow to load.
Where 16-bit audio is taken, what is none is refused as ``as_samples`` refuses it.
"""

import os
import struct
from array import array
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cache
from typing import Any, BinaryIO, Final, Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pybase64

from agentkit.events import AudioFormat
from agentkit.protocol.audio import Format

Samples: TypeAlias = npt.NDArray[np.int16]
"""Audio as numbers, one channel."""

Pcm16: TypeAlias = "bytes | bytearray | memoryview | array[int] | Samples"
"""Whatever may hold 16-bit audio: little-endian bytes, or an array of 16-bit numbers in any byte order."""

AnyFormat: TypeAlias = AudioFormat | Format
"""A format as the session's settings name it, or as the protocol measures it; another's name is a ``ValueError``."""

FileOrPath: TypeAlias = str | os.PathLike[str] | BinaryIO
"""A path, or a file that is open in binary mode."""

MAX_WAV_BYTES: Final = 0xFFFF_FFFF - 36
"""The audio that a WAV file can hold: its header counts in 32 bits."""

_STREAMED: Final = 0x7FFF_F000
"""A size from here on, where there is less, says that it was not known: so arecord, ffmpeg and sox write to a pipe."""
_UNKNOWN: Final = 0xFFFF_FFFF
_HEADER: Final = struct.Struct("<4sL4s4sLHHLLHH4sL")
_INTEGER, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_SUBFORMAT: Final = bytes.fromhex("000000001000800000aa00389b71")
"""What follows a format's tag in the GUID of an extensible header."""


# Samples


def as_samples(data: Pcm16) -> Samples:
    """Return 16-bit audio as a new array of samples.

    Args:
        data: Little-endian bytes, or 16-bit numbers: an ``array('h')``, a memoryview or a numpy array, which may be
            of any byte order, not contiguous, or of several dimensions as long as it holds one channel.

    Raises:
        TypeError: The numbers are not 16-bit integers.
        ValueError: There is half a sample at the end, or more than one channel.
    """
    return _view(data).astype(np.int16)


def to_bytes(samples: Pcm16) -> bytes:
    """Return 16-bit audio as little-endian bytes."""
    return _view(samples).astype("<i2", copy=False).tobytes()


def merge(*parts: Pcm16) -> Samples:
    """Return audio joined in the order given; no parts are no samples."""
    return np.concatenate([np.empty(0, dtype=np.int16), *map(_view, parts)])


def float_to_pcm16(samples: Sequence[float] | npt.NDArray[np.floating[Any]]) -> Samples:
    """Return samples between -1 and 1 as 16-bit samples.

    Negative ones are multiplied by 32,768 and the others by 32,767; the product is cut off towards zero, not rounded,
    as a browser's ``DataView.setInt16`` does. What lies beyond -1 and 1 is clipped; NaN is silence.

    Raises:
        TypeError: It is an array of integers, which is no audio in this scale.
        ValueError: There is more than one channel.
    """
    given = np.asarray(samples)
    if isinstance(samples, np.ndarray | array) and given.dtype.kind != "f":
        raise TypeError(f"float_to_pcm16 takes floats between -1 and 1, not an array of {given.dtype}")
    numbers: npt.NDArray[np.float64] = _one_channel(given.astype(np.float64))
    clipped = np.clip(np.where(np.isnan(numbers), 0.0, numbers), -1.0, 1.0)
    return (clipped * np.where(clipped < 0, 0x8000, 0x7FFF)).astype(np.int16)


def pcm16_to_float(samples: Pcm16) -> npt.NDArray[np.float32]:
    """Return 16-bit audio as floats from -1 up to, not including, 1: each sample over 32,768, which is exact."""
    return _view(samples).astype(np.float32) / np.float32(0x8000)


def _view(data: Pcm16) -> Samples:
    """Return samples that may share the caller's memory and be in another byte order."""
    if not isinstance(data, np.ndarray):
        view = memoryview(data)
        if view.itemsize == 1:
            if view.nbytes % 2:
                raise ValueError(f"16-bit audio has two bytes a sample, and {view.nbytes} is an odd number of bytes")
            return np.frombuffer(view.tobytes(), dtype="<i2")
        data = np.asarray(view)
    if data.dtype.kind != "i" or data.dtype.itemsize != 2:
        raise TypeError(f"16-bit audio is bytes or an array of int16, not an array of {data.dtype}")
    return _one_channel(data)


def _one_channel(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if sum(length != 1 for length in samples.shape) > 1:
        raise ValueError(f"audio has one channel, and this array has the shape {samples.shape}: choose or mix channels")
    return samples.reshape(-1)


def _as_bytes(audio: Pcm16) -> bytes:
    """Return bytes as they are, and samples as little-endian bytes."""
    if isinstance(audio, np.ndarray) or memoryview(audio).itemsize > 1:
        return to_bytes(audio)
    return bytes(audio)


# Base64


def to_base64(audio: Pcm16) -> str:
    """Return audio as base64; bytes are taken as they are, so that those of G.711 can be given too."""
    return pybase64.b64encode(_as_bytes(audio)).decode("ascii")


def from_base64(text: str) -> Samples:
    """Return the samples of 16-bit audio that is written in base64.

    Raises:
        ValueError: It is not base64 to the letter (alphabet, padding, no spaces), or has half a sample at the end.
    """
    try:
        audio = pybase64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"the audio is not valid base64: {error}") from error
    return as_samples(audio)


# G.711


def encode_ulaw(samples: Pcm16) -> bytes:
    """Return 16-bit audio in G.711 mu-law, one byte a sample."""
    return _coded(samples, _ulaw_codes())


def decode_ulaw(audio: bytes) -> Samples:
    """Return the samples of G.711 mu-law."""
    return _ulaw_levels()[np.frombuffer(audio, dtype=np.uint8)]


def encode_alaw(samples: Pcm16) -> bytes:
    """Return 16-bit audio in G.711 A-law, one byte a sample."""
    return _coded(samples, _alaw_codes())


def decode_alaw(audio: bytes) -> Samples:
    """Return the samples of G.711 A-law."""
    return _alaw_levels()[np.frombuffer(audio, dtype=np.uint8)]


def _coded(samples: Pcm16, codes: npt.NDArray[np.uint8]) -> bytes:
    return codes[_view(samples).astype(np.uint16)].tobytes()


def _every_sample() -> npt.NDArray[np.int32]:
    """Return all samples in the order of their bits, so that a sample without its sign is its place."""
    return np.arange(0x10000, dtype=np.uint16).astype(np.int16).astype(np.int32)


@cache
def _ulaw_codes() -> npt.NDArray[np.uint8]:
    sample = _every_sample() >> 2
    magnitude = np.abs(sample) + 33
    segment = np.searchsorted(0x40 << np.arange(8), magnitude, side="right")
    code = np.where(segment < 8, segment << 4 | magnitude >> segment + 1 & 0x0F, 0x7F)
    return (code ^ np.where(sample < 0, 0x7F, 0xFF)).astype(np.uint8)


@cache
def _ulaw_levels() -> Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)
    return np.where(code & 0x80, 0x84 - magnitude, magnitude - 0x84).astype(np.int16)


@cache
def _alaw_codes() -> npt.NDArray[np.uint8]:
    sample = _every_sample() >> 3
    magnitude = np.where(sample < 0, ~sample, sample)
    segment = np.searchsorted(0x20 << np.arange(8), magnitude, side="right")
    code = segment << 4 | magnitude >> np.maximum(segment, 1) & 0x0F
    return (code ^ np.where(sample < 0, 0x55, 0xD5)).astype(np.uint8)


@cache
def _alaw_levels() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code & 0x70) >> 4
    magnitude = ((code & 0x0F) << 4) + 8
    magnitude = np.where(exponent > 0, (magnitude + 0x100) << np.maximum(exponent - 1, 0), magnitude)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


# Formats

_DECODERS: Final = {"audio/pcm": as_samples, "audio/pcmu": decode_ulaw, "audio/pcma": decode_alaw}
_ENCODERS: Final = {"audio/pcm": to_bytes, "audio/pcmu": encode_ulaw, "audio/pcma": encode_alaw}


def decode(audio: bytes, format: AnyFormat) -> Samples:
    """Return the samples of audio in a session's format.

    Raises:
        ValueError: The format is not known, or PCM has half a sample at the end.
    """
    return _DECODERS[_name(format)](audio)


def encode(samples: Pcm16, format: AnyFormat) -> bytes:
    """Return samples as audio in a session's format; the rate stays what it is."""
    return _ENCODERS[_name(format)](samples)


def ms_of(size: int, format: AnyFormat) -> int:
    """Return the whole milliseconds in a number of bytes, rounded down; half a sample at the end does not count."""
    measure = _measure(format)
    return size // measure.sample_bytes * 1000 // measure.rate


def samples_of(ms: int, format: AnyFormat) -> int:
    """Return the whole samples in a number of milliseconds, rounded down.

    Where a millisecond is no whole number of samples, as at 22,050 Hz, these samples can last less than ``ms``, so
    that ``ms_of`` gives one less for them.
    """
    return ms * _measure(format).rate // 1000


def _name(format: AnyFormat) -> str:
    name = format.name if isinstance(format, Format) else format.type
    if name not in _DECODERS:
        raise ValueError(f"the audio format {name!r} is not known: it is audio/pcm, audio/pcmu or audio/pcma")
    return name


def _measure(format: AnyFormat) -> Format:
    _name(format)
    return format if isinstance(format, Format) else Format.of(format)


# WAV files. Python's own ``wave`` reads no extensible header before 3.12, which is what ffmpeg and sox write above
# 16 bits, takes a streamed file for what its sizes say, and cannot write to a pipe.


class Wav(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a WAV file holds."""

    samples: Samples
    """One channel, 16 bits."""
    rate: int
    """Samples a second."""


def read_wav(file: FileOrPath) -> Wav:
    """Read a WAV file of 8, 16, 24 or 32-bit integers and any number of channels.

    The channels' average, taken over all their bits, is rounded to the nearest 16-bit sample, a half upwards. Where
    the header says that the length was not known, as in what ffmpeg writes to a pipe, all that is there is read. A
    file that is given open stays open.

    Raises:
        OSError: The file is not there (``FileNotFoundError``) or cannot be read.
        ValueError: It is no WAV file, is cut short, or holds floats or compressed audio.
    """
    with _opened(file, "rb") as source:
        name = getattr(source, "name", None)
        return _parse(source.read(), name if isinstance(name, str) else "the audio")


def _opened(file: FileOrPath, mode: Literal["rb", "wb"]) -> AbstractContextManager[BinaryIO]:
    return open(file, mode) if isinstance(file, str | os.PathLike) else nullcontext(file)


def _parse(data: bytes, name: str) -> Wav:
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise _unusable(name, "is no WAV file")
    layout: tuple[int, int, int] | None = None
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sL", data, at)
        at += 8
        if kind == b"fmt ":
            layout = _layout(data[at : at + size], name)
        elif kind == b"data":
            if layout is None:
                raise _unusable(name, "has audio before the header that describes it")
            there = len(data) - at
            if there < size < _STREAMED:
                raise _unusable(name, f"is cut short: {there:,} of its {size:,} bytes of audio are there")
            width, channels, rate = layout
            return Wav(samples=_mixed(memoryview(data)[at : at + size], width, channels), rate=rate)
        at += size + size % 2
    raise _unusable(name, "is cut short: it has no audio")


def _layout(header: bytes, name: str) -> tuple[int, int, int]:
    """Return the bytes a sample, the channels and the rate that a header names."""
    if len(header) < 16:
        raise _unusable(name, "is cut short: its header is not whole")
    tag, channels, rate, _, block, bits = struct.unpack_from("<HHLLHH", header)
    if tag == _EXTENSIBLE and header[26:40] == _SUBFORMAT:
        [tag] = struct.unpack_from("<H", header, 24)
    if tag == _FLOAT:
        raise _unusable(name, "holds floats, not integers")
    if tag != _INTEGER:
        raise _unusable(name, f"holds audio of another kind than integers (its tag is {tag})")
    width = (bits + 7) // 8
    if not 1 <= width <= 4 or not channels or not rate or block != width * channels:
        raise _unusable(name, f"cannot be read ({bits} bits, {channels} channels, {block} bytes for all, {rate} Hz)")
    return width, channels, rate


def _unusable(name: str, what: str) -> ValueError:
    return ValueError(f"{name} {what}; ffmpeg can make a file that will do: ffmpeg -i in.wav -c:a pcm_s16le out.wav")


def _mixed(audio: memoryview, width: int, channels: int) -> Samples:
    frames = len(audio) // (width * channels)
    raw = np.frombuffer(audio, dtype=np.uint8, count=frames * width * channels).reshape(-1, width)
    if width == 1:
        raw = raw ^ np.uint8(0x80)  # the only width without a sign
    wide = np.zeros((len(raw), 4), dtype=np.uint8)
    wide[:, 4 - width :] = raw
    total = wide.view("<i4").reshape(frames, channels).sum(axis=1, dtype=np.int64)
    step = channels << 16
    mixed: npt.NDArray[np.int64] = np.minimum((2 * total + step) // (2 * step), 0x7FFF)
    return mixed.astype(np.int16)


def write_wav(file: FileOrPath, samples: Pcm16, *, rate: int = 24000, channels: int = 1) -> None:
    """Write 16-bit audio as a WAV file, which need not be able to seek.

    Args:
        file: A path, whose file is replaced; or a file open for writing, which stays open.
        samples: The audio; the channels' samples take turns.
        rate: Samples a second of each channel.
        channels: How many channels there are.

    Raises:
        OSError: The file cannot be written.
        ValueError: A sample is missing at the end, the rate or the channels are none, or it is over 4 GiB.
    """
    audio = to_bytes(samples)
    if channels > 0 and len(audio) % (2 * channels):
        raise ValueError(f"{len(audio) // 2} samples cannot be shared among {channels} channels")
    header = _header(len(audio), rate, channels)
    with _opened(file, "wb") as target:
        target.write(header + audio)


class WavWriter:
    """Writes a WAV file while its audio comes in.

    Until it is closed, the header says that the length is not known, so that the recording of a program that was
    killed can be read all the same. Closing writes the length; it cannot where the file cannot seek, such as a pipe,
    and there the header stays as it is, and readers such as ``read_wav`` and ffmpeg read up to the end.
    """

    def __init__(self, file: FileOrPath, *, rate: int = 24000, channels: int = 1) -> None:
        """Begin a file; the arguments are those of ``write_wav``.

        Raises:
            OSError: The file cannot be written.
            ValueError: The rate or the channels are none.
        """
        self._rate = rate
        self._channels = channels
        self._size = 0
        self._rest = b""
        header = _header(None, rate, channels)
        self._stack = ExitStack()
        self._file = self._stack.enter_context(_opened(file, "wb"))
        self._start = self._file.tell() if self._file.seekable() else None
        self._open = True
        self._file.write(header)

    def write(self, audio: Pcm16) -> None:
        """Append audio; bytes may end anywhere, and what is no whole sample waits for those that follow.

        Raises:
            OSError: The file cannot be written.
            ValueError: It is closed, or would be over 4 GiB.
        """
        if not self._open:
            raise ValueError("the WAV file is closed")
        data = self._rest + _as_bytes(audio)
        whole = len(data) - len(data) % (2 * self._channels)
        if self._size + whole > MAX_WAV_BYTES:
            raise ValueError("a WAV file cannot hold more than 4 GiB: begin another")
        self._file.write(data[:whole])
        self._size += whole
        self._rest = data[whole:]

    def close(self) -> None:
        """Write the length where the file can seek, and close the file where it was opened here; once is enough.

        Raises:
            OSError: The file cannot be written.
        """
        if not self._open:
            return
        self._open = False
        with self._stack:
            if self._start is not None:
                self._file.seek(self._start)
                self._file.write(_header(self._size, self._rate, self._channels))
                self._file.seek(self._start + _HEADER.size + self._size)
            self._file.flush()

    def __enter__(self) -> "WavWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _header(size: int | None, rate: int, channels: int) -> bytes:
    """Return what stands before the audio of a file whose size may not be known yet."""
    block = 2 * channels
    if not (0 < block <= 0xFFFF and rate > 0 and rate * block <= 0xFFFF_FFFF):
        raise ValueError(f"a WAV file cannot have {channels} channels at {rate} Hz")
    if size is not None and size > MAX_WAV_BYTES:
        raise ValueError("a WAV file cannot hold more than 4 GiB: write several")
    riff, data = (_UNKNOWN, _UNKNOWN) if size is None else (36 + size, size)
    return _HEADER.pack(
        b"RIFF", riff, b"WAVE", b"fmt ", 16, _INTEGER, channels, rate, rate * block, block, 16, b"data", data
    )
