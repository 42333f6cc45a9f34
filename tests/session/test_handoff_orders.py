"""Handing over while other things happen: further calls, the user, lost connections, approvals, changes of tools."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

import agentkit
from agentkit import HandoffAgent, Reconnect
from agentkit.events import (
    ApprovalRequested,
    HandedOver,
    Notice,
    Reconnected,
    ToolFinished,
)
from agentkit.testing import SESSION, FakeServer
from agentkit.transports.base import Transport
from tests.session.handoffs import Box, named

pytestmark = pytest.mark.anyio
ITEM, CREATE, UPDATE = "conversation.item.create", "response.create", "session.update"
TO_BILLING, TO_SALES, TO_MAIN = "hand_over_to_billing", "hand_over_to_sales", "hand_over_to_main"
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])


def agents(**of_main: Any) -> list[HandoffAgent]:
    main = {"tools": [named("lookup"), named("both", "of main")], "handoff": ["billing", "sales"], **of_main}
    return [
        HandoffAgent(name="main", instructions="Main.", **main),
        HandoffAgent(
            name="billing",
            instructions="Billing.",
            tools=[named("invoice"), named("both", "of billing")],
            handoff=["main", "sales"],
        ),
        HandoffAgent(name="sales", instructions="Sales.", handoff=["main", "billing"]),
    ]


class Server(FakeServer):
    """Begins anew with each connection, and confirms what it is asked for when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.confirms = True
        self.waiting: list[dict[str, Any]] = []
        self.gate = anyio.Event()
        self.gate.set()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Transport]:
        await self.gate.wait()
        self.session = dict(SESSION)
        async with super().connect() as transport:
            yield transport

    async def confirm(self, update: dict[str, Any]) -> None:
        if self.confirms:
            await super().confirm(update)
        else:
            self.waiting.append(update)

    async def confirm_now(self) -> None:
        self.confirms = True
        waiting, self.waiting = self.waiting, []
        for update in waiting:
            await super().confirm(update)


async def begins(server: FakeServer, response_id: str) -> None:
    await server.emit("response.created", response={"id": response_id, "status": "in_progress", "output": []})


