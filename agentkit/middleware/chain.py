"""The compiled chain: for each event class, the layers that care, linked once.

Rule: no queue, task or plugin call between layers. A class that no layer handles has no chain at all.
"""

import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
from msgspec.structs import replace

from agentkit.errors import MiddlewareError
from agentkit.events import ClientEvent, Event, InputAudioBufferAppend, ResponseOutputAudioDelta
from agentkit.middleware.base import Middleware, Next, NextCall
from agentkit.middleware.calls import around
from agentkit.middleware.faults import as_fault, is_stray, seconds_in_words, subject_name
from agentkit.middleware.waiting import Limit, NativeLimit, Waiting, running_loop
from agentkit.tools import ToolCall

if TYPE_CHECKING:
    import asyncio

FAILURES = 5
"""Failures in a row after which an observer is switched off, and slow events after which it gets no more audio."""
AUDIO = (ResponseOutputAudioDelta, InputAudioBufferAppend)
"""What comes all the time: an observer that is slow on these is spared them."""
SLOW_TOLD = 100
"""Of how many slow events of a layer one is told."""
WATCHED = 100
"""Events for which each layer is measured by itself, after all of them together were slow."""
Report: TypeAlias = Callable[[str, Middleware, Event | ToolCall, Exception | None], None]
"""Told what happened, the layer, the event or call, and the error.

What happens is ``failed``, ``switched off``, ``dropped``, ``slow``, or ``spared`` for one that gets no more events of
the class.
"""
Sink: TypeAlias = Callable[[Any], Awaitable[None]]

logger = logging.getLogger("agentkit.middleware")


class Chain:
    """The layers of one session, in the order of their list; guards have the last word on each way."""

    def __init__(
        self,
        layers: Sequence[Middleware],
        guards: Sequence[Middleware] = (),
        *,
        inbound: Sink,
        outbound: Sink,
        report: Report,
        now: Callable[[], float] | None = None,
    ) -> None:
        """Link the layers.

        Args:
            layers: First is nearest the application.
            guards: Nearest the application for what comes in, nearest the wire for what goes out, nearest the body for
                tool calls.
            inbound: Takes a server or session event that passed every layer.
            outbound: Takes a client event that passed every layer.
            report: Told of failures, drops and slowness.
            now: The clock; the event loop's where none is given.

        Raises:
            TypeError: A layer has no hook that could ever fire, or no time to do anything.
        """
        for layer in (*layers, *guards):
            if not layer.hooks():
                raise TypeError(
                    f"middleware {layer.name} has no hook that can fire: "
                    "give it an @on(...) method, wrap_tool_call, on_wire or running"
                )
            for name in ("event_budget", "event_timeout"):
                seconds = getattr(layer, name)
                if not seconds > 0:
                    raise TypeError(f"{name} of middleware {layer.name} is {seconds}, and must be above 0 seconds")
        self._layers = [Health(layer, report) for layer in layers]
        self._guards = [Health(layer, report) for layer in guards]
        self._inbound = inbound
        self._outbound = outbound
        self._now = now
        self._compiled: dict[type[Event], Next[Any] | None] = {}

    @property
    def layers(self) -> list[Middleware]:
        """Every layer, guards last."""
        return [state.layer for state in (*self._layers, *self._guards)]

    def order(self, event_class: type[Event]) -> list[Middleware]:
        """Return the layers that an event of this class passes, in the order in which it passes them."""
        return [state.layer for state, _ in self._links(event_class)]

    def order_of_calls(self) -> list[Middleware]:
        """Return the layers around a tool call, outermost first."""
        return [state.layer for state in self._wrapping()]

    def compiled(self, event_class: type[Event]) -> Next[Any] | None:
        """Return the linked layers for an event class, or None where no layer handles it."""
        try:
            return self._compiled[event_class]
        except KeyError:
            compiled = self._compiled[event_class] = self._link(event_class)
            return compiled

    def _links(self, event_class: type[Event]) -> list[tuple["Health", Callable[..., Awaitable[None]]]]:
        outbound = issubclass(event_class, ClientEvent)
        ordered = [*(self._layers if outbound else reversed(self._layers)), *self._guards]
        return [(state, handler) for state in ordered if (handler := state.layer.handler(event_class)) is not None]

    def _link(self, event_class: type[Event]) -> Next[Any] | None:
        links = self._links(event_class)
        if not links:
            return None
        loop = running_loop()
        now = self._now or (anyio.current_time if loop is None else loop.time)
        following: Next[Any] = self._outbound if issubclass(event_class, ClientEvent) else self._inbound
        compiled = []
        for state, handler in reversed(links):
            link = _Link(state, handler, following, now=now, loop=loop, spares=issubclass(event_class, AUDIO))
            compiled.append(link)
            following = link.run
        return _Whole(compiled, now).run

    def _wrapping(self) -> list["Health"]:
        return [state for state in (*self._layers, *self._guards) if state.layer.overrides("wrap_tool_call")]

    def around_call(self, body: NextCall) -> NextCall:
        """Return ``body`` with every layer's ``wrap_tool_call`` around it."""
        return around(self._wrapping(), body)

    def around_guards(self, body: NextCall) -> NextCall:
        """Return ``body`` with the ``wrap_tool_call`` of the guards around it, and of every other critical layer.

        For a call that was changed after it had passed the layers: what may not run is asked again.
        """
        guards = [state for state in self._wrapping() if state in self._guards or state.layer.critical]
        return around(guards, body)


