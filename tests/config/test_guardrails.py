"""Guardrails in a configuration: which may be one, what their keys mean, and where they stand."""

import itertools
from types import SimpleNamespace
from typing import ClassVar, Literal

import msgspec
import pytest
from msgspec.structs import replace

from agentkit import Factory, Middleware, Next, NextCall, ToolCall, ToolResult, hookimpl, on, tool
from agentkit.cli.show import ways_of
from agentkit.config.build import Agent, examine
from agentkit.config.diagnostics import Diagnostic
from agentkit.config.parts import LayerSource
from agentkit.events import ConversationItemCreate, TurnCompleted
from agentkit.plugins import Plugins

pytestmark = pytest.mark.anyio
BASE = "agent: {}\nprovider: {use: local}\n"


class MarkConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Options."""

    word: str
    """What is written."""
    at: Literal["start", "end"] | tuple[Literal["start", "end"], ...] = "end"
    """Where."""


class Mark(Middleware):
    """Write a word wherever it is passed."""

    def __init__(self, config: MarkConfig) -> None:
        self.config = config

    @property
    def name(self) -> str:
        return self.config.word

    def marked(self, text: str) -> str:
        return f"{text}{self.config.word}" if self.config.at == "end" else f"{self.config.word}{text}"

    @on(ConversationItemCreate)
    async def out(self, event: ConversationItemCreate, call_next: Next[ConversationItemCreate]) -> None:
        PASSED["client events"].append(self.config.word)
        await call_next(event)

    @on(TurnCompleted)
    async def back(self, event: TurnCompleted, call_next: Next[TurnCompleted]) -> None:
        PASSED["session events"].append(self.config.word)
        await call_next(replace(event, text=self.marked(event.text)))

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        PASSED["tool calls"].append(self.config.word)
        return await call_next(call)


class Guard(Mark):
    """The same, failing closed."""

    critical: ClassVar[bool] = True


class Plain(Middleware):
    """Takes no options."""

    critical: ClassVar[bool] = True

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        return await call_next(call)


PASSED: dict[str, list[str]] = {}


@tool(examples=["ping"])
async def ping() -> str:
    """Answer a ping."""
    return "pong"


PLUGIN = SimpleNamespace(
    register_tools=hookimpl(lambda: [ping]),
    register_middleware=hookimpl(
        lambda: [Factory("mark", Mark, MarkConfig), Factory("guard", Guard, MarkConfig), Factory("plain", Plain)]
    ),
)


def build(text: str) -> tuple[Agent | None, tuple[Diagnostic, ...]]:
    return examine("agent.yaml", text=BASE + text, plugins=Plugins.from_modules({"mine": PLUGIN}), environ={})


def agent_of(text: str) -> Agent:
    agent, diagnostics = build(text)
    assert agent is not None, diagnostics
    return agent


def errors(text: str) -> list[tuple[str, str | None, int | None, int | None]]:
    return [(each.code, each.key, each.line, each.column) for each in build(text)[1] if each.severity == "error"]


@pytest.mark.parametrize("order", list(itertools.permutations("ab")))
async def test_the_order_that_is_shown_is_the_order_of_the_effects(order: tuple[str, str]) -> None:
    guards = ", ".join(f"{{use: guard, with: {{word: {word}}}}}" for word in order)
    agent = agent_of(
        "tools: [{use: ping}]\nmiddleware: [{use: mark, with: {word: x}}, {use: mark, with: {word: y}}]\n"
        f"guardrails: [{guards}]\n"
    )
    PASSED.clear()
    PASSED.update({"client events": [], "session events": [], "tool calls": []})
    async with agent.open() as session:
        PASSED["client events"].clear()
        turn = await session.ask("ping")
    words = {id(source): _word(source) for source in (*agent.layers, *agent.guards)}
    shown = {way.name: [words[id(source)] for source, _ in way.layers] for way in ways_of(agent)}
    assert turn.text == "pong" + "".join(shown["session events"])
    for way, passed in PASSED.items():
        assert passed[: len(shown[way])] == shown[way]
    assert shown["tool calls"] == ["x", "y", *order]
    assert shown["session events"] == ["y", "x", *order]


def _word(source: LayerSource) -> str:
    layer = source.build()
    assert isinstance(layer, Mark)
    return layer.config.word


def test_what_stands_beside_use_is_an_option_of_the_guard() -> None:
    agent = agent_of("guardrails: [{use: guard, with: {word: w}, at: start}]\n")
    guard = agent.guards[0].build()
    assert isinstance(guard, Guard)
    assert guard.config == MarkConfig(word="w", at="start")
    several = agent_of("guardrails: [{use: guard, with: {word: w}, at: [start, end]}]\n").guards[0].build()
    assert isinstance(several, Guard)
    assert several.config.at == ("start", "end")


@pytest.mark.parametrize(
    "item, found",
    [
        ("{use: mark, with: {word: w}}", ("AK406", "guardrails[0].use", 3, 20)),
        ("{use: guard, with: {word: w}, action: stop}", ("AK401", "guardrails[0].action", 3, 44)),
        ("{use: plain, at: end}", ("AK401", "guardrails[0].at", 3, 27)),
        ("{use: guard, with: {word: w, at: end}, at: end}", ("AK401", "guardrails[0].at", 3, 53)),
        ("{use: guard, with: {word: w}, at: middle}", ("AK104", "guardrails[0].at", 3, 48)),
        ("{use: guard, at: end}", ("AK103", "guardrails[0].with.word", 3, 14)),
        ("{use: gard, with: {word: w}}", ("AK201", "guardrails[0].use", 3, 20)),
        ("{use: guard, with: {word: w}, wen: true}", ("AK101", "guardrails[0].wen", 3, 44)),
    ],
)
def test_a_mistake_is_said_at_its_place(item: str, found: tuple[str, str | None, int | None, int | None]) -> None:
    assert errors(f"guardrails: [{item}]\n") == [found]


def test_a_mistake_is_found_beside_others() -> None:
    found = errors("guardrails: [{use: guard, with: {word: w}, at: middle}]\nlimits: {turns: x}\n")
    assert [code for code, *_ in found] == ["AK104", "AK102"]


def test_one_that_is_switched_off_is_not_there() -> None:
    agent = agent_of("guardrails: [{use: guard, with: {word: w}, when: false}, {use: plain}]\n")
    assert [guard.name for guard in agent.guards] == ["plain"]


def test_a_guard_may_stand_among_the_middleware() -> None:
    assert [layer.guard for layer in agent_of("middleware: [{use: plain}]\n").layers] == [False]
