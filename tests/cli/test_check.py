import json
import subprocess
from collections.abc import Callable
from pathlib import Path

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


def test_what_cannot_be_read_is_bad_usage(run: Callable[..., Done]) -> None:
    done = run("check", "gone.yaml")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_folder_is_checked(run: Callable[..., Done], folder: Path) -> None:
    (folder / "wrong.yaml").write_text(WRONG)
    done = run("check", ".")
    assert done.returncode == 1
    assert "agent.yaml: valid" in done.stdout
    assert "wrong.yaml:1:9" in done.stdout


def test_mistakes_are_mended(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text("agent: {nmae: x}\nprovider: {use: local}\n")
    done = run("check", "--fix")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Fixed 1 problem in 1 file.")
    assert (folder / "agent.yaml").read_text() == "agent: {name: x}\nprovider: {use: local}\n"


def test_code_from_stdin_needs_trust(run: Callable[..., Done], folder: Path) -> None:
    text = (folder / "agent.yaml").read_text()
    assert "AK210" in run("check", "-", stdin=text).stdout
    assert run("check", "-", "--trust", stdin=text).returncode == 0
    refused = run("run", "-", "-p", "add 1 and 2", stdin=text)
    assert refused.returncode == 2
    assert "AK210" in refused.stderr


def test_a_file_that_is_no_text_is_told(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_bytes(b"\xff\xfe\x00")
    done = run("check")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stdout + done.stderr


def test_a_wrong_file_sent_by_stdin_to_a_terminal_is_refused(run: Callable[..., Done]) -> None:
    done = run("check", "-", stdin=b"\xff")
    assert done.returncode == 2
    assert "not UTF-8" in done.stderr


def test_a_key_that_the_provider_reads_by_itself_and_lacks_is_a_warning(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text("agent: {}\nprovider: {use: openai}\n")
    done = run("check", "--format", "concise")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == (
        "agent.yaml:2:17: warning[AK301] environment variable OPENAI_API_KEY is not set; without it `openai` cannot "
        "connect (export OPENAI_API_KEY=...; `agentkit run --demo` needs none)"
    )
    assert run("check", "--strict").returncode == 1
    assert run("check", "--strict", env={"OPENAI_API_KEY": "key-of-a-test"}).returncode == 0
