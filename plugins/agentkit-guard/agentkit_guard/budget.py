"""``budget``: a session costs so much and no more.

Rule: tokens and money come from ``response.done`` alone, each response counted once.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import ClassVar, Final, TypeAlias

import anyio
import msgspec
from msgspec.structs import replace

from agentkit import Duration, Middleware, Next, NextCall, Rates, ToolCall, ToolResult, on
from agentkit.events import ResponseCancel, ResponseCreate, ResponseCreated, ResponseDone, TurnCompleted
from agentkit_guard.reacting import SAY_SECONDS, Remembered, is_saying

GOODBYE: Final = "agentkit_goodbye"
"""Key of ``metadata`` by which the goodbye is known from what the server begins by itself."""
_Reached: TypeAlias = Callable[[str, str], None]


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits; one that is not said does not count."""

    time: Duration | None = None
    """How long the session lasts."""
    turns: int | None = None
    """How many turns the agent has answered."""
    tokens: int | None = None
    """How many tokens all responses have used."""
    tool_calls: int | None = None
    """How many calls of tools there were."""
    cost: float | None = None
    """How much money was spent, by the ``rates``."""


class BudgetConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the ``budget`` guard."""

    warn: Amounts = msgspec.field(default_factory=Amounts)
    """Where a person is told by a notice, once for each."""
    stop: Amounts = msgspec.field(default_factory=Amounts)
    """Where the session says goodbye and ends."""
    rates: Rates | None = None
    """What a million tokens cost, in the currency of ``cost``, which needs it."""
    goodbye: str | None = None
    """What the agent says before the session ends."""

    def __post_init__(self) -> None:
        said = [(name, getattr(part, name)) for part in (self.warn, self.stop) for name in Amounts.__struct_fields__]
        if all(value is None for _, value in said):
            raise ValueError("say what is limited: warn or stop, with time, turns, tokens, tool_calls or cost")
        if any(value is not None and value < 0 for _, value in said):
            raise ValueError("a limit cannot be below 0")
        if self.rates is None and any(name == "cost" and value is not None for name, value in said):
            raise ValueError("a cost needs the rates of the model: rates: {input: ..., output: ...}")


def _count(tokens: int | None) -> int:
    """Return a number of tokens as it counts; nobody gets any back."""
    return max(0, tokens or 0)


class Budget(Middleware):
    """Count what a session uses, warn, and end it with a goodbye."""

    critical: ClassVar[bool] = True

    def __init__(self, config: BudgetConfig) -> None:
        """Make the layer."""
        self._config = config
        self.tokens = 0
        """Tokens of all responses so far."""
        self.cost = 0.0
        """What they cost."""
        self.turns = 0
        """Turns that the agent has answered."""
        self.tool_calls = 0
        """Calls of tools."""
        self._counted = Remembered()
        self._warned: set[str] = set()
        self._stopped: str | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the clock."""
        for part, reached in ((self._config.warn, self._warn), (self._config.stop, self._stop)):
            if part.time is not None:
                self.session.start_soon(self._after, part.time, reached)
        yield

    async def _after(self, seconds: float, reached: _Reached) -> None:
        await anyio.sleep(seconds)
        reached("time", f"{seconds:g} s")

    # Counting

    @on(ResponseDone)
    async def done(self, event: ResponseDone, call_next: Next[ResponseDone]) -> None:
        """A response is over, with its tokens."""
        response = event.response
        if (response.id is None or self._counted.note(response.id)) and response.usage is not None:
            usage = response.usage
            self.tokens += max(_count(usage.total_tokens), _count(usage.input_tokens) + _count(usage.output_tokens))
            if self._config.rates is not None:
                self.cost += self._config.rates.cost(usage)
            self._look("tokens", self.tokens)
            self._look("cost", self.cost)
        await call_next(event)

    @on(TurnCompleted)
    async def turn(self, event: TurnCompleted, call_next: Next[TurnCompleted]) -> None:
        """A turn is over."""
        self.turns += 1
        self._look("turns", self.turns)
        await call_next(event)

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        """Count a call; none runs once the budget is used up."""
        limit = self._config.stop.tool_calls
        is_new = f"call {call.call_id}" not in self._counted
        if is_new and self._stopped is None and limit is not None and self.tool_calls >= limit:
            self._stop("tool_calls", f"{limit} calls of tools")
        if self._stopped is not None:
            return ToolResult.refused(self._stopped)
        if not self._counted.note(f"call {call.call_id}"):
            return await call_next(call)  # edited by a person, and so looked at once more
        self.tool_calls += 1
        warn = self._config.warn.tool_calls
        if warn is not None and self.tool_calls >= warn:
            self._warn("tool_calls", f"{self.tool_calls} calls of tools")
        return await call_next(call)

    def _look(self, name: str, value: float) -> None:
        written = f"{value:.4f}".rstrip("0").rstrip(".") if name == "cost" else f"{value:g}"
        used = f"a cost of {written}" if name == "cost" else f"{written} {name[:-1] if value == 1 else name}"
        for limits, reached in ((self._config.warn, self._warn), (self._config.stop, self._stop)):
            limit: float | None = getattr(limits, name)
            if limit is not None and value >= limit:
                reached(name, used)

    # Reaching a limit

    def _warn(self, name: str, used: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            self.session.notice("budget", f"the session has used {used}, which is what its budget warns at")

    def _stop(self, name: str, used: str) -> None:
        if self._stopped is None:
            self._stopped = f"the session's budget is used up: {used}"
            if self._config.goodbye:  # otherwise the end tells it at once
                self.session.notice("limit", self._stopped)
            self.session.start_soon(self._end)

    async def _end(self) -> None:
        assert self._stopped is not None
        if self._config.goodbye:
            try:
                with anyio.move_on_after(SAY_SECONDS):
                    await self.session.say(self._config.goodbye)
            finally:
                await self.session.end(self._stopped, limit=True)
        else:
            await self.session.end(self._stopped, limit=True)

    @on(ResponseCreate)
    async def create_out(self, event: ResponseCreate, call_next: Next[ResponseCreate]) -> None:
        """A request for a response: none but the goodbye, once the budget is used up."""
        if self._stopped is not None:
            if event.response is None or not is_saying(event, self._config.goodbye):
                return
            given = event.response.metadata
            metadata = {**(given if isinstance(given, dict) else {}), GOODBYE: "true"}
            event = replace(event, response=replace(event.response, metadata=metadata))
        await call_next(event)

    @on(ResponseCreated)
    async def begun(self, event: ResponseCreated, call_next: Next[ResponseCreated]) -> None:
        """A response: any but the goodbye, once the budget is used up, is cancelled."""
        if self._stopped is not None and GOODBYE not in (event.response.metadata or {}):
            self.session.start_soon(self.session.send, ResponseCancel(response_id=event.response.id))
        await call_next(event)
