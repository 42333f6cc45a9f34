"""What applications asked for: clocks to align with, a graceful end, limits, tools and turn-taking that change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit.events import (
    ConversationUpdated,
    ErrorOccurred,
    Interrupted,
    Notice,
    SessionEnded,
    ToolFinished,
    TurnCompleted,
)

if TYPE_CHECKING:
    from tests.behaviour.conftest import Held, Server

pytestmark = pytest.mark.anyio
CREATE, ITEM = "response.create", "conversation.item.create"
APPEND, COMMIT = "input_audio_buffer.append", "input_audio_buffer.commit"
VIRTUAL = [("trio", {"clock": MockClock(autojump_threshold=0)})]


@agentkit.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def detecting(kind: str | None) -> agentkit.Settings:
    detection = agentkit.TurnDetection(type=kind) if kind is not None else None
    return agentkit.Settings(audio=agentkit.AudioSettings(input=agentkit.AudioInput(turn_detection=detection)))


# Time


async def test_rb_50_each_item_has_its_own_clock_beside_its_transcript(server: Server) -> None:
    async with agentkit.open(server) as session:
        updates = session.subscribe(ConversationUpdated)
        await server.begins("r1")
        for item_id, ms in (("i1", 40), ("i2", 60)):
            await server.begins_item(item_id)
            at = {"response_id": "r1", "item_id": item_id, "output_index": 0, "content_index": 0}
            await server.emit("response.output_audio_transcript.delta", **at, delta=item_id)
            await server.speaks(item_id, ms)
            await server.speaks(item_id, ms)
        await server.handled(session)
        assert [session.history.audio_ms(each) for each in ("i1", "i2")] == [80, 120]
        updates.close()
        deltas = [(event.item.id, event.delta) async for event in updates if event.delta is not None]
        told = [(item_id, delta.transcript or len(delta.audio or b"")) for item_id, delta in deltas]
        assert told == [("i1", "i1"), ("i1", 1920), ("i1", 1920), ("i2", "i2"), ("i2", 2880), ("i2", 2880)]
        session.playback.played("i2", 70)
        with session.subscribe(Interrupted) as cuts:
            await session.interrupt()
            cut = await anext(cuts)
            assert (cut.item_id, cut.heard_ms) == ("i2", 70)


# Ending


async def test_rb_51_a_tool_may_end_the_session_and_what_is_due_is_said_before(server: Server) -> None:
    @agentkit.tool
    async def hang_up(context: agentkit.ToolContext) -> str:
        """End the call."""
        assert context.session is not None
        await context.session.end("asked to")
        return "goodbye"

    async with agentkit.open(server, tools=[hang_up]) as session:
        events = session.subscribe(TurnCompleted, SessionEnded)
        await server.begins("r1")
        await server.calls_tool("c", "hang_up")
        await server.ends("r1")
        assert await server.output() == ("c", "goodbye")
        await server.expect(CREATE)
        await server.says("r2", "Bye.")
        await session.wait_closed()
        turn, ended = [event async for event in events]
        assert isinstance(turn, TurnCompleted)
        assert turn.text == "Bye."
        assert ended == SessionEnded(cause="closed")


async def test_rb_51_ending_an_idle_session_ends_it_at_once(server: Server) -> None:
    async with agentkit.open(server) as session:
        await session.end()
        await session.wait_closed()
        with pytest.raises(agentkit.SessionClosedError):
            await session.send_text("x")


async def test_rb_51_ending_twice_while_a_tool_runs_waits_for_it_once(server: Server, held: Held) -> None:
    async with agentkit.open(server, tools=[held.tool]) as session:
        finished = session.subscribe(ToolFinished)
        await server.begins("r1")
        await server.calls_tool("c", "held")
        await server.handled(session)
        await session.end()
        await session.end()
        assert session.ended is None
        held.release()
        await server.output()
        await server.ends("r1")
        await server.expect(CREATE)
        await server.says("r2", "done")
        await session.wait_closed()
        assert [event.output async for event in finished] == ["done"]


# Limits


@pytest.mark.parametrize("anyio_backend", VIRTUAL, ids=["trio"])
async def test_rb_53_a_session_ends_when_its_time_is_over_and_says_so(server: Server) -> None:
    async with agentkit.open(server, limits=agentkit.SessionLimits(session_time=60)) as session:
        began = anyio.current_time()
        events = session.subscribe(Notice, SessionEnded)
        await session.wait_closed()
        assert anyio.current_time() - began == 60
        notice, ended = [event async for event in events]
        assert isinstance(notice, Notice)
        assert notice.code == "limit"
        assert ended == SessionEnded(cause="limit")


async def test_rb_53_a_session_ends_after_its_turns(server: Server) -> None:
    async with agentkit.open(server, limits=agentkit.SessionLimits(turns=2)) as session:
        turns = session.subscribe(TurnCompleted)
        for response_id in ("r1", "r2"):
            await server.says(response_id, "hello")
        await session.wait_closed()
        assert len([turn async for turn in turns]) == 2
        assert session.ended == SessionEnded(cause="limit")


# Tools and turn-taking that change


async def test_rb_68_a_tool_added_in_the_session_is_declared_alone_and_can_be_called(server: Server) -> None:
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.handled(session)
        await session.add_tool(add)
        update = server.updates[0]["session"]
        assert set(update) - {"type"} == {"tools"}
        assert [each["name"] for each in update["tools"]] == ["add"]
        await server.ends("r1")
        await server.begins("r2")
        await server.calls_tool("c", "add", '{"a": 1, "b": 2}', response_id="r2")
        assert await server.output() == ("c", "3")


async def test_rb_68_a_tool_that_was_removed_is_unknown_and_a_running_call_is_still_answered(
    server: Server, held: Held
) -> None:
    async with agentkit.open(server, tools=[held.tool, add]) as session:
        await server.begins("r1")
        await server.calls_tool("c1", "held")
        await server.handled(session)
        await session.remove_tool("held")
        assert [each["name"] for each in server.updates[-1]["session"]["tools"]] == ["add"]
        await server.calls_tool("c2", "held")
        call_id, output = await server.output()
        assert call_id == "c2"
        assert "unknown tool" in output
        held.release()
        assert await server.output() == ("c1", "done")


async def test_rb_68_tools_added_at_once_are_all_declared_in_the_end(server: Server) -> None:
    tools = [add.renamed(f"add_{index}") for index in range(5)]
    async with agentkit.open(server) as session:
        async with anyio.create_task_group() as tasks:
            for each in tools:
                tasks.start_soon(session.add_tool, each)
        assert {each["name"] for each in server.session["tools"]} == {each.name for each in tools}


async def test_rb_68_tools_that_are_both_refused_are_both_taken_back(new_server: Callable[..., Server]) -> None:
    server = new_server(handshake=False)

    async def greet() -> None:
        await server.connected.wait()
        await server.emit("session.created", session=server.session)

    async def add_one(name: str) -> None:
        with pytest.raises(agentkit.ServerError):
            await session.add_tool(add.renamed(name))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(greet)
        async with agentkit.open(server) as session:
            async with anyio.create_task_group() as adding:
                ids: list[str] = []
                for name in ("one", "two"):
                    adding.start_soon(add_one, name)
                    ids.append((await server.next("session.update"))["event_id"])
                for event_id in ids:
                    await server.refuses("invalid_value", event_id, param="session.tools[0]")
            assert session.tools == {}


async def test_rb_68_several_tools_are_declared_by_one_update(server: Server) -> None:
    async with agentkit.open(server, tools=[add]) as session:
        await session.set_tools([add.renamed("one"), add.renamed("two")])
        assert len(server.updates) == 2
        assert [each["name"] for each in server.session["tools"]] == ["one", "two"]
        assert list(session.tools) == ["one", "two"]


async def test_rb_69_turn_taking_may_change_to_the_clients_and_back(listening: Server) -> None:
    async with agentkit.open(listening) as session:
        await session.update(detecting(None))
        await session.append_audio(bytes(48 * 200))
        await session.commit()
        await listening.expect(APPEND, COMMIT, CREATE)
        await listening.emit("input_audio_buffer.committed", item_id="u1")
        await listening.says("r1", "yes")
        await listening.handled(session)
        await session.update(detecting("server_vad"))
        await session.append_audio(bytes(48 * 200))
        await session.commit()
        await listening.expect(APPEND)
        await listening.expect_nothing(session)


async def test_rb_69_the_mode_is_what_the_server_confirmed(listening: Server) -> None:
    async with agentkit.open(listening) as session:
        assert session.mode == "server_vad"
        await session.set_mode("push_to_talk")
        typed = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        assert listening.updates[-1]["session"] == listening.shape(typed)
        assert session.mode == "push_to_talk"
        await session.set_mode("semantic_vad")
        assert session.mode == "semantic_vad"
        with pytest.raises(agentkit.LocalProtocolError, match="semantic_vad"):
            await session.press()
        with pytest.raises(ValueError, match="telepathy"):
            await session.set_mode("telepathy")


async def test_rb_69_a_key_that_is_held_while_the_server_takes_over_loses_nothing(server: Server) -> None:
    async with agentkit.open(server) as session:
        await session.press()
        await session.append_audio(bytes(48 * 200))
        await session.set_mode("server_vad")
        await server.expect(APPEND, COMMIT)
        await server.emit("input_audio_buffer.committed", item_id="u1")
        await server.handled(session)
        await session.release()
        await server.expect_nothing(session)


async def test_rb_69_a_change_while_the_user_speaks_leaves_nothing_waiting(listening: Server) -> None:
    async with agentkit.open(listening) as session, anyio.create_task_group() as tasks:
        await listening.emit("input_audio_buffer.speech_started", item_id="u1")
        await listening.handled(session)
        tasks.start_soon(session.respond)
        await anyio.wait_all_tasks_blocked()
        await session.update(detecting(None))
        await listening.expect(CREATE)
        await listening.says("r1", "here")


async def test_rb_69_what_was_said_under_turn_detection_is_not_committed_by_the_next_press(listening: Server) -> None:
    async with agentkit.open(listening) as session:
        await session.append_audio(bytes(48 * 200))
        await listening.hears("u1")
        await listening.says("r1", "yes")
        await listening.handled(session)
        await session.update(detecting(None))
        with session.subscribe(Notice) as notices:
            await session.commit()
            assert (await anext(notices)).code == "input_too_short"
        await listening.expect(APPEND)
        await listening.expect_nothing(session)


async def test_rb_69_a_refused_change_leaves_the_mode_as_it_was(new_server: Callable[..., Server]) -> None:
    server = new_server(handshake=False, turn_detection={"type": "server_vad"})
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.connected.wait()
            await server.emit("session.created", session=server.session)
            event_id = (await server.next("session.update"))["event_id"]
            await server.refuses("invalid_value", event_id, param="session.turn_detection")

        tasks.start_soon(serve)
        async with agentkit.open(server) as session:
            errors = session.subscribe(ErrorOccurred)
            with pytest.raises(agentkit.ServerError):
                await session.update(detecting(None))
            assert (await anext(errors)).error.param == "session.turn_detection"
            await session.append_audio(bytes(48 * 200))
            await session.commit()
            await server.expect(APPEND)
            await server.expect_nothing(session)
