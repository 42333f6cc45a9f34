"""A scripted server of either dialect, and a record of what handlers were told."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from agentkit import RealtimeClient
from agentkit.client import EventHandlers
from agentkit.events import Dialect
from agentkit.testing import SESSION, FakeServer

PATIENCE = 5.0
"""Seconds after which something that does not come fails the test; no test waits for it to pass."""
VAD: dict[str, Any] = {"type": "server_vad", "create_response": True, "interrupt_response": True}
BETA_SESSION: dict[str, Any] = {
    "id": "sess_1",
    "object": "realtime.session",
    "model": "fake",
    "modalities": ["text", "audio"],
    "instructions": "",
    "tools": [],
    "tool_choice": "auto",
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "turn_detection": None,
    "voice": "alloy",
    "temperature": 0.8,
}


class Server(FakeServer):
    """Says whole things in a line, and refuses updates where it is told to."""

    def __init__(self, dialect: Dialect = Dialect.GA, *, handshake: bool = True, **audio_input: Any) -> None:
        """Make a server.

        Args:
            dialect: Its dialect.
            handshake: Whether it greets, and confirms updates.
            audio_input: What differs in a GA session's ``audio.input``, as ``turn_detection=VAD``.
        """
        session = SESSION
        if dialect is Dialect.BETA:
            session = BETA_SESSION
        elif audio_input:
            session = {**SESSION, "audio": {**SESSION["audio"], "input": {**SESSION["audio"]["input"], **audio_input}}}
        super().__init__(dialect=dialect, handshake=handshake, session=session)
        self.refusals: list[str] = []
        """Fields of the next updates that are refused, one an update; an empty one lets it pass."""
        self.holding = False
        """Whether updates get no answer, and are put into ``held``."""
        self.held: list[dict[str, Any]] = []

    async def confirm(self, update: dict[str, Any]) -> None:
        """Confirm an update, or refuse it."""
        if self.holding:
            self.held.append(update)
            return
        field = self.refusals.pop(0) if self.refusals else ""
        if not field:
            for way in ("input", "output"):  # a format is one value: another type does not keep the old one's rate
                if "format" in update["session"].get("audio", {}).get(way, {}):
                    audio = self.session["audio"]
                    self.session["audio"] = {**audio, way: {**audio[way], "format": None}}
            await super().confirm(update)
            return
        self.updates.append(update)
        await self.refuses("invalid_value", update["event_id"], param=field)

    @property
    def asked(self) -> list[dict[str, Any]]:
        """What the updates asked for, without the session's type."""
        return [{name: value for name, value in each["session"].items() if name != "type"} for each in self.updates]

    # Speaking

    async def begins(self, response_id: str = "r1") -> None:
        """Begin a response."""
        await self.emit("response.created", response={"id": response_id, "status": "in_progress", "output": []})

    async def ends(self, response_id: str = "r1", status: str = "completed") -> None:
        """End a response."""
        await self.emit("response.done", response={"id": response_id, "status": status, "output": []})

    async def adds(self, item_id: str, type_: str = "message", **fields: Any) -> None:
        """Add an item to the conversation: a message of the agent's unless the fields say otherwise."""
        if type_ == "message":
            fields = {"role": "assistant", "content": [], **fields}
        item = {"id": item_id, "object": "realtime.item", "type": type_, "status": "in_progress", **fields}
        await self.emit("conversation.item.added", item=item)

    async def tells(self, kind: str, delta: str, item_id: str = "i1", response_id: str = "r1") -> None:
        """Send a delta: ``output_text``, ``output_audio_transcript`` or ``function_call_arguments``."""
        at = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        await self.emit(f"response.{kind}.delta", **at, delta=delta)

    async def speaks(self, audio: bytes, item_id: str = "i1", response_id: str = "r1") -> None:
        """Send audio in the session's format."""
        await self.tells("output_audio", base64.b64encode(audio).decode(), item_id, response_id)

    async def finishes(self, item_id: str, type_: str = "message", **fields: Any) -> None:
        """End an item of the agent's."""
        if type_ == "message":
            fields = {"role": "assistant", "content": [], **fields}
        item = {"id": item_id, "object": "realtime.item", "type": type_, "status": "completed", **fields}
        await self.emit("response.output_item.done", response_id="r1", output_index=0, item=item)

    async def refuses(self, code: str, event_id: str | None = None, *, param: str | None = None) -> None:
        """Send an error."""
        error = {"type": "invalid_request_error", "code": code, "message": f"refused: {code}", "param": param}
        await self.emit("error", error={**error, "event_id": event_id})

    # Looking

    async def next(self, type_: str | None = None) -> dict[str, Any]:
        """Return the client's next frame, which has to be of a type where one is given."""
        with anyio.fail_after(PATIENCE):
            return await super().next(type_)

    async def output(self) -> tuple[str, str]:
        """Return the call id and the output of the next frame, which has to be the output of a call."""
        item = (await self.next("conversation.item.create"))["item"]
        assert item["type"] == "function_call_output"
        return item["call_id"], item["output"]

    async def handled(self, client: RealtimeClient) -> None:
        """Wait until the client has told its handlers of all that was said so far."""
        done = anyio.Event()
        client.realtime.on_next("server.marker", lambda event: done.set())
        await self.emit("marker")
        with anyio.fail_after(PATIENCE):
            await done.wait()

    async def expect_nothing(self, client: RealtimeClient) -> None:
        """Check that the client wrote nothing: the next frame is one that it is told to write now."""
        await self.handled(client)
        await client.realtime.send("marker.of_client")
        await self.next("marker.of_client")


class Record:
    """What handlers were told, in order."""

    def __init__(self, handlers: EventHandlers, *names: str) -> None:
        self.told: list[tuple[str, Any]] = []
        for name in names:
            handlers.on(name, lambda event, name=name: self.told.append((name, event)))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    @property
    def events(self) -> list[Any]:
        return [event for _, event in self.told]


@pytest.fixture
def server() -> Server:
    """A server that leaves it to the client to end the user's turns."""
    return Server()


@pytest.fixture
def listening() -> Server:
    """A server that finds the user's turns, answers them, and stops when the user speaks."""
    return Server(turn_detection=VAD)


@pytest.fixture
def new_server() -> Callable[..., Server]:
    """Make a server; takes what ``Server`` takes."""
    return Server


@pytest.fixture
def record() -> Callable[..., Record]:
    """Record what handlers of some names are told: ``record(client, "error", "close")``."""
    return Record
