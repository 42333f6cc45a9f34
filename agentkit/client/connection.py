"""One connection of a client: the session behind it, and the task that tells the handlers.

Rule: a client is no context manager of its caller's, so the session lives in a task of the event loop's own, which ends
with ``disconnect``, with the connection, or with the event loop.
"""

import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import anyio
import anyio.abc

from agentkit.client.handlers import waiting
from agentkit.client.telling import Frame, Teller
from agentkit.errors import AgentkitError, ServerError, SessionClosedError, SlowConsumerError
from agentkit.events import (
    AppEvent,
    ConversationUpdated,
    ErrorOccurred,
    Event,
    Interrupted,
    ItemAppended,
    ItemCompleted,
    Notice,
    SessionEnded,
    ToolFinished,
)
from agentkit.middleware import Middleware
from agentkit.middleware.base import Direction
from agentkit.session import Session, Subscription
from agentkit.session.fanout import audio_size_of

logger = logging.getLogger("agentkit.client")

CLOSE_SECONDS = 5.0
"""How long handlers may take over what has come before a disconnect; then they are cancelled."""
TOLD = (
    AppEvent,
    ConversationUpdated,
    ItemAppended,
    ItemCompleted,
    Interrupted,
    ToolFinished,
    Notice,
    ErrorOccurred,
    SessionEnded,
)


