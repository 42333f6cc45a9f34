"""The pytest plugin, as a plugin author's own tests see it: one run of pytest in a folder of theirs."""

import importlib.util
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

import pytest

ROOT: Final = Path(__file__).parents[2]
# Not by their entry points, so that it does not matter how this environment was made.
PYTEST: Final = [
    sys.executable,
    "-m",
    "pytest",
    "-p",
    "anyio",
    "-p",
    "agentkit.pytest_plugin",
    "-p",
    "no:cacheprovider",
]
AGENT: Final = """\
agent: {instructions: Be brief.}
provider: {use: openai}
"""
TESTS: Final = '''\
import sys

import anyio
import pytest

import agentkit
from agentkit import Middleware, ToolResult, tool


@tool(examples=["weather in {city}"])
def weather(city: str) -> dict[str, str]:
    """Tell the weather."""
    return {"sky": "sunny"}


@tool(timeout=20)
async def slow() -> str:
    """Take for ever."""
    await anyio.sleep_forever()


class Deny(Middleware):
    async def wrap_tool_call(self, call, call_next):
        return ToolResult.refused("no")


@pytest.mark.agent(tools=[weather])
async def test_weather_is_spoken(fake_server, agent_session):
    fake_server.will_call("weather", city="Turin").then_say("Sunny.")
    turn = await agent_session.ask("weather in Turin?")
    assert turn.text == "Sunny."
    assert turn.tools[0].result == {"sky": "sunny"}


async def test_without_a_marker_a_session_has_nothing(fake_server, agent_session):
    assert agent_session.tools == {}


@pytest.mark.agent(tools=[weather], middleware=[Deny])
async def test_layers_are_made_for_the_session(fake_server, agent_session):
    fake_server.will_call("weather", city="Turin").then_say("No.")
    turn = await agent_session.ask("weather in Turin?")
    assert turn.tools[0].status == "refused"


@pytest.mark.agent("agent.yaml", tools=[weather])
async def test_a_configuration_at_the_root_is_opened(fake_server, agent_session):
    assert fake_server.session["instructions"] == "Be brief."
    assert list(agent_session.tools) == ["weather"]


@pytest.mark.agent("beside.yaml")
async def test_a_configuration_beside_the_test_is_opened(fake_server, agent_session):
    assert fake_server.session["instructions"] == "Be quick."


@pytest.mark.agent("nowhere.yaml")
async def test_wrong_configuration(agent_session):
    pass


@pytest.mark.agent(tool=[weather])
async def test_wrong_marker(agent_session):
    pass


async def test_wrong_unused(fake_server):
    fake_server.will_say("never")


async def test_wrong_for_another_reason(fake_server):
    fake_server.will_say("never")
    raise RuntimeError("the test itself")


async def test_a_tool_is_called(call_tool):
    assert (await call_tool(weather, city="Turin")).result == {"sky": "sunny"}


@pytest.mark.agent(tools=[slow])
async def test_time_moves_only_when_told(fake_server, agent_session, fake_clock):
    fake_server.will_call("slow").then_say("Sorry.")
    turns = []

    async def ask():
        turns.append(await agent_session.ask("be slow"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await fake_clock.advance(19)
        assert turns == []
        await fake_clock.advance(2)
        assert turns[0].tools[0].status == "timeout"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_wrong_backend(fake_clock):
    pass


@pytest.mark.parametrize("seconds", [1, 2])
async def test_the_clock_goes_with_other_parameters(fake_clock, seconds):
    before = fake_clock.now
    await fake_clock.advance(seconds)
    assert fake_clock.now - before == pytest.approx(seconds)


def test_a_verb_runs(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agent.yaml").write_text("agent: {}\\nprovider: {use: local}\\ntools: [{python: './t.py:add'}]\\n")
    (tmp_path / "t.py").write_text(
        "from agentkit import tool\\n\\n\\n"
        "@tool(examples=['add {a} and {b}'])\\ndef add(a: int, b: int) -> int:\\n    return a + b\\n"
    )
    done = cli("run", "-p", "add 2 and 3")
    assert (done.code, done.out, done.err) == (0, "5\\n", "")
    done = cli("check", "--format", "json")
    assert done.json["diagnostics"] == []
    done = cli("run", "--json", stdin="add 2 and 3")
    assert all(line["v"] == 1 for line in done.lines)
    assert "5" in done.out
    done = cli("check", "nowhere.yaml")
    assert (done.code, done.out) == (2, "")
    assert "nowhere.yaml" in done.err


def test_a_verb_leaves_logging_and_the_streams_as_they_were(cli):
    import logging
    import warnings

    def state():
        root, ours = logging.getLogger(), logging.getLogger("agentkit")
        streams = sys.stdin, sys.stdout, sys.stderr
        return list(root.handlers), root.level, ours.level, warnings.showwarning, *streams

    before = state()
    assert cli("plugins", "-vv", "--plugins", "none").code == 0
    assert state() == before


def test_a_text_is_diagnosed(diagnose):
    text = """
        agent: {instrutions: Be brief.}
        provider: {use: local}
    """
    assert diagnose(text) == [("AK101", 1, 9)]
'''
UNTOUCHED: Final = """\
import sys


def test_nothing_of_agentkit_is_there():
    print(*sorted(name for name in sys.modules if name.partition(".")[0] in {"agentkit", "msgspec", "click", "yaml"}))
"""


