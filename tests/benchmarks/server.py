"""The server that the benchmark measures against, in a process of its own: every frame is built ahead of time.

What a session does is named in the path of its URL, so that one server serves every peer:

    ws://127.0.0.1:PORT/items=20,audio=600,text=150

    items         responses, each with one message, streamed for one `response.create`
    audio, text   audio and transcript deltas of each item, evenly mixed; an audio delta is 100 ms of pcm16
    calls, par    responses of `par` function calls; a short message ends them

`input_audio_buffer.clear` is answered once everything before it was read. `/stats` answers with one JSON list, a
record for each session since the last time.
"""

import asyncio
import base64
import json
import os
import random
import sys
import time
from functools import lru_cache

import msgspec
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # imported there, not defined
from websockets.http11 import Request
from websockets.server import ServerProtocol

ITEM, RESPONSE, CALL, EVENT = b"item_000000", b"resp_000000", b"call_000000", b"event_000000"
BLOCK_DELTAS = 125
DELTA_BYTES = 4800
LARGE = 1000
APPEND_SECONDS = 0.001
APPEND = b"input_audio_buffer.append"
ARGUMENTS = '{"city":"Paris","days":3}'
WHERE = {"response_id": RESPONSE.decode(), "item_id": ITEM.decode(), "output_index": 0, "content_index": 0}
PCM = {"type": "audio/pcm", "rate": 24000}


class Said(msgspec.Struct):
    """A client's event, as far as it matters here."""

    type: str
    item: dict[str, object] | None = None


read_said = msgspec.json.Decoder(Said).decode


def frame(body: bytes) -> bytes:
    """Make one text frame, unmasked."""
    size = len(body)
    if size < 126:
        return bytes((0x81, size)) + body
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + body
    return b"\x81\x7f" + size.to_bytes(8, "big") + body


