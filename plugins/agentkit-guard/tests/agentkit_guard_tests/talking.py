"""A scripted server that says a message in pieces, and a listener that reads what the application sees of it."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar

import anyio

import agentkit
from agentkit import Middleware, Session
from agentkit.events import (
    ConversationUpdated,
    Event,
    ItemView,
    RateLimitsUpdated,
    ResponseOutputAudioDelta,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputTextDelta,
)
from agentkit.testing import SESSION, FakeServer

E = TypeVar("E", bound=Event)
PATIENCE = 15.0
"""Seconds after which what does not come fails the test; no test waits for it to pass."""
VAD = {"type": "server_vad", "create_response": True, "interrupt_response": True}


class Server(FakeServer):
    """Says things in pieces."""

    def __init__(self, **audio_input: Any) -> None:
        given = {**SESSION["audio"]["input"], **audio_input}
        super().__init__(session={**SESSION, "audio": {**SESSION["audio"], "input": given}})

    async def begins(self, response_id: str = "r1", item_id: str = "i1") -> None:
        """Begin a response and its message."""
        await self.emit("response.created", response={"id": response_id, "status": "in_progress", "output": []})
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        await self.emit("response.output_item.added", response_id=response_id, output_index=0, item=item)
        await self.emit("conversation.item.added", item=item)

    async def writes(self, *pieces: str, response_id: str = "r1", item_id: str = "i1") -> None:
        """Send pieces of text."""
        for piece in pieces:
            await self.emit("response.output_text.delta", **at(response_id, item_id), delta=piece)

    async def tells(self, *pieces: str, response_id: str = "r1", item_id: str = "i1") -> None:
        """Send pieces of a transcript."""
        for piece in pieces:
            await self.emit("response.output_audio_transcript.delta", **at(response_id, item_id), delta=piece)

    async def speaks(self, count: int = 1, response_id: str = "r1", item_id: str = "i1") -> None:
        """Send pieces of audio."""
        for _ in range(count):
            delta = base64.b64encode(bytes(4800)).decode()
            await self.emit("response.output_audio.delta", **at(response_id, item_id), delta=delta)

    async def ends(
        self, text: str, *, spoken: bool = False, response_id: str = "r1", item_id: str = "i1", **fields: Any
    ) -> None:
        """End a message and its response."""
        place = at(response_id, item_id)
        if spoken:
            part = {"type": "output_audio", "transcript": text}
            await self.emit("response.output_audio.done", **place)
            await self.emit("response.output_audio_transcript.done", **place, transcript=text)
        else:
            part = {"type": "output_text", "text": text}
            await self.emit("response.output_text.done", **place, text=text)
        await self.emit("response.content_part.done", **place, part=part)
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        await self.emit("response.output_item.done", response_id=response_id, output_index=0, item=item)
        await self.emit("conversation.item.done", item=item)
        await self.emit(
            "response.done", response={"id": response_id, "status": "completed", "output": [item], **fields}
        )

    async def hears(self, item_id: str = "u1") -> None:
        """Make an item of what the user says."""
        await self.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item_id)
        await self.emit("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id=item_id)
        await self.emit("input_audio_buffer.committed", item_id=item_id, previous_item_id=None)

    async def transcribes(self, text: str, *pieces: str, item_id: str = "u1") -> None:
        """Tell what the user said."""
        name = "conversation.item.input_audio_transcription"
        for piece in pieces:
            await self.emit(f"{name}.delta", item_id=item_id, content_index=0, delta=piece)
        await self.emit(f"{name}.completed", item_id=item_id, content_index=0, transcript=text)

    async def next(self, type_: str | None = None) -> dict[str, Any]:
        """Return the client's next frame, which has to be of a type where one is given."""
        with anyio.fail_after(PATIENCE):
            return await super().next(type_)

    async def answers_until(self, type_: str) -> dict[str, Any]:
        """Take the client's frames up to one of a type."""
        while (frame := await self.next()).get("type") != type_:
            pass
        return frame


def at(response_id: str, item_id: str) -> dict[str, Any]:
    return {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}


class Wire(Middleware):
    """Notes what was really written."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def on_wire(self, direction: Literal["in", "out"], raw: bytes, event: Event) -> None:
        if direction == "out":
            self.sent.append(event.wire_type)


class Seen:
    """What the application has seen, and what was sent."""

    def __init__(self, session: Session, server: Server, wire: Wire) -> None:
        self.sent = wire.sent
        self.subscription = session.subscribe()
        self._server = server
        self.events: list[Event] = []

    async def all(self) -> "Seen":
        """Read until everything that the server has said by now has been handled."""
        await self._server.emit("rate_limits.updated", rate_limits=[])
        with anyio.fail_after(PATIENCE):
            async for event in self.subscription:
                if isinstance(event, RateLimitsUpdated):
                    break
                self.events.append(event)
        return self

    async def until(self, event_class: type[E]) -> E:
        """Read until an event of a class."""
        with anyio.fail_after(PATIENCE):
            async for event in self.subscription:
                self.events.append(event)
                if isinstance(event, event_class):
                    return event
        raise AssertionError(f"no {event_class.__name__} came")

    def of(self, *classes: type[E]) -> list[E]:
        """Return the events of some classes."""
        return [event for event in self.events if isinstance(event, classes)]

    @property
    def written(self) -> str:
        """The text deltas, joined."""
        return "".join(event.delta for event in self.of(ResponseOutputTextDelta))

    @property
    def told(self) -> str:
        """The transcript deltas, joined."""
        return "".join(event.delta for event in self.of(ResponseOutputAudioTranscriptDelta))

    @property
    def audio(self) -> int:
        """How many pieces of audio came."""
        return len(self.of(ResponseOutputAudioDelta))

    @property
    def updates(self) -> str:
        """The texts of the engine's own deltas, joined."""
        deltas = [event.delta for event in self.of(ConversationUpdated) if event.delta is not None]
        return "".join(delta.text or delta.transcript or "" for delta in deltas)

    def words(self) -> str:
        """Everything that can be read in what the application saw."""
        return "\n".join(_words(event) for event in self.events)


def _words(event: Event) -> str:
    values = {name: getattr(event, name) for name in event.__struct_fields__}
    shown = {name: value for name, value in values.items() if not isinstance(value, float)}  # times hold any digits
    views = [view for view in values.values() if isinstance(view, ItemView)]
    return f"{event.wire_type} {shown!r} {' '.join(f'{view.text} {view.transcript}' for view in views)}"


@asynccontextmanager
async def opened(
    server: Server, *guards: Middleware, as_middleware: bool = False, tools: Sequence[Any] = (), **options: Any
) -> AsyncIterator[tuple[Session, Seen]]:
    """Open a session with guards, and listen to it."""
    wire = Wire()
    layers: dict[str, Any] = {"middleware": [*guards, wire]} if as_middleware else {"guards": [*guards, wire]}
    async with agentkit.open(server, tools=tools, **layers, **options) as session:
        yield session, Seen(session, server, wire)
