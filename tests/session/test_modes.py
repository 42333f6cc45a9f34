"""Push to talk and turn detection through the session, and what is asked for without waiting for it."""

import re
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit.events import (
    ConversationItemRetrieve,
    FunctionTool,
    Notice,
    RateLimitsUpdated,
    TurnCompleted,
)
from agentkit.testing import SESSION, FakeServer

pytestmark = pytest.mark.anyio
VIRTUAL = [("trio", {"clock": MockClock(autojump_threshold=0)})]
CREATE, ITEM, UPDATE = "response.create", "conversation.item.create", "session.update"
APPEND, COMMIT, CLEAR = "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear"
VAD: dict[str, Any] = {"type": "server_vad"}
MCP: dict[str, Any] = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example"}


class Server(FakeServer):
    """A fake server in which turn detection can be on from the beginning, and which can refuse updates."""

    def __init__(self, detection: dict[str, Any] | None = None) -> None:
        audio = {**SESSION["audio"], "input": {**SESSION["audio"]["input"], "turn_detection": detection}}
        super().__init__(session={**SESSION, "audio": audio})
        self.refuses = False
        self.silent = False

    async def confirm(self, update: dict[str, Any]) -> None:
        if self.refuses:
            error = {"type": "invalid_request_error", "code": "invalid_value", "message": "not now", "param": None}
            await self.emit("error", error=error | {"event_id": update["event_id"]})
        elif not self.silent:
            await super().confirm(update)

    async def expect(self, *types: str) -> list[dict[str, Any]]:
        """Return the client's next frames, which have to be of these types."""
        return [await self.next(each) for each in types]

    async def handled(self, session: agentkit.Session) -> None:
        """Wait until the session has handled all that was said so far."""
        with session.subscribe(RateLimitsUpdated) as markers:
            await self.emit("rate_limits.updated", rate_limits=[])
            await anext(markers)

    async def expect_nothing(self, session: agentkit.Session) -> None:
        """Check that the client wrote nothing: the next frame is one that it is told to write now."""
        await self.handled(session)
        await session.send(ConversationItemRetrieve(item_id="marker"))
        await self.next("conversation.item.retrieve")


def audio(ms: int) -> bytes:
    return bytes(ms * 48)


@agentkit.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@agentkit.tool
async def look() -> str:
    """Look out of the window."""
    return "rain"


# Modes


@pytest.mark.parametrize(
    "mode, detection, name",
    [
        ("server_vad", VAD, "server_vad"),
        ("semantic_vad", {"type": "semantic_vad"}, "semantic_vad"),
        (
            agentkit.TurnDetection(type="server_vad", create_response=False),
            {"type": "server_vad", "create_response": False},
            "server_vad",
        ),
    ],
)
async def test_the_mode_is_what_the_server_confirmed(
    mode: str | agentkit.TurnDetection, detection: dict[str, Any], name: str
) -> None:
    server = Server()
    async with agentkit.open(server) as session:
        assert session.mode == "push_to_talk"
        await session.set_mode(mode)
        assert session.mode == name
        await session.set_mode("push_to_talk")
        assert session.mode == "push_to_talk"
    asked = [update["session"]["audio"]["input"]["turn_detection"] for update in server.updates]
    assert asked == [detection, None]


async def test_the_mode_that_is_in_force_is_not_asked_for_again() -> None:
    server = Server(VAD)
    async with agentkit.open(server) as session:
        await session.set_mode("server_vad")
    assert server.updates == []


async def test_a_mode_that_does_not_exist_is_refused_here() -> None:
    server = Server()
    async with agentkit.open(server) as session:
        with pytest.raises(ValueError, match="no mode 'vad'; known: push_to_talk, server_vad, semantic_vad"):
            await session.set_mode("vad")
    assert server.updates == []


async def test_a_mode_that_the_server_refuses_changes_nothing() -> None:
    server = Server()
    server.refuses = True
    async with agentkit.open(server) as session:
        await session.press()
        await session.append_audio(audio(200))
        with pytest.raises(agentkit.ServerError, match="not now"):
            await session.set_mode("server_vad")
        assert session.mode == "push_to_talk"
        await session.append_audio(audio(200))
        await session.release()
        await server.expect(APPEND, COMMIT, APPEND, COMMIT, CREATE)


@pytest.mark.parametrize("anyio_backend", VIRTUAL, ids=["trio"])
async def test_a_mode_that_the_server_does_not_confirm_is_an_error() -> None:
    server = Server()
    async with agentkit.open(server) as session:
        server.silent = True
        with pytest.raises(agentkit.RemoteProtocolError, match=re.escape("session.updated")):
            await session.set_mode("server_vad", timeout=3)
        assert session.mode == "push_to_talk"


async def test_there_is_no_key_where_the_server_finds_the_turns() -> None:
    server = Server(VAD)
    async with agentkit.open(server) as session:
        with pytest.raises(agentkit.LocalProtocolError, match="no key to press in the mode server_vad"):
            await session.press()
        await session.release()
        await server.expect_nothing(session)


