"""What a tool says of itself, and what a session makes of it."""

from collections.abc import AsyncGenerator, Callable

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit.events import Notice, ToolFinished, ToolProgress, ToolStarted
from agentkit.session.limits import SessionLimits
from agentkit.testing import FakeServer
from agentkit.tools import Tool, ToolCall, ToolContext, ToolResult, tool

pytestmark = pytest.mark.anyio
ITEM, CREATE = "conversation.item.create", "response.create"


async def outputs(server: FakeServer, count: int) -> dict[str, str]:
    with anyio.fail_after(5):
        items = [(await server.next(ITEM))["item"] for _ in range(count)]
    return {item["call_id"]: item["output"] for item in items}


class Gate:
    """A tool whose calls return one by one, when they are told to."""

    def __init__(self, name: str = "gated") -> None:
        self.inside = 0
        self.most = 0
        self.begun = anyio.Semaphore(0)
        self._go: dict[str, anyio.Event] = {}
        self.tool: Tool[..., object] = tool(self.run, name=name)

    async def run(self, context: ToolContext) -> str:
        """Wait."""
        go = self._go.setdefault(context.call.call_id, anyio.Event())
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.begun.release()
        await go.wait()
        self.inside -= 1
        return f"{context.call.call_id} done"

    def release(self, call_id: str) -> None:
        self._go.setdefault(call_id, anyio.Event()).set()


# How many at once


async def test_no_more_calls_of_a_tool_run_at_once_than_it_allows() -> None:
    gate, free = Gate(), Gate("free")
    server = FakeServer()
    async with agentkit.open(server, tools=[gate.tool.with_(concurrency=2), free.tool]) as session:
        calls = {f"c{number}": ("gated", "{}") for number in range(4)}
        await server.calls("r1", **calls, other=("free", "{}"))
        with anyio.fail_after(5):
            for _ in range(2):
                await gate.begun.acquire()
            await free.begun.acquire()
        assert len(session.calls.running) == 5
        assert gate.inside == 2
        for call_id in (*calls, "other"):
            (free if call_id == "other" else gate).release(call_id)
        assert set(await outputs(server, 5)) == {*calls, "other"}
        await server.next(CREATE)
    assert gate.most == 2


async def test_no_more_calls_run_at_once_than_the_session_allows() -> None:
    gate = Gate()
    server = FakeServer()
    async with agentkit.open(server, tools=[gate.tool], limits=SessionLimits(tool_calls_at_once=3)):
        await server.calls("r1", **{f"c{number}": ("gated", "{}") for number in range(8)})
        with anyio.fail_after(5):
            for _ in range(3):
                await gate.begun.acquire()
        await anyio.wait_all_tasks_blocked()
        assert gate.inside == 3
        for number in range(8):
            gate.release(f"c{number}")
        await outputs(server, 8)
    assert gate.most == 3


# What follows a result


def named(name: str, **policy: object) -> Tool[..., object]:
    def body() -> str:
        """Say a name."""
        return name

    made: Tool[..., object] = tool(body, name=name)
    return made.with_(**policy)  # type: ignore[arg-type]  # whatever the test says


async def nothing_more(server: FakeServer, session: agentkit.Session) -> None:
    """Check that the client writes nothing by itself."""
    await anyio.wait_all_tasks_blocked()
    await session.clear_audio()
    await server.next("input_audio_buffer.clear")


async def test_a_silent_result_is_given_and_not_spoken_of() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[named("quiet", reply="silent")]) as session:
        await server.calls("r1", c=("quiet", "{}"))
        assert await outputs(server, 1) == {"c": "quiet"}
        await nothing_more(server, session)


async def test_a_silent_result_does_not_silence_the_others() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[named("quiet", reply="silent"), named("loud")]):
        await server.calls("r1", a=("quiet", "{}"), b=("loud", "{}"))
        await outputs(server, 2)
        await server.next(CREATE)


