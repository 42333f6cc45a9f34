"""The core's timers: one task for all of them."""

import heapq
from collections.abc import Awaitable, Callable

import anyio

from agentkit.session.clock import clock


class Timers:
    """Named moments in the future; a name that is no longer of interest is ignored by who set it."""

    def __init__(self, fire: Callable[[str], Awaitable[None]]) -> None:
        self._fire = fire
        self._heap: list[tuple[float, int, str]] = []
        self._count = 0
        self._wake = anyio.Event()
        self._now = clock()

    def start(self, name: str, seconds: float) -> None:
        """Fire a name after some seconds."""
        self._count += 1
        entry = (self._now() + seconds, self._count, name)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._wake.set()

    async def run(self) -> None:
        """Fire what is due, until cancelled."""
        while True:
            self._wake = anyio.Event()
            if not self._heap:
                await self._wake.wait()
                continue
            due = self._heap[0][0]
            with anyio.CancelScope(deadline=due):
                await self._wake.wait()
                continue
            while self._heap and self._heap[0][0] <= due:
                await self._fire(heapq.heappop(self._heap)[2])