class Health:
    """One layer's health."""

    __slots__ = ("failures", "layer", "links", "off", "report", "slow_events")

    def __init__(self, layer: Middleware, report: Report) -> None:
        self.layer = layer
        self.report = report
        self.failures = 0
        self.slow_events = 0
        self.off = False
        self.links: list[_Link] = []

    def failed(self, subject: Event | ToolCall, error: Exception) -> None:
        """Count a failure, and switch an observer off after too many in a row."""
        logger.error("middleware %s failed on %s", self.layer.label, subject_name(subject), exc_info=error)
        self.failures += 1
        self.report("failed", self.layer, subject, error)
        if self.failures >= FAILURES and not self.layer.critical:
            self.off = True
            for link in self.links:
                link.off = True
            self.report("switched off", self.layer, subject, error)

    def slow(self, event: Event, error: TimeoutError) -> None:
        """Count an event that has taken too long, and tell of the first one and of some of the others."""
        logger.debug("middleware %s on %s: %s", self.layer.name, event.wire_type, error)
        self.slow_events += 1
        if self.slow_events % SLOW_TOLD == 1:
            self.report("slow", self.layer, event, error)


class _Whole:
    """All the layers of one event class: where they are slow together, each of them is measured for a while."""

    __slots__ = ("budget", "first", "left", "links", "now")

    def __init__(self, links: Sequence["_Link"], now: Callable[[], float]) -> None:
        self.links = links
        self.first = links[-1].run
        self.now = now
        self.budget = min(link.state.layer.event_budget for link in links)
        self.left = 0

    async def run(self, event: Event) -> None:
        """Take an event through the layers."""
        began = self.now()
        await self.first(event)
        if self.now() - began > self.budget:
            self._time(WATCHED)
        elif self.left:
            self._time(self.left - 1)

    def _time(self, events: int) -> None:
        if bool(events) is not bool(self.left):
            for link in self.links:
                link.timed = events > 0
        self.left = events


class _Link:
    """One layer's handler of one event class, and what comes after it."""

    __slots__ = ("following", "handler", "loop", "now", "off", "slow_in_a_row", "spares", "state", "timed")

    def __init__(
        self,
        state: Health,
        handler: Callable[..., Awaitable[None]],
        following: Next[Any],
        *,
        now: Callable[[], float],
        loop: "asyncio.AbstractEventLoop | None",
        spares: bool,
    ) -> None:
        self.state = state
        self.handler = handler
        self.following = following
        self.now = now
        self.loop = loop
        self.spares = spares and not state.layer.critical
        self.off = state.off
        self.timed = False
        self.slow_in_a_row = 0
        state.links.append(self)

    async def run(self, event: Event) -> None:
        """Take an event through this layer and those after it.

        Raises:
            MiddlewareError: A critical layer failed; the event went no further.
        """
        if self.off:
            await self.following(event)
            return
        state = self.state
        passing = _Passing(self, event)
        began = self.now() if self.timed else None
        try:
            if self.loop is None:
                await self._limited(event, passing)
            else:
                rest = self.handler(event, passing).__await__()
                for value in rest:  # it waits for something
                    await passing.wait(rest, value, NativeLimit(self.loop))
                    break
        except BaseException as caught:  # isolation boundary: one layer's fault must not end the session
            if caught is passing.beyond or not (isinstance(caught, Exception) or is_stray(caught)):
                passing.stop()  # who has sent it was cancelled: nobody counts on it any more
                raise
            exc = passing.hung(caught) or as_fault(caught)
            state.failed(event, exc)
            if passing.beyond is not None:
                raise passing.beyond from None  # not this layer's to hide behind its own fault
            if passing.place:
                return
            if state.layer.critical:
                passing.stop()
                raise MiddlewareError(
                    f"{state.layer.label} failed on {event.wire_type}, which was stopped: {type(exc).__name__}: {exc}",
                    layer=state.layer.name,
                    event_type=event.wire_type,
                ) from exc
            passing.waiting = None
            await passing(event)
        else:
            state.failures = 0
            if not passing.place:
                passing.__class__ = _Kept
            if began is not None:
                self._took(event, self.now() - began - passing.away)
            elif passing.waiting is not None:
                self._took(event, passing.waiting.seconds)

    async def _limited(self, event: Event, passing: "_Passing") -> None:
        """Run the handler in a scope, which has to be there before it waits."""
        with anyio.CancelScope() as scope:
            rest = self.handler(event, passing).__await__()
            for value in rest:
                await passing.wait(rest, value, Limit(scope, self.now))
                break
        if scope.cancelled_caught:
            raise TimeoutError

    def _took(self, event: Event, seconds: float) -> None:
        """Compare the time that the handler has taken for an event with its budget."""
        layer = self.state.layer
        if seconds <= layer.event_budget:
            self.slow_in_a_row = 0
            return
        error = TimeoutError(f"{seconds_in_words(seconds)}; its budget is {seconds_in_words(layer.event_budget)}")
        self.state.slow(event, error)
        self.slow_in_a_row += 1
        if self.spares and self.slow_in_a_row >= FAILURES and not self.off:
            self.off = True
            self.state.report("spared", layer, event, error)


