"""Tool calls from the wire to the wire: one run, one output, one create."""

import threading

import anyio
import pytest

import agentkit
from agentkit.events import FunctionTool, ToolCallPending, ToolFinished, ToolStarted
from agentkit.testing import FakeServer
from agentkit.tools import Tool, ToolContext, tool

pytestmark = pytest.mark.anyio


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def output_of(server: FakeServer) -> dict[str, object]:
    event = await server.next("conversation.item.create")
    item: dict[str, object] = event["item"]
    assert item["type"] == "function_call_output"
    assert isinstance(item["output"], str)
    return item


async def test_two_calls_in_one_response_give_two_outputs_and_then_one_create() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[add]) as session, anyio.create_task_group() as tasks:
        turns: list[agentkit.Turn] = []

        async def ask() -> None:
            turns.append(await session.ask("what is 1 + 2, and 3 + 4?"))

        tasks.start_soon(ask)
        await server.next("conversation.item.create")
        await server.next("response.create")
        await server.calls("r1", a=("add", '{"a": 1, "b": 2}'), b=("add", '{"a": 3, "b": 4}'))
        outputs = {item["call_id"]: item["output"] for item in [await output_of(server), await output_of(server)]}
        assert outputs == {"a": "3", "b": "7"}
        await server.next("response.create")
        await server.says("r2", "3 and 7")
    assert turns[0].text == "3 and 7"
    assert turns[0].responses == 2
    assert [call.result for call in turns[0].tools] == [3, 7]


async def test_an_output_goes_out_before_its_response_is_done_and_the_create_after() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[add]):
        await server.emit("response.created", response={"id": "r1"})
        call = {"id": "i", "type": "function_call", "call_id": "c", "name": "add", "arguments": '{"a":1,"b":1}'}
        await server.emit("response.output_item.done", response_id="r1", item={**call, "status": "completed"})
        assert (await output_of(server))["output"] == "2"
        await server.emit("response.done", response={"id": "r1", "status": "completed", "output": []})
        await server.next("response.create")


def boom() -> None:
    """Fail."""
    raise RuntimeError("the secret is 42")


async def hang() -> None:
    """Never end."""
    await anyio.sleep_forever()


def odd() -> object:
    """Return what no JSON has."""
    return threading.Lock()


@pytest.mark.parametrize(
    "name, arguments, said",
    [
        ("boom", "{}", "RuntimeError"),
        ("hang", "{}", "timed out"),
        ("odd", "{}", "lock"),
        ("add", '{"a": 1, "b"', "JSON"),
        ("add", '{"a": "x", "c": 1}', "b"),
        ("ad", "{}", "add"),
    ],
    ids=["raises", "hangs", "odd-object", "bad-json", "wrong-fields", "unknown"],
)
async def test_a_call_that_goes_wrong_gets_one_clear_output_and_the_session_goes_on(
    name: str, arguments: str, said: str
) -> None:
    server = FakeServer()
    tools: list[Tool[..., object]] = [add, tool(boom), tool(hang, timeout=0.05), tool(odd)]
    async with agentkit.open(server, tools=tools):
        await server.calls("r1", c=(name, arguments))
        output = str((await output_of(server))["output"])
        assert said in output
        assert "Traceback" not in output
        assert "42" not in output
        await server.next("response.create")
        await server.calls("r2", d=("add", '{"a": 2, "b": 2}'))
        assert (await output_of(server))["output"] == "4"


async def test_a_tool_that_blocks_its_thread_does_not_block_the_reader() -> None:
    server, release = FakeServer(), threading.Event()

    @tool
    def block() -> str:
        """Wait in the thread."""
        assert release.wait(10)
        return "done"

    async with agentkit.open(server, tools=[block, add]):
        await server.calls("r1", slow=("block", "{}"), quick=("add", '{"a": 1, "b": 1}'))
        assert (await output_of(server))["call_id"] == "quick"
        release.set()
        assert (await output_of(server))["call_id"] == "slow"
        await server.next("response.create")