class Outcome(NamedTuple):
    """How one test of theirs ended."""

    state: str
    """``passed``, ``failure`` or ``error``."""
    message: str


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [*PYTEST, *words],
        cwd=folder,
        env={
            **kept,
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONUTF8": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Outcome]]:
    """Run the tests, and return how each ended, once for each backend."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "agent.yaml").write_text(AGENT)
    (folder / "tests").mkdir()
    (folder / "tests" / "beside.yaml").write_text(AGENT.replace("brief", "quick"))
    (folder / "tests" / "test_theirs.py").write_text(TESTS)
    done = run(folder, "-W", "error", "--strict-markers", "--junitxml", "report.xml", "--rootdir", ".", "tests")
    found: dict[str, list[Outcome]] = {}
    assert (folder / "report.xml").exists(), done.stdout + done.stderr
    for case in ET.parse(folder / "report.xml").iter("testcase"):
        states = [Outcome(each.tag, f"{each.get('message')}\n{each.text}") for each in case]
        name = str(case.get("name")).partition("[")[0]
        found.setdefault(name, []).extend(states or [Outcome("passed", "")])
    return found


RIGHT: Final = [
    line[4:].partition("(")[0].strip() for line in TESTS.replace("async ", "").splitlines() if "def test_" in line
]


@pytest.mark.parametrize("name", [name for name in RIGHT if not name.startswith("test_wrong")])
def test_what_a_test_may_rely_on(outcomes: Mapping[str, list[Outcome]], name: str) -> None:
    assert {outcome.state for outcome in outcomes[name]} == {"passed"}, outcomes[name][0].message


def test_a_test_with_a_session_needs_no_mark_and_runs_on_each_backend(outcomes: Mapping[str, list[Outcome]]) -> None:
    assert len(outcomes["test_weather_is_spoken"]) == 2


def test_a_test_with_a_fake_clock_runs_on_trio_alone(outcomes: Mapping[str, list[Outcome]]) -> None:
    assert len(outcomes["test_time_moves_only_when_told"]) == 1


@pytest.mark.parametrize(
    "name, state, said",
    [
        ("test_wrong_configuration", "error", "there is no nowhere.yaml in"),
        ("test_wrong_marker", "error", "@pytest.mark.agent has no tool"),
        ("test_wrong_unused", "error", "say 'never': no response.create came for it"),
        ("test_wrong_for_another_reason", "failure", "the test itself"),
        ("test_wrong_backend", "error", "fake_clock needs trio's clock"),
    ],
)
def test_what_is_wrong_is_said_once(outcomes: Mapping[str, list[Outcome]], name: str, state: str, said: str) -> None:
    backends = 1 if name == "test_wrong_backend" else 2
    assert [outcome.state for outcome in outcomes[name]] == [state] * backends
    assert said in outcomes[name][0].message


def test_nothing_but_pytest_is_imported_before_a_fixture_is_used(tmp_path: Path) -> None:
    (tmp_path / "test_untouched.py").write_text(UNTOUCHED)
    done = run(tmp_path, "-q", "-s", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[0].rstrip(".") == "agentkit agentkit.lazy agentkit.pytest_plugin"


def test_the_marker_is_explained(tmp_path: Path) -> None:
    assert "@pytest.mark.agent(config=None, *, tools=()" in run(tmp_path, "--markers").stdout


def test_the_plugin_comes_with_agentkit() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (module,) = project["entry-points"]["pytest11"].values()
    assert importlib.util.find_spec(module) is not None
