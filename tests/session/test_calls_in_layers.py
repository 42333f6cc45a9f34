"""Calls in hostile surroundings: layers that give up, ask again, rename and rewrite; approvals that must not spread."""

import anyio
import pytest
from msgspec.structs import replace
from trio.testing import MockClock

import agentkit
from agentkit.events import ApprovalDecided, ApprovalRequested, ToolFinished, ToolStarted
from agentkit.session.limits import SessionLimits
from agentkit.testing import FakeServer
from agentkit.tools import Tool, ToolCall, ToolContext, ToolResult, tool

pytestmark = pytest.mark.anyio
ITEM = "conversation.item.create"


async def output(server: FakeServer, call_id: str = "c") -> str:
    with anyio.fail_after(5):
        item = (await server.next(ITEM))["item"]
    assert item["call_id"] == call_id
    return str(item["output"])


class Impatient(agentkit.Middleware):
    """Gives up on a call, and asks for it again so many times."""

    def __init__(self, tries: int, *, raises: bool = False) -> None:
        self._tries = tries
        self._raises = raises

    async def wrap_tool_call(self, call: ToolCall, call_next: agentkit.NextCall) -> ToolResult:
        for _ in range(self._tries):
            with anyio.fail_after(0.01) if self._raises else anyio.move_on_after(0.01):
                return await call_next(call)
        return await call_next(call)


@pytest.mark.parametrize("raises", [True, False])
async def test_a_body_on_which_a_layer_gave_up_does_not_run_again(raises: bool) -> None:
    runs: list[str] = []

    @tool
    async def pay() -> str:
        """Pay."""
        runs.append("pay")
        await anyio.sleep_forever()
        return ""

    server = FakeServer()
    async with agentkit.open(server, tools=[pay], middleware=[Impatient(3, raises=raises)]) as session:
        await server.calls("r1", c=("pay", "{}"))
        assert await output(server) == "cancelled: it was given up while it ran; whether it was done is not known"
        assert session.calls.running == ()
    assert runs == ["pay"]


class AskTwice(agentkit.Middleware):
    """Asks twice for each call."""

    critical = True

    async def wrap_tool_call(self, call: ToolCall, call_next: agentkit.NextCall) -> ToolResult:
        await call_next(call)
        return await call_next(call)


@pytest.mark.parametrize("edited", [True, False])
async def test_a_dangerous_body_runs_once_though_a_guard_asks_twice(edited: bool) -> None:
    runs: list[int] = []

    @tool(effects="dangerous")
    async def wipe(disk: int) -> str:
        """Wipe a disk."""
        runs.append(disk)
        return "wiped"

    server = FakeServer()
    async with agentkit.open(server, tools=[wipe], guards=[AskTwice()]) as session:
        with session.subscribe(ApprovalRequested) as requests:
            await server.calls("r1", c=("wipe", '{"disk": 1}'))
            await anext(requests)
            session.approvals.approve("c", arguments={"disk": 2} if edited else None)
            assert await output(server) == "wiped"
    assert runs == [2 if edited else 1]


async def test_an_approval_of_a_tool_does_not_cover_another_of_its_name() -> None:
    runs: list[str] = []

    @tool(approve="ask")
    async def act() -> str:
        """Do something harmless."""
        return "harmless"

    @tool(name="act", effects="dangerous")
    async def other() -> str:
        """Do something dangerous."""
        runs.append("dangerous")
        return "dangerous"

    server = FakeServer()
    async with agentkit.open(server, tools=[act]) as session, anyio.create_task_group() as tasks:
        with session.subscribe(ApprovalRequested) as requests:
            await server.calls("r1", c=("act", "{}"))
            await anext(requests)
            session.approvals.approve("c", remember=True)
            assert await output(server) == "harmless"
            await server.next("response.create")
            await server.says("r2", "well")
            await session.replace_tool(other)
            await server.calls("r3", d=("act", "{}"))
            with anyio.fail_after(5):
                assert (await anext(requests)).effects == "dangerous"
            assert runs == []
        tasks.cancel_scope.cancel()


async def test_a_decision_is_told_before_the_call_has_ended() -> None:
    @tool(approve="ask")
    async def act() -> str:
        """Act."""
        return "done"

    server = FakeServer()
    async with agentkit.open(server, tools=[act]) as session:
        with session.subscribe(ApprovalRequested, ApprovalDecided, ToolFinished) as events:
            await server.calls("r1", c=("act", "{}"))
            await anext(events)
            session.approvals.approve("c")
            assert [(await anext(events)).wire_type for _ in range(2)] == ["approval.decided", "tool.finished"]


