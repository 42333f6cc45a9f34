import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.terminals import OpenTerminal

Done = subprocess.CompletedProcess[str]
Started = subprocess.Popen[bytes]
POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals and redirections")
RATES = ("--set", "limits.rates={input: 1000, output: 1000}")


def shell(command: str, folder: Path, environ: dict[str, str]) -> Done:
    """Run a line of a shell, in which ``agentkit`` is the program."""
    line = f'agentkit() {{ "{sys.executable}" -m agentkit "$@"; }}; {command}'
    return subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )


def until(process: Started, kind: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["type"] == kind:
            return
    raise AssertionError(f"no {kind}")


# Streams


@POSIX
@pytest.mark.parametrize(
    "command, code, out",
    [
        ("agentkit run -p 'add 2 and 3'", 0, "5\n"),
        ("echo add 2 and 3 | agentkit run", 0, "5\n"),
        ("agentkit run -p 'add 2 and 3' <&-", 0, "5\n"),
        ("agentkit run -p 'add 2 and 3' 2>&-", 0, "5\n"),
        ("agentkit run -p 'add 2 and 3' >&-", 0, ""),
        ("agentkit run <&-", 2, ""),
        ("agentkit run --lines <&-", 0, ""),
        ("agentkit run -p 'add 2 and 3' | head -1", 0, "5\n"),
        ("NO_COLOR=1 TERM=dumb agentkit run -p 'add 2 and 3'", 0, "5\n"),
    ],
)
def test_the_answer_and_nothing_else_is_in_the_pipe(
    folder: Path, environ: dict[str, str], command: str, code: int, out: str
) -> None:
    done = shell(command, folder, environ)
    assert (done.returncode, done.stdout) == (code, out)
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr


@POSIX
def test_a_reader_of_records_that_goes_away_ends_it_quietly(folder: Path, environ: dict[str, str]) -> None:
    for command in ("agentkit run --json -p 'add 2 and 3' | true", "agentkit run --json -p 'add 2 and 3' | head -1"):
        done = shell(command, folder, environ)
        assert (done.returncode, done.stderr) == (0, "")


@POSIX
def test_a_long_answer_is_not_wrapped(folder: Path, environ: dict[str, str]) -> None:
    done = shell("agentkit run -p hello", folder, {**environ, "COLUMNS": "40"})
    assert max(map(len, done.stdout.splitlines())) > 40


@POSIX
def test_the_terminal_tells_what_is_waited_for(open_terminal: "OpenTerminal") -> None:
    terminal = open_terminal("-p", "wait at the gate")
    terminal.expect("tool gate runs (Ctrl-C stops it)")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "connecting to local" in terminal.raw


@POSIX
def test_what_was_waited_for_leaves_nothing_behind(open_terminal: "OpenTerminal") -> None:
    terminal = open_terminal("-p", "add 2 and 3")
    assert terminal.end() == 0
    assert terminal.screen == ["5"]
    assert "thinking" in terminal.raw


@POSIX
def test_without_colour_nothing_is_drawn_on_the_terminal(open_terminal: "OpenTerminal") -> None:
    terminal = open_terminal("-p", "add 2 and 3", variables={"NO_COLOR": "1"})
    assert terminal.end() == 0
    assert terminal.raw == "5\r\n"


# Exit codes


def test_code_0_and_1_and_2_and_3(run: Callable[..., Done], folder: Path) -> None:
    assert run("run", "-p", "add 2 and 3").returncode == 0
    assert run("run", "--input", "agent.yaml").returncode == 2
    assert run("sessions", "show", "none").returncode == 2
    address = 'provider={use: compatible, with: {url: "ws://127.0.0.1:1/v1"}}'
    assert run("run", "--set", address, "-p", "x").returncode == 3


@POSIX
@pytest.mark.parametrize("flag", ["--voice", "--ptt"])
def test_a_microphone_that_is_not_there_is_code_4(open_terminal: "OpenTerminal", flag: str) -> None:
    terminal = open_terminal(flag)
    terminal.expect("pip install agentkit-realtime-audio")
    assert terminal.end() == 4


@pytest.mark.parametrize("flag", ["--input-device", "--output-device"])
def test_a_device_needs_the_package_of_audio(run: Callable[..., Done], flag: str) -> None:
    done = run("run", flag, "3", "-p", "add 2 and 3")
    assert (done.returncode, done.stdout) == (4, "")
    assert "pip install agentkit-realtime-audio" in done.stderr


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--max-turns", "1"), "limits.turns"),
        ((*RATES, "--max-cost", "0.0001"), "limits.cost_usd"),
        (("--max-turns", "1", "--set", "limits.on_limit=say_goodbye"), "limits.turns"),
    ],
)
def test_a_limit_is_code_5(run: Callable[..., Done], flags: tuple[str, ...], said: str) -> None:
    done = run("run", *flags, "--lines", stdin="hello\nadd 4 and 5\n")
    assert (done.returncode, "9" in done.stdout) == (5, False)
    assert said in done.stderr


