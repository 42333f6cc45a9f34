"""Calls: one run and one output each, whatever comes around them, and one create when all is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

import agentkit
from agentkit.events import (
    FunctionCallItem,
    FunctionTool,
    Notice,
    ToolCallPending,
    ToolFinished,
    TurnCompleted,
)

if TYPE_CHECKING:
    from tests.behaviour.conftest import Held, Server

pytestmark = pytest.mark.anyio
CREATE, ITEM, DELETE = "response.create", "conversation.item.create", "conversation.item.delete"
ADD_1_2 = '{"a": 1, "b": 2}'


@agentkit.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


# Two calls, and the right moment


async def test_rb_06_two_calls_give_two_outputs_and_one_create_after_both_and_the_response(
    server: Server, held: Held
) -> None:
    async with agentkit.open(server, tools=[add, held.tool]) as session:
        await server.begins("r1")
        await server.calls_tool("b", "held")
        await server.calls_tool("a", "add", ADD_1_2)
        await server.ends("r1")
        assert await server.output() == ("a", "3")
        await server.expect_nothing(session)
        held.release()
        assert await server.output() == ("b", "done")
        await server.expect(CREATE)
        await server.says("r2", "both")
        await server.expect_nothing(session)


async def test_rb_60_an_output_goes_at_once_and_the_create_after_the_response(server: Server) -> None:
    async with agentkit.open(server, tools=[add]) as session:
        await server.begins("r1")
        await server.calls_tool("a", "add", ADD_1_2)
        assert await server.output() == ("a", "3")
        await server.begins_item("i2")
        await server.emit("response.output_text.delta", response_id="r1", item_id="i2", content_index=0, delta="so")
        await server.expect_nothing(session)
        await server.ends("r1")
        await server.expect(CREATE)
        await server.expect_nothing(session)


async def test_rb_60_a_message_of_the_users_meanwhile_shares_the_create(server: Server) -> None:
    async with agentkit.open(server, tools=[add]) as session:
        await server.begins("r1")
        await server.calls_tool("a", "add", ADD_1_2)
        await server.output()
        await session.send_text("and?")
        await server.expect(ITEM)
        await server.ends("r1")
        await server.expect(CREATE)
        await server.says("r2", "3")
        await server.expect_nothing(session)


# Cut short, said twice


@pytest.mark.parametrize("arguments", ['{"x":', "{}", ""], ids=["cut", "whole", "none"])
async def test_rb_12_a_call_that_was_cut_short_is_not_run_nor_answered(
    server: Server, held: Held, arguments: str
) -> None:
    async with agentkit.open(server, tools=[held.tool]) as session:
        notices, turns = session.subscribe(Notice), session.subscribe(TurnCompleted)
        await server.begins("r1")
        await server.calls_tool("c", "held", arguments, status="incomplete")
        details = {"type": "incomplete", "reason": "max_output_tokens"}
        await server.ends("r1", "incomplete", status_details=details)
        assert (await anext(turns)).status == "incomplete"
        assert "max_output_tokens" in (await anext(notices)).message
        await server.expect_nothing(session)
        item = session.history.get("item_c")
        assert isinstance(item, FunctionCallItem)
        assert item.status == "incomplete"
    assert held.runs == 0


async def test_rb_12_a_call_in_the_list_of_a_cancelled_response_only_is_not_run(server: Server, held: Held) -> None:
    call = {
        "id": "i",
        "type": "function_call",
        "call_id": "c",
        "name": "held",
        "arguments": '{"',
        "status": "incomplete",
    }
    async with agentkit.open(server, tools=[held.tool]) as session:
        await server.begins("r1")
        await server.ends("r1", "cancelled", output=[call])
        await server.expect_nothing(session)
    assert held.runs == 0


async def test_rb_17_a_call_is_run_and_answered_once_however_often_it_is_announced(server: Server, held: Held) -> None:
    call = {"id": "item_c", "type": "function_call", "call_id": "c", "name": "held", "arguments": "{}"}
    done = {**call, "status": "completed"}
    held.release()
    async with agentkit.open(server, tools=[held.tool]) as session:
        await server.begins("r1")
        await server.calls_tool("c", "held")
        await server.emit("response.output_item.done", response_id="r1", item=done)
        await server.refuses("x")
        await server.calls_tool("c", "held")
        await server.emit("conversation.item.done", item=done)
        await server.ends("r1", output=[done])
        assert (await server.output())[0] == "c"
        await server.expect(CREATE)
        await server.says("r2", "once")
        await server.emit("response.output_item.done", response_id="r1", item=done)
        await server.emit("conversation.item.added", item=done)
        await server.expect_nothing(session)
    assert held.runs == 1


async def test_rb_17_arguments_alone_announce_no_call(server: Server, held: Held) -> None:
    at = {"response_id": "r1", "item_id": "i", "output_index": 0, "call_id": "c"}
    async with agentkit.open(server, tools=[held.tool]) as session:
        await server.begins("r1")
        await server.emit("response.function_call_arguments.done", **at, arguments="{}", name="held")
        await server.handled(session)
        await server.expect_nothing(session)
        assert held.runs == 0


# Going wrong


async def test_rb_39_each_call_that_goes_wrong_gets_a_safe_output_and_all_get_one_create(server: Server) -> None:
    @agentkit.tool
    async def boom() -> None:
        """Fail."""
        raise ValueError("the password is hunter2")

    @agentkit.tool(timeout=0.01)
    async def slow() -> None:
        """Take for ever."""
        await anyio.sleep_forever()

    async with agentkit.open(server, tools=[boom, slow, add]) as session:
        finished = session.subscribe(ToolFinished)
        await server.begins("r1")
        for call_id, name, arguments in (
            ("1", "boom", "{}"),
            ("2", "slow", "{}"),
            ("3", "unknown", "{}"),
            ("4", "add", '{"a": "x"}'),
            ("5", "add", "[]"),
        ):
            await server.calls_tool(call_id, name, arguments)
        await server.ends("r1")
        outputs = dict([await server.output() for _ in range(5)])
        await server.expect(CREATE)
        assert sorted(outputs) == ["1", "2", "3", "4", "5"]
        assert "hunter2" not in str(outputs)
        assert "Traceback" not in str(outputs)
        assert "timed out" in outputs["2"]
        assert "add" in outputs["3"]
        assert "a" in outputs["4"]
        assert "b" in outputs["4"]
        errors = {event.call_id: event.error for event in [await anext(finished) for _ in range(5)]}
        assert isinstance(errors["1"], ValueError)
        assert isinstance(errors["2"], agentkit.ToolTimeoutError)
        assert isinstance(errors["4"], agentkit.ToolArgumentsError)
        await server.says("r2", "sorry")
        await server.expect_nothing(session)


@pytest.mark.parametrize("value, output", [(None, "null"), ("", ""), (5, "5"), ({"a": [1]}, '{"a":[1]}')])
async def test_rb_41_an_output_is_a_string_in_its_own_item_and_the_create_follows(
    server: Server, value: object, output: str
) -> None:
    @agentkit.tool
    async def give() -> object:
        """Give it."""
        return value

    async with agentkit.open(server, tools=[give]):
        await server.begins("r1")
        await server.calls_tool("c", "give", "")
        await server.ends("r1")
        event = await server.next(ITEM)
        assert {"type": "function_call_output", "call_id": "c", "output": output}.items() <= event["item"].items()
        assert "response" not in await server.next(CREATE)


async def test_rb_41_an_output_without_end_is_cut_and_says_so(server: Server) -> None:
    @agentkit.tool
    async def chatter() -> str:
        """Say too much."""
        return "x" * 5_000_000

    async with agentkit.open(server, tools=[chatter]):
        await server.begins("r1")
        await server.calls_tool("c", "chatter")
        _, output = await server.output()
        assert len(output) < 1_000_000
        assert not output.endswith("x")


async def test_rb_41_a_call_that_was_deleted_meanwhile_gets_no_output(server: Server, held: Held) -> None:
    async with agentkit.open(server, tools=[held.tool]) as session:
        notices, turns = session.subscribe(Notice), session.subscribe(TurnCompleted)
        await server.begins("r1")
        await server.calls_tool("c", "held")
        await server.ends("r1")
        await server.handled(session)
        await session.delete_item("item_c")
        await server.expect(DELETE)
        held.release()
        assert (await anext(notices)).code == "call_deleted"
        await anext(turns)
        await server.expect_nothing(session)


async def test_rb_41_an_answer_to_an_unknown_call_is_refused_here(server: Server) -> None:
    async with agentkit.open(server) as session:
        with pytest.raises(agentkit.LocalProtocolError, match="nobody"):
            await session.answer("nobody", "5")
        output = agentkit.events.FunctionCallOutputItem(call_id="nobody", output="5")
        with pytest.raises(agentkit.LocalProtocolError, match="nobody"):
            await session.send(agentkit.events.ConversationItemCreate(item=output))
        await server.expect_nothing(session)


async def test_rb_41_an_output_that_the_server_refuses_is_told_to_the_model_all_the_same(server: Server) -> None:
    async with agentkit.open(server, tools=[add]):
        await server.begins("r1")
        await server.calls_tool("c", "add", ADD_1_2)
        await server.ends("r1")
        event_id = (await server.next(ITEM))["event_id"]
        await server.expect(CREATE)
        await server.refuses("invalid_value", event_id)
        item = (await server.next(ITEM))["item"]
        assert item["role"] == "system"
        assert "3" in item["content"][0]["text"]


async def test_rb_45_a_tool_without_a_body_is_left_to_the_application(server: Server) -> None:
    async with agentkit.open(server, tools=[FunctionTool(name="ask_human", parameters={"type": "object"})]) as session:
        pending = session.subscribe(ToolCallPending)
        await server.begins("r1")
        await server.calls_tool("c", "ask_human", '{"q": 1}')
        await server.ends("r1")
        call = await anext(pending)
        assert (call.call_id, call.name, call.arguments) == ("c", "ask_human", '{"q": 1}')
        await server.expect_nothing(session)
        await session.answer("c", "yes")
        assert await server.output() == ("c", "yes")
        await server.expect(CREATE)
        await session.answer("c", "no")
        await server.expect_nothing(session)


@pytest.mark.parametrize("who", ["peer", "settings"])
async def test_rb_45_a_tool_that_others_declared_gets_no_output_made_up_here(server: Server, who: str) -> None:
    theirs = FunctionTool(name="theirs", parameters={"type": "object"})
    settings = agentkit.Settings(tools=(theirs,)) if who == "settings" else None
    async with agentkit.open(server, tools=[add], settings=settings) as session:
        if who == "peer":
            declared = {"type": "function", "name": "theirs", "parameters": {"type": "object"}}
            tools = [*server.session["tools"], declared]
            await server.emit("session.updated", session={**server.session, "tools": tools})
        with session.subscribe(ToolCallPending) as pending:
            await server.begins("r1")
            await server.calls_tool("c", "theirs")
            await server.ends("r1")
            await server.expect_nothing(session)
        assert [call.name async for call in pending] == ["theirs"]
