"""The recorder: events in wire order, audio on the session's clock, and an end that never stops the session."""

from __future__ import annotations

import base64
import errno
import itertools
import json
import os
import stat
from typing import TYPE_CHECKING, Any

import anyio
import numpy as np
import pytest
from agentkit_observe.configs import RecorderConfig
from agentkit_observe.recorder import Recorder
from trio.testing import MockClock

from agentkit import Middleware, Next, on
from agentkit.audio import Samples, as_samples, encode_alaw, read_wav, to_bytes
from agentkit.events import ResponseOutputAudioDelta

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Open

pytestmark = pytest.mark.anyio
in_virtual_time = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["virtual"]
)
SECOND = 48000
"""Bytes of a second of PCM16 at 24 kHz."""
DETECTION = {"type": "server_vad", "create_response": True, "interrupt_response": True}


def recorder(folder: Path, **options: Any) -> Recorder:
    return Recorder(RecorderConfig(path=str(folder / "r"), **options))


def level(value: int, ms: int, rate: int = 24000) -> bytes:
    return to_bytes(np.full(ms * rate // 1000, value, dtype=np.int16))


def sides(path: Path) -> tuple[Samples, Samples, int]:
    """Return the left and the right side of a WAV file, and its rate."""
    data = path.read_bytes()
    assert data[22:24] == b"\x02\x00"
    both = as_samples(data[44 : len(data) - (len(data) - 44) % 4]).reshape(-1, 2)
    return both[:, 0], both[:, 1], int.from_bytes(data[24:28], "little")


def runs(samples: Samples, rate: int) -> list[tuple[int, float, float]]:
    """Return (value, from, to) of each run that is not silence, in seconds."""
    edges = [0, *(np.flatnonzero(np.diff(samples)) + 1).tolist(), len(samples)]
    return [
        (int(samples[a]), round(a / rate, 2), round(b / rate, 2))
        for a, b in itertools.pairwise(edges)
        if b > a and samples[a]
    ]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_events_stand_in_wire_order_with_their_direction_and_without_audio(opened: Open, tmp_path: Path) -> None:
    async with opened(recorder(tmp_path)) as it:
        await it.session.append_audio(level(7, 10))
        await it.server.next("input_audio_buffer.append")
        await it.server.begins()
        await it.server.plays(level(9, 10))
        await it.handled()
    written = lines(tmp_path / "r.jsonl")
    kinds = [(line["direction"], line["event"]["type"]) for line in written]
    assert kinds[0] == ("in", "session.created")
    assert kinds.index(("out", "input_audio_buffer.append")) < kinds.index(("in", "response.created"))
    assert [line["seq"] for line in written] == list(range(1, len(written) + 1))
    assert [line["at"] for line in written] == sorted(line["at"] for line in written)
    assert "<640 characters of base64>" in json.dumps(written)
    assert base64.b64encode(level(9, 10)).decode() not in (tmp_path / "r.jsonl").read_text()


async def test_audio_is_left_in_the_events_where_that_is_wanted(opened: Open, tmp_path: Path) -> None:
    async with opened(recorder(tmp_path, audio_in_events=True)) as it:
        await it.server.begins()
        await it.server.plays(level(9, 10))
        await it.handled()
    assert base64.b64encode(level(9, 10)).decode() in (tmp_path / "r.jsonl").read_text()


@in_virtual_time
async def test_both_sides_stand_on_the_sessions_clock(opened: Open, tmp_path: Path) -> None:
    async with opened(recorder(tmp_path)) as it:
        await anyio.sleep(1)
        await it.session.append_audio(level(1, 500))
        await it.server.begins()
        await anyio.sleep(1)
        await it.server.plays(level(2, 1000))
        await it.server.plays(level(3, 1000), item_id="i2")
        await it.handled()
        await anyio.sleep(3)
        await it.server.plays(level(4, 500), item_id="i3")
        await it.handled()
    left, right, rate = sides(tmp_path / "r.wav")
    assert rate == 24000
    assert runs(left, rate) == [(1, 1.0, 1.5)]
    assert runs(right, rate) == [(2, 2.0, 3.0), (3, 3.0, 4.0), (4, 5.0, 5.5)]
    at = {line["event"].get("item_id"): line["at"] for line in lines(tmp_path / "r.jsonl") if "delta" in line["event"]}
    assert {key: round(value, 2) for key, value in at.items()} == {"i1": 2.0, "i2": 2.0, "i3": 5.0}


@in_virtual_time
async def test_what_an_interruption_cut_was_not_heard(opened: Open, tmp_path: Path) -> None:
    async with opened(recorder(tmp_path)) as it:
        it.session.playback.follow_real_time()
        await it.server.begins()
        await it.server.plays(level(2, 4000))
        await it.handled()
        await anyio.sleep(1.5)
        await it.session.interrupt()
        await it.handled()
        await it.server.plays(level(2, 1000))
        await anyio.sleep(1.5)
        await it.server.begins("i2", "r2")
        await it.server.plays(level(3, 500), item_id="i2", response_id="r2")
        await it.handled()
    _, right, rate = sides(tmp_path / "r.wav")
    assert runs(right, rate) == [(2, 0.0, 1.5), (3, 3.0, 3.5)]


@in_virtual_time
async def test_the_players_word_on_what_was_heard_counts(opened: Open, tmp_path: Path) -> None:
    async with opened(recorder(tmp_path)) as it:
        await it.server.begins()
        await it.server.plays(level(2, 4000))
        await it.handled()
        await anyio.sleep(1.5)
        await it.session.interrupt(heard_ms=1200, item_id="i1")
        await it.handled()
    _, right, rate = sides(tmp_path / "r.wav")
    assert runs(right, rate) == [(2, 0.0, 1.2)]


@in_virtual_time
async def test_an_application_that_cuts_an_item_by_itself_cuts_it_here_too(opened: Open, tmp_path: Path) -> None:
    async with opened(recorder(tmp_path)) as it:
        await it.server.begins()
        await it.server.plays(level(2, 4000))
        await it.handled()
        await anyio.sleep(1.5)
        await it.session.truncate("i1", 1400)
        await it.handled()
        await anyio.sleep(1.5)
        await it.server.plays(level(3, 500), item_id="i2")
        await it.handled()
        await anyio.sleep(1.5)
        await it.session.truncate("i2", 100)  # it was played to its end
        await it.handled()
    _, right, rate = sides(tmp_path / "r.wav")
    assert runs(right, rate) == [(2, 0.0, 1.4), (3, 3.0, 3.5)]


@in_virtual_time
async def test_speech_of_the_users_stops_the_agent_where_nobody_moves_the_playback_clock(
    opened: Open, tmp_path: Path
) -> None:
    async with opened(recorder(tmp_path), audio_input={"turn_detection": DETECTION}) as it:
        await it.server.begins()
        await it.server.plays(level(2, 4000))
        await it.handled()
        await anyio.sleep(2)
        await it.server.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
        await it.handled()
    _, right, rate = sides(tmp_path / "r.wav")
    assert runs(right, rate) == [(2, 0.0, 2.0)]


class Muted(Middleware):
    """Lets no audio through."""

    @on(ResponseOutputAudioDelta)
    async def drop(self, event: ResponseOutputAudioDelta, call_next: Next[ResponseOutputAudioDelta]) -> None:
        """Drop it."""


async def test_audio_that_a_layer_has_dropped_is_not_in_it(opened: Open, tmp_path: Path) -> None:
    async with opened(recorder(tmp_path), Muted()) as it:
        await it.session.append_audio(level(1, 500))
        await it.server.begins()
        await it.server.plays(level(2, 500))
        await it.handled()
    left, right, _ = sides(tmp_path / "r.wav")
    assert left.any()
    assert not right.any()


@in_virtual_time
async def test_formats_may_differ_and_the_file_has_the_rate_of_the_agents(opened: Open, tmp_path: Path) -> None:
    alaw = {"format": {"type": "audio/pcma"}}
    async with opened(recorder(tmp_path), audio_output=alaw) as it:
        await it.session.append_audio(level(1000, 300))
        await anyio.sleep(1)
        await it.server.begins()
        await it.server.plays(encode_alaw(np.full(4000, 5000, dtype=np.int16)))
        await it.handled()
    left, right, rate = sides(tmp_path / "r.wav")
    assert rate == 8000
    assert runs(left, rate) == [(1000, 0.0, 0.3)]
    [(value, begin, end)] = runs(right, rate)
    assert (begin, end) == (1.0, 1.5)
    assert abs(value - 5000) < 200


@in_virtual_time
async def test_the_wav_file_can_be_read_while_it_grows_and_after_a_crash(opened: Open, tmp_path: Path) -> None:
    async with opened(recorder(tmp_path)) as it:
        for _ in range(10):
            await it.session.append_audio(level(100, 1000))
            await it.server.next("input_audio_buffer.append")
            await anyio.sleep(1)
        so_far = read_wav(tmp_path / "r.wav")  # its header says that the length is not known
        assert so_far.rate == 24000
        assert 3 <= len(so_far.samples) / 24000 <= 5
        assert set(so_far.samples.tolist()) == {50}
    assert len(read_wav(tmp_path / "r.wav").samples) == 10 * 24000
    size = int.from_bytes((tmp_path / "r.wav").read_bytes()[40:44], "little")
    assert size == 10 * SECOND * 2


async def test_files_are_the_owners_and_the_session_tells_of_them(opened: Open, tmp_path: Path) -> None:
    async with opened(recorder(tmp_path)) as it:
        message = await it.told("recording")
        await it.session.append_audio(level(1, 100))
        for name in ("r.jsonl", "r.wav"):
            assert str(tmp_path / name) in message
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


async def test_what_is_not_wanted_is_not_written(opened: Open, tmp_path: Path) -> None:
    async with opened(recorder(tmp_path, audio=False, notice=False)) as it:
        await it.session.append_audio(level(1, 100))
        await it.handled()
        assert it.of("recording") == []
    assert names(tmp_path) == ["r.jsonl"]


def test_to_record_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="neither audio nor events"):
        Recorder(RecorderConfig(audio=False, events=False))


async def test_without_audio_there_is_no_wav_file(opened: Open, tmp_path: Path) -> None:
    async with opened(recorder(tmp_path)) as it:
        await it.server.types("u1", "hello")
        await it.handled()
    assert names(tmp_path) == ["r.jsonl"]


async def test_the_size_that_is_allowed_ends_the_recording_and_not_the_session(opened: Open, tmp_path: Path) -> None:
    async with opened(recorder(tmp_path, max_size=2000)) as it:
        for number in range(20):
            await it.server.types(f"u{number}", "hello")
        await it.handled()
        assert "max_size" in await it.told("recording_stopped")
        assert len(it.session.history.items()) == 20
    assert (tmp_path / "r.jsonl").stat().st_size <= 2000
    assert all(line["event"] for line in lines(tmp_path / "r.jsonl"))


async def test_a_full_disk_ends_the_recording_with_one_notice_and_the_session_goes_on(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with opened(recorder(tmp_path)) as it:
        await it.server.types("u1", "hello")
        await it.handled()
        monkeypatch.setattr(os, "write", full)
        await it.server.types("u2", "hello")
        await it.handled()
        monkeypatch.undo()
        assert "No space left on device" in await it.told("recording_stopped")
        await it.session.append_audio(level(1, 100))
        await it.server.types("u3", "hello")
        await it.handled()
        assert [item.id for item in it.session.history.items()] == ["u1", "u2", "u3"]
    assert len(it.of("recording_stopped")) == 1
    assert "u1" in json.dumps(lines(tmp_path / "r.jsonl"))


async def test_a_disk_that_is_full_from_the_first_frame_is_told(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    async with opened(recorder(tmp_path)) as it:
        await it.server.types("u1", "hello")
        await it.handled()
        monkeypatch.undo()
        assert "No space left on device" in await it.told("recording_stopped")


@in_virtual_time
@pytest.mark.skipif(not hasattr(os, "fork"), reason="file sizes are limited by POSIX only")
async def test_what_was_recorded_before_the_disk_was_full_can_be_read(opened: Open, tmp_path: Path) -> None:
    import resource

    room = 3 * 2 * SECOND + 1001
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with opened(recorder(tmp_path, events=False)) as it:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            for _ in range(12):
                await it.session.append_audio(level(100, 1000))
                await anyio.sleep(1)
            await it.handled()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "cannot be written" in await it.told("recording_stopped")
        await it.session.append_audio(level(100, 1000))
        await it.handled()
    assert len(it.of("recording_stopped")) == 1
    recorded = read_wav(tmp_path / "r.wav")
    assert 2 <= len(recorded.samples) / 24000 <= 4
    assert set(recorded.samples.tolist()) == {50}