SLOW = """
import anyio
from agentkit import tool

@tool(examples=["sleep"])
async def asleep() -> str:
    \"\"\"Sleep.\"\"\"
    await anyio.sleep(30)
    return "slept"

@tool(background=True, examples=["work behind"])
async def behind() -> str:
    \"\"\"Work behind.\"\"\"
    await anyio.sleep(30)
    return "worked"
"""


@pytest.mark.parametrize("said", ["sleep", "work behind"])
@pytest.mark.parametrize("flags, last", [((), ""), (("--set", "limits.on_limit=say_goodbye"), "Goodbye.\n")])
def test_a_limit_that_stops_the_last_call_is_told(
    run: Callable[..., Done], folder: Path, said: str, flags: tuple[str, ...], last: str
) -> None:
    (folder / "slow.py").write_text(SLOW)
    (folder / "agent.yaml").write_text(
        "agent: {}\nprovider: {use: local}\ntools: [{python: ./slow.py:asleep}, {python: ./slow.py:behind}]\n"
    )
    done = run("run", "--max-time", "200ms", *flags, "-p", said)
    assert done.returncode == 5
    assert done.stdout.endswith(last)
    assert "ended: the session has lasted 0.2 s, its limit (limits.session_time)" in done.stderr


def test_a_limit_of_time_does_not_wait_for_an_input_that_may_never_come(
    start: Callable[..., "subprocess.Popen[bytes]"],
) -> None:
    process = start("run", "--lines", "--set", "limits.idle_time=200ms")
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b"add 4 and 5\n")
    process.stdin.flush()
    assert process.wait() == 5
    assert b"limits.idle_time" in process.stderr.read()


@pytest.mark.parametrize("cost", ["0", "-1", "much"])
def test_a_cost_that_is_none_is_refused(run: Callable[..., Done], cost: str) -> None:
    assert run("run", "--max-cost", cost, "-p", "x").returncode == 2


def test_a_cost_without_rates_says_what_is_missing(run: Callable[..., Done]) -> None:
    done = run("run", "--max-cost", "0.5", "-p", "x")
    assert done.returncode == 2
    assert "rates" in done.stderr


def test_a_fault_of_our_own_is_code_70(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from agentkit.cli.main import main
    from agentkit.cli.talk import Talk

    async def fails(*_: object) -> int:
        raise RuntimeError("a wheel came off")

    monkeypatch.setattr(Talk, "run", fails)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.chdir(folder)
    assert main(["run", "--no-keep", "-p", "x"]) == 70
    assert "a wheel came off" in capsys.readouterr().err


@POSIX
@pytest.mark.parametrize(
    "number, code",
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)],
    ids=["ctrl-c", "sigterm", "sighup"],
)
@pytest.mark.parametrize("when", ["session", "tool"])
def test_a_signal_ends_it_in_good_order(start: Callable[..., Started], number: int, code: int, when: str) -> None:
    process = start("run", "--json", "--lines")
    assert process.stdin is not None
    process.stdin.write(b"wait at the gate\n" if when == "tool" else b"")
    process.stdin.flush()
    until(process, when)
    process.send_signal(number)
    until(process, "end")
    assert process.wait(10) == code
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()


