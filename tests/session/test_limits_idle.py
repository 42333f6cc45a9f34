"""When a session has been idle for too long, in virtual time: each kind of activity keeps it, and silence does not."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit.events import Notice, SessionEnded, ToolCallPending, ToolStarted
from agentkit.testing import SESSION, FakeServer
from agentkit.tools import tool

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"]),
]
IDLE = 10.0
LIMITS = agentkit.SessionLimits(idle_time=IDLE)
VAD: dict[str, Any] = {"type": "server_vad"}
LISTENING: dict[str, Any] = {**SESSION, "audio": {**SESSION["audio"], "input": {"turn_detection": VAD}}}
SECOND = bytes(48000)


class Watched:
    """A session, and when it ended."""

    def __init__(self, session: agentkit.Session, server: FakeServer) -> None:
        self.session = session
        self.server = server
        self.began = anyio.current_time()

    @property
    def now(self) -> float:
        """Seconds since the session was opened."""
        return anyio.current_time() - self.began

    async def ends_at(self, seconds: float) -> None:
        """Check that it ends by itself then, because it was idle."""
        with anyio.fail_after(1000):
            await self.session.wait_closed()
        assert self.now == pytest.approx(seconds, abs=0.01)
        assert self.session.ended == SessionEnded(cause="limit")

    async def says_in_audio(self, seconds: int) -> str:
        """Let the server send a spoken response at once; return its item's id."""
        where = {"response_id": "r", "item_id": "m", "output_index": 0, "content_index": 0}
        item = {"id": "m", "type": "message", "role": "assistant", "content": [], "status": "completed"}
        await self.server.emit("response.created", response={"id": "r"})
        await self.server.emit("response.output_item.added", response_id="r", output_index=0, item=item)
        for _ in range(seconds):
            await self.server.emit("response.output_audio.delta", **where, delta=base64.b64encode(SECOND).decode())
        await self.server.emit("response.done", response={"id": "r", "status": "completed", "output": [item]})
        return "m"


@asynccontextmanager
async def watched(*, listening: bool = False, **options: Any) -> AsyncIterator[Watched]:
    server = FakeServer(session=LISTENING if listening else SESSION)
    async with agentkit.open(server, limits=LIMITS, **options) as session:
        yield Watched(session, server)


async def test_nothing_at_all_ends_it() -> None:
    async with watched() as it:
        with it.session.subscribe(Notice) as notices:
            await it.ends_at(IDLE)
            notice = await anext(notices)
    assert (notice.code, "limits.idle_time" in notice.message) == ("limit", True)


async def test_it_counts_from_the_end_of_a_turn() -> None:
    async with watched() as it:
        await anyio.sleep(7)
        await it.session.send_text("hello")
        await anyio.sleep(7)
        await it.server.says("r", "hello")
        await it.ends_at(14 + IDLE)


async def test_a_response_that_takes_long_is_waited_for() -> None:
    async with watched() as it:
        await it.session.send_text("hello")
        await it.server.emit("response.created", response={"id": "r"})
        await anyio.sleep(35)  # the server may say nothing for a while
        await it.server.emit("response.done", response={"id": "r", "status": "completed", "output": []})
        await it.ends_at(35 + IDLE)


async def test_a_message_of_the_user_that_asks_for_nothing_counts() -> None:
    async with watched() as it:
        await anyio.sleep(6)
        await it.session.send_text("by the way", reply=False)
        await it.ends_at(6 + IDLE)


async def test_streamed_silence_counts_for_nothing_where_the_server_finds_the_turns() -> None:
    async with watched(listening=True) as it, anyio.create_task_group() as tasks:

        async def stream() -> None:
            while it.session.ended is None:
                await it.session.append_audio(SECOND)
                await anyio.sleep(1)

        tasks.start_soon(stream)
        await it.ends_at(IDLE)


