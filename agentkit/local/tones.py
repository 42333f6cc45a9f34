"""A voice that needs no model: text as tones, which the same server hears again.

It is a signal for tests, as a modem's; it is not speech, and no person understands it. A byte of the text's UTF-8 is
two of sixteen tones, one for each half, 20 ms each. A frame of up to 32 bytes begins with a mark and a length and ends
with a checksum, so nothing is guessed: what is no tones is heard as nothing, a damaged frame as U+FFFD, and a frame
that breaks off with the audio is left out.
"""

from binascii import crc_hqx
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from agentkit.audio import encode
from agentkit.events import AudioFormat
from agentkit.local.responder import AudioDelta, Responder, ResponderOutput, ResponderRequest, TextDelta
from agentkit.local.samples import to_samples
from agentkit.protocol.audio import Format

Floats: TypeAlias = npt.NDArray[np.float64]
Samples: TypeAlias = npt.NDArray[np.int16]
Places: TypeAlias = npt.NDArray[np.intp]

TONE_MS: Final = 20
MIN_RATE: Final = 8000
"""The lowest rate that carries the highest tone."""
MAX_FRAME: Final = 32
"""Bytes of text in one frame."""
_TONES_HZ: Final = 600 + 180 * np.arange(16)
"""600 to 3300 Hz: what a telephone line, and G.711, lets through."""
_LOUDNESS: Final = 0.5
"""Of full scale; louder than the energy detector's highest threshold asks for."""
_RAMP: Final = 0.15
"""The part of a tone in which it grows, and fades, so that nothing clicks."""
_MARK: Final = b"\xf8\x1d"
"""Begins a frame: no UTF-8 has it, and its four tones lie far apart."""
_MARK_TONES: Final = (15, 8, 1, 13)
_CHECK_BYTES: Final = 2
_PURE: Final = 0.5
"""How much of a sound's energy has to be in the tone that it is taken for."""
_LOST: Final = "\N{REPLACEMENT CHARACTER}"
_BLOCK: Final = 8192
"""Places that are looked at in one go; it bounds the memory."""