# What is asked


def test_the_flags_change_the_configuration(run: Callable[..., Done]) -> None:
    done = run("run", "--json", "--text", "--max-cost", "1", *RATES, "--max-time", "1m", "-p", "add 2 and 3")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[0]["output"] == "text"
    (turn,) = [record for record in told if record["type"] == "turn"]
    assert 0 < turn["cost_usd"] == told[-1]["cost_usd"]


@pytest.mark.parametrize("flags", [("--record",), ("--record-to", "a $folder")])
def test_a_session_is_recorded_on_request(run: Callable[..., Done], folder: Path, flags: tuple[str, ...]) -> None:
    pytest.importorskip("agentkit_observe")
    done = run("run", "--json", *flags, "-p", "add 2 and 3")
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout.splitlines()[0])
    assert first["recording"] is True
    place = folder / (flags[1] if len(flags) > 1 else "recordings")
    assert [first["id"] in path.name for path in place.iterdir()] == [True]


@pytest.mark.parametrize(
    "name, said",
    [
        ("talk.wav", "--save writes words, not audio"),
        ("talk", "names no form"),
        ("none/talk.md", "there is no directory none"),
        ("folder.md", "is a directory"),
    ],
)
def test_what_cannot_be_saved_is_said_before_the_conversation(
    run: Callable[..., Done], folder: Path, name: str, said: str
) -> None:
    (folder / "folder.md").mkdir()
    done = run("run", "--save", name, "-p", "add 2 and 3")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_conversation_is_saved_in_the_form_of_the_ending(run: Callable[..., Done], folder: Path) -> None:
    run("run", "--save", "talk.json", "-p", "add 2 and 3")
    assert json.loads((folder / "talk.json").read_text())["v"] == 1
    (folder / "talk.vtt").write_text("old")
    run("run", "--save", "talk.vtt", "-p", "add 2 and 3")
    assert (folder / "talk.vtt").read_text().startswith("WEBVTT")


PYTHON = "agent: {}\nprovider: {use: local}\ntools: [{python: './tools.py:add'}]\n"


def test_a_configuration_from_stdin_may_name_code_only_where_it_is_trusted(run: Callable[..., Done]) -> None:
    refused = run("run", "-", "-p", "add 2 and 3", stdin=PYTHON)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--trust" in refused.stderr
    assert run("run", "-", "--trust", "-p", "add 2 and 3", stdin=PYTHON).stdout == "5\n"


def test_what_a_guard_says_in_the_place_of_an_answer_is_the_answer(run: Callable[..., Done]) -> None:
    pytest.importorskip("agentkit_guard")
    guard = ("--set", "guardrails=[{use: hold, with: {deny: ['5'], message: I may not say.}}]")
    done = run("run", *guard, "--lines", stdin="add 2 and 3\nadd 2 and 2\n")
    assert (done.returncode, done.stdout) == (0, "I may not say.\n\n4\n")


def test_a_user_who_approves_nothing_is_told_to_the_model_as_such(run: Callable[..., Done]) -> None:
    ask = ("--set", "tools=[{python: './tools.py:add', approve: ask}]")
    done = run("run", *ask, "--approve", "none", "-p", "add 2 and 3")
    assert done.stdout == "refused: the user approves no calls in this session\n"
    assert "none is given" in done.stderr
    assert run("run", *ask, "-p", "add 2 and 3").stdout == "refused: nobody can be asked for approval here\n"
