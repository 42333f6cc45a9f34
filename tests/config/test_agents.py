"""Agents in a configuration: what each takes over, whom it hands over to, and what is wrong with either."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import anyio
import msgspec
import pytest

import agentkit
from agentkit import ConfigError, Factory, HandedOver, Tool, Toolset, hookimpl, tool
from agentkit.config.build import Agent, examine
from agentkit.config.diagnostics import Diagnostic
from agentkit.config.parts import AgentSource
from agentkit.events import Settings
from agentkit.plugins import Plugins

pytestmark = pytest.mark.anyio
ROOT = "agent: {name: main, instructions: Main., handoff: [billing]}\nprovider: {use: local}\n"


class SayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Options."""

    word: str = "hello"
    """What is said."""


def say(config: SayConfig) -> Tool[..., object]:
    def body() -> str:
        """Say a word."""
        return config.word

    return tool(body, name="say")


@tool
def ping() -> str:
    """Answer a ping."""
    return "pong"


class Counter(Toolset):
    """Counts, in one place."""

    log: list[str] = []  # noqa: RUF012  # what all of them did

    def __init__(self) -> None:
        self.count = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        Counter.log.append("open")
        yield
        Counter.log.append("closed")

    def tools(self) -> Sequence[Tool[..., object]]:
        return [tool(self.add, name="add", examples=["count"])]

    async def add(self) -> int:
        """Count one more."""
        self.count += 1
        return self.count


PLUGIN = SimpleNamespace(
    register_tools=hookimpl(lambda: [ping, Factory("say", say, SayConfig), Factory("counter", Counter)])
)


def build(text: str, **options: object) -> tuple[Agent | None, tuple[Diagnostic, ...]]:
    plugins = Plugins.from_modules({"mine": PLUGIN})
    return examine("agent.yaml", text=text, plugins=plugins, **{"environ": {}, **options})  # type: ignore[arg-type]  # as given


def agent_of(text: str, **options: object) -> Agent:
    agent, diagnostics = build(text, **options)
    assert agent is not None, diagnostics
    assert diagnostics == ()
    return agent


def further(text: str, **options: object) -> AgentSource:
    (found,) = agent_of(text, **options).agents
    return found


def said(text: str, **options: object) -> list[str]:
    """Return each problem in one line."""
    _, diagnostics = build(text, **options)
    return [f"{each.code} {each.line}:{each.column} {each.message}" for each in diagnostics]


def names(tools: Sequence[object]) -> list[str]:
    return [each.tool.name for each in tools]  # type: ignore[attr-defined]  # tools of a configuration


# What an agent takes over


def test_an_agent_takes_over_what_it_does_not_say() -> None:
    found = further(
        "agent: {name: main, instructions: 'I am in {{city}}.', variables: {city: Turin}, greeting: Hi., "
        "handoff: [billing]}\nagents: {billing: {}}\ntools: [{use: ping}]\nprovider: {use: local}\n"
    )
    assert (found.name, found.instructions, found.greeting, found.voice) == ("billing", "I am in Turin.", None, None)
    assert names(found.tools) == ["ping"]
    assert found.handoff == ("main",)


def test_what_it_says_is_its_own_and_variables_merge() -> None:
    found = further(
        "agent: {instructions: 'Main in {{city}}.', variables: {city: Turin, who: main}, handoff: [billing]}\n"
        "agents:\n  billing:\n    description: For invoices.\n    instructions: '{{who}} in {{city}}.'\n"
        "    variables: {who: billing}\n    greeting: Here is {{who}}.\n    voice: cedar\n    tools: [{use: say}]\n"
        "    handoff: []\ntools: [{use: ping}]\nprovider: {use: local}\n"
    )
    assert (found.description, found.instructions) == ("For invoices.", "billing in Turin.")
    assert (found.greeting, found.voice, found.handoff) == ("Here is billing.", "cedar", ())
    assert names(found.tools) == ["say"]


def test_the_instructions_that_it_takes_over_have_its_own_variables() -> None:
    found = further(
        "agent: {instructions: 'I am {{who}}.', variables: {who: main}, handoff: [billing]}\n"
        "agents: {billing: {variables: {who: billing}, instructions: null}}\nprovider: {use: local}\n"
    )
    assert found.instructions == "I am billing."


def test_instructions_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "billing.md").write_text("You bill in {{city}}.\n")
    path = tmp_path / "agent.yaml"
    path.write_text(
        "agent: {variables: {city: Turin}, handoff: [billing]}\n"
        "agents: {billing: {instructions: {file: billing.md}}}\nprovider: {use: local}\n"
    )
    (found,) = agentkit.load(path, environ={}).agents
    assert found.instructions == "You bill in Turin.\n"


