import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.audio import Samples
from agentkit.cli.resampling import Resampler, resampled

RATES = [8000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000]


def sine(hertz: float, rate: int, count: int) -> Samples:
    return (10_000 * np.sin(2 * np.pi * hertz * np.arange(count) / rate)).astype(np.int16)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("wanted", [8000, 24_000])
def test_a_tone_stays_where_it_is(rate: int, wanted: int) -> None:
    made = resampled(sine(440, rate, rate), rate, wanted)
    assert len(made) == wanted
    difference = made.astype(int) - sine(440, wanted, wanted)
    assert np.abs(difference[100:-100]).max() <= 4


@pytest.mark.parametrize("rate, wanted, hertz", [(48_000, 24_000, 15_000), (44_100, 24_000, 14_000)])
def test_what_the_lower_rate_cannot_hold_is_not_mirrored(rate: int, wanted: int, hertz: int) -> None:
    made = resampled(sine(hertz, rate, rate), rate, wanted)
    assert np.abs(made[100:-100]).max() <= 4


@settings(max_examples=60)
@given(
    rate=st.sampled_from(RATES),
    wanted=st.sampled_from(RATES),
    count=st.integers(0, 4000),
    cuts=st.lists(st.integers(0, 4000), max_size=6),
)
def test_pieces_give_what_the_whole_gives(rate: int, wanted: int, count: int, cuts: list[int]) -> None:
    samples = np.random.default_rng(count).integers(-(1 << 15), 1 << 15, count).astype(np.int16)
    places = [0, *sorted(min(cut, count) for cut in cuts), count]
    resampler = Resampler(rate, wanted)
    pieces = [resampler.feed(samples[a:b]) for a, b in itertools.pairwise(places)]
    made = np.concatenate([*pieces, resampler.finish()])
    assert np.array_equal(made, resampled(samples, rate, wanted))
    assert len(made) == -(-count * wanted // rate)
