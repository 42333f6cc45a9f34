"""What an application gets of a turn, and who waits for one."""

import anyio
import msgspec
from msgspec.structs import replace

from agentkit.errors import AgentkitError
from agentkit.events import ToolFinished, TurnCompleted, Usage
from agentkit.protocol import TurnState
from agentkit.session.cost import Rates

CALLS = 256
"""Outcomes of calls that are kept for turns which have not ended."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent did in answer to one input, tool rounds included."""

    text: str
    """All the text and transcripts of its messages, as the layers have left it; messages are joined by line ends."""
    status: str
    """``completed``, ``cancelled``, ``incomplete`` or ``failed``: the last response's."""
    tools: tuple[ToolFinished, ...]
    """The calls that finished in the turn, in the order in which the model made them."""
    responses: int
    """How many responses it took."""
    usage: Usage
    cost_usd: float | None = None
    """What it cost in US dollars, by the tokens that the server has told; None where the session knows no ``rates``.

    A response that has answered several turns at once counts for each of them; ``session.cost`` counts it once.
    """
    first_output_seconds: float | None
    """From the input to the first text, transcript or audio."""
    seconds: float
    """From the input to the end of the last response."""


class Turns:
    """The turns that are open, their times, and who waits for them."""

    def __init__(self, rates: Rates | None = None) -> None:
        self._rates = rates
        self._waiters: dict[str, TurnWaiter] = {}
        self._began: dict[int, float] = {}
        self._first: dict[int, float] = {}
        self._calls: dict[str, ToolFinished] = {}
        self._told: dict[int, tuple[Turn, set[str], BaseException | None]] = {}
        """Turns whose end is on its way through the layers, by number."""
        self.count = 0
        """Turns that have ended."""

    def expect(self, token: str) -> "TurnWaiter":
        """Wait for the turn of the ``response.create`` with this event id."""
        waiter = self._waiters[token] = TurnWaiter(self, token)
        return waiter

    def forget(self, token: str) -> None:
        """Nobody waits for that turn any more."""
        self._waiters.pop(token, None)

    def began(self, turn: TurnState) -> None:
        """A turn's clock starts."""
        self._began[id(turn)] = anyio.current_time()

    def output(self, turn: TurnState) -> None:
        """A turn's first output came."""
        self._first[id(turn)] = anyio.current_time()

    def tool_finished(self, event: ToolFinished) -> None:
        """Keep a call's outcome for its turn."""
        self._calls[event.call_id] = event
        if len(self._calls) > CALLS:  # of turns that ended before their calls did
            del self._calls[next(iter(self._calls))]

    def ended(self, turn: TurnState) -> TurnCompleted:
        """Describe a turn that is over; who waits for it has it once the description has passed the layers."""
        now = anyio.current_time()
        began = self._began.pop(id(turn), now)
        first = self._first.pop(id(turn), None)
        tools = tuple(event for call_id in turn.calls if (event := self._calls.pop(call_id, None)) is not None)
        result = Turn(
            text=turn.text,
            status=turn.status,
            tools=tools,
            responses=len(turn.response_ids),
            usage=turn.usage,
            cost_usd=None if self._rates is None else sum(self._rates.cost(each) for each in turn.usages),
            first_output_seconds=first - began if first is not None else None,
            seconds=now - began,
        )
        self.count += 1
        if not self._waiters.keys().isdisjoint(turn.tokens):
            self._told[self.count] = (result, turn.tokens, turn.error)
        return TurnCompleted(
            turn=self.count,
            status=result.status,
            text=result.text,
            responses=result.responses,
            tool_calls=len(turn.calls),
            first_output_seconds=result.first_output_seconds,
            seconds=result.seconds,
            usage=result.usage,
            cost_usd=result.cost_usd,
        )

    def arrived(self, event: TurnCompleted, error: AgentkitError | None = None) -> None:
        """Hand a turn to who waits for it, with the text that the layers have left; ``error`` where one has failed."""
        told = self._told.pop(event.turn, None)
        if told is None:
            return
        result, tokens, failure = told
        if event.text != result.text:
            result = replace(result, text=event.text)
        for token in tokens:
            waiter = self._waiters.pop(token, None)
            if waiter is not None:
                waiter.finish(result, error or failure)

    def fail(self, error: AgentkitError) -> None:
        """The session is over: no turn will end any more."""
        self._calls.clear()
        self._told.clear()
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters.values():
            waiter.finish(None, error)


class TurnWaiter:
    """One caller that waits for a turn."""

    def __init__(self, turns: Turns, token: str) -> None:
        self._turns = turns
        self._token = token
        self._done = anyio.Event()
        self._result: Turn | None = None
        self._error: BaseException | None = None

    def finish(self, result: Turn | None, error: BaseException | None) -> None:
        """Let the caller go on."""
        self._result = result
        self._error = error
        self._done.set()

    async def wait(self) -> Turn:
        """Wait for the turn's end."""
        try:
            await self._done.wait()
        finally:
            self._turns.forget(self._token)
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result