class Script:
    """The frames of one kind of session."""

    def __init__(self, spec: str) -> None:
        words = {key: int(value) for key, _, value in (word.partition("=") for word in spec.split(",") if word)}
        self.items, self.audio, self.text = words.get("items", 1), words.get("audio", 10), words.get("text", 2)
        self.calls, self.par = words.get("calls", 0), words.get("par", 1)
        self._count, self._random = 0, random.Random(7)
        sound: dict[str, object] = {
            "input": {"format": PCM, "turn_detection": None},
            "output": {"format": PCM, "voice": "alloy"},
        }
        session: dict[str, object] = {
            "id": "sess_1",
            "object": "realtime.session",
            "type": "realtime",
            "model": "gpt-realtime",
            "tools": [],
        }
        session |= {"instructions": "", "tool_choice": "auto", "output_modalities": ["audio"], "audio": sound}
        self.created = self.event("session.created", session=session)
        self.updated = self.event("session.updated", session=session)
        self.cleared = self.event("input_audio_buffer.cleared")
        self.head, self.tail = self._head(), self._tail()
        deltas = min(self.audio, BLOCK_DELTAS)
        self.blocks, rest = divmod(self.audio, deltas) if deltas else (0, 0)
        texts = self.text * deltas // self.audio if self.audio else 0
        self.block = self._deltas(deltas, texts)
        self.rest = self._deltas(rest, self.text - texts * self.blocks)
        self.calling = self._calling()

    def event(self, name: str, /, **fields: object) -> bytes:
        """Make the frame of one event."""
        self._count += 1
        body = {"type": name, "event_id": f"{EVENT.decode()}_{self._count:06d}", **fields}
        return frame(json.dumps(body, separators=(",", ":")).encode())

    def item_events(self, item: dict[str, object], name: str) -> bytes:
        """Tell of an item of the conversation."""
        return self.event(f"conversation.item.{name}", previous_item_id=None, item=item)

    def _response(self, status: str, *output: object) -> dict[str, object]:
        usage = {"total_tokens": 10, "input_tokens": 5, "output_tokens": 5} if status == "completed" else None
        names = {"object": "realtime.response", "id": RESPONSE.decode(), "conversation_id": "conv_1", "metadata": None}
        return {**names, "status": status, "status_details": None, "output": list(output), "usage": usage}

    def _message(self, status: str, *content: object) -> dict[str, object]:
        names = {"id": ITEM.decode(), "object": "realtime.item", "type": "message", "role": "assistant"}
        return {**names, "status": status, "content": list(content)}

    def _head(self) -> bytes:
        item = self._message("in_progress")
        return (
            self.event("response.created", response=self._response("in_progress"))
            + self.event("response.output_item.added", response_id=RESPONSE.decode(), output_index=0, item=item)
            + self.item_events(item, "added")
            + self.event("response.content_part.added", **WHERE, part={"type": "audio", "transcript": ""})
        )

    def _tail(self) -> bytes:
        text = "hello there " * self.text
        item = self._message("completed", {"type": "output_audio", "transcript": text})
        return (
            self.event("response.output_audio.done", **WHERE)
            + self.event("response.output_audio_transcript.done", **WHERE, transcript=text)
            + self.event("response.content_part.done", **WHERE, part={"type": "audio", "transcript": text})
            + self.item_events(item, "done")
            + self.event("response.output_item.done", response_id=RESPONSE.decode(), output_index=0, item=item)
            + self.event("response.done", response=self._response("completed", item))
        )

    def _deltas(self, audio: int, text: int) -> bytes:
        out, sent = [], 0
        for index in range(audio):
            sound = base64.b64encode(self._random.randbytes(DELTA_BYTES)).decode()
            out.append(self.event("response.output_audio.delta", **WHERE, delta=sound))
            while sent * audio < text * (index + 1):
                out.append(self.event("response.output_audio_transcript.delta", **WHERE, delta="hello there "))
                sent += 1
        return b"".join(out)

    def _calling(self) -> bytes:
        """A whole response of function calls."""
        where = {"response_id": RESPONSE.decode()}
        out, items = [self.event("response.created", response=self._response("in_progress"))], []
        for index in range(self.par):
            place = {**where, "output_index": index}
            names = {**place, "item_id": f"fc{index}_{ITEM.decode()}", "call_id": f"c{index}_{CALL.decode()}"}
            item = {"id": names["item_id"], "object": "realtime.item", "type": "function_call", "name": "noop"}
            item |= {"status": "in_progress", "call_id": names["call_id"], "arguments": ""}
            out.append(self.event("response.output_item.added", **place, item=item))
            out.append(self.item_events(item, "added"))
            out += (
                self.event("response.function_call_arguments.delta", **names, delta=ARGUMENTS[at : at + 5])
                for at in range(0, len(ARGUMENTS), 5)
            )
            out.append(self.event("response.function_call_arguments.done", **names, name="noop", arguments=ARGUMENTS))
            item = {**item, "status": "completed", "arguments": ARGUMENTS}
            out.append(self.item_events(item, "done"))
            out.append(self.event("response.output_item.done", **place, item=item))
            items.append(item)
        return b"".join(out) + self.event("response.done", response=self._response("completed", *items))


script_of = lru_cache(32)(Script)
finished: list[dict[str, object]] = []


