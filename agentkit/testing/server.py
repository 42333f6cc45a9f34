"""FakeServer: a scripted Realtime server that a session connects to in memory.

Rule: without a script or planned answers it says only what the test tells it to, and whatever the client writes comes
out of ``next``.
"""

from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import msgspec

from agentkit.errors import ConnectionLostError
from agentkit.events import Dialect
from agentkit.testing.answers import Answers, Planned
from agentkit.testing.script import Script
from agentkit.transports.base import Provider, Transport
from agentkit.transports.closing import lost
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

    What it says can be told in three ways: now, by ``emit``, ``says`` and ``calls``; in answer to the client, by
    ``will_say`` and ``will_call``; and step by step, by ``script``. ``verify`` fails where something of the last two
    was not used::

        server.will_call("weather", city="Turin").then_say("Sunny.")
        server.script.expect("input_audio_buffer.commit").emit("error", error={...}).delay(2).drop()
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
        self.script = Script(emit=self._say, drop=self.drop, wake=self._wake)
        """What is expected of the client, and what follows; while it has steps, ``next`` has no frames."""
        self._planned = Planned(self._say)
        self._handshake = handshake
        self._count = 0
        self._transport: Transport | None = None
        self._client: _ClientEnd | None = None
        self._noted: deque[bool] = deque()
        """For each frame that ``next`` will give, whether it is in ``written`` already."""

    def connect(self) -> AbstractAsyncContextManager[Transport]:
        """Open the one connection."""
        return self._connect()

    @asynccontextmanager
    async def _connect(self) -> AsyncGenerator[Transport, None]:
        client, server = memory_pair()
        self._transport = server
        self._client = end = _ClientEnd(client, self)
        self._noted.clear()
        if self._handshake:
            await self.emit("session.created", session=self.session)
        try:
            yield end
        finally:
            await client.aclose()
            await server.aclose()

    @property
    def _wire(self) -> Transport:
        if self._transport is None:
            raise RuntimeError("nobody has connected to the fake server yet")
        return self._transport

    # Speaking now

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

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection from the server's side."""
        await self._wire.aclose(code, reason)

    async def drop(self) -> None:
        """Lose the connection: there is no close frame, and what was sent before is still read."""
        if self._client is None:
            raise RuntimeError("nobody has connected to the fake server yet")
        self._client.dropped = True
        await self._wire.aclose(1001)

    # Answering

    def will_say(self, text: str, *, audio: bytes | None = None) -> Answers:
        """Answer the next ``response.create`` that has no answer yet by a message.

        Args:
            text: What the message says.
            audio: What is heard of it, in the session's output format; None answers by text.

        Returns:
            What follows it: ``will_say("Hello.").then_say("Goodbye.")``.
        """
        return Answers(self._planned).then_say(text, audio=audio)

    def will_call(self, name: str, /, **arguments: object) -> Answers:
        """Answer the next ``response.create`` that has no answer yet by a call of a tool.

        While answers are planned the server also confirms the items that the client creates. What it answers is in
        ``written``, and does not come out of ``next``.

        Returns:
            What follows it: ``will_call("weather", city="Turin").then_say("Sunny.")``.
        """
        return Answers(self._planned).then_call(name, **arguments)

    def verify(self) -> None:
        """Check that the whole script ran, and that every planned answer was asked for.

        Raises:
            AssertionError: Something is left; the message has it, with what the client wrote.
        """
        left = [*self.script.left(), *self._planned.left()]
        if left:
            wrote = "".join(f"\n  {_shown(event)}" for event in self.written[-_SHOWN:]) or "\n  nothing"
            raise AssertionError(
                "the fake server is not done:"
                + "".join(f"\n  {line}" for line in left)
                + f"\nthe client wrote, last:{wrote}"
            )

    # Looking

    async def next(self, type_: str | None = None) -> dict[str, Any]:
        """Return the client's next frame, which has to be of a type where one is given.

        Raises:
            AssertionError: It is of another type, or the script takes all frames.
        """
        if not self.script.done:
            raise AssertionError(f"the script takes the client's frames; it is at: {self.script.left()[0]}")
        event: dict[str, Any] = msgspec.json.decode(await self._wire.receive())
        if not (self._noted and self._noted.popleft()):
            self.written.append(event)
        if type_ is not None and event.get("type") != type_:
            raise AssertionError(f"expected {type_} of the client, got {event}")
        return event

    async def confirm(self, update: dict[str, Any]) -> None:
        """Merge an update into the session, and say so."""
        self.updates.append(update)
        self.session = _merged(self.session, update["session"])
        await self.emit("session.updated", session=self.session)

    # For the client's end

    async def _say(self, type_: str, fields: Mapping[str, Any]) -> None:
        await self.emit(type_, **fields)

    def _wake(self) -> None:
        if self._client is not None:
            self._client.wake()

    @property
    def _active(self) -> bool:
        return not self.script.done or bool(self._planned)

    def _answers(self) -> bool:
        """Tell whether it may answer what the client writes."""
        return self._handshake or self._active

    async def _take(self, frame: bytes) -> bool:
        """Answer a frame as it is written; returns whether it is done with, and ``next`` will not give it."""
        if not self._active and not (self._handshake and b'"session.update"' in frame):
            self._noted.append(False)
            return False
        event: dict[str, Any] = msgspec.json.decode(frame)
        update = self._handshake and event.get("type") == "session.update"
        if not update and not self._active:
            self._noted.append(False)
            return False
        self.written.append(event)
        done = self.script.take(event)
        if update:
            await self.confirm(event)
        done = await self._planned.take(event) or done
        await self.script.go_on()
        if not (update or done):
            self._noted.append(True)
        return update or done


class _ClientEnd(Transport):
    """The client's end: lets the server answer what is written, and the script's delays pass while it reads."""

    def __init__(self, client: Transport, server: FakeServer) -> None:
        self._client = client
        self._server = server
        self._reading: anyio.CancelScope | None = None
        self.dropped = False
        """Whether the connection was lost, and not closed."""

    def wake(self) -> None:
        """Let the reader look at the script again."""
        if self._reading is not None:
            self._reading.cancel()

    async def send(self, frame: bytes) -> None:
        """Send a frame, or have the server answer it; raises as the transport does."""
        if not await self._server._take(frame):
            try:
                await self._client.send(frame)
            except ConnectionLostError as exc:
                raise self._lost(exc) from None

    def try_send(self, frame: bytes) -> bool:
        """Send a frame now, where nobody has to answer it."""
        if self._server._answers() or not self._client.try_send(frame):
            return False
        self._server._noted.append(False)
        return True

    async def receive(self) -> bytes:
        """Wait for the next frame; raises as the transport does."""
        while True:
            await self._server.script.go_on()
            with anyio.CancelScope(deadline=self._server.script.due) as self._reading:
                try:
                    return await self._client.receive()
                except ConnectionLostError as exc:
                    raise self._lost(exc) from None
                finally:
                    self._reading = None

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the client's end."""
        await self._client.aclose(code, reason)

    def _lost(self, error: ConnectionLostError) -> ConnectionLostError:
        return lost(None) if self.dropped else error


_SHOWN = 8
"""Frames of the client's that a failure shows."""


def _shown(event: Mapping[str, Any]) -> str:
    text = msgspec.json.encode(event).decode()
    return text if len(text) <= 300 else f"{text[:299]}…"


def _merged(base: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in update.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both and key not in ("turn_detection", "format") else value
    return merged
