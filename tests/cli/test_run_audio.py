import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentkit.audio import Samples, as_samples, merge, read_wav, to_bytes, write_wav
from agentkit.cli.resampling import resampled
from agentkit.events import AudioFormat
from agentkit.local import decode_tones, encode_tones

Done = subprocess.CompletedProcess[str]
Started = subprocess.Popen[bytes]
TONES = ("--set", "provider.with.speech=tones")
RATE = 24_000


def spoken(text: str) -> Samples:
    return as_samples(encode_tones(text, AudioFormat(rate=RATE)))


def silence(ms: int) -> Samples:
    return np.zeros(RATE * ms // 1000, dtype=np.int16)


def heard(samples: Samples, rate: int = RATE) -> str:
    return decode_tones(to_bytes(samples), AudioFormat(rate=rate))


def of(done: Done, kind: str) -> list[dict[str, Any]]:
    return [record for line in done.stdout.splitlines() if (record := json.loads(line))["type"] == kind]


@pytest.fixture
def call(folder: Path) -> Path:
    """A file with two questions, the second of which ends with the file."""
    audio = merge(silence(200), spoken("add 2 and 3"), silence(700), spoken("add 4 and 5"))
    write_wav(folder / "call.wav", audio, rate=RATE)
    return folder / "call.wav"


def test_a_file_is_spoken_and_answered_utterance_by_utterance(run: Callable[..., Done], call: Path) -> None:
    done = run("run", *TONES, "--input", "call.wav")
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n\n9\n", "")


def test_what_was_said_and_done_is_in_the_records(run: Callable[..., Done], call: Path) -> None:
    done = run("run", *TONES, "--input", "call.wav", "--json")
    assert [user["text"] for user in of(done, "user") if user["event"] == "final"] == ["add 2 and 3", "add 4 and 5"]
    assert [turn["text"] for turn in of(done, "turn")] == ["5", "9"]
    states = [record["state"] for record in of(done, "state")]
    utterance = ["hearing", "thinking", "tool", "thinking", "speaking", "listening"]
    assert states == ["listening", *utterance, *utterance]


def test_the_agents_voice_is_written_as_it_is_heard(run: Callable[..., Done], call: Path, folder: Path) -> None:
    done = run("run", *TONES, "--input", "call.wav", "--output", "reply.wav", "--json")
    assert done.returncode == 0
    assert of(done, "session")[0]["output"] == "audio"
    reply = read_wav(folder / "reply.wav")
    assert (reply.rate, heard(reply.samples)) == (RATE, "59")


def test_a_typed_question_can_be_answered_by_voice(run: Callable[..., Done], folder: Path) -> None:
    done = run("run", *TONES, "-p", "add 2 and 3", "--output", "reply.wav")
    assert (done.returncode, done.stdout) == (0, "5\n")
    assert heard(read_wav(folder / "reply.wav").samples) == "5"


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_a_file_of_another_rate_and_two_channels_is_heard(run: Callable[..., Done], folder: Path, rate: int) -> None:
    one = resampled(spoken("add 2 and 3"), RATE, rate)
    write_wav(folder / "call.wav", np.repeat(one, 2), rate=rate, channels=2)
    assert run("run", *TONES, "--input", "call.wav").stdout == "5\n"


def test_a_session_in_g711_hears_and_speaks_through_the_same_files(run: Callable[..., Done], folder: Path) -> None:
    write_wav(folder / "call.wav", spoken("add 2 and 3"), rate=RATE)
    formats = ("--set", "session.input_format=g711_ulaw@8000", "--set", "session.output_format=g711_alaw@8000")
    assert run("run", *TONES, *formats, "--input", "call.wav", "--output", "reply.wav").stdout == "5\n"
    reply = read_wav(folder / "reply.wav")
    assert (reply.rate, heard(reply.samples, 8000)) == (8000, "5")
    run("run", *TONES, *formats, "--input", "call.wav", "--output", "pcm:reply.pcm")
    assert heard(as_samples((folder / "reply.pcm").read_bytes())) == "5"


def test_push_to_talk_makes_one_turn_of_a_file(run: Callable[..., Done], folder: Path) -> None:
    write_wav(folder / "call.wav", merge(spoken("add 2 "), silence(900), spoken("and 3")), rate=RATE)
    done = run("run", *TONES, "--ptt", "--input", "call.wav", "--json")
    assert [turn["text"] for turn in of(done, "turn")] == ["5"]


def test_push_to_talk_in_the_configuration_does_the_same(run: Callable[..., Done], folder: Path) -> None:
    write_wav(folder / "call.wav", merge(spoken("add 2 "), silence(900), spoken("and 3")), rate=RATE)
    assert run("run", *TONES, "--set", "session.turn.mode=push_to_talk", "--input", "call.wav").stdout == "5\n"


def test_a_file_without_speech_is_the_answer_no(run: Callable[..., Done], folder: Path) -> None:
    write_wav(folder / "call.wav", silence(1500), rate=RATE)
    done = run("run", *TONES, "--input", "call.wav")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == "error: no speech was found in call.wav"


def test_a_press_too_short_is_no_turn(run: Callable[..., Done], folder: Path) -> None:
    write_wav(folder / "call.wav", silence(50), rate=RATE)
    done = run("run", *TONES, "--ptt", "--input", "call.wav")
    assert done.returncode == 1
    assert "less than 100 ms" in done.stderr


# Pipes


def test_raw_audio_goes_through_pipes(start: Callable[..., Started]) -> None:
    process = start("run", *TONES, "--input", "pcm:-", "--output", "pcm:-")
    out, errors = process.communicate(to_bytes(spoken("add 2 and 3")), timeout=15)
    assert (process.returncode, errors) == (0, b"")
    assert heard(as_samples(out)) == "5"


def test_raw_audio_on_stdin_from_a_file_needs_no_clock(folder: Path, environ: dict[str, str]) -> None:
    (folder / "call.pcm").write_bytes(to_bytes(merge(spoken("add 2 and 3"), silence(700), spoken("add 4 and 5"))))
    with open(folder / "call.pcm", "rb") as stdin:
        command = [sys.executable, "-m", "agentkit", "run", *TONES, "--input", "pcm:-"]
        done = subprocess.run(
            command, cwd=folder, env=environ, stdin=stdin, capture_output=True, check=False, timeout=15
        )
    assert (done.returncode, done.stdout) == (0, b"5\n\n9\n")


def test_who_speaks_into_a_pipe_cuts_the_agent_off(start: Callable[..., Started], folder: Path) -> None:
    process = start("run", *TONES, "--input", "pcm:-", "--output", "reply.wav", "--json")
    audio = merge(spoken("hello"), silence(1300), spoken("add 2 and 3"))
    out, _ = process.communicate(to_bytes(audio), timeout=18)
    told = [json.loads(line) for line in out.splitlines()]
    (cut,) = [record for record in told if record.get("event") == "interrupted"]
    assert cut["text"].startswith("I am agentkit's rules responder, not a language model")
    assert cut["text"].startswith(cut["heard_text"])
    reply = read_wav(folder / "reply.wav").samples
    assert heard(reply).endswith("5")
    assert len(reply) < len(spoken(cut["text"])) / 2


def test_wav_goes_through_pipes_too(start: Callable[..., Started], call: Path) -> None:
    process = start("run", *TONES, "--input", "-", "--output", "-")
    out, _ = process.communicate(call.read_bytes(), timeout=15)
    assert process.returncode == 0
    (call.parent / "out.wav").write_bytes(out)
    assert heard(read_wav(call.parent / "out.wav").samples) == "59"


def test_a_player_that_goes_away_ends_it_quietly(start: Callable[..., Started]) -> None:
    process = start("run", *TONES, "-p", "add 2 and 3", "--output", "pcm:-")
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.close()
    assert process.wait(10) == 0
    assert process.stderr.read() == b""


def test_ctrl_c_leaves_a_file_that_can_be_read(start: Callable[..., Started], folder: Path) -> None:
    if os.name != "posix":
        pytest.skip("Windows has no such signals")
    process = start("run", *TONES, "--lines", "--json", "--output", "reply.wav")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"add 2 and 3\nwait at the gate\n")
    process.stdin.flush()
    for line in process.stdout:
        record = json.loads(line)
        if record["type"] == "tool" and record["name"] == "gate":
            break
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert heard(read_wav(folder / "reply.wav").samples) == "5"