class Connection(asyncio.Protocol):
    """One session: the handshake is that of websockets, frames are read and written by hand."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.handshake: ServerProtocol | None = ServerProtocol()
        self.script: Script
        self.opened = False
        self.read, self.numbers = bytearray(), 0
        self.can_write = asyncio.Event()
        self.can_write.set()
        self.round, self.waiting, self.began = 0, set[object](), 0.0
        self.appends, self.creates, self.round_trips = 0, 0, list[float]()
        self.streaming: asyncio.Task[None] | None = None

    def pause_writing(self) -> None:
        self.can_write.clear()

    def resume_writing(self) -> None:
        self.can_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.can_write.set()
        if self.opened:
            finished.append({"appends": self.appends, "creates": self.creates, "round_trips": self.round_trips})

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if self.handshake is not None:
            self._shake_hands(self.handshake, data)
            return
        self.read += data
        while (parsed := self._next_frame()) is not None:
            opcode, body = parsed
            if opcode == 1:
                self._text(body, now)
            elif opcode == 8:
                self.transport.write(bytes((0x88, len(body))) + body)
                self.transport.close()
            elif opcode == 9:
                self.transport.write(bytes((0x8A, len(body))) + body)

    def _shake_hands(self, handshake: ServerProtocol, data: bytes) -> None:
        handshake.receive_data(data)
        for event in handshake.events_received():
            assert isinstance(event, Request)
            handshake.send_response(handshake.accept(event))
            self.transport.writelines(handshake.data_to_send())
            self.handshake = None
            spec = event.path.partition("?")[0].strip("/")
            if spec == "stats":
                self.transport.write(frame(json.dumps(finished).encode()))
                finished.clear()
            else:
                self.script, self.opened = script_of(spec), True
                self.transport.write(self.script.created)

    def _next_frame(self) -> tuple[int, bytes] | None:
        read = self.read
        if len(read) < 6:
            return None
        size, at = read[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(read[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(read[2:10], "big"), 10
        end = at + 4 + size
        if len(read) < end:
            return None
        opcode, mask = read[0] & 0x0F, bytes(read[at : at + 4])
        # The beginning tells an append, and nothing reads the rest of it.
        shown = end if size < LARGE else at + 4 + len(APPEND) * 4
        body = apply_mask(bytes(read[at + 4 : shown]), mask)
        del read[:end]
        return opcode, body

    def _text(self, body: bytes, now: float) -> None:
        if APPEND in body[:120]:
            self.appends += 1
            if self.transport.is_reading():
                # To wake a reader for each frame would cost the sender more than all that is measured.
                self.transport.pause_reading()
                asyncio.get_running_loop().call_later(APPEND_SECONDS, self._read_on)
            return
        said = read_said(body)
        if said.type == "session.update":
            self.transport.write(self.script.updated)
        elif said.type == "response.create":
            self.creates += 1
            self._create()
        elif said.type == "conversation.item.create" and said.item is not None:
            self._item(said.item, now)
        elif said.type == "input_audio_buffer.clear":
            self._write(self.script.cleared, 0)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _create(self) -> None:
        script = self.script
        if not script.calls:
            self.streaming = asyncio.ensure_future(self._stream())
            return
        self.round += 1
        if self.round > script.calls:
            self._write(script.head + script.tail, self.round)
            return
        self.waiting = {f"c{index}_call_{self.round:06d}" for index in range(script.par)}
        frames = self._numbered(script.calling, self.round)
        self.began = time.perf_counter()
        self.transport.write(frames)

    def _item(self, item: dict[str, object], now: float) -> None:
        if self.waiting and item.get("call_id") in self.waiting:
            self.waiting.discard(item["call_id"])
            if not self.waiting:
                self.round_trips.append(now - self.began)
        added = {"id": f"in_{self.numbers:06d}", "object": "realtime.item", "status": "completed", **item}
        self._write(self.script.item_events(added, "added") + self.script.item_events(added, "done"), 0)

    async def _stream(self) -> None:
        script = self.script
        for number in range(1, script.items + 1):
            self._write(script.head, number)
            for _ in range(script.blocks):
                await self.can_write.wait()
                if self.transport.is_closing():
                    return
                self._write(script.block, number)
            self._write(script.rest + script.tail, number)
            await self.can_write.wait()

    def _write(self, frames: bytes, number: int) -> None:
        self.transport.write(self._numbered(frames, number))

    def _numbered(self, frames: bytes, number: int) -> bytes:
        """Give frames their ids: event ids are never used twice in a session."""
        self.numbers += 1
        digits = b"%06d" % number
        frames = frames.replace(EVENT, b"event_%06d" % self.numbers).replace(ITEM, b"item_" + digits)
        return frames.replace(RESPONSE, b"resp_" + digits).replace(CALL, b"call_" + digits)


async def main() -> None:
    """Serve until killed; the first line of output is the port."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    asyncio.run(main())
