"""The playback clock: moved by a player, or running by itself in virtual time."""

import base64
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit.events import Event, FlushPlayback, Interrupted, RateLimitsUpdated, ResponseDone, decode_server
from agentkit.protocol import Core
from agentkit.session.fanout import FanOut
from agentkit.session.playback import Playback
from agentkit.testing import SESSION, FakeServer

VIRTUAL = [("trio", {"clock": MockClock(autojump_threshold=0)})]
in_virtual_time = pytest.mark.parametrize("anyio_backend", VIRTUAL, ids=["trio"])
VAD: dict[str, Any] = {"type": "server_vad"}
LISTENING: dict[str, Any] = {**SESSION, "audio": {**SESSION["audio"], "input": {"turn_detection": VAD}}}


class Stage:
    """A clock over a core, where time passes as the test says."""

    def __init__(self) -> None:
        self.core = Core()
        self.fanout = FanOut()
        self.time = 100.0
        self.playback = Playback(self.core, self.fanout, lambda: self.time)
        self.playback.follow_real_time()
        self.core.receive(decode_server(b'{"type":"response.created","response":{"id":"r1"}}'))

    def comes(self, item_id: str, ms: int, *, delivered: bool = True) -> Event:
        """Audio of an item comes, PCM16 at 24 kHz."""
        delta = base64.b64encode(bytes(ms * 48)).decode()
        text = f'{{"type":"response.output_audio.delta","response_id":"r1","item_id":"{item_id}","delta":"{delta}"}}'
        event = decode_server(text.encode())
        self.core.receive(event)
        if delivered:
            self.fanout.deliver(event)
        return event

    def heard(self, *item_ids: str) -> list[int]:
        return [self.playback.heard_ms(item_id) for item_id in item_ids]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_what_has_come_is_played_from_then_on(stage: Stage) -> None:
    stage.comes("i1", 1000)
    assert stage.heard("i1") == [0]
    assert stage.playback.item_id is None
    stage.time += 0.3
    assert stage.heard("i1") == [300]
    assert stage.playback.item_id == "i1"


def test_no_more_is_heard_than_has_come(stage: Stage) -> None:
    stage.comes("i1", 1000)
    stage.time += 60
    assert stage.heard("i1") == [1000]


def test_deltas_of_one_item_are_played_one_after_the_other(stage: Stage) -> None:
    for _ in range(3):
        stage.comes("i1", 200)
        stage.time += 0.05
    assert stage.heard("i1") == [150]
    stage.time += 0.4
    assert stage.heard("i1") == [550]


def test_audio_that_comes_late_is_played_from_when_it_comes(stage: Stage) -> None:
    stage.comes("i1", 200)
    stage.time += 5
    stage.comes("i1", 200)
    assert stage.heard("i1") == [200]
    stage.time += 0.05
    assert stage.heard("i1") == [250]


def test_items_are_played_in_the_order_in_which_they_came(stage: Stage) -> None:
    for item_id in ("i1", "i2", "i3"):
        stage.comes(item_id, 200)
    stage.time += 0.1
    assert stage.heard("i1", "i2", "i3") == [100, 0, 0]
    assert stage.playback.item_id == "i1"
    stage.time += 0.2
    assert stage.heard("i1", "i2", "i3") == [200, 100, 0]
    assert stage.playback.item_id == "i2"
    stage.time += 0.3
    assert stage.heard("i1", "i2", "i3") == [200, 200, 200]
    assert stage.playback.item_id == "i3"


def test_an_item_that_comes_in_the_middle_of_another_is_played_between(stage: Stage) -> None:
    stage.comes("i1", 100)
    stage.comes("i2", 100)
    stage.comes("i1", 100)
    stage.time += 0.15
    assert stage.heard("i1", "i2") == [100, 50]
    assert stage.playback.item_id == "i2"
    stage.time += 0.1
    assert stage.heard("i1", "i2") == [150, 100]
    stage.time += 0.05
    assert stage.heard("i1", "i2") == [200, 100]


def test_audio_beside_the_conversation_takes_no_time(stage: Stage) -> None:
    stage.comes("i1", 100)
    stage.fanout.deliver(decode_server(b'{"type":"response.output_audio.delta","item_id":"beside","delta":"AAAA"}'))
    stage.comes("i1", 100)
    stage.time += 0.15
    assert stage.heard("i1") == [150]
    stage.time += 0.05
    stage.comes("i1", 100)
    stage.time += 0.05
    assert stage.heard("i1") == [250]


def test_audio_of_which_the_clock_is_told_late_counts_once(stage: Stage) -> None:
    events = [stage.comes("i1", 100, delivered=False) for _ in range(2)]
    for event in events:
        stage.fanout.deliver(event)
    stage.comes("i2", 100)
    stage.time += 0.25
    assert stage.heard("i1", "i2") == [200, 50]


def test_what_was_played_before_an_item_went_on_is_not_played_again(stage: Stage) -> None:
    stage.comes("i1", 100)
    stage.time += 0.1
    stage.comes("i2", 100)
    stage.time += 0.1
    stage.comes("i1", 100)
    stage.time += 0.05
    assert stage.heard("i1", "i2") == [150, 100]


