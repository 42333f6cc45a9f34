"""One way through the layers: events pass one at a time, in the order in which they were handed in.

Rule: where no layer handles an event's class and nothing is on its way, there is no wait, task or queue at all.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

import anyio

from agentkit.errors import AgentkitError, LocalProtocolError
from agentkit.events import Event

E = TypeVar("E", bound=Event)
MAX_WAITING = 1000
"""Events that layers may add while one is on its way: a layer that answers each event by another never ends."""

_inside: ContextVar[bool] = ContextVar("agentkit_inside_a_layer", default=False)


class _Entry:
    """An event that waits for its turn, and who waits for it."""

    __slots__ = ("done", "error", "event")

    def __init__(self, event: Event, done: anyio.Event | None) -> None:
        self.event = event
        self.done = done
        self.error: AgentkitError | None = None


class Lane(Generic[E]):
    """The way of one direction."""

    def __init__(
        self,
        through: Callable[[E], Awaitable[None]],
        start_soon: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
        failed: Callable[[E, AgentkitError], None],
    ) -> None:
        """Make a lane.

        Args:
            through: Takes an event through the layers and out at the other end.
            start_soon: Starts a task.
            failed: Told of an error of an event that nobody waits for.
        """
        self._through = through
        self._start_soon = start_soon
        self._failed = failed
        self._queue: deque[_Entry] = deque()
        self._closed: AgentkitError | None = None
        self.busy = False

    async def send(self, event: E) -> None:
        """Take an event through, after those before it.

        Called by a layer, it returns at once and the event goes after the current one: a layer that waited for a lane
        could wait for itself.

        Raises:
            LocalProtocolError: A layer adds events without end.
            SessionClosedError: Nothing passes any more; ``ConnectionLostError`` where the connection was lost.
        """
        if self._closed is not None:
            raise self._closed.with_traceback(None)
        if _inside.get():
            self.post(event)
        elif not self.busy:
            await self.send_now(event, self._through)
        else:
            entry = _Entry(event, anyio.Event())
            self._queue.append(entry)
            assert entry.done is not None
            await entry.done.wait()
            if entry.error is not None:
                raise entry.error.with_traceback(None)

    async def send_now(self, event: E, through: Callable[[E], Awaitable[None]]) -> None:
        """Take an event through, by the way that the caller knows; only where the lane is not busy."""
        self.busy = True
        token = _inside.set(True)
        try:
            await through(event)
        finally:
            _inside.reset(token)
            self._next()

    def post(self, event: E) -> None:
        """Hand an event in without waiting for it.

        Raises:
            LocalProtocolError: A layer adds events without end.
        """
        if len(self._queue) >= MAX_WAITING:
            raise LocalProtocolError(
                f"{MAX_WAITING} events wait for the layers; does a layer answer each event by another one?"
            )
        self._queue.append(_Entry(event, None))
        if not self.busy:
            self.busy = True
            self._next()

    def holds(self, event: Event) -> bool:
        """Tell whether an event waits for its turn; it will pass, whatever became of who handed it in."""
        return any(entry.event is event for entry in self._queue)

    def _next(self) -> None:
        if self._queue and self._closed is None:
            self._start_soon(self._drain)
        else:
            self.busy = False

    def close(self, error: AgentkitError) -> None:
        """Nothing passes any more: everybody who waits is told."""
        self._closed = error
        while self._queue:
            entry = self._queue.popleft()
            entry.error = error
            if entry.done is not None:
                entry.done.set()

    async def _drain(self) -> None:
        _inside.set(True)  # this task has no other work
        while self._queue:
            entry = self._queue.popleft()
            try:
                await self._through(entry.event)  # type: ignore[arg-type]  # entries hold what was handed in as E
            except AgentkitError as exc:
                entry.error = exc
                if entry.done is None:
                    self._failed(entry.event, exc)  # type: ignore[arg-type]  # as above
            finally:
                if entry.done is not None:
                    entry.done.set()
        self.busy = False


def is_inside() -> bool:
    """Tell whether a layer is running in this task, which must then not wait for a lane."""
    return _inside.get()


def outside() -> None:
    """Forget, in a task that a layer started, that a layer started it."""
    _inside.set(False)