async def test_speech_counts_as_long_as_it_lasts() -> None:
    async with watched(listening=True) as it, anyio.create_task_group() as tasks:
        talking = True

        async def stream() -> None:
            while talking:
                await it.session.append_audio(SECOND)
                await anyio.sleep(1)

        tasks.start_soon(stream)
        await anyio.sleep(3)
        await it.server.emit("input_audio_buffer.speech_started", item_id="u", audio_start_ms=3000)
        await anyio.sleep(30)
        talking = False
        await it.server.emit("input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=33000)
        await it.ends_at(33 + patience() + IDLE)


def patience() -> float:
    """Return for how long the server's own response is awaited after speech."""
    return agentkit.protocol.patience.AUTO_SECONDS


async def test_audio_counts_where_nobody_finds_the_turns() -> None:
    async with watched() as it:
        await anyio.sleep(8)
        await it.session.append_audio(SECOND)
        await it.ends_at(8 + IDLE)


async def test_a_key_that_is_held_counts() -> None:
    async with watched() as it:
        await it.session.press()
        await anyio.sleep(40)
        await it.session.append_audio(SECOND)
        await it.session.release(reply=False)
        await it.ends_at(40 + IDLE)


async def test_a_tool_that_runs_counts_in_the_background_too() -> None:
    for background in (False, True):

        @tool(background=background, timeout=100, reply="silent")
        async def slow() -> str:
            """Work."""
            await anyio.sleep(42.5)
            return "done"

        async with watched(tools=[slow]) as it:
            await it.server.calls("r", c=("slow", "{}"))
            await it.ends_at(42.5 + IDLE)


async def test_a_call_that_the_application_answers_counts() -> None:
    async with watched(tools=[agentkit.FunctionTool(name="ask_human")]) as it:
        await it.server.calls("r", c=("ask_human", "{}"))
        await it.session.wait_for(ToolCallPending, timeout=5)
        await anyio.sleep(30)
        await it.session.answer("c", "yes")
        await it.server.says("r2", "thank you")
        await it.ends_at(30 + IDLE)


async def test_an_approval_that_is_waited_for_counts() -> None:
    @tool(approve="ask", reply="silent")
    async def pay() -> str:
        """Pay."""
        return "paid"

    async with watched(tools=[pay]) as it:
        await it.server.calls("r", c=("pay", "{}"))
        await it.session.wait_for(ToolStarted, timeout=5)
        await anyio.sleep(33)
        it.session.approvals.reject("c", "no")
        await it.ends_at(33 + IDLE)


async def test_a_question_of_the_servers_counts() -> None:
    async with watched() as it:
        item = {"id": "q", "type": "mcp_approval_request", "server_label": "s", "name": "pay", "arguments": "{}"}
        await it.server.emit("conversation.item.added", item=item)
        await anyio.sleep(33)
        it.session.approvals.reject("q", "no")
        await it.server.next("conversation.item.create")
        await it.server.next("response.create")
        await it.server.says("r", "As you wish.")
        await it.ends_at(33 + IDLE)


async def test_audio_counts_until_it_would_have_been_heard() -> None:
    async with watched() as it:
        await it.says_in_audio(20)
        await it.ends_at(20 + IDLE)


async def test_a_player_that_is_slower_is_believed() -> None:
    async with watched() as it:
        item = await it.says_in_audio(6)
        for second in range(1, 7):
            await anyio.sleep(4)
            it.session.playback.played(item, second * 1000)
        await it.ends_at(24 + IDLE)


async def test_a_player_that_stops_keeps_nothing_alive() -> None:
    async with watched() as it:
        item = await it.says_in_audio(6)
        await anyio.sleep(1)
        it.session.playback.played(item, 1000)
        it.session.playback.played(item, 1000)
        await it.ends_at(6 + IDLE)


async def test_audio_that_was_cut_off_is_not_waited_for() -> None:
    async with watched() as it:
        await it.says_in_audio(60)
        await anyio.sleep(2)
        await it.session.interrupt(2000)
        await it.ends_at(2 + IDLE)


async def test_what_the_server_tells_of_itself_counts_for_nothing() -> None:
    async with watched() as it:
        for _ in range(3):
            await anyio.sleep(3)
            await it.server.emit("rate_limits.updated", rate_limits=[])
        await it.session.update(agentkit.Settings(instructions="Be brief."))
        await it.ends_at(IDLE)


async def test_the_clock_stands_while_there_is_no_connection() -> None:
    class Away(FakeServer):
        back_at = 0.0

        def connect(self) -> Any:
            if anyio.current_time() < self.back_at:
                raise agentkit.ConnectError("not yet")
            return super().connect()

    server = Away()
    again = agentkit.Reconnect(attempts=1000, first_wait=1, max_wait=1, seed=1)
    async with agentkit.open(server, limits=LIMITS, reconnect=again) as session:
        it = Watched(session, server)
        await anyio.sleep(3)
        server.back_at = anyio.current_time() + 50
        with session.subscribe(agentkit.events.Reconnected) as back:
            await server.drop()
            await anext(back)
        assert it.now >= 53
        await it.ends_at(it.now + IDLE)


async def test_what_the_program_tells_of_counts() -> None:
    async with watched() as it:
        await anyio.sleep(IDLE - 1)
        it.session.touch()
        await it.ends_at(2 * IDLE - 1)