@pytest.mark.parametrize(
    "tools, expected",
    [
        ("", ["ping", "say"]),
        ("tools: null", ["ping", "say"]),
        ("tools: []", []),
        ("tools: [{use: say, name: other}]", ["other"]),
        ("tools: [inherit, {use: say, name: other}]", ["ping", "say", "other"]),
        ("tools: [{use: say, name: other}, inherit]", ["other", "ping", "say"]),
        ("tools: [inherit, {use: say, when: false}]", ["ping", "say"]),
    ],
)
def test_its_tools_replace_those_of_the_file_or_inherit_them(tools: str, expected: list[str]) -> None:
    found = further(f"{ROOT}tools: [{{use: ping}}, {{use: say}}]\nagents: {{billing: {{{tools}}}}}\n")
    assert names(found.tools) == expected


def test_it_inherits_the_list_of_the_whole_file_also_where_files_extend_one_another(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        f"{ROOT}tools: [{{use: ping}}]\nagents: {{billing: {{tools: [inherit, {{use: say, name: low}}]}}}}\n"
    )
    top = tmp_path / "agent.yaml"
    top.write_text(
        "extends: base.yaml\ntools: [inherit, {use: say, name: high}]\n"
        "agents: {billing: {tools: [inherit, {use: say, name: top}]}}\n"
    )
    agent, diagnostics = examine(top, plugins=Plugins.from_modules({"mine": PLUGIN}), environ={})
    assert agent is not None, diagnostics
    assert names(agent.agents[0].tools) == ["ping", "high", "low", "top"]


def test_a_tool_that_is_switched_off_needs_none_of_its_variables() -> None:
    text = ROOT + 'agents: {billing: {tools: [{use: say, with: {word: "${UNSET}"}, when: "${ON:-false}"}]}}\n'
    assert further(text).tools == ()
    assert said(text, environ={"ON": "true"}) == ["AK301 3:52 environment variable UNSET is not set"]


def test_the_agent_of_a_file_without_a_name_is_called_agent() -> None:
    text = "agent: {handoff: [billing]}\nagents: {billing: {handoff: [agent]}}\nprovider: {use: local}\n"
    assert further(text).handoff == ("agent",)


# What is wrong


@pytest.mark.parametrize(
    "text, expected",
    [
        ("agents: {biling: {}}", ["AK201 1:52 no agent is called `billing`"]),
        ("", ["AK201 1:52 no agent is called `billing`"]),
        ("agents: {billing: null}", ["AK201 1:52 no agent is called `billing`"]),
        ("agents: {billing: {handoff: [mian]}}", ["AK201 3:30 no agent is called `mian`"]),
        ("agents: {billing: {handoff: [billing]}}", ["AK401 3:30 `billing` hands over to itself"]),
        ("agents: {billing: {handoff: [main, main]}}", ["AK401 3:36 `main` is named twice"]),
        ("agents: {billing: {}, main: {}}", ["AK404 3:23 `main` is what the agent of `agent:` is called"]),
        ("agents: {billing: {}, sales: {}}", ["AK407 3:23 no hand-over leads to `sales`"]),
        (
            "agents: {billing: {}, a: {handoff: [b]}, b: {handoff: [a]}}",
            ["AK407 3:23 no hand-over leads to `a`", "AK407 3:42 no hand-over leads to `b`"],
        ),
        ('agents: {billing: {}, "": {}}', ["AK105 3:23 an agent needs a name"]),
        ("agents: {billing: {greeting: '{{who}}'}}", ["AK304 3:31 `{{who}}` is no variable of the agent"]),
        (
            "agents: {billing: {instructions: {file: no.md}}}",
            ["AK204 3:41 cannot read no.md: no such file or directory"],
        ),
        ("agents: {billing: {tools: [{use: pnig}]}}", ["AK201 3:34 no tool is called `pnig`"]),
        ("agents: {billing: {tools: [{use: say, with: {wrod: a}}]}}", ["AK101 3:46 unknown key `wrod`"]),
        (
            "agents: {billing: {tools: [{use: ping, effects: dangerous, approve: never}]}}",
            ["AK405 3:69 a dangerous tool is asked for before each call"],
        ),
        ("agents: {billing: {tools: [{use: ping}, {use: ping}]}}", ["AK404 3:41 two tools are called `ping`"]),
        (
            "agents: {billing: {tools: [{use: ping, name: hand_over_to_main}]}}",
            ["AK404 3:28 two tools are called `hand_over_to_main`"],
        ),
        (
            "agents: {billing: {tools: [{hosted_mcp: {label: a}}]}}",
            ["AK401 3:29 `hosted_mcp` of a needs either `url` or `connector`"],
        ),
    ],
)
def test_what_is_wrong_is_cited_at_its_place(text: str, expected: list[str]) -> None:
    assert said(f"{ROOT}{text}\n") == expected


def test_the_message_of_an_unknown_agent_says_which_are_near() -> None:
    _, (diagnostic,) = build(f"{ROOT}agents: {{biling: {{}}}}\n")
    assert diagnostic.hint == "did you mean `biling`?"
    assert diagnostic.notes == ("agents here: biling",)
    assert diagnostic.key == "agent.handoff[0]"


