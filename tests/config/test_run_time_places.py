"""What fails while a session runs is told with the place that names it in the configuration."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from agentkit import Factory, Middleware, Next, Tool, ToolFinished, Toolset, hookimpl, on, tool
from agentkit.config.build import Agent, examine
from agentkit.errors import AgentkitError, MiddlewareError
from agentkit.events import ConversationItemCreate, Notice, ResponseDone, ToolStarted
from agentkit.plugins import Plugins

pytestmark = pytest.mark.anyio
BASE = "agent: {}\nprovider: {use: local}\n"


@tool(examples=["open the door"])
async def door() -> str:
    """Open the door."""
    raise RuntimeError("it is stuck")


class House(Toolset):
    """A toolset of one tool."""

    def tools(self) -> Sequence[Tool[..., object]]:
        return [door]


class Clumsy(Middleware):
    """Fails on each end of a response."""

    @on(ResponseDone)
    async def done(self, event: ResponseDone, call_next: Next[ResponseDone]) -> None:
        """Fail."""
        raise RuntimeError("it fell")


class Strict(Middleware):
    """Fails on each message, and lets none pass then."""

    critical = True

    @on(ConversationItemCreate)
    async def said(self, event: ConversationItemCreate, call_next: Next[ConversationItemCreate]) -> None:
        """Fail."""
        raise RuntimeError("it fell")


class Late(Clumsy):
    """Cannot start."""

    room = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fail."""
        if not self.room:
            raise OSError("no room")
        yield


PLUGIN = SimpleNamespace(
    register_tools=hookimpl(lambda: [door, Factory("house", House)]),
    register_middleware=hookimpl(lambda: [Factory("clumsy", Clumsy), Factory("strict", Strict), Factory("late", Late)]),
)


def agent_of(text: str) -> Agent:
    agent, diagnostics = examine(
        "agent.yaml", text=BASE + text, plugins=Plugins.from_modules({"mine": PLUGIN}), environ={}
    )
    assert agent is not None, diagnostics
    return agent


@pytest.mark.parametrize("use", ["door", "house"])
async def test_a_tool_that_fails(use: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    async with agent_of(f"tools:\n  - use: {use}\n").open() as session:
        with session.subscribe(ToolStarted, ToolFinished) as events:
            await session.ask("open the door")
            started, finished = await anext(events), await anext(events)
    assert isinstance(started, ToolStarted)
    assert isinstance(finished, ToolFinished)
    assert (started.where, finished.where, finished.status) == ("agent.yaml:4:5", "agent.yaml:4:5", "error")
    assert "tool door (agent.yaml:4:5) failed" in caplog.text
    assert "agent.yaml" not in finished.output


async def test_a_layer_that_fails() -> None:
    async with agent_of("middleware:\n  - use: clumsy\n").open() as session:
        with session.subscribe(Notice) as notices:
            await session.ask("hello")
            notice = await anext(notices)
    assert isinstance(notice, Notice)
    assert notice.message.startswith(
        "middleware Clumsy (agent.yaml:4:10) failed on response.done: RuntimeError: it fell"
    )


async def test_a_guard_that_fails() -> None:
    async with agent_of("guardrails:\n  - use: strict\n").open() as session:
        with pytest.raises(MiddlewareError, match=r"Strict \(agent.yaml:4:10\) failed on conversation.item.create"):
            await session.ask("hello")


async def test_a_layer_that_cannot_start() -> None:
    with pytest.raises(AgentkitError, match=r"middleware Late \(agent.yaml:4:10\)"):
        async with agent_of("middleware:\n  - use: late\n").open():
            pass
