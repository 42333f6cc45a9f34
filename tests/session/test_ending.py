"""How a session ends, and what a cancelled caller leaves behind: everybody is told, and nothing is half done."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

import agentkit
from agentkit.events import (
    ConversationItemCreate,
    ConversationItemTruncate,
    Event,
    Notice,
    ResponseCreated,
    ServerEvent,
    SessionEnded,
    SessionEvent,
    TurnCompleted,
)
from agentkit.middleware import Middleware, Next, on
from agentkit.session import engine
from agentkit.testing import FakeServer
from agentkit.tools import tool

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "END_SECONDS", 0.05)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Deaf(FakeServer):
    """A server with room for few frames, which reads only when the test says so."""

    async def fill(self, session: agentkit.Session) -> int:
        """Send audio until a send blocks, and return how many frames went."""
        sent = 0
        with anyio.move_on_after(0.2):
            while True:
                await session.append_audio(bytes(480))
                sent += 1
        return sent + 1  # the one that blocks is on its way all the same


class Stuck(Middleware):
    """Never lets the session's last event pass."""

    @on(SessionEnded)
    async def wait(self, event: SessionEnded, call_next: Next[SessionEnded]) -> None:
        await anyio.sleep_forever()


async def test_a_layer_that_holds_the_last_event_does_not_hold_the_session() -> None:
    async with agentkit.open(FakeServer(), middleware=[Stuck()]) as session:
        events = session.subscribe(SessionEnded)
    assert [event async for event in events] == [SessionEnded(cause="closed")]
    await session.wait_closed()


async def test_a_caller_that_is_cancelled_while_the_session_ends_leaves_nobody_waiting() -> None:
    async with agentkit.open(FakeServer(), middleware=[Stuck()]) as session:
        events = session.subscribe(SessionEvent)
        with anyio.move_on_after(0.05):
            await session.end()
        assert [type(event) async for event in events] == [SessionEnded]
        await session.wait_closed()


async def test_who_waits_for_a_layer_is_told_when_the_session_closes() -> None:
    errors: list[type[BaseException]] = []

    class Slow(Middleware):
        @on(ConversationItemCreate)
        async def wait(self, event: ConversationItemCreate, call_next: Next[ConversationItemCreate]) -> None:
            await anyio.sleep_forever()

    async def send(session: agentkit.Session) -> None:
        try:
            await session.send_text("hello", reply=False)
        except agentkit.SessionClosedError as exc:
            errors.append(type(exc))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            async with agentkit.open(FakeServer(), middleware=[Slow()]) as session:
                tasks.start_soon(send, session)
                tasks.start_soon(send, session)
                await anyio.wait_all_tasks_blocked()
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()  # the one inside the layer waits for what never comes
    assert errors == [agentkit.SessionClosedError]


async def test_an_ask_that_is_cancelled_in_a_blocked_write_is_written_all_the_same() -> None:
    server = Deaf()
    async with agentkit.open(server) as session:
        frames = await server.fill(session)
        with pytest.raises(TimeoutError):
            await session.ask("hello", timeout=0.05)
        for _ in range(frames):
            await server.next("input_audio_buffer.append")
        await server.next("conversation.item.create")
        assert session.ended is None
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:

                async def serve() -> None:
                    await server.next("conversation.item.create")
                    await server.next("response.create")
                    await server.says("r1", "here")

                tasks.start_soon(serve)
                assert (await session.ask("again")).text == "here"


async def test_a_call_that_comes_after_the_end_runs_no_tool() -> None:
    server, runs = FakeServer(), []

    @tool
    def pay() -> str:
        """Pay."""
        runs.append(1)
        return "paid"

    async with agentkit.open(server, tools=[pay], limits=agentkit.SessionLimits(turns=1)) as session:
        await server.says("r1", "done")
        call = {"id": "i", "type": "function_call", "call_id": "c", "name": "pay", "arguments": "{}"}
        await server.emit("response.created", response={"id": "r2"})
        await session.wait_closed()
        with pytest.raises((agentkit.ConnectionLostError, agentkit.SessionClosedError)):
            await server.emit("response.output_item.done", response_id="r2", item={**call, "status": "completed"})
    assert runs == []


async def test_ending_waits_for_a_call_that_the_application_answers() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[agentkit.FunctionTool(name="ask_human")]) as session:
        await server.calls("r1", c=("ask_human", "{}"))
        await session.wait_for(agentkit.events.ToolCallPending, timeout=5)
        await session.end()
        assert session.ended is None
        await session.answer("c", "yes")
        await server.next("conversation.item.create")
        await server.next("response.create")
        await server.says("r2", "thank you")
        await session.wait_closed()


async def test_ending_after_an_interruption_waits_for_the_tool_and_no_longer() -> None:
    server, release = FakeServer(), anyio.Event()

    @tool
    async def slow() -> str:
        """Wait."""
        await release.wait()
        return "done"

    async with agentkit.open(server, tools=[slow]) as session:
        await server.calls("r1", c=("slow", "{}"))
        await session.wait_for(agentkit.events.ToolStarted, timeout=5)
        await session.interrupt()
        await session.end()
        assert session.ended is None
        release.set()
        await session.wait_closed()


async def test_a_limit_is_told_even_where_the_last_turn_ended_within_a_layer() -> None:
    class Pass(Middleware):
        @on(ConversationItemCreate, SessionEvent)
        async def all(self, event: Event, call_next: Next[Event]) -> None:
            await call_next(event)

    server = FakeServer()
    limits = agentkit.SessionLimits(turns=1)
    async with agentkit.open(server, middleware=[Pass()], limits=limits) as session:
        events = session.subscribe(TurnCompleted, SessionEnded, Notice)
        await server.says("r1", "done")
        names = [event.wire_type async for event in events]
    assert names == ["turn.completed", "notice", "session.ended"]