class Tones(Responder):
    """Lets a responder that writes speak and hear in tones: a test signal, not speech.

    The responder is asked for text; its text becomes tones where the client wants audio.
    """

    speaks = True
    hears = True

    def __init__(self, responder: Responder) -> None:
        self.name = responder.name
        self._responder = responder

    async def respond(self, request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        """Yield what the responder does, its text as audio where audio is asked for."""
        spoken = "audio" in request.output_modalities
        asked = replace(request, output_modalities=("text",))
        async with aclosing(self._responder.respond(asked)) as outputs:
            async for output in outputs:
                if not spoken or not isinstance(output, TextDelta):
                    yield output
                    continue
                for piece in _pieces(output.text):
                    yield AudioDelta(audio=encode_tones(piece, request.output_format), transcript=piece)

    async def transcribe(self, audio: bytes, format: AudioFormat) -> str:
        """Return the text in the tones; it is empty where there are none."""
        return decode_tones(audio, format)

    async def aclose(self) -> None:
        """Close the responder."""
        await self._responder.aclose()


def encode_tones(text: str, format: AudioFormat) -> bytes:
    """Return a text as tones, which ``decode_tones`` reads: a test signal, not speech.

    A byte of the text takes 40 ms, and each frame 200 ms more. Lone surrogates, which UTF-8 has not, become ``?``.

    Args:
        text: Any text; an empty one gives no audio.
        format: PCM of any rate from 8 kHz, or G.711.

    Raises:
        ValueError: The rate is too low.
    """
    rate = _rate(format)
    return b"".join(encode(_played(_frame(piece), rate), format) for piece in _pieces(text))


def decode_tones(audio: bytes, format: AudioFormat) -> str:
    """Return the text in the tones that ``encode_tones`` made, wherever they begin.

    Silence, a little noise and other sounds around them do no harm. What is no tones gives an empty text. A frame whose
    checksum is wrong gives U+FFFD, so that lost audio shows; one that breaks off at the end is left out.

    Args:
        audio: Samples; they need not begin with the tones.
        format: The format of the samples.

    Raises:
        ValueError: The rate is too low.
    """
    rate = _rate(format)
    # No tone is above 3.3 kHz, so about 8 kHz are enough to look at.
    step = rate // MIN_RATE
    samples = to_samples(audio, format)
    coarse = samples[: len(samples) // step * step].reshape(-1, step).mean(axis=1)
    ear = _Ear(coarse, rate / step)
    found: list[str] = []
    free = 0
    for place in ear.marks():
        if place < free:
            continue
        start = ear.settled(place)
        frame = ear.frame(start)
        tones = len(_MARK_TONES)
        if frame is not None:
            text = _text_of(frame)
            if text is not None:
                found.append(text)
            elif not ear.breaks_off(start, 2 * len(frame)):
                found.append(_LOST)
            # After a damaged frame the next one may begin anywhere behind the mark.
            tones = tones if text is None else 2 * len(frame)
        free = ear.after(start, tones)
    return "".join(found)


class _Ear:
    """Samples in which tones are looked for, with a tone's length of silence around them."""

    def __init__(self, samples: Floats, rate: float) -> None:
        self._tone = rate * TONE_MS / 1000
        self._size = int(self._tone)
        self._end = self._size + len(samples)
        self._samples = np.pad(samples, self._size)
        self._probe = _probe(rate)
        # What the envelope lets through of a tone that fills it.
        self._full = float((_envelope(self._size) ** 2).sum()) / 2

    def marks(self) -> Iterator[int]:
        """Give the places, in order, where a frame may begin; several for each."""
        end = len(self._samples) - self.after(0, len(_MARK_TONES))
        hop = self._size // 8
        for begin in range(0, end, hop * _BLOCK):
            places = np.arange(begin, min(end, begin + hop * _BLOCK), hop)
            pure = np.ones(len(places), dtype=np.bool_)
            for index, tone in enumerate(_MARK_TONES):
                at = places[pure] + round(index * self._tone)
                powers, energy = self._heard(at)
                pure[pure] = powers[:, tone] > _PURE * self._full * energy
            yield from places[pure].tolist()

    def settled(self, place: int) -> int:
        """Return where exactly the frame begins whose mark is near, or a little later."""
        tones = len(_MARK_TONES)
        last = min(place + self._size // 2, len(self._samples) - self.after(0, tones))
        places = np.arange(max(place - self._size // 8, 0), last + 1)
        loud = np.zeros(len(places))
        for index, tone in enumerate(_MARK_TONES):
            loud += self._heard(places + round(index * self._tone))[0][:, tone]
        return int(places[loud.argmax()])

    def frame(self, start: int) -> bytes | None:
        """Return the bytes of the frame that begins here, or ``None`` where it breaks off."""
        head = self._bytes(start, len(_MARK) + 1)
        if head is None or head[-1] > MAX_FRAME:
            return head
        return self._bytes(start, len(head) + head[-1] + _CHECK_BYTES)

    def breaks_off(self, start: int, tones: int) -> bool:
        """Tell whether the sound ends before so many tones do."""
        return self.after(start, tones) > self._end

    def after(self, place: int, tones: int) -> int:
        """Return the place so many tones later."""
        return place + round(tones * self._tone)

    def _bytes(self, start: int, count: int) -> bytes | None:
        places = start + np.rint(np.arange(2 * count) * self._tone).astype(np.intp)
        if places[-1] + self._size > len(self._samples):
            return None
        halves: Places = self._heard(places)[0].argmax(axis=1)
        return bytes((halves[::2] * 16 + halves[1::2]).tolist())

    def _heard(self, places: Places) -> tuple[Floats, Floats]:
        """Return each tone's power at each place, and the energy of the sound there."""
        sounds = self._samples[places[:, np.newaxis] + np.arange(self._size)]
        parts = sounds @ self._probe
        return parts[:, :16] ** 2 + parts[:, 16:] ** 2, (sounds**2).sum(axis=1)


def _pieces(text: str) -> Iterator[str]:
    """Take a text apart at its characters, so that each piece fits in a frame."""
    start = size = 0
    for index, char in enumerate(text):
        width = len(char.encode(errors="replace"))
        if size + width > MAX_FRAME:
            yield text[start:index]
            start, size = index, 0
        size += width
    if size:
        yield text[start:]


def _frame(piece: str) -> bytes:
    data = piece.encode(errors="replace")
    body = bytes([len(data)]) + data
    return _MARK + body + crc_hqx(body, 0).to_bytes(_CHECK_BYTES, "big")


def _text_of(frame: bytes) -> str | None:
    """Return the text of a frame, or ``None`` where its checksum is wrong."""
    body, check = frame[len(_MARK) : -_CHECK_BYTES], frame[-_CHECK_BYTES:]
    if crc_hqx(body, 0).to_bytes(_CHECK_BYTES, "big") != check:
        return None
    return body[1:].decode(errors="replace")


def _rate(format: AudioFormat) -> int:
    rate = Format.of(format).rate
    if rate < MIN_RATE:
        raise ValueError(f"tones need {MIN_RATE} samples a second or more, not {rate}")
    return rate


def _played(frame: bytes, rate: int) -> Samples:
    """Return a frame's tones."""
    data = np.frombuffer(frame, dtype=np.uint8)
    halves = np.stack([data >> 4, data & 15], axis=1).ravel()
    # A tone may not be a whole number of samples: it begins with the sample in which its time falls.
    places = np.arange(len(halves) + 1) * rate * TONE_MS // 1000
    waves = _waves(rate)
    samples = np.zeros(places[-1], dtype=np.int16)
    samples[places[:-1, np.newaxis] + np.arange(waves.shape[1])] = waves[halves]
    return samples


def _envelope(size: int) -> Floats:
    """Return how loud a tone is over its time."""
    from_edge = np.minimum(np.arange(size) + 0.5, size - np.arange(size) - 0.5) / size
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(from_edge / _RAMP, 1)))


@lru_cache(maxsize=8)
def _waves(rate: int) -> Samples:
    """Return the sixteen tones, one a row."""
    size = rate * TONE_MS // 1000
    turns = 2 * np.pi * _TONES_HZ[:, np.newaxis] * np.arange(size) / rate
    return (_LOUDNESS * 32767 * _envelope(size) * np.sin(turns)).astype(np.int16)


@lru_cache(maxsize=8)
def _probe(rate: float) -> Floats:
    """Return what finds the sixteen tones whatever their phase: a column each for cosine, then for sine."""
    size = int(rate * TONE_MS / 1000)
    turns = 2 * np.pi * np.arange(size)[:, np.newaxis] * _TONES_HZ / rate
    return np.asarray(np.hstack([np.cos(turns), np.sin(turns)]) * _envelope(size)[:, np.newaxis])
