"""Durations, sizes, secrets and audio formats."""

import pytest

from agentkit.values import AudioFormat, Secret, parse_duration, parse_size


@pytest.mark.parametrize(
    "text, seconds",
    [("250ms", 0.25), ("5s", 5), ("1.5s", 1.5), ("15m", 900), ("2h", 7200), ("30d", 2_592_000), ("0s", 0)],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["5", "", "s", "-5s", "5 s", "5sec", "1e3s", "\u0665s", "5s\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration is"):
        parse_duration(text)


@pytest.mark.parametrize("text, size", [("512B", 512), ("64KiB", 65_536), ("1MiB", 1_048_576), ("2GB", 2 * 10**9)])
def test_a_size_is_read_as_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["1", "1mib", "MiB", "-1B", "1 MiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a size is"):
        parse_size(text)


def test_a_secret_is_shown_masked_and_revealed_only_when_asked() -> None:
    secret = Secret("canary")
    assert "canary" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "canary"


def test_secrets_compare_by_what_they_hold() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert str(Secret("")) == ""
    assert repr(Secret("")) == "Secret('')"


@pytest.mark.parametrize("text", ["pcm16@24000", "g711_ulaw@8000", "g711_alaw@8000"])
def test_an_audio_format_is_written_as_it_is_read(text: str) -> None:
    assert str(AudioFormat.parse(text)) == text


@pytest.mark.parametrize("text", ["pcm16", "pcm16@", "pcm16@7999", "pcm16@48001", "mp3@24000", "pcm16@24000 "])
def test_what_is_no_audio_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="audio format"):
        AudioFormat.parse(text)
