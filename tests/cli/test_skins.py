"""What a pipe is told on stderr beside the answer."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]


def test_a_call_that_times_out_is_a_warning_with_its_place(run: Callable[..., Done]) -> None:
    done = run("run", "--set", "tools[1].timeout=10ms", "-p", "wait at the gate")
    assert done.stdout == "gate timed out after 0.01 s\n"
    assert done.stderr == "at the gate now\nwarning: tool gate timed out after 0.01 s (agent.yaml:7:5)\n"
    assert "warning" not in run("run", "-q", "--set", "tools[1].timeout=10ms", "-p", "wait at the gate").stderr


def test_an_error_that_a_tool_tells_is_a_warning_with_its_place(run: Callable[..., Done]) -> None:
    done = run("run", "-p", "break something")
    assert (done.returncode, done.stdout) == (0, "it is broken\n")
    assert done.stderr == "warning: tool broken: it is broken (agent.yaml:8:5)\n"


def test_a_refusal_of_the_users_own_is_no_second_warning(run: Callable[..., Done]) -> None:
    done = run("run", "--set", "tools[0].approve=ask", "--approve", "none", "-p", "add 2 and 3")
    assert done.stderr.count("warning:") == 1
    assert "needs approval" in done.stderr


def test_a_recording_is_told_of_in_a_pipe(run: Callable[..., Done]) -> None:
    pytest.importorskip("agentkit_observe")
    done = run("run", "--record", "-p", "add 2 and 3")
    assert done.stdout == "5\n"
    assert done.stderr.count("is recorded") == 1
    assert "is recorded" not in run("run", "-q", "--record", "-p", "add 2 and 3").stderr


def test_the_line_end_of_what_is_piped_is_not_said(run: Callable[..., Done]) -> None:
    for stdin in ("add 2 and 3\n", "add 2 and 3\r\n", "add 2 and 3"):
        records = [json.loads(line) for line in run("run", "--json", stdin=stdin).stdout.splitlines()]
        assert [each["text"] for each in records if each["type"] == "user"] == ["add 2 and 3"]


def test_speech_for_a_server_without_an_ear_has_a_way_out(run: Callable[..., Done], folder: Path) -> None:
    (folder / "said.pcm").write_bytes(b"\x00\x20\x00\xe0" * 24_000)
    done = run("run", "--ptt", "--input", "pcm:said.pcm")
    assert done.returncode == 3
    assert "--set provider.with.speech=tones" in done.stderr
    assert "or send text" in done.stderr


def test_a_voice_from_a_server_without_one_is_an_error(run: Callable[..., Done]) -> None:
    done = run("run", "--voice", "-p", "add 2 and 3")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the server does not speak" in done.stderr
    spoken = run("run", "--voice", "--set", "provider.with.speech=tones", "-p", "add 2 and 3")
    assert (spoken.returncode, spoken.stdout) == (0, "5\n")
