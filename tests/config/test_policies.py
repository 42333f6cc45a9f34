"""What a tool item says of its tool's policy, what contradicts it, and where that is said."""

from types import SimpleNamespace

import msgspec
import pytest

from agentkit import Approval, Factory, Toolset, hookimpl, tool
from agentkit.config.build import Agent, examine
from agentkit.config.diagnostics import Diagnostic
from agentkit.plugins import Plugins

BASE = "agent: {}\nprovider: {use: local}\ntools:\n"


@tool(effects="reads", retries=1)
def look(place: str = "here") -> str:
    """Look."""
    return place


@tool
def pay(amount: int, pin: str = "") -> str:
    """Pay."""
    return str(amount)


@tool(effects="dangerous")
def wipe() -> str:
    """Wipe."""
    return "wiped"


class NoConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Options."""


class Two(Toolset):
    def tools(self):  # type: ignore[no-untyped-def]  # as a plugin's author may write it
        return [look, pay]


PLUGIN = SimpleNamespace(
    register_tools=hookimpl(lambda: [look, pay, wipe, Factory("two", lambda config: Two(), NoConfig)])
)


def build(text: str) -> tuple[Agent | None, tuple[Diagnostic, ...]]:
    return examine("agent.yaml", text=BASE + text, plugins=Plugins.from_modules({"mine": PLUGIN}), environ={})


def errors(text: str) -> list[tuple[str, str | None, int | None, int | None]]:
    agent, diagnostics = build(text)
    assert agent is None
    return [(each.code, each.key, each.line, each.column) for each in diagnostics if each.severity == "error"]


def test_every_key_of_an_item_is_in_the_policy() -> None:
    agent, diagnostics = build("""\
  - use: pay
    timeout: 5s
    approve: {mode: always_ask_once, timeout: 1m, otherwise: approve, filler: One moment.}
    effects: writes
    idempotent: true
    retries: 2
    concurrency: 3
    on_interrupt: cancel
    reply: speak
    background: true
    progress: context
    filler: I pay.
    max_result: 1KiB
    secret: [pin]
""")
    assert diagnostics == ()
    assert agent is not None
    policy = agent.tools[0].tool.policy
    assert policy.approve == Approval(mode="always_ask_once", timeout=60, otherwise="approve", filler="One moment.")
    assert (policy.timeout, policy.effects, policy.idempotent, policy.retries) == (5, "writes", True, 2)
    assert (policy.concurrency, policy.on_interrupt, policy.reply, policy.background) == (3, "cancel", "speak", True)
    assert (policy.progress, policy.filler, policy.max_result_bytes) == ("context", "I pay.", 1024)
    assert policy.secret == {"pin"}


def test_what_an_item_does_not_say_stays_as_the_tool_has_it() -> None:
    agent, _ = build("  - {use: look, timeout: 5s}\n")
    assert agent is not None
    policy = agent.tools[0].tool.policy
    assert (policy.effects, policy.retries, policy.timeout) == ("reads", 1, 5)


def test_an_item_may_say_that_nobody_is_asked() -> None:
    agent, _ = build("  - {use: pay, approve: never}\n")
    assert agent is not None
    assert agent.tools[0].tool.policy.approval is None


def test_a_mode_alone_stands_for_an_approval() -> None:
    agent, _ = build("  - {use: pay, approve: ask}\n")
    assert agent is not None
    assert agent.tools[0].tool.policy.approval == Approval(mode="ask")


@pytest.mark.parametrize(
    "item, found",
    [
        ("{use: pay, retries: 2}", ("AK405", "tools[0].retries", 4, 16)),
        ("{use: pay, effects: writes, retries: 2}", ("AK405", "tools[0].retries", 4, 33)),
        ("{use: look, effects: writes}", ("AK405", "tools[0].effects", 4, 17)),
        ("{use: wipe, approve: never}", ("AK405", "tools[0].approve", 4, 17)),
        ("{use: pay, effects: dangerous, approve: never}", ("AK405", "tools[0].approve", 4, 45)),
        ("{use: wipe, approve: {mode: never}}", ("AK405", "tools[0].approve.mode", 4, 33)),
        ("{use: wipe, approve: {otherwise: approve}}", ("AK405", "tools[0].approve.otherwise", 4, 38)),
        (
            "{use: pay, effects: dangerous, approve: {otherwise: approve}}",
            ("AK405", "tools[0].approve.otherwise", 4, 57),
        ),
        ("{use: pay, secret: [pin, code]}", ("AK405", "tools[0].secret[1]", 4, 30)),
        ("{use: pay, approve: {mode: sometimes}}", ("AK104", "tools[0].approve.mode", 4, 32)),
        ("{use: pay, approve: sometimes}", ("AK104", "tools[0].approve", 4, 25)),
        ("{use: pay, concurrency: 0}", ("AK105", "tools[0].concurrency", 4, 29)),
        ("{use: pay, max_result: 5}", ("AK102", "tools[0].max_result", 4, 28)),
        ("{use: pay, effects: reeds}", ("AK104", "tools[0].effects", 4, 25)),
    ],
)
def test_a_contradiction_is_said_at_its_place(item: str, found: tuple[str, str | None, int | None, int | None]) -> None:
    assert errors(f"  - {item}\n") == [found]


def test_a_contradiction_is_found_beside_other_mistakes() -> None:
    found = errors("  - {use: pay, effects: dangerous, approve: never}\n  - {use: pay, timeout: 5}\n")
    assert [code for code, *_ in found] == ["AK405", "AK102"]


def test_a_contradiction_says_what_to_do() -> None:
    _, diagnostics = build("  - {use: wipe, approve: never}\n")
    assert diagnostics[0].hint == "say `approve: ask`, or `effects: writes`"


def test_an_item_may_take_the_danger_from_a_tool_and_the_approval_with_it() -> None:
    agent, _ = build("  - {use: wipe, effects: writes, approve: never}\n")
    assert agent is not None


def test_a_set_of_tools_cannot_have_one_name() -> None:
    assert errors("  - {use: two, name: both}\n") == [("AK401", "tools[0].name", 4, 16)]


def test_the_limits_of_calls_reach_the_session() -> None:
    agent, _ = build(
        "  - use: pay\nlimits: {tool_calls_per_session: 9, tool_calls_at_once: 2, same_calls_per_turn: 3,"
        " tool_calls_per_turn: 4}\n"
    )
    assert agent is not None
    limits = agent.limits
    assert (limits.tool_calls_at_once, limits.core.tool_calls_per_session) == (2, 9)
    assert (limits.core.same_calls_per_turn, limits.core.tool_calls_per_turn) == (3, 4)


def test_limits_that_are_not_said_are_the_engines_own() -> None:
    agent, _ = build("  - use: pay\n")
    assert agent is not None
    assert agent.limits.core.same_calls_per_turn == 5
