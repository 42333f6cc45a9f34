"""What a user writes by hand: websockets, json, base64, a growing buffer, a tool loop. Every ratio is against it."""

import asyncio
import base64
import json

from websockets.asyncio.client import connect

from tests.benchmarks.hooks import TOOL, Hooks


class HandwrittenPeer:
    """One session."""

    async def connect(self, url: str, hooks: Hooks) -> None:
        """Connect, and declare the tool."""
        self.hooks, self.audio, self.transcript, self.pending = hooks, bytearray(), list[str](), 0
        self.ws = await connect(url, compression=None, max_size=None)
        self.outbox: asyncio.Queue[str] = asyncio.Queue()
        self.tasks = [asyncio.ensure_future(self.read()), asyncio.ensure_future(self.write())]
        await self.ws.send(json.dumps({"type": "session.update", "session": {"type": "realtime", "tools": [TOOL]}}))

    async def write(self) -> None:
        """Write what the reader wants to say."""
        while True:
            await self.ws.send(await self.outbox.get())

    async def read(self) -> None:
        """Read for ever."""
        while True:
            self.feed(json.loads(await self.ws.recv()))

    def feed(self, event: dict[str, str]) -> None:
        """Handle one event."""
        kind = event["type"]
        if kind == "response.output_audio.delta":
            sound = base64.b64decode(event["delta"])
            self.audio += sound
            self.hooks.audio(len(sound), event["event_id"])
        elif kind == "response.output_audio_transcript.delta":
            self.transcript.append(event["delta"])
            self.hooks.text(event["delta"])
        elif kind == "response.function_call_arguments.done":
            self.pending += 1
            output = json.dumps({"ok": json.loads(event["arguments"])["days"]})
            item = {"type": "function_call_output", "call_id": event["call_id"], "output": output}
            self.outbox.put_nowait(json.dumps({"type": "conversation.item.create", "item": item}))
        elif kind == "response.done":
            self.audio = bytearray()
            if self.pending:
                self.pending = 0
                self.outbox.put_nowait('{"type":"response.create"}')
            self.hooks.response_done()
        elif kind == "session.updated":
            self.hooks.session_updated()
        elif kind == "input_audio_buffer.cleared":
            self.hooks.cleared()

    async def create_response(self) -> None:
        """Ask for a response."""
        await self.ws.send('{"type":"response.create"}')

    async def append(self, audio: bytes) -> None:
        """Send the user's audio."""
        sound = base64.b64encode(audio).decode()
        await self.ws.send(json.dumps({"type": "input_audio_buffer.append", "audio": sound}))

    async def clear(self) -> None:
        """Drop the user's audio; the server's answer shows that all of it was read."""
        await self.ws.send('{"type":"input_audio_buffer.clear"}')

    async def close(self) -> None:
        """Close the session."""
        for task in self.tasks:
            task.cancel()
        await self.ws.close()
