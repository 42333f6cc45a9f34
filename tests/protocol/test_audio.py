"""Audio time, by the format's own rate, and bounded memory."""

import pytest
from msgspec import UNSET

from agentkit.events import AudioFormat
from agentkit.protocol.audio import CHUNK_COST, Format, OutputAudio
from agentkit.protocol.listening import InputAudio


@pytest.mark.parametrize(
    "wire, rate, sample_bytes",
    [
        (None, 24000, 2),
        (UNSET, 24000, 2),
        (AudioFormat(), 24000, 2),
        (AudioFormat(type="audio/pcm", rate=16000), 16000, 2),
        (AudioFormat(type="audio/pcm", rate=0), 24000, 2),
        (AudioFormat(type="audio/pcm", rate=-1), 24000, 2),
        (AudioFormat(type="audio/pcm", rate=None), 24000, 2),
        (AudioFormat(type="audio/pcmu"), 8000, 1),
        (AudioFormat(type="audio/pcma", rate=16000), 16000, 1),
    ],
)
def test_a_format_is_as_the_settings_name_it(wire: AudioFormat | None, rate: int, sample_bytes: int) -> None:
    audio = Format.of(wire)
    assert (audio.rate, audio.sample_bytes) == (rate, sample_bytes)


def test_rb_20_160_bytes_of_g711_are_20_ms() -> None:
    ulaw = Format("audio/pcmu", 8000)
    assert ulaw.ms(160) == 20
    assert ulaw.size(20) == 160
    assert Format().ms(4800) == 100
    assert Format().size(100) == 4800


def test_formats_are_values() -> None:
    assert Format() == Format("audio/pcm", 24000)
    assert Format() != Format("audio/pcmu", 8000)
    assert Format() != "audio/pcm"
    assert len({Format(), Format()}) == 1
    assert repr(Format()) == "Format('audio/pcm', 24000)"


# What the user says


def test_the_input_clock_goes_on_over_commits() -> None:
    audio = InputAudio()
    audio.append(bytes(4800))
    audio.emptied_by_us(commit=True)
    audio.append(bytes(2400))
    assert (audio.pending_ms, audio.position_ms) == (50, 150)


def test_an_answer_to_our_commit_does_not_touch_what_was_appended_since() -> None:
    audio = InputAudio()
    audio.append(bytes(9600))
    audio.emptied_by_us(commit=True)
    audio.append(bytes(7200))
    audio.emptied()
    assert audio.pending_ms == 150
    audio.emptied()
    assert audio.pending_ms == 0


def test_a_refused_commit_has_no_answer() -> None:
    audio = InputAudio()
    audio.emptied_by_us(commit=True)
    audio.refused()
    audio.refused()
    audio.append(bytes(4800))
    audio.emptied()
    assert audio.pending == 0


# What the agent says


def test_samples_are_read_as_they_came() -> None:
    audio = OutputAudio()
    assert audio.append("a", b"\x01\x02") == b"\x01\x02"
    assert audio.append("a", b"\x03\x04") == b"\x03\x04"
    assert audio.read("a") == b"\x01\x02\x03\x04"
    assert audio.read("b") == b""


@pytest.mark.parametrize("step", range(1, 13))
def test_f54_half_a_sample_is_carried_over(step: int) -> None:
    audio = OutputAudio()
    data = bytes(range(12))
    for start in range(0, 12, step):
        audio.append("a", data[start : start + step])
    assert audio.read("a") == data


def test_f54_half_a_sample_belongs_to_its_part_and_is_dropped_at_its_end() -> None:
    audio = OutputAudio()
    audio.append("a", b"\x01", 0)
    audio.append("a", b"\x11\x12\x13", 1)
    audio.append("a", b"\x02", 0)
    assert audio.read("a") == b"\x11\x12\x01\x02"
    audio.finished("a", 1)
    assert audio.append("a", b"\x14", 1) is None
    assert audio.append("a", b"\x03\x04", 0) == b"\x03\x04"
    audio.append("a", b"\x05", 0)
    audio.finished("a")
    assert audio.append("a", b"\x06", 0) is None
    assert audio.received_ms("a") == 0
    audio.finished("unknown")


def test_g711_has_no_half_samples() -> None:
    audio = OutputAudio()
    audio.format = Format("audio/pcmu", 8000)
    audio.append("a", b"\x01")
    assert audio.read("a") == b"\x01"


def test_a_change_of_format_does_not_change_what_came_before() -> None:
    audio = OutputAudio()
    audio.append("a", bytes(4800))
    audio.format = Format("audio/pcmu", 8000)
    audio.append("b", bytes(4800))
    assert (audio.received_ms("a"), audio.received_ms("b"), audio.received_ms("c")) == (100, 600, 0)


def test_the_oldest_audio_goes_first_where_there_is_too_much() -> None:
    audio = OutputAudio(keep_bytes=2 * (100 + CHUNK_COST))
    audio.append("a", b"1" * 100)
    audio.append("b", b"2" * 100)
    audio.append("b", b"3" * 100)
    assert audio.read("a") == b""
    assert audio.read("b") == b"2" * 100 + b"3" * 100
    assert audio.kept <= audio.keep_bytes
    assert audio.received_ms("a") == 2


def test_f59_tiny_deltas_are_bounded_as_well() -> None:
    audio = OutputAudio(keep_bytes=10_000)
    for _ in range(10_000):
        audio.append("a", b"\x00\x00")
    assert len(audio.read("a")) < 250
    assert audio.received_ms("a") == 20_000 // 48


def test_nothing_is_kept_where_nothing_may_be() -> None:
    audio = OutputAudio(keep_bytes=0)
    audio.append("a", bytes(48))
    assert (audio.read("a"), audio.kept, audio.received_ms("a")) == (b"", 0, 1)


def test_a_removed_item_leaves_nothing_behind() -> None:
    audio = OutputAudio()
    audio.append("a", bytes(48))
    audio.append("b", bytes(48))
    audio.played("b", 1)
    assert audio.remove("b") is True
    assert (audio.playing, audio.latest) == (None, None)
    assert audio.kept == 48 + CHUNK_COST
    assert audio.remove("b") is False
    audio.finished("a")
    audio.played("a", 1)
    assert audio.remove("a") is False
    assert audio.kept == 0


# What was heard


def test_what_was_heard_is_never_more_than_what_was_received() -> None:
    audio = OutputAudio()
    audio.append("a", bytes(480))
    audio.played("a", 5000)
    assert (audio.heard_ms("a"), audio.playing) == (10, "a")


def test_the_playback_clock_does_not_go_back() -> None:
    audio = OutputAudio()
    audio.append("a", bytes(4800))
    audio.played("a", 50)
    audio.played("a", 20)
    assert audio.heard_ms("a") == 50


def test_an_item_without_audio_is_not_played() -> None:
    audio = OutputAudio()
    audio.played("a", 5)
    assert (audio.heard_ms("a"), audio.playing) == (0, None)


def test_a_player_that_is_late_does_not_bring_back_what_was_cut_off() -> None:
    audio = OutputAudio()
    audio.append("a", bytes(4800))
    audio.played("a", 50)
    audio.cut("a", 40)
    audio.played("a", 90)
    audio.cut("unknown", 0)
    assert (audio.heard_ms("a"), audio.playing) == (40, None)
    assert audio.remove("a") is False
