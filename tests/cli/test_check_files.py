"""``agentkit check`` with what is no ordinary file, and with files that change or may not be changed."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentkit.cli import fixing
from agentkit.cli.check import command
from agentkit.cli.exits import Exit, Problem

HEAD = "agent: {instructions: Be brief.}\nprovider: {use: local}\n"
TYPO = HEAD + 'limits: {turns: "4"}\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


def check(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, standalone_mode=False)


def test_a_pipe_is_no_configuration_and_is_not_waited_for(here: Path) -> None:
    os.mkfifo(here / "pipe.yaml")
    done = check("pipe.yaml", "--format", "json")
    assert done.return_value == Exit.USAGE
    (found,) = json.loads(done.stdout)["diagnostics"]
    assert (found["code"], found["message"]) == ("AK009", "cannot read pipe.yaml: it is a pipe, and no file")


@pytest.mark.parametrize(
    "text",
    [HEAD + "extends: pipe.yaml\n", "agent: {instructions: {file: pipe.yaml}}\nprovider: {use: local}\n"],
    ids=["extends", "file"],
)
def test_a_pipe_that_a_file_names_is_not_waited_for(here: Path, text: str) -> None:
    os.mkfifo(here / "pipe.yaml")
    (here / "agent.yaml").write_text(text)
    done = check("--format", "json")
    assert [each["code"] for each in json.loads(done.stdout)["diagnostics"]] == ["AK204"]


def test_pipes_in_a_folder_are_passed_over(here: Path) -> None:
    os.mkfifo(here / "pipe.yaml")
    (here / "agent.yaml").write_text(HEAD)
    done = check(".")
    assert (done.return_value, done.stdout.partition(":")[0]) == (Exit.DONE, "agent.yaml")


def test_what_the_shell_gives_as_a_file_is_read_and_not_mended(
    run: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    done = run("check", "/dev/stdin", "--format", "json", stdin=TYPO)
    (found,) = json.loads(done.stdout)["diagnostics"]
    assert (found["file"], found["line"]) == ("/dev/stdin", 3)
    done = run("check", "/dev/stdin", "--fix", stdin=TYPO)
    assert (done.returncode, done.stdout) == (2, "")
    assert "/dev/stdin is a pipe, which cannot be mended" in done.stderr


def test_an_empty_name_is_bad_usage(here: Path) -> None:
    (here / "agent.yaml").write_text(HEAD)
    error = check("").exception
    assert isinstance(error, Problem)
    assert (str(error), error.code) == ("an empty name is no configuration", Exit.USAGE)


@pytest.mark.parametrize(
    "data", [b"\x00\x01\xff", HEAD.encode("utf-16"), b"agent: \xff"], ids=["bin", "utf-16", "byte"]
)
def test_what_is_not_utf_8_cannot_be_used(here: Path, data: bytes) -> None:
    (here / "agent.yaml").write_bytes(data)
    assert check().return_value == Exit.USAGE


def test_a_name_that_is_no_text_is_escaped_in_json(here: Path) -> None:
    name = os.fsdecode(b"n\xff.yaml")
    (here / name).write_text(HEAD + "sesion: {}\n")
    done = check(name, "--format", "json")
    assert done.return_value == Exit.NO
    assert json.loads(done.stdout)["diagnostics"][0]["file"] == name


def test_a_file_that_is_edited_meanwhile_is_checked_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = here / "agent.yaml"
    path.write_text(TYPO)
    edits = iter(["# new\n" + TYPO])
    change = fixing._change

    def late(*arguments: object) -> int | None:
        path.write_text(next(edits, path.read_text()))
        return change(*arguments)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(fixing, "_change", late)
    done = check("--fix")
    assert done.stdout.startswith("Fixed 1 problem in 1 file.")
    assert path.read_text() == "# new\n" + TYPO.replace('"4"', "4")


def test_a_file_that_is_edited_all_the_time_is_left_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = here / "agent.yaml"
    path.write_text(TYPO)
    change = fixing._change

    def late(*arguments: object) -> int | None:
        path.write_text("#\n" + path.read_text())
        return change(*arguments)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(fixing, "_change", late)
    done = check("--fix")
    assert done.return_value == Exit.NO
    assert "agent.yaml is edited meanwhile, and is left alone" in done.stderr
    assert path.read_text() == "#\n" * 3 + TYPO


def test_a_file_with_another_name_or_without_the_right_is_not_changed(here: Path) -> None:
    path = here / "agent.yaml"
    path.write_text(TYPO)
    os.link(path, here / "other")
    assert "agent.yaml has another name (a hard link), and is not changed" in check("--fix").stderr
    (here / "other").unlink()
    path.chmod(0o444)
    assert "agent.yaml is write-protected, and is not changed" in check("--fix").stderr
    assert path.read_text() == TYPO


def test_no_space_is_offered_where_no_value_could_begin(here: Path) -> None:
    (here / "agent.yaml").write_text(HEAD + "tools:\n  - use:] calculate\n")
    done = check("--format", "json")
    found = json.loads(done.stdout)["diagnostics"]
    assert found
    assert all(each["fix"] is None and "{use:" not in (each["hint"] or "") for each in found)


def test_a_pipe_is_no_python_file(here: Path) -> None:
    os.mkfifo(here / "tools.py")
    (here / "agent.yaml").write_text(HEAD + "tools: [{python: './tools.py:f'}]\n")
    (found,) = json.loads(check("--format", "json").stdout)["diagnostics"]
    assert (found["code"], found["message"]) == ("AK207", "./tools.py is no file")