def test_one_mistake_in_a_list_that_several_agents_inherit_is_one_mistake() -> None:
    text = f"{ROOT}tools: [{{use: ping}}, {{use: ping}}, {{use: pnig}}]\n"
    text += "agents: {billing: {}, b: {tools: [inherit]}}\n"
    assert [each for each in said(text) if "AK407" not in each] == [
        "AK404 3:22 two tools are called `ping`",
        "AK201 3:41 no tool is called `pnig`",
    ]


def test_every_problem_is_found_in_one_pass_also_where_a_value_is_wrong() -> None:
    text = f"{ROOT}session: {{output: sond}}\nagents: {{billing: {{handoff: [mian], tools: [{{use: pnig}}]}}}}\n"
    assert [each.split()[0] for each in said(text)] == ["AK104", "AK201", "AK201"]


def test_two_agents_that_one_tool_would_hand_over_to_need_other_names() -> None:
    text = "agent: {handoff: [a b, a_b]}\nagents: {a b: {}, a_b: {}}\nprovider: {use: local}\n"
    assert said(text) == ["AK404 1:24 two agents are handed over to by one tool, `hand_over_to_a_b`"]


def test_a_main_agent_and_another_of_the_default_name_clash() -> None:
    _, (diagnostic,) = build("agent: {handoff: []}\nagents: {agent: {}}\nprovider: {use: local}\n")
    assert diagnostic.code == "AK404"
    assert diagnostic.notes == ("it is called so as it has no name",)


# In a session


async def test_a_conversation_is_handed_over_by_talking_and_back() -> None:
    agent = agent_of(
        f"{ROOT}session: {{voice: marin}}\ntools: [{{use: ping}}]\nagents:\n  billing:\n"
        "    description: Invoices.\n    instructions: You bill.\n    greeting: This is billing.\n"
        "    voice: cedar\n    tools: [{use: say}]\n"
    )
    async with agent.open() as session:
        assert session.agent == "main"
        assert list(session.tools) == ["ping", "hand_over_to_billing"]
        with session.subscribe(HandedOver) as events:
            assert (await session.ask("talk to billing", timeout=5)).text == "This is billing."
            assert await anext(events) == HandedOver(agent="billing", previous="main")
        assert list(session.tools) == ["say", "hand_over_to_main"]
        told = session.settings
        assert isinstance(told, Settings)
        assert told.instructions == "You bill."
        assert (await session.ask("say a word", timeout=5)).text == "hello"
        await session.ask("back to main please", timeout=5)
        assert session.agent == "main"
        told = session.settings
        assert isinstance(told, Settings)
        assert told.instructions == "Main."


async def test_a_toolset_that_several_agents_have_is_one_and_open_once() -> None:
    Counter.log.clear()
    agent = agent_of(
        f"{ROOT}tools: [{{use: counter}}]\nagents:\n"
        "  billing: {tools: [inherit, {use: ping}], handoff: [main, other]}\n"
        "  other: {tools: [{use: counter, prefix: my_}]}\n"
    )
    async with agent.open() as session, anyio.create_task_group():
        assert Counter.log == ["open", "open"]  # the file's own, which two have, and another's
        assert (await session.ask("count", timeout=5)).text == "1"
        await session.hand_over("billing")
        assert (await session.ask("count", timeout=5)).text == "2"
        await session.hand_over("other")
        assert list(session.tools) == ["hand_over_to_main", "my_add"]
        assert (await session.ask("count", timeout=5)).text == "1"
    assert Counter.log == ["open", "open", "closed", "closed"]


async def test_a_toolset_may_not_give_a_name_that_any_of_its_agents_has() -> None:
    agent = agent_of(
        f"{ROOT}tools: [{{use: counter}}]\nagents: {{billing: {{tools: [inherit, {{use: ping, name: add}}]}}}}\n"
    )
    with pytest.raises(ConfigError, match=r"Counter gives a tool `add`, which there is already, by agent\.yaml:4:37"):
        async with agent.open():
            pass


async def test_an_agent_that_only_talks_hands_nothing_over() -> None:
    agent = agent_of(f"{ROOT}agents: {{billing: {{}}}}\n")
    async with agent.open(tools=False) as session:
        assert session.agent is None
        assert session.tools == {}


async def test_the_agents_that_come_with_the_project_hand_over_by_talking() -> None:
    agent = agentkit.load(Path(__file__).parents[2] / "configs" / "handoff.yaml", environ={})
    async with agent.open() as session:
        assert (await session.ask("I want to buy a ticket", timeout=5)).text.startswith("Tickets, hello.")
        assert (await session.ask("what is 3 * 12?", timeout=5)).text == "36"
        await session.ask("back to reception please", timeout=5)
        assert list(session.tools) == ["now", "hand_over_to_tickets"]
