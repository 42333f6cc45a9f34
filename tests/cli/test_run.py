import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
Started = subprocess.Popen[bytes]
POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals and redirections")


def records(done: Done) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(done: Done, kind: str) -> list[dict[str, object]]:
    return [record for record in records(done) if record["type"] == kind]


# One question


def test_a_prompt_is_answered_on_stdout_and_nothing_else_is_said(run: Callable[..., Done]) -> None:
    done = run("run", "-p", "add 2 and 3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")


def test_the_configuration_can_be_named(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").rename(folder / "other.yaml")
    assert run("run", "other.yaml", "-p", "add 2 and 3").stdout == "5\n"


def test_a_missing_default_configuration_says_what_to_do(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").unlink()
    done = run("run", "-p", "hello")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: there is no agent.yaml in this directory\n"
        "  agentkit new agent writes one; agentkit run --demo needs none\n"
    )


def test_a_demonstration_needs_no_configuration(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").unlink()
    done = run("run", "--demo", "-p", "roll 2 dice")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"You rolled [1-6] and [1-6]\.\n", done.stdout)


def test_a_missing_default_configuration_names_the_one_to_begin_with(run: Callable[..., Done], folder: Path) -> None:
    (folder / "configs").mkdir()
    (folder / "agent.yaml").rename(folder / "configs/quickstart.yaml")
    (folder / "configs/another.yaml").write_text("version: 1\n")
    done = run("run", "-p", "hello")
    assert done.returncode == 2
    assert done.stderr.endswith("  name a file, as configs/quickstart.yaml\n")


def test_a_mistyped_configuration_gets_the_nearest_file(run: Callable[..., Done]) -> None:
    done = run("run", "agnet.yaml", "-p", "hello")
    assert done.returncode == 2
    assert done.stderr == "error: there is no file agnet.yaml\n  did you mean agent.yaml?\n"


def test_a_folder_is_no_configuration(run: Callable[..., Done]) -> None:
    done = run("run", ".", "-p", "hello")
    assert done.returncode == 2
    assert "is a directory" in done.stderr


def test_a_wrong_configuration_is_explained_with_its_place(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text("agent: {nmae: x, nmae2: 1}\nprovider: {use: local}\n")
    done = run("run", "-p", "hello")
    assert (done.returncode, done.stdout) == (2, "")
    assert "agent.yaml:1:9" in done.stderr
    assert "agent.yaml:1:18" in done.stderr
    assert "did you mean `name`" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_configuration_can_come_from_stdin(run: Callable[..., Done]) -> None:
    done = run("run", "-", "-p", "hello", stdin="agent: {}\nprovider: {use: local}\n")
    assert done.returncode == 0
    assert "no tools" in done.stdout


def test_a_configuration_from_stdin_leaves_no_question(run: Callable[..., Done]) -> None:
    done = run("run", "-", stdin="agent: {}\nprovider: {use: local}\n")
    assert done.returncode == 2
    assert "-p" in done.stderr


def test_stdin_is_one_turn(run: Callable[..., Done]) -> None:
    assert run("run", stdin="add 2\nand 3\n").stdout == "5\n"


def test_the_prompt_is_put_before_stdin(run: Callable[..., Done]) -> None:
    done = run("run", "-p", "add 2 and", "--json", stdin="3\n")
    assert [user["text"] for user in of(done, "user")] == ["add 2 and\n\n3"]


def test_an_empty_stdin_is_said(run: Callable[..., Done]) -> None:
    done = run("run", stdin=" \n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "stdin is empty, so there is nothing to ask" in done.stderr


def test_an_empty_prompt_is_said(run: Callable[..., Done]) -> None:
    done = run("run", "-p", "")
    assert done.returncode == 2
    assert "-p is empty" in done.stderr


def test_stdin_that_is_no_utf8_is_taken_as_it_can_be(run: Callable[..., Done]) -> None:
    assert run("run", stdin=b"\xff\xfe add 2 and 3").returncode == 0


def test_what_a_tool_prints_is_not_in_the_answer(run: Callable[..., Done]) -> None:
    done = run("run", "-p", "shout loudly")
    assert done.stdout == "shouted\n"
    assert done.stderr == "printed by the tool\n"


def test_terminal_codes_of_a_tool_do_not_reach_the_terminal(run: Callable[..., Done]) -> None:
    assert run("run", "-p", "send an escape").stdout == "redend\n"


def test_verbose_tells_tools_and_turns_on_stderr(run: Callable[..., Done]) -> None:
    done = run("run", "-v", "-p", "add 2 and 3")
    assert done.stdout == "5\n"
    assert "tool add: ok" in done.stderr
    assert "turn 1: completed" in done.stderr


def test_settings_are_overridden(run: Callable[..., Done]) -> None:
    done = run("run", "--set", "agent.name=other", "--json", "-p", "hello")
    assert of(done, "session")[0]["agent"] == "other"


def test_a_wrong_override_names_itself(run: Callable[..., Done]) -> None:
    done = run("run", "--set", "agent.nmae=other", "-p", "hello")
    assert done.returncode == 2
    assert "--set agent.nmae" in done.stderr


def test_demo_uses_the_embedded_server_whatever_the_file_says(run: Callable[..., Done], folder: Path) -> None:
    text = (folder / "agent.yaml").read_text()
    (folder / "agent.yaml").write_text(text.replace("{use: local}", "{use: openai, with: {model: x}}"))
    assert run("run", "--demo", "-p", "add 2 and 3").stdout == "5\n"


def test_no_tools_offers_none(run: Callable[..., Done]) -> None:
    done = run("run", "--no-tools", "--json", "-p", "add 2 and 3")
    assert of(done, "session")[0]["tools"] == []
    assert of(done, "tool") == []


def test_a_greeting_is_not_in_the_answer(run: Callable[..., Done]) -> None:
    assert run("run", "--set", "agent.greeting=Welcome!", "-p", "add 2 and 3").stdout == "5\n"


# Lines


def test_each_line_is_a_turn(run: Callable[..., Done]) -> None:
    done = run("run", "--lines", stdin="add 2 and 3\n\nadd 4 and 5\r\nadd 1 and 1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n\n9\n\n2\n", "")


def test_a_line_is_answered_before_the_next_is_given(start: Callable[..., Started]) -> None:
    process = start("run", "--lines")
    assert process.stdin is not None
    assert process.stdout is not None
    for question, answer in ((b"add 2 and 3\n", b"5\n"), (b"add 4 and 4\n", b"\n8\n")):
        process.stdin.write(question)
        process.stdin.flush()
        assert b"".join(process.stdout.readline() for _ in answer.splitlines()) == answer
    process.stdin.close()
    assert process.wait(10) == 0


def test_lines_and_a_prompt_exclude_each_other(run: Callable[..., Done]) -> None:
    assert run("run", "--lines", "-p", "x").returncode == 2


# NDJSON


def test_json_tells_everything_in_order(run: Callable[..., Done]) -> None:
    done = run("run", "--json", "-p", "add 2 and 3")
    assert done.returncode == 0
    assert done.stderr == ""
    told = records(done)
    assert all(record["v"] == 1 for record in told)
    kinds = [f"{record['type']}:{record.get('event') or record.get('state') or ''}" for record in told]
    assert kinds == [
        "session:",
        "state:listening",
        "state:thinking",
        "user:final",
        "state:tool",
        "tool:start",
        "state:thinking",
        "tool:end",
        "state:speaking",
        "agent:delta",
        "agent:final",
        "state:listening",
        "turn:",
        "end:",
    ]


def test_json_tells_a_tools_start_and_end_with_its_place(run: Callable[..., Done]) -> None:
    begun, ended = of(run("run", "--json", "-p", "add 2 and 3"), "tool")
    assert begun["arguments"] == {"a": 2, "b": 3}
    assert begun["where"] == ended["where"] == "agent.yaml:6:5"
    assert (ended["ok"], ended["status"], ended["output"]) == (True, "ok", "5")
    assert isinstance(ended["ms"], float)


def test_json_tells_a_turns_latency(run: Callable[..., Done]) -> None:
    (turn,) = of(run("run", "--json", "-p", "add 2 and 3"), "turn")
    assert turn["text"] == "5"
    assert turn["tool_calls"] == 1
    assert isinstance(turn["latency_ms"], float)


def test_json_takes_lines_too(run: Callable[..., Done]) -> None:
    done = run("run", "--json", "--lines", stdin="add 2 and 3\nadd 3 and 4\n")
    assert [turn["text"] for turn in of(done, "turn")] == ["5", "7"]
    assert of(done, "end")[0]["turns"] == 2


def test_json_of_a_failed_tool_says_why(run: Callable[..., Done]) -> None:
    ended = of(run("run", "--json", "-p", "break something"), "tool")[1]
    assert (ended["ok"], ended["status"]) == (False, "error")
    assert "it is broken" in str(ended["output"])


def test_json_holds_no_control_characters(run: Callable[..., Done]) -> None:
    out = run("run", "--json", "-p", "send an escape").stdout
    assert not [char for char in out if char != "\n" and (char < " " or "\x7f" <= char <= "\x9f")]


# Ends


def test_a_turn_limit_lets_the_last_answer_out(run: Callable[..., Done]) -> None:
    done = run("run", "--max-turns", "1", "-p", "add 2 and 3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")


def test_a_turn_limit_stops_the_next_line(run: Callable[..., Done]) -> None:
    done = run("run", "--max-turns", "1", "--lines", stdin="add 2 and 3\nadd 4 and 5\n")
    assert (done.returncode, done.stdout) == (5, "5\n")
    assert "limits.turns" in done.stderr


def test_a_time_limit_stops_a_turn(run: Callable[..., Done]) -> None:
    done = run("run", "--max-time", "300ms", "-p", "wait at the gate")
    assert (done.returncode, done.stdout) == (5, "")
    (line,) = done.stderr.splitlines()[1:]
    assert line == "ended: the session has lasted 0.3 s, its limit (limits.session_time)"


def test_a_time_without_a_unit_is_explained(run: Callable[..., Done]) -> None:
    done = run("run", "--max-time", "5", "-p", "x")
    assert done.returncode == 2
    assert "5s" in done.stderr


def test_a_provider_that_cannot_be_reached_is_one_line(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(
        'agent: {}\nprovider: {use: compatible, with: {url: "ws://127.0.0.1:1/v1/realtime"}}\n'
    )
    done = run("run", "-p", "hello")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_json_tells_of_a_provider_that_cannot_be_reached(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(
        'agent: {}\nprovider: {use: compatible, with: {url: "ws://127.0.0.1:1/v1/realtime"}}\n'
    )
    done = run("run", "--json", "-p", "hello")
    assert [record["type"] for record in records(done)] == ["error", "end"]
    assert of(done, "end")[0]["exit_code"] == done.returncode == 3


def test_a_reader_that_goes_away_ends_it_quietly(folder: Path, environ: dict[str, str]) -> None:
    questions = "add 2 and 3\n" * 200
    done = subprocess.run(
        [sys.executable, "-c", PIPED, sys.executable, "-m", "agentkit", "run", "--lines"],
        cwd=folder,
        env=environ,
        input=questions,
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )
    assert (done.stdout, done.stderr) == ("first 5\ncode 0\n", "")


PIPED = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
print("first", child.stdout.readline().decode().strip())
child.stdout.close()
print("code", child.wait())
"""


@POSIX
def test_a_closed_stdout_is_survived(folder: Path, environ: dict[str, str]) -> None:
    command = f'"{sys.executable}" -m agentkit run -p "add 2 and 3" >&-'
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
def test_a_full_disk_is_one_line(folder: Path, environ: dict[str, str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "agentkit", "run", "-p", "add 2 and 3"],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.decode() == "error: stdout cannot be written: No space left on device\n"


def wait_for(process: Started, kind: str, event: str = "") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        record = json.loads(line)
        if record["type"] == kind and record.get("event", "") == event:
            return
    raise AssertionError(f"no {kind} {event}")


@POSIX
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
def test_a_signal_ends_a_turn_in_good_order(start: Callable[..., Started], number: int, code: int) -> None:
    process = start("run", "--json", "-p", "wait at the gate")
    assert process.stdin is not None
    process.stdin.close()
    wait_for(process, "tool", "start")
    process.send_signal(number)
    wait_for(process, "end")
    assert process.wait(10) == code
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()


@POSIX
def test_a_signal_ends_the_wait_for_a_line(start: Callable[..., Started]) -> None:
    process = start("run", "--json", "--lines")
    wait_for(process, "session")
    process.send_signal(signal.SIGTERM)
    wait_for(process, "end")
    assert process.wait(10) == 143


# Answers that are none


@pytest.fixture
def moody(run: Callable[..., Done], folder: Path, guard: dict[str, str]) -> Callable[..., Done]:
    """Run an agent that may fail or be silent."""
    (folder / "agent.yaml").write_text("agent: {}\nprovider: {use: local, with: {responder: moody}}\n")
    return lambda *arguments, stdin="": run("run", *arguments, stdin=stdin, env=guard)


def test_an_empty_answer_is_the_answer_no(moody: Callable[..., Done]) -> None:
    done = moody("-p", "be silent")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: the agent gave no answer\n")


def test_a_failed_response_is_one_line(moody: Callable[..., Done]) -> None:
    done = moody("-p", "fail")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[0].startswith("error: ")
    assert "I will not" in done.stderr
    assert "Traceback" not in done.stderr


def test_lines_go_on_after_a_failed_one(moody: Callable[..., Done]) -> None:
    done = moody("--lines", stdin="one\nfail\nbe silent\ntwo\n")
    assert (done.returncode, done.stdout) == (3, "you said one\n\nyou said two\n")


def test_json_of_a_failed_response_has_its_code(moody: Callable[..., Done]) -> None:
    (error,) = of(moody("--json", "-p", "fail"), "error")
    assert (error["code"], error["retryable"]) == ("unwilling", False)


def test_what_a_layer_makes_of_the_answer_is_what_is_shown(run: Callable[..., Done], guard: dict[str, str]) -> None:
    calm = ("--set", "middleware=[{use: calm}]", "-p", "add 2 and 3")
    assert run("run", *calm, env=guard).stdout == "five\n"
    told = [json.loads(line) for line in run("run", *calm, "--json", env=guard).stdout.splitlines()]
    assert [record["text"] for record in told if record["type"] in ("agent", "turn")] == ["five"] * 3


def test_a_greeting_is_shown_where_a_layer_handles_the_answers(run: Callable[..., Done], guard: dict[str, str]) -> None:
    done = run(
        "run", "--set", "middleware=[{use: calm}]", "--set", "agent.greeting=Hi.", "-p", "add 1 and 1", env=guard
    )
    assert done.stdout == "2\n"


def test_why_a_tool_failed_is_told_to_the_person_and_not_to_the_model(run: Callable[..., Done], folder: Path) -> None:
    (folder / "odd.py").write_text("def explode() -> str:\n    raise RuntimeError('kaboom')\n")
    done = run("run", "--set", "tools=[{python: './odd.py:explode'}]", "-p", "explode")
    assert "kaboom" not in done.stdout
    assert "tool explode failed: RuntimeError: kaboom (odd.py:2)" in done.stderr
    assert "-vv" in done.stderr
