"""A command is done wholly, whoever waits for it: a caller that is cancelled, or a guard that fails, wedges nothing."""

import anyio
import pytest

import agentkit
from agentkit.events import (
    ClientEvent,
    ConversationItemTruncate,
    InputAudioBufferCommit,
    RateLimitsUpdated,
    ResponseOutputAudioDelta,
    ServerEvent,
)
from agentkit.middleware import Middleware, Next, on
from agentkit.testing import FakeServer

pytestmark = pytest.mark.anyio
CREATE, ITEM = "response.create", "conversation.item.create"
SECOND = "AAAA" * 16_000


class Holding(Middleware):
    """Lets what cuts and what commits not pass."""

    @on(ConversationItemTruncate, InputAudioBufferCommit)
    async def hold(self, event: ClientEvent, call_next: Next[ClientEvent]) -> None:
        await anyio.sleep_forever()


async def speaks(server: FakeServer, session: agentkit.Session) -> None:
    """The agent speaks, and 300 ms were heard."""
    with session.subscribe(ResponseOutputAudioDelta) as deltas:
        await server.emit("response.created", response={"id": "r1", "status": "in_progress", "output": []})
        item = {"id": "i1", "type": "message", "role": "assistant", "content": []}
        await server.emit("response.output_item.added", response_id="r1", output_index=0, item=item)
        at = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
        await server.emit("response.output_audio.delta", **at, delta=SECOND)
        await anext(deltas)
    session.playback.played("i1", 300)


async def types(server: FakeServer, count: int) -> list[str]:
    with anyio.fail_after(5):
        return [(await server.next())["type"] for _ in range(count)]


async def test_a_cancelled_interruption_stops_the_agent_all_the_same() -> None:
    server = FakeServer()
    async with agentkit.open(server, middleware=[Holding()]) as session:
        await speaks(server, session)
        with anyio.move_on_after(0.01):
            await session.interrupt()
        assert await types(server, 1) == ["response.cancel"]


@pytest.mark.parametrize("reply", [False, True])
async def test_a_cancelled_release_leaves_no_create_behind_for_ever(reply: bool) -> None:
    server = FakeServer()
    async with agentkit.open(server, middleware=[Holding()]) as session:
        await session.press()
        await session.append_audio(bytes(48 * 300))
        await session.send_text("hello")
        with anyio.move_on_after(0.01):
            await session.release(reply=reply)
        assert await types(server, 3) == ["input_audio_buffer.append", ITEM, CREATE]


@pytest.mark.parametrize("reply", [False, True])
async def test_a_guard_that_fails_on_a_commit_does_not_wedge_the_creates(reply: bool) -> None:
    server = FakeServer()

    class Failing(Middleware):
        critical = True

        @on(InputAudioBufferCommit)
        async def fail(self, event: InputAudioBufferCommit, call_next: Next[InputAudioBufferCommit]) -> None:
            raise RuntimeError("mine")

    async with agentkit.open(server, guards=[Failing()]) as session:
        await session.press()
        await session.append_audio(bytes(48 * 300))
        await session.send_text("hello")
        with pytest.raises(agentkit.MiddlewareError):
            await session.release(reply=reply)
        assert await types(server, 3) == ["input_audio_buffer.append", ITEM, CREATE]


async def test_no_number_that_a_server_says_ends_the_session() -> None:
    server = FakeServer()
    server.session["expires_at"] = 10**400
    async with agentkit.open(server) as session:
        with session.subscribe(ServerEvent) as events:
            await server.emit("rate_limits.updated", rate_limits=[])
            assert isinstance(await anext(events), RateLimitsUpdated)