class Tap(Middleware):
    """Puts what the handlers are told into one queue, frames and session events in their order."""

    def __init__(self, wanted: Callable[[Direction, str], bool]) -> None:
        self._wanted = wanted
        self.queue: Subscription[Event] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen from before the connection is there, until after it is gone."""
        session = self.session
        assert isinstance(session, Session)
        self.listen(session)
        yield

    def listen(self, session: Session) -> Subscription[Event]:
        """Begin to listen, with an empty queue."""
        self.queue = session.listen_to_wire(*TOLD, audio_size=_audio_size)
        return self.queue

    def on_wire(self, direction: Direction, raw: bytes, event: Event) -> None:
        """Take a frame, where anybody wants it."""
        if self.queue is not None and self._wanted(direction, event.wire_type):
            self.queue.push(Frame(direction, raw, event.wire_type))


def _audio_size(event: object) -> int:
    if isinstance(event, Frame):
        return len(event.raw) if event.holds_audio else 0
    return audio_size_of(event)


class Connection:
    """The session of a client while it is connected."""

    def __init__(self, opened: Callable[[Tap], AbstractAsyncContextManager[Session]], teller: Teller) -> None:
        """Make it; ``open`` connects.

        Args:
            opened: Opens the session with the tap as its outermost layer.
            teller: Tells the handlers.
        """
        self._opened = opened
        self._teller = teller
        self._tap = Tap(teller.wants)
        self.session: Session | None = None
        self._ready = anyio.Event()
        self._stop = anyio.Event()
        self._over = anyio.Event()
        self._error: BaseException | None = None
        self._tasks: anyio.abc.TaskGroup | None = None
        self._telling = 0
        """Tasks that tell handlers."""
        self._told = anyio.Event()
        self._told_or_stopped = anyio.Event()
        self._end_told = False
        self._generation = teller.begin()
        self._number = 0
        """Counts events, so that a task knows whether another one goes on with the next."""

    async def open(self) -> Session:
        """Connect, and wait until the session is ready.

        Raises:
            TransportError: It could not be opened.
            ServerError: The server refused the settings.
            RemoteProtocolError: The server did not answer as a Realtime server does.
            SessionClosedError: It was closed meanwhile.
        """
        start_in_background(self._hold)
        try:
            await self._ready.wait()
        except BaseException:
            self._abort()
            raise
        if self.session is None:
            raise self._error or SessionClosedError("the client was disconnected while it connected")
        return self.session

    def _abort(self) -> None:
        """Disconnect, or give up connecting."""
        self._stop.set()
        self._told_or_stopped.set()
        if self.session is None and self._tasks is not None:
            self._tasks.cancel_scope.cancel()

    async def close(self) -> None:
        """Disconnect, and wait until the handlers were told, but not in one of them."""
        self._abort()
        let_go = waiting.get()
        if let_go is not None:
            let_go()
            if self.session is not None:
                await self.session.wait_closed()
            return
        await self._over.wait()

    async def _hold(self) -> None:
        waiting.set(None)
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                if self._stop.is_set():
                    return
                async with self._opened(self._tap) as session:
                    self.session = session
                    self._ready.set()
                    tasks.start_soon(self._dispatch)
                    async with anyio.create_task_group() as watch:
                        watch.start_soon(self._stopped, watch.cancel_scope)
                        await session.wait_closed()
                        watch.cancel_scope.cancel()
                await self._finish_telling()
                tasks.cancel_scope.cancel()
        except Exception as exc:  # raised to who opens it
            self._error = exc.exceptions[0] if isinstance(exc, ExceptionGroup) else exc
            if self.session is not None:
                logger.error("the session of a client failed", exc_info=self._error)
            await self._tell_rest()
        finally:
            ended = self.session.ended if self.session is not None else None
            error = ended.error if ended is not None else None
            self._teller.end(error if isinstance(error, AgentkitError) else None, self._generation)
            self._ready.set()
            self._over.set()

    async def _finish_telling(self) -> None:
        """Wait for the handlers: for as long as they take, but not for long once the program has disconnected."""
        await self._told_or_stopped.wait()
        with anyio.move_on_after(CLOSE_SECONDS):
            await self._told.wait()

    async def _tell_rest(self) -> None:
        """Tell the handlers what came of a connection that did not last until they could be told."""
        if self.session is None and self._tap.queue is not None:
            with anyio.move_on_after(CLOSE_SECONDS):
                try:
                    async for event in self._tap.queue:
                        if not isinstance(event, SessionEnded):  # there was no session
                            await self._teller.tell(event)
                except AgentkitError:
                    pass  # told by `_error`

    async def _stopped(self, scope: anyio.CancelScope) -> None:
        await self._stop.wait()
        scope.cancel()

    # Telling the handlers

    async def _dispatch(self) -> None:
        """Tell the handlers, one event after the other, until another task goes on with that."""
        self._telling += 1
        try:
            await self._tell_in_order()
        finally:
            self._telling -= 1
            if self._end_told and not self._telling:
                self._told.set()
                self._told_or_stopped.set()

    async def _tell_in_order(self) -> None:
        queue, session = self._tap.queue, self.session
        assert queue is not None
        assert session is not None
        while True:
            try:
                event = await anext(queue)
            except SlowConsumerError as exc:
                queue = self._tap.listen(session)
                event = ErrorOccurred(error=ServerError(str(exc), code="slow_handlers"))
            except (StopAsyncIteration, AgentkitError):
                if self._end_told or session.ended is None:
                    self._end_told = True
                    return
                event = session.ended  # it was among the events that nobody took in time
            self._end_told = self._end_told or isinstance(event, SessionEnded)
            self._number += 1
            number = self._number
            waiting.set(partial(self._let_go, number))
            await self._teller.tell(event)
            if number != self._number:
                return

    def _let_go(self, number: int) -> None:
        """Let the events after this one go on: one of its handlers waits for one of them."""
        if number == self._number and self._tasks is not None:
            self._number += 1
            self._tasks.start_soon(self._dispatch)


_background: set[object] = set()
"""Tasks of asyncio's that run: the event loop itself keeps them only weakly."""


def start_in_background(function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a function in a task that nobody waits for: under asyncio a task, under trio a system task."""
    asyncio = sys.modules.get("asyncio")  # imported where it runs; under trio it need not be
    if asyncio is None or anyio.get_cancelled_exc_class() is not asyncio.CancelledError:
        import trio

        trio.lowlevel.spawn_system_task(function)
        return
    task = asyncio.get_running_loop().create_task(function())
    _background.add(task)
    task.add_done_callback(_background.discard)
