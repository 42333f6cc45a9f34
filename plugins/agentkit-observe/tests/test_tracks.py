"""Audio on a clock: where it is placed, what is cut, and that no rate changes its length."""

import itertools

import numpy as np
import pytest
from agentkit_observe.tracks import Resampler, Samples, Track
from hypothesis import given
from hypothesis import strategies as st

from agentkit.audio import encode_ulaw, to_bytes
from agentkit.protocol.audio import Format

RATE = 1000
"""A sample a millisecond, so that places are milliseconds."""
PCM = Format("audio/pcm", RATE)


def level(value: int, ms: int) -> bytes:
    return to_bytes(np.full(ms, value, dtype=np.int16))


def runs(samples: Samples) -> list[tuple[int, int, int]]:
    """Return (value, from, to) of each run that is not silence."""
    edges = [0, *(np.flatnonzero(np.diff(samples)) + 1).tolist(), len(samples)]
    return [(int(samples[a]), a, b) for a, b in itertools.pairwise(edges) if b > a and samples[a]]


@pytest.fixture
def track() -> Track:
    return Track(RATE)


def test_audio_stands_where_it_came(track: Track) -> None:
    track.place(level(1, 100), PCM, 500)
    assert runs(track.render(0, 1000)) == [(1, 500, 600)]


def test_what_comes_while_something_is_played_follows_it(track: Track) -> None:
    track.place(level(1, 1000), PCM, 0, key="a")
    track.place(level(2, 100), PCM, 50, key="a")
    track.place(level(3, 100), PCM, 60, key="b")
    assert runs(track.render(0, 2000)) == [(1, 0, 1000), (2, 1000, 1100), (3, 1100, 1200)]


def test_a_little_lateness_within_a_stream_is_no_gap_and_more_is(track: Track) -> None:
    track.place(level(1, 100), PCM, 0)
    track.place(level(2, 100), PCM, 150)
    track.place(level(3, 100), PCM, 400)
    assert runs(track.render(0, 1000)) == [(1, 0, 100), (2, 100, 200), (3, 400, 500)]


def test_a_cut_keeps_the_beginning_of_a_stream_and_nothing_that_would_have_followed(track: Track) -> None:
    track.place(level(1, 400), PCM, 0, key="before")
    track.place(level(2, 300), PCM, 0, key="cut")
    track.place(level(3, 300), PCM, 10, key="cut")
    track.place(level(4, 300), PCM, 20, key="after")
    assert track.cut("cut", 450)
    track.place(level(3, 300), PCM, 900, key="cut")
    track.place(level(4, 300), PCM, 900, key="after")
    track.place(level(5, 100), PCM, 900, key="next")
    assert runs(track.render(0, 2000)) == [(1, 0, 400), (2, 400, 700), (3, 700, 850), (5, 900, 1000)]


def test_a_cut_of_what_is_rendered_already_changes_nothing(track: Track) -> None:
    track.place(level(1, 100), PCM, 0, key="a")
    assert runs(track.render(0, 100)) == [(1, 0, 100)]
    assert not track.cut("a", 50)


def test_what_is_not_played_at_a_moment_is_dropped_of_all_or_of_one(track: Track) -> None:
    track.place(level(1, 100), PCM, 0, key="a")
    track.place(level(2, 100), PCM, 0, key="b")
    track.place(level(3, 100), PCM, 0, key="c")
    track.drop(50, "b")
    assert track.playing("a", 50)
    assert not track.playing("b", 50)
    track.drop(250)
    assert runs(track.render(0, 1000)) == [(1, 0, 100), (3, 200, 250)]


def test_what_is_rendered_in_pieces_is_the_same(track: Track) -> None:
    track.place(level(1, 100), PCM, 30)
    track.place(level(2, 100), PCM, 500)
    pieces = [track.render(at, at + 77) for at in range(0, 770, 77)]
    assert runs(np.concatenate(pieces)) == [(1, 30, 130), (2, 500, 600)]


def test_half_a_sample_waits_for_its_other_half(track: Track) -> None:
    audio = level(257, 10)
    track.place(audio[:7], PCM, 0)
    track.place(audio[7:], PCM, 5)
    assert runs(track.render(0, 20)) == [(257, 0, 10)]


def test_g711_is_decoded(track: Track) -> None:
    audio = encode_ulaw(np.full(100, 1000, dtype=np.int16))
    track.place(audio, Format("audio/pcmu", RATE), 0)
    [(value, begin, end)] = runs(track.render(0, 200))
    assert (begin, end) == (0, 100)
    assert abs(value - 1000) < 50


@given(
    st.sampled_from([8000, 16000, 22050, 24000, 44100, 48000]),
    st.sampled_from([8000, 16000, 24000]),
    st.lists(st.integers(0, 700), max_size=12),
)
def test_however_it_is_cut_into_pieces_resampled_audio_is_the_same_and_as_long(
    source: int, target: int, sizes: list[int]
) -> None:
    whole = (np.sin(np.arange(sum(sizes)) / 7) * 9000).astype(np.int16)
    pieces = np.split(whole, np.cumsum(sizes)[:-1]) if sizes else []
    one, many = Resampler(source, target), Resampler(source, target)
    apart = np.concatenate([np.empty(0, dtype=np.int16), *(many.feed(piece) for piece in pieces)])
    at_once = one.feed(whole)
    assert abs(len(apart) - len(at_once)) <= 1  # the last one may lie on the edge
    shared = min(len(apart), len(at_once))
    assert np.abs(apart[:shared].astype(int) - at_once[:shared].astype(int)).max(initial=0) <= 1
    assert abs(len(apart) - len(whole) * target / source) <= max(2, target / source + 1)
