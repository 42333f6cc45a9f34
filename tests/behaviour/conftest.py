"""A scripted server that speaks either dialect, and says whole things in a line."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

import agentkit
from agentkit.events import ConversationItemRetrieve, Dialect, RateLimitsUpdated
from agentkit.session import Session
from agentkit.testing import SESSION, FakeServer
from agentkit.transports.base import Transport

VAD: dict[str, Any] = {"type": "server_vad", "create_response": True, "interrupt_response": True}
PATIENCE = 5.0
"""Seconds after which a frame that does not come fails the test; no test waits for it to pass."""
BETA_NAMES = {
    "conversation.item.added": "conversation.item.created",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
}
BETA_PARTS = {"output_text": "text", "output_audio": "audio"}
BETA_FORMATS = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}
BETA_FIELDS = {"output_modalities": "modalities", "max_output_tokens": "max_response_output_tokens"}
BETA_AUDIO = {
    ("input", "format"): "input_audio_format",
    ("input", "transcription"): "input_audio_transcription",
    ("input", "turn_detection"): "turn_detection",
    ("output", "format"): "output_audio_format",
    ("output", "voice"): "voice",
    ("output", "speed"): "speed",
}


class Server(FakeServer):
    """Takes everything in the GA dialect's words, and says it in its own."""

    def __init__(self, dialect: Dialect, *, handshake: bool = True, mixed: bool = False, **audio_input: Any) -> None:
        """Make a server.

        Args:
            dialect: Its dialect.
            handshake: Whether it greets, and confirms updates.
            mixed: Whether a GA server uses beta's names for half of its events.
            audio_input: What differs in the session's ``audio.input``, as ``turn_detection=VAD``.
        """
        given = {**SESSION, "audio": {**SESSION["audio"], "input": {**SESSION["audio"]["input"], **audio_input}}}
        super().__init__(dialect=dialect, handshake=handshake, session=in_dialect(dialect, given))
        self.connected = anyio.Event()
        self._names = BETA_NAMES if dialect is Dialect.BETA else dict(list(BETA_NAMES.items())[::2]) if mixed else {}

    def connect(self) -> AbstractAsyncContextManager[Transport]:
        return self._tell(super().connect())

    @asynccontextmanager
    async def _tell(self, connecting: AbstractAsyncContextManager[Transport]) -> AsyncIterator[Transport]:
        async with connecting as transport:
            self.connected.set()
            yield transport

    def shape(self, session: Mapping[str, Any]) -> dict[str, Any]:
        """Return GA's shape of a session as it is in this server's dialect."""
        return in_dialect(self.dialect, session)

    # Speaking

    async def emit(self, type_: str, **fields: Any) -> None:
        """Send an event that GA has under this name; nothing where beta has none."""
        if self.dialect is Dialect.BETA:
            if type_ == "conversation.item.done":
                return
            if type_ == "response.function_call_arguments.done":
                fields.pop("name", None)
            fields = {key: _renamed(value) for key, value in fields.items()}
        await super().emit(self._names.get(type_, type_), **fields)

    async def begins(self, response_id: str = "r1", **fields: Any) -> None:
        """Begin a response."""
        response = {"id": response_id, "status": "in_progress", "output": [], **fields}
        await self.emit("response.created", response=response)

    async def ends(self, response_id: str = "r1", status: str = "completed", **fields: Any) -> None:
        """End a response."""
        await self.emit("response.done", response={"id": response_id, "status": status, "output": [], **fields})

    async def fails(self, response_id: str = "r1", code: str = "server_error") -> None:
        """End a response that failed."""
        details = {"type": "failed", "error": {"type": code, "code": code, "message": f"failed: {code}"}}
        await self.ends(response_id, "failed", status_details=details)

    async def begins_item(self, item_id: str = "i1", response_id: str = "r1") -> None:
        """Begin a message of the agent's."""
        await self.emit("response.output_item.added", response_id=response_id, item=message(item_id))
        await self.emit("conversation.item.added", item=message(item_id))

    async def speaks(
        self, item_id: str = "i1", ms: int = 1000, response_id: str = "r1", size: int | None = None
    ) -> None:
        """Send silence: milliseconds of PCM16, or bytes of whatever the format is."""
        delta = base64.b64encode(bytes(ms * 48 if size is None else size)).decode()
        at = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        await self.emit("response.output_audio.delta", **at, delta=delta)

    async def calls_tool(
        self, call_id: str, name: str, arguments: str = "{}", *, response_id: str = "r1", status: str = "completed"
    ) -> None:
        """Send a function call: its item added, its arguments, its item done."""
        item_id = f"item_{call_id}"
        item = {"id": item_id, "type": "function_call", "call_id": call_id, "name": name}
        at = {"response_id": response_id, "item_id": item_id, "output_index": 0, "call_id": call_id}
        empty = {**item, "arguments": "", "status": "in_progress"}
        await self.emit("response.output_item.added", response_id=response_id, item=empty)
        await self.emit("response.function_call_arguments.delta", **at, delta=arguments)
        await self.emit("response.function_call_arguments.done", **at, arguments=arguments, name=name)
        item |= {"arguments": arguments, "status": status}
        await self.emit("response.output_item.done", response_id=response_id, item=item)

    async def hears(self, item_id: str = "u1") -> None:
        """Find a whole turn of the user's."""
        await self.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item_id)
        await self.heard(item_id)

    async def heard(self, item_id: str = "u1") -> None:
        """Find the end of the user's turn, and make an item of it."""
        await self.emit("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id=item_id)
        await self.emit("input_audio_buffer.committed", item_id=item_id, previous_item_id=None)

    async def refuses(self, code: str | None, event_id: str | None = None, **fields: Any) -> None:
        """Send an error."""
        error = {"type": "invalid_request_error", "code": code, "message": f"refused: {code}", "param": None}
        await self.emit("error", error={**error, "event_id": event_id, **fields})

    # Looking

    async def next(self, type_: str | None = None, *, seconds: float = PATIENCE) -> dict[str, Any]:
        """Return the client's next frame, which has to be of a type where one is given."""
        with anyio.fail_after(seconds):
            return await super().next(type_)

    async def expect(self, *types: str) -> list[dict[str, Any]]:
        """Return the client's next frames, which have to be of these types."""
        return [await self.next(each) for each in types]

    async def output(self) -> tuple[str, str]:
        """Return the call id and the output of the next frame, which has to be the output of a call."""
        item = (await self.next("conversation.item.create"))["item"]
        assert item["type"] == "function_call_output"
        assert isinstance(item["output"], str)
        return item["call_id"], item["output"]

    async def handled(self, session: Session) -> None:
        """Wait until the session has handled all that was said so far."""
        with session.subscribe(RateLimitsUpdated) as markers, anyio.fail_after(PATIENCE):
            await self.emit("rate_limits.updated", rate_limits=[])
            await anext(markers)

    async def expect_nothing(self, session: Session) -> None:
        """Check that the client wrote nothing: the next frame is one that it is told to write now."""
        await self.handled(session)
        await session.send(ConversationItemRetrieve(item_id="marker"))
        await self.next("conversation.item.retrieve")


class Held:
    """A tool that returns when it is told to, and counts its runs."""

    def __init__(self, name: str = "held") -> None:
        self.runs = 0
        self._released = anyio.Event()
        self.tool = agentkit.tool(self.run, name=name)

    async def run(self) -> str:
        """Wait."""
        self.runs += 1
        await self._released.wait()
        return "done"

    def release(self) -> None:
        self._released.set()


def message(item_id: str, role: str = "assistant", **fields: Any) -> dict[str, Any]:
    """Return an item: a message, empty and in progress unless the fields say otherwise."""
    base = {"id": item_id, "object": "realtime.item", "type": "message", "role": role}
    return {**base, "status": "in_progress", "content": [], **fields}


def in_dialect(dialect: Dialect, session: Mapping[str, Any]) -> dict[str, Any]:
    """Return GA's shape of a session in a dialect."""
    if dialect is Dialect.GA:
        return dict(session)
    flat: dict[str, Any] = {}
    for key, value in session.items():
        if key == "audio":
            for (way, name), beta in BETA_AUDIO.items():
                if name in value.get(way, {}):
                    said = value[way][name]
                    flat[beta] = BETA_FORMATS[said["type"]] if name == "format" else said
        elif key != "type":
            said = ["text", "audio"] if key == "output_modalities" and "audio" in value else value
            flat[BETA_FIELDS.get(key, key)] = said
    return flat


def _renamed(value: Any) -> Any:
    """Give content parts beta's names, however deep they are."""
    if isinstance(value, dict):
        named = {key: _renamed(inner) for key, inner in value.items()}
        return named | {"type": BETA_PARTS[named["type"]]} if named.get("type") in BETA_PARTS else named
    return [_renamed(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(params=list(Dialect), ids=str)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return Dialect(request.param)


@pytest.fixture
def new_server(dialect: Dialect) -> Callable[..., Server]:
    """Make a server of the dialect; takes what ``Server`` takes besides."""

    def make(**options: Any) -> Server:
        return Server(dialect, **options)

    return make


@pytest.fixture
def server_type() -> type[Server]:
    """Make servers of several dialects in one test."""
    return Server


@pytest.fixture
def server(dialect: Dialect) -> Server:
    """A server that leaves it to the client to commit the user's audio."""
    return Server(dialect)


@pytest.fixture
def listening(dialect: Dialect) -> Server:
    """A server that finds the user's turns, answers them, and stops when the user speaks."""
    return Server(dialect, turn_detection=VAD)


@pytest.fixture
def item() -> Callable[..., dict[str, Any]]:
    """Make a message: id, role, and what differs."""
    return message


@pytest.fixture
def held() -> Held:
    return Held()