async def test_a_task_of_a_layer_that_fails_is_told_and_ends_nothing() -> None:
    class Background(Middleware):
        @on(ResponseCreated)
        async def start(self, event: ResponseCreated, call_next: Next[ResponseCreated]) -> None:
            self.session.start_soon(self.fail)
            await call_next(event)

        async def fail(self) -> None:
            raise ValueError("mine")

    server = FakeServer()
    async with agentkit.open(server, middleware=[Background()]) as session:
        with session.subscribe(Notice) as notices:
            await server.says("r1", "hello")
            assert "ValueError: mine" in (await anext(notices)).message
        assert session.ended is None


async def test_a_layer_may_start_tasks_before_the_session_is_connected() -> None:
    started = anyio.Event()

    class Early(Middleware):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            async def begin() -> None:
                started.set()

            self.session.start_soon(begin)
            self.session.notice("early", "before the connection")
            yield

    async with agentkit.open(FakeServer(), middleware=[Early()]):
        with anyio.fail_after(5):
            await started.wait()


async def test_an_interruption_whose_truncation_a_guard_stops_still_stops_the_response() -> None:
    class NoCut(Middleware):
        critical = True

        @on(ConversationItemTruncate)
        async def stop(self, event: ConversationItemTruncate, call_next: Next[ConversationItemTruncate]) -> None:
            raise ValueError("not allowed")

    server = FakeServer()
    async with agentkit.open(server, guards=[NoCut()]) as session:
        await server.emit("response.created", response={"id": "r1"})
        item = {"id": "i", "type": "message", "role": "assistant", "content": []}
        await server.emit("response.output_item.added", response_id="r1", item=item)
        with session.subscribe(ServerEvent) as events:
            await server.emit("response.output_audio.delta", response_id="r1", item_id="i", delta="AAAA" * 1600)
            await anext(events)
        session.playback.played("i", 50)
        with pytest.raises(agentkit.MiddlewareError):
            await session.interrupt()
        await server.next("response.cancel")


class Mute(FakeServer):
    """Answers no update."""

    async def confirm(self, update: dict[str, object]) -> None:
        """Say nothing."""


async def test_an_update_is_given_up_in_its_time() -> None:
    async with agentkit.open(Mute()) as session:
        with pytest.raises(agentkit.RemoteProtocolError, match=r"session\.updated"):
            await session.update(agentkit.Settings(instructions="x"), timeout=0.05)
        assert session.ended is None


async def test_a_press_that_is_too_short_asks_for_no_response() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        await session.append_audio(bytes(48 * 50))
        await session.commit()
        await session.clear_audio()
        assert [(await server.next())["type"] for _ in range(3)] == [
            "input_audio_buffer.append",
            "input_audio_buffer.clear",
            "input_audio_buffer.clear",
        ]


class Refusing(FakeServer):
    """Refuses every update."""

    async def confirm(self, update: dict[str, object]) -> None:
        error = {"type": "x", "code": "invalid_value", "message": "no", "event_id": update["event_id"]}
        await self.emit("error", error=error)


async def test_a_tool_that_the_server_refuses_is_not_offered() -> None:
    async with agentkit.open(Refusing()) as session:
        for _ in range(2):
            with pytest.raises(agentkit.ServerError):
                await session.add_tool(add)
        assert session.tools == {}


async def test_an_output_with_half_a_character_is_sent_without_it() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[agentkit.FunctionTool(name="ask_human")]) as session:
        await server.calls("r1", c=("ask_human", "{}"))
        await session.wait_for(agentkit.events.ToolCallPending, timeout=5)
        await session.answer("c", "x\ud800")
        assert (await server.next("conversation.item.create"))["item"]["output"] == "x?"


async def test_two_readers_of_one_subscription_both_end() -> None:
    server = FakeServer()
    async with anyio.create_task_group() as tasks, agentkit.open(server) as session:
        events = session.subscribe(TurnCompleted)

        async def read() -> None:
            async for _ in events:
                pass

        tasks.start_soon(read)
        tasks.start_soon(read)
        await server.says("r1", "hello")
        await session.wait_for(TurnCompleted, timeout=5)


async def test_a_microphone_that_goes_on_after_the_end_costs_nothing() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        await server.close(1011)
        await session.wait_closed()
        for _ in range(50):
            await session.append_audio(bytes(480))
        assert session.dropped_input == 50 * 480
        assert session.ended is not None
        depth, trace = 0, session.ended.error.__traceback__ if session.ended.error else None
        while trace is not None:
            depth, trace = depth + 1, trace.tb_next
        assert depth < 10


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_a_layer_lets_out_is_its_own_fault() -> None:
    class Careless(Middleware):
        @on(ServerEvent)
        async def wait(self, event: ServerEvent, call_next: Next[ServerEvent]) -> None:
            task = asyncio.get_running_loop().create_task(asyncio.sleep(10))
            task.cancel()
            await task

    server = FakeServer()
    async with agentkit.open(server, middleware=[Careless()]) as session:
        with session.subscribe(TurnCompleted) as turns:
            await server.says("r1", "hello")
            assert (await anext(turns)).text == "hello"


async def test_the_bodys_error_is_not_lost_where_the_surroundings_are_cancelled_while_the_session_closes() -> None:
    server = FakeServer()

    async def fail() -> None:
        async with anyio.create_task_group() as tasks, agentkit.open(server):
            tasks.start_soon(server.next)  # fails as the session closes, and cancels everything around it
            raise KeyError("mine")

    with pytest.raises(BaseExceptionGroup) as caught:
        await fail()
    assert KeyError in {type(error) for error in caught.value.exceptions}
