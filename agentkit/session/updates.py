"""Who waits for a ``session.update`` to be confirmed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from agentkit.errors import AgentkitError, RemoteProtocolError


class UpdateWaiter:
    """One caller that waits."""

    def __init__(self, ended: Callable[[BaseException | None], None] | None = None) -> None:
        """Wait.

        Args:
            ended: Told of the answer as it comes, before the next event of the server's is looked at.
        """
        self._ended = ended
        self._done = anyio.Event()
        self._error: BaseException | None = None

    def finish(self, error: BaseException | None) -> None:
        """Let the caller go on."""
        if self._ended is not None:
            self._ended(error)
        self._error = error
        self._done.set()

    async def wait(self) -> None:
        """Wait for the answer."""
        await self._done.wait()
        if self._error is not None:
            raise self._error


class Updates:
    """The updates on their way, by event id."""

    def __init__(self) -> None:
        self._waiters: dict[str, UpdateWaiter] = {}

    def expect(self, event_id: str, ended: Callable[[BaseException | None], None] | None = None) -> UpdateWaiter:
        """Wait for the answer to the update with this id; ``ended`` is told of it as it comes."""
        waiter = self._waiters[event_id] = UpdateWaiter(ended)
        return waiter

    def forget(self, event_id: str) -> None:
        """Nobody waits for that answer any more."""
        self._waiters.pop(event_id, None)

    def ended(self, event_id: str, error: BaseException | None) -> None:
        """An update was confirmed, or refused."""
        waiter = self._waiters.pop(event_id, None)
        if waiter is not None:
            waiter.finish(error)

    def fail(self, error: AgentkitError) -> None:
        """The session is over: no update will be answered any more."""
        for event_id in list(self._waiters):
            self.ended(event_id, error)

    @contextmanager
    def patience(self, seconds: float, what: str) -> Iterator[None]:
        """Wait for the server, but not for ever.

        Raises:
            RemoteProtocolError: It took too long.
        """
        with anyio.move_on_after(seconds) as scope:
            yield
        if scope.cancelled_caught:
            raise RemoteProtocolError(
                f"the server sent no {what} within {seconds:g} s; is it a Realtime server, and of this dialect?"
            )
