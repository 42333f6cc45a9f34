"""A scripted server that speaks, and what a test needs to read what was written of it."""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
from hypothesis import settings

import agentkit
from agentkit import Middleware, Session, Tool, TransportError
from agentkit.events import Notice, RateLimitsUpdated
from agentkit.testing import SESSION, FakeServer

# A slow machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

VAD: dict[str, Any] = {"type": "server_vad", "create_response": True, "interrupt_response": True}


class Server(FakeServer):
    """A server that says whole things in a line."""

    async def begins(self, item_id: str = "i1", response_id: str = "r1") -> None:
        """Begin a response and its message."""
        await self.emit("response.created", response={"id": response_id, "status": "in_progress", "output": []})
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        await self.emit("response.output_item.added", response_id=response_id, output_index=0, item=item)

    async def plays(self, audio: bytes, item_id: str = "i1", response_id: str = "r1") -> None:
        """Send audio of a message."""
        await self.emit(
            "response.output_audio.delta", **_at(item_id, response_id), delta=base64.b64encode(audio).decode()
        )

    async def speaks(self, *words: str, item_id: str = "i1", response_id: str = "r1") -> None:
        """Send the transcript of a message, in pieces."""
        for piece in words:
            await self.emit("response.output_audio_transcript.delta", **_at(item_id, response_id), delta=piece)

    async def ends(
        self,
        transcript: str,
        item_id: str = "i1",
        response_id: str = "r1",
        status: str = "completed",
        **response: Any,
    ) -> None:
        """End the message and its response."""
        content = [{"type": "output_audio", "transcript": transcript}]
        item = {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": content}
        await self.emit("response.output_audio_transcript.done", **_at(item_id, response_id), transcript=transcript)
        await self.emit("response.output_item.done", response_id=response_id, output_index=0, item=item)
        await self.emit("response.done", response={"id": response_id, "status": status, "output": [item], **response})

    async def hears(self, item_id: str, transcript: str | None) -> None:
        """Find a turn of the user's, and understand it where there is a transcript."""
        await self.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item_id)
        await self.emit("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id=item_id)
        await self.emit("input_audio_buffer.committed", item_id=item_id, previous_item_id=None)
        item = {"id": item_id, "type": "message", "role": "user", "status": "completed"}
        await self.emit("conversation.item.added", item={**item, "content": [{"type": "input_audio"}]})
        await self.emit("conversation.item.done", item={**item, "content": [{"type": "input_audio"}]})
        if transcript is not None:
            await self.understands(item_id, transcript)

    async def understands(self, item_id: str, transcript: str) -> None:
        """Tell what the user said."""
        kind = "conversation.item.input_audio_transcription.completed"
        await self.emit(kind, item_id=item_id, content_index=0, transcript=transcript)

    async def types(self, item_id: str, text: str) -> None:
        """Have a message of the user's in the conversation."""
        content = [{"type": "input_text", "text": text}]
        item = {"id": item_id, "type": "message", "role": "user", "status": "completed", "content": content}
        await self.emit("conversation.item.added", item=item)
        await self.emit("conversation.item.done", item=item)

    async def handled(self, session: Session) -> None:
        """Wait until the session has handled all that was said so far."""
        with session.subscribe(RateLimitsUpdated) as markers, anyio.fail_after(5):
            await self.emit("rate_limits.updated", rate_limits=[])
            await anext(markers)


def _at(item_id: str, response_id: str) -> dict[str, Any]:
    return {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}


class Opened:
    """A session with its server, and the notices it told."""

    def __init__(self, server: Server, session: Session) -> None:
        self.server = server
        self.session = session
        self.notices: list[Notice] = []
        self._news = anyio.Event()

    def of(self, code: str) -> list[str]:
        return [notice.message for notice in self.notices if notice.code == code]

    async def told(self, code: str) -> str:
        """Wait until something is told, and return it."""
        while not self.of(code):
            await self.heard()
        return self.of(code)[0]

    async def heard(self) -> None:
        """Wait for the next notice."""
        with anyio.fail_after(10):
            await self._news.wait()

    async def handled(self) -> None:
        await self.server.handled(self.session)

    async def listen(self) -> None:
        with self.session.subscribe(Notice) as notices, suppress(TransportError):
            async for notice in notices:
                self.notices.append(notice)
                self._news.set()
                self._news = anyio.Event()


Open = Callable[..., AbstractAsyncContextManager[Opened]]


@pytest.fixture
def opened() -> Open:
    """Open a session over these layers; ``tools`` and ``audio_input`` and ``audio_output`` are the session's."""

    @asynccontextmanager
    async def open_(
        *layers: Middleware,
        tools: tuple[Tool[..., object], ...] = (),
        audio_input: dict[str, Any] | None = None,
        audio_output: dict[str, Any] | None = None,
    ) -> AsyncIterator[Opened]:
        audio = {
            "input": {**SESSION["audio"]["input"], **(audio_input or {})},
            "output": {**SESSION["audio"]["output"], **(audio_output or {})},
        }
        server = Server(session={**SESSION, "model": "gpt-realtime", "audio": audio})
        async with agentkit.open(server, middleware=layers, tools=tools) as session:
            it = Opened(server, session)
            session.start_soon(it.listen)
            await it.handled()
            yield it

    return open_


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)