def test_a_clock_that_was_flushed_plays_only_what_comes_then(stage: Stage) -> None:
    stage.comes("i1", 1000)
    stage.time += 0.1
    stage.playback.advance()
    stage.fanout.deliver(FlushPlayback(item_id="i1", at_ms=100))
    stage.time += 0.1
    assert stage.heard("i1") == [100]
    stage.comes("i2", 1000)
    stage.time += 0.2
    assert stage.heard("i1", "i2") == [100, 200]


def test_the_end_of_the_session_stops_the_clock_where_it_is(stage: Stage) -> None:
    stage.comes("i1", 1000)
    stage.time += 0.1
    stage.fanout.end(None)
    assert stage.core.output.heard_ms("i1") == 100


def test_a_clock_that_runs_by_itself_can_be_stopped(stage: Stage) -> None:
    stage.comes("i1", 1000)
    stage.playback.follow_real_time()
    stage.time += 0.1
    assert stage.heard("i1") == [100]
    stage.playback.follow_real_time(False)
    stage.time += 0.1
    stage.comes("i1", 1000)
    assert stage.heard("i1") == [100]
    stage.playback.played("i1", 400)
    assert stage.heard("i1") == [400]


def test_a_player_may_be_ahead_of_the_clock(stage: Stage) -> None:
    stage.comes("i1", 1000)
    stage.playback.played("i1", 500)
    stage.time += 0.1
    assert stage.heard("i1") == [500]
    stage.time += 0.5
    assert stage.heard("i1") == [600]


# In a session


async def speaks(server: FakeServer, item_id: str, ms: int, response_id: str = "r1") -> None:
    delta = base64.b64encode(bytes(ms * 48)).decode()
    await server.emit("response.output_audio.delta", response_id=response_id, item_id=item_id, delta=delta)


async def handled(server: FakeServer, session: agentkit.Session) -> None:
    """Wait until the session has handled all that was said so far."""
    with session.subscribe(RateLimitsUpdated) as markers:
        await server.emit("rate_limits.updated", rate_limits=[])
        await anext(markers)


@pytest.mark.anyio
@in_virtual_time
async def test_an_interruption_cuts_at_what_real_time_let_be_heard() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        session.playback.follow_real_time()
        await server.emit("response.created", response={"id": "r1"})
        await speaks(server, "i1", 1000)
        await speaks(server, "i2", 1000)
        await handled(server, session)
        await anyio.sleep(1.3)
        await session.interrupt()
        truncate = await server.next("conversation.item.truncate")
        assert (truncate["item_id"], truncate["audio_end_ms"]) == ("i2", 300)
        await server.next("response.cancel")
        await anyio.sleep(1)
        assert [session.playback.heard_ms(item_id) for item_id in ("i1", "i2")] == [1000, 300]
        assert session.playback.item_id is None


@pytest.mark.anyio
@in_virtual_time
async def test_speech_cuts_at_what_real_time_let_be_heard() -> None:
    server = FakeServer(session=LISTENING)
    async with agentkit.open(server) as session:
        session.playback.follow_real_time()
        await server.emit("response.created", response={"id": "r1"})
        await speaks(server, "i1", 1000)
        await server.emit("response.done", response={"id": "r1", "status": "completed"})
        await session.wait_for(ResponseDone)
        await anyio.sleep(0.25)
        with session.subscribe(Interrupted) as interrupted:
            await server.emit("input_audio_buffer.speech_started", item_id="u1")
            assert (await anext(interrupted)).heard_ms == 250
        assert (await server.next("conversation.item.truncate"))["audio_end_ms"] == 250


@pytest.mark.anyio
@in_virtual_time
async def test_a_key_cuts_at_what_real_time_let_be_heard() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        session.playback.follow_real_time()
        await server.emit("response.created", response={"id": "r1"})
        await speaks(server, "i1", 1000)
        await handled(server, session)
        await anyio.sleep(0.4)
        await session.press()
        assert (await server.next("conversation.item.truncate"))["audio_end_ms"] == 400


@pytest.mark.anyio
@in_virtual_time
async def test_what_was_heard_to_its_end_is_not_cut() -> None:
    server = FakeServer(session=LISTENING)
    async with agentkit.open(server) as session:
        session.playback.follow_real_time()
        await server.emit("response.created", response={"id": "r1"})
        await speaks(server, "i1", 500)
        await server.emit("response.done", response={"id": "r1", "status": "completed"})
        await session.wait_for(ResponseDone)
        await anyio.sleep(2)
        await server.emit("input_audio_buffer.speech_started", item_id="u1")
        await handled(server, session)
        view = session.history.view("i1")
        assert view is not None
        assert view.heard_ms is None
        assert [event["type"] for event in server.written] == []


def test_an_item_that_is_deleted_takes_nothing_from_the_clock_of_another(stage: Stage) -> None:
    stage.comes("i1", 1000)
    stage.comes("i2", 1000)
    stage.time += 0.5
    stage.fanout.deliver(FlushPlayback(item_id="i1"))
    stage.time += 0.7
    assert stage.heard("i2") == [700]
