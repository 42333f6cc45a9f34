"""Configurations in tests: every problem of a text, and sessions of a file with a fake server."""

from pathlib import Path
from types import SimpleNamespace

import pytest

import agentkit
from agentkit import hookimpl, tool
from agentkit.middleware.logger import Logger
from agentkit.testing import FakeServer, connect, load_config
from agentkit.tools import Toolset


@tool
async def ping() -> str:
    """Answer a ping."""
    return "pong"


@hookimpl
def register_tools() -> list[object]:
    return [ping]


MINE = SimpleNamespace(register_tools=register_tools)
AGENT = "agent: {instructions: Be brief., greeting: Hello.}\nprovider: {use: openai}\n"


def test_a_text_is_loaded_with_the_plugins_that_are_given() -> None:
    agent, diagnostics = load_config("agent: {}\nprovider: {use: local}\ntools: [{use: ping}]", plugins={"mine": MINE})
    assert diagnostics == ()
    assert agent is not None
    assert [source.tool.name for source in agent.tools] == ["ping"]


def test_every_problem_is_returned_with_its_place() -> None:
    agent, diagnostics = load_config("agent: {nam: x}\nprovider: {use: lokal}\n", plugins={})
    assert agent is None
    assert [(each.code, each.line, each.column) for each in diagnostics] == [("AK101", 1, 9), ("AK201", 2, 17)]


def test_an_indented_text_is_read_without_its_indent() -> None:
    _, diagnostics = load_config(
        """
        agent: {}
        provider: {use: lokal}
        """,
        plugins={},
    )
    assert [(each.line, each.column) for each in diagnostics] == [(2, 17)]


def test_variables_are_those_that_are_given() -> None:
    text = "agent: {name: '${NAME}'}\nprovider: {use: local}\n"
    agent, _ = load_config(text, plugins={}, environ={"NAME": "Ada"})
    assert agent is not None
    assert agent.name == "Ada"
    assert [each.code for each in load_config(text, plugins={}, environ={})[1]] == ["AK301"]


@pytest.mark.anyio
async def test_a_configuration_is_opened_on_the_server_of_the_test(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(AGENT)
    server = FakeServer()
    async with connect(server, tmp_path / "agent.yaml", tools=[ping]) as session:
        assert server.session["instructions"] == "Be brief."
        server.will_call("ping").then_say("It works.")
        turn = await session.ask("ping")
    assert turn.tools[0].output == "pong"
    server.verify()


@pytest.mark.anyio
async def test_parts_that_a_configuration_names_itself_are_refused(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(AGENT)
    layers = [Logger(tmp_path / "log.jsonl")]
    with pytest.raises(TypeError, match=r"names its own middleware: write them in agent\.yaml"):
        async with connect(FakeServer(), tmp_path / "agent.yaml", middleware=layers):
            pass


@pytest.mark.anyio
async def test_a_toolset_beside_a_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(AGENT)
    with pytest.raises(TypeError, match="write it in the file"):
        async with connect(FakeServer(), tmp_path / "agent.yaml", tools=[Toolset()]):
            pass


@pytest.mark.anyio
async def test_a_configuration_with_a_mistake_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text("agent: {nam: x}\nprovider: {use: local}\n")
    with pytest.raises(agentkit.ConfigError):
        async with connect(FakeServer(), tmp_path / "agent.yaml"):
            pass
