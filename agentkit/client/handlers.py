"""Handlers of named events, as the reference client has them: ``on``, ``on_next``, ``wait_for_next``.

Rule: handlers run in order, one event after the other, and the fault of one stops neither the next one nor the reader.
A handler that waits for a later event by ``wait_for_next`` does not hold that event up.
"""

import difflib
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, TypeVar, overload

import anyio
from anyio.lowlevel import checkpoint

from agentkit.errors import AgentkitError, LocalProtocolError, SessionClosedError
from agentkit.tools.cancellation import is_due, native_cancels

Handler: TypeAlias = Callable[..., object]
"""Takes the event's payload, or nothing; sync or async."""
H = TypeVar("H", bound=Handler)

waiting: ContextVar[Callable[[], None] | None] = ContextVar("waiting", default=None)
"""In a handler: lets the events after this one go on, because the handler is about to wait for one of them."""


class _Waiter:
    """One caller of ``wait_for_next``."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        """Which connection there was when it began to wait."""
        self.done = anyio.Event()
        self.event: Any = None
        self.error: BaseException | None = None


class EventHandlers:
    """Handlers by the name of what they handle; ``*`` and ``?`` in a name stand for anything, as in ``server.*``."""

    names: tuple[str, ...] = ()
    """Names of the events that there are, ``*`` standing for anything; where there are none, any may be."""

    def __init__(self) -> None:
        self._handlers: list[tuple[str, Handler]] = []
        self._next: list[tuple[str, Handler]] = []
        self._waiters: list[tuple[str, _Waiter]] = []
        self._generation = 0
        self._closed: AgentkitError | None = None
        """Why nothing will come, once the connection is gone and until there is another."""

    @overload
    def on(self, name: str) -> Callable[[H], H]: ...
    @overload
    def on(self, name: str, handler: H) -> H: ...
    def on(self, name: str, handler: Any = None) -> Any:
        """Call a handler for every event of this name; also a decorator.

        Args:
            name: The event's name; ``*`` and ``?`` stand for anything.
            handler: Takes the payload, or nothing; sync or async.

        Returns:
            The handler, for ``off``.

        Raises:
            TypeError: It cannot be called.
            ValueError: There is no such event.

        Example:
            >>> handlers = EventHandlers()
            >>> @handlers.on("conversation.updated")
            ... async def updated(event):
            ...     print(event.item.formatted.text)
        """
        return self._add(self._handlers, name, handler)

    @overload
    def on_next(self, name: str) -> Callable[[H], H]: ...
    @overload
    def on_next(self, name: str, handler: H) -> H: ...
    def on_next(self, name: str, handler: Any = None) -> Any:
        """Call a handler for the next event of this name only; also a decorator.

        Raises:
            TypeError: It cannot be called.

        Example:
            >>> handlers = EventHandlers()
            >>> first = handlers.on_next("conversation.item.completed", print)
        """
        return self._add(self._next, name, handler)

    def _check(self, name: str) -> None:
        """Check that there are events of this name.

        Raises:
            ValueError: There are none, so a handler would never be called.
        """
        pattern = "*" in name or "?" in name
        if not self.names or any(_fits(name, (known,)) or (pattern and "*" in known) for known in self.names):
            return
        if any(_fits(known, (name,)) for known in self.names):
            return
        near = difflib.get_close_matches(name, self.names, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(self.names)}"
        raise ValueError(f"there is no event {name!r}; {hint}")

    def _add(self, handlers: list[tuple[str, Handler]], name: str, handler: Any) -> Any:
        if handler is None:
            return lambda function: self._add(handlers, name, function)
        self._check(name)
        if not callable(handler):
            raise TypeError(f"a handler of {name!r} has to be callable, not {type(handler).__name__}")
        handlers.append((name, handler))
        return handler

    def off(self, name: str, handler: Handler | None = None) -> None:
        """Stop calling a handler, or all handlers of this name.

        Raises:
            LocalProtocolError: The handler is none of this name's.

        Example:
            >>> handlers = EventHandlers()
            >>> handlers.off("error", handlers.on("error", print))
        """
        self._remove(self._handlers, name, handler)

    def off_next(self, name: str, handler: Handler | None = None) -> None:
        """Stop a handler, or all handlers, from being called for the next event of this name.

        Raises:
            LocalProtocolError: The handler is none of this name's.

        Example:
            >>> handlers = EventHandlers()
            >>> handlers.off_next("error", handlers.on_next("error", print))
        """
        self._remove(self._next, name, handler)

    def _remove(self, handlers: list[tuple[str, Handler]], name: str, handler: Handler | None) -> None:
        if handler is None:
            handlers[:] = [entry for entry in handlers if entry[0] != name]
        elif (name, handler) in handlers:
            handlers.remove((name, handler))
        else:
            raise LocalProtocolError(f"this handler does not listen to {name!r}, so it cannot be turned off")

    def clear_event_handlers(self) -> None:
        """Stop calling every handler.

        Example:
            >>> EventHandlers().clear_event_handlers()
        """
        self._handlers.clear()
        self._next.clear()

    async def wait_for_next(self, name: str, timeout: float | None = None) -> Any:
        """Wait for the next event of this name, and return its payload.

        Args:
            name: The event's name; ``*`` and ``?`` stand for anything.
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: It did not come in time.
            SessionClosedError: The connection was closed, or is closed already; ``ConnectionLostError`` where it was
                lost. Before the first connection it is waited for.

        Example:
            >>> async def completed(client):
            ...     return await client.wait_for_next("conversation.item.completed", timeout=10)
        """
        self._check(name)
        if self._closed is not None:
            raise self._closed.with_traceback(None)
        waiter = _Waiter(self._generation)
        entry = (name, waiter)
        self._waiters.append(entry)
        let_go = waiting.get()
        if let_go is not None:
            let_go()
        try:
            with anyio.fail_after(timeout):
                await waiter.done.wait()
        except TimeoutError:
            raise TimeoutError(f"{name} did not come within {timeout:g} s") from None
        finally:
            if entry in self._waiters:
                self._waiters.remove(entry)
        if waiter.error is not None:
            raise waiter.error
        return waiter.event

    def listened(self, *names: str) -> bool:
        """Tell whether anybody wants events of one of these names."""
        lists: tuple[list[tuple[str, Any]], ...] = (self._handlers, self._next, self._waiters)
        return any(_fits(pattern, names) for entries in lists for pattern, _ in entries)

    async def dispatch(self, *names: str, payload: Callable[[], Any]) -> list[BaseException]:
        """Hand an event to whoever listens: handlers in order, then those for the next event, then who waits.

        Args:
            names: The event's name, and other names for the same.
            payload: Makes the payload, anew for each.

        Returns:
            What handlers raised.
        """
        due = [handler for pattern, handler in self._handlers if _fits(pattern, names)]
        due += [handler for pattern, handler in self._next if _fits(pattern, names)]
        self._next = [entry for entry in self._next if not _fits(entry[0], names)]
        served = [waiter for pattern, waiter in self._waiters if _fits(pattern, names) and not waiter.done.is_set()]
        for waiter in served:
            waiter.event = payload()
            waiter.done.set()
        faults: list[BaseException] = []
        cancels = native_cancels()
        for handler in due:
            try:
                result = handler(payload()) if _takes_payload(handler) else handler()
                if isinstance(result, Awaitable):
                    await result
            # Isolation boundary: a listener's fault is its own, also the cancellation of something that it awaits.
            except (Exception, anyio.get_cancelled_exc_class()) as exc:
                if not isinstance(exc, Exception) and is_due(cancels):
                    raise
                faults.append(exc)
        if served:  # who waits in a loop misses nothing: in two rounds of the event loop it waits again
            await checkpoint()
            await checkpoint()
        return faults

    def begin_waiting(self) -> int:
        """A connection begins; return its number."""
        self._closed = None
        self._generation += 1
        return self._generation

    def end_waiting(self, error: AgentkitError | None, generation: int) -> None:
        """Let everybody go on who waits since that connection, or longer: nothing more will come of it."""
        closed = error or SessionClosedError("the client was disconnected")
        if generation == self._generation:
            self._closed = closed
        for entry in [entry for entry in self._waiters if entry[1].generation <= generation]:
            self._waiters.remove(entry)
            entry[1].error = closed
            entry[1].done.set()


def _takes_payload(handler: Handler) -> bool:
    """Tell whether a handler takes the payload; one that takes nothing is called without."""
    try:
        return bool(inspect.signature(handler).parameters)
    except (TypeError, ValueError):  # some built-in functions have no signature
        return True


def _fits(pattern: str, names: tuple[str, ...]) -> bool:
    if pattern in names:
        return True
    return ("*" in pattern or "?" in pattern) and any(fnmatchcase(name, pattern) for name in names)
