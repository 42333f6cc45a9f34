"""Runs the calls that the core announces: layers around the body, one run per call id, one output per call."""

import logging
from collections.abc import Awaitable, Callable

import anyio

from agentkit.events import FunctionTool, SessionEvent, ToolCallPending, ToolFinished, ToolStarted
from agentkit.middleware import NextCall
from agentkit.protocol import StartTool
from agentkit.session.clock import clock
from agentkit.tools import Tool, ToolCall, ToolContext, ToolResult

logger = logging.getLogger("agentkit.session")


class Calls:
    """The tools of a session and the calls that run."""

    def __init__(
        self,
        tools: dict[str, "Tool[..., object] | FunctionTool"],
        *,
        emit: Callable[[SessionEvent], Awaitable[None]],
        context: Callable[[ToolCall], ToolContext],
        finished: Callable[[ToolFinished], None],
        timeout: float,
        declared: Callable[[], set[str]],
    ) -> None:
        self.tools = tools
        self.offered = set(tools)
        """Names that were ever ours: a declaration of another name is somebody else's."""
        self._declared = declared
        self._emit = emit
        self._context = context
        self._finished = finished
        self._timeout = timeout
        self._results: dict[str, ToolResult] = {}
        self._cancellable: dict[str, anyio.CancelScope] = {}
        self._around: NextCall = self._body
        self._now = clock()
        self.running: set[str] = set()
        """Call ids of the calls that run."""

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

    def wrap(self, around: Callable[[NextCall], NextCall]) -> None:
        """Put the layers around every call."""
        self._around = around(self._body)

    async def run(self, start: StartTool) -> str | None:
        """Run a call and return its output; None where the application has to answer it."""
        call = ToolCall(
            call_id=start.call_id,
            name=start.name,
            raw_arguments=start.arguments,
            item_id=start.item_id,
            response_id=start.response_id,
        )
        if isinstance(self.tools.get(call.name), FunctionTool) or self._elsewhere(call.name):
            await self._emit(ToolCallPending(call_id=call.call_id, name=call.name, arguments=call.raw_arguments))
            return None
        await self._emit(ToolStarted(call_id=call.call_id, name=call.name, arguments=call.raw_arguments))
        began = self._now()
        self.running.add(call.call_id)
        try:
            result = await self._guarded(call)
        finally:
            self.running.discard(call.call_id)
            self._results.pop(call.call_id, None)
        finished = ToolFinished(
            call_id=call.call_id,
            name=call.name,
            output=result.output,
            status=result.status,
            result=result.value,
            error=result.error,
            seconds=self._now() - began,
        )
        self._finished(finished)
        await self._emit(finished)
        return result.output

    async def _guarded(self, call: ToolCall) -> ToolResult:
        """Run a call through the layers; one that an interruption cancels is answered all the same."""
        tool = self.tools.get(call.name)
        if not isinstance(tool, Tool) or tool.on_interrupt == "finish":
            return await self._around(call)
        with anyio.CancelScope() as scope:
            self._cancellable[call.call_id] = scope
            try:
                return await self._around(call)
            finally:
                del self._cancellable[call.call_id]
        return ToolResult.cancelled("the user interrupted")

    def interrupted(self, call_id: str) -> None:
        """The user has cut the agent off while this call runs: it is cancelled, if its tool says so."""
        scope = self._cancellable.get(call_id)
        if scope is not None:
            scope.cancel()

    async def _body(self, call: ToolCall) -> ToolResult:
        """Run the tool itself; a layer that asks again gets the same result, for a body runs once."""
        known = self._results.get(call.call_id)
        if known is not None:
            return known
        tool = self.tools.get(call.name)
        if isinstance(tool, Tool):
            result = await tool.run(call, self._context(call), default_timeout=self._timeout)
        else:
            result = ToolResult.unknown(call.name, self.tools)
            logger.warning("the model called %r, which is not a tool of this session", call.name)
        self._results[call.call_id] = result
        return result


def _definition(tool: "Tool[..., object]", *, examples: bool) -> FunctionTool:
    parameters = tool.parameters
    if examples and tool.examples:
        parameters = {**parameters, "examples": list(tool.examples)}
    return FunctionTool(name=tool.name, description=tool.description, parameters=parameters)
