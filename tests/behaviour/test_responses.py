"""One owner of responses: when one is asked for, when one is stopped, and what follows where one fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit.events import ErrorOccurred, Notice, TurnCompleted
from agentkit.protocol import patience

if TYPE_CHECKING:
    from tests.behaviour.conftest import Server

pytestmark = pytest.mark.anyio
CREATE, CANCEL, ITEM = "response.create", "response.cancel", "conversation.item.create"


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "BACKOFF_SECONDS", 0.0)


# One at a time


async def test_rb_07_a_message_goes_at_once_and_its_create_when_the_response_is_done(server: Server) -> None:
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.handled(session)
        await session.send_text("x")
        await server.expect(ITEM)
        await server.expect_nothing(session)
        await server.ends("r1")
        await server.expect(CREATE)
        await server.says("r2", "y")
        await server.expect_nothing(session)


async def test_rb_07_several_messages_during_a_response_need_one_create(server: Server) -> None:
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.handled(session)
        for text in ("x", "y", "z"):
            await session.send_text(text)
        await server.ends("r1")
        await server.expect(ITEM, ITEM, ITEM, CREATE)
        await server.says("r2", "all three")
        await server.expect_nothing(session)


@pytest.mark.parametrize("named", [True, False], ids=["with-our-id", "without-id"])
@pytest.mark.parametrize("code", ["conversation_already_has_active_response", None], ids=["code", "words"])
async def test_rb_07_a_create_that_crossed_a_response_of_the_servers_goes_again_after_it(
    server: Server, named: bool, code: str | None
) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.expect(ITEM)
            event_id = (await server.next(CREATE))["event_id"]
            await server.begins("r1")
            words = "Conversation already has an active response"
            await server.refuses(code, event_id if named else None, message=words)
            await server.ends("r1")
            await server.expect(CREATE)
            await server.says("r2", "here")

        tasks.start_soon(serve)
        with session.subscribe(ErrorOccurred) as errors:
            assert (await session.ask("hi", timeout=5)).text == "here"
        assert [error async for error in errors] == []


async def test_rb_07_a_done_without_its_created_frees_the_conversation_too(server: Server) -> None:
    async with agentkit.open(server) as session:
        await session.send_text("x")
        await server.expect(ITEM, CREATE)
        await session.send_text("y")
        await server.expect(ITEM)
        await server.ends("r1")
        await server.expect(CREATE)


async def test_rb_67_the_client_creates_nothing_where_the_server_answers_speech(listening: Server) -> None:
    async with agentkit.open(listening) as session:
        with session.subscribe(TurnCompleted) as turns:
            await listening.hears("u1")
            await listening.begins("r1")
            await listening.handled(session)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(session.respond)
                await anyio.wait_all_tasks_blocked()
                await listening.expect_nothing(session)
                await listening.ends("r1")
            assert (await anext(turns)).responses == 1
        await listening.expect_nothing(session)


async def test_rb_67_a_create_in_the_users_speech_is_the_servers_to_make(listening: Server) -> None:
    async with agentkit.open(listening) as session, anyio.create_task_group() as tasks:
        await listening.emit("input_audio_buffer.speech_started", item_id="u1")
        await listening.handled(session)
        tasks.start_soon(session.respond)
        await anyio.wait_all_tasks_blocked()
        await listening.heard("u1")
        await listening.expect_nothing(session)
        await listening.says("r1", "one voice")
        await listening.expect_nothing(session)


async def test_rb_67_a_commit_alone_ends_the_users_turn_too(listening: Server) -> None:
    async with agentkit.open(listening) as session, anyio.create_task_group() as tasks:
        await listening.emit("input_audio_buffer.speech_started", item_id="u1")
        await listening.emit("input_audio_buffer.committed", item_id="u2")
        await listening.begins("r1")
        await listening.handled(session)
        tasks.start_soon(session.respond)
        await anyio.wait_all_tasks_blocked()
        await listening.ends("r1")
        await listening.expect_nothing(session)
        await session.send_text("x")
        await listening.expect(ITEM, CREATE)


async def test_rb_67_the_client_creates_where_the_server_only_finds_the_turns(
    new_server: Callable[..., Server],
) -> None:
    server = new_server(turn_detection={"type": "server_vad", "create_response": False})
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        await server.hears("u1")
        await server.handled(session)
        tasks.start_soon(session.respond)
        await server.expect(CREATE)
        await server.says("r1", "here")


# Stopping


async def test_rb_08_nothing_is_cancelled_where_nothing_is_active(server: Server) -> None:
    async with agentkit.open(server) as session:
        await session.cancel()
        await server.says("r1", "done")
        await server.handled(session)
        await session.cancel()
        await session.cancel("r1")
        await server.expect_nothing(session)


@pytest.mark.parametrize("with_id", [True, False], ids=["with-our-id", "without-id"])
async def test_rb_08_a_cancel_that_lost_the_race_is_no_error(server: Server, with_id: bool) -> None:
    async with agentkit.open(server) as session:
        with session.subscribe(ErrorOccurred) as errors:
            await server.begins("r1")
            await server.handled(session)
            await session.cancel()
            cancel = await server.next(CANCEL)
            assert cancel["response_id"] == "r1"
            await server.ends("r1")
            await server.refuses("response_cancel_not_active", cancel["event_id"] if with_id else None)
            await server.refuses("invalid_value", cancel["event_id"])
            assert (await anext(errors)).error.code == "invalid_value"
        assert session.ended is None


@pytest.mark.parametrize("event_id", ["not_ours", None])
async def test_rb_08_such_an_error_without_a_cancel_of_ours_is_told(server: Server, event_id: str | None) -> None:
    async with agentkit.open(server) as session:
        with session.subscribe(ErrorOccurred) as errors:
            await server.refuses("response_cancel_not_active", event_id)
            assert (await anext(errors)).command is None


async def test_rb_08_a_response_is_cancelled_once(server: Server) -> None:
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.handled(session)
        for _ in range(3):
            await session.cancel()
        await server.expect(CANCEL)
        await server.expect_nothing(session)


async def test_rb_08_a_response_cancelled_before_it_was_created_is_stopped_when_it_is(server: Server) -> None:
    async with agentkit.open(server) as session:
        await session.send_text("x")
        await server.expect(ITEM, CREATE)
        await session.cancel()
        await server.begins("r1")
        assert (await server.next(CANCEL))["response_id"] == "r1"


async def test_rb_08_one_beside_the_conversation_is_cancelled_by_its_id_only(server: Server) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        tasks.start_soon(session.respond, agentkit.ResponseSettings(conversation="none"))
        metadata = (await server.next(CREATE))["response"]["metadata"]
        await server.begins("aside", metadata=metadata)
        await server.handled(session)
        await session.cancel()
        await server.expect_nothing(session)
        await session.cancel("aside")
        assert (await server.next(CANCEL))["response_id"] == "aside"
        await server.ends("aside", "cancelled", metadata=metadata)


# Failing


async def test_rb_15_a_failed_response_is_tried_again_and_may_still_succeed(server: Server, no_backoff: None) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        notices = session.subscribe(Notice)

        async def serve() -> None:
            await server.expect(ITEM)
            for response_id in ("r1", "r2"):
                await server.expect(CREATE)
                await server.begins(response_id)
                await server.fails(response_id)
            await server.expect(CREATE)
            await server.says("r3", "at last")

        tasks.start_soon(serve)
        turn = await session.ask("hi", timeout=5)
        assert (turn.text, turn.status, turn.responses) == ("at last", "completed", 3)
        notices.close()
        assert [notice.code async for notice in notices] == ["response_retried", "response_retried"]


async def test_rb_15_a_failed_answer_to_a_tools_output_is_tried_again(server: Server, no_backoff: None) -> None:
    @agentkit.tool
    async def look() -> str:
        """Look."""
        return "rain"

    async with agentkit.open(server, tools=[look]) as session, anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.expect(ITEM, CREATE)
            await server.begins("r1")
            await server.calls_tool("c", "look")
            await server.ends("r1")
            await server.expect(ITEM, CREATE)
            await server.begins("r2")
            await server.fails("r2")
            await server.expect(CREATE)
            await server.says("r3", "It rains.")

        tasks.start_soon(serve)
        turn = await session.ask("hi", timeout=5)
        assert (turn.text, turn.responses, len(turn.tools)) == ("It rains.", 3, 1)
        await server.expect_nothing(session)


async def test_rb_15_the_third_failure_is_final(server: Server, no_backoff: None) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        errors = session.subscribe(ErrorOccurred)

        async def serve() -> None:
            await server.expect(ITEM)
            for response_id in ("r1", "r2", "r3"):
                await server.expect(CREATE)
                await server.begins(response_id)
                await server.fails(response_id)
            await server.expect_nothing(session)

        tasks.start_soon(serve)
        with pytest.raises(agentkit.ServerError) as caught:
            await session.ask("hi", timeout=5)
        assert (caught.value.code, caught.value.retryable) == ("server_error", True)
        assert (await anext(errors)).error is caught.value


async def test_rb_15_a_retry_that_was_interrupted_is_not_made(server: Server) -> None:
    async with agentkit.open(server) as session:
        with session.subscribe(TurnCompleted) as turns:
            await server.begins("r1")
            await server.fails("r1")
            await server.handled(session)
            await session.interrupt()
            assert (await anext(turns)).status == "cancelled"


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])
async def test_rb_15_each_retry_waits_twice_as_long(server: Server) -> None:
    times: list[float] = []
    async with agentkit.open(server):
        for response_id in ("r1", "r2"):
            began = anyio.current_time()
            await server.begins(response_id)
            await server.fails(response_id)
            await server.expect(CREATE)
            times.append(anyio.current_time() - began)
    assert times == [patience.BACKOFF_SECONDS, 2 * patience.BACKOFF_SECONDS]


@pytest.mark.parametrize("status", ["incomplete", "cancelled"])
async def test_rb_15_a_response_that_only_stopped_early_is_not_tried_again(
    server: Server, status: str, no_backoff: None
) -> None:
    async with agentkit.open(server) as session:
        with session.subscribe(TurnCompleted) as turns:
            await server.begins("r1")
            await server.ends("r1", status, status_details={"type": status, "reason": "content_filter"})
            assert (await anext(turns)).status == status
        await server.expect_nothing(session)


@pytest.mark.parametrize("code", ["insufficient_quota", "invalid_api_key"])
async def test_rb_49_what_no_retry_can_help_is_final_at_once_with_what_to_do(
    server: Server, code: str, no_backoff: None
) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        errors = session.subscribe(ErrorOccurred)

        async def serve() -> None:
            await server.expect(ITEM, CREATE)
            await server.begins("r1")
            await server.fails("r1", code)

        tasks.start_soon(serve)
        with pytest.raises(agentkit.ServerError) as caught:
            await session.ask("hi", timeout=5)
        assert (caught.value.code, caught.value.retryable) == (code, False)
        assert caught.value.hint
        assert (await anext(errors)).error is caught.value
        await server.expect_nothing(session)


async def test_rb_49_a_create_refused_for_the_quota_fails_its_turn(server: Server) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.expect(ITEM)
            await server.refuses("insufficient_quota", (await server.next(CREATE))["event_id"])

        tasks.start_soon(serve)
        with pytest.raises(agentkit.ServerError, match="insufficient_quota") as caught:
            await session.ask("hi", timeout=5)
        assert not caught.value.retryable
        await server.expect_nothing(session)
