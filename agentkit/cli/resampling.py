"""From one sample rate to another: a windowed sinc in phases, for audio that comes in pieces."""

from functools import lru_cache
from math import gcd
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from agentkit.audio import Samples

Floats: TypeAlias = npt.NDArray[np.float64]
_CROSSINGS: Final = 16
"""Zeros of the sinc on each side of its middle."""
_BETA: Final = 9.0
"""The window's shape: about 90 dB below is what mirrors."""
_PASS: Final = 0.92
"""Where the filter is half closed, of the lower rate's half."""
_BLOCK: Final = 8192
"""Samples that are made in one go; it bounds the memory."""


class Resampler:
    """Changes the rate of one stream; nothing is shifted in time, and nothing is lost at the pieces' edges."""

    def __init__(self, rate: int, wanted: int) -> None:
        """Make it for one stream.

        Args:
            rate: Samples a second of what comes.
            wanted: Samples a second of what is returned.
        """
        common = gcd(rate, wanted)
        self._up, self._down = wanted // common, rate // common
        self._half = _CROSSINGS * max(self._up, self._down)
        self._bank = _bank(self._up, self._down)
        self._taps = len(self._bank[0])
        self._kept: Floats = np.zeros(self._taps)
        self._start = -self._taps
        """The number of the first kept sample."""
        self._next = 0
        """The number of the next sample that is made."""

    def feed(self, samples: Samples) -> Samples:
        """Take samples, and return those that can be made now."""
        if self._up == self._down:
            return samples
        self._kept = np.concatenate([self._kept, samples])
        return self._made((self._end * self._up - self._half - 1) // self._down + 1)

    def finish(self) -> Samples:
        """Return the samples that are left; nothing comes any more."""
        if self._up == self._down:
            return np.empty(0, dtype=np.int16)
        total = -(-self._end * self._up // self._down)
        self._kept = np.concatenate([self._kept, np.zeros(self._taps + 1)])
        return self._made(total)

    @property
    def _end(self) -> int:
        return self._start + int(self._kept.size)

    def _made(self, end: int) -> Samples:
        """Make the samples up to a number."""
        parts = [np.empty(0, dtype=np.int16)]
        for begin in range(self._next, end, _BLOCK):
            times = np.arange(begin, min(end, begin + _BLOCK)) * self._down + self._half
            places = times // self._up - self._start
            heard = self._kept[places[:, np.newaxis] - np.arange(self._taps)]
            made: Floats = np.einsum("ij,ij->i", heard, self._bank[times % self._up])
            parts.append(np.clip(np.rint(made), -0x8000, 0x7FFF).astype(np.int16))
        self._next = max(end, self._next)
        first = (self._next * self._down + self._half) // self._up - self._taps + 1
        if first > self._start:
            self._kept = self._kept[first - self._start :]
            self._start = first
        return np.concatenate(parts)


def resampled(samples: Samples, rate: int, wanted: int) -> Samples:
    """Return samples at another rate."""
    resampler = Resampler(rate, wanted)
    return np.concatenate([resampler.feed(samples), resampler.finish()])


@lru_cache(maxsize=8)
def _bank(up: int, down: int) -> Floats:
    """Return the filter, a row for each phase."""
    half = _CROSSINGS * max(up, down)
    taps = -(-(2 * half + 1) // up)
    places = np.arange(taps * up) - half
    cutoff = _PASS / max(up, down)
    shape = np.sinc(places * cutoff) * cutoff * up
    inside = np.clip(1 - (places / (half + 1)) ** 2, 0, None)
    shape *= np.i0(_BETA * np.sqrt(inside)) / np.i0(_BETA)
    rows: Floats = shape.reshape(taps, up).T
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))
