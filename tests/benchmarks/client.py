"""``RealtimeClient`` as the benchmark measures it: handlers that are told of every change of an item."""

from typing import Any

from agentkit import RealtimeClient
from tests.benchmarks.hooks import Hooks
from tests.benchmarks.ours import LIMITS


class ClientPeer:
    """One client, connected."""

    async def connect(self, url: str, hooks: Hooks) -> None:
        """Connect, and listen to every change."""
        self._client = RealtimeClient(url, limits=LIMITS)

        @self._client.on("conversation.updated")
        def updated(event: Any) -> None:
            delta = event.delta
            if delta is None:
                return
            if delta.audio is not None:
                hooks.audio(2 * len(delta.audio))
            if delta.transcript is not None:
                hooks.text(delta.transcript)

        self._client.realtime.on("server.response.done", lambda event: hooks.response_done())
        self._client.realtime.on("server.input_audio_buffer.cleared", lambda event: hooks.cleared())
        await self._client.connect()
        self.append = self._client.session.append_audio
        hooks.session_updated()

    async def create_response(self) -> None:
        """Ask for a response."""
        await self._client.create_response()

    async def clear(self) -> None:
        """Drop the user's audio."""
        await self._client.session.clear_audio()

    async def close(self) -> None:
        """Disconnect."""
        await self._client.disconnect()