async def test_what_waits_for_approval_ends_with_its_session() -> None:
    runs: list[str] = []

    @tool(effects="dangerous")
    async def wipe() -> str:
        """Wipe."""
        runs.append("wipe")
        return "wiped"

    server = FakeServer()
    async with agentkit.open(server, tools=[wipe]) as session:
        with session.subscribe(ApprovalRequested) as requests:
            await server.calls("r1", c=("wipe", "{}"))
            await anext(requests)
        await server.close(1011)
        await session.wait_closed()
        await anyio.wait_all_tasks_blocked()
        assert session.approvals.pending == ()
        with pytest.raises(agentkit.LocalProtocolError):
            session.approvals.approve("c")
    assert runs == []


class Rename(agentkit.Middleware):
    """Sends a call to another tool, with a secret of its own."""

    async def wrap_tool_call(self, call: ToolCall, call_next: agentkit.NextCall) -> ToolResult:
        return await call_next(replace(call, name="login", raw_arguments='{"pin": "canary-2468"}'))


async def test_the_secrets_of_the_tool_that_ran_are_masked_whatever_the_call_was_named() -> None:
    @tool(secret=["pin"])
    async def login(pin: str) -> str:
        """Log in."""
        return f"in with {pin}"

    server = FakeServer()
    async with agentkit.open(server, tools=[login], middleware=[Rename()]) as session:
        with session.subscribe(ToolStarted, ToolFinished) as events:
            await server.calls("r1", c=("enter", '{"pin": "canary-1357"}'))
            started, finished = await anext(events), await anext(events)
            assert "canary" not in repr((started, finished))
            assert await output(server) == "in with canary-2468"


async def test_an_argument_that_may_be_a_misspelt_secret_is_not_shown() -> None:
    @tool(secret=["pin"])
    async def login(pin: str, user: str = "") -> str:
        """Log in."""
        return "in"

    assert (
        login.masked('{"Pin": "canary", "user": "ann", "pin": "canary"}')
        == '{"Pin": "***", "user": "ann", "pin": "***"}'
    )
    assert "canary" not in repr(ToolCall(call_id="c", name="login", raw_arguments='{"pin": "canary"}'))


async def test_progress_that_cannot_be_told_is_the_tools_own_error() -> None:
    @tool
    async def work(context: ToolContext) -> str:
        """Work."""
        context.progress("half", done="50%")  # type: ignore[arg-type]  # what an author may write
        return "done"

    server = FakeServer()
    async with agentkit.open(server, tools=[work]):
        await server.calls("r1", c=("work", "{}"))
        assert await output(server) == "work failed: ValueError"


def test_an_approval_that_is_none_is_refused_when_the_tool_is_made() -> None:
    def act() -> str:
        """Act."""
        return ""

    with pytest.raises(TypeError, match="approve is True, and must be one of never, ask"):
        tool(act, approve=True)  # type: ignore[call-overload]  # what an author may write


async def test_an_interruption_right_behind_a_call_cancels_it() -> None:
    @tool(on_interrupt="cancel")
    async def search() -> str:
        """Search."""
        await anyio.sleep_forever()
        return ""

    for _ in range(5):  # in what order trio runs its tasks is up to chance
        server = FakeServer()
        async with agentkit.open(server, tools=[search]):
            item = {"id": "i", "type": "function_call", "call_id": "c", "name": "search", "arguments": "{}"}
            await server.emit("response.created", response={"id": "r1", "output": []})
            await server.emit("response.output_item.done", response_id="r1", item={**item, "status": "completed"})
            await server.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
            await server.next("response.cancel")
            assert await output(server) == "cancelled: the user interrupted"


class TestTime:
    """Under a clock that jumps to what is waited for."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, object]]:
        return "trio", {"clock": MockClock(autojump_threshold=0)}

    async def test_a_tool_that_allows_one_call_holds_up_no_other_tool_nor_itself_for_ever(self) -> None:
        @tool(concurrency=1, timeout=5)
        async def stubborn() -> None:
            """Wait, whatever happens."""
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1000)

        @tool
        async def quick() -> str:
            """Answer."""
            return "quick"

        tools: list[Tool[..., object]] = [stubborn, quick]
        server = FakeServer()
        async with agentkit.open(server, tools=tools, limits=SessionLimits(tool_calls_at_once=2)):
            began = anyio.current_time()
            await server.calls("r1", a=("stubborn", "{}"), b=("stubborn", "{}"), c=("quick", "{}"))
            item = (await server.next(ITEM))["item"]
            assert (item["call_id"], anyio.current_time() - began) == ("c", 0)
            answered = [(await server.next(ITEM))["item"]["call_id"] for _ in range(2)]
            assert sorted(answered) == ["a", "b"]
            assert anyio.current_time() - began == pytest.approx(20)
