"""Approvals: calls that wait for a person's word before they run.

Rule: an approval holds for one tool with exactly one set of arguments, and what is changed afterwards is asked for
again. It holds for others only where the person, or the tool's policy, says so, and never for a ``dangerous`` tool.
"""

from collections.abc import Awaitable, Callable, Mapping

import anyio
import msgspec

from agentkit.errors import LocalProtocolError
from agentkit.events import ApprovalDecided, ApprovalRequested, SessionEvent
from agentkit.tools import Approval, Tool, ToolCall
from agentkit.tools.secrets import canonical, unmasked


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an approval."""

    approved: bool
    by: str
    reason: str = ""
    arguments: str | None = None
    """Other arguments, where they were changed."""
    remember: bool = False


class _Pending:
    """One approval that is waited for."""

    def __init__(self, request: ApprovalRequested, tool: "Tool[..., object] | None", call: ToolCall) -> None:
        self.request = request
        self.tool = tool
        self.call = call
        self.decided = anyio.Event()
        self.decision: Decision | None = None

    def decide(self, decision: Decision) -> None:
        self.decision = decision
        self.decided.set()


class Approvals:
    """The approvals of one session: ``session.approvals``."""

    def __init__(
        self,
        emit: Callable[[SessionEvent], Awaitable[None]],
        emit_soon: Callable[[SessionEvent], None],
        say: Callable[[str], None],
    ) -> None:
        self._emit = emit
        self._emit_soon = emit_soon
        self._say = say
        self._pending: dict[str, _Pending] = {}
        self._granted: set[tuple[str, Tool[..., object], str]] = set()
        self._remembered: set[tuple[Tool[..., object], str | None]] = set()
        self.answerable = True
        """Whether anybody can be asked; where not, every request is refused at once."""
        self._given_up: str | None = None
        """Why nothing is asked for any more."""

    @property
    def pending(self) -> tuple[ApprovalRequested, ...]:
        """What waits for a decision, oldest first."""
        return tuple(each.request for each in self._pending.values())

    def approve(
        self, call_id: str, *, arguments: Mapping[str, object] | str | None = None, remember: bool = False
    ) -> None:
        """Let a call run.

        Args:
            call_id: Which call.
            arguments: Other arguments to run it with; ``***`` keeps a secret one as it is. They pass the guards again.
            remember: Do not ask for this tool again in this session; for a ``dangerous`` tool, not for these arguments.

        Raises:
            LocalProtocolError: No such call waits for approval, or it cannot have other arguments.
            ToolArgumentsError: The arguments do not fit the tool; it still waits.
        """
        waiting = self._waiting(call_id)
        changed: str | None = None
        if arguments is not None:
            if waiting.tool is None:
                raise LocalProtocolError(f"the server runs {waiting.request.name}, so its arguments cannot be changed")
            text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
            changed = unmasked(text, waiting.call.raw_arguments, waiting.tool.policy.secret)
            waiting.tool.bind(changed)
            if canonical(changed) == canonical(waiting.call.raw_arguments):
                changed = None
        waiting.decide(Decision(approved=True, by="person", arguments=changed, remember=remember))

    def reject(self, call_id: str, reason: str = "") -> None:
        """Refuse a call; the model is told the reason.

        Raises:
            LocalProtocolError: No such call waits for approval.
        """
        self._waiting(call_id).decide(Decision(approved=False, by="person", reason=reason))

    def _waiting(self, call_id: str) -> _Pending:
        waiting = self._pending.get(call_id)
        if waiting is None or waiting.decision is not None:
            known = ", ".join(self._pending) or "none"
            raise LocalProtocolError(f"no call {call_id!r} waits for approval; waiting: {known}")
        return waiting

    # For the engine

    def give_up(self, reason: str) -> None:
        """Refuse what waits for a decision, and whatever is asked for from now on."""
        self._given_up = reason
        for waiting in self._pending.values():
            if waiting.decision is None:
                waiting.decide(Decision(approved=False, by="cancelled", reason=reason))

    def covers(self, call: ToolCall, tool: "Tool[..., object]") -> bool:
        """Tell whether a call may run: it was approved as it is, or its tool was."""
        arguments = canonical(call.raw_arguments)
        if (call.call_id, tool, arguments) in self._granted or (tool, arguments) in self._remembered:
            return True
        return tool.policy.effects != "dangerous" and (tool, None) in self._remembered

    async def ask(self, call: ToolCall, tool: "Tool[..., object]", approval: Approval) -> Decision:
        """Ask for a call, and wait for the decision."""
        request = ApprovalRequested(
            call_id=call.call_id,
            name=call.name,
            arguments=tool.masked(call.raw_arguments),
            effects=tool.policy.effects,
            seconds=approval.timeout,
        )
        late = Decision(
            approved=approval.otherwise == "approve",
            by="timeout",
            reason=f"nobody approved it in {approval.timeout:g} s",
        )
        decision = await self._decision(_Pending(request, tool, call), approval.timeout, late, filler=approval.filler)
        if decision.approved:
            arguments = canonical(decision.arguments or call.raw_arguments)
            self._granted.add((call.call_id, tool, arguments))
            if decision.by == "person" and (decision.remember or approval.mode == "always_ask_once"):
                self._remembered.add((tool, arguments if tool.policy.effects == "dangerous" else None))
        return decision

    async def ask_for_server(self, request: ApprovalRequested) -> Decision:
        """Ask for a call that the server runs, and wait for the decision."""
        call = ToolCall(call_id=request.call_id, name=request.name, raw_arguments=request.arguments)
        late = Decision(approved=False, by="timeout", reason="nobody approved it in time")
        return await self._decision(_Pending(request, None, call), request.seconds, late)

    async def _decision(
        self, waiting: _Pending, seconds: float | None, late: Decision, *, filler: str | None = None
    ) -> Decision:
        call_id = waiting.request.call_id
        if self._given_up is not None:
            return Decision(approved=False, by="cancelled", reason=self._given_up)
        if call_id in self._pending:  # what is approved must be what was shown
            return Decision(approved=False, by="nobody", reason="another call with this id waits for approval")
        self._pending[call_id] = waiting
        decided = False
        decision = Decision(approved=False, by="cancelled")
        try:
            await self._emit(waiting.request)
            if not self.answerable and waiting.decision is None:
                waiting.decide(Decision(approved=False, by="nobody", reason="nobody can be asked for approval here"))
            elif filler is not None and waiting.decision is None:
                self._say(filler)
            with anyio.move_on_after(seconds):
                await waiting.decided.wait()
            decision = waiting.decision or late
            del self._pending[call_id]
            decided = True
            await self._emit(_told(waiting.request, decision, waiting.tool))
        finally:
            if not decided:
                del self._pending[call_id]
                self._emit_soon(_told(waiting.request, decision, waiting.tool))
        return decision


def _told(request: ApprovalRequested, decision: Decision, tool: "Tool[..., object] | None") -> ApprovalDecided:
    return ApprovalDecided(
        call_id=request.call_id,
        name=request.name,
        approved=decision.approved,
        by=decision.by,
        reason=decision.reason,
        edited=decision.arguments is not None,
        arguments=None if decision.arguments is None or tool is None else tool.masked(decision.arguments),
    )
