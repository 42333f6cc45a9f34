"""What a layer is: one shape, ``async (x, call_next)``, declared by ``@on(EventClass)`` and ``wrap_tool_call``."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, TypeVar

from agentkit.events import AnyServerSession, AnySettings, ClientEvent, Event, FunctionTool
from agentkit.tools import Tool, ToolCall, ToolResult

E = TypeVar("E", bound=Event)
Next: TypeAlias = Callable[[E], Awaitable[None]]
"""Passes an event on, now or later, once; raises ``MiddlewareError`` on a second call or another class of event."""
NextCall: TypeAlias = Callable[[ToolCall], Awaitable[ToolResult]]
"""Passes a tool call on and returns its result."""
Handler = TypeVar("Handler", bound=Callable[..., Awaitable[None]])
Direction: TypeAlias = Literal["in", "out"]

_MARK = "__agentkit_on__"


class SessionHandle(Protocol):
    """What a layer may use of the session around it."""

    @property
    def id(self) -> str:
        """A name for the session, made by us."""

    @property
    def agent(self) -> str | None:
        """The name of the agent that the conversation is with; None where the session was given no agents."""

    async def send(self, event: ClientEvent) -> None:
        """Send an event, from the top of the list."""

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start a task that ends with the session at the latest."""

    def notice(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        """Tell a person something in one line."""

    @property
    def settings(self) -> AnyServerSession | None:
        """The settings in force, as the server confirmed them last; None before it has."""

    @property
    def tools(self) -> "Mapping[str, Tool[..., object] | FunctionTool]":
        """The session's tools by name."""

    @property
    def secret_arguments(self) -> Mapping[str, frozenset[str]]:
        """The arguments that are secret by the names of the tools that have such, those of all agents."""

    # What follows waits, so an event's handler starts it by ``start_soon`` and does not await it.

    async def say(self, text: str) -> object:
        """Let the agent say a text."""

    async def create_response(self) -> None:
        """Ask for a response, without waiting for it."""

    async def interrupt(self, heard_ms: int | None = None) -> None:
        """Cut the agent off."""

    async def update(self, settings: AnySettings) -> None:
        """Change settings, and wait until the server confirms them."""

    async def delete_item(self, item_id: str) -> None:
        """Remove an item from the conversation."""

    async def end(self, reason: str = "", *, limit: bool = False) -> None:
        """End the session, once what is being said has been said; ``limit`` says that a limit was reached."""


def on(*classes: type[Event]) -> Callable[[Handler], Handler]:
    """Mark a method as the handler of events of these classes; the nearest class in an event's MRO wins.

    The direction follows from the class: a ``ClientEvent`` goes to the wire, the others come to the application.

    Raises:
        TypeError: The handler could never run: no event class, or no ``async def (self, event, call_next)``.
    """
    for cls in classes:
        if not (isinstance(cls, type) and issubclass(cls, Event)):
            raise TypeError(f"@on takes event classes, not {cls!r}")
    if not classes:
        raise TypeError("@on needs at least one event class")

    def mark(function: Handler) -> Handler:
        is_async = inspect.iscoroutinefunction(function)
        if not is_async:
            raise TypeError(f"{function.__qualname__} has to be `async def` to handle events")
        if len(inspect.signature(function).parameters) != 3:
            raise TypeError(f"{function.__qualname__} has to take (self, event, call_next)")
        setattr(function, _MARK, classes)
        return function

    return mark


class Middleware:
    """One layer; one instance belongs to one session, so state lives on ``self``.

    A layer that raises, or waits for longer than its ``event_timeout``, is skipped for that event and reported; after
    five failures in a row it is switched off. One with ``critical = True`` (a guard) fails closed instead: the event
    goes no further, and it is never switched off. A layer that takes longer than its ``event_budget`` is named by a
    ``Notice``; one that does so on five audio deltas in a row, and is not critical, gets no more of them.
    """

    critical: ClassVar[bool] = False
    """Whether an event may not pass where this layer fails."""
    event_timeout: float = 5.0
    """Seconds that a handler may wait for one event; then it is cancelled, and has failed.

    The time that the event spends further on, in ``call_next``, does not count. A handler that shields itself from
    cancellation, or blocks the event loop, cannot be ended. ``wrap_tool_call`` may take any time: it may wait for a
    person, and holds up nothing but its call.
    """
    event_budget: float = 0.05
    """Seconds that a handler may take for one event, not counting ``call_next``, before somebody is told."""
    where: str | None = None
    """Where a configuration names it, as ``agent.yaml:31:5``; messages cite it."""
    session: SessionHandle
    """The session around the layer; set before ``running`` is entered."""
    _handlers: ClassVar[dict[type[Event], str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        handlers: dict[type[Event], str] = {}
        for base in reversed(cls.__mro__):
            own: dict[type[Event], str] = {}
            for name, value in vars(base).items():
                for event_class in getattr(value, _MARK, ()):
                    if event_class in own:
                        raise TypeError(
                            f"{cls.__name__} handles {event_class.__name__} twice: in {own[event_class]} and in {name}"
                        )
                    own[event_class] = name
            handlers |= own
        cls._handlers = handlers
        for name in ("wrap_tool_call", *handlers.values()):
            if not inspect.iscoroutinefunction(getattr(cls, name)):
                raise TypeError(f"{cls.__name__}.{name} has to be `async def`")
        if inspect.iscoroutinefunction(cls.on_wire):
            raise TypeError(f"{cls.__name__}.on_wire has to be a plain `def`: it may not wait")
        if inspect.iscoroutinefunction(cls.running) or inspect.isasyncgenfunction(cls.running):
            raise TypeError(f"{cls.__name__}.running has to be an @asynccontextmanager")

    @property
    def name(self) -> str:
        """The layer's name in messages."""
        return type(self).__name__

    @property
    def label(self) -> str:
        """Its name, and where a configuration names it."""
        return self.name if self.where is None else f"{self.name} ({self.where})"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold what the layer needs (files, clients) open around the session."""
        yield

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        """Run around each tool call."""
        return await call_next(call)

    def on_wire(self, direction: Direction, raw: bytes, event: Event) -> None:
        """See a frame that was read (``in``) or written (``out``), in true wire order; read-only."""

    def handler(self, event_class: type[Event]) -> Callable[[Any, Next[Any]], Awaitable[None]] | None:
        """Return the bound handler of an event class, where the layer has one."""
        for cls in event_class.__mro__:
            name = self._handlers.get(cls)
            if name is not None:
                bound: Callable[[Any, Next[Any]], Awaitable[None]] = getattr(self, name)
                return bound
        return None

    def hooks(self) -> list[str]:
        """Return the names of the hooks this layer has, event classes first."""
        found = [cls.__name__ for cls in self._handlers]
        return found + [hook for hook in ("wrap_tool_call", "on_wire", "running") if self.overrides(hook)]

    def overrides(self, hook: str) -> bool:
        """Tell whether the layer's class has its own ``wrap_tool_call``, ``on_wire`` or ``running``."""
        return getattr(type(self), hook) is not getattr(Middleware, hook)
