"""What is logged on stderr or in a file: agentkit, the user's own tools, and the libraries below."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
TOOLS = """\
import logging

from agentkit import tool


@tool(examples=["speak up"])
def speak() -> str:
    \"\"\"Speak up.\"\"\"
    for name in ("museum", "websockets.client", "httpcore"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(name).setLevel(logging.DEBUG) if name != "museum" else None
            logging.getLogger(name).log(level, "%s says it at %d with sk-canary-0123456789", name, level)
    return "spoken"
"""
SPEAK = ("run", "--set", "tools=[{python: './own.py:speak'}]", "-p", "speak up")


@pytest.fixture(autouse=True)
def _own(folder: Path) -> None:
    (folder / "own.py").write_text(TOOLS)


@pytest.mark.parametrize(
    "flags, levels",
    [
        ([], [30]),
        (["-q"], []),
        (["-v"], [20, 30]),
        (["-vv"], [10, 20, 30]),
        (["--log-level", "info"], [20, 30]),
        (["--log-level", "debug"], [10, 20, 30]),
        (["--log-level", "error"], []),
    ],
)
def test_the_users_own_tools_log_at_the_level_that_is_asked_for(
    run: Callable[..., Done], flags: list[str], levels: list[int]
) -> None:
    done = run(*SPEAK, *flags)
    assert done.stdout == "spoken\n"
    assert [level for level in (10, 20, 30) if f"museum says it at {level}" in done.stderr] == levels


@pytest.mark.parametrize("flags, levels", [([], []), (["-vv"], [30]), (["--log-level", "debug"], [30])])
def test_loud_libraries_give_warnings_at_most(run: Callable[..., Done], flags: list[str], levels: list[int]) -> None:
    told = run(*SPEAK, *flags).stderr
    for name in ("websockets.client", "httpcore"):
        assert [level for level in (10, 20, 30) if f"{name} says it at {level}" in told] == levels


def test_a_file_has_what_tools_log_and_stderr_has_not(run: Callable[..., Done], folder: Path) -> None:
    assert "museum" not in run(*SPEAK, "--log-file", "it.log").stderr
    text = (folder / "it.log").read_text()
    assert "museum says it at 20" in text
    assert "says it at 10" not in text


def test_secrets_of_the_environment_stay_masked(run: Callable[..., Done]) -> None:
    told = run(*SPEAK, "-vv", env={"OPENAI_API_KEY": "sk-canary-0123456789"}).stderr
    assert "museum says it at 10" in told
    assert "canary" not in told
