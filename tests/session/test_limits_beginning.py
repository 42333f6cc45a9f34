"""Once a limit is reached nothing new begins: no body of a tool, no response, and nobody is asked for anything."""

import logging
from typing import Any

import anyio
import pytest

import agentkit
from agentkit.errors import LocalProtocolError, SessionClosedError
from agentkit.events import ApprovalDecided, ApprovalRequested, Notice, ResponseCreate, ToolFinished
from agentkit.testing import FakeServer
from agentkit.tools import tool

pytestmark = pytest.mark.anyio
RATES = agentkit.Rates(input=1.0, output=1.0)
USAGE = {"total_tokens": 1_000_000, "input_tokens": 1_000_000, "output_tokens": 0}
GOODBYE = agentkit.SessionLimits(cost_usd=1.0, rates=RATES, on_limit="say_goodbye")
NOT_RUN = '{"error": "not run: the session ends"}'


async def begin(server: FakeServer, response_id: str, **calls: str) -> None:
    await server.emit("response.created", response={"id": response_id, "status": "in_progress", "output": []})
    for call_id, name in calls.items():
        item = {"id": f"item_{call_id}", "type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}
        await server.emit("response.output_item.done", response_id=response_id, item={**item, "status": "completed"})


async def reach(server: FakeServer, session: agentkit.Session) -> None:
    """Let a response that is beside the others cost all there is."""
    with session.subscribe(Notice) as notices:
        await server.emit("response.done", response={"id": "r", "status": "completed", "output": [], "usage": USAGE})
        assert (await anext(notices)).code == "limit"


async def test_a_call_that_waits_for_approval_is_refused_and_can_be_approved_no_more() -> None:
    runs: list[str] = []

    @tool(approve="ask")
    async def pay() -> str:
        """Pay."""
        runs.append("paid")
        return "paid"

    server = FakeServer()
    async with agentkit.open(server, tools=[pay], limits=GOODBYE) as session:
        with session.subscribe(ApprovalRequested, ApprovalDecided, ToolFinished) as events, anyio.fail_after(5):
            await begin(server, "r", c="pay")
            assert isinstance(await anext(events), ApprovalRequested)
            await reach(server, session)
            with pytest.raises(LocalProtocolError):
                session.approvals.approve("c")
            decided = await anext(events)
            assert isinstance(decided, ApprovalDecided)
            assert (decided.approved, decided.by, decided.reason) == (False, "cancelled", "the session ends")
            finished = await anext(events)
            assert isinstance(finished, ToolFinished)
            assert finished.output == "refused: the session ends"
    assert runs == []


async def test_a_call_that_waits_for_its_turn_does_not_begin() -> None:
    runs: list[str] = []
    began, release = anyio.Event(), anyio.Event()

    @tool
    async def slow() -> str:
        """Work."""
        began.set()
        await release.wait()
        return "done"

    @tool
    async def pay() -> str:
        """Pay."""
        runs.append("paid")
        return "paid"

    server = FakeServer()
    limits = agentkit.SessionLimits(cost_usd=1.0, rates=RATES, on_limit="say_goodbye", tool_calls_at_once=1)
    async with agentkit.open(server, tools=[slow, pay], limits=limits) as session:
        with session.subscribe(ToolFinished) as finished, anyio.fail_after(5):
            await begin(server, "r", c1="slow")
            await began.wait()
            await begin(server, "s", c2="pay")
            await anyio.wait_all_tasks_blocked()
            await reach(server, session)
            release.set()
            told: dict[str, Any] = {each.call_id: each for each in [await anext(finished), await anext(finished)]}
            assert (told["c1"].output, told["c2"].output) == ("done", NOT_RUN)
            assert told["c2"].status == "cancelled"
    assert runs == []


async def test_a_layer_that_goes_on_with_a_call_after_the_limit_asks_nobody_and_runs_nothing() -> None:
    release = anyio.Event()

    class Holds(agentkit.Middleware):
        async def wrap_tool_call(self, call: agentkit.ToolCall, call_next: agentkit.NextCall) -> agentkit.ToolResult:
            await release.wait()
            return await call_next(call)

    @tool(approve="ask")
    async def pay() -> str:
        """Pay."""
        raise AssertionError("it has run")

    server = FakeServer()
    async with agentkit.open(server, tools=[pay], middleware=[Holds()], limits=GOODBYE) as session:
        with session.subscribe(ToolFinished, ApprovalRequested) as events, anyio.fail_after(5):
            await begin(server, "r", c="pay")
            await anyio.wait_all_tasks_blocked()
            await reach(server, session)
            release.set()
            finished = await anext(events)
            assert isinstance(finished, ToolFinished)
            assert finished.output == "refused: the session ends"


class Late(agentkit.Middleware):
    """Holds the notice of a limit, so that the session is about to close for as long."""

    def __init__(self) -> None:
        self.held = anyio.Event()
        self.release = anyio.Event()

    @agentkit.on(Notice)
    async def hold(self, event: Notice, call_next: agentkit.Next[Notice]) -> None:
        self.held.set()
        await self.release.wait()
        await call_next(event)


async def test_while_a_session_closes_at_once_what_is_asked_for_is_refused() -> None:
    server, late = FakeServer(), Late()
    limits = agentkit.SessionLimits(cost_usd=1.0, rates=RATES)
    async with agentkit.open(server, middleware=[late], limits=limits) as session:
        await begin(server, "r")
        await server.emit("response.done", response={"id": "r", "status": "completed", "output": [], "usage": USAGE})
        await late.held.wait()
        with pytest.raises(SessionClosedError, match="has reached a limit"):
            await session.send(ResponseCreate())
        late.release.set()
        await session.wait_closed()


async def test_a_program_that_closes_during_the_goodbye_is_not_warned(caplog: pytest.LogCaptureFixture) -> None:
    server = FakeServer()
    with caplog.at_level(logging.WARNING, "agentkit"):
        async with agentkit.open(server, limits=GOODBYE) as session:
            await begin(server, "r")
            await reach(server, session)
            await server.next("response.create")
    assert session.ended is not None
    assert caplog.records == []