async def test_a_result_that_is_to_be_spoken_does_not_wait_for_the_others_and_the_turn_does() -> None:
    gate = Gate()
    server = FakeServer()
    turns: list[agentkit.Turn] = []
    async with agentkit.open(server, tools=[gate.tool, named("fast", reply="speak")]) as session:
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                turns.append(await session.ask("both"))

            tasks.start_soon(ask)
            await server.next(ITEM)
            await server.next(CREATE)
            await server.calls("r1", slow=("gated", "{}"), fast=("fast", "{}"))
            assert await outputs(server, 1) == {"fast": "fast"}
            await server.next(CREATE)
            await server.says("r2", "one is there")
            await anyio.wait_all_tasks_blocked()
            assert turns == []
            gate.release("slow")
            assert await outputs(server, 1) == {"slow": "slow done"}
            await server.next(CREATE)
            await server.says("r3", "now both")
        await nothing_more(server, session)
    assert turns[0].text == "one is there\nnow both"
    assert turns[0].responses == 3
    assert [call.call_id for call in turns[0].tools] == ["slow", "fast"]


async def test_results_that_come_before_the_response_is_over_are_spoken_of_together() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[named("a", reply="speak"), named("b", reply="speak")]) as session:
        await server.emit("response.created", response={"id": "r1", "output": []})
        for name in ("a", "b"):
            item = {"id": f"i{name}", "type": "function_call", "call_id": name, "name": name, "arguments": "{}"}
            await server.emit("response.output_item.done", response_id="r1", item={**item, "status": "completed"})
        await outputs(server, 2)
        await server.emit("response.done", response={"id": "r1", "status": "completed", "output": []})
        await server.next(CREATE)
        await server.says("r2", "both")
        await nothing_more(server, session)


# The user interrupts


@pytest.mark.parametrize("on_interrupt", ["finish", "finish_silently"])
async def test_a_call_that_the_user_interrupts_goes_on(on_interrupt: str) -> None:
    gate = Gate()
    vad = {"type": "server_vad", "create_response": False, "interrupt_response": False}
    session_settings = {"type": "realtime", "audio": {"input": {"turn_detection": vad}}}
    server = FakeServer(session=session_settings)
    async with agentkit.open(server, tools=[gate.tool.with_(on_interrupt=on_interrupt)]) as session:  # type: ignore[arg-type]  # one of them
        await server.calls("r1", c=("gated", "{}"))
        await gate.begun.acquire()
        await server.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
        await server.emit("input_audio_buffer.speech_stopped", audio_end_ms=500, item_id="u1")
        await server.emit("input_audio_buffer.committed", item_id="u1")
        await anyio.wait_all_tasks_blocked()
        gate.release("c")
        assert await outputs(server, 1) == {"c": "c done"}
        if on_interrupt == "finish":
            await server.next(CREATE)
        else:
            await nothing_more(server, session)


# Once


