"""Planned answers: what a fake server says to each ``response.create``, with every event that a real one sends."""

from collections import deque
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
import pybase64

from agentkit.testing.script import Say

_PIECE = 9_600
"""Bytes of audio in one event: 200 ms of PCM16 at 24 kHz."""


class Message(msgspec.Struct, frozen=True):
    """An answer that is said."""

    text: str
    audio: bytes | None

    def __str__(self) -> str:
        return f"say {self.text!r}"


class Call(msgspec.Struct, frozen=True):
    """One call of a tool."""

    name: str
    arguments: Mapping[str, object]

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"call {self.name}({given})"


Answer: TypeAlias = Message | list[Call]


class Answers:
    """What follows a planned answer, one response after another."""

    def __init__(self, planned: "Planned") -> None:
        self._planned = planned
        self._last: Answer | None = None

    def then_say(self, text: str, *, audio: bytes | None = None) -> "Answers":
        """Answer the ``response.create`` after that by a message.

        Args:
            text: What the message says.
            audio: What is heard of it, in the session's output format; None answers by text.
        """
        return self._add(Message(text, audio))

    def then_call(self, name: str, /, **arguments: object) -> "Answers":
        """Answer the ``response.create`` after that by a call of a tool."""
        return self._add([Call(name, arguments)])

    def and_call(self, name: str, /, **arguments: object) -> "Answers":
        """Make another call in the same response.

        Raises:
            TypeError: The answer before is no call.
        """
        if not isinstance(self._last, list):
            raise TypeError("and_call follows a call: will_call(...).and_call(...)")
        self._last.append(Call(name, arguments))
        return self

    def _add(self, answer: Answer) -> "Answers":
        self._last = answer
        self._planned.add(answer)
        return self


class Planned:
    """The answers of a fake server that nobody has asked for yet, and how they are said."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._answers: deque[Answer] = deque()
        self._responses = 0
        self._items = 0
        self._last_item: str | None = None

    def __bool__(self) -> bool:
        return bool(self._answers)

    def add(self, answer: Answer) -> None:
        """Plan another answer."""
        self._answers.append(answer)

    def left(self) -> list[str]:
        """Return the answers that nobody asked for, in words."""
        return [
            f"{' and '.join(map(str, answer)) if isinstance(answer, list) else answer}: no response.create came for it"
            for answer in self._answers
        ]

    async def take(self, event: Mapping[str, Any]) -> bool:
        """Answer a frame of the client's, where an answer is planned; returns whether it was answered."""
        if not self._answers:
            return False
        match event.get("type"):
            case "conversation.item.create":
                await self._keep(event)
            case "response.create":
                await self._respond(self._answers.popleft(), event.get("response") or {})
            case _:
                return False
        return True

    async def _keep(self, event: Mapping[str, Any]) -> None:
        item = {"object": "realtime.item", "status": "completed", **event["item"]}
        item.setdefault("id", self._next_item())
        before = event.get("previous_item_id") or self._last_item
        self._last_item = item["id"]
        await self._say("conversation.item.added", {"previous_item_id": before, "item": item})
        await self._say("conversation.item.done", {"previous_item_id": before, "item": item})

    async def _respond(self, answer: Answer, asked: Mapping[str, Any]) -> None:
        self._responses += 1
        response_id = f"resp_{self._responses}"
        response = {"id": response_id, "object": "realtime.response", "metadata": asked.get("metadata")}
        beside = asked.get("conversation") == "none"
        await self._say("response.created", {"response": {**response, "status": "in_progress", "output": []}})
        if isinstance(answer, Message):
            items = [await self._message(answer, response_id, beside)]
        else:
            items = [await self._call(call, response_id, index, beside) for index, call in enumerate(answer)]
        await self._say("response.done", {"response": {**response, "status": "completed", "output": items}})

    async def _message(self, message: Message, response_id: str, beside: bool) -> Mapping[str, Any]:
        item = {"id": self._next_item(), "object": "realtime.item", "type": "message", "role": "assistant"}
        empty = {**item, "status": "in_progress", "content": []}
        at = {"response_id": response_id, "item_id": item["id"], "output_index": 0, "content_index": 0}
        await self._item_added(empty, response_id, 0, beside)
        spoken = message.audio is not None
        name = "transcript" if spoken else "text"
        kind = "response.output_audio_transcript" if spoken else "response.output_text"
        part = {"type": "output_audio" if spoken else "output_text", name: ""}
        await self._say("response.content_part.added", {**at, "part": part})
        await self._say(f"{kind}.delta", {**at, "delta": message.text})
        for start in range(0, len(message.audio or b""), _PIECE):
            piece = pybase64.b64encode((message.audio or b"")[start : start + _PIECE]).decode()
            await self._say("response.output_audio.delta", {**at, "delta": piece})
        if spoken:
            await self._say("response.output_audio.done", at)
        await self._say(f"{kind}.done", {**at, name: message.text})
        part = {**part, name: message.text}
        await self._say("response.content_part.done", {**at, "part": part})
        whole = {**item, "status": "completed", "content": [part]}
        await self._item_done(whole, response_id, 0, beside)
        return whole

    async def _call(self, call: Call, response_id: str, index: int, beside: bool) -> Mapping[str, Any]:
        item_id = self._next_item()
        call_id = f"call_{item_id.removeprefix('item_')}"
        arguments = msgspec.json.encode(call.arguments).decode()
        item = {"id": item_id, "object": "realtime.item", "type": "function_call", "name": call.name}
        item |= {"call_id": call_id}
        at = {"response_id": response_id, "item_id": item_id, "output_index": index, "call_id": call_id}
        await self._item_added({**item, "status": "in_progress", "arguments": ""}, response_id, index, beside)
        await self._say("response.function_call_arguments.delta", {**at, "delta": arguments})
        done = {**at, "name": call.name, "arguments": arguments}
        await self._say("response.function_call_arguments.done", done)
        whole = {**item, "status": "completed", "arguments": arguments}
        await self._item_done(whole, response_id, index, beside)
        return whole

    async def _item_added(self, item: Mapping[str, Any], response_id: str, index: int, beside: bool) -> None:
        where = {"response_id": response_id, "output_index": index}
        await self._say("response.output_item.added", {**where, "item": item})
        if not beside:
            await self._say("conversation.item.added", {"previous_item_id": self._last_item, "item": item})

    async def _item_done(self, item: Mapping[str, Any], response_id: str, index: int, beside: bool) -> None:
        where = {"response_id": response_id, "output_index": index}
        await self._say("response.output_item.done", {**where, "item": item})
        if not beside:
            await self._say("conversation.item.done", {"previous_item_id": self._last_item, "item": item})
            self._last_item = item["id"]

    def _next_item(self) -> str:
        self._items += 1
        return f"item_{self._items}"
