"""One peer in a process of its own: takes one piece of work a line on stdin, answers with what it cost."""

import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Protocol

from tests.benchmarks.hooks import Hooks

FRAME = bytes(range(256)) * 3 + bytes(192)
"""20 ms of pcm16 at 24 kHz."""
BURST = 300
WAIT_SECONDS = 30


class Peer(Protocol):
    """One session of a peer."""

    async def connect(self, url: str, hooks: Hooks) -> None:
        """Open the session, with one tool."""

    async def create_response(self) -> None:
        """Ask for a response."""

    async def append(self, audio: bytes) -> None:
        """Send the user's audio."""

    async def clear(self) -> None:
        """Drop the user's audio; the server's answer shows that all of it was read."""

    async def close(self) -> None:
        """Close the session."""


class Worker:
    """Does one peer's work."""

    def __init__(self, name: str, url: str) -> None:
        self._url = url
        self._make = _maker(name)
        self.works: dict[str, Callable[..., Coroutine[None, None, dict[str, float]]]] = {
            "turn": self.turn,
            "append": self.append,
            "memory": self.memory,
        }

    async def _open(self, spec: str) -> tuple[Peer, Hooks]:
        peer, hooks = self._make(), Hooks()
        await peer.connect(f"{self._url}/{spec}", hooks)
        await asyncio.wait_for(hooks.ready.wait(), WAIT_SECONDS)
        return peer, hooks

    async def turn(self, spec: str, responses: int, repeat: int = 1) -> dict[str, float]:
        """Ask for a response, and take all that comes for it."""
        spent, audio, texts = 0.0, 0, 0
        for _ in range(repeat):
            peer, hooks = await self._open(spec)
            hooks.target = responses
            gc.collect()
            before = time.process_time()
            await peer.create_response()
            await asyncio.wait_for(hooks.done.wait(), WAIT_SECONDS)
            spent += time.process_time() - before
            await peer.close()
            audio += hooks.audio_bytes
            texts += hooks.texts
        return {"cpu": spent, "audio_bytes": audio, "texts": texts}

    async def append(self, bursts: int) -> dict[str, float]:
        """Send the user's audio, in bursts that the socket's buffers hold: nothing is paid for a server that lags."""
        peer, hooks = await self._open("")
        gc.collect()
        before = time.process_time()
        for _ in range(bursts):
            hooks.acknowledged.clear()
            for _ in range(BURST):
                await peer.append(FRAME)
            await peer.clear()
            await asyncio.wait_for(hooks.acknowledged.wait(), WAIT_SECONDS)
        spent = time.process_time() - before
        await peer.close()
        return {"cpu": spent, "frames": bursts * BURST}

    async def memory(self, sessions: int) -> dict[str, float]:
        """Hold idle sessions open, close them, and see what is left."""
        await self._hold(3)
        objects, tasks, threads = _ours(), len(asyncio.all_tasks()), threading.active_count()
        resident = await self._hold(sessions)
        await asyncio.sleep(0.1)
        left = _ours() - objects
        return {
            "bytes": resident / sessions,
            "objects": sum(left.values()),
            "tasks": len(asyncio.all_tasks()) - tasks,
            "threads": threading.active_count() - threads,
        }

    async def _hold(self, sessions: int) -> int:
        gc.collect()
        before = _resident()
        peers = [(await self._open(""))[0] for _ in range(sessions)]
        gc.collect()
        held = _resident() - before
        for peer in peers:
            await peer.close()
        return held


def _maker(name: str) -> Callable[[], Peer]:
    # Each peer pays for its own imports alone.
    if name == "agentkit":
        from tests.benchmarks.ours import AgentkitPeer

        return AgentkitPeer
    if name == "client":
        from tests.benchmarks.client import ClientPeer

        return ClientPeer
    from tests.benchmarks.handwritten import HandwrittenPeer

    return HandwrittenPeer


def _ours() -> Counter[str]:
    """Count live objects of agentkit's classes."""
    gc.collect()
    kinds = (type(thing) for thing in gc.get_objects())
    return Counter(kind.__qualname__ for kind in kinds if kind.__module__.startswith("agentkit"))


def _resident() -> int:
    """Bytes of memory that this process takes."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def main() -> None:
    """Work until stdin ends."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    worker = Worker(sys.argv[1], sys.argv[2])
    for line in sys.stdin:
        order = json.loads(line)
        answer = asyncio.run(worker.works[order.pop("work")](**order))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
