"""Approvals: a call waits for a person's word, which holds for exactly what was shown."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from msgspec.structs import replace
from trio.testing import MockClock

import agentkit
from agentkit.events import ApprovalDecided, ApprovalRequested, ToolFinished
from agentkit.testing import FakeServer
from agentkit.tools import Approval, Tool, ToolCall, ToolResult, tool

pytestmark = pytest.mark.anyio
Session = agentkit.Session


class Mail:
    """A tool that keeps what it sent."""

    def __init__(self, **policy: object) -> None:
        self.sent: list[dict[str, str]] = []
        self.tool: Tool[..., object] = tool(self.send, name="send_mail").with_(**{"approve": "ask", **policy})  # type: ignore[arg-type]  # whatever the test says

    async def send(self, to: str, text: str = "") -> str:
        """Send a mail."""
        self.sent.append({"to": to, "text": text})
        return "sent"


@asynccontextmanager
async def called(
    mail: Mail, arguments: str = '{"to": "ann@example.org"}', *layers: agentkit.Middleware, guard: bool = False
) -> AsyncIterator[tuple[FakeServer, Session, ApprovalRequested]]:
    """Let the model call the tool, and wait until somebody is asked."""
    server = FakeServer()
    guards, middleware = (layers, ()) if guard else ((), layers)
    async with agentkit.open(server, tools=[mail.tool], middleware=middleware, guards=guards) as session:
        with session.subscribe(ApprovalRequested) as requests:
            await server.calls("r1", c=("send_mail", arguments))
            with anyio.fail_after(5):
                yield server, session, await anext(requests)


async def output(server: FakeServer) -> str:
    with anyio.fail_after(5):
        item = (await server.next("conversation.item.create"))["item"]
    assert item["call_id"] == "c"
    return str(item["output"])


async def test_a_call_waits_until_it_is_approved() -> None:
    mail = Mail()
    async with called(mail) as (server, session, request):
        assert (request.call_id, request.name, request.effects) == ("c", "send_mail", "writes")
        assert json.loads(request.arguments) == {"to": "ann@example.org"}
        assert list(session.approvals.pending) == [request]
        assert [call.awaits_approval for call in session.calls.running] == [True]
        assert mail.sent == []
        session.approvals.approve("c")
        assert await output(server) == "sent"
        assert list(session.approvals.pending) == []
    assert len(mail.sent) == 1


async def test_the_model_is_told_why_a_call_was_refused() -> None:
    mail = Mail()
    async with called(mail) as (server, session, _):
        with session.subscribe(ApprovalDecided, ToolFinished) as events:
            session.approvals.reject("c", "not to Ann")
            assert await output(server) == "refused: not to Ann"
            decided = ApprovalDecided(call_id="c", name="send_mail", approved=False, by="person", reason="not to Ann")
            told = [await anext(events), await anext(events)]
            assert decided in told
            assert [each.status for each in told if isinstance(each, ToolFinished)] == ["refused"]
    assert mail.sent == []


async def test_a_refusal_without_a_reason_says_that_a_person_refused() -> None:
    async with called(Mail()) as (server, session, _):
        session.approvals.reject("c")
        assert await output(server) == "refused: a person has refused it"


async def test_the_arguments_may_be_changed_and_are_checked_as_the_models_are() -> None:
    mail = Mail()
    async with called(mail) as (server, session, _):
        with pytest.raises(agentkit.ToolArgumentsError, match="to: missing"):
            session.approvals.approve("c", arguments={"txt": "hi"})
        assert len(session.approvals.pending) == 1
        with session.subscribe(ApprovalDecided) as decisions:
            session.approvals.approve("c", arguments={"to": "bob@example.org", "text": "hi"})
            assert await output(server) == "sent"
            decided = await anext(decisions)
        assert decided.edited
        assert json.loads(decided.arguments or "") == {"to": "bob@example.org", "text": "hi"}
    assert mail.sent == [{"to": "bob@example.org", "text": "hi"}]


async def test_changed_arguments_may_be_text() -> None:
    mail = Mail()
    async with called(mail) as (server, session, _):
        session.approvals.approve("c", arguments='{"to": "bob@example.org"}')
        await output(server)
    assert mail.sent == [{"to": "bob@example.org", "text": ""}]


class Deny(agentkit.Middleware):
    """Refuses mails to Bob."""

    critical = True

    async def wrap_tool_call(self, call: ToolCall, call_next: agentkit.NextCall) -> ToolResult:
        if "bob" in call.raw_arguments:
            return ToolResult.refused("no mail to Bob")
        return await call_next(call)


async def test_changed_arguments_pass_the_guards_again() -> None:
    mail = Mail()
    async with called(mail, '{"to": "ann@example.org"}', Deny(), guard=True) as (server, session, _):
        session.approvals.approve("c", arguments={"to": "bob@example.org"})
        assert await output(server) == "refused: no mail to Bob"
    assert mail.sent == []


async def test_what_a_guard_refuses_is_not_asked_for() -> None:
    mail = Mail()
    server = FakeServer()
    async with agentkit.open(server, tools=[mail.tool], guards=[Deny()]) as session:
        with session.subscribe(ApprovalRequested) as requests:
            await server.calls("r1", c=("send_mail", '{"to": "bob@example.org"}'))
            assert await output(server) == "refused: no mail to Bob"
            with pytest.raises(TimeoutError), anyio.fail_after(0):
                await anext(requests)


class Rewrite(agentkit.Middleware):
    """Sends every mail twice: as it is, and to Bob."""

    async def wrap_tool_call(self, call: ToolCall, call_next: agentkit.NextCall) -> ToolResult:
        await call_next(call)
        return await call_next(replace(call, raw_arguments='{"to": "bob@example.org"}'))


async def test_arguments_that_a_layer_changes_afterwards_are_asked_for_again() -> None:
    mail = Mail(idempotent=True)
    async with called(mail, '{"to": "ann@example.org"}', Rewrite()) as (server, session, first):
        with session.subscribe(ApprovalRequested) as requests:
            session.approvals.reject("c", "no")
            second = await anext(requests)
            assert json.loads(first.arguments) == {"to": "ann@example.org"}
            assert json.loads(second.arguments) == {"to": "bob@example.org"}
            session.approvals.approve("c")
            assert await output(server) == "sent"
    assert mail.sent == [{"to": "bob@example.org", "text": ""}]


async def again(server: FakeServer, name: str, arguments: str) -> None:
    """Let the model call the tool once more, in another turn."""
    await server.next("response.create")
    await server.says("r2", "well")
    await server.calls("r3", c2=(name, arguments))


@pytest.mark.parametrize(
    "policy, remember, arguments, asked",
    [
        ({}, False, '{"to": "ann@example.org"}', True),
        ({}, True, '{"to": "someone@example.org"}', False),
        ({"approve": "always_ask_once"}, False, '{"to": "someone@example.org"}', False),
        ({"effects": "dangerous"}, True, '{"to": "someone@example.org"}', True),
        ({"effects": "dangerous"}, True, '{ "to" : "ann@example.org" }', False),
    ],
)
async def test_how_far_an_approval_reaches(
    policy: dict[str, object], remember: bool, arguments: str, asked: bool
) -> None:
    mail = Mail(**policy)
    async with called(mail) as (server, session, _):
        session.approvals.approve("c", remember=remember)
        await output(server)
        with session.subscribe(ApprovalRequested, ToolFinished) as events:
            await again(server, "send_mail", arguments)
            event = await anext(events)
            assert isinstance(event, ApprovalRequested) is asked


async def test_only_what_waits_can_be_decided() -> None:
    async with called(Mail()) as (_, session, __):
        with pytest.raises(agentkit.LocalProtocolError, match="no call 'x' waits for approval; waiting: c"):
            session.approvals.approve("x")
        session.approvals.approve("c")
        with pytest.raises(agentkit.LocalProtocolError, match="no call 'c' waits for approval"):
            session.approvals.reject("c")


async def test_where_nobody_can_be_asked_the_call_is_refused_at_once() -> None:
    mail = Mail()
    server = FakeServer()
    async with agentkit.open(server, tools=[mail.tool]) as session:
        session.approvals.answerable = False
        await server.calls("r1", c=("send_mail", '{"to": "ann@example.org"}'))
        assert await output(server) == "refused: nobody can be asked for approval here"
    assert mail.sent == []


async def test_a_secret_argument_is_not_shown_and_survives_a_change() -> None:
    seen: list[tuple[str, str]] = []

    @tool(approve="ask", secret=["pin"])
    async def pay(to: str, pin: str) -> str:
        """Pay."""
        seen.append((to, pin))
        return f"paid with {pin}"

    server = FakeServer()
    async with agentkit.open(server, tools=[pay]) as session:
        with session.subscribe() as events:
            await server.calls("r1", c=("pay", '{"to": "Ann", "pin": "canary-2468"}'))
            request = await session.wait_for(ApprovalRequested, timeout=5)
            assert json.loads(request.arguments) == {"to": "Ann", "pin": "***"}
            session.approvals.approve("c", arguments={"to": "Bob", "pin": "***"})
            assert await output(server) == "paid with canary-2468"
            finished = None
            while finished is None:
                event = await anext(events)
                if event.wire_type.startswith(("tool.", "approval.", "notice")):
                    assert "canary" not in repr(event)
                finished = event if isinstance(event, ToolFinished) else None
    assert seen == [("Bob", "canary-2468")]


async def test_wrong_arguments_are_not_asked_for() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[Mail().tool]) as session:
        with session.subscribe(ApprovalRequested, ToolFinished) as events:
            await server.calls("r1", c=("send_mail", "{}"))
            finished = await anext(events)
            assert isinstance(finished, ToolFinished)
            assert finished.status == "invalid"


async def test_a_call_that_is_given_up_waits_no_more() -> None:
    async with called(Mail(on_interrupt="cancel")) as (server, session, _):
        with session.subscribe(ApprovalDecided) as decisions:
            session.calls.cancel("c", "it is too late")
            assert await output(server) == "cancelled: it is too late"
            assert (await anext(decisions)).by == "cancelled"
            assert session.approvals.pending == ()


async def test_a_filler_is_said_while_it_waits() -> None:
    async with called(Mail(approve=Approval(filler="One moment."))) as (server, session, _):
        create = await server.next("response.create")
        assert create["response"]["instructions"] == "Say exactly: One moment."
        assert create["response"]["tool_choice"] == "none"
        await server.says("r2", "One moment.")
        session.approvals.approve("c")
        assert await output(server) == "sent"
        await server.next("response.create")


class TestTime:
    """Under a clock that jumps to what is waited for."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, object]]:
        return "trio", {"clock": MockClock(autojump_threshold=0)}

    async def test_a_call_that_nobody_approves_in_time_is_refused(self) -> None:
        mail = Mail(approve=Approval(timeout=60))
        server = FakeServer()
        async with agentkit.open(server, tools=[mail.tool]):
            await server.calls("r1", c=("send_mail", '{"to": "ann@example.org"}'))
            began = anyio.current_time()
            item = (await server.next("conversation.item.create"))["item"]
            assert item["output"] == "refused: nobody approved it in 60 s"
            assert anyio.current_time() - began == pytest.approx(60)
        assert mail.sent == []

    async def test_a_call_may_run_where_nobody_says_no(self) -> None:
        mail = Mail(approve=Approval(timeout=60, otherwise="approve"))
        server = FakeServer()
        async with agentkit.open(server, tools=[mail.tool]):
            await server.calls("r1", c=("send_mail", '{"to": "ann@example.org"}'))
            assert (await server.next("conversation.item.create"))["item"]["output"] == "sent"

    async def test_the_time_of_the_body_begins_after_the_approval(self) -> None:
        mail = Mail(timeout=5)
        server = FakeServer()
        async with agentkit.open(server, tools=[mail.tool]) as session:
            await server.calls("r1", c=("send_mail", '{"to": "ann@example.org"}'))
            await session.wait_for(ApprovalRequested)
            await anyio.sleep(100)
            session.approvals.approve("c")
            assert (await server.next("conversation.item.create"))["item"]["output"] == "sent"
