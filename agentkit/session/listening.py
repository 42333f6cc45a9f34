"""Listening to a session: subscriptions, and waiting for one event."""

from collections.abc import Callable
from typing import Any, TypeVar, overload

import anyio

from agentkit.events import Event, Notice
from agentkit.session.engine import Engine
from agentkit.session.fanout import Subscription, Waiter

E = TypeVar("E", bound=Event)


class Listening(Engine):
    """What a session offers to who listens."""

    @overload
    def subscribe(self) -> Subscription[Event]: ...
    @overload
    def subscribe(self, *classes: type[E]) -> Subscription[E]: ...
    def subscribe(self, *classes: type[Event]) -> Subscription[Any]:
        """Listen to events of these classes, or to all, from now on.

        Returns:
            An async iterator that ends with the session; a context manager that stops listening.
        """
        return self._listen(Subscription(self._fanout, classes or (Event,)))

    def listen_to_wire(self, *classes: type[Event], audio_size: Callable[[Any], int]) -> Subscription[Any]:
        """Listen as ``subscribe`` does, in a queue that takes frames of a wire tap as well.

        Args:
            classes: Which events.
            audio_size: Tells how much audio something holds, and so that it may be dropped; 0 for what may not be.
        """
        return self._listen(Subscription(self._fanout, classes, audio_size))

    def _listen(self, subscription: Subscription[Any]) -> Subscription[Any]:
        self._listener_added()
        return subscription

    def _listener_added(self) -> None:
        self.listeners_changed()
        if self._early_notices and self._fanout.wanted(Notice):
            early, self._early_notices = self._early_notices, []
            for notice in early:
                self.start_soon(self._emit, notice)

    def __aiter__(self) -> Subscription[Event]:
        return self.subscribe()

    async def wait_for(
        self, event_class: type[E], where: Callable[[E], bool] | None = None, *, timeout: float | None = None
    ) -> E:
        """Wait for the next event of a class.

        Args:
            event_class: The class; subclasses count.
            where: Which of them; None takes the first.
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: It did not come in time.
            SessionClosedError: The session ended first; ``ConnectionLostError`` where its connection was lost.
        """
        waiter = Waiter(event_class, where, self._closed_error())
        self._fanout.add(waiter)
        self._listener_added()
        try:
            with anyio.fail_after(timeout):
                return await waiter.wait()
        finally:
            self._fanout.remove(waiter)

    async def wait_closed(self) -> None:
        """Wait until the session has ended, for whatever reason."""
        await self._finished.wait()
