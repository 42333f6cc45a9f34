"""Barge-in: playback stops, the server is told what was heard, and only what is active is stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import agentkit
from agentkit.events import FlushPlayback, Interrupted, ResponseOutputAudioDelta

if TYPE_CHECKING:
    from tests.behaviour.conftest import Server

pytestmark = pytest.mark.anyio
TRUNCATE, CANCEL, ITEM, CREATE = (
    "conversation.item.truncate",
    "response.cancel",
    "conversation.item.create",
    "response.create",
)
STARTED = "input_audio_buffer.speech_started"


async def speaking(server: Server, session: agentkit.Session, ms: int = 2000) -> None:
    """Let the agent have said so much of i1 in r1."""
    await server.begins("r1")
    await server.begins_item("i1")
    await server.speaks("i1", ms)
    await server.handled(session)


def cut(frame: dict[str, Any]) -> tuple[object, object, object]:
    """Return what a truncation names; each has to be there."""
    return frame["item_id"], frame["content_index"], frame["audio_end_ms"]


async def test_rb_11_speech_flushes_and_truncates_at_what_was_heard_and_leaves_the_cancel_to_the_server(
    listening: Server,
) -> None:
    async with agentkit.open(listening) as session:
        await speaking(listening, session)
        session.playback.played("i1", 700)
        with session.subscribe(FlushPlayback, Interrupted) as events:
            await listening.emit(STARTED, item_id="u1")
            assert await anext(events) == FlushPlayback(item_id="i1", at_ms=700)
            cut_off = await anext(events)
            assert isinstance(cut_off, Interrupted)
            assert (cut_off.item_id, cut_off.heard_ms) == ("i1", 700)
        assert cut(await listening.next(TRUNCATE)) == ("i1", 0, 700)
        await listening.expect_nothing(session)


async def test_rb_11_the_client_cancels_where_the_server_does_not(new_server: Callable[..., Server]) -> None:
    server = new_server(turn_detection={"type": "server_vad", "interrupt_response": False})
    async with agentkit.open(server) as session:
        await speaking(server, session)
        session.playback.played("i1", 700)
        await server.emit(STARTED, item_id="u1")
        assert cut(await server.next(TRUNCATE)) == ("i1", 0, 700)
        assert (await server.next(CANCEL))["response_id"] == "r1"
        await server.expect_nothing(session)


async def test_rb_11_what_still_plays_after_its_response_is_cut_as_well(listening: Server) -> None:
    async with agentkit.open(listening) as session:
        await speaking(listening, session)
        await listening.ends("r1")
        await listening.handled(session)
        session.playback.played("i1", 700)
        await listening.emit(STARTED, item_id="u1")
        assert cut(await listening.next(TRUNCATE)) == ("i1", 0, 700)
        await listening.expect_nothing(session)


async def test_rb_11_what_was_received_and_not_begun_to_play_is_flushed(listening: Server) -> None:
    async with agentkit.open(listening) as session:
        await speaking(listening, session)
        await listening.ends("r1")
        await listening.handled(session)
        with session.subscribe(FlushPlayback) as flushes:
            await listening.emit(STARTED, item_id="u1")
            await listening.handled(session)
        assert len([flush async for flush in flushes]) == 1


async def test_rb_11_late_audio_of_what_was_cut_is_not_heard(listening: Server) -> None:
    async with agentkit.open(listening) as session:
        await speaking(listening, session)
        session.playback.played("i1", 700)
        with session.subscribe(ResponseOutputAudioDelta) as audio:
            await listening.emit(STARTED, item_id="u1")
            await listening.speaks("i1", 500)
            await listening.begins_item("i2")
            await listening.speaks("i2", 500)
            await listening.ends("r1", "cancelled", status_details={"type": "cancelled", "reason": "turn_detected"})
            await listening.begins("r2")
            await listening.begins_item("i3", "r2")
            await listening.speaks("i3", 100, "r2")
            await listening.handled(session)
        assert [delta.item_id async for delta in audio] == ["i3"]
        assert session.history.audio_ms("i1") == 2000


async def test_rb_32_the_cut_is_within_the_item_that_plays(server: Server) -> None:
    async with agentkit.open(server) as session:
        await speaking(server, session, 500)
        await server.begins_item("i2")
        await server.speaks("i2", 300)
        await server.handled(session)
        session.playback.played("i1", 5000)
        await session.interrupt(5000)
        assert cut(await server.next(TRUNCATE)) == ("i2", 0, 300)
        await server.expect(CANCEL)


@pytest.mark.parametrize("played", [2000, 5000], ids=["exactly", "beyond"])
async def test_rb_32_nothing_is_cut_where_everything_was_played(listening: Server, played: int) -> None:
    async with agentkit.open(listening) as session:
        await speaking(listening, session)
        await listening.ends("r1")
        await listening.handled(session)
        session.playback.played("i1", played)
        with session.subscribe(FlushPlayback, Interrupted) as events:
            await listening.emit(STARTED, item_id="u1")
            await listening.expect_nothing(session)
        assert [event async for event in events] == []


async def test_rb_32_the_clock_of_an_earlier_item_does_not_hide_the_one_that_waits_to_play(listening: Server) -> None:
    async with agentkit.open(listening) as session:
        await speaking(listening, session, 500)
        await listening.begins_item("i2")
        await listening.speaks("i2", 300)
        await listening.ends("r1")
        await listening.handled(session)
        session.playback.played("i1", 500)
        with session.subscribe(FlushPlayback) as flushes:
            await listening.emit(STARTED, item_id="u1")
            await listening.handled(session)
        assert len([flush async for flush in flushes]) == 1


async def test_rb_32_a_truncation_that_the_server_will_not_have_is_no_error(server: Server) -> None:
    async with agentkit.open(server) as session:
        await speaking(server, session)
        session.playback.played("i1", 700)
        with session.subscribe(agentkit.events.ErrorOccurred) as errors:
            await session.interrupt()
            event_id = (await server.next(TRUNCATE))["event_id"]
            words = "Audio content of 600ms is already shorter than 700ms"
            await server.refuses("invalid_value", event_id, message=words)
            await server.refuses("invalid_value", None, message=words)
            await server.handled(session)
        assert [error async for error in errors] == []


async def test_rb_34_a_truncation_names_item_part_and_time(server: Server) -> None:
    async with agentkit.open(server) as session:
        await speaking(server, session)
        await session.interrupt(1)
        assert cut(await server.next(TRUNCATE)) == ("i1", 0, 1)
        await server.expect(CANCEL)
        await session.truncate("i1", 90_000)
        assert cut(await server.next(TRUNCATE)) == ("i1", 0, 2000)


@pytest.mark.parametrize("item_id, ms", [("i1", 0), ("i1", -5), ("text", 10), ("none", 10)])
async def test_rb_34_a_truncation_that_cannot_be_is_refused_here(server: Server, item_id: str, ms: int) -> None:
    async with agentkit.open(server) as session:
        await server.begins_item("text", "r0")
        await speaking(server, session)
        with pytest.raises(agentkit.LocalProtocolError):
            await session.truncate(item_id, ms)
        await server.expect_nothing(session)


async def test_rb_34_an_interruption_before_any_audio_only_cancels(server: Server) -> None:
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.handled(session)
        await session.interrupt()
        await server.expect(CANCEL)
        await server.expect_nothing(session)


async def test_rb_34_interrupting_twice_cuts_once_and_the_session_goes_on(server: Server) -> None:
    async with agentkit.open(server) as session:
        await speaking(server, session)
        session.playback.played("i1", 700)
        await session.interrupt()
        session.playback.played("i1", 900)
        await session.interrupt()
        await server.expect(TRUNCATE, CANCEL)
        await server.ends("r1", "cancelled")
        await session.send_text("go on")
        await server.expect(ITEM, CREATE)


async def test_rb_43_a_typed_interruption_flushes_truncates_cancels_and_then_speaks(server: Server) -> None:
    async with agentkit.open(server) as session:
        await speaking(server, session)
        session.playback.played("i1", 700)
        with session.subscribe(FlushPlayback) as flushes:
            await session.send_text("stop", interrupt=True)
            assert await anext(flushes) == FlushPlayback(item_id="i1", at_ms=700)
        frames = await server.expect(TRUNCATE, CANCEL, ITEM)
        assert frames[2]["item"]["content"] == [{"type": "input_text", "text": "stop"}]
        await server.expect_nothing(session)
        await server.ends("r1", "cancelled")
        await server.expect(CREATE)


async def test_rb_43_a_typed_interruption_of_silence_only_speaks(server: Server) -> None:
    async with agentkit.open(server) as session:
        with session.subscribe(Interrupted, FlushPlayback) as events:
            await session.send_text("hello", interrupt=True)
            await server.expect(ITEM, CREATE)
        assert [event async for event in events] == []


async def test_rb_43_the_clock_is_the_formats(new_server: Callable[..., Server]) -> None:
    server = new_server()
    formats = {"format": {"type": "audio/pcmu"}}
    server.session |= server.shape({"audio": {"input": formats, "output": formats}})
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.begins_item("i1")
        await server.speaks("i1", size=800)
        await server.handled(session)
        await session.interrupt(5000)
        assert cut(await server.next(TRUNCATE)) == ("i1", 0, 100)
