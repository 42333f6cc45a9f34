"""The tasks in which tools run: beside the session's task group, so that a tool that cannot be stopped holds up nobody.

Rule: this is the one place where a task has no `async with` around it. Its owner waits for it at the end, for a bounded
time; what goes on after that is named.
"""

import asyncio
import contextvars
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from agentkit.tools.cancellation import is_due

logger = logging.getLogger("agentkit.session")

GRACE_SECONDS = 5.0
"""How long a tool may take to end after it was cancelled."""


class CallTasks:
    """The tasks of one session's calls."""

    def __init__(self) -> None:
        self._running: dict[object, str] = {}
        self._tasks: set[object] = set()
        self._done: anyio.Event | None = None

    def start(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run something in a task of its own; ``run`` must raise nothing but cancellation."""
        key = object()
        self._running[key] = name
        if _on_asyncio():
            task = asyncio.get_running_loop().create_task(self._run(key, run), name=name)
            self._tasks.add(task)  # the loop itself holds it weakly
            task.add_done_callback(self._tasks.discard)
        else:
            import trio

            trio.lowlevel.spawn_system_task(self._run, key, run, name=name, context=contextvars.copy_context())

    async def _run(self, key: object, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await run()
        except BaseException as exc:  # isolation boundary: nobody waits for this task, and trio dies of its errors
            if isinstance(exc, anyio.get_cancelled_exc_class()) and is_due():
                raise
            logger.error("a tool's task failed", exc_info=exc)
        finally:
            del self._running[key]
            if not self._running and self._done is not None:
                self._done.set()

    async def wait(self, seconds: float = GRACE_SECONDS) -> list[str]:
        """Wait until all have ended, for a while; return the names of those that have not."""
        if self._running:
            self._done = anyio.Event()
            with anyio.move_on_after(seconds):
                await self._done.wait()
        return list(self._running.values())


def _on_asyncio() -> bool:
    loaded = sys.modules.get("asyncio.events")
    return loaded is not None and loaded._get_running_loop() is not None
