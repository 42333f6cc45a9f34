"""The driver: one session over a transport."""

import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from agentkit.errors import ConnectionLostError
from agentkit.events import AudioFormat
from agentkit.local import (
    AudioDelta,
    Responder,
    ResponderError,
    ResponderOutput,
    ResponderRequest,
    TextDelta,
    serve_session,
)
from agentkit.transports.base import Transport
from agentkit.transports.memory import memory_pair

pytestmark = pytest.mark.anyio


class Scripted(Responder):
    """Runs a function, and tells when it is closed."""

    name = "scripted"

    def __init__(self, script: Callable[[ResponderRequest], AsyncGenerator[ResponderOutput, None]]) -> None:
        self._script = script
        self.closed = False

    async def respond(self, request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        async for output in self._script(request):
            yield output

    async def aclose(self) -> None:
        self.closed = True


class Talk:
    """A client in plain dicts."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    async def send(self, wire_type: str, **fields: Any) -> None:
        await self.transport.send(json.dumps({"type": wire_type, **fields}).encode())

    async def until(self, wire_type: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        while not events or events[-1]["type"] != wire_type:
            events.append(json.loads(await self.transport.receive()))
        return events

    async def respond(self) -> dict[str, Any]:
        """Run a response and return it."""
        await self.send("response.create")
        done: dict[str, Any] = (await self.until("response.done"))[-1]["response"]
        return done


@asynccontextmanager
async def talking(responder: Responder, **options: Any) -> AsyncGenerator[Talk, None]:
    """Serve a session and talk to it."""
    client, server = memory_pair()
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await serve_session(server, responder, **options)

        tasks.start_soon(serve)
        try:
            yield Talk(client)
        finally:
            await client.aclose()


async def hello(_request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
    yield TextDelta(text="hello")


async def test_a_session_begins_by_telling_itself() -> None:
    async with talking(Scripted(hello)) as talk:
        [created] = await talk.until("session.created")
    assert created["session"]["model"] == "scripted"


async def test_the_responder_is_closed_with_the_session() -> None:
    responder = Scripted(hello)
    async with talking(responder) as talk:
        await talk.until("session.created")
    assert responder.closed


async def test_cancelling_closes_the_responder_s_generator() -> None:
    stopped = anyio.Event()

    async def slow(_request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        try:
            yield TextDelta(text="I")
            await anyio.sleep_forever()
        finally:
            stopped.set()

    async with talking(Scripted(slow)) as talk:
        await talk.send("response.create")
        await talk.until("response.output_text.delta")
        await talk.send("response.cancel")
        done = (await talk.until("response.done"))[-1]["response"]
        await stopped.wait()
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")


async def test_a_cancel_right_behind_the_create_stops_the_responder_before_it_speaks() -> None:
    async with talking(Scripted(hello)) as talk:
        await talk.send("response.create")
        await talk.send("response.cancel")
        await talk.send("response.create")
        done = [each for each in await _responses(talk, 2) if each["status"] == "completed"]
    assert done[0]["output"][0]["content"][0]["text"] == "hello"


async def _responses(talk: Talk, count: int) -> list[dict[str, Any]]:
    return [(await talk.until("response.done"))[-1]["response"] for _ in range(count)]


async def test_leaving_while_a_response_runs_leaves_nothing_behind() -> None:
    async def endless(_request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        while True:
            yield TextDelta(text="x" * 1000)
            await anyio.lowlevel.checkpoint()

    async with talking(Scripted(endless)) as talk:
        await talk.send("response.create")
        await talk.until("response.output_text.delta")


async def test_a_responder_that_cannot_answer_fails_its_response_only() -> None:
    async def failing(request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        yield TextDelta(text="I ")
        if request.last_user_text is None:
            raise ResponderError("The model is gone.", code="gone")

    async with talking(Scripted(failing)) as talk:
        failed = await talk.respond()
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
        await talk.send("conversation.item.create", item=item)
        fine = await talk.respond()
    assert failed["status"] == "failed"
    error = failed["status_details"]["error"]
    assert (error["code"], error["message"], error["type"]) == ("gone", "The model is gone.", "server_error")
    assert fine["status"] == "completed"


async def test_a_responder_that_crashes_fails_its_response_only(caplog: pytest.LogCaptureFixture) -> None:
    async def crashing(_request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        yield TextDelta(text="I")
        raise ZeroDivisionError("oops")

    caplog.set_level(logging.DEBUG, logger="agentkit.local")
    async with talking(Scripted(crashing)) as talk:
        failed = await talk.respond()
        again = await talk.respond()
    assert failed["status_details"]["error"]["code"] == "responder_failed"
    assert "ZeroDivisionError: oops" in failed["status_details"]["error"]["message"]
    assert again["status"] == "failed"
    assert "scripted" in caplog.text


async def test_a_client_that_does_not_read_stops_the_responder_not_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentkit.local.server.MAX_QUEUED_BYTES", 10_000)
    made = 0
    settled = anyio.Event()

    async def flood(_request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        nonlocal made
        for _ in range(2_000):
            made += 1
            yield TextDelta(text="x" * 100)

    async with talking(Scripted(flood)) as talk:
        await talk.send("response.create")
        await anyio.wait_all_tasks_blocked()
        settled.set()
        assert made < 1_000
        await talk.until("response.done")
    assert made == 2_000


async def test_all_who_wait_for_a_slow_client_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentkit.local.server.MAX_QUEUED_BYTES", 10_000)

    async def flood(_request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        for _ in range(500):
            yield TextDelta(text="x" * 100)
            await anyio.lowlevel.checkpoint()

    async with talking(Scripted(flood)) as talk:
        for _ in range(3):
            await talk.send("response.create", response={"conversation": "none"})
        await anyio.wait_all_tasks_blocked()
        responses = await _responses(talk, 3)
    assert [each["status"] for each in responses] == ["completed"] * 3


async def test_audio_is_transcribed_before_it_is_answered() -> None:
    class Hearing(Scripted):
        hears = True

        async def transcribe(self, audio: bytes, format: AudioFormat) -> str:
            return f"{len(audio) // 48} ms of {format.type}"

    async def echo(request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        yield TextDelta(text=request.last_user_text or "")

    async with talking(Hearing(echo)) as talk:
        update = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        await talk.send("session.update", session=update)
        await talk.send("input_audio_buffer.append", audio="AAAA" * 3200)
        await talk.send("input_audio_buffer.commit")
        done = await talk.respond()
    assert done["output"][0]["content"][0]["text"] == "200 ms of audio/pcm"


@pytest.mark.parametrize("error", [ResponderError("too noisy", code="noise"), ZeroDivisionError("oops")])
async def test_a_transcriber_that_fails_fails_the_response(error: Exception) -> None:
    class Deaf(Scripted):
        hears = True

        async def transcribe(self, audio: bytes, format: AudioFormat) -> str:
            raise error

    async with talking(Deaf(hello)) as talk:
        update = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        await talk.send("session.update", session=update)
        await talk.send("input_audio_buffer.append", audio="AAAA" * 3200)
        await talk.send("input_audio_buffer.commit")
        failed = (await talk.until("conversation.item.input_audio_transcription.failed"))[-1]
        assert (await talk.respond())["status"] == "failed"
    assert str(error) in failed["error"]["message"]


async def test_a_responder_without_ears_says_so() -> None:
    with pytest.raises(ResponderError, match="agentkit-realtime-local-voice"):
        await Scripted(hello).transcribe(b"", AudioFormat())


async def test_paced_audio_keeps_a_second_ahead_of_its_playback(monkeypatch: pytest.MonkeyPatch) -> None:
    until: list[float] = []

    async def sleep_until(deadline: float) -> None:
        until.append(deadline)

    monkeypatch.setattr(anyio, "sleep_until", sleep_until)
    monkeypatch.setattr(anyio, "current_time", lambda: 100.0)

    class Speaking(Scripted):
        speaks = True

    async def speech(_request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        for _ in range(3):
            yield AudioDelta(audio=bytes(48 * 1000), transcript="word")

    async with talking(Speaking(speech), paced=True) as talk:
        await talk.respond()
    assert until == [100.0, 101.0, 102.0]


async def test_the_client_sees_the_server_close() -> None:
    client, server = memory_pair()
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await serve_session(server, Scripted(hello))

        tasks.start_soon(serve)
        await client.receive()
        tasks.cancel_scope.cancel()
    with pytest.raises(ConnectionLostError):
        await client.receive()
