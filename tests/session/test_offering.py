"""What a session asks of the server where the server refuses, does not answer, or keeps secrets to itself."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit import Reconnect, RemoteProtocolError, Settings
from agentkit.events import Notice, Reconnected, ServerMcpTool
from agentkit.testing import SESSION, FakeServer
from agentkit.tools import Tool, Toolset, tool
from agentkit.transports.base import Transport

pytestmark = pytest.mark.anyio
AT_ONCE = Reconnect(first_wait=0.0)
SECRETS = {"authorization": "canary-token", "headers": {"X-Key": "canary-key"}}
DOCS = ServerMcpTool(
    server_label="docs",
    server_url="https://example.org/mcp",
    authorization="canary-token",
    headers={"X-Key": "canary-key"},
)
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])


def named(name: str, result: str = "") -> Tool[..., object]:
    async def body() -> str:
        """Say a name."""
        return result or name

    return tool(body, name=name)


def names(update: dict[str, Any]) -> list[str]:
    return [each["name"] for each in update["session"]["tools"]]


class Server(FakeServer):
    """Begins anew with each connection, and keeps the secrets of MCP servers to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.gate: anyio.Event | None = None
        """Opens for the further connections, where there is one."""
        self.answers = True
        self.dialled = False

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Transport]:
        if self.dialled and self.gate is not None:
            await self.gate.wait()
        self.dialled = True
        self.session = dict(SESSION)
        async with super().connect() as transport:
            yield transport

    async def confirm(self, update: dict[str, Any]) -> None:
        self.updates.append(update)
        if not self.answers:
            return
        settings = dict(update["session"])
        if "tools" in settings:
            settings["tools"] = [{k: v for k, v in each.items() if k not in SECRETS} for each in settings["tools"]]
        self.session = {**self.session, **settings}
        await self.emit("session.updated", session=self.session)

    def secrets(self) -> list[dict[str, Any]]:
        """Return the secrets of each update that declares an MCP server."""
        tools = [each for update in self.updates for each in update["session"].get("tools", ())]
        return [{key: each.get(key) for key in SECRETS} for each in tools if each["type"] == "mcp"]


# Secrets of hosted tools


async def test_a_hosted_tool_keeps_its_secrets_where_our_tools_change() -> None:
    server = Server()
    async with agentkit.open(server, tools=[DOCS]) as session:
        await session.add_tool(named("a"))
        await session.remove_tool("a")
    assert server.secrets() == [SECRETS] * 3


async def test_a_hosted_tool_keeps_its_secrets_on_each_further_connection() -> None:
    server = Server()
    async with agentkit.open(server, tools=[DOCS], reconnect=AT_ONCE) as session:
        with session.subscribe(Reconnected) as again, anyio.fail_after(5):
            for _ in range(2):
                await server.drop()
                await anext(again)
        await session.add_tool(named("a"))
    assert server.secrets() == [SECRETS] * 4


async def test_a_hosted_tool_that_was_given_up_is_not_declared_again() -> None:
    server = Server()
    async with agentkit.open(server, tools=[DOCS]) as session:
        await session.update(Settings(tools=()))
        await session.add_tool(named("a"))
    assert server.secrets() == [SECRETS]


# Changes that nobody answers


@VIRTUAL
@pytest.mark.parametrize("sent", [False, True], ids=["asked for between two connections", "lost with its connection"])
async def test_a_tool_that_was_taken_back_is_not_offered_by_the_next_connection(sent: bool) -> None:
    server = Server()
    server.gate = anyio.Event()
    async with agentkit.open(server, tools=[named("a")], reconnect=AT_ONCE) as session:
        with session.subscribe(Reconnected) as again:
            server.answers = not sent
            async with anyio.create_task_group() as tasks:
                if not sent:
                    await server.drop()
                    await anyio.wait_all_tasks_blocked()

                async def add() -> None:
                    with pytest.raises(RemoteProtocolError, match=r"session\.updated"):
                        await session.add_tool(named("b"))

                tasks.start_soon(add)
                if sent:
                    await anyio.wait_all_tasks_blocked()
                    await server.drop()
            server.answers = True
            server.gate.set()
            await anext(again)
        await session.add_tool(named("c"))
        assert list(session.tools) == ["a", "c"]
    with_b = [names(update) for update in server.updates if "b" in names(update)]
    assert with_b == ([["a", "b"]] if sent else [])
    assert names(server.updates[-1]) == ["a", "c"]


