import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
WRONG = "agent: {nmae: x}\nprovider: {use: local}\ntools: [{use: wether}]\n"


def test_what_is_valid_is_said(run: Callable[..., Done]) -> None:
    done = run("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "agent.yaml: valid: provider local, 7 tools, 0 middleware\n"


def test_every_mistake_is_told_with_its_place(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text("agent: {nmae: x}\nprovider: {use: local}\nsession: {voise: x}\n")
    done = run("check")
    assert done.returncode == 1
    assert "agent.yaml:1:9" in done.stdout
    assert "agent.yaml:3:11" in done.stdout
    assert "Found 2 errors in 1 file" in done.stdout


def test_a_pipe_gets_no_colour_and_no_wrapping(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(WRONG)
    assert "\x1b" not in run("check").stdout
    assert "\x1b" in run("check", "--color", "always").stdout


def test_concise_is_a_line_each(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(WRONG)
    first = run("check", "--format", "concise").stdout.splitlines()[0]
    assert first == "agent.yaml:1:9: error[AK101] unknown key `nmae` (did you mean `name`?)"


def test_json_is_one_document(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(WRONG)
    told = json.loads(run("check", "--format", "json").stdout)
    assert told["v"] == 1
    assert (told["diagnostics"][0]["line"], told["diagnostics"][0]["code"]) == (1, "AK101")


def test_several_files_are_checked_in_one_go(run: Callable[..., Done], folder: Path) -> None:
    (folder / "wrong.yaml").write_text(WRONG)
    done = run("check", "agent.yaml", "wrong.yaml")
    assert done.returncode == 1
    assert "wrong.yaml:1:9" in done.stdout
    assert "agent.yaml: valid" in done.stdout


def test_stdin_is_checked_under_a_name(run: Callable[..., Done]) -> None:
    done = run("check", "-", "--stdin-name", "made.yaml", stdin=WRONG)
    assert done.returncode == 1
    assert "made.yaml:1:9" in done.stdout


@pytest.mark.parametrize("name", ["gone.yaml", "."])
def test_what_cannot_be_read_is_bad_usage(run: Callable[..., Done], name: str) -> None:
    done = run("check", name)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_file_that_is_no_text_is_told(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_bytes(b"\xff\xfe\x00")
    done = run("check")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stdout + done.stderr


def test_a_wrong_file_sent_by_stdin_to_a_terminal_is_refused(run: Callable[..., Done]) -> None:
    done = run("check", "-", stdin=b"\xff")
    assert done.returncode == 2
    assert "not UTF-8" in done.stderr
