"""The tools of a session: how calls reach their bodies, and the server's own calls the application."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, cast

import anyio

from agentkit.errors import ToolError
from agentkit.events import (
    ApprovalRequested,
    FunctionTool,
    InputText,
    MessageItem,
    ResponseSettings,
    SessionEvent,
    ToolFinished,
    ToolStarted,
)
from agentkit.middleware import Middleware
from agentkit.protocol import (
    AskForServer,
    CancelTool,
    Effect,
    ServerCallBegan,
    ServerCallEnded,
    StartTool,
)
from agentkit.session.approvals import Approvals
from agentkit.session.call_tasks import CallTasks
from agentkit.session.called import Outcome
from agentkit.session.calls import OVERDUE, Calls
from agentkit.session.limits import SessionLimits
from agentkit.session.ways import Ways
from agentkit.tools import Reporter, Tool, ToolCall, ToolContext, Toolset
from agentkit.tools.context import SessionHandle
from agentkit.tools.policy import APPROVAL_SECONDS
from agentkit.transports.base import Provider

logger = logging.getLogger("agentkit.session")

SAY = "Say exactly: "
"""How a response is asked to say a text; the embedded server's rules know it too."""


class Tooling(Ways):
    """Runs the calls that the core announces."""

    def __init__(
        self,
        provider: Provider,
        *,
        session_id: str,
        tools: Sequence["Tool[..., object] | FunctionTool"],
        middleware: Sequence[Middleware],
        guards: Sequence[Middleware],
        limits: SessionLimits,
        context: object,
    ) -> None:
        super().__init__(provider, session_id=session_id, middleware=middleware, guards=guards, limits=limits)
        self._data = context
        self.approvals = Approvals(self._emit, self._emit_soon, self._say_soon)
        """The calls that wait for a person's word."""
        self.calls = Calls(
            {tool.name: tool for tool in tools if tool.name},
            emit=self._emit,
            emit_soon=self._emit_soon,
            context=self._tool_context,
            finished=self._call_finished,
            begun=self._call_begun,
            timer=self._timers.start,
            timeout=limits.tool_timeout,
            at_once=limits.tool_calls_at_once,
            declared=self._core.settings.tool_names,
            approvals=self.approvals,
            say=self._say_soon,
            tell=self._tell_model,
            start_soon=self.start_soon,
        )
        """The calls that run."""
        self.calls.wrap(self._chain.around_call, self._chain.around_guards)
        self._call_tasks = CallTasks()
        self._server_calls: dict[str, float] = {}
        """When the tools began that the server runs."""
        self._of_toolsets: dict[Toolset, frozenset[str]] = {}
        """The names of the tools that each toolset gives."""
        self._changed_toolsets: set[Toolset] = set()
        """Toolsets whose change waits to be taken over."""
        self._taking_over = anyio.Lock()

    def _effects_at_once(self) -> dict[type[Effect], Callable[[Any], None]]:
        return {
            **super()._effects_at_once(),
            StartTool: self._start_tool,
            CancelTool: lambda effect: self.calls.interrupted(effect.call_id),
            AskForServer: lambda effect: self.start_soon(self._ask_for_server, effect),
        }

    async def _apply_one(self, effect: Effect) -> None:
        match effect:
            case ServerCallBegan():
                await self._server_call_began(effect)
            case ServerCallEnded():
                await self._server_call_ended(effect)
            case _:
                await super()._apply_one(effect)

    async def _timer(self, name: str) -> None:
        if name.startswith(OVERDUE):
            await self.calls.overdue(name.removeprefix(OVERDUE))
        else:
            await super()._timer(name)

    def _start_tool(self, start: StartTool) -> None:
        if self.ended is None and self._tasks is not None:
            self._call_tasks.start(start.name, self.calls.begin(start))

    async def _call_begun(self, call_id: str) -> None:
        """A call begins whose turn goes on without it."""
        await self._apply(self._core.detach_call(call_id))

    async def _call_finished(self, finished: ToolFinished, outcome: Outcome) -> None:
        if self.ended is not None:
            logger.info("the result of tool %s came after the session had ended; it is dropped", finished.name)
            return
        self._turns.tool_finished(finished)
        await self._emit(finished)
        if self.ended is None:
            effects = self._core.finish_call(
                finished.call_id, outcome.output, reply=outcome.reply, invalid=outcome.invalid
            )
            await self._apply(effects)
            self.end_if_quiet()

    # Tools that the server runs

    async def _ask_for_server(self, ask: AskForServer) -> None:
        request = ApprovalRequested(
            call_id=ask.item_id,
            name=ask.name,
            arguments=ask.arguments,
            seconds=APPROVAL_SECONDS,
            server_label=ask.server_label,
        )
        decision = await self.approvals.ask_for_server(request)
        if self.ended is None:
            effects = self._core.decided(ask.item_id, approved=decision.approved, reason=decision.reason)
            await self._apply(effects)

    async def _server_call_began(self, began: ServerCallBegan) -> None:
        self._server_calls[began.item_id] = self._now()
        await self._emit(ToolStarted(call_id=began.item_id, name=began.name, arguments=began.arguments))

    async def _server_call_ended(self, ended: ServerCallEnded) -> None:
        now = self._now()
        finished = ToolFinished(
            call_id=ended.item_id,
            name=ended.name,
            output=ended.output if ended.error is None else ended.error,
            status="ok" if ended.error is None else "error",
            result=ended.output if ended.error is None else None,
            error=None if ended.error is None else ToolError(ended.error),
            seconds=now - self._server_calls.pop(ended.item_id, now),
        )
        self._turns.tool_finished(finished)
        await self._emit(finished)

    def _tool_context(self, call: ToolCall, reporter: Reporter) -> ToolContext:
        # The engine is always a Session, which has what tools may use; the class itself is above this module.
        return ToolContext(
            call=call,
            session=cast("SessionHandle", self),
            data=self._data,
            idempotency_key=f"{self.id}:{call.call_id}",
            reporter=reporter,
        )

    def _emit_soon(self, event: SessionEvent) -> None:
        if self.ended is None:
            self.start_soon(self._emit, event)

    def _say_soon(self, text: str) -> None:
        """Let the agent say a text, without waiting for it."""
        settings = ResponseSettings(instructions=f"{SAY}{text}", tool_choice="none")
        self.start_soon(self._apply, self._core.respond(self._core.next_id(), settings, commit=False))

    async def _tell_model(self, text: str) -> None:
        """Let the model know something that nobody has said."""
        item = MessageItem(role="system", content=(InputText(text=text),))
        await self._apply(self._core.send_item(item))
