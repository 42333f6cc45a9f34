"""The compiled chain: for each event class, the layers that care, linked once.

Rule: no queue, task or plugin call between layers. A class that no layer handles has no chain at all.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import anyio
from msgspec.structs import replace

from agentkit.errors import MiddlewareError
from agentkit.events import ClientEvent, Event
from agentkit.middleware.base import Middleware, Next, NextCall
from agentkit.tools import ToolCall, ToolResult
from agentkit.tools.cancellation import is_due

FAILURES = 5
"""Failures in a row after which an observer is switched off."""
Report: TypeAlias = Callable[[str, Middleware, Event | ToolCall, Exception | None], None]
"""Told what happened (``failed``, ``switched off``, ``dropped``), the layer, the event or call, and the error."""
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
    ) -> None:
        """Link the layers.

        Args:
            layers: First is nearest the application.
            guards: Nearest the application for what comes in, nearest the wire for what goes out, nearest the body for
                tool calls.
            inbound: Takes a server or session event that passed every layer.
            outbound: Takes a client event that passed every layer.
            report: Told of failures and drops.

        Raises:
            TypeError: A layer has no hook that could ever fire.
        """
        for layer in (*layers, *guards):
            if not layer.hooks():
                raise TypeError(
                    f"middleware {layer.name} has no hook that can fire: "
                    "give it an @on(...) method, wrap_tool_call, on_wire or running"
                )
        self._layers = [_State(layer, report) for layer in layers]
        self._guards = [_State(layer, report) for layer in guards]
        self._inbound = inbound
        self._outbound = outbound
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

    def _links(self, event_class: type[Event]) -> list[tuple["_State", Callable[..., Awaitable[None]]]]:
        outbound = issubclass(event_class, ClientEvent)
        ordered = [*(self._layers if outbound else reversed(self._layers)), *self._guards]
        return [(state, handler) for state in ordered if (handler := state.layer.handler(event_class)) is not None]

    def _link(self, event_class: type[Event]) -> Next[Any] | None:
        links = self._links(event_class)
        if not links:
            return None
        following: Next[Any] = self._outbound if issubclass(event_class, ClientEvent) else self._inbound
        for state, handler in reversed(links):
            following = _Link(state, handler, following).run
        return following

    def _wrapping(self) -> list["_State"]:
        return [state for state in (*self._layers, *self._guards) if state.layer.overrides("wrap_tool_call")]

    def around_call(self, body: NextCall) -> NextCall:
        """Return ``body`` with every layer's ``wrap_tool_call`` around it."""
        following = body
        for state in reversed(self._wrapping()):
            following = _CallLink(state, following).run
        return following


class _State:
    """One layer's health."""

    __slots__ = ("failures", "layer", "off", "report")

    def __init__(self, layer: Middleware, report: Report) -> None:
        self.layer = layer
        self.report = report
        self.failures = 0
        self.off = False

    def failed(self, subject: Event | ToolCall, error: Exception) -> None:
        """Count a failure, and switch an observer off after too many in a row."""
        logger.error("middleware %s failed on %s", self.layer.name, subject_name(subject), exc_info=error)
        self.failures += 1
        self.report("failed", self.layer, subject, error)
        if self.failures >= FAILURES and not self.layer.critical:
            self.off = True
            self.report("switched off", self.layer, subject, error)


class _Link:
    """One layer's handler of one event class, and what comes after it."""

    __slots__ = ("following", "handler", "state")

    def __init__(self, state: _State, handler: Callable[..., Awaitable[None]], following: Next[Any]) -> None:
        self.state = state
        self.handler = handler
        self.following = following

    async def run(self, event: Event) -> None:
        """Take an event through this layer and those after it.

        Raises:
            MiddlewareError: A critical layer failed; the event went no further.
        """
        state = self.state
        if state.off:
            await self.following(event)
            return
        passing = _Passing(self, event)
        try:
            await self.handler(event, passing)
        except BaseException as caught:  # isolation boundary: one layer's fault must not end the session
            if caught is passing.beyond or not (isinstance(caught, Exception) or _is_stray(caught)):
                raise
            exc = as_fault(caught)
            state.failed(event, exc)
            if passing.beyond is not None:
                raise passing.beyond from None  # not this layer's to hide behind its own fault
            if passing.called:
                return
            if state.layer.critical:
                passing.called = True
                raise MiddlewareError(
                    f"{state.layer.name} failed on {event.wire_type}, which was stopped: {type(exc).__name__}: {exc}",
                    layer=state.layer.name,
                    event_type=event.wire_type,
                ) from exc
            await passing(event)
        else:
            state.failures = 0


