"""Servers in a session: their tools are offered, called, changed and asked for, and what happens to them is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from agentkit_mcp import McpConfig, McpServer, Restart

import agentkit
from agentkit import ApprovalRequested, ConnectError, ToolProgress
from agentkit.events import Notice, SessionUpdated
from agentkit.testing import FakeServer

if TYPE_CHECKING:
    from .conftest import Start

# On trio, the library's HTTP client leaves generators of event streams to the garbage collector.
ABANDONED = "ignore:Exception ignored in. <async_generator object:pytest.PytestUnraisableExceptionWarning"
ONE = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""For what does not depend on the backend, and starts a program of its own."""
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings(ABANDONED)]

MISSING = McpConfig(name="notes", command=("no-such-program-anywhere",))


def offered(fake: FakeServer) -> list[str]:
    """The names of the tools that a session has declared last."""
    return [tool["name"] for tool in fake.session["tools"]]


async def test_the_tools_of_a_server_are_offered_and_run(reach: Start, url: str) -> None:
    fake = FakeServer()
    async with agentkit.open(fake, tools=[reach(url, include=("add", "greet"))]):
        await fake.calls("resp_1", call_1=("add", '{"a": 17, "b": 4}'))
        answer = await fake.next("conversation.item.create")
    assert offered(fake) == ["add", "greet"]
    assert answer["item"]["output"] == "21"


async def test_a_servers_progress_is_told_to_the_application(reach: Start, url: str) -> None:
    fake = FakeServer()
    async with agentkit.open(fake, tools=[reach(url)]) as session:
        with session.subscribe(ToolProgress) as events:
            await fake.calls("resp_1", call_1=("add", '{"a": 17, "b": 4}'))
            told = await anext(aiter(events))
    assert (told.call_id, told.message, told.done) == ("call_1", "adding", 0.25)


async def test_a_tool_that_says_it_destroys_waits_for_a_person(reach: Start, url: str) -> None:
    fake = FakeServer()
    async with agentkit.open(fake, tools=[reach(url)]) as session:
        with session.subscribe(ApprovalRequested) as events:
            await fake.calls("resp_1", call_1=("burn", "{}"))
            asked = await anext(aiter(events))
            session.approvals.reject(asked.call_id, "keep them")
            answer = await fake.next("conversation.item.create")
    assert asked.effects == "dangerous"
    assert "keep them" in answer["item"]["output"]


@ONE
async def test_a_tool_that_a_server_gets_later_is_offered(start: Start) -> None:
    fake = FakeServer()
    async with agentkit.open(fake, tools=[start("changing")]) as session:
        await fake.calls("resp_1", call_1=("grow", "{}"))
        await fake.next("conversation.item.create")
        await fake.next("response.create")
        with session.subscribe(SessionUpdated) as events:
            await fake.says("resp_2", "There are two now.")
            await anext(aiter(events))
    assert offered(fake) == ["grow", "second"]


async def test_one_server_serves_two_sessions(reach: Start, url: str) -> None:
    first, second = FakeServer(), FakeServer()
    async with reach(url) as server:
        for fake in (first, second):
            async with agentkit.open(fake, tools=[server]):
                await fake.calls("resp_1", call_1=("greet", '{"name": "Ada"}'))
                assert (await fake.next("conversation.item.create"))["item"]["output"] == "hello, Ada (here)"
        assert server.is_open


async def test_a_session_does_not_start_without_a_server() -> None:
    with pytest.raises(ConnectError, match="MCP server notes"):
        async with agentkit.open(FakeServer(), tools=[McpServer(MISSING)]):
            pass


async def test_a_session_starts_without_a_server_that_is_optional_and_tells_it() -> None:
    fake = FakeServer()
    server = McpServer(MISSING, optional=True)
    async with agentkit.open(fake, tools=[server]) as session:
        with session.subscribe(Notice) as events:
            notice = await anext(aiter(events))
    assert "MCP server notes (no-such-program-anywhere) is not there" in notice.message


@ONE
async def test_a_server_that_dies_in_a_session_is_told_and_its_calls_are_answered(start: Start) -> None:
    fake = FakeServer()
    server = start("dying", restart=Restart(backoff=30.0))
    async with agentkit.open(fake, tools=[server]) as session:
        with session.subscribe(Notice) as events:
            await fake.calls("resp_1", call_1=("count", "{}"), call_2=("count", "{}"))
            notice = await anext(aiter(events))
    assert notice.code == "mcp_lost"
