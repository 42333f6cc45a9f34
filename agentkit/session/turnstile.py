"""Turnstile: lets one task pass at a time, and costs nothing where nobody waits."""

import anyio


class Turnstile:
    """Lets one pass at a time."""

    def __init__(self) -> None:
        self.taken = False
        self._free: anyio.Event | None = None

    async def __aenter__(self) -> None:
        while self.taken:
            self._free = self._free or anyio.Event()
            await self._free.wait()
        self.taken = True

    async def __aexit__(self, *_: object) -> None:
        self.taken = False
        if self._free is not None:
            self._free.set()
            self._free = None
