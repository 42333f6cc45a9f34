"""Handing over while the server's answer is on its way: what comes right behind it, and who waits no more."""

from typing import Any

import anyio
import pytest

import agentkit
from agentkit import HandoffAgent
from agentkit.events import HandedOver, ServerMcpTool, ToolFinished
from agentkit.testing import FakeServer
from tests.session.handoffs import named

pytestmark = pytest.mark.anyio


def agents() -> list[HandoffAgent]:
    return [
        HandoffAgent(name="main", instructions="Main.", tools=[named("lookup")], handoff=["billing"]),
        HandoffAgent(name="billing", tools=[named("invoice")], greeting="Billing here.", handoff=["main"]),
    ]


class Server(FakeServer):
    """Answers an update when it is told to, and sends something right behind the answer."""

    def __init__(self, *behind: tuple[str, dict[str, Any]]) -> None:
        super().__init__()
        self.behind = behind
        self.held: list[dict[str, Any]] | None = None

    async def confirm(self, update: dict[str, Any]) -> None:
        if self.held is not None:
            self.held.append(update)
            return
        begun = bool(self.updates)
        await super().confirm(update)
        for type_, fields in self.behind if begun else ():
            await self.emit(type_, **fields)

    async def answer(self, *, refuse: bool) -> None:
        held, self.held = self.held or [], None
        for update in held:
            if refuse:
                error = {"type": "invalid_request_error", "code": "x", "message": "no", "event_id": update["event_id"]}
                await self.emit("error", error=error)
            else:
                await self.confirm(update)
        await anyio.wait_all_tasks_blocked()


@pytest.mark.parametrize("call_at_once", [True, False])
async def test_a_response_that_comes_right_behind_the_confirmation_is_the_next_agents(call_at_once: bool) -> None:
    item = {"id": "i", "type": "function_call", "call_id": "c", "name": "invoice", "arguments": "{}"}
    call = {"response_id": "r", "output_index": 0, "item": {**item, "status": "completed"}}
    behind: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": {"id": "r", "status": "in_progress", "output": []}})
    ]
    behind += [("response.output_item.done", call)] if call_at_once else []
    server = Server(*behind)
    async with agentkit.open(server, agents=agents()) as session:
        with session.subscribe(ToolFinished) as finished, anyio.fail_after(5):
            await session.hand_over("billing", greet=False)
            if not call_at_once:
                await server.emit("response.output_item.done", **call)
            assert (await anext(finished)).output == "invoice"


@pytest.mark.parametrize("refuse", [True, False])
async def test_where_nobody_waits_any_more_it_is_done_or_undone_all_the_same(refuse: bool) -> None:
    server = Server()
    async with agentkit.open(server, agents=agents()) as session:
        server.held = []
        with session.subscribe(HandedOver) as events:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(session.hand_over, "billing")
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
            await server.answer(refuse=refuse)
            assert session.agent == ("main" if refuse else "billing")
            assert next(iter(session.tools)) == ("lookup" if refuse else "invoice")
            if not refuse:
                assert await anext(events) == HandedOver(agent="billing", previous="main")
                assert (await server.next("response.create"))["response"][
                    "instructions"
                ] == "Say exactly: Billing here."
            else:  # and it can be asked for once more
                await session.hand_over("billing", greet=False)
                assert await anext(events) == HandedOver(agent="billing", previous="main")


async def test_an_error_of_the_programs_is_no_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    async with agentkit.open(FakeServer(), agents=agents()) as session:

        async def broken(*_: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(session, "_update", broken)
        with session.subscribe(HandedOver) as events:
            with pytest.raises(RuntimeError, match="a bug"):
                await session.hand_over("billing")
            assert session.agent == "main"
            assert list(session.tools) == ["lookup", "hand_over_to_billing"]
            monkeypatch.undo()
            await session.hand_over("billing")
            assert await anext(events) == HandedOver(agent="billing", previous="main")


async def test_who_waits_is_told_when_the_session_ends_first() -> None:
    server = Server()
    async with agentkit.open(server, agents=agents()) as session, anyio.create_task_group() as tasks:
        server.held = []
        errors: list[BaseException] = []

        async def hand_over() -> None:
            try:
                await session.hand_over("billing")
            except agentkit.SessionClosedError as exc:
                errors.append(exc)

        tasks.start_soon(hand_over)
        tasks.start_soon(hand_over)  # waits for the other one
        await anyio.wait_all_tasks_blocked()
        await session.shut_down()
        await anyio.wait_all_tasks_blocked()
        assert len(errors) == 2


@pytest.mark.parametrize("common", [True, False])
async def test_an_agent_has_no_two_mcp_servers_of_one_label(common: bool) -> None:
    crm = ServerMcpTool(server_label="crm", server_url="https://crm.test")
    own = [ServerMcpTool(server_label="crm", server_url="https://other.test"), *([] if common else [crm])]
    has = [HandoffAgent(name="main", tools=own)]
    with pytest.raises(TypeError, match="agent main: two MCP servers have the label crm"):
        async with agentkit.open(FakeServer(), agents=has, tools=[crm] if common else []):
            pass
