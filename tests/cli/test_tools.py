import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Done = subprocess.CompletedProcess[str]


def test_tools_are_listed_with_their_source_and_place(run: Callable[..., Done]) -> None:
    done = run("tools")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "add     Add two numbers."
    assert lines[1] == "        ./tools.py:add, agent.yaml:6:5"


def test_the_schema_is_shown_on_demand(run: Callable[..., Done]) -> None:
    assert '"type": "object"' in run("tools", "--schema").stdout
    assert '"type": "object"' not in run("tools").stdout


def test_json_has_everything(run: Callable[..., Done]) -> None:
    told = json.loads(run("tools", "--json").stdout)
    assert told["v"] == 1
    add = told["tools"][0]
    assert (add["name"], add["where"], add["examples"]) == ("add", "agent.yaml:6:5", ["add {a} and {b}"])
    assert add["parameters"]["properties"]["b"]["default"] == 1


def test_an_agent_without_tools_says_so(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text("agent: {}\nprovider: {use: local}\n")
    assert run("tools").stdout == "this agent has no tools\n"
