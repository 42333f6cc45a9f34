"""Toolsets in a configuration: their tools get what the file says, and messages have its places."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

import agentkit
from agentkit import ConfigError, Factory, Local, Tool, Toolset, hookimpl, tool
from agentkit.config.build import Agent, examine
from agentkit.config.diagnostics import Diagnostic
from agentkit.events import Notice
from agentkit.plugins import Plugins

pytestmark = pytest.mark.anyio
BASE = "agent: {}\nprovider: {use: local}\n"


class PairConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Options."""

    word: str = "hello"
    """What is said."""
    broken: bool = False
    """Whether it cannot be opened."""

    def __post_init__(self) -> None:
        """Refuse silence."""
        if not self.word:
            raise ValueError("say a word")


class Pair(Toolset):
    """Two tools, a third of which comes later."""

    opened = 0

    def __init__(self, config: PairConfig) -> None:
        self._config = config
        self._more = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        if self._config.broken:
            raise OSError("the door is locked")
        Pair.opened += 1
        try:
            yield
        finally:
            Pair.opened -= 1

    def tools(self) -> Sequence[Tool[..., object]]:
        found: list[Tool[..., object]] = [
            tool(self.say, effects="reads", examples=["say it"]),
            tool(self.more, effects="dangerous"),
        ]
        return [*found, tool(self.third)] if self._more else found

    async def say(self) -> str:
        """Say it."""
        return self._config.word

    async def more(self, secret: str = "") -> str:
        """Give one more tool."""
        self._more = True
        self.changed()
        return "more"

    async def third(self) -> str:
        """Be the third."""
        return "third"


PLUGIN = SimpleNamespace(
    register_tools=hookimpl(lambda: [Factory("pair", Pair, PairConfig), Factory("mcp", Pair, PairConfig)])
)


def build(text: str) -> tuple[Agent | None, tuple[Diagnostic, ...]]:
    return examine("agent.yaml", text=BASE + text, plugins=Plugins.from_modules({"mine": PLUGIN}), environ={})


def agent_of(text: str) -> Agent:
    agent, diagnostics = build(text)
    assert agent is not None, diagnostics
    return agent


def errors(text: str) -> list[tuple[str, str | None, int | None, int | None]]:
    return [(each.code, each.key, each.line, each.column) for each in build(text)[1] if each.severity == "error"]


async def test_the_tools_of_a_toolset_are_offered_with_prefix_and_policy() -> None:
    agent = agent_of("tools:\n  - {use: pair, with: {word: hi}, prefix: my_, timeout: 5s}\n")
    async with agent.open() as session:
        assert list(session.tools) == ["my_say", "my_more"]
        assert (await session.ask("say it")).text == "hi"
        said = session.tools["my_say"]
        assert isinstance(said, Tool)
        assert (said.policy.timeout, said.policy.effects) == (5, "reads")
    assert Pair.opened == 0


async def test_each_session_opens_its_own() -> None:
    agent = agent_of("tools: [{use: pair}]\n")
    async with agent.open(), agent.open():
        assert Pair.opened == 2


async def test_what_does_not_fit_one_of_its_tools_is_told_and_left_out_there() -> None:
    agent = agent_of("tools:\n  - {use: pair, approve: never, retries: 2, secret: [secret]}\n")
    async with agent.open() as session:
        said, more = session.tools["say"], session.tools["more"]
        assert isinstance(said, Tool)
        assert isinstance(more, Tool)
        assert (said.policy.retries, said.policy.approval) == (2, None)
        assert more.policy.retries == 0
        assert more.policy.approval is not None
        assert (said.policy.secret, more.policy.secret) == (frozenset(), frozenset({"secret"}))
        with session.subscribe(Notice) as notices:
            told = [(await anext(notices)).message for _ in range(2)]
    assert all("of Pair (agent.yaml:4:5) does not hold for its tool `more`" in message for message in told)


