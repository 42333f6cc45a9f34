"""MCP servers that the Realtime server calls by itself: declared, approved and told as any tool."""

from typing import Any

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit import Reconnect
from agentkit.events import (
    ApprovalRequested,
    Reconnected,
    ServerMcpTool,
    ToolFinished,
    ToolStarted,
    TranscriptionSettings,
    TurnCompleted,
)
from agentkit.testing import FakeServer

pytestmark = pytest.mark.anyio
DOCS = ServerMcpTool(server_label="docs", server_url="https://example.org/mcp", authorization="canary-token")
REQUEST: dict[str, Any] = {
    "id": "q1",
    "type": "mcp_approval_request",
    "server_label": "docs",
    "name": "find",
    "arguments": '{"q": 1}',
}
CALL: dict[str, Any] = {"id": "m1", "type": "mcp_call", "server_label": "docs", "name": "find", "arguments": '{"q": 1}'}


@agentkit.tool
def look() -> str:
    """Look."""
    return "rain"


async def test_it_is_declared_beside_our_tools_and_stays_when_those_change() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[look, DOCS]) as session:
        await session.remove_tool("look")
        assert list(session.tools) == []
    kinds = [[each["type"] for each in update["session"]["tools"]] for update in server.updates]
    assert kinds == [["function", "mcp"], ["mcp"]]
    assert server.updates[0]["session"]["tools"][1]["authorization"] == "canary-token"


async def test_a_transcription_session_has_none() -> None:
    with pytest.raises(TypeError, match="a transcription session has no tools"):
        async with agentkit.open(FakeServer(), tools=[DOCS], settings=TranscriptionSettings()):
            pass


def test_its_secrets_are_not_shown() -> None:
    assert "canary" not in repr(DOCS)
    assert "docs" in repr(DOCS)


@pytest.mark.parametrize("approved", [True, False])
async def test_a_person_is_asked_and_the_server_told(approved: bool) -> None:
    server = FakeServer()
    turns: list[agentkit.Turn] = []
    async with agentkit.open(server, tools=[DOCS]) as session, anyio.create_task_group() as tasks:
        with session.subscribe(ApprovalRequested, ToolStarted, ToolFinished) as events, anyio.fail_after(5):

            async def ask() -> None:
                turns.append(await session.ask("find it"))

            tasks.start_soon(ask)
            await server.next("conversation.item.create")
            await server.next("response.create")
            await server.emit("response.created", response={"id": "r1", "output": []})
            await server.emit("response.output_item.added", response_id="r1", item=REQUEST)
            await server.emit("response.done", response={"id": "r1", "status": "completed", "output": []})
            request = await anext(events)
            assert isinstance(request, ApprovalRequested)
            assert (request.call_id, request.server_label, request.name) == ("q1", "docs", "find")
            with pytest.raises(agentkit.LocalProtocolError, match="its arguments cannot be changed"):
                session.approvals.approve("q1", arguments={"q": 2})
            if approved:
                session.approvals.approve("q1")
            else:
                session.approvals.reject("q1", "no")
            item = (await server.next("conversation.item.create"))["item"]
            assert (item["type"], item["approval_request_id"], item["approve"]) == (
                "mcp_approval_response",
                "q1",
                approved,
            )
            if approved:
                await server.emit("conversation.item.added", item={**CALL, "approval_request_id": "q1"})
                await server.emit("response.mcp_call.in_progress", item_id="m1")
                await server.emit("conversation.item.done", item={**CALL, "output": "here"})
                assert (await anext(events)).wire_type == "tool.started"
                finished = await anext(events)
                assert isinstance(finished, ToolFinished)
                assert (finished.name, finished.status, finished.output) == ("docs.find", "ok", "here")
            await server.next("response.create")
            await server.says("r2", "well")
    assert turns[0].text == "well"
    assert [call.name for call in turns[0].tools] == (["docs.find"] if approved else [])


async def test_a_call_that_failed_is_told_as_one() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[DOCS]) as session, anyio.create_task_group():
        with session.subscribe(ToolFinished) as events, anyio.fail_after(5):
            await server.emit("conversation.item.added", item=CALL)
            await server.emit("conversation.item.done", item={**CALL, "error": "no such page"})
            finished = await anext(events)
            assert (finished.status, finished.output, str(finished.error)) == ("error", "no such page", "no such page")


async def test_an_approved_call_that_was_lost_with_its_connection_is_told_to_the_model() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[DOCS], reconnect=Reconnect(first_wait=0.0)) as session:
        with session.subscribe(ApprovalRequested, Reconnected, TurnCompleted) as events, anyio.fail_after(5):
            await server.emit("response.created", response={"id": "r1", "output": []})
            await server.emit("response.output_item.added", response_id="r1", item=REQUEST)
            await server.emit("response.done", response={"id": "r1", "status": "completed", "output": []})
            assert isinstance(await anext(events), ApprovalRequested)
            session.approvals.approve("q1")
            assert (await server.next("conversation.item.create"))["item"]["approve"] is True
            await server.drop()
            assert isinstance(await anext(events), Reconnected)
            item = (await server.next("conversation.item.create"))["item"]
            await server.next("response.create")
            await server.says("r2", "I do not know whether it was done.")
            turn = await anext(events)
            assert isinstance(turn, TurnCompleted)
    assert item["role"] == "system"
    assert 'docs.find was approved to be called with {"q": 1}' in item["content"][0]["text"]
    assert turn.tool_calls == 0


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])
async def test_a_call_whose_end_is_never_told_finishes_with_an_error() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[DOCS]) as session:
        with session.subscribe(ToolStarted, ToolFinished, TurnCompleted) as events:
            await server.emit("response.created", response={"id": "r1", "output": []})
            await server.emit("response.output_item.added", response_id="r1", item=CALL)
            await server.emit("response.mcp_call.in_progress", item_id="m1", output_index=0)
            await server.emit("response.done", response={"id": "r1", "status": "completed", "output": []})
            started, finished, turn = [await anext(events) for _ in range(3)]
    assert isinstance(started, ToolStarted)
    assert isinstance(finished, ToolFinished)
    assert isinstance(turn, TurnCompleted)
    assert (finished.call_id, finished.name, finished.status) == ("m1", "docs.find", "error")
    assert "has not told the end of the call of docs.find" in finished.output
