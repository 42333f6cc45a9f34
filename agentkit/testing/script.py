"""Script: what a fake server expects of the client and what follows, step by step.

Rule: steps run as the client writes; only a delay lets time pass, and only while the client reads.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import Any, TypeAlias

import anyio
import msgspec

Say: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Sends an event: its type and its fields."""


class Expect(msgspec.Struct, frozen=True):
    """Wait for a frame of the client's."""

    type: str
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        return f"expect {self.type}{_written(self.fields)}"


class Emit(msgspec.Struct, frozen=True):
    """Send an event."""

    type: str
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        return f"emit {self.type}{_written(self.fields)}"


class Delay(msgspec.Struct, frozen=True):
    """Let time pass."""

    seconds: float

    def __str__(self) -> str:
        return f"delay {self.seconds:g} s"


class Drop(msgspec.Struct, frozen=True):
    """Lose the connection."""

    def __str__(self) -> str:
        return "drop the connection"


class Script:
    """The steps of a fake server, in order; each method adds one and returns the script.

    While it has steps, the client's frames are the script's: ``FakeServer.next`` gives none, and ``FakeServer.written``
    has all of them.
    """

    def __init__(self, *, emit: Say, drop: Callable[[], Awaitable[None]], wake: Callable[[], None]) -> None:
        self._emit = emit
        self._drop = drop
        self._wake = wake
        self._steps: deque[Expect | Emit | Delay | Drop] = deque()
        self._frames: deque[Mapping[str, Any]] = deque()
        """What the client wrote and no step has looked at."""
        self._running = False
        self.due = inf
        """When the delay that runs is over, on the event loop's clock."""

    @property
    def done(self) -> bool:
        """Whether there is no step left."""
        return not self._steps

    def expect(self, type_: str, /, **fields: Any) -> "Script":
        """Wait for the next frame of a type with these fields; frames that do not fit pass by.

        A frame may have more than is asked for, at any depth; a list has to have as many members, and ``...`` stands
        for any value.
        """
        return self._add(Expect(type_, fields))

    def emit(self, type_: str, /, **fields: Any) -> "Script":
        """Send an event, with an id of its own unless ``event_id`` is given."""
        return self._add(Emit(type_, fields))

    def delay(self, seconds: float) -> "Script":
        """Let time pass; what the client writes meanwhile waits for the next step."""
        return self._add(Delay(seconds))

    def drop(self) -> "Script":
        """Lose the connection: no close frame comes."""
        return self._add(Drop())

    def left(self) -> list[str]:
        """Return the steps that have not run, in words."""
        return [str(step) for step in self._steps]

    def take(self, event: Mapping[str, Any]) -> bool:
        """Note a frame of the client's; returns whether it is the script's."""
        if self.done:
            return False
        self._frames.append(event)
        return True

    async def go_on(self) -> None:
        """Take every step that can be taken now."""
        if self._running or not self._steps:
            return
        self._running = True
        try:
            while self._steps and await self._step(self._steps[0]):
                self._steps.popleft()
        finally:
            self._running = False
        if self.done:
            self._frames.clear()

    async def _step(self, step: Expect | Emit | Delay | Drop) -> bool:
        """Take a step; returns whether it is over."""
        match step:
            case Expect(type_, fields):
                while self._frames:
                    frame = self._frames.popleft()
                    if frame.get("type") == type_ and fits(frame, fields):
                        return True
                return False
            case Emit(type_, fields):
                await self._emit(type_, fields)
            case Drop():
                await self._drop()
            case Delay(seconds):
                if self.due == inf:
                    self.due = anyio.current_time() + seconds
                    self._wake()
                if anyio.current_time() < self.due:
                    return False
                self.due = inf
        return True

    def _add(self, step: Expect | Emit | Delay | Drop) -> "Script":
        self._steps.append(step)
        self._wake()
        return self


def fits(given: object, wanted: object) -> bool:
    """Tell whether a value has all that is wanted of it."""
    if wanted is ...:
        return True
    if isinstance(wanted, Mapping):
        return isinstance(given, Mapping) and all(key in given and fits(given[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list | tuple):
        return isinstance(given, list) and len(given) == len(wanted) and all(map(fits, given, wanted))
    return given == wanted


def _written(fields: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    return f"({shown})" if shown else ""
