"""Runs the calls that the core announces: layers around the body, one run per call id, one output per call."""

import logging
import math
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import anyio
import msgspec
from anyio.lowlevel import EventLoopToken, current_token

from agentkit.errors import LocalProtocolError, ToolArgumentsError
from agentkit.events import (
    FunctionTool,
    Notice,
    SessionEvent,
    ToolCallPending,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from agentkit.middleware import NextCall
from agentkit.protocol import Reply, StartTool
from agentkit.session.approvals import Approvals
from agentkit.session.call_tasks import GRACE_SECONDS
from agentkit.session.called import (
    Outcome,
    Run,
    RunningCall,
    in_words,
    settled_result,
    shown_progress,
    without_secrets,
)
from agentkit.session.clock import clock
from agentkit.tools import Progress, Reporter, Tool, ToolCall, ToolContext, ToolResult
from agentkit.tools.running import longest
from agentkit.tools.secrets import canonical, masked, secret_values

logger = logging.getLogger("agentkit.session")

CONTEXT_SECONDS = 2.0
"""How often the model is told of a call's progress at most; what comes between is for the application only."""
ANSWERED = "its call was answered without it"
"""What a layer gets that goes on with a call which was given up."""
OVERDUE = "overdue "
"""How the timers' names begin that watch bodies which do not let themselves be cancelled."""


class Calls:
    """The calls of a session: ``session.calls`` lists and cancels those that run."""

    def __init__(
        self,
        tools: dict[str, "Tool[..., object] | FunctionTool"],
        *,
        emit: Callable[[SessionEvent], Awaitable[None]],
        emit_soon: Callable[[SessionEvent], None],
        context: Callable[[ToolCall, Reporter], ToolContext],
        begun: Callable[[str], Awaitable[None]],
        finished: Callable[[ToolFinished, Outcome], Awaitable[None]],
        timer: Callable[[str, float], None],
        timeout: float,
        at_once: int,
        declared: Callable[[], set[str]],
        approvals: Approvals,
        say: Callable[[str], None],
        tell: Callable[[str], Awaitable[None]],
        start_soon: Callable[..., None],
    ) -> None:
        self.offered: set[str] = set()
        """Names that were ever ours: a declaration of another name is somebody else's."""
        self._secret_names: frozenset[str] = frozenset()
        """The secret arguments of all tools that were ever ours."""
        self.not_begun: ToolResult | None = None
        """What a call comes to whose body has not begun; None where it may begin."""
        self.tools = tools
        self._declared = declared
        self._emit = emit
        self._emit_soon = emit_soon
        self._context = context
        self._begun = begun
        self._finished = finished
        self._timer = timer
        self._timeout = timeout
        self._approvals = approvals
        self._say = say
        self._tell = tell
        self._start_soon = start_soon
        self._runs: dict[str, Run] = {}
        self._around: NextCall = self._body
        self._checked: NextCall = self._decide
        self._limiter = anyio.Semaphore(at_once, fast_acquire=True)
        self._limiters: dict[str, tuple[int, anyio.Semaphore]] = {}
        self._now = clock()
        self._token: EventLoopToken | None = None

    @property
    def tools(self) -> "dict[str, Tool[..., object] | FunctionTool]":
        """The session's tools by name."""
        return self._tools

    @tools.setter
    def tools(self, tools: "dict[str, Tool[..., object] | FunctionTool]") -> None:
        self._tools = tools
        self.offered |= tools.keys()
        self._secret_names = self._secret_names.union(
            *(tool.policy.secret for tool in tools.values() if isinstance(tool, Tool))
        )

    def _shown(self, run: Run) -> str:
        """Return what is shown of a call's arguments: of an unknown tool, nothing that any tool keeps secret."""
        raw = run.call.raw_arguments
        if run.tool is not None:
            return run.tool.masked(raw)
        return masked(raw, self._secret_names, ()) if self._secret_names else raw

    # For applications

    @property
    def running(self) -> tuple[RunningCall, ...]:
        """The calls that have begun and have no result yet, oldest first."""
        now = self._now()
        waiting = {request.call_id for request in self._approvals.pending}
        return tuple(
            RunningCall(
                call_id=call_id,
                name=run.call.name,
                arguments=self._shown(run),
                seconds=now - run.began,
                background=run.background,
                awaits_approval=call_id in waiting,
                progress=run.progress,
            )
            for call_id, run in self._runs.items()
        )

    def cancel(self, call_id: str, reason: str = "") -> None:
        """Give a call up; the model is told so, and why.

        An async body is cancelled; a plain function goes on in its thread, and its result is dropped.

        Raises:
            LocalProtocolError: No such call runs.
        """
        run = self._runs.get(call_id)
        if run is None:
            raise LocalProtocolError(f"no call {call_id!r} runs; running: {', '.join(self._runs) or 'none'}")
        self._cancel(run, reason or "the application gave it up")

    # For the engine

    def definitions(self, *, examples: bool) -> tuple[FunctionTool, ...]:
        """Return the tools as the model sees them.

        Args:
            examples: Whether a tool's example phrases go along, as the keyword ``examples`` of its parameters' schema.
        """
        return tuple(
            tool if isinstance(tool, FunctionTool) else _definition(tool, examples=examples)
            for tool in self.tools.values()
        )

    def _elsewhere(self, name: str) -> bool:
        """Tell whether a tool is somebody else's: declared in the session, but not by us."""
        return name not in self.offered and name in self._declared()

    def wrap(self, around: Callable[[NextCall], NextCall], guards: Callable[[NextCall], NextCall]) -> None:
        """Put the layers around every call; edited arguments pass the guards once more."""
        self._around = around(self._body)
        self._checked = guards(self._decide)

    def begin(self, start: StartTool) -> Callable[[], Coroutine[Any, Any, None]]:
        """Enter a call, and return what runs it and hands its outcome on."""
        call = ToolCall(
            call_id=start.call_id,
            name=start.name,
            raw_arguments=start.arguments,
            item_id=start.item_id,
            response_id=start.response_id,
        )
        found = self.tools.get(call.name)
        if isinstance(found, FunctionTool) or self._elsewhere(call.name):
            pending = ToolCallPending(call_id=call.call_id, name=call.name, arguments=call.raw_arguments)
            return partial(self._hand_over, pending)
        run = self._runs[call.call_id] = Run(call, found, self._now())
        return partial(self._run, run)

    async def _hand_over(self, pending: ToolCallPending) -> None:
        """Leave a call to the application, which has to answer it."""
        await self._emit(pending)

    async def _run(self, run: Run) -> None:
        call = run.call
        result: ToolResult | None = None
        try:
            with run.scope:
                await self._emit(
                    ToolStarted(
                        call_id=call.call_id,
                        name=call.name,
                        arguments=self._shown(run),
                        background=run.background,
                        where=run.where,
                    )
                )
                if run.tool is not None and run.background:
                    await self._begun(call.call_id)
                    if run.tool.policy.filler is not None:
                        self._say(run.tool.policy.filler)
                result = await self._around(call)
        except Exception as exc:  # isolation boundary of tool bodies: a call is answered, come what may
            logger.error("the call of %s failed outside of its body: %s", call.name, type(exc).__name__)
            logger.debug("where it failed", exc_info=exc)
            result = ToolResult.failed(f"{call.name} could not be run", error=exc)
        await self._conclude(run, result or ToolResult.cancelled(run.cancelled or ""))

    async def _conclude(self, run: Run, result: ToolResult) -> None:
        """Hand a call's result on, once."""
        if run.concluded:
            logger.info("the result of tool %s came after its call was answered", run.call.name)
            return
        if run.reporter is not None:
            run.reporter.closed = True
        try:
            await self._report(run)
        except Exception as exc:  # noqa: BLE001  # isolation boundary of tool bodies: progress is the tool's, and the call is answered
            logger.error("the progress of tool %s could not be told: %s", run.call.name, type(exc).__name__)
        run.concluded = True
        del self._runs[run.call.call_id]
        shown = without_secrets(run, result)
        finished = ToolFinished(
            call_id=run.call.call_id,
            name=run.call.name,
            output=shown.output,
            status=result.status,
            result=shown.value,
            error=shown.error,
            seconds=self._now() - run.began,
            background=run.background,
            where=run.where,
        )
        reply: Reply = "silent" if run.quiet else run.tool.policy.reply if run.tool is not None else "wait"
        outcome = Outcome(output=result.output, reply=reply, invalid=result.status == "invalid")
        await self._finished(finished, outcome)

    def interrupted(self, call_id: str) -> None:
        """The user has cut the agent off while this call runs: its tool's policy says what becomes of it."""
        run = self._runs.get(call_id)
        if run is None or run.tool is None:
            return
        if run.tool.policy.on_interrupt == "cancel":
            self._cancel(run, "the user interrupted")
        elif run.tool.policy.on_interrupt == "finish_silently":
            run.quiet = True

    def give_up(self) -> None:
        """The session is over: every call is cancelled."""
        for run in self._runs.values():
            run.cancelled = "the session has ended"
            run.scope.cancel()

    def _cancel(self, run: Run, reason: str) -> None:
        run.cancelled = reason
        run.scope.cancel()
        self._watch(run, 0)

    def _watch(self, run: Run, seconds: float) -> None:
        """See to it that a call is answered, though its body should not end when it is cancelled."""
        run.allowed = seconds
        run.deadline = self._now() + seconds + GRACE_SECONDS
        self._timer(f"{OVERDUE}{run.call.call_id}", seconds + GRACE_SECONDS)

    async def overdue(self, call_id: str) -> None:
        """Answer a call whose body does not let itself be cancelled, and leave it."""
        run = self._runs.get(call_id)
        if run is None or run.deadline is None or self._now() < run.deadline:
            return
        if self._now() - run.deadline > GRACE_SECONDS:  # the event loop was held up, and so was the body
            self._watch(run, run.allowed)
            return
        name = run.call.name
        run.free()
        run.scope.cancel()  # it must not be run again, nor outlive the session, should it end after all
        logger.warning("tool %s does not let itself be cancelled; it is abandoned, and runs on", name)
        message = f"tool {name} does not end though it was cancelled; its call was answered without it"
        self._emit_soon(Notice(code="tool_abandoned", message=message))
        if run.cancelled is not None:
            result = ToolResult.cancelled(run.cancelled)
        else:
            result = ToolResult.timed_out(name, self._seconds(run.tool))
        await self._conclude(run, result)

    def _seconds(self, tool: "Tool[..., object] | None") -> float:
        own = tool.policy.timeout if tool is not None else None
        return self._timeout if own is None else own

    async def _body(self, call: ToolCall) -> ToolResult:
        """Decide about a call that has passed the layers, one after the other where a layer asks at once."""
        run = self._runs.get(call.call_id)
        if run is None:
            return ToolResult.cancelled(ANSWERED)
        async with run.deciding:
            return await self._decide(call)

    async def _decide(self, call: ToolCall) -> ToolResult:
        """Run the tool, after asking for approval where its policy says so."""
        run = self._runs.get(call.call_id)
        if run is None:
            return ToolResult.cancelled(ANSWERED)
        tool = self.tools.get(call.name) if call.name != run.call.name else run.tool
        if not isinstance(tool, Tool):
            unknown = ToolResult.unknown(call.name, self.tools)
            logger.warning("the model called an %s", unknown.output)
            self._emit_soon(Notice(code="unknown_tool", message=f"the model called an {unknown.output}"))
            return unknown
        if tool is not run.tool or call.raw_arguments != run.call.raw_arguments:  # by a layer's will, or a person's
            run.tool = tool
            run.secrets += secret_values(call.raw_arguments, tool.policy.secret)
        try:
            arguments = tool.bind(call.raw_arguments)
        except ToolArgumentsError as error:
            return ToolResult.invalid(error)
        if (settled := settled_result(run, tool)) is not None:
            return settled
        approval = tool.policy.approval
        if approval is not None and not self._approvals.covers(call, tool):
            key = (call.name, canonical(call.raw_arguments))
            if (refusal := run.refusals.get(key)) is not None:
                return refusal
            decision = await self._approvals.ask(call, tool, approval)
            if not decision.approved:
                refusal = run.refusals[key] = ToolResult.refused(decision.reason or "a person has refused it")
                return refusal
            if decision.arguments is not None:
                return await self._checked(msgspec.structs.replace(call, raw_arguments=decision.arguments))
        async with run.running:
            return await self._once(run, tool, call, arguments)

    async def _once(
        self, run: Run, tool: "Tool[..., object]", call: ToolCall, arguments: dict[str, object]
    ) -> ToolResult:
        """Run the body, once: who asks again gets the same result, unless the tool may be repeated."""
        if (settled := settled_result(run, tool)) is not None:
            return settled
        if run.body_begun and not tool.policy.repeatable:
            return ToolResult.cancelled("it was given up while it ran; whether it was done is not known")
        for slots in (self._limiter_of(tool), self._limiter):
            if slots is not None:
                await slots.acquire()
                run.slots.append(slots)
        if self.not_begun is not None:
            run.free()
            return self.not_begun
        run.body_begun = True
        try:
            run.result = await self._run_body(run, tool, call, arguments)
        finally:
            run.free()
        return run.result

    async def _run_body(
        self, run: Run, tool: "Tool[..., object]", call: ToolCall, arguments: dict[str, object]
    ) -> ToolResult:
        if self._token is None:
            self._token = current_token()
        reporter = run.reporter = Reporter(partial(self._progressed, run), self._token)
        context = self._context(call, reporter)
        seconds = self._seconds(tool)
        if tool.is_async and seconds < math.inf:
            self._watch(run, longest(seconds, tool.policy.retries))
        try:
            return await tool.run_bound(arguments, context, default_timeout=self._timeout, secrets=run.secrets)
        finally:
            reporter.closed = True
            if run.cancelled is None:
                run.deadline = None

    def _limiter_of(self, tool: "Tool[..., object]") -> anyio.Semaphore | None:
        limit = tool.policy.concurrency
        if limit is None:
            return None
        known = self._limiters.get(tool.name)
        if known is None or known[0] != limit:
            known = self._limiters[tool.name] = (limit, anyio.Semaphore(limit, fast_acquire=True))
        return known[1]

    def _progressed(self, run: Run, progress: Progress) -> None:
        run.progress = progress
        run.reports.append(progress)
        self._start_soon(self._report, run)

    async def _report(self, run: Run) -> None:
        """Tell what a call has told of its progress, in order, and before its result."""
        while run.reports:
            progress = shown_progress(run, run.reports.popleft())
            now = self._now()
            if run.in_context and now >= run.next_in_context:
                run.next_in_context = now + CONTEXT_SECONDS
                await self._tell(in_words(run.call, progress))
            await self._emit(
                ToolProgress(
                    call_id=run.call.call_id,
                    name=run.call.name,
                    message=progress.message,
                    done=progress.done,
                    partial=progress.partial,
                )
            )


def _definition(tool: "Tool[..., object]", *, examples: bool) -> FunctionTool:
    parameters = tool.parameters
    if examples and tool.examples:
        parameters = {**parameters, "examples": list(tool.examples)}
    return FunctionTool(name=tool.name, description=tool.description, parameters=parameters)
