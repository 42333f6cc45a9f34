"""Plugins of others, built and installed: one works by its names, another breaks and nothing else does."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

Agentkit = Callable[..., subprocess.CompletedProcess[str]]

AGENT: Final = """\
agent: {name: harbour, instructions: Be brief.}
provider: {use: local}
tools:
  - use: high_tide
middleware:
  - use: tally
    with: {path: tally.txt}
"""


@pytest.fixture
def agent(tmp_path: Path) -> str:
    (tmp_path / "agent.yaml").write_text(AGENT)
    return "agent.yaml"


def test_its_tool_answers_by_name(agentkit: Agentkit, agent: str) -> None:
    done = agentkit("run", agent, "-p", "when is high tide in Dover?")
    assert done.stdout == "High tide in Dover is at 16:40.\n"
    assert done.returncode == 0, done.stderr


def test_its_middleware_sees_events_and_tool_calls(agentkit: Agentkit, agent: str, tmp_path: Path) -> None:
    agentkit("run", agent, "-p", "when is high tide in Dover?")
    assert (tmp_path / "tally.txt").read_text().split("\n")[:-1] == [
        "response.create",
        "high_tide: ok",
        "response.create",
    ]


def test_its_tool_can_be_called_without_an_agent(agentkit: Agentkit) -> None:
    done = agentkit("call", "high_tide", "port=Dover")
    assert done.stdout == "High tide in Dover is at 16:40.\n"
    assert done.returncode == 0, done.stderr


def test_its_options_are_checked_with_their_place(agentkit: Agentkit, tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(AGENT.replace("path:", "pth:"))
    done = agentkit("check", "agent.yaml")
    assert "agent.yaml:7:12" in done.stdout + done.stderr
    assert "did you mean `path`" in done.stdout + done.stderr


def test_one_that_raises_at_import_is_named_in_one_line(agentkit: Agentkit) -> None:
    done = agentkit("plugins")
    (line,) = [line for line in done.stdout.splitlines() if "the licence file is missing" in line]
    assert [word for word in ("ghost", "agentkit-realtime-ghost", "0.9", "RuntimeError") if word not in line] == []
    assert done.returncode == 0


def test_the_others_are_listed_beside_it(agentkit: Agentkit) -> None:
    listed = agentkit("plugins").stdout
    assert "tides  agentkit-realtime-tides 1.2.3" in listed
    assert "tools: high_tide" in listed
    assert "providers: compatible, local, openai" in listed


def test_one_that_raises_leaves_a_run_that_does_not_need_it_alone(agentkit: Agentkit, agent: str) -> None:
    done = agentkit("run", agent, "-p", "when is high tide in Dover?")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_one_that_raises_is_named_where_a_configuration_needs_it(agentkit: Agentkit, tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(AGENT.replace("use: high_tide", "use: ghost:haunt"))
    done = agentkit("run", "agent.yaml", "-p", "hello")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "agent.yaml:4:10" in done.stderr
    assert "ghost (agentkit-realtime-ghost 0.9)" in done.stderr
    assert "the licence file is missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_close_to_one_of_theirs_is_suggested(agentkit: Agentkit, tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(AGENT.replace("use: high_tide", "use: hightide"))
    done = agentkit("run", "agent.yaml", "-p", "hello")
    assert done.returncode == 2
    assert "did you mean `high_tide` (from agentkit-realtime-tides 1.2.3)?" in done.stderr