async def calls(server: FakeServer, response_id: str, call_id: str, name: str) -> dict[str, Any]:
    """Let a response that has begun make a call."""
    item = {"id": f"item_{call_id}", "type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}
    item |= {"status": "completed"}
    await server.emit("response.output_item.done", response_id=response_id, output_index=0, item=item)
    await anyio.wait_all_tasks_blocked()
    return item


async def ends(server: FakeServer, response_id: str, *items: dict[str, Any]) -> None:
    response = {"id": response_id, "status": "completed", "output": list(items)}
    await server.emit("response.done", response=response)
    await anyio.wait_all_tasks_blocked()


async def outputs(server: FakeServer, count: int) -> dict[str, str]:
    """Return the outputs that the client writes next, by call id."""
    with anyio.fail_after(5):
        items = [(await server.next(ITEM))["item"] for _ in range(count)]
    return {item["call_id"]: item["output"] for item in items}


async def nothing_more(server: FakeServer, session: agentkit.Session) -> None:
    """Check that the client has written nothing more."""
    await anyio.wait_all_tasks_blocked()
    await session.clear_audio()
    with anyio.fail_after(5):
        await server.next("input_audio_buffer.clear")


# Several calls of one response


async def test_calls_beside_a_hand_over_run_with_the_tools_that_their_response_was_offered() -> None:
    server = FakeServer()
    async with agentkit.open(server, agents=agents()) as session:
        await begins(server, "r1")
        made = [await calls(server, "r1", "c1", "lookup"), await calls(server, "r1", "c2", TO_BILLING)]
        assert session.agent == "billing"
        made += [await calls(server, "r1", "c3", "both"), await calls(server, "r1", "c4", "lookup")]
        await ends(server, "r1", *made)
        assert await outputs(server, 4) == {
            "c1": "lookup",
            "c2": "The conversation was handed over to billing.",
            "c3": "of main",
            "c4": "lookup",
        }
        await server.next(CREATE)
        await server.calls("r2", c5=("both", "{}"), c6=("lookup", "{}"))
        told = await outputs(server, 2)
        assert told["c5"] == "of billing"
        assert told["c6"].startswith("unknown tool 'lookup'")
        await server.next(CREATE)
        await nothing_more(server, session)


@pytest.mark.parametrize("second", [TO_SALES, TO_BILLING])
@pytest.mark.parametrize("at_once", [True, False])
async def test_of_two_hand_overs_of_one_response_the_first_counts(second: str, at_once: bool) -> None:
    server = FakeServer()
    async with agentkit.open(server, agents=agents()) as session:
        if at_once:
            await server.calls("r1", c1=(TO_BILLING, "{}"), c2=(second, "{}"))
        else:
            await begins(server, "r1")
            made = [await calls(server, "r1", "c1", TO_BILLING), await calls(server, "r1", "c2", second)]
            await ends(server, "r1", *made)
        assert await outputs(server, 2) == {
            "c1": "The conversation was handed over to billing.",
            "c2": "refused: the conversation was handed over to billing already",
        }
        await server.next(CREATE)
        assert session.agent == "billing"
        assert len(server.updates) == 2


async def test_a_response_that_comes_before_the_server_has_confirmed_is_still_the_agents_before() -> None:
    server = Server()
    async with agentkit.open(server, agents=agents()) as session, anyio.create_task_group() as tasks:
        server.confirms = False
        tasks.start_soon(session.hand_over, "billing")
        await anyio.wait_all_tasks_blocked()
        await begins(server, "r1")  # by the server's own turn detection
        made = [await calls(server, "r1", "c1", "both")]
        await server.confirm_now()
        made.append(await calls(server, "r1", "c2", "lookup"))
        await ends(server, "r1", *made)
        assert await outputs(server, 2) == {"c1": "of main", "c2": "lookup"}


async def test_a_call_that_waits_for_approval_goes_on_with_the_tool_that_it_began_with() -> None:
    server = FakeServer()
    asked = agents(tools=[named("both", "of main", approve="ask")])
    async with agentkit.open(server, agents=asked) as session:
        with session.subscribe(ApprovalRequested) as requests, anyio.fail_after(5):
            await server.calls("r1", c1=("both", "{}"))
            request = await anext(requests)
            await session.hand_over("billing")
            session.approvals.approve(request.call_id)
            assert await outputs(server, 1) == {"c1": "of main"}


async def test_a_hand_over_goes_on_while_the_user_cuts_the_agent_off() -> None:
    server = Server()
    async with agentkit.open(server, agents=agents()) as session:
        server.confirms = False
        await server.calls("r1", c1=(TO_BILLING, "{}"))
        await anyio.wait_all_tasks_blocked()
        await session.interrupt()
        await session.send_text("wait")
        assert (await server.next(ITEM))["item"]["role"] == "user"
        await nothing_more(server, session)  # the next response waits for the next agent
        await server.confirm_now()
        assert await outputs(server, 1) == {"c1": "The conversation was handed over to billing."}
        with anyio.fail_after(5):
            await server.next(CREATE)
        await nothing_more(server, session)
        assert session.agent == "billing"


# What the server says


class Refusing(FakeServer):
    """Refuses what it is asked for, but the first time."""

    async def confirm(self, update: dict[str, Any]) -> None:
        if not self.updates:
            await super().confirm(update)
            return
        error = {"type": "invalid_request_error", "code": "bad", "message": "no", "event_id": update["event_id"]}
        await self.emit("error", error=error)


async def test_where_the_server_refuses_the_conversation_stays_and_the_model_is_told() -> None:
    server = Refusing()
    async with agentkit.open(server, agents=agents()) as session:
        with session.subscribe(HandedOver, Notice) as events:
            await server.calls("r1", c1=(TO_BILLING, "{}"))
            assert await outputs(server, 1) == {"c1": "the conversation could not be handed over to billing: no"}
            await server.next(CREATE)
            with pytest.raises(agentkit.ServerError, match="no"):
                await session.hand_over("billing")
            session.notice("nothing", "nothing has happened")
            with anyio.fail_after(5):
                assert isinstance(await anext(events), Notice)
        assert session.agent == "main"
        assert list(session.tools) == ["lookup", "both", TO_BILLING, TO_SALES]


@VIRTUAL
async def test_an_answer_that_comes_too_late_is_taken_back() -> None:
    server = Server()
    async with agentkit.open(server, agents=agents()) as session:
        server.confirms = False
        with pytest.raises(agentkit.RemoteProtocolError):
            await session.hand_over("billing")
        assert session.agent == "main"
        await server.confirm_now()
        await anyio.wait_all_tasks_blocked()
        assert server.session["instructions"] == "Main."
        assert [each["name"] for each in server.session["tools"]] == list(session.tools)


async def test_a_caller_who_is_cancelled_has_handed_over_all_the_same() -> None:
    server = Server()
    async with agentkit.open(server, agents=agents()) as session, anyio.create_task_group() as tasks:
        server.confirms = False
        tasks.start_soon(session.hand_over, "billing")
        await anyio.wait_all_tasks_blocked()
        with session.subscribe(HandedOver) as events, anyio.fail_after(5):
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await server.confirm_now()
                assert await anext(events) == HandedOver(agent="billing", previous="main")
                assert session.agent == "billing"


# Connections


async def test_an_agent_stays_over_further_connections() -> None:
    server = Server()
    async with agentkit.open(server, agents=agents(), reconnect=Reconnect(first_wait=0.0)) as session:
        await session.hand_over("billing")
        with session.subscribe(Reconnected) as again, anyio.fail_after(5):
            await server.drop()
            await anext(again)
        assert session.agent == "billing"
        assert server.session["instructions"] == "Billing."
        assert [each["name"] for each in server.session["tools"]] == list(session.tools)


@VIRTUAL
@pytest.mark.parametrize("seconds", [1, 25])
async def test_a_hand_over_that_the_model_asks_for_waits_for_the_next_connection(seconds: float) -> None:
    server = Server()
    async with agentkit.open(server, agents=agents(), reconnect=Reconnect(first_wait=0.0)) as session:
        server.confirms = False
        await server.calls("r1", c1=(TO_BILLING, "{}"))
        await anyio.wait_all_tasks_blocked()
        server.gate = anyio.Event()
        server.confirms = True
        with session.subscribe(ToolFinished, Reconnected) as events, anyio.fail_after(60):
            await server.drop()
            await anyio.sleep(seconds)
            server.gate.set()
            told = [await anext(events), await anext(events)]
            finished = next(event for event in told if isinstance(event, ToolFinished))
            assert finished.output == "The conversation was handed over to billing."
        await anyio.wait_all_tasks_blocked()
        assert session.agent == "billing"
        assert server.session["instructions"] == "Billing."


# Any order

STEPS = st.lists(
    st.sampled_from(["main", "billing", "sales", "call billing", "call sales", "add", "remove", "thing", "drop"]),
    max_size=12,
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(steps=STEPS)
@settings(max_examples=20)
def test_after_any_steps_the_server_has_what_the_agent_has(backend: str, steps: list[str]) -> None:
    anyio.run(_steps, steps, backend=backend)


async def _steps(steps: list[str]) -> None:
    server, box = Server(), Box("pear")
    has = agents(tools=[named("lookup"), box])
    async with agentkit.open(server, agents=has, reconnect=Reconnect(attempts=99, first_wait=0.0)) as session:
        with session.subscribe(HandedOver, Reconnected) as events:
            agent = "main"
            for number, step in enumerate(steps):
                await _step(step, number, session, server, box, events)
                await anyio.wait_all_tasks_blocked()
                target = step.removeprefix("call ")
                agent = target if target in ("main", "billing", "sales") else agent
                assert session.agent == agent
                assert server.session["instructions"] == f"{agent.capitalize()}."
                assert [each["name"] for each in server.session["tools"]] == list(session.tools)
                assert ("pear" in session.tools) is (agent == "main")


async def _step(
    step: str, number: int, session: agentkit.Session, server: Server, box: Box, events: AsyncIterator[object]
) -> None:
    match step:
        case "add":
            await session.add_tool(named(f"more_{number}"))
        case "remove":
            if own := [name for name in session.tools if name.startswith("more_")]:
                await session.remove_tool(own[0])
        case "thing":
            box.things.append(f"thing_{number}")
            box.changed()
        case "drop":
            await server.drop()
            while not isinstance(await anext(events), Reconnected):
                pass
        case _ if step.startswith("call ") and step.removeprefix("call ") != session.agent:
            target = step.removeprefix("call ")
            await server.calls(f"r{number}", **{f"c{number}": (f"hand_over_to_{target}", "{}")})
            with anyio.fail_after(5):
                while (await server.next())["type"] != CREATE:  # after a lost connection the conversation goes first
                    pass
            await server.says(f"s{number}", "well")
        case _:
            await session.hand_over(step.removeprefix("call "))