async def test_a_call_announced_three_times_runs_once() -> None:
    server, runs = FakeServer(), []

    @tool
    def count() -> int:
        """Count."""
        runs.append(1)
        return len(runs)

    async with agentkit.open(server, tools=[count]):
        item = {"id": "i", "type": "function_call", "call_id": "c", "name": "count", "arguments": "{}"}
        done = {**item, "status": "completed"}
        await server.emit("response.created", response={"id": "r1"})
        await server.emit(
            "response.function_call_arguments.done", response_id="r1", item_id="i", call_id="c", arguments="{}"
        )
        await server.emit("response.output_item.done", response_id="r1", item=done)
        await server.emit("error", error={"message": "odd", "type": "server_error"})
        await server.emit("response.output_item.done", response_id="r1", item=done)
        await server.emit("conversation.item.done", item=done)
        await server.emit("response.done", response={"id": "r1", "status": "completed", "output": [done]})
        await output_of(server)
        await server.next("response.create")
        await server.says("r2", "one")
    assert runs == [1]


async def test_a_tool_without_a_body_is_answered_by_the_application() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[FunctionTool(name="ask_human", parameters={})]) as session:
        with session.subscribe(ToolCallPending) as pending:
            await server.calls("r1", c=("ask_human", "{}"))
            assert (await anext(pending)).name == "ask_human"
        await session.answer("c", "yes")
        assert (await output_of(server))["output"] == "yes"
        await server.next("response.create")
        with pytest.raises(agentkit.LocalProtocolError, match="no call"):
            await session.answer("other", "yes")


async def test_a_tool_gets_the_context_that_it_asks_for() -> None:
    server = FakeServer()

    @tool
    async def who(context: ToolContext) -> str:
        """Tell who is there."""
        assert context.session is not None
        return f"{context.data} {context.call.call_id}"

    async with agentkit.open(server, tools=[who], context="Ada"):
        assert server.updates[0]["session"]["tools"][0]["parameters"].get("properties") in ({}, None)
        await server.calls("r1", c=("who", "{}"))
        assert (await output_of(server))["output"] == "Ada c"


async def test_started_and_finished_are_told_with_the_duration() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[add]) as session:
        with session.subscribe(ToolStarted, ToolFinished) as events:
            await server.calls("r1", c=("add", '{"a": 1, "b": 2}'))
            started, finished = await anext(events), await anext(events)
        assert isinstance(started, ToolStarted)
        assert isinstance(finished, ToolFinished)
        assert (started.name, finished.name, finished.output, finished.ok) == ("add", "add", "3", True)
        assert finished.seconds >= 0


async def test_tools_can_be_added_and_removed_and_the_server_is_told() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        assert server.updates == []
        await session.add_tool(add)
        await session.remove_tool("add")
        with pytest.raises(agentkit.LocalProtocolError, match="no tool called 'add'"):
            await session.remove_tool("add")
    assert [[each["name"] for each in update["session"]["tools"]] for update in server.updates] == [["add"], []]


async def test_a_tool_call_over_the_limit_of_a_turn_is_refused() -> None:
    server = FakeServer()
    limits = agentkit.SessionLimits(core=agentkit.SessionLimits().core.__class__(tool_calls_per_turn=1))
    async with agentkit.open(server, tools=[add], limits=limits):
        await server.calls("r1", a=("add", '{"a":1,"b":1}'), b=("add", '{"a":1,"b":1}'))
        outputs = {item["call_id"]: item["output"] for item in [await output_of(server), await output_of(server)]}
        assert outputs["a"] == "2"
        assert "refused" in str(outputs["b"])


async def test_two_tools_of_one_name_are_refused_before_anything_connects() -> None:
    with pytest.raises(TypeError, match="two tools have the name add"):
        async with agentkit.open(FakeServer(), tools=[add, add]):
            raise AssertionError("not reached")


async def test_a_function_that_is_no_tool_is_refused_with_the_next_step() -> None:
    with pytest.raises(TypeError, match="decorate the function with"):
        async with agentkit.open(FakeServer(), tools=[len]):  # type: ignore[list-item]  # wrong on purpose
            raise AssertionError("not reached")
