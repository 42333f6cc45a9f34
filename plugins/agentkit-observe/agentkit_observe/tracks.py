"""Audio on a clock: what each side said, at the moment at which it was said.

Rule: times are whole samples from the beginning; nothing here reads a clock or writes a file.
"""

from collections import OrderedDict
from typing import Final

import numpy as np
import numpy.typing as npt

from agentkit.audio import decode
from agentkit.protocol.audio import Format

Samples = npt.NDArray[np.int16]

JITTER: Final = 0.1
"""Seconds by which audio of one stream may come late and still be the continuation of what came before."""
STREAMS: Final = 64
"""Items of the agent's whose audio may still grow, remembered."""


class Resampler:
    """Brings a stream to another rate, by straight lines between its samples."""

    def __init__(self, source: int, target: int) -> None:
        self._step = source / target
        self._next = 0.0
        """Where the next sample is, counted in the source's samples from the first that is held."""
        self._held: Samples = np.empty(0, dtype=np.int16)

    def feed(self, samples: Samples) -> Samples:
        """Return what these samples add."""
        if self._step == 1.0 or not len(samples):
            return samples
        data = np.concatenate([self._held, samples])
        last = len(data) - 1
        count = max(0, int((last - self._next) // self._step) + 1)
        places = self._next + self._step * np.arange(count)
        made = np.interp(places, np.arange(len(data)), data)
        self._next += self._step * count - last
        self._held = data[-1:]
        resampled: Samples = np.rint(made).astype(np.int16)
        return resampled


class Stream:
    """The bytes of one item, or of one side, as samples at the track's rate."""

    def __init__(self, source: Format, rate: int) -> None:
        self.format = source
        self.size = 0
        """Samples so far, at the track's rate."""
        self._resampler = Resampler(source.rate, rate)
        self._odd = b""

    def feed(self, audio: bytes) -> Samples:
        """Return the samples in these bytes; half a one at the end waits for the rest."""
        audio = self._odd + audio
        whole = len(audio) - len(audio) % self.format.sample_bytes
        self._odd = audio[whole:]
        samples = self._resampler.feed(decode(audio[:whole], self.format))
        self.size += len(samples)
        return samples


class _Segment:
    """Samples of one stream in one piece."""

    __slots__ = ("begin", "key", "offset", "samples")

    def __init__(self, key: str, begin: int, offset: int, samples: Samples) -> None:
        self.key = key
        self.begin = begin
        self.offset = offset
        """Samples of the stream before these."""
        self.samples = samples

    @property
    def end(self) -> int:
        return self.begin + len(self.samples)


class Track:
    """One side's audio on the clock, as far as it is not rendered yet."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.end = 0
        """Where what was placed last ends."""
        self._segments: list[_Segment] = []
        self._streams: OrderedDict[str, Stream] = OrderedDict()
        self._latest: str | None = None
        self._cut: set[str] = set()
        """Streams that were cut off, so that no more of them is played."""

    def place(self, audio: bytes, source: Format, now: int, *, key: str = "") -> None:
        """Put audio at a moment, or at the end of what was placed before, whichever is later.

        Args:
            audio: Bytes in the source's format.
            source: A stream's format is the one in which it began, until its rate or its kind changes.
            now: The moment.
            key: The stream; audio of one stream belongs together.
        """
        if key in self._cut:
            return
        stream = self._streams.get(key)
        if stream is None or (not key and stream.format != source):
            stream = self._streams[key] = Stream(source, self.rate)
            if len(self._streams) > STREAMS:
                gone, _ = self._streams.popitem(last=False)
                self._cut.discard(gone)
        offset = stream.size
        samples = stream.feed(audio)
        if not len(samples):
            return
        late = now - self.end
        follows = offset > 0 and self._latest == key and late < JITTER * self.rate
        begin = self.end if late < 0 or follows else now
        self._latest = key
        self.end = begin + len(samples)
        self._segments.append(_Segment(key, begin, offset, samples))

    def cut(self, key: str, ms: int) -> bool:
        """Keep only the beginning of a stream, and nothing of those that would have followed it.

        Returns:
            Whether any of the stream was still here.
        """
        mine = [segment for segment in self._segments if segment.key == key]
        self._cut.add(key)
        if not mine:
            return False
        keep = ms * self.rate // 1000
        begin = mine[0].begin
        for segment in mine:
            segment.samples = segment.samples[: max(0, keep - segment.offset)]
        self._cut |= {segment.key for segment in self._segments if segment.begin > begin}
        self._segments = [each for each in self._segments if each.begin <= begin or each.key == key]
        self._settle()
        return True

    def drop(self, now: int, key: str | None = None) -> None:
        """Drop what is not played at a moment: of one stream, or of all."""
        for segment in self._segments:
            if segment.end > now and key in (None, segment.key):
                self._cut.add(segment.key)
                segment.samples = segment.samples[: max(0, now - segment.begin)]
        self._settle()

    def playing(self, key: str, now: int) -> bool:
        """Tell whether some of a stream is not played yet."""
        return any(segment.key == key and segment.end > now for segment in self._segments)

    def _settle(self) -> None:
        self._segments = [segment for segment in self._segments if len(segment.samples)]
        self.end = max((segment.end for segment in self._segments), default=0)

    def render(self, begin: int, end: int) -> Samples:
        """Return what is between two moments, silence where nothing is, and forget it."""
        rendered = np.zeros(end - begin, dtype=np.int16)
        rest: list[_Segment] = []
        for segment in self._segments:
            first, last = max(begin, segment.begin), min(end, segment.end)
            if first < last:
                rendered[first - begin : last - begin] = segment.samples[first - segment.begin : last - segment.begin]
            if segment.end > end:
                rest.append(segment)
        self._segments = rest
        return rendered