class _Passing:
    """The ``call_next`` of one event in one layer; where it goes away uncalled, the layer has dropped the event."""

    __slots__ = ("beyond", "called", "event", "link")

    def __init__(self, link: _Link, event: Event) -> None:
        self.link = link
        self.event = event
        self.called = False
        self.beyond: BaseException | None = None
        """What was raised further on, which is not this layer's fault."""

    async def __call__(self, event: Event) -> None:
        if self.called:
            raise self._misused("called call_next twice")
        if type(event) is not type(self.event):
            raise self._misused(f"put {type(event).__name__} in the event's place (use self.session.send for that)")
        given = self.event
        if isinstance(event, ClientEvent) and isinstance(given, ClientEvent) and event.event_id != given.event_id:
            # Who waits for the answer knows the event by its id, so what replaces it keeps it.
            event = replace(event, event_id=given.event_id)
        self.called = True
        try:
            await self.link.following(event)
        except BaseException as exc:
            self.beyond = exc
            raise

    def __del__(self) -> None:
        if not self.called:
            state = self.link.state
            logger.debug("middleware %s dropped %s", state.layer.name, self.event.wire_type)
            state.report("dropped", state.layer, self.event, None)

    def _misused(self, what: str) -> MiddlewareError:
        name = self.link.state.layer.name
        return MiddlewareError(f"{name} {what} on {self.event.wire_type}", layer=name, event_type=self.event.wire_type)


class _CallLink:
    """One layer's ``wrap_tool_call`` and what comes after it."""

    __slots__ = ("following", "state")

    def __init__(self, state: _State, following: NextCall) -> None:
        self.state = state
        self.following = following

    async def run(self, call: ToolCall) -> ToolResult:
        """Take a call through this layer and those after it."""
        state = self.state
        if state.off:
            return await self.following(call)
        result: ToolResult | None = None
        beyond: BaseException | None = None

        async def call_next(passed: ToolCall) -> ToolResult:
            nonlocal result, beyond
            if not isinstance(passed, ToolCall) or passed.call_id != call.call_id:
                raise TypeError("call_next takes the ToolCall, or a changed copy with the same call_id")
            try:
                result = await self.following(passed)
            except BaseException as exc:
                beyond = exc
                raise
            beyond = None
            return result

        try:
            changed = await state.layer.wrap_tool_call(call, call_next)
            if not isinstance(changed, ToolResult):
                raise TypeError(f"wrap_tool_call returned {type(changed).__name__}, not a ToolResult")
        except BaseException as caught:  # isolation boundary: one layer's fault must still give the call an answer
            if caught is beyond or not (isinstance(caught, Exception) or _is_stray(caught)):
                raise
            state.failed(call, as_fault(caught))
            if beyond is not None:
                raise beyond from None
            if state.layer.critical:
                return ToolResult.refused(f"{state.layer.name} could not check this call")
            return result if result is not None else await self.following(call)
        state.failures = 0
        return changed


def _is_stray(error: BaseException) -> bool:
    """Tell whether an error is a cancellation that nobody asked for, as of an asyncio task that was awaited."""
    return isinstance(error, anyio.get_cancelled_exc_class()) and not is_due()


def as_fault(caught: BaseException) -> Exception:
    """Return what a layer did wrong: its error, or that it let a cancellation out which nobody asked for."""
    if isinstance(caught, Exception):
        return caught
    fault = RuntimeError("a cancellation that nobody asked for came out of it, as of a task that it awaited")
    fault.__cause__ = caught
    return fault


def subject_name(subject: Event | ToolCall) -> str:
    """Return what a layer was busy with, in words."""
    return f"the call of {subject.name}" if isinstance(subject, ToolCall) else subject.wire_type
