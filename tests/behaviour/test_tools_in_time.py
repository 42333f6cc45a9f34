"""A tool takes its time: nothing else waits for it, and its output finds its place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
import pytest

import agentkit
from agentkit.events import ToolFinished

if TYPE_CHECKING:
    from tests.behaviour.conftest import Held, Server

pytestmark = pytest.mark.anyio
CREATE, ITEM = "response.create", "conversation.item.create"


@agentkit.tool
async def look() -> str:
    """Look."""
    return "rain"


async def test_rb_16_a_tool_that_blocks_its_thread_keeps_nobody_waiting(server: Server) -> None:
    release = threading.Event()

    @agentkit.tool
    def block() -> str:
        """Wait in the thread."""
        assert release.wait(10)
        return "done"

    async with agentkit.open(server, tools=[block]) as session:
        await server.begins("r1")
        await server.calls_tool("c", "block")
        await server.ends("r1")
        await server.handled(session)
        await session.clear_audio()
        await server.expect("input_audio_buffer.clear")
        release.set()
        assert await server.output() == ("c", "done")


async def test_rb_56_a_turn_of_the_users_passes_a_slow_tool_and_its_result_is_spoken_in_the_silence(
    listening: Server, held: Held
) -> None:
    async with agentkit.open(listening, tools=[held.tool]) as session:
        await listening.begins("r1")
        await listening.calls_tool("c", "held")
        await listening.ends("r1")
        await listening.hears("u1")
        await listening.begins("r2")
        await listening.begins_item("i2", "r2")
        await listening.speaks("i2", 100, "r2")
        await listening.handled(session)
        assert session.history.audio_ms("i2") == 100
        held.release()
        assert await listening.output() == ("c", "done")
        await listening.expect_nothing(session)
        await listening.ends("r2")
        await listening.expect(CREATE)


async def test_rb_13_a_connection_lost_under_a_running_tool_is_told_once_and_raises_nothing_else(
    server: Server, held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    async with agentkit.open(server, tools=[held.tool]) as session:
        await server.begins("r1")
        await server.calls_tool("c", "held")
        await server.handled(session)
        await server.close(1011, "gone")
        await session.wait_closed()
        held.release()
        await anyio.wait_all_tasks_blocked()
        assert session.ended is not None
        assert isinstance(session.ended.error, agentkit.ConnectionLostError)
    assert held.runs == 1
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


# The user speaks over a running tool


async def running(server: Server, session: agentkit.Session) -> None:
    """Let a tool run, its response being done, and the user begin to speak."""
    await server.begins("r1")
    await server.calls_tool("c", "held")
    await server.ends("r1")
    await server.emit("input_audio_buffer.speech_started", item_id="u1")
    await server.handled(session)


async def test_rb_40_an_output_in_the_users_speech_is_sent_and_the_users_turn_answers(
    listening: Server, held: Held
) -> None:
    async with agentkit.open(listening, tools=[held.tool]) as session:
        await running(listening, session)
        held.release()
        assert await listening.output() == ("c", "done")
        await listening.expect_nothing(session)
        await listening.heard("u1")
        await listening.begins("r2")
        await listening.expect_nothing(session)
        await listening.ends("r2")
        await listening.expect_nothing(session)


async def test_rb_40_where_no_answer_to_the_users_turn_comes_the_client_asks(
    new_server: Callable[..., Server], held: Held
) -> None:
    server = new_server(turn_detection={"type": "server_vad", "create_response": False})
    async with agentkit.open(server, tools=[held.tool]) as session:
        await running(server, session)
        held.release()
        await server.output()
        await server.expect_nothing(session)
        await server.heard("u1")
        await server.expect(CREATE)
        await server.expect_nothing(session)


async def test_rb_40_speech_that_was_cleared_leaves_the_create_to_the_client(listening: Server, held: Held) -> None:
    async with agentkit.open(listening, tools=[held.tool]) as session:
        await running(listening, session)
        held.release()
        await listening.output()
        await listening.emit("input_audio_buffer.cleared")
        await listening.expect(CREATE)


async def test_rb_40_a_call_of_a_response_that_speech_stopped_does_not_run_and_is_answered(
    listening: Server, held: Held
) -> None:
    async with agentkit.open(listening, tools=[held.tool]) as session:
        await listening.begins("r1")
        await listening.emit("input_audio_buffer.speech_started", item_id="u1")
        await listening.calls_tool("c", "held")
        details = {"type": "cancelled", "reason": "turn_detected"}
        await listening.ends("r1", "cancelled", status_details=details)
        call_id, output = await listening.output()
        assert call_id == "c"
        assert "cancelled" in output
        await listening.expect_nothing(session)
    assert held.runs == 0


async def test_rb_40_two_outputs_on_both_sides_of_the_users_turn_get_one_create(listening: Server, held: Held) -> None:
    async with agentkit.open(listening, tools=[held.tool, look]) as session:
        await listening.begins("r1")
        await listening.calls_tool("c", "held")
        await listening.ends("r1")
        await listening.hears("u1")
        await listening.begins("r2")
        await listening.calls_tool("d", "look", response_id="r2")
        assert await listening.output() == ("d", "rain")
        await listening.ends("r2")
        await listening.expect(CREATE)
        await listening.begins("r3")
        held.release()
        assert await listening.output() == ("c", "done")
        await listening.expect_nothing(session)
        await listening.ends("r3")
        await listening.expect(CREATE)
        await listening.says("r4", "all")
        await listening.expect_nothing(session)


async def test_rb_40_a_typed_interruption_answers_itself_and_the_output_still_goes(server: Server, held: Held) -> None:
    async with agentkit.open(server, tools=[held.tool]) as session:
        await server.begins("r1")
        await server.calls_tool("c", "held")
        await server.ends("r1")
        await server.handled(session)
        await session.send_text("never mind", interrupt=True)
        await server.expect(ITEM, CREATE)
        await server.begins("r2")
        held.release()
        assert await server.output() == ("c", "done")
        await server.ends("r2")
        await server.expect_nothing(session)


async def test_rb_40_the_output_of_a_cancelled_responses_tool_goes_and_asks_for_nothing(
    server: Server, held: Held
) -> None:
    async with agentkit.open(server, tools=[held.tool]) as session:
        await server.begins("r1")
        await server.calls_tool("c", "held")
        await server.handled(session)
        await session.cancel()
        await server.expect("response.cancel")
        await server.ends("r1", "cancelled")
        held.release()
        assert await server.output() == ("c", "done")
        await server.expect_nothing(session)


async def test_rb_40_a_tool_that_says_so_is_cancelled_by_the_users_speech_and_answered(listening: Server) -> None:
    began = anyio.Event()

    @agentkit.tool(on_interrupt="cancel")
    async def search() -> str:
        """Search for long."""
        began.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with agentkit.open(listening, tools=[search]) as session:
        finished = session.subscribe(ToolFinished)
        await listening.begins("r1")
        await listening.calls_tool("c", "search")
        await listening.ends("r1")
        await began.wait()
        await listening.emit("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
        assert await listening.output() == ("c", "cancelled: the user interrupted")
        assert (await anext(finished)).status == "cancelled"
        await listening.expect_nothing(session)