# What does not go


def test_a_server_without_ears_says_what_to_do(run: Callable[..., Done], call: Path) -> None:
    done = run("run", "--input", "call.wav")
    assert (done.returncode, done.stdout) == (3, "")
    assert "no speech recognition" in done.stderr


def test_a_server_without_a_voice_is_said_before_anything_is_written(run: Callable[..., Done], folder: Path) -> None:
    done = run("run", "-p", "add 2 and 3", "--output", "reply.wav")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the server does not speak, so reply.wav would get nothing" in done.stderr
    assert not (folder / "reply.wav").exists()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--input", "none.wav"), "there is no file none.wav"),
        (("--input", "agent.yaml"), "is no WAV file"),
        (("--input", "pcm:empty"), "empty has no audio"),
        (("--input", "call.wav", "-p", "x"), "--input is all that is said"),
        (("--input", "call.wav", "--lines"), "--input is all that is said"),
        (("--input", "call.wav", "--output", "reply.mp3"), "reply.mp3 is no WAV file"),
        (("--input", "call.wav", "--output", "none/reply.wav"), "there is no directory none"),
        (("--input", "call.wav", "--output", "pcm:-", "--json"), "stdout cannot take both"),
        (("--output", "reply.wav", "--text", "-p", "x"), "--text has no voice"),
        (("--ptt", "-p", "x"), "--ptt is about speech"),
    ],
)
def test_what_does_not_go_is_said(run: Callable[..., Done], call: Path, arguments: tuple[str, ...], said: str) -> None:
    (call.parent / "empty").write_bytes(b"")
    done = run("run", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


# In NDJSON


def test_audio_is_in_the_records_only_where_it_is_wanted(run: Callable[..., Done]) -> None:
    assert of(run("run", *TONES, "--voice", "--json", "-p", "add 2 and 3"), "audio") == []
    pieces = of(run("run", *TONES, "--voice", "--json-audio", "-p", "add 2 and 3"), "audio")
    assert {(piece["format"], piece["rate"]) for piece in pieces} == {("audio/pcm", RATE)}
    assert heard(as_samples(b"".join(base64.b64decode(piece["data"]) for piece in pieces))) == "5"


def test_events_of_the_wire_have_no_audio_in_them(run: Callable[..., Done], call: Path) -> None:
    done = run("run", *TONES, "--input", "call.wav", "--json", "--events", "input_audio_buffer.*")
    told = [(record["direction"], record["event"]["type"]) for record in of(done, "event")]
    assert ("in", "input_audio_buffer.speech_started") in told
    appended = [record["event"] for record in of(done, "event") if record["event"]["type"].endswith("append")]
    assert all(event["audio"].endswith("characters of base64>") for event in appended)
    assert {kind for _, kind in told} >= {"input_audio_buffer.append", "input_audio_buffer.committed"}


def test_without_json_events_of_the_wire_are_lines_on_stderr(run: Callable[..., Done]) -> None:
    done = run("run", "-p", "add 2 and 3", "--events", "response.created")
    assert done.stdout == "5\n"
    assert [line.split(" ")[0] for line in done.stderr.splitlines()] == ["<-", "<-"]
