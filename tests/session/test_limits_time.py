"""Limits of time, most of them in virtual time: when they end a session, and how long a goodbye may take."""

import base64
from typing import Any, Literal

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit.events import FlushPlayback, ResponseOutputAudioDelta, SessionEnded, ToolStarted
from agentkit.session.limiting import GOODBYE, GOODBYE_SECONDS
from agentkit.testing import FakeServer
from agentkit.tools import tool
from tests.session.goodbyes import WORDS, done, goodbye_asked, limits, nothing_more

pytestmark = pytest.mark.anyio
in_virtual_time = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"]
)


@tool
async def look() -> str:
    """Look."""
    return "seen"


async def test_idle_time_needs_no_clock_of_a_test() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=agentkit.SessionLimits(idle_time=0.01)) as session:
        await nothing_more(server, session)
    assert session.ended == SessionEnded(cause="limit")


@in_virtual_time
@pytest.mark.parametrize("on_limit", ["close", "say_goodbye"])
async def test_time_ends_a_session(on_limit: Literal["close", "say_goodbye"]) -> None:
    server = FakeServer()
    said = agentkit.SessionLimits(session_time=30, on_limit=on_limit)
    async with agentkit.open(server, limits=said) as session:
        began = anyio.current_time()
        if on_limit == "say_goodbye":
            await goodbye_asked(server, GOODBYE)
            await server.says("bye", "Goodbye.")
        await session.wait_closed()
        assert anyio.current_time() - began == pytest.approx(30)
    assert session.ended == SessionEnded(cause="limit")


@in_virtual_time
async def test_idle_time_says_goodbye_too() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=limits(idle_time=30)) as session:
        await goodbye_asked(server)
        await server.says("bye", WORDS)
        await nothing_more(server, session)


@in_virtual_time
async def test_a_goodbye_that_never_comes_is_not_waited_for() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=limits(session_time=30)) as session:
        began = anyio.current_time()
        await goodbye_asked(server)
        await server.emit("response.created", response={"id": "bye"})
        await session.wait_closed()
        assert anyio.current_time() - began == pytest.approx(30 + GOODBYE_SECONDS)


@in_virtual_time
async def test_what_is_said_when_the_time_is_up_may_be_finished_in_time() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=limits(session_time=30)) as session:
        await server.emit("response.created", response={"id": "r"})
        await anyio.sleep(35)
        assert session.ended is None
        await done(server, "r")
        await goodbye_asked(server)
        await server.says("bye", WORDS)
        await nothing_more(server, session)


@in_virtual_time
async def test_a_goodbye_is_heard_out() -> None:
    server = FakeServer()
    second = base64.b64encode(bytes(48000)).decode()
    async with agentkit.open(server, limits=limits(session_time=30)) as session:
        events = session.subscribe(ResponseOutputAudioDelta, FlushPlayback, SessionEnded)
        began = anyio.current_time()
        await goodbye_asked(server)
        where = {"response_id": "bye", "item_id": "m", "output_index": 0, "content_index": 0}
        await server.emit("response.created", response={"id": "bye"})
        for _ in range(3):
            await server.emit("response.output_audio.delta", **where, delta=second)
        await done(server, "bye")
        await session.wait_closed()
        assert anyio.current_time() - began == pytest.approx(33, abs=0.2)
        told = [event.wire_type async for event in events]
    assert told == [*["response.output_audio.delta"] * 3, "session.ended"]


@in_virtual_time
async def test_a_player_says_when_the_goodbye_was_heard() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=limits(session_time=30)) as session, anyio.create_task_group() as tasks:
        began = anyio.current_time()

        async def play() -> None:
            async for _ in session.subscribe(ResponseOutputAudioDelta):
                session.playback.played("m", 0)
                await anyio.sleep(8)
                session.playback.played("m", 1000)

        tasks.start_soon(play)
        await goodbye_asked(server)
        where = {"response_id": "bye", "item_id": "m", "output_index": 0, "content_index": 0}
        await server.emit("response.created", response={"id": "bye"})
        await server.emit("response.output_audio.delta", **where, delta=base64.b64encode(bytes(48000)).decode())
        await done(server, "bye")
        await session.wait_closed()
        assert anyio.current_time() - began == pytest.approx(38, abs=0.2)
        tasks.cancel_scope.cancel()


@in_virtual_time
async def test_while_there_is_no_connection_nobody_could_hear_a_goodbye() -> None:
    class Gone(FakeServer):
        gone = False

        def connect(self) -> Any:
            if self.gone:
                raise agentkit.ConnectError("not there")
            return super().connect()

    server = Gone()
    again = agentkit.Reconnect(attempts=1000, first_wait=5, max_wait=5, seed=1)
    async with agentkit.open(server, limits=limits(session_time=30), reconnect=again) as session:
        began = anyio.current_time()
        server.gone = True
        await server.drop()
        await session.wait_closed()
        assert anyio.current_time() - began == pytest.approx(30)
    assert session.ended == SessionEnded(cause="limit")


async def test_the_time_of_a_session_that_closes_before_is_forgotten() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[look], limits=limits(session_time=1000, idle_time=1000)) as session:
        await server.calls("r", c=("look", "{}"))
        await session.wait_for(ToolStarted, timeout=5)
    assert session.ended == SessionEnded(cause="closed")
