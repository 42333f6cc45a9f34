"""For tests: a scripted Realtime server that a session connects to in memory."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec

from agentkit.events import Dialect
from agentkit.transports.base import Provider, Transport
from agentkit.transports.memory import memory_pair

SESSION: dict[str, Any] = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_1",
    "model": "fake",
    "output_modalities": ["audio"],
    "instructions": "",
    "tools": [],
    "tool_choice": "auto",
    "audio": {
        "input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": None},
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
    },
}
"""What the server says of a session that nobody has changed."""


class FakeServer(Provider):
    """A server that says what the test tells it to say, and keeps what the client wrote.

    It is the provider too: ``async with agentkit.open(server) as session``. With ``handshake`` it greets by
    ``session.created`` and answers each ``session.update`` by a ``session.updated`` that merges it; the updates are in
    ``updates`` and do not come out of ``next``.
    """

    name = "fake"

    def __init__(
        self, *, dialect: Dialect = Dialect.GA, handshake: bool = True, session: Mapping[str, Any] = SESSION
    ) -> None:
        self.dialect = dialect
        self.model = None
        self.session: dict[str, Any] = dict(session)
        """The settings that the server confirms."""
        self.updates: list[dict[str, Any]] = []
        """The ``session.update`` frames of the client."""
        self.written: list[dict[str, Any]] = []
        """Every frame of the client, in order."""
        self._handshake = handshake
        self._count = 0
        self._transport: Transport | None = None

    def connect(self) -> AbstractAsyncContextManager[Transport]:
        """Open the one connection."""
        return self._connect()

    @asynccontextmanager
    async def _connect(self) -> AsyncGenerator[Transport, None]:
        client, server = memory_pair()
        self._transport = server
        if self._handshake:
            await self.emit("session.created", session=self.session)
        try:
            yield _Answering(client, self) if self._handshake else client
        finally:
            await client.aclose()
            await server.aclose()

    @property
    def _wire(self) -> Transport:
        if self._transport is None:
            raise RuntimeError("nobody has connected to the fake server yet")
        return self._transport

    async def emit(self, type_: str, **fields: Any) -> None:
        """Send an event, with an id of its own unless ``event_id`` is given."""
        self._count += 1
        event = {"type": type_, "event_id": f"event_{self._count}", **fields}
        await self._wire.send(msgspec.json.encode(event))

    async def says(self, response_id: str, text: str, *, status: str = "completed") -> None:
        """Send a whole response of one text message."""
        item_id = f"item_{response_id}"
        item: dict[str, Any] = {"id": item_id, "object": "realtime.item", "type": "message"}
        item |= {"role": "assistant", "content": []}
        where = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        await self.emit("response.created", response={"id": response_id, "status": "in_progress", "output": []})
        await self.emit("response.output_item.added", response_id=response_id, output_index=0, item=item)
        await self.emit("response.output_text.delta", **where, delta=text)
        item = {**item, "status": status, "content": [{"type": "output_text", "text": text}]}
        await self.emit("response.output_item.done", response_id=response_id, output_index=0, item=item)
        await self.emit("response.done", response={"id": response_id, "status": status, "output": [item]})

    async def calls(self, response_id: str, **calls: tuple[str, str]) -> None:
        """Send a whole response of calls, given as ``call_id=(name, arguments)``."""
        await self.emit("response.created", response={"id": response_id, "status": "in_progress", "output": []})
        items = [
            {
                "id": f"item_{call_id}",
                "type": "function_call",
                "call_id": call_id,
                "name": name,
                "arguments": arguments,
                "status": "completed",
            }
            for call_id, (name, arguments) in calls.items()
        ]
        for index, item in enumerate(items):
            await self.emit("response.output_item.done", response_id=response_id, output_index=index, item=item)
        await self.emit("response.done", response={"id": response_id, "status": "completed", "output": items})

    async def emit_raw(self, frame: bytes) -> None:
        """Send a frame as it is."""
        await self._wire.send(frame)

    async def next(self, type_: str | None = None) -> dict[str, Any]:
        """Return the client's next frame, which has to be of a type where one is given.

        Raises:
            AssertionError: It is of another type.
        """
        event: dict[str, Any] = msgspec.json.decode(await self._wire.receive())
        self.written.append(event)
        if type_ is not None and event.get("type") != type_:
            raise AssertionError(f"expected {type_} of the client, got {event}")
        return event

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection from the server's side."""
        await self._wire.aclose(code, reason)

    async def confirm(self, update: dict[str, Any]) -> None:
        """Merge an update into the session, and say so."""
        self.updates.append(update)
        self.session = _merged(self.session, update["session"])
        await self.emit("session.updated", session=self.session)


class _Answering(Transport):
    """The client's end, which lets the server confirm updates as they are written."""

    def __init__(self, client: Transport, server: FakeServer) -> None:
        self._client = client
        self._server = server

    async def send(self, frame: bytes) -> None:
        if b'"session.update"' in frame:
            event = msgspec.json.decode(frame)
            if event.get("type") == "session.update":
                self._server.written.append(event)
                await self._server.confirm(event)
                return
        await self._client.send(frame)

    async def receive(self) -> bytes:
        return await self._client.receive()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self._client.aclose(code, reason)


def _merged(base: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in update.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both and key not in ("turn_detection", "format") else value
    return merged
