"""What ``agentkit new plugin`` writes: each kind installs, passes its own tests and checks, and works by its name."""

import subprocess
import sys
from pathlib import Path
from typing import Final, Protocol

import pytest

from agentkit.cli.new import KINDS

pytestmark = pytest.mark.timeout(120)

BRINGS: Final = {
    "tool": "tools",
    "middleware": "middleware",
    "preset": "presets",
    "provider": "providers",
    "responder": "responders",
    "command": "commands",
}
ANSWERS: Final = {
    "tool": ("new tool for Turin", "Nothing is known yet of Turin.\n"),
    "middleware": ("greet Ada", "Hello, Ada.\n"),
    "responder": ("good morning", "Echo: good morning\n"),
}


class Written(Protocol):
    folder: Path
    python: str

    def package(self, kind: str) -> Path: ...
    def run(self, package: str, *words: str) -> subprocess.CompletedProcess[str]: ...


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_tests_pass(written: Written, kind: str) -> None:
    done = written.run(kind, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_its_agent_is_valid(written: Written, kind: str) -> None:
    done = written.run(kind, "-m", "agentkit", "check", "--strict", "agent.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ANSWERS)
def test_its_agent_answers(written: Written, kind: str) -> None:
    asked, answer = ANSWERS[kind]
    done = written.run(kind, "-m", "agentkit", "run", "agent.yaml", "-p", asked)
    assert (done.returncode, done.stdout) == (0, answer), done.stderr


def test_its_verb_is_one_of_agentkits(written: Written) -> None:
    done = written.run("command", "-m", "agentkit", "new-command")
    assert (done.returncode, done.stdout) == (0, "new-command: no tools\n"), done.stderr


def test_all_of_them_are_listed_with_what_they_bring(written: Written) -> None:
    listed = written.run("tool", "-m", "agentkit", "plugins").stdout
    for kind, brought in BRINGS.items():
        assert f"new-{kind}  agentkit-new-{kind} 0.1.0" in listed
        assert f"  {brought}: new-{kind}\n" in listed
    assert "failed" not in listed


def test_ruff_finds_nothing_in_them(written: Written) -> None:
    for words in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *words, "--no-cache", "."]
        done = subprocess.run(ruff, cwd=written.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_finds_nothing_in_them(written: Written, tmp_path: Path) -> None:
    mypy = [sys.executable, "-m", "mypy", "--python-executable", written.python, "--cache-dir", str(tmp_path)]
    settings = written.package("tool") / "pyproject.toml"  # the same in all of them
    done = subprocess.run(
        [*mypy, "--config-file", str(settings), *(str(written.package(kind)) for kind in KINDS)],
        cwd=written.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
