"""The limits of a session: what it costs, when one is reached, and how it ends then.

Rule: once a limit is reached nothing new begins. What the server has begun before may end, calls that run are given up
with the session, and the one response that is asked for is the goodbye.
"""

import logging
from typing import Final

import anyio
import anyio.abc

from agentkit.errors import AgentkitError, SessionClosedError, ToolError
from agentkit.events import (
    ClientEvent,
    ConversationItemCreate,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    MessageItem,
    Notice,
    Response,
    ResponseCreate,
    ResponseSettings,
    Settings,
    ToolFinished,
)
from agentkit.protocol import AskForServer, Effect, Propose, StartTool
from agentkit.session.activity import Activity
from agentkit.session.called import Outcome
from agentkit.session.reconnecting import Connections
from agentkit.session.tooling import SAY
from agentkit.tools import ToolResult

logger = logging.getLogger("agentkit.session")

GOODBYE_SECONDS: Final = 20.0
"""How long a goodbye may take at most: until what is being said is over, and until it was said and heard."""
GOODBYE: Final = (
    "The conversation has to end now. Say goodbye to the user in one short sentence, in the language of the "
    "conversation; ask nothing, and begin nothing new."
)
"""How the agent is asked for a goodbye in its own words."""
LOOK_SECONDS: Final = 1.0
"""How often is looked at what lasts for longer than a session may be idle."""
HEARD_SECONDS: Final = 0.1
"""How often is looked whether a goodbye was heard out."""
ENDS: Final = "the session ends"
NOT_RUN: Final = f'{{"error": "not run: {ENDS}"}}'