@VIRTUAL
async def test_a_tool_that_was_taken_back_on_a_silent_connection_is_not_offered_by_the_next() -> None:
    server = Server()
    async with agentkit.open(server, tools=[named("a")], reconnect=AT_ONCE) as session:
        server.answers = False
        with pytest.raises(RemoteProtocolError):
            await session.add_tool(named("b"))
        server.answers = True
        with session.subscribe(Reconnected) as again:
            await server.drop()
            await anext(again)
        await anyio.wait_all_tasks_blocked()
        assert isinstance(session.settings, Settings)
    assert [names(update) for update in server.updates] == [["a"], ["a", "b"], ["a"]]


@VIRTUAL
async def test_a_tool_that_was_taken_back_is_undone_where_the_server_confirms_it_late() -> None:
    server = Server()
    async with agentkit.open(server, tools=[named("a")]) as session:
        server.answers = False
        with pytest.raises(RemoteProtocolError):
            await session.add_tool(named("b"))
        server.answers = True
        late = server.updates.pop()
        await server.confirm(late)
        await anyio.wait_all_tasks_blocked()
        assert [names(update) for update in server.updates] == [["a"], ["a", "b"], ["a"]]
        assert list(session.tools) == ["a"]


@VIRTUAL
async def test_settings_that_were_asked_for_in_time_are_sent_by_the_next_connection() -> None:
    server = Server()
    server.gate = anyio.Event()
    async with agentkit.open(server, reconnect=AT_ONCE) as session, anyio.create_task_group() as tasks:
        await server.drop()
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(session.add_tool, named("b"))
        await anyio.wait_all_tasks_blocked()
        server.gate.set()
    assert [names(update) for update in server.updates] == [["b"]]


# Toolsets


class Shop(Toolset):
    """Gives the tools of its shelf."""

    def __init__(self, *names: str) -> None:
        self.put(*names)

    def put(self, *names: str, version: int = 1) -> None:
        self.shelf = [named(name, f"{name} {version}") for name in names]

    def tools(self) -> Sequence[Tool[..., object]]:
        return self.shelf


class Refusing(FakeServer):
    """Refuses a tool called ``bad``, when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = anyio.Event()

    async def confirm(self, update: dict[str, Any]) -> None:
        if "bad" not in names(update):
            await super().confirm(update)
            return
        await self.answer.wait()
        error = {"type": "invalid_request_error", "code": "bad", "message": "no", "event_id": update["event_id"]}
        await self.emit("error", error=error)


@pytest.mark.parametrize("waits", [True, False], ids=["after the refusal", "before the refusal"])
async def test_a_toolset_whose_change_was_refused_may_give_other_tools(waits: bool) -> None:
    server, shop = Refusing(), Shop("a", "b")
    async with agentkit.open(server, tools=[named("own"), shop]) as session:
        with session.subscribe(Notice) as notices, anyio.fail_after(5):
            shop.put("a", "bad", version=2)
            shop.changed()
            await anyio.wait_all_tasks_blocked()
            if waits:
                server.answer.set()
                assert "no" in (await anext(notices)).message
                assert list(session.tools) == ["own", "a", "b"]
            shop.put("b", version=3)
            shop.changed()
            server.answer.set()
            await anyio.wait_all_tasks_blocked()
            assert list(session.tools) == ["own", "b"]
            await server.calls("r1", c1=("b", "{}"))
            assert (await server.next("conversation.item.create"))["item"]["output"] == "b 3"


@VIRTUAL
async def test_a_toolset_that_changes_while_there_is_no_connection_is_taken_over_by_the_next() -> None:
    server, shop = Server(), Shop("a")
    server.gate = anyio.Event()
    async with agentkit.open(server, tools=[shop], reconnect=AT_ONCE) as session:
        await server.drop()
        await anyio.wait_all_tasks_blocked()
        shop.put("b", "c")
        shop.changed()
        await anyio.sleep(60)
        server.gate.set()
        await session.wait_for(Reconnected)
        await anyio.sleep(1)
        assert list(session.tools) == ["b", "c"]
    assert [names(update) for update in server.updates] == [["a"], ["a"], ["b", "c"]]
