"""Background calls: the turn goes on without them, and their results are spoken when nobody speaks."""

import anyio
import pytest

import agentkit
from agentkit.events import ToolFinished, ToolStarted, TurnCompleted
from agentkit.testing import FakeServer
from agentkit.tools import Tool, ToolContext, tool

pytestmark = pytest.mark.anyio
ITEM, CREATE = "conversation.item.create", "response.create"


class Work:
    """A background tool that ends when it is told to."""

    def __init__(self, **policy: object) -> None:
        self.go = anyio.Event()
        self.ended = anyio.Event()
        self.tool: Tool[..., object] = tool(self.run, name="work").with_(**{"background": True, **policy})  # type: ignore[arg-type]  # whatever the test says

    async def run(self, context: ToolContext) -> str:
        """Work."""
        try:
            await self.go.wait()
            return "worked"
        finally:
            self.ended.set()


async def output(server: FakeServer) -> tuple[str, str]:
    with anyio.fail_after(5):
        item = (await server.next(ITEM))["item"]
    return item["call_id"], item["output"]


async def nothing_more(server: FakeServer, session: agentkit.Session) -> None:
    await anyio.wait_all_tasks_blocked()
    await session.clear_audio()
    await server.next("input_audio_buffer.clear")


async def asked(server: FakeServer, session: agentkit.Session) -> agentkit.Turn:
    """Ask, let the model call the tool, and return the turn that ends without the result."""
    turns: list[agentkit.Turn] = []
    async with anyio.create_task_group() as tasks:

        async def ask() -> None:
            turns.append(await session.ask("work", timeout=5))

        tasks.start_soon(ask)
        await server.next(ITEM)
        await server.next(CREATE)
        await server.calls("r1", c=("work", "{}"))
    return turns[0]


async def test_the_turn_ends_and_the_result_is_spoken_later() -> None:
    work = Work()
    server = FakeServer()
    async with agentkit.open(server, tools=[work.tool]) as session:
        with session.subscribe(ToolStarted, ToolFinished, TurnCompleted) as events:
            turn = await asked(server, session)
            assert (turn.status, turn.text, turn.tools) == ("completed", "", ())
            assert [call.background for call in session.calls.running] == [True]
            work.go.set()
            assert await output(server) == ("c", "worked")
            await server.next(CREATE)
            await server.says("r2", "it is done")
            with anyio.fail_after(5):
                seen = [await anext(events) for _ in range(4)]
        assert [event.wire_type for event in seen] == [
            "tool.started",
            "turn.completed",
            "tool.finished",
            "turn.completed",
        ]
        assert isinstance(seen[3], TurnCompleted)
        assert seen[3].text == "it is done"
        await nothing_more(server, session)


async def test_a_result_waits_until_the_agent_has_spoken() -> None:
    work = Work()
    server = FakeServer()
    async with agentkit.open(server, tools=[work.tool]) as session:
        await asked(server, session)
        await session.send_text("and what else?")
        await server.next(ITEM)
        await server.next(CREATE)
        await server.emit("response.created", response={"id": "r2", "output": []})
        await anyio.wait_all_tasks_blocked()
        work.go.set()
        assert await output(server) == ("c", "worked")
        await nothing_more(server, session)
        await server.emit("response.done", response={"id": "r2", "status": "completed", "output": []})
        await server.next(CREATE)


async def test_a_result_that_comes_before_the_response_is_over_belongs_to_its_turn() -> None:
    work = Work()
    work.go.set()
    server = FakeServer()
    async with agentkit.open(server, tools=[work.tool]) as session:
        turns: list[agentkit.Turn] = []
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                turns.append(await session.ask("work", timeout=5))

            tasks.start_soon(ask)
            await server.next(ITEM)
            await server.next(CREATE)
            await server.emit("response.created", response={"id": "r1", "output": []})
            item = {"id": "i", "type": "function_call", "call_id": "c", "name": "work", "arguments": "{}"}
            await server.emit("response.output_item.done", response_id="r1", item={**item, "status": "completed"})
            assert await output(server) == ("c", "worked")
            await server.emit("response.done", response={"id": "r1", "status": "completed", "output": []})
            await server.next(CREATE)
            await server.says("r2", "at once")
        assert turns[0].text == "at once"


async def test_the_turn_waits_for_the_other_calls_only() -> None:
    @tool
    async def look() -> str:
        """Look."""
        return "rain"

    work = Work()
    server = FakeServer()
    async with agentkit.open(server, tools=[work.tool, look]) as session:
        await server.calls("r1", c=("work", "{}"), d=("look", "{}"))
        assert await output(server) == ("d", "rain")
        await server.next(CREATE)
        await server.says("r2", "rain")
        work.go.set()
        assert await output(server) == ("c", "worked")
        await server.next(CREATE)
        await server.says("r3", "worked")
        await nothing_more(server, session)


@pytest.mark.parametrize("how", ["silent", "interrupted"])
async def test_a_result_may_be_given_without_being_spoken(how: str) -> None:
    work = Work(reply="silent") if how == "silent" else Work(on_interrupt="finish_silently")
    server = FakeServer()
    async with agentkit.open(server, tools=[work.tool]) as session:
        await asked(server, session)
        await session.interrupt()
        work.go.set()
        assert await output(server) == ("c", "worked")
        await nothing_more(server, session)


async def test_an_interruption_of_something_else_leaves_the_result_to_be_spoken() -> None:
    work = Work()
    server = FakeServer()
    async with agentkit.open(server, tools=[work.tool]) as session:
        await asked(server, session)
        await session.interrupt()
        work.go.set()
        assert await output(server) == ("c", "worked")
        await server.next(CREATE)


async def test_the_agent_may_say_something_when_the_work_begins() -> None:
    work = Work(filler="I am on it.")
    server = FakeServer()
    async with agentkit.open(server, tools=[work.tool]):
        await server.calls("r1", c=("work", "{}"))
        with anyio.fail_after(5):
            create = await server.next(CREATE)
        assert create["response"]["instructions"] == "Say exactly: I am on it."


async def test_a_session_that_ends_does_not_wait_for_the_work() -> None:
    work = Work()
    server = FakeServer()
    async with agentkit.open(server, tools=[work.tool]) as session:
        await asked(server, session)
        await session.end("done")
        with anyio.fail_after(5):
            await session.wait_closed()
    assert work.ended.is_set()


async def test_running_work_can_be_cancelled() -> None:
    work = Work()
    server = FakeServer()
    async with agentkit.open(server, tools=[work.tool]) as session:
        await asked(server, session)
        session.calls.cancel("c")
        assert await output(server) == ("c", "cancelled: the application gave it up")
        with pytest.raises(agentkit.LocalProtocolError, match="no call 'c' runs; running: none"):
            session.calls.cancel("c")
        await server.next(CREATE)
