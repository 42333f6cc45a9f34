"""Every wait ends: by its event, by a refusal, by the server's silence, or with the session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit.events import ErrorOccurred, Notice
from agentkit.protocol import patience

if TYPE_CHECKING:
    from tests.behaviour.conftest import Server

pytestmark = pytest.mark.anyio
CREATE, CANCEL, ITEM, UPDATE = "response.create", "response.cancel", "conversation.item.create", "session.update"
VIRTUAL = [("trio", {"clock": MockClock(autojump_threshold=0)})]


# Opening


@pytest.mark.parametrize(
    "code, reason, hint",
    [
        (4000, "invalid_request_error.beta_api_shape_disabled", "dialect"),
        (4000, "invalid_request_error.invalid_intent", "intent"),
        (1008, "", "key"),
        (3000, "", "key"),
    ],
)
async def test_rb_a_session_that_is_closed_before_it_began_says_why_at_once(
    new_server: Callable[..., Server], code: int, reason: str, hint: str
) -> None:
    server = new_server(handshake=False)
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.connected.wait()
            await server.refuses(reason.rpartition(".")[2] or "x")
            await server.close(code, reason)

        tasks.start_soon(serve)
        with pytest.raises(agentkit.ConnectionLostError) as caught:
            async with agentkit.open(server):
                raise AssertionError("not reached")
        assert (caught.value.close_code, caught.value.retryable) == (code, False)
        assert hint in (caught.value.hint or "")


async def test_rb_settings_that_are_refused_are_told_to_who_opens(new_server: Callable[..., Server]) -> None:
    server = new_server(handshake=False)
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.connected.wait()
            await server.emit("session.created", session=server.session)
            await server.refuses("unknown_parameter", (await server.next(UPDATE))["event_id"], param="session.x")

        tasks.start_soon(serve)
        with pytest.raises(agentkit.ServerError) as caught:
            async with agentkit.open(server, settings=agentkit.Settings(instructions="x")):
                raise AssertionError("not reached")
        assert (caught.value.code, caught.value.param) == ("unknown_parameter", "session.x")


async def test_rb_a_refused_tool_is_named(new_server: Callable[..., Server]) -> None:
    @agentkit.tool
    async def odd() -> None:
        """Be odd."""

    server = new_server(handshake=False)
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.connected.wait()
            await server.emit("session.created", session=server.session)
            event_id = (await server.next(UPDATE))["event_id"]
            await server.refuses("invalid_value", event_id, param="session.tools[1].parameters")

        tasks.start_soon(serve)
        with pytest.raises(agentkit.ServerError) as caught:
            async with agentkit.open(server, tools=[odd.renamed("fine"), odd]):
                raise AssertionError("not reached")
        assert "odd" in f"{caught.value} {caught.value.hint}"


# Asking


@pytest.mark.parametrize("reason", ["turn_detected", "client_cancelled"])
async def test_rb_who_asks_is_told_of_a_cancelled_response(server: Server, reason: str) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.expect(ITEM, CREATE)
            await server.begins("r1")
            await server.ends("r1", "cancelled", status_details={"type": "cancelled", "reason": reason})

        tasks.start_soon(serve)
        assert (await session.ask("hi", timeout=5)).status == "cancelled"


async def test_rb_who_asks_while_the_user_speaks_is_answered_by_the_users_turn(listening: Server) -> None:
    async with agentkit.open(listening) as session, anyio.create_task_group() as tasks:
        await listening.emit("input_audio_buffer.speech_started", item_id="u1")
        await listening.handled(session)

        async def serve() -> None:
            await listening.expect(ITEM)
            await listening.heard("u1")
            await listening.expect_nothing(session)
            await listening.says("r1", "both")

        tasks.start_soon(serve)
        assert (await session.ask("hi", timeout=5)).text == "both"


async def test_rb_who_asks_between_speech_and_its_answer_gets_an_answer_of_its_own(listening: Server) -> None:
    async with agentkit.open(listening) as session, anyio.create_task_group() as tasks:
        await listening.hears("u1")
        await listening.handled(session)

        async def serve() -> None:
            await listening.expect(ITEM)
            await listening.says("r1", "to the speech")
            await listening.expect(CREATE)
            await listening.says("r2", "to the text")

        tasks.start_soon(serve)
        assert (await session.ask("hi", timeout=5)).text == "to the text"


async def test_rb_two_who_ask_are_both_answered_one_after_the_other(server: Server) -> None:
    texts: dict[str, str] = {}
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def ask(text: str) -> None:
            texts[text] = (await session.ask(text, timeout=5)).text

        tasks.start_soon(ask, "a")
        await server.expect(ITEM, CREATE)
        tasks.start_soon(ask, "b")
        await server.expect(ITEM)
        await server.says("r1", "one")
        await server.expect(CREATE)
        await server.says("r2", "two")
    assert texts == {"a": "one", "b": "two"}


@pytest.mark.parametrize("anyio_backend", VIRTUAL, ids=["trio"])
async def test_rb_a_create_that_nobody_answers_is_given_up(server: Server) -> None:
    async with agentkit.open(server) as session:
        began = anyio.current_time()
        with pytest.raises(agentkit.RemoteProtocolError, match=r"response\.create"):
            await session.ask("hi")
        assert anyio.current_time() - began == patience.CREATED_SECONDS
        await server.expect(ITEM, CREATE)
        await session.send_text("again")
        await server.expect(ITEM, CREATE)


@pytest.mark.parametrize("anyio_backend", VIRTUAL, ids=["trio"])
async def test_rb_a_response_that_never_ends_is_stopped_and_then_given_up(server: Server) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        notices = session.subscribe(Notice)

        async def serve() -> None:
            await server.expect(ITEM, CREATE)
            await server.begins("r1")

        tasks.start_soon(serve)
        with pytest.raises(agentkit.RemoteProtocolError, match="r1"):
            await session.ask("hi")
        assert (await server.next(CANCEL))["response_id"] == "r1"
        assert [(await anext(notices)).code for _ in range(2)] == ["response_quiet", "response_stuck"]
        await session.send_text("again")
        await server.expect(ITEM, CREATE)


@pytest.mark.parametrize("anyio_backend", VIRTUAL, ids=["trio"])
async def test_rb_67_where_the_server_makes_no_answer_to_speech_after_all_the_client_asks(listening: Server) -> None:
    async with agentkit.open(listening) as session, anyio.create_task_group() as tasks:
        await listening.hears("u1")
        await listening.handled(session)
        began = anyio.current_time()
        tasks.start_soon(session.respond)
        await listening.next(CREATE, seconds=60)
        assert anyio.current_time() - began == patience.AUTO_SECONDS
        await listening.says("r1", "here")


# Errors as they come


@pytest.mark.parametrize(
    "fields",
    [{"error": {}}, {"error": {"message": None, "code": 5}}, {"error": "bad"}, {"error": None}, {"message": "bad"}, {}],
)
async def test_rb_05_an_error_of_any_shape_is_told_and_the_session_goes_on(
    server: Server, fields: dict[str, Any]
) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        told = session.subscribe(ErrorOccurred, Notice)
        await server.emit("error", **fields)
        await anext(told)

        async def serve() -> None:
            await server.expect(ITEM, CREATE)
            await server.says("r1", "still here")

        tasks.start_soon(serve)
        assert (await session.ask("hi", timeout=5)).text == "still here"
