"""The conversation for reading: views, entries with their times, and its written forms."""

import base64
import json
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit.events import MessageItem, RateLimitsUpdated, decode_server
from agentkit.protocol import Core, Limits
from agentkit.session import History
from agentkit.session.history import BEGINNINGS
from agentkit.testing import FakeServer

pytestmark = pytest.mark.anyio
in_virtual_time = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"]
)
LIMITS = agentkit.SessionLimits(core=Limits(keep_input_bytes=1 << 20))


async def handled(server: FakeServer, session: agentkit.Session) -> None:
    """Wait until the session has handled all that was said so far."""
    with session.subscribe(RateLimitsUpdated) as markers:
        await server.emit("rate_limits.updated", rate_limits=[])
        await anext(markers)


async def converse(server: FakeServer, session: agentkit.Session) -> None:
    """The user says something in a second; the agent is cut off after half of two seconds."""
    await server.emit("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
    await handled(server, session)
    await anyio.sleep(1)
    await session.append_audio(bytes(48_000))
    await server.next("input_audio_buffer.append")
    await server.emit("input_audio_buffer.committed", item_id="u1", previous_item_id=None)
    said = {"item_id": "u1", "content_index": 0, "transcript": "hello"}
    await server.emit("conversation.item.input_audio_transcription.completed", **said)
    at = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}
    await server.emit("response.created", response={"id": "r1"})
    await server.emit("response.output_audio_transcript.delta", **at, delta="one two three four")
    await server.emit("response.output_audio.delta", **at, delta=base64.b64encode(bytes(96_000)).decode())
    part = {"type": "output_audio", "transcript": "one two three four"}
    item: dict[str, Any] = {"id": "a1", "type": "message", "role": "assistant", "status": "completed"}
    await server.emit("response.output_item.done", response_id="r1", item=item | {"content": [part]})
    await server.emit("response.done", response={"id": "r1", "status": "completed"})
    await handled(server, session)
    await session.interrupt(1000, item_id="a1")
    await server.next("conversation.item.truncate")


@in_virtual_time
async def test_entries_have_their_times_and_what_was_heard() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=LIMITS) as session:
        await converse(server, session)
        user, agent = session.history.entries()
    assert isinstance(user.item, MessageItem)
    assert isinstance(agent.item, MessageItem)
    assert (user.item.text, user.at, user.seconds, user.heard_ms, user.heard_text) == ("hello", 0, 1, None, None)
    assert (agent.item.text, agent.at, agent.seconds) == ("one two three four", 1, 2)
    assert (agent.heard_ms, agent.heard_text, agent.cut_off, agent.said) == (1000, "one two", True, "one two")


@in_virtual_time
async def test_views_have_the_audio_of_both_sides() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=LIMITS) as session:
        await converse(server, session)
        history = session.history
        user, agent = history.views()
        assert history.view("u1") == user
        assert history.view("a1") == agent
        assert history.view("lost") is None
        assert [item.id for item in history.items()] == ["u1", "a1"]
        assert [item.id for item in history.last(1)] == ["a1"]
        assert history.get("a1") == agent.item
        assert history.get("lost") is None
        assert len(history) == 2
        assert (history.audio_ms("a1"), len(history.audio("a1"))) == (2000, 96_000)
        assert (history.audio_ms("lost"), history.audio("lost")) == (0, b"")
    assert user.audio is not None
    assert agent.audio is not None
    assert (user.audio.ms, len(user.audio.read())) == (1000, 48_000)
    assert (agent.audio.ms, len(agent.audio.read())) == (2000, 48_000)
    assert (agent.previous_item_id, agent.heard_text, agent.interrupted) == ("u1", "one two", False)


@in_virtual_time
async def test_the_user_s_audio_is_not_kept_unless_it_is_wanted() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        await converse(server, session)
        view = session.history.view("u1")
        assert view is not None
        assert view.audio is None


@in_virtual_time
async def test_what_was_read_does_not_change_with_what_comes() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=LIMITS) as session:
        await converse(server, session)
        before = session.history.views(), session.history.entries(), session.history.items()
        told = [repr(part) for part in before]
        await server.emit("conversation.item.input_audio_transcription.completed", item_id="u1", transcript="other")
        await server.emit("conversation.item.deleted", item_id="a1")
        await handled(server, session)
        assert [repr(part) for part in before] == told
        assert [item.id for item in session.history.items()] == ["u1"]


@in_virtual_time
async def test_a_conversation_is_written_down_with_what_was_heard() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=LIMITS) as session:
        await converse(server, session)
        text = session.history.export(names={"user": "Ann"})
        lines = json.loads(session.history.export("json"))["entries"]
        captions = session.history.export("vtt")
        with pytest.raises(ValueError, match="no form 'pdf'"):
            session.history.export("pdf")
    assert "Ann: hello" in text
    assert "one two" in text
    assert "three" not in text
    assert [(line["id"], line["at"], line["heard_text"]) for line in lines] == [("u1", 0, None), ("a1", 1, "one two")]
    assert captions.startswith("WEBVTT")


def begun(history: History, core: Core, *item_ids: str) -> list[float | None]:
    """Let items enter the conversation, and return when each began."""
    for item_id in item_ids:
        item = {"id": item_id, "type": "message", "role": "user", "content": []}
        core.receive(decode_server(json.dumps({"type": "conversation.item.added", "item": item}).encode()))
    return [entry.at for entry in history.entries()]


def test_an_item_begins_once() -> None:
    time, core = [10.0], Core()
    history = History(core, lambda: time[0])
    for time[0] in (12.0, 13.0):
        history.began("i1")
    assert begun(history, core, "i1", "i2") == [2.0, None]


def test_the_beginnings_of_what_never_becomes_an_item_are_forgotten_in_time() -> None:
    core = Core()
    history = History(core, lambda: 0.0)
    for number in range(BEGINNINGS + 1):
        history.began(f"i{number}")
    assert begun(history, core, "i0", "i1") == [None, 0.0]