async def test_tools_that_come_later_get_the_same() -> None:
    agent = agent_of("tools:\n  - {use: pair, prefix: my_, effects: writes}\n")
    (toolset,) = agent.make_toolsets()
    async with agentkit.open(Local(), tools=[toolset]) as session:
        toolset._inner._more = True  # type: ignore[attr-defined]  # the test's own toolset
        toolset._inner.changed()  # type: ignore[attr-defined]
        while "my_third" not in session.tools:
            await session.add_message("user", "wait")
            await session.wait_for(agentkit.events.SessionUpdated)


async def test_a_name_that_is_there_already_is_an_error_with_both_places() -> None:
    agent = agent_of("tools:\n  - use: pair\n  - use: pair\n")
    with pytest.raises(ConfigError) as caught:
        async with agent.open():
            pass
    assert str(caught.value) == "agent.yaml:5:5: Pair gives a tool `say`, which there is already, by agent.yaml:4:5"
    assert caught.value.hint == "give it a `prefix:`, or leave the tool out"
    assert Pair.opened == 0


async def test_prefixes_keep_two_of_a_kind_apart() -> None:
    agent = agent_of("tools:\n  - {use: pair, prefix: a_}\n  - {use: pair, prefix: b_}\n")
    async with agent.open() as session:
        assert list(session.tools) == ["a_say", "a_more", "b_say", "b_more"]


async def test_one_that_cannot_be_opened_says_so_with_its_place() -> None:
    agent = agent_of("tools: [{use: pair, with: {broken: true}}]\n")
    with pytest.raises(ConfigError, match=r"agent\.yaml:3:9: Pair cannot be opened: OSError: the door is"):
        async with agent.open():
            pass


async def test_an_optional_one_is_left_out_with_a_notice() -> None:
    agent = agent_of("tools: [{use: pair, with: {broken: true}, optional: true}]\n")
    async with agent.open() as session:
        with session.subscribe(Notice) as notices:
            assert "Pair (agent.yaml:3:9) is left out" in (await anext(notices)).message
        assert session.tools == {}


async def test_mcp_is_short_for_the_tool_of_that_name() -> None:
    agent = agent_of("tools: [{mcp: {word: hey}, prefix: s_}]\n")
    async with agent.open() as session:
        assert list(session.tools) == ["s_say", "s_more"]
        assert (await session.ask("say it")).text == "hey"


@pytest.mark.parametrize(
    "item, found",
    [
        ("{mcp: {wort: x}}", ("AK101", "tools[0].mcp.wort", 3, 16)),
        ("{mcp: {word: 5}}", ("AK102", "tools[0].mcp.word", 3, 22)),
        ('{mcp: {word: ""}}', ("AK105", "tools[0].mcp", 3, 10)),
        ("{mcp: uvx}", ("AK102", "tools[0].mcp", 3, 15)),
        ("{mcp: {}, use: pair}", ("AK401", "tools[0]", 3, 10)),
        ("{mcp: {}, name: x}", ("AK401", "tools[0].name", 3, 19)),
    ],
)
def test_a_mistake_in_mcp_is_said_at_its_place(
    item: str, found: tuple[str, str | None, int | None, int | None]
) -> None:
    assert errors(f"tools: [{item}]\n") == [found]


def test_a_mistake_in_mcp_is_found_beside_others() -> None:
    found = errors("tools: [{mcp: {wort: x}}]\nlimits: {turns: x}\n")
    assert [code for code, *_ in found] == ["AK101", "AK102"]


async def test_a_class_of_the_users_own_is_a_toolset(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from agentkit import Toolset, tool\n\n\nclass Box(Toolset):\n    def tools(self):\n"
        "        return [tool(self.put)]\n\n    async def put(self) -> str:\n        return 'put'\n\n\nbox = Box()\n"
    )
    (tmp_path / "agent.yaml").write_text(BASE + "tools: [{python: './own.py:Box', prefix: x_}]\n")
    agent = agentkit.load(tmp_path / "agent.yaml", environ={}, plugins=Plugins.from_modules({}))
    async with agent.open() as session:
        assert list(session.tools) == ["x_put"]
    (tmp_path / "agent.yaml").write_text(BASE + "tools: [{python: './own.py:box'}]\n")
    _, (found,) = examine(tmp_path / "agent.yaml", environ={}, plugins=Plugins.from_modules({}))
    assert (found.code, found.hint) == ("AK207", "name its class")
