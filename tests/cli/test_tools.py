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


TOOLSETS = """\
from contextlib import asynccontextmanager

from agentkit import Toolset, tool


class Box(Toolset):
    def tools(self):
        return [tool(self.put, effects="dangerous")]

    async def put(self, what: str, key: str = "") -> str:
        '''Put something in.'''
        return f"put {what}"


class Locked(Box):
    @asynccontextmanager
    async def running(self):
        raise OSError("it is locked")
        yield
"""


def test_the_tools_of_a_toolset_are_listed_with_their_policy(run: Callable[..., Done], folder: Path) -> None:
    (folder / "sets.py").write_text(TOOLSETS)
    (folder / "agent.yaml").write_text(
        "agent: {}\nprovider: {use: local}\ntools:\n"
        "  - {python: './sets.py:Box', prefix: my_, timeout: 90s, approve: {timeout: 30s}, secret: [key]}\n"
    )
    done = run("tools")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "my_put  Put something in.",
        "        ./sets.py:Box, agent.yaml:4:5",
        "        dangerous, approve ask (within 30s, else reject), timeout 90s, secret key",
    ]
    told = json.loads(run("tools", "--json").stdout)
    (put,) = told["tools"]
    assert (put["toolset"], put["effects"], put["secret"], told["missing"]) == ("Box", "dangerous", ["key"], [])


def test_a_toolset_that_cannot_be_opened_is_one_line_and_the_answer_no(run: Callable[..., Done], folder: Path) -> None:
    (folder / "sets.py").write_text(TOOLSETS)
    (folder / "agent.yaml").write_text(
        "agent: {}\nprovider: {use: local}\ntools:\n"
        "  - python: ./sets.py:Locked\n  - {python: './sets.py:Box', prefix: my_}\n"
    )
    done = run("tools")
    assert done.returncode == 1
    assert "my_put" in done.stdout
    assert done.stderr == "error: agent.yaml:4:5: Locked cannot be opened: OSError: it is locked\n"
    assert json.loads(run("tools", "--json").stdout)["missing"][0]["name"] == "Locked"


def test_a_tool_of_a_toolset_can_be_called(run: Callable[..., Done], folder: Path) -> None:
    (folder / "sets.py").write_text(TOOLSETS)
    (folder / "agent.yaml").write_text(
        "agent: {}\nprovider: {use: local}\ntools: [{python: './sets.py:Box', prefix: my_, effects: writes}]\n"
    )
    assert run("call", "my_put", "what=ball").stdout == "put ball\n"
    assert "did you mean my_put?" in run("call", "my_putt", "what=ball").stderr


def test_the_tools_of_further_agents_are_listed_once_with_whose_they_are(
    run: Callable[..., Done], folder: Path
) -> None:
    (folder / "sets.py").write_text(TOOLSETS)
    (folder / "agent.yaml").write_text(
        "agent: {name: front, handoff: [back]}\nprovider: {use: local}\n"
        "tools: [{python: './tools.py:add'}, {python: './sets.py:Box', prefix: my_}]\n"
        "agents:\n  back:\n    tools:\n      - inherit\n      - python: ./tools.py:shout\n"
        "  lost: {tools: []}\n"
    )
    done = run("tools")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "add     Add two numbers.",
        "        ./tools.py:add, agent.yaml:3:9",
        "        of front and back",
        "shout   Shout loudly.",
        "        ./tools.py:shout, agent.yaml:8:9",
        "        of back",
        "my_put  Put something in.",
        "        ./sets.py:Box, agent.yaml:3:37",
        "        of front and back",
        "        dangerous, approve ask (within 2m, else reject)",
        "front hands over to back",
        "back hands over to front",
        "lost hands over to front",
    ]
    told = json.loads(run("tools", "--json").stdout)
    assert [each["agents"] for each in told["tools"]] == [["front", "back"], ["back"], ["front", "back"]]
    assert told["agents"][0] == {"name": "front", "handoff": ["back"]}


def test_a_server_that_is_called_elsewhere_is_named(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(
        "agent: {}\nprovider: {use: local}\ntools: [{hosted_mcp: {label: docs, url: 'https://example.org/mcp'}}]\n"
    )
    done = run("tools")
    assert done.stdout == "docs  an MCP server that the Realtime server calls: https://example.org/mcp\n"
    told = json.loads(run("tools", "--json").stdout)
    assert told["hosted"][0]["label"] == "docs"
