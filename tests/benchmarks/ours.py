"""agentkit as the benchmark measures it: state kept, and one layer in the way of every delta, as in a real program."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import agentkit
from agentkit import Compatible, Middleware, Next, Session, SessionLimits, on
from agentkit.events import (
    InputAudioBufferCleared,
    ResponseCreate,
    ResponseDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioTranscriptDelta,
)
from agentkit.protocol import Limits

if TYPE_CHECKING:  # driver.py gives another harness's hooks, which are alike
    from tests.benchmarks.hooks import Hooks

LIMITS = SessionLimits(core=Limits(tool_calls_per_turn=None))
"""The benchmark calls tools hundreds of times in one turn."""


class Deliver(Middleware):
    """Hand to the hooks what the user gets."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    @on(ResponseOutputAudioDelta)
    async def audio(self, event: ResponseOutputAudioDelta, call_next: Next[ResponseOutputAudioDelta]) -> None:
        """Count audio."""
        self._hooks.audio(len(event.audio or b""), event.event_id)
        await call_next(event)

    @on(ResponseOutputAudioTranscriptDelta)
    async def text(
        self, event: ResponseOutputAudioTranscriptDelta, call_next: Next[ResponseOutputAudioTranscriptDelta]
    ) -> None:
        """Count text."""
        self._hooks.text(event.delta)
        await call_next(event)

    @on(ResponseDone)
    async def done(self, event: ResponseDone, call_next: Next[ResponseDone]) -> None:
        """Count responses."""
        self._hooks.response_done()
        await call_next(event)

    @on(InputAudioBufferCleared)
    async def cleared(self, event: InputAudioBufferCleared, call_next: Next[InputAudioBufferCleared]) -> None:
        """Tell that all audio was read."""
        self._hooks.cleared()
        await call_next(event)


@agentkit.tool
async def noop(city: str, days: int) -> dict[str, int]:
    """does nothing"""
    return {"ok": days}


class AgentkitPeer:
    """One session, in a task of its own: sessions may be closed in any order."""

    async def connect(self, url: str, hooks: Hooks) -> None:
        """Open the session, with a tool and a layer."""
        self._opened: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        self._closing = asyncio.Event()
        self._task = asyncio.ensure_future(self._hold(url, hooks))
        await asyncio.wait((self._opened, self._task), return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            await self._task
        self.session = self._opened.result()
        self.append = self.session.append_audio
        hooks.session_updated()

    async def _hold(self, url: str, hooks: Hooks) -> None:
        provider, layers = Compatible(url=url), [Deliver(hooks)]
        async with agentkit.open(provider, tools=[noop], middleware=layers, limits=LIMITS) as session:
            self._opened.set_result(session)
            await self._closing.wait()

    async def create_response(self) -> None:
        """Ask for a response."""
        await self.session.send(ResponseCreate())

    async def clear(self) -> None:
        """Drop the user's audio; the server's answer shows that all of it was read."""
        await self.session.clear_audio()

    async def cancel(self) -> None:
        """Stop the response."""
        await self.session.cancel()

    async def close(self) -> None:
        """Close the session."""
        self._closing.set()
        await self._task