_HERE, _BEYOND, _BACK, _STOPPED = range(4)
"""Where an event is, seen from a layer."""


class _Passing:
    """The ``call_next`` of one event in one layer."""

    __slots__ = ("away", "beyond", "event", "link", "place", "waiting")

    def __init__(self, link: _Link, event: Event) -> None:
        self.link = link
        self.event = event
        self.place = _HERE
        self.beyond: BaseException | None = None
        """What was raised further on, which is not this layer's fault."""
        self.waiting: Waiting | None = None
        """The handler, once it waits."""
        self.away = 0.0
        """Seconds that the event was further on, where that is measured."""

    async def __call__(self, event: Event) -> None:
        if self.place:
            raise self._misused(f"called call_next {'too late' if self.place == _STOPPED else 'twice'}")
        given = self.event
        if event is not given:
            if type(event) is not type(given):
                raise self._misused(f"put {type(event).__name__} in the event's place (use self.session.send for that)")
            if isinstance(event, ClientEvent) and isinstance(given, ClientEvent) and event.event_id != given.event_id:
                # Who waits for the answer knows the event by its id, so what replaces it keeps it.
                event = replace(event, event_id=given.event_id)
        self.place = _BEYOND
        link = self.link
        try:
            if link.timed or self.waiting is not None:
                await self._measured(event)
            else:
                await link.following(event)
        except BaseException as exc:
            self.beyond = exc
            raise
        finally:
            self.place = _BACK
            if self.waiting is not None:  # it may be so only now
                self.waiting.is_back()

    async def _measured(self, event: Event) -> None:
        """Pass the event on without counting the time that it takes further on."""
        waiting = self.waiting
        began = self.link.now()
        if waiting is not None:
            waiting.goes_beyond()
        try:
            if waiting is not None and waiting.struck:  # it passes the event on in its `finally`: wholly
                with anyio.CancelScope(shield=True):
                    await self.link.following(event)
            else:
                await self.link.following(event)
        finally:
            self.away += self.link.now() - began

    async def wait(self, rest: Generator[Any, Any, None], value: object, limit: Limit) -> None:
        """Await what is left of the handler.

        Raises:
            TimeoutError: It has waited for too long itself.
        """
        link = self.link
        timeout, beyond = link.state.layer.event_timeout, self.place == _BEYOND
        self.waiting = Waiting(rest, value, timeout=timeout, limit=limit, now=link.now, beyond=beyond)
        try:
            await self.waiting
        finally:
            self.waiting.undo()
        if self.waiting.struck:  # and has returned as if nothing were
            raise TimeoutError

    def hung(self, caught: BaseException) -> TimeoutError | None:
        """Return the layer's fault, where it was told to stop waiting, in place of what came of that."""
        if self.waiting is None or not self.waiting.struck:
            return None
        error = TimeoutError(f"it has not returned within {seconds_in_words(self.link.state.layer.event_timeout)}")
        error.__cause__ = caught  # where it was waiting
        return error

    def stop(self) -> None:
        """Let the event go no further, where it is still here."""
        if not self.place:
            self.place = _STOPPED

    def _misused(self, what: str) -> MiddlewareError:
        layer = self.link.state.layer
        event_type = self.event.wire_type
        return MiddlewareError(f"{layer.label} {what} on {event_type}", layer=layer.name, event_type=event_type)


class _Kept(_Passing):
    """The same once the handler has returned without calling it: where it goes away, the layer has dropped the event.

    Only then, for an object with a ``__del__`` costs a third more.
    """

    __slots__ = ()

    def __del__(self) -> None:
        if not self.place:
            state = self.link.state
            logger.debug("middleware %s dropped %s", state.layer.name, self.event.wire_type)
            state.report("dropped", state.layer, self.event, None)
