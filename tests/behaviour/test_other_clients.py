"""Another client on the same conversation, as a browser beside a relay: each call has one owner, and one output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import agentkit
from agentkit import RealtimeClient
from agentkit.events import (
    AppEvent,
    ConversationItemCreate,
    FunctionCallOutputItem,
    FunctionTool,
    TurnCompleted,
    UnknownClientEvent,
)

if TYPE_CHECKING:
    from tests.behaviour.conftest import Held, Server

pytestmark = pytest.mark.anyio
THEIRS = FunctionTool(name="theirs", parameters={"type": "object"})


async def answers_elsewhere(server: Server, call_id: str) -> None:
    """The other client's output comes into the conversation."""
    item = {"id": f"out_{call_id}", "type": "function_call_output", "call_id": call_id, "output": "by the other"}
    await server.emit("conversation.item.added", item=item)


async def test_rb_09_a_call_that_the_other_client_answers_is_not_answered_here(server: Server) -> None:
    async with agentkit.open(server, settings=agentkit.Settings(tools=(THEIRS,))) as session:
        await server.begins("r1")
        await server.calls_tool("c", "theirs")
        await server.ends("r1")
        await answers_elsewhere(server, "c")
        await server.expect_nothing(session)
        await session.answer("c", "mine too")
        await server.expect_nothing(session)
        output = ConversationItemCreate(item=FunctionCallOutputItem(call_id="c", output="mine too"))
        with pytest.raises(agentkit.LocalProtocolError, match="has its output already"):
            await session.send(output)


async def test_rb_09_the_turn_is_over_here_when_the_other_client_has_answered(server: Server) -> None:
    async with agentkit.open(server, settings=agentkit.Settings(tools=(THEIRS,))) as session:
        with session.subscribe(TurnCompleted) as turns:
            await server.begins("r1")
            await server.calls_tool("c", "theirs")
            await server.ends("r1")
            await answers_elsewhere(server, "c")
            assert (await anext(turns)).tool_calls == 1
        await session.end()
        await session.wait_closed()


async def test_rb_09_a_tool_that_runs_here_too_gives_no_second_output(server: Server, held: Held) -> None:
    async with agentkit.open(server, tools=[held.tool]) as session:
        await server.begins("r1")
        await server.calls_tool("c", "held")
        await server.ends("r1")
        await answers_elsewhere(server, "c")
        held.release()
        await server.expect_nothing(session)


# Events of the application's own


async def test_rb_52_an_event_of_the_applications_own_passes_the_layers_and_never_the_wire(server: Server) -> None:
    passed: list[str] = []

    class Layer(agentkit.Middleware):
        @agentkit.on(UnknownClientEvent)
        async def note(self, event: UnknownClientEvent, call_next: agentkit.Next[UnknownClientEvent]) -> None:
            passed.append(event.wire_type)
            await call_next(event)

    async with agentkit.open(server, middleware=[Layer()]) as session:
        with session.subscribe(AppEvent) as own:
            await session.send(UnknownClientEvent(wire_type="app.cursor", data={"x": 1}))
            assert await anext(own) == AppEvent(name="app.cursor", data={"x": 1})
        await server.expect_nothing(session)
        await session.send(UnknownClientEvent(wire_type="vendor.ping", data={"n": 2}))
        frame = await server.next("vendor.ping")
        assert frame["n"] == 2
    assert passed == ["app.cursor", "vendor.ping"]


async def test_rb_52_a_client_is_told_of_its_own_events(server: Server) -> None:
    client = RealtimeClient(provider=server)
    told: list[object] = []
    client.realtime.on("client.app.*", told.append)
    async with client:
        waiting = client.session.subscribe(AppEvent)
        await client.realtime.send("app.cursor", {"x": 1})
        await anext(waiting)
        await server.expect_nothing(client.session)
    assert told == [{"type": "app.cursor", "x": 1}]
