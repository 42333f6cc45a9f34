"""The ways of a session: of events down and up through layers, core and outbox, and of the core's effects.

Rule: whatever is sent goes through the layers, then through the core, then to the outbox. Nothing here waits for the
network but who sends.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import anyio
import anyio.abc

from agentkit.errors import (
    AgentkitError,
    ConnectError,
    MiddlewareError,
    SessionClosedError,
)
from agentkit.events import (
    ClientEvent,
    ConversationUpdated,
    Event,
    ItemAppended,
    ItemCompleted,
    Notice,
    ServerEvent,
    SessionEnded,
    SessionEvent,
    TurnCompleted,
    encode_client,
)
from agentkit.middleware import Chain, Middleware
from agentkit.middleware.faults import notice_of
from agentkit.protocol import (
    Core,
    Effect,
    Emit,
    ItemBegan,
    Propose,
    StartTimer,
    Suppress,
    Transmit,
    TurnBegan,
    TurnEnded,
    TurnOutput,
    UpdateEnded,
)
from agentkit.session.clock import clock
from agentkit.session.fanout import FanOut
from agentkit.session.history import History
from agentkit.session.lane import Lane, outside
from agentkit.session.limits import SessionLimits
from agentkit.session.outbox import Frame, Outbox
from agentkit.session.playback import Playback
from agentkit.session.taps import Taps
from agentkit.session.timers import Timers
from agentkit.session.turns import Turns
from agentkit.session.updates import Updates
from agentkit.tools import ToolCall
from agentkit.transports.base import Provider, Transport

logger = logging.getLogger("agentkit.session")


class Ways(ABC):
    """What a session is made of, and how events and effects get through it; ``Engine`` gives it its life."""

    def __init__(
        self,
        provider: Provider,
        *,
        session_id: str,
        middleware: Sequence[Middleware],
        guards: Sequence[Middleware],
        limits: SessionLimits,
    ) -> None:
        self.id = session_id
        """A name for the session, made by us."""
        self.provider = provider
        self.ended: SessionEnded | None = None
        """How the session ended, once it has."""
        self.dropped_input = 0
        """Bytes of the user's audio dropped because there was no connection."""
        self._limits = limits
        self._core = Core(prefix=session_id, limits=limits.core)
        self._fanout = FanOut()
        now = clock()
        self.history = History(self._core, now)
        """The conversation as the server holds it."""
        self.playback = Playback(self._core, self._fanout, now)
        """How much of the agent's audio was heard."""
        self._turns = Turns(limits.rates)
        self._updates = Updates()
        self._timers = Timers(self._timer)
        self._at_once = self._effects_at_once()
        self._now = now
        self._chain = Chain(middleware, guards, inbound=self._arrived, outbound=self._bottom, report=self._layer_report)
        self._taps = Taps(self._chain.layers, self._layer_report)
        self._inbound: Lane[ServerEvent | SessionEvent] = Lane(self._through, self._start, self._inbound_failed)
        self._outbound: Lane[ClientEvent] = Lane(self._through, self._start, self._outbound_failed)
        self._connected = anyio.Event()
        self._connect_error: ConnectError | None = None
        self._created = anyio.Event()
        self._finished = anyio.Event()
        self._ending: str | None = None
        self._ending_cause = "closed"
        self._tasks: anyio.abc.TaskGroup | None = None
        self._early: list[tuple[Callable[..., Awaitable[object]], tuple[object, ...]]] = []
        """What layers started before the session had tasks."""
        self._early_notices: list[Notice] = []
        """What was to be told before anybody could listen."""
        self._told: AgentkitError | None = None
        """The last error of a write that the core was told of."""
        self._transport: Transport | None = None
        self._outbox = Outbox(self._written)
        self._look_out: Callable[[ClientEvent], None] | None = None
        """Looks at each event that has passed the layers, and may refuse it by raising."""

    # Given by the engine

    @abstractmethod
    async def _end(self, cause: str, error: AgentkitError | None) -> None:
        """End the session, once."""

    @abstractmethod
    def _after_turn(self) -> None:
        """Go on after a turn has ended."""

    # Both ways through the layers

    async def _through(self, event: Event) -> None:
        chain = self._chain.compiled(type(event))
        if chain is not None:
            await chain(event)
        elif isinstance(event, ClientEvent):
            await self._bottom(event)
        else:
            await self._arrived(event)

    async def _arrived(self, event: Event) -> None:
        self._fanout.deliver(event)
        if type(event) is TurnCompleted:
            self._turns.arrived(event)

    async def _safely(self, event: ServerEvent | SessionEvent) -> None:
        try:
            await self._inbound.send(event)
        except AgentkitError as exc:
            self._inbound_failed(event, exc)

    async def _bottom(self, event: ClientEvent) -> None:
        """Hand an event to the core, and write what it lets pass.

        The core counts on every effect, so a caller's cancellation strikes only after all of them, while the frames are
        on their way; those are written all the same.
        """
        if self._look_out is not None:
            self._look_out(event)
        frames: list[Frame] = []
        later: list[Effect] = []
        failed: AgentkitError | None = None
        for effect in self._core.outgoing(event):
            if type(effect) is not Transmit:
                if (do := self._at_once.get(type(effect))) is not None:
                    do(effect)
                else:
                    later.append(effect)
                continue
            try:
                frame = self._outbox.put(encode_client(effect.event, self.provider.dialect), effect.event)
            except AgentkitError as exc:
                self._told = failed = exc
                later += self._core.dropped(effect.event, exc)
            else:
                if frame is not None:
                    frames.append(frame)
        if later:
            await self._apply_whole(later)
        if failed is not None:
            raise failed
        for frame in frames:
            try:
                await frame.wait()
            except AgentkitError as exc:
                self._told = exc
                await self._apply_whole(self._core.dropped(frame.event, exc))
                raise
        self.end_if_quiet()

    async def _apply_whole(self, effects: list[Effect]) -> None:
        """Apply effects all of them, even where the caller is cancelled: what a layer takes is left to a task."""
        if self._inbound.busy or any(self._passes_layers(effect) for effect in effects):
            self.start_soon(self._apply, effects)
        else:
            await self._apply(effects)  # nothing here waits, so nothing is cancelled in the middle

    def _passes_layers(self, effect: Effect) -> bool:
        match effect:
            case Emit(event):
                return self._chain.compiled(type(event)) is not None
            case TurnEnded():
                return self._chain.compiled(TurnCompleted) is not None
            case _:
                return False

    async def _emit(self, event: SessionEvent) -> None:
        if self._chain.compiled(type(event)) is None and not self._inbound.busy:
            self._fanout.deliver(event)
        else:
            await self._safely(event)

    async def _apply(self, effects: list[Effect]) -> None:
        """Do what the core asks for; never waits for the network."""
        at_once = self._at_once
        for effect in effects:
            do = at_once.get(type(effect))
            if do is not None:
                do(effect)
            else:
                await self._apply_one(effect)

    async def _apply_one(self, effect: Effect) -> None:
        """Do one thing; only what may pass layers has to be awaited."""
        match effect:
            case Emit(event):
                await self._emit(event)
            case Propose(event):
                await self._propose(event)
            case TurnEnded(turn):
                completed = self._turns.ended(turn)
                if self._chain.compiled(TurnCompleted) is None and not self._inbound.busy:
                    await self._arrived(completed)
                else:
                    await self._safely(completed)
                self._after_turn()
            case _:
                self._at_once[type(effect)](effect)

    def _effects_at_once(self) -> dict[type[Effect], Callable[[Any], None]]:
        """Return what is done for the effects that wait for nothing."""
        return {
            Transmit: lambda effect: self._post(effect.event),
            StartTimer: lambda effect: self._timers.start(effect.name, effect.seconds),
            ItemBegan: lambda effect: self.history.began(effect.item_id),
            TurnBegan: lambda effect: self._turns.began(effect.turn),
            TurnOutput: lambda effect: self._turns.output(effect.turn),
            UpdateEnded: lambda effect: self._updates.ended(effect.event_id, effect.error),
            Suppress: lambda effect: None,  # the event was not handed on
        }

    def _post(self, event: ClientEvent) -> None:
        try:
            self._outbox.put(encode_client(event, self.provider.dialect), event)
        except AgentkitError as exc:
            self._outbound_failed(event, exc)

    async def _propose(self, event: ClientEvent) -> None:
        """Hand an event of the core's to the top of the layers, without waiting for them."""
        try:
            if self._chain.compiled(type(event)) is not None or self._outbound.busy:
                self._outbound.post(event)
            else:
                if self._look_out is not None:
                    self._look_out(event)
                await self._apply(self._core.outgoing(event))
        except AgentkitError as exc:
            self._outbound_failed(event, exc)

    def listeners_changed(self) -> None:
        """Tell the core which of the events that cost something are listened to."""
        updates, appended, completed = (
            self._fanout.wanted(cls) or self._chain.compiled(cls) is not None
            for cls in (ConversationUpdated, ItemAppended, ItemCompleted)
        )
        self._core.updates_wanted = updates
        self._core.items_wanted = appended or completed

    def _written(self, raw: bytes, event: ClientEvent) -> None:
        if self._taps:
            self._taps.show("out", raw, event)

    def _layer_report(self, what: str, layer: Middleware, subject: Event | ToolCall, error: Exception | None) -> None:
        if what == "dropped" and isinstance(subject, ClientEvent | TurnCompleted) and self.ended is None:
            name = subject.wire_type
            dropped = MiddlewareError(f"{layer.label} dropped {name}", layer=layer.name, event_type=name)
            if isinstance(subject, TurnCompleted):
                self._turns.arrived(subject, dropped)
            elif effects := self._core.dropped(subject, dropped):
                self.start_soon(self._apply, effects)
        notice = notice_of(what, layer, subject, error)
        if notice is not None and self.ended is None:
            self.start_soon(self._emit, notice)
        elif notice is not None:  # the layers have had the last event
            self._fanout.deliver(notice)

    def _inbound_failed(self, event: Event, error: AgentkitError) -> None:
        logger.debug("%s went no further: %s", event.wire_type, error)
        if isinstance(event, TurnCompleted):
            self._turns.arrived(event, error)

    def _outbound_failed(self, event: ClientEvent, error: AgentkitError) -> None:
        """An event of the core's, or of a layer's, could not be sent."""
        if self.ended is not None:
            return
        logger.warning("%s was not sent: %s", event.wire_type, error)
        self.notice("not_sent", f"{event.wire_type} was not sent: {error}")
        effects = [] if error is self._told else self._core.dropped(event, error)
        if effects:
            self.start_soon(self._apply, effects)

    # Time

    async def _timer(self, name: str) -> None:
        await self._apply(self._core.timer(name))

    def end_if_quiet(self) -> None:
        """End a session that was asked to end, once nothing is due any more."""
        if self._ending is not None and self.ended is None and self._core.quiet:
            self.start_soon(self._end, self._ending_cause, None)

    def _start(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(function)

    # For layers, tools and applications

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start a task that ends with the session at the latest; an error of its own is told by a ``Notice``."""
        if self._tasks is None:
            self._early.append((function, args))
        else:
            self._tasks.start_soon(self._isolated, function, args)

    async def _isolated(self, function: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
        outside()
        try:
            await function(*args)
        except Exception as exc:  # isolation boundary: a layer's task must not end the session
            if self.ended is None:
                logger.error("a task of the session failed", exc_info=exc)
                self.notice("task_failed", f"a background task failed: {type(exc).__name__}: {exc}")

    def notice(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        """Tell a person something in one line, as a ``Notice`` event; nothing once the session has ended."""
        if self.ended is not None:
            return
        notice = Notice(code=code, message=message, level=level, hint=hint)
        if self._tasks is None:
            self._early_notices.append(notice)  # nobody can listen yet
        else:
            self.start_soon(self._emit, notice)

    async def send(self, event: ClientEvent) -> None:
        """Send an event through the layers and the core.

        From within a layer it is queued after the current event, and this returns at once.

        Raises:
            LocalProtocolError: The event may not be sent now.
            MiddlewareError: A guard failed on it.
            TransportError: The connection is gone.
            SessionClosedError: The session was closed.
        """
        self._check_open()
        if self._chain.compiled(type(event)) is None and not self._outbound.busy:
            await self._bottom(event)
        else:
            await self._outbound.send(event)

    def _closed_error(self) -> SessionClosedError:
        return SessionClosedError("the session is closed; open a new one to go on")

    def _check_open(self) -> None:
        if self.ended is not None:
            error = self.ended.error if isinstance(self.ended.error, AgentkitError) else self._closed_error()
            raise error.with_traceback(None)
