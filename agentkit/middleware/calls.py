"""The layers around a tool call.

Rule: a call is answered, whatever a layer does. How long a layer takes is not limited: it may wait for a person.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentkit.middleware.base import NextCall
from agentkit.middleware.faults import as_fault, is_stray
from agentkit.tools import ToolCall, ToolResult

if TYPE_CHECKING:
    from agentkit.middleware.chain import Health


def around(states: "Sequence[Health]", body: NextCall) -> NextCall:
    """Return ``body`` with the ``wrap_tool_call`` of these layers around it, the first outermost."""
    following = body
    for state in reversed(states):
        following = CallLink(state, following).run
    return following


class CallLink:
    """One layer's ``wrap_tool_call`` and what comes after it."""

    __slots__ = ("following", "state")

    def __init__(self, state: "Health", following: NextCall) -> None:
        self.state = state
        self.following = following

    async def run(self, call: ToolCall) -> ToolResult:
        """Take a call through this layer and those after it."""
        state = self.state
        if state.off:
            return await self.following(call)
        result: ToolResult | None = None
        beyond: BaseException | None = None

        async def call_next(passed: ToolCall) -> ToolResult:
            nonlocal result, beyond
            if not isinstance(passed, ToolCall) or passed.call_id != call.call_id:
                raise TypeError("call_next takes the ToolCall, or a changed copy with the same call_id")
            try:
                result = await self.following(passed)
            except BaseException as exc:
                beyond = exc
                raise
            beyond = None
            return result

        try:
            changed = await state.layer.wrap_tool_call(call, call_next)
            if not isinstance(changed, ToolResult):
                raise TypeError(f"wrap_tool_call returned {type(changed).__name__}, not a ToolResult")
        except BaseException as caught:  # isolation boundary: one layer's fault must still give the call an answer
            if caught is beyond or not (isinstance(caught, Exception) or is_stray(caught)):
                raise
            state.failed(call, as_fault(caught))
            if beyond is not None and not is_stray(beyond):
                raise beyond from None
            if state.layer.critical:
                return ToolResult.refused(f"{state.layer.name} could not check this call")
            return result if result is not None else await self.following(call)
        state.failures = 0
        return changed
