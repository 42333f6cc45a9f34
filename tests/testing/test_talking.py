"""A user that speaks to a session."""

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit import Local, tool
from agentkit.events import AudioInput, AudioSettings, Settings, TurnDetection
from agentkit.testing import FakeServer, Transcript, say

pytestmark = pytest.mark.anyio


@tool(examples=["what is {a} plus {b}?"])
async def add(a: int, b: int) -> str:
    """Add two numbers."""
    return f"That makes {a + b}."


async def test_what_is_said_is_heard_and_answered_where_the_server_finds_the_turns() -> None:
    async with agentkit.open(Local(speech="tones"), tools=[add]) as session:
        turn = await say(session, "what is 2 plus 3?", timeout=20)
        assert turn.text == "That makes 5."
        assert Transcript(session).user == ["what is 2 plus 3?"]


async def test_what_is_said_is_committed_where_the_client_has_to() -> None:
    talk = Settings(audio=AudioSettings(input=AudioInput(turn_detection=None)))
    async with agentkit.open(Local(speech="tones"), tools=[add], settings=talk) as session:
        assert (await say(session, "what is 2 plus 3?", timeout=20)).text == "That makes 5."


async def test_a_fake_server_answers_what_is_said() -> None:
    server = FakeServer()
    server.will_say("Hello.")
    async with agentkit.open(server) as session:
        assert (await say(session, "hello", timeout=20)).text == "Hello."


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])
async def test_a_turn_that_takes_too_long_is_given_up() -> None:
    detection = Settings(audio=AudioSettings(input=AudioInput(turn_detection=TurnDetection(type="server_vad"))))
    async with agentkit.open(FakeServer(), settings=detection) as session:
        began = anyio.current_time()
        with pytest.raises(TimeoutError):
            await say(session, "hello", timeout=5)
        assert anyio.current_time() - began == pytest.approx(5)


async def test_a_connection_that_is_lost_meanwhile_is_an_error() -> None:
    server = FakeServer()
    server.script.expect("response.create").drop()
    async with agentkit.open(server) as session:
        with pytest.raises(agentkit.ConnectionLostError):
            await say(session, "hello", timeout=20)


async def test_a_session_that_is_closed_meanwhile_is_an_error() -> None:
    server = FakeServer()
    failures: list[Exception] = []

    async def speak(session: agentkit.Session) -> None:
        try:
            await say(session, "hello", timeout=20)
        except agentkit.SessionClosedError as error:
            failures.append(error)

    async with anyio.create_task_group() as tasks, agentkit.open(server) as session:
        tasks.start_soon(speak, session)
        await server.next("input_audio_buffer.append")
    assert len(failures) == 1
