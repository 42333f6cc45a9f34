"""The user's audio: committed only where the client has to, bound by the server's word, timed by its format."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import agentkit
from agentkit.events import Dialect, ErrorOccurred, FunctionTool, ItemAppended, MessageItem, Notice, ToolCallPending

if TYPE_CHECKING:
    from tests.behaviour.conftest import Held, Server

pytestmark = pytest.mark.anyio
APPEND, COMMIT, CLEAR = "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear"
CREATE, ITEM = "response.create", "conversation.item.create"


def audio(ms: int) -> bytes:
    """Return silence in PCM16 at 24 kHz."""
    return bytes(48 * ms)


# Bounded, and never in the way


async def test_rb_26_ten_minutes_of_talk_take_no_memory(server_type: type[Server]) -> None:
    vad = {"type": "server_vad"}

    server = server_type(Dialect.GA, turn_detection=vad)
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def read() -> None:
            while True:
                await server.next(APPEND)
                server.written.clear()

        tasks.start_soon(read)
        for index in range(6000):
            if index == 1000:
                tracemalloc.start()
            await session.append_audio(bytes(4800))
        try:
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        tasks.cancel_scope.cancel()
    assert grown < 5000 * 4800 / 4


async def test_rb_13_the_microphone_is_never_told_of_a_lost_connection(server: Server) -> None:
    async with agentkit.open(server) as session:
        await session.append_audio(audio(100))
        await server.close(1011)
        await session.wait_closed()
        await session.append_audio(audio(100))
        await session.append_audio(b"")
        assert session.dropped_input == 4800
        with pytest.raises(agentkit.ConnectionLostError):
            await session.commit()
    await session.append_audio(audio(100))
    assert session.dropped_input == 9600


async def test_rb_13_nor_of_a_session_that_was_closed(server: Server) -> None:
    async with agentkit.open(server) as session:
        pass
    await session.append_audio(audio(10))
    assert session.dropped_input == 480


# Committing


async def test_rb_27_a_short_press_is_cleared_and_told_and_asks_for_nothing(server: Server) -> None:
    async with agentkit.open(server) as session:
        with session.subscribe(Notice) as notices:
            await session.append_audio(audio(40))
            await session.commit()
            assert (await anext(notices)).code == "input_too_short"
        await server.expect(APPEND, CLEAR)
        await server.expect_nothing(session)


@pytest.mark.parametrize("pieces, committed", [([60, 39], False), ([60, 40], True), ([100], True), ([], False)])
async def test_rb_27_a_press_is_as_long_as_all_its_pieces(server: Server, pieces: list[int], committed: bool) -> None:
    async with agentkit.open(server) as session:
        for ms in pieces:
            await session.append_audio(audio(ms))
        await session.commit(reply=False)
        await server.expect(*[APPEND for _ in pieces], *([COMMIT] if committed else [CLEAR] if pieces else []))
        await server.expect_nothing(session)


async def test_rb_27_nothing_is_committed_where_the_server_finds_the_turns(listening: Server) -> None:
    async with agentkit.open(listening) as session:
        await session.append_audio(audio(200))
        await session.commit()
        await listening.expect(APPEND)
        await listening.expect_nothing(session)


async def test_rb_27_nor_where_a_response_is_asked_for_there(listening: Server) -> None:
    async with agentkit.open(listening) as session, anyio.create_task_group() as tasks:
        await session.append_audio(audio(200))
        tasks.start_soon(session.respond)
        await listening.expect(APPEND, CREATE)
        await listening.says("r1", "yes")


async def test_rb_27_nothing_is_committed_for_a_response_beside_the_conversation(server: Server) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        await session.append_audio(audio(200))
        tasks.start_soon(session.respond, agentkit.ResponseSettings(conversation="none"))
        await server.expect(APPEND)
        metadata = (await server.next(CREATE))["response"]["metadata"]
        await server.begins("aside", metadata=metadata)
        await server.ends("aside", metadata=metadata)


@pytest.mark.parametrize("with_id", [True, False], ids=["with-our-id", "without-id"])
async def test_rb_27_an_empty_commit_is_no_error_where_the_server_finds_the_turns(
    listening: Server, with_id: bool
) -> None:
    async with agentkit.open(listening) as session:
        with session.subscribe(ErrorOccurred) as errors:
            await session.send(agentkit.events.InputAudioBufferCommit())
            event_id = (await listening.next(COMMIT))["event_id"]
            await listening.refuses("input_audio_buffer_commit_empty", event_id if with_id else None)
            await listening.handled(session)
        assert [error async for error in errors] == []


async def test_rb_27_what_the_server_committed_itself_is_not_committed_again(server: Server) -> None:
    async with agentkit.open(server) as session:
        await session.append_audio(audio(200))
        await server.expect(APPEND)
        await server.emit("input_audio_buffer.committed", item_id="u1")
        await server.handled(session)
        await session.commit()
        await server.expect_nothing(session)


async def test_rb_42_a_message_or_a_commit_may_go_without_a_reply(server: Server) -> None:
    async with agentkit.open(server) as session:
        await session.add_message("user", "context")
        await session.send_text("more", reply=False)
        await session.add_message("assistant", "said before")
        await session.append_audio(audio(200))
        await session.commit(reply=False)
        frames = await server.expect(ITEM, ITEM, ITEM, APPEND, COMMIT)
        said = "text" if server.dialect is Dialect.BETA else "output_text"
        assert frames[2]["item"]["content"] == [{"type": said, "text": "said before"}]
        await server.emit("input_audio_buffer.committed", item_id="u1")
        await server.expect_nothing(session)


# Whose the audio is


async def test_rb_66_typed_text_and_a_tools_end_leave_the_held_audio_alone(server: Server, held: Held) -> None:
    async with agentkit.open(server, tools=[held.tool]) as session:
        await server.begins("r1")
        await server.calls_tool("c", "held")
        await server.ends("r1")
        await server.handled(session)
        await session.press()
        await session.append_audio(audio(200))
        held.release()
        await server.expect(APPEND)
        await server.output()
        await session.send_text("typed")
        await server.expect(ITEM)
        await server.expect_nothing(session)
        await session.append_audio(audio(200))
        await session.release()
        await server.expect(APPEND, COMMIT, CREATE)
        await server.says("r2", "to all of it")
        await server.expect_nothing(session)


async def test_rb_66_the_same_without_a_key(server: Server, held: Held) -> None:
    async with agentkit.open(server, tools=[held.tool]) as session:
        await session.append_audio(audio(200))
        await server.begins("r1")
        await server.calls_tool("c", "held")
        await server.ends("r1")
        await server.handled(session)
        held.release()
        await server.expect(APPEND)
        await server.output()
        await server.expect(CREATE)
        await session.send_text("typed")
        await server.expect(ITEM)
        await server.says("r2", "first")
        await server.expect(CREATE)
        await server.says("r3", "second")
        await session.append_audio(audio(200))
        await session.commit()
        await server.expect(APPEND, COMMIT, CREATE)


async def test_rb_66_a_response_that_is_asked_for_while_the_key_is_held_waits_for_its_release(server: Server) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        await session.press()
        await session.append_audio(audio(200))
        tasks.start_soon(session.respond)
        await anyio.wait_all_tasks_blocked()
        await server.expect(APPEND)
        await server.expect_nothing(session)
        await session.release()
        await server.expect(COMMIT, CREATE)
        await server.says("r1", "to all")
        await server.expect_nothing(session)


async def test_rb_66_a_key_cuts_the_agent_off_and_a_short_press_asks_for_nothing(server: Server) -> None:
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.begins_item("i1")
        await server.speaks("i1", 1000)
        await server.handled(session)
        session.playback.played("i1", 300)
        await session.press()
        await session.press()
        await server.expect("conversation.item.truncate", "response.cancel")
        await session.append_audio(audio(40))
        await session.release()
        await server.expect(APPEND, CLEAR)
        await server.ends("r1", "cancelled")
        await session.release()
        await server.expect_nothing(session)


async def test_rb_66_an_answer_by_the_application_leaves_the_held_audio_alone(server: Server) -> None:
    async with agentkit.open(server, tools=[FunctionTool(name="ask_human")]) as session:
        pending = session.subscribe(ToolCallPending)
        await session.append_audio(audio(200))
        await server.begins("r1")
        await server.calls_tool("c", "ask_human")
        await server.ends("r1")
        await anext(pending)
        await session.answer("c", "yes")
        await server.expect(APPEND, ITEM, CREATE)


async def test_rb_66_a_text_that_the_agent_says_leaves_the_held_audio_alone(server: Server) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        await session.append_audio(audio(200))
        tasks.start_soon(session.say, "One moment.")
        await server.expect(APPEND, CREATE)
        await server.says("r1", "One moment.")
        await session.commit(reply=False)
        await server.expect(COMMIT)


async def test_rb_66_audio_is_the_item_that_the_server_names_and_not_the_next_of_the_users(
    server: Server, item: Callable[..., dict[str, Any]]
) -> None:
    async with agentkit.open(server) as session:
        appended = session.subscribe(ItemAppended)
        await session.append_audio(audio(200))
        await session.commit(reply=False)
        await session.send_text("typed", reply=False)
        typed = item("t1", "user", status="completed", content=[{"type": "input_text", "text": "typed"}])
        await server.emit("conversation.item.added", item=typed)
        await server.emit("input_audio_buffer.committed", item_id="u1", previous_item_id="t1")
        transcript = {"item_id": "u1", "content_index": 0, "transcript": "spoken"}
        await server.emit("conversation.item.input_audio_transcription.completed", **transcript)
        await server.handled(session)
        items = [each for each in session.history.items() if isinstance(each, MessageItem)]
        assert [(each.id, each.text) for each in items] == [("t1", "typed"), ("u1", "spoken")]
        assert [part.wire_type for each in items for part in each.content] == ["input_text", "input_audio"]
        assert [(await anext(appended)).item.id for _ in range(2)] == ["t1", "u1"]


async def test_rb_66_a_press_begun_before_the_last_was_confirmed_is_not_lost(server: Server) -> None:
    async with agentkit.open(server) as session:
        await session.append_audio(audio(200))
        await session.commit(reply=False)
        await session.append_audio(audio(150))
        await server.emit("input_audio_buffer.committed", item_id="u1")
        await server.handled(session)
        await session.commit(reply=False)
        await server.expect(APPEND, COMMIT, APPEND, COMMIT)


# The format's time


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
async def test_rb_20_g711_is_counted_by_its_own_rate_both_ways(new_server: Callable[..., Server], kind: str) -> None:
    server = new_server()
    named = {"format": {"type": kind}}
    server.session |= server.shape({"audio": {"input": named, "output": named}})
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.begins_item("i1")
        await server.speaks("i1", size=160)
        await server.handled(session)
        assert session.history.audio_ms("i1") == 20
        assert len(session.history.audio("i1")) == 160
        await session.append_audio(bytes(799))
        await session.commit(reply=False)
        await session.append_audio(bytes(800))
        await session.commit(reply=False)
        await server.expect(APPEND, CLEAR, APPEND, COMMIT)


async def test_rb_20_a_change_of_format_leaves_the_time_of_what_was_said_before(server: Server) -> None:
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.begins_item("i1")
        await server.speaks("i1", 20)
        named = server.shape({"audio": {"output": {"format": {"type": "audio/pcmu"}}}})
        if server.dialect is Dialect.GA:
            named["audio"]["input"] = server.session["audio"]["input"]
        await server.emit("session.updated", session={**server.session, **named})
        await server.begins_item("i2")
        await server.speaks("i2", size=160)
        await server.handled(session)
        assert [session.history.audio_ms(each) for each in ("i1", "i2")] == [20, 20]
