"""The watchdog: tells what takes too long, how long it has been, why, and what can be done.

Rule: it only watches and tells; cutting off what hangs is for timeouts and limits.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import anyio
from msgspec import UNSET

from agentkit import Middleware, Next, Settings, TurnDetection, on
from agentkit.events import (
    ApprovalDecided,
    ApprovalRequested,
    ConversationItemCreate,
    FunctionCallOutputItem,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    Interrupted,
    ResponseCreate,
    ResponseCreated,
    ResponseDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputTextDelta,
    SessionEnded,
    ToolCallPending,
    ToolFinished,
    ToolStarted,
    TurnCompleted,
)
from agentkit.session.clock import clock
from agentkit_observe.configs import WatchdogConfig
from agentkit_observe.lag import LagWatch

SHORTER = "give it a shorter timeout, or background: true so that the agent speaks meanwhile"


_Delta: TypeAlias = ResponseOutputTextDelta | ResponseOutputAudioTranscriptDelta | ResponseOutputAudioDelta


class Watchdog(Middleware):
    """Tell by notices what takes too long: ``no_reply``, ``slow_tool`` and ``loop_lag``.

    A layer of another plugin that is slow is told of by the session itself.
    """

    def __init__(self, config: WatchdogConfig | None = None) -> None:
        """Make the layer.

        Args:
            config: Its options.
        """
        self._config = config or WatchdogConfig()
        self._now: Callable[[], float] = anyio.current_time
        self._since: float | None = None
        """When a reply was due from; None where none is."""
        self._round = 0
        """Counts the waits, so that a timer knows whether its own is over."""
        self._told = ""
        """The cause of which this wait was told last."""
        self._active: dict[str, float] = {}
        """Responses that say nothing yet, and when they began."""
        self._tools: dict[str, tuple[str, float]] = {}
        """By call: the tool, and since when it runs; calls in the background, for which nobody waits, aside."""
        self._approvals: dict[str, tuple[str, float]] = {}
        self._pending: dict[str, str] = {}
        """By call: the tool whose call the application has to answer."""
        self._blocked = 0.0
        """Seconds for which the event loop was blocked so far."""
        self._lags: dict[str, float] = {}
        """By place: when it was told of."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the event loop, too."""
        self._now = clock()
        if self._config.loop_lag is None:
            yield
            return
        watch = LagWatch(self._config.loop_lag, self._lagged)
        self.session.start_soon(watch.run)
        try:
            yield
        finally:
            watch.close()

    # The reply

    @on(InputAudioBufferSpeechStopped)
    async def speech_stopped(
        self, event: InputAudioBufferSpeechStopped, call_next: Next[InputAudioBufferSpeechStopped]
    ) -> None:
        """Expect a reply, where the server makes one by itself."""
        if self._server_answers():
            self._expect()
        await call_next(event)

    @on(ResponseCreate)
    async def asked(self, event: ResponseCreate, call_next: Next[ResponseCreate]) -> None:
        """Expect a reply; one that is expected already is not later for being asked for."""
        if self._since is None:
            self._expect()
        await call_next(event)

    @on(InputAudioBufferSpeechStarted)
    async def speech_started(
        self, event: InputAudioBufferSpeechStarted, call_next: Next[InputAudioBufferSpeechStarted]
    ) -> None:
        """Expect nothing while the user speaks."""
        self._satisfied()
        await call_next(event)

    @on(Interrupted)
    async def interrupted(self, event: Interrupted, call_next: Next[Interrupted]) -> None:
        """Expect nothing of an agent that was cut off."""
        self._satisfied()
        await call_next(event)

    @on(ResponseCreated)
    async def response_created(self, event: ResponseCreated, call_next: Next[ResponseCreated]) -> None:
        """Note a response."""
        self._active[event.response.id or ""] = self._now()
        await call_next(event)

    @on(ResponseDone)
    async def response_done(self, event: ResponseDone, call_next: Next[ResponseDone]) -> None:
        """Note its end."""
        self._active.pop(event.response.id or "", None)
        await call_next(event)

    @on(ResponseOutputTextDelta, ResponseOutputAudioTranscriptDelta, ResponseOutputAudioDelta)
    async def replied(self, event: _Delta, call_next: Next[_Delta]) -> None:
        """The agent replies."""
        self._replied(event.response_id)
        await call_next(event)

    @on(TurnCompleted)
    async def turn_completed(self, event: TurnCompleted, call_next: Next[TurnCompleted]) -> None:
        """Expect nothing more."""
        self._satisfied()
        await call_next(event)

    @on(SessionEnded)
    async def ended(self, event: SessionEnded, call_next: Next[SessionEnded]) -> None:
        """Expect nothing more."""
        self._satisfied()
        self._tools.clear()
        await call_next(event)

    def _server_answers(self) -> bool:
        settings = self.session.settings
        if not isinstance(settings, Settings) or settings.audio is UNSET or settings.audio.input is UNSET:
            return False
        detection = settings.audio.input.turn_detection
        return isinstance(detection, TurnDetection) and detection.create_response is not False

    def _expect(self) -> None:
        self._satisfied()
        if self._config.no_reply is not None:
            self._since = self._now()
            self.session.start_soon(self._wait, self._round, self._config.no_reply)

    def _satisfied(self) -> None:
        self._since = None
        self._told = ""
        self._round += 1

    def _replied(self, response_id: str | None) -> None:
        self._active.pop(response_id or "", None)
        if self._since is not None:
            self._satisfied()

    async def _wait(self, of: int, seconds: float) -> None:
        """Tell each cause once, for as long as the reply does not come."""
        while True:
            await self._sleep(seconds)
            if of != self._round or self._since is None:
                return
            kind, cause, hint = self._cause()
            if kind != self._told:
                self._told = kind
                waited = self._now() - self._since
                self.session.notice("no_reply", f"no reply for {waited:.1f} s: {cause}", hint=hint)

    async def _sleep(self, seconds: float) -> None:
        """Wait, and as much longer as the event loop was blocked: nobody could reply then, and that is told anyway."""
        while seconds > 0:
            before = self._blocked
            await anyio.sleep(seconds)
            seconds = self._blocked - before

    def _cause(self) -> tuple[str, str, str]:
        """Return why there is no reply, as far as it can be known: which it is, in words, and what to do."""
        if self._approvals:
            name, since = next(iter(self._approvals.values()))
            return (
                f"approval {name}",
                f"the call of tool {name} waits for approval, for {self._now() - since:.1f} s",
                "approve or reject it (session.approvals)",
            )
        if self._tools:
            name, since = next(iter(self._tools.values()))
            return f"tool {name}", f"tool {name} is running, for {self._now() - since:.1f} s", SHORTER
        if self._pending:
            name = next(iter(self._pending.values()))
            return f"call {name}", f"the call of {name} waits for the application", "answer it (session.answer)"
        if self._active:
            response_id, since = next(iter(self._active.items()))
            return (
                "response",
                f"response {response_id} is active and has said nothing, for {self._now() - since:.1f} s",
                "the model is slow or stuck: session.cancel() stops the response",
            )
        return (
            "request",
            "the server has not begun a response",
            "look at the connection and at the server's status; a response can be asked for again",
        )

    # Tools

    @on(ToolStarted)
    async def tool_started(self, event: ToolStarted, call_next: Next[ToolStarted]) -> None:
        """Watch a call, unless nobody waits for it."""
        if not event.background:
            self._runs(event.call_id, event.name)
        await call_next(event)

    @on(ToolFinished)
    async def tool_finished(self, event: ToolFinished, call_next: Next[ToolFinished]) -> None:
        """Watch it no longer."""
        self._tools.pop(event.call_id, None)
        self._approvals.pop(event.call_id, None)
        await call_next(event)

    @on(ApprovalRequested)
    async def approval_requested(self, event: ApprovalRequested, call_next: Next[ApprovalRequested]) -> None:
        """Wait for a person: the call does not run."""
        self._approvals[event.call_id] = (event.name, self._now())
        await call_next(event)

    @on(ApprovalDecided)
    async def approval_decided(self, event: ApprovalDecided, call_next: Next[ApprovalDecided]) -> None:
        """The call runs from now on, or never."""
        self._approvals.pop(event.call_id, None)
        if event.call_id in self._tools:
            self._runs(event.call_id, event.name)
        await call_next(event)

    def _runs(self, call_id: str, name: str) -> None:
        run = self._tools[call_id] = (name, self._now())
        if self._config.slow_tool is not None:
            self.session.start_soon(self._watch_tool, call_id, run, self._config.slow_tool)

    async def _watch_tool(self, call_id: str, run: tuple[str, float], seconds: float) -> None:
        await anyio.sleep(seconds)
        if self._tools.get(call_id) is run and call_id not in self._approvals:
            self.session.notice("slow_tool", f"tool {run[0]} has been running for {seconds:g} s", hint=SHORTER)

    @on(ToolCallPending)
    async def pending(self, event: ToolCallPending, call_next: Next[ToolCallPending]) -> None:
        """Note who is waited for."""
        self._pending[event.call_id] = event.name
        await call_next(event)

    @on(ConversationItemCreate)
    async def answered(self, event: ConversationItemCreate, call_next: Next[ConversationItemCreate]) -> None:
        """The application has answered a call."""
        if isinstance(event.item, FunctionCallOutputItem):
            self._pending.pop(event.item.call_id, None)
        await call_next(event)

    # The event loop

    def _lagged(self, seconds: float, place: str) -> None:
        self._blocked += seconds
        now = self._now()
        if now - self._lags.get(place, -self._config.every) < self._config.every:
            return
        self._lags[place] = now
        self.session.notice(
            "loop_lag",
            f"the event loop was blocked for {seconds:.2f} s{', ' + place if place else ''}",
            hint="nothing else could run meanwhile: make a tool that blocks a plain `def`, which runs in a thread, or "
            "use anyio.to_thread.run_sync"
            if place
            else "the machine is busy, or a call that cannot be seen blocked it",
        )
