"""What goes along with a hand-over, and what does not: changed tools, toolsets, layers, snapshots, journals."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

import agentkit
from agentkit import HandoffAgent, Middleware, Next, NextCall, Settings, Snapshot, ToolCall, ToolResult, on
from agentkit.events import HandedOver, Notice, ServerMcpTool, SessionUpdate
from agentkit.testing import FakeServer
from tests.session.handoffs import Box, named, output

pytestmark = pytest.mark.anyio
ITEM, CREATE, UPDATE = "conversation.item.create", "response.create", "session.update"
TO_BILLING, TO_SALES, TO_MAIN = "hand_over_to_billing", "hand_over_to_sales", "hand_over_to_main"


def agents(**of_main: Any) -> list[HandoffAgent]:
    main = {"tools": [named("lookup"), named("both")], "handoff": ["billing", "sales"], **of_main}
    return [
        HandoffAgent(name="main", instructions="Main.", **main),
        HandoffAgent(name="billing", instructions="Billing.", tools=[named("invoice")], handoff=["main", "sales"]),
        HandoffAgent(name="sales", instructions="Sales.", handoff=["main", "billing"]),
    ]


# Tools that change


async def test_what_a_program_changes_of_an_agents_tools_stays_that_agents() -> None:
    server = FakeServer()
    async with agentkit.open(server, agents=agents()) as session:
        await session.add_tool(named("more"))
        await session.remove_tool("lookup")
        await session.hand_over("sales")
        assert list(session.tools) == [TO_MAIN, TO_BILLING]
        await session.hand_over("main")
        assert list(session.tools) == ["both", TO_BILLING, TO_SALES, "more"]


async def test_a_toolset_is_open_once_and_changes_also_while_it_is_not_offered() -> None:
    shared, own = Box("pear"), Box("fig")
    server = FakeServer()
    first = HandoffAgent(name="main", handoff=["billing"])
    other = HandoffAgent(name="billing", tools=[own, shared])
    async with agentkit.open(server, tools=[shared], agents=[first, other]) as session:
        assert (shared.opened, own.opened) == (1, 1)
        assert list(session.tools) == [TO_BILLING, "pear"]
        own.things.append("plum")
        own.changed()
        await anyio.wait_all_tasks_blocked()
        assert len(server.updates) == 1  # the model is not offered it now
        await session.hand_over("billing")
        assert list(session.tools) == ["pear", "fig", "plum"]
        own.things.remove("fig")
        shared.things.append("nut")
        own.changed()
        shared.changed()
        await anyio.wait_all_tasks_blocked()
        assert set(session.tools) == {"pear", "nut", "plum"}
        await session.hand_over("main")
        assert list(session.tools) == [TO_BILLING, "pear", "nut"]


async def test_a_toolset_may_give_what_another_agent_has_but_not_what_its_own_has() -> None:
    box = Box("lookup")
    has = [*agents()[:2], HandoffAgent(name="sales", tools=[box])]
    async with agentkit.open(FakeServer(), agents=has) as session:
        await session.hand_over("sales")
        assert list(session.tools) == ["lookup"]
    with pytest.raises(TypeError, match="toolset Box gives lookup, which agent main has already"):
        async with agentkit.open(FakeServer(), agents=agents(tools=[named("lookup"), Box("lookup")])):
            pass
    late = Box()
    async with agentkit.open(FakeServer(), agents=[agents()[2], *agents(tools=[named("a"), late])[:2]]) as session:
        late.things.append("a")
        with session.subscribe(Notice) as notices, anyio.fail_after(5):
            await session.hand_over("main")
            assert (await anext(notices)).code == "tool_hidden"


class Missing(Box):
    """It cannot be opened, and need not be."""

    optional = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        if self.optional:
            raise agentkit.ToolError("the shop is closed")
        yield


async def test_an_optional_toolset_that_cannot_be_opened_is_left_out_of_each_agent() -> None:
    async with agentkit.open(FakeServer(), tools=[Missing("a")], agents=agents()) as session:
        await session.hand_over("sales")
        assert list(session.tools) == [TO_MAIN, TO_BILLING]


async def test_servers_that_the_realtime_server_calls_are_those_of_the_agent_and_of_the_session() -> None:
    common = ServerMcpTool(server_label="common", server_url="https://example.org/1", authorization="canary")
    own = ServerMcpTool(server_label="own", server_url="https://example.org/2", authorization="canary")
    server = FakeServer()
    has = [HandoffAgent(name="main"), HandoffAgent(name="billing", tools=[own])]
    async with agentkit.open(server, tools=[common], agents=has) as session:
        for name in ("billing", "main"):
            await session.hand_over(name)
        labels = [[each.get("server_label") for each in update["session"]["tools"]] for update in server.updates]
        assert labels == [["common"], ["common", "own"], ["common"]]
        assert all(each["authorization"] == "canary" for up in server.updates for each in up["session"]["tools"])


# Layers


async def test_layers_see_a_hand_over_as_a_call_an_update_and_an_event() -> None:
    seen: list[str] = []

    class Looking(Middleware):
        @on(SessionUpdate)
        async def update(self, event: SessionUpdate, call_next: Next[SessionUpdate]) -> None:
            seen.append(event.wire_type)
            await call_next(event)

        @on(HandedOver)
        async def handed_over(self, event: HandedOver, call_next: Next[HandedOver]) -> None:
            seen.append(f"{event.previous} to {event.agent}")
            await call_next(event)

        async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
            seen.append(call.name)
            if call.name == TO_SALES:
                return ToolResult.refused("nobody is there")
            return await call_next(call)

    server = FakeServer()
    async with agentkit.open(server, agents=agents(), middleware=[Looking()]) as session:
        await server.calls("r1", c1=(TO_SALES, "{}"))
        assert await output(server) == "refused: nobody is there"
        await server.next(CREATE)
        await server.says("s1", "well")
        await server.calls("r2", c2=(TO_BILLING, "{}"))
        await output(server)
        assert session.agent == "billing"
        assert seen == [UPDATE, TO_SALES, TO_BILLING, UPDATE, "main to billing"]


# Going on later


async def test_a_snapshot_goes_on_with_the_agent_that_it_was_with() -> None:
    async with agentkit.open(FakeServer(), agents=agents()) as session:
        await session.hand_over("billing")
        kept = session.snapshot().to_json()
    assert Snapshot.from_json(kept).agent == "billing"
    async with agentkit.open(FakeServer(), agents=agents()) as session:
        await session.resume(kept)
        assert session.agent == "billing"
        assert "invoice" in session.tools


@pytest.mark.parametrize("has", [[], agents()[2:]], ids=["no agents", "another one"])
async def test_a_snapshot_of_an_agent_that_is_gone_does_not_bring_its_instructions(has: list[HandoffAgent]) -> None:
    has = [HandoffAgent(name=each.name, instructions="Sales.") for each in has]
    async with agentkit.open(FakeServer(), agents=agents()) as session:
        await session.hand_over("billing")
        kept = session.snapshot()
    server = FakeServer()
    async with agentkit.open(server, agents=has) as session:
        with session.subscribe(Notice) as notices, anyio.fail_after(5):
            await session.resume(kept)
            assert (await anext(notices)).code == "agent_missing"
        assert server.session["instructions"] == ("Sales." if has else "")


async def test_a_journal_knows_whom_the_conversation_was_with(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    async with agentkit.open(FakeServer(), agents=agents(), journal=path) as session:
        assert Snapshot.from_journal(path).agent == session.snapshot().agent == "main"
        await session.hand_over("billing")
        await session.hand_over("sales")
    assert Snapshot.from_journal(path).agent == "sales"


async def test_a_journal_knows_who_has_begun_and_forgets_the_agents_of_a_session_before(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    async with agentkit.open(FakeServer(), agents=agents(), agent="billing", journal=path) as session:
        kept = session.snapshot()
    assert Snapshot.from_journal(path).agent == kept.agent == "billing"
    async with agentkit.open(FakeServer(), journal=path):
        pass
    assert Snapshot.from_journal(path).agent is None


async def test_a_snapshot_without_an_agent_brings_no_instructions_into_a_session_of_several() -> None:
    async with agentkit.open(FakeServer(), settings=Settings(instructions="Alone.")) as session:
        kept = session.snapshot()
    server = FakeServer()
    async with agentkit.open(server, agents=agents()) as session:
        await session.resume(kept)
        assert server.session["instructions"] == "Main."
        assert session.agent == "main"