# Switching in the middle of what is said


async def test_towards_turn_detection_what_was_said_becomes_an_item_before_the_switch() -> None:
    server = Server()
    async with agentkit.open(server) as session:
        await session.press()
        await session.append_audio(audio(200))
        await session.set_mode("server_vad")
        await session.append_audio(audio(100))
        await session.release()
        await server.expect(APPEND, COMMIT, APPEND)
        await server.expect_nothing(session)
    assert [event["type"] for event in server.written[:2]] == [UPDATE, APPEND]


async def test_away_from_turn_detection_what_was_said_goes_with_the_next_release() -> None:
    server = Server(VAD)
    async with agentkit.open(server) as session:
        await session.append_audio(audio(200))
        await server.emit("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
        await server.handled(session)
        await session.set_mode("push_to_talk")
        await session.press()
        await session.append_audio(audio(50))
        await session.release()
        await server.expect(APPEND, APPEND, COMMIT, CREATE)


async def test_away_from_turn_detection_silence_is_cleared() -> None:
    server = Server(VAD)
    async with agentkit.open(server) as session:
        notices = session.subscribe(Notice)
        await session.append_audio(audio(200))
        await session.set_mode("push_to_talk")
        await session.commit()
        assert (await anext(notices)).code == "input_too_short"
        await server.expect(APPEND, CLEAR)
        await server.expect_nothing(session)


async def test_text_typed_while_the_key_is_held_is_answered_after_a_switch() -> None:
    server = Server()
    async with agentkit.open(server) as session:
        turns = session.subscribe(TurnCompleted)
        await session.press()
        await session.send_text("typed")
        await server.expect(ITEM)
        await session.set_mode(agentkit.TurnDetection(type="server_vad", create_response=False))
        await server.expect(CREATE)
        await server.says("r1", "answer")
        assert (await anext(turns)).text == "answer"
        await server.expect_nothing(session)


@pytest.mark.parametrize("anyio_backend", VIRTUAL, ids=["trio"])
async def test_what_waited_for_the_key_is_asked_for_where_turn_detection_hears_nothing_more() -> None:
    server = Server()
    async with agentkit.open(server) as session:
        await session.press()
        await session.send_text("typed")
        await server.expect(ITEM)
        await session.set_mode("server_vad")
        await server.expect(CREATE)
        await server.says("r1", "answer")
        await server.expect_nothing(session)


@pytest.mark.parametrize("anyio_backend", VIRTUAL, ids=["trio"])
async def test_a_key_that_is_held_for_long_holds_everything_back() -> None:
    server = Server()
    async with agentkit.open(server) as session:
        await session.press()
        await session.append_audio(audio(200))
        await session.create_response()
        await anyio.sleep(600)
        await server.expect(APPEND)
        await server.expect_nothing(session)
        await session.release()
        await server.expect(COMMIT, CREATE)
        await server.says("r1", "answer")
        await server.expect_nothing(session)


# Responses and tools


async def test_a_response_that_nobody_waits_for_is_told_of_when_it_is_over() -> None:
    server = Server()
    async with agentkit.open(server) as session:
        turns = session.subscribe(TurnCompleted)
        await session.create_response(agentkit.ResponseSettings(instructions="Be brief."))
        created = await server.next(CREATE)
        assert created["response"]["instructions"] == "Be brief."
        await server.says("r1", "answer")
        assert (await anext(turns)).text == "answer"


async def test_a_response_takes_what_was_said_before_it() -> None:
    server = Server()
    async with agentkit.open(server) as session:
        await session.append_audio(audio(200))
        await session.create_response()
        await server.expect(APPEND, COMMIT, CREATE)


async def test_tools_change_in_one_update_and_those_of_others_stay() -> None:
    server = Server()
    server.session["tools"] = [MCP]
    async with agentkit.open(server) as session:
        await session.set_tools([add, FunctionTool(name="ask_human")])
        assert list(session.tools) == ["add", "ask_human"]
        await session.set_tools([look])
        assert list(session.tools) == ["look"]
    named = [[tool.get("name", tool["type"]) for tool in update["session"]["tools"]] for update in server.updates]
    assert named == [["add", "ask_human", "mcp"], ["look", "mcp"]]


async def test_tools_that_the_server_refuses_leave_those_before() -> None:
    server = Server()
    async with agentkit.open(server, tools=[add]) as session:
        server.refuses = True
        with pytest.raises(agentkit.ServerError):
            await session.set_tools([look])
        assert session.tools == {"add": add}


async def test_tools_that_change_while_the_key_is_held_let_nothing_out() -> None:
    server = Server()
    async with agentkit.open(server) as session:
        await session.press()
        await session.append_audio(audio(200))
        await session.create_response()
        await session.set_tools([add])
        await server.expect(APPEND)
        await server.expect_nothing(session)
        await session.release()
        await server.expect(COMMIT, CREATE)