class Limiting(Connections):
    """Counts, watches the clock, and ends the session where a limit is reached."""

    _activity: Activity | None = None
    """Where somebody has to know."""
    _cost = 0.0
    _reached = False
    """Whether a limit was reached."""
    _goodbye: str | None = None
    """Event id of the ``response.create`` of the goodbye."""
    _begun_before: frozenset[str] = frozenset()
    """Responses that the server had begun when the limit was reached."""

    @property
    def limit_reached(self) -> bool:
        """Whether a limit was reached: nothing new begins, and the session has ended, or soon does."""
        return self._reached

    def touch(self) -> None:
        """Begin the idle clock anew, for what a session cannot see by itself, as a user who types."""
        if self._activity is not None:
            self._activity.note()

    @property
    def cost(self) -> float | None:
        """What the session has cost so far, in US dollars; None without ``rates`` among its limits.

        It is counted by what the server tells of each response when that is over: also of one that was cancelled, has
        failed, or is beside the conversation, where the server tells its tokens. Not counted is what has rates of its
        own, such as transcription and tools that the server runs, and a response that was lost with its connection.
        """
        return self._cost if self._limits.rates is not None else None

    def watch_limits(self, tasks: anyio.abc.TaskGroup) -> None:
        """Let the clocks of the limits run."""
        limits = self._limits
        if limits.idle_time is not None or limits.on_limit == "say_goodbye":
            self._activity = Activity(
                self._core, self.playback, self._now, lambda: bool(self._server_calls or self.approvals.pending)
            )
            self._look_out = self._activity.went
        if limits.session_time is not None:
            tasks.start_soon(self._end_after, limits.session_time)
        if limits.idle_time is not None and self._activity is not None:
            tasks.start_soon(self._end_idle, limits.idle_time, self._activity)

    async def _end_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        self._reach(f"the session has lasted {seconds:g} s, its limit (limits.session_time)")

    async def _end_idle(self, seconds: float, activity: Activity) -> None:
        while True:
            if activity.lasts:
                activity.note()
                await anyio.sleep(min(seconds, LOOK_SECONDS))
                continue
            left = activity.last + seconds - self._now()
            if left <= 0:
                break
            await anyio.sleep(left)
        self._reach(f"nothing was said or done for {seconds:g} s, the session's limit (limits.idle_time)")

    async def _timer(self, name: str) -> None:
        activity = self._activity
        lasted = activity is not None and activity.lasts
        await super()._timer(name)
        if activity is not None and lasted and not activity.lasts:  # what nobody waits for any more is over now
            activity.note()

    def _count(self, response: Response) -> None:
        """Count what a response has cost that is over."""
        rates, limit = self._limits.rates, self._limits.cost_usd
        if rates is None or response.usage is None:
            return
        self._cost += rates.cost(response.usage)
        if limit is not None and self._cost >= limit:
            self._reach(f"the session has cost ${self._cost:.4g}, and its limit is ${limit:g} (limits.cost_usd)")

    def _after_turn(self) -> None:
        limit = self._limits.turns
        if limit is not None and self._turns.count >= limit:
            said = "1 turn is" if limit == 1 else f"{limit} turns are"
            self._reach(f"{said} over, the session's limit (limits.turns)")
        if not self._reached:
            self.end_if_quiet()

    # A limit is reached

    def _reach(self, message: str) -> None:
        """End the session because of a limit; from now on nothing new begins."""
        if self._reached or self.ended is not None:
            return
        self._reached = self._fatal = True  # nor is another connection worth a try
        self._look_out = self._refuse_new
        self.calls.not_begun = ToolResult(output=NOT_RUN, status="cancelled", error=ToolError(f"not run: {ENDS}"))
        self.approvals.give_up(ENDS)
        responses = self._core.responses
        self._begun_before = frozenset(responses.active)
        notice = Notice(code="limit", message=message)
        if not self._can_say_goodbye():
            self.start_soon(self._close, notice)
            return
        self._goodbye = self._core.next_id()
        effects = responses.stop_asking()
        if self._core.input.pending:
            effects.append(Propose(InputAudioBufferClear()))
        effects += responses.listening(creates=False, detects=False)  # the goodbye waits for nobody
        self.start_soon(self._close_after_goodbye, notice, effects, self._goodbye)

    def _can_say_goodbye(self) -> bool:
        return (
            self._limits.on_limit == "say_goodbye"
            and self._ending is None
            and self._transport is not None
            and not self._core.recovery.away
            and isinstance(self._core.settings.confirmed, Settings)  # a transcription session has no responses
        )

    async def _close(self, notice: Notice) -> None:
        await self._emit(notice)
        await self._end("limit", None)

    async def _close_after_goodbye(self, notice: Notice, effects: list[Effect], token: str) -> None:
        try:
            with anyio.move_on_after(GOODBYE_SECONDS):
                await self._emit(notice)
                await self._apply(effects)
                await self._say_goodbye(token)
        finally:
            await self._end("limit", None)

    async def _say_goodbye(self, token: str) -> None:
        """Let the agent say goodbye, once what it is saying is over, and wait until it was heard."""
        words = self._limits.goodbye
        settings = ResponseSettings(instructions=GOODBYE if words is None else f"{SAY}{words}", tool_choice="none")
        waiter = self._turns.expect(token)
        await self._apply(self._core.respond(token, settings, commit=False))
        try:
            await waiter.wait()
        except AgentkitError as exc:
            level = logging.WARNING if self.ended is None else logging.INFO  # who has closed the session knows
            logger.log(level, "the goodbye was not said: %s", exc)
            return
        activity = self._activity
        while activity is not None and not activity.heard_out:  # noqa: ASYNC110  # no event tells what was heard
            await anyio.sleep(HEARD_SECONDS)

    def _is_goodbye(self, event_id: str | None) -> bool:
        return self._goodbye is not None and event_id == self._goodbye

    def _refuse_new(self, event: ClientEvent) -> None:
        """Refuse what would begin something.

        Raises:
            SessionClosedError: It would.
        """
        new = isinstance(event, InputAudioBufferAppend | InputAudioBufferCommit)
        new = new or (isinstance(event, ResponseCreate) and not self._is_goodbye(event.event_id))
        if new or (isinstance(event, ConversationItemCreate) and isinstance(event.item, MessageItem)):
            raise SessionClosedError("the session has reached a limit and ends; open a new one to go on")

    async def _stop_new(self) -> None:
        """Stop what the server has begun by itself, or in answer to what was asked for before."""
        for response in list(self._core.responses.active.values()):
            asked = response.wanted.token if response.wanted is not None else None
            if response.id not in self._begun_before and not self._is_goodbye(asked):
                await self._apply(self._core.cancel(response.id))

    async def _propose(self, event: ClientEvent) -> None:
        if self._reached and isinstance(event, ResponseCreate) and not self._is_goodbye(event.event_id):
            await self._apply(self._core.responses.withdraw(event))
        else:
            await super()._propose(event)

    def _outbound_failed(self, event: ClientEvent, error: AgentkitError) -> None:
        if not self._reached:
            super()._outbound_failed(event, error)
        elif isinstance(event, ResponseCreate) and not self._is_goodbye(event.event_id):
            self.start_soon(self._apply, self._core.responses.withdraw(event))
        elif error is not self._told:
            self.start_soon(self._apply, self._core.dropped(event, error))

    def _start_tool(self, start: StartTool) -> None:
        if self._reached:
            self.start_soon(self._apply, self._core.finish_call(start.call_id, NOT_RUN, reply="silent"))
        else:
            super()._start_tool(start)

    async def _ask_for_server(self, ask: AskForServer) -> None:
        if self._reached:
            await self._apply(self._core.decided(ask.item_id, approved=False, reason=ENDS))
        else:
            await super()._ask_for_server(ask)

    async def _call_finished(self, finished: ToolFinished, outcome: Outcome) -> None:
        if self._reached:
            outcome = Outcome(output=outcome.output, reply="silent", invalid=outcome.invalid)
        if self._activity is not None:
            self._activity.note()
        await super()._call_finished(finished, outcome)

    def end_if_quiet(self) -> None:
        if not self._reached:
            super().end_if_quiet()
