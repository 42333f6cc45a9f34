"""A handler that waits: how long it does so itself, and its end where that is too long.

Rule: a handler that never waits pays for nothing here. Time that an event spends beyond a layer is not the layer's.
"""

import math
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task, TimerHandle

GRACE = 1.0
"""Seconds after which a handler that goes on waiting, though it was told to stop, is told again."""


def running_loop() -> "AbstractEventLoop | None":
    """Return asyncio's event loop, where that is what runs."""
    asyncio = sys.modules.get("asyncio")  # costs 30 ms to import, and is imported where it runs
    if asyncio is None:
        return None
    try:
        loop: AbstractEventLoop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop


class Limit:
    """What ends a handler that waits for too long, by a scope around it."""

    __slots__ = ("_now", "_scope")

    def __init__(self, scope: anyio.CancelScope, now: Callable[[], float]) -> None:
        self._scope = scope
        self._now = now

    def begin(self, seconds: float) -> None:
        """End the handler after some seconds, unless it is stopped before."""
        self._scope.deadline = self._now() + seconds

    def stop(self) -> None:
        """Let the handler be."""
        self._scope.deadline = math.inf

    @property
    def struck(self) -> bool:
        """Whether it has ended the handler."""
        return self._scope.cancel_called

    def undo(self) -> None:
        """Take back what has not been used of it; the scope does that itself."""


class NativeLimit(Limit):
    """The same by asyncio's own cancellation of the task.

    A scope has to be around the handler before it begins, and costs 4 us; this one begins where a handler waits.
    """

    __slots__ = ("_cancels", "_loop", "_task", "_timer")

    def __init__(self, loop: "AbstractEventLoop") -> None:
        self._loop = loop
        self._task: Task[Any] | None = sys.modules["asyncio"].current_task(loop)
        self._timer: TimerHandle | None = None
        self._cancels = 0

    def begin(self, seconds: float) -> None:
        """End the handler after some seconds, unless it is stopped before."""
        if seconds < math.inf:
            self._timer = self._loop.call_later(seconds, self._strike)

    def stop(self) -> None:
        """Let the handler be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def struck(self) -> bool:
        """Whether it has ended the handler."""
        return self._cancels > 0

    def undo(self) -> None:
        """Take back the cancellations of the task, so that one of its surroundings' is told from them."""
        assert self._task is not None
        for _ in range(self._cancels):
            self._task.uncancel()

    def _strike(self) -> None:
        assert self._task is not None
        self._cancels += 1
        self._task.cancel()


class Waiting:
    """What is left of a handler's run from its first wait on; awaited to its end.

    It stands between the handler and the event loop and so sees each wait begin and end. Where a wait is beyond the
    layer, in ``call_next``, the layer is not to blame.
    """

    __slots__ = ("_began", "_beyond", "_left", "_limit", "_now", "_rest", "_value", "_waits", "seconds")

    def __init__(
        self,
        rest: Generator[Any, Any, None],
        value: object,
        *,
        timeout: float,
        limit: Limit,
        now: Callable[[], float],
        beyond: bool,
    ) -> None:
        """Take over a handler.

        Args:
            rest: The handler's run, which has just begun to wait.
            value: What it has given the event loop.
            timeout: Seconds that it may wait in all.
            limit: What ends it then.
            now: The clock.
            beyond: Whether its event is beyond the layer at this moment.
        """
        self._rest = rest
        self._value = value
        self._left = timeout
        self._limit = limit
        self._now = now
        self._beyond = beyond
        self._waits = False
        self._began: float | None = None
        """Since when the layer is to blame for a wait."""
        self.seconds = 0.0
        """How long it has waited."""

    @property
    def struck(self) -> bool:
        """Whether it has waited for too long, and was told to stop."""
        return self._limit.struck

    def undo(self) -> None:
        """Leave nothing in the task of what has ended the handler."""
        self._limit.undo()

    def __await__(self) -> Generator[Any, Any, None]:
        rest, value = self._rest, self._value
        try:
            while True:
                self._waits = True
                self._begin()
                try:
                    sent = yield value
                except BaseException as exc:  # noqa: BLE001  # whatever it is, it is the handler's to take
                    self._ran_on()
                    value = rest.throw(exc)
                else:
                    self._ran_on()
                    value = rest.send(sent)
        except StopIteration:
            return

    def goes_beyond(self) -> None:
        """Stop the clock: the event has left the layer."""
        self._end()
        self._beyond = True

    def is_back(self) -> None:
        """Let the clock run again: what was beyond the layer is done."""
        self._beyond = False
        if self._waits:
            self._begin()

    def _ran_on(self) -> None:
        self._waits = False
        self._end()

    def _begin(self) -> None:
        if not self._beyond:
            self._began = self._now()
            self._limit.begin(GRACE if self._limit.struck else max(self._left, 0.0))

    def _end(self) -> None:
        if self._began is not None:
            self._limit.stop()
            took = self._now() - self._began
            self._began = None
            self.seconds += took
            self._left -= took