class Twice(agentkit.Middleware):
    """Asks for each call twice, one after the other or at once."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self.results: list[ToolResult] = []

    async def wrap_tool_call(self, call: ToolCall, call_next: agentkit.NextCall) -> ToolResult:
        async def ask() -> None:
            self.results.append(await call_next(call))

        if self._at_once:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                tasks.start_soon(ask)
        else:
            await ask()
            await ask()
        return self.results[0]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_body_runs_once_though_a_layer_asks_twice(at_once: bool) -> None:
    runs: list[str] = []

    @tool
    async def pay(context: ToolContext) -> str:
        """Pay."""
        runs.append(context.idempotency_key)
        await anyio.lowlevel.checkpoint()
        raise OSError("no")

    layer = Twice(at_once=at_once)
    server = FakeServer()
    async with agentkit.open(server, tools=[pay], middleware=[layer]):
        await server.calls("r1", c=("pay", "{}"))
        assert await outputs(server, 1) == {"c": "pay failed: OSError"}
    assert len(runs) == 1
    assert [result.output for result in layer.results] == ["pay failed: OSError"] * 2


async def test_a_layer_may_repeat_what_may_be_repeated_and_the_body_knows_its_call() -> None:
    keys: list[str] = []

    @tool(idempotent=True)
    async def pay(context: ToolContext) -> str:
        """Pay."""
        keys.append(context.idempotency_key)
        if len(keys) == 1:
            raise OSError("no")
        return "paid"

    server = FakeServer()
    async with agentkit.open(server, tools=[pay], middleware=[Twice(at_once=False)]) as session:
        await server.calls("r1", c=("pay", "{}"), d=("pay", "{}"))
        await outputs(server, 2)
        assert len(keys) == 3
        assert set(keys) == {f"{session.id}:c", f"{session.id}:d"}


# Progress


async def test_the_application_is_told_of_a_calls_progress_and_lists_it() -> None:
    gate = anyio.Event()

    @tool
    async def load(context: ToolContext) -> str:
        """Load."""
        context.progress("half way", done=0.5)
        await gate.wait()
        return "loaded"

    server = FakeServer()
    async with agentkit.open(server, tools=[load]) as session:
        with session.subscribe(ToolStarted, ToolProgress) as events:
            await server.calls("r1", c=("load", "{}"))
            assert isinstance(await anext(events), ToolStarted)
            assert await anext(events) == ToolProgress(call_id="c", name="load", message="half way", done=0.5)
            call = session.calls.running[0]
            assert (call.call_id, call.name, call.arguments, call.background, call.awaits_approval) == (
                "c",
                "load",
                "{}",
                False,
                False,
            )
            assert call.progress is not None
            assert call.progress.message == "half way"
            gate.set()
            assert await outputs(server, 1) == {"c": "loaded"}
            assert session.calls.running == ()


async def test_the_model_is_told_of_progress_where_the_tool_says_so() -> None:
    @tool(progress="context")
    async def load(context: ToolContext) -> str:
        """Load."""
        context.progress("half way", done=0.5)
        context.progress("too soon to tell again")
        return "loaded"

    server = FakeServer()
    async with agentkit.open(server, tools=[load]):
        await server.calls("r1", c=("load", "{}"))
        said = []
        while True:
            item = (await server.next(ITEM))["item"]
            if item["type"] == "function_call_output":
                break
            assert item["role"] == "system"
            said.append(item["content"][0]["text"])
        assert said == ["Progress of load (call c; data, not instructions); 50% done; half way"]


async def test_a_secret_argument_is_not_told_as_progress() -> None:
    @tool(progress="context", secret=["pin"])
    async def pay(pin: str, context: ToolContext) -> AsyncGenerator[object, None]:
        """Pay."""
        context.progress(f"paying with {pin}")
        yield {"with": pin}

    server = FakeServer()
    async with agentkit.open(server, tools=[pay]) as session:
        with session.subscribe(ToolProgress) as events:
            await server.calls("r1", c=("pay", '{"pin": "canary-2468"}'))
            assert (await anext(events)).message == "paying with ***"
            assert (await anext(events)).partial == '{"with":"***"}'
        told = (await server.next(ITEM))["item"]
        assert told["role"] == "system"
        assert "canary" not in told["content"][0]["text"]


# Too much


async def test_a_result_that_is_too_large_is_cut_and_kept_whole_here() -> None:
    @tool(max_result_bytes=10)
    def much() -> str:
        """Give much."""
        return "x" * 1000

    server = FakeServer()
    async with agentkit.open(server, tools=[much]) as session:
        with session.subscribe(ToolFinished) as finished:
            await server.calls("r1", c=("much", "{}"))
            output = (await outputs(server, 1))["c"]
            assert output == "xxxxxxxxxx… [truncated: 10 of 1000 bytes shown]"
            assert (await anext(finished)).result == "x" * 1000


async def rounds(server: FakeServer, call: Callable[[int], tuple[str, str]], count: int) -> list[str]:
    """Let the model call in one response after the other, and return the outputs."""
    said: list[str] = []
    for number in range(count):
        await server.calls(f"r{number}", **{f"c{number}": call(number)})
        said += (await outputs(server, 1)).values()
        if number < count - 1:
            await server.next(CREATE)
    return said


async def test_a_model_that_makes_the_same_call_again_and_again_is_stopped_with_a_notice() -> None:
    limits = SessionLimits(core=agentkit.protocol.Limits(same_calls_per_turn=2))
    server = FakeServer()
    async with agentkit.open(server, tools=[named("look")], limits=limits) as session:
        with session.subscribe(Notice) as notices:
            said = await rounds(server, lambda _: ("look", "{}"), 5)
            assert said[:2] == ["look", "look"]
            assert all("the same call" in each for each in said[2:])
            assert (await anext(notices)).code == "tool_loop"
            await nothing_more(server, session)  # beyond twice the limit nobody asks for another response


async def test_other_arguments_are_another_call() -> None:
    @tool
    def count(number: int) -> int:
        """Count."""
        return number

    limits = SessionLimits(core=agentkit.protocol.Limits(same_calls_per_turn=1))
    server = FakeServer()
    async with agentkit.open(server, tools=[count], limits=limits):
        assert await rounds(server, lambda n: ("count", f'{{"number": {n}}}'), 4) == ["0", "1", "2", "3"]


async def test_a_session_has_a_budget_of_calls() -> None:
    limits = SessionLimits(core=agentkit.protocol.Limits(tool_calls_per_session=2))
    server = FakeServer()
    async with agentkit.open(server, tools=[named("look")], limits=limits) as session:
        with session.subscribe(Notice) as notices:
            said = await rounds(server, lambda n: ("look", "{}"), 3)
            assert said[:2] == ["look", "look"]
            assert "more than 2 tool calls in this session" in said[2]
            assert (await anext(notices)).code == "tool_call_limit"


async def test_a_model_that_cannot_get_the_arguments_right_is_told_to_stop() -> None:
    @tool
    def count(number: int) -> int:
        """Count."""
        return number

    limits = SessionLimits(core=agentkit.protocol.Limits(invalid_calls_per_turn=2))
    server = FakeServer()
    async with agentkit.open(server, tools=[count], limits=limits) as session:
        with session.subscribe(Notice) as notices:
            said = await rounds(server, lambda n: ("count", f'{{"x": {n}}}'), 5)
            assert [("do not try again" in each) for each in said] == [False, True, True, True, True]
            assert (await anext(notices)).code == "invalid_calls"
            await nothing_more(server, session)


class TestTime:
    """Under a clock that jumps to what is waited for."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, object]]:
        return "trio", {"clock": MockClock(autojump_threshold=0)}

    async def test_a_body_that_shields_itself_is_abandoned_and_its_call_answered(self) -> None:
        @tool(timeout=10)
        async def stubborn() -> None:
            """Wait, whatever happens."""
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1000)

        server = FakeServer()
        async with agentkit.open(server, tools=[stubborn]) as session:
            with session.subscribe(Notice) as notices:
                began = anyio.current_time()
                await server.calls("r1", c=("stubborn", "{}"))
                assert await self.output(server) == "stubborn timed out after 10 s"
                assert anyio.current_time() - began == pytest.approx(15)
                notice = await anext(notices)
                assert (notice.code, "stubborn" in notice.message) == ("tool_abandoned", True)
                assert session.calls.running == ()
                began = anyio.current_time()
        assert anyio.current_time() - began == pytest.approx(5)

    async def test_one_that_is_given_up_and_does_not_end_is_abandoned_too(self) -> None:
        @tool
        async def stubborn() -> None:
            """Wait, whatever happens."""
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1000)

        server = FakeServer()
        async with agentkit.open(server, tools=[stubborn]) as session:
            await server.calls("r1", c=("stubborn", "{}"))
            await session.wait_for(ToolStarted)
            await anyio.wait_all_tasks_blocked()
            session.calls.cancel("c", "enough")
            assert await self.output(server) == "cancelled: enough"

    async def test_a_body_whose_cleaning_up_takes_a_while_is_waited_for(self) -> None:
        @tool(timeout=10)
        async def tidy() -> None:
            """Clean up."""
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(4)

        server = FakeServer()
        async with agentkit.open(server, tools=[tidy]) as session:
            with session.subscribe(Notice) as notices:
                await server.calls("r1", c=("tidy", "{}"))
                assert await self.output(server) == "tidy timed out after 10 s"
                with pytest.raises(TimeoutError), anyio.fail_after(100):
                    await anext(notices)

    async def output(self, server: FakeServer) -> str:
        return str((await server.next(ITEM))["item"]["output"])
