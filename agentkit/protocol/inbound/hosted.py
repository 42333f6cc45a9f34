"""Tools that the server runs itself (``type: mcp``): their listing, approvals, calls and late ends.

Rule: the server never goes on by itself after such a call, so its turn waits for the call's end as for an output of
ours, and then asks for a response. Source: the protocol's guide on MCP.
"""

from typing import TYPE_CHECKING

from agentkit import events as e
from agentkit.protocol import patience
from agentkit.protocol.effects import AskForServer, Effect, Emit, Propose, ServerCallBegan, ServerCallEnded, StartTimer
from agentkit.protocol.items import ItemState
from agentkit.protocol.wanted import ActiveResponse

if TYPE_CHECKING:
    from agentkit.protocol.core import Core

_LOST = "its outcome is not known: the connection was lost before it came"
_DOUBT = "Do not assume that it was done, nor that it was not."
KINDS = (e.McpCallItem, e.McpApprovalRequestItem)
"""The items that are looked at here."""


class HostedRequest:
    """One call that the server asks to be allowed."""

    __slots__ = ("due", "item", "response_id")

    def __init__(self, item: e.McpApprovalRequestItem, response_id: str | None) -> None:
        self.item = item
        self.response_id = response_id
        """The response whose turn waits for it; None where no event said which."""
        self.due = False
        """Whether it was approved, and its call has not come."""


class HostedCall:
    """One call that the server makes."""

    __slots__ = ("arguments", "begun", "ended", "id", "label", "name", "response_id", "retold")

    def __init__(self, item: e.McpCallItem, response_id: str | None) -> None:
        self.id = item.id or ""
        self.label = item.server_label
        self.name = item.name
        self.arguments = item.arguments
        self.response_id = response_id
        """The response whose turn waits for it; None where no event said which."""
        self.begun = False
        self.ended = False
        self.retold = False
        """Whether the model was told of it in words, because its item was lost with a connection."""


class Hosted:
    """The calls that the server makes, and the approvals that it asks for."""

    def __init__(self, core: "Core") -> None:
        self._core = core
        self._calls: dict[str, HostedCall] = {}
        self._asked: dict[str, HostedRequest] = {}
        """The approval requests of this connection, by item id."""

    def item(self, state: ItemState, response: ActiveResponse | None) -> list[Effect]:
        """Take an item of a server's tool, as often as it is told."""
        item = state.base
        if isinstance(item, e.McpApprovalRequestItem):
            return self._request(item, response)
        return self._call(item, response) if isinstance(item, e.McpCallItem) else []

    # Approvals

    def _request(self, item: e.McpApprovalRequestItem, response: ActiveResponse | None) -> list[Effect]:
        item_id = item.id or ""
        if item_id in self._asked:
            return []
        self._asked[item_id] = HostedRequest(item, self._wait(item_id, response))
        return [AskForServer(item_id, item.server_label, item.name, item.arguments)]

    def decided(self, item_id: str, *, approved: bool, reason: str) -> list[Effect]:
        """Answer a server's request."""
        asked = self._asked.get(item_id)
        if asked is None:
            message = "the server asked for this approval on a connection that was lost, so nothing was answered"
            return [Emit(e.Notice(code="approval_lost", message=message))]
        answer = e.McpApprovalResponseItem(approval_request_id=item_id, approve=approved, reason=reason or None)
        effects: list[Effect] = [Propose(e.ConversationItemCreate(item=answer))]
        if approved:
            asked.due = True
            return [*effects, StartTimer(f"mcp {item_id}", patience.SERVER_CALL_SECONDS)]
        return effects + self._over(item_id, asked.response_id, speaks=True)

    # Calls

    def _call(self, item: e.McpCallItem, response: ActiveResponse | None) -> list[Effect]:
        item_id = item.id or ""
        call = self._calls.get(item_id)
        effects: list[Effect] = []
        if call is None:
            asked = self._asked.get(item.approval_request_id or "")
            waiting = self._find(asked.response_id) if asked is not None else None
            call = self._calls[item_id] = HostedCall(item, self._wait(item_id, response or waiting, call=True))
            if asked is not None:
                asked.due = False
            if waiting is not None:
                waiting.outstanding.discard(item.approval_request_id or "")
            effects.append(StartTimer(f"mcp {item_id}", patience.SERVER_CALL_SECONDS))
        call.arguments = item.arguments or call.arguments
        if item.output is not None or item.error is not None:
            effects += self._end(call, item.output or "", item.error)
        return effects

    def arguments_done(self, event: e.ResponseMcpCallArgumentsDone) -> list[Effect]:
        """The arguments of a call are whole."""
        call = self._calls.get(event.item_id)
        if call is not None:
            call.arguments = event.arguments
        return []

    def in_progress(self, event: e.ResponseMcpCallInProgress) -> list[Effect]:
        """A call runs."""
        call = self._calls.get(event.item_id)
        return self._begin(call) if call is not None else []

    def over(self, event: e.McpCallEvent) -> list[Effect]:
        """A call has ended; the item that tells its result may come later."""
        call = self._calls.get(event.item_id)
        if call is None or call.ended:
            return []
        return [StartTimer(f"mcp-end {call.id}", patience.SERVER_RESULT_SECONDS)]

    def listing_failed(self, event: e.McpListToolsFailed) -> list[Effect]:
        """The server could not list the tools of an MCP server."""
        state = self._core.conversation.get(event.item_id)
        label = state.base.server_label if state is not None and isinstance(state.base, e.McpListToolsItem) else None
        message = f"the server could not list the tools of the MCP server {label or '(it does not say which)'}"
        return [
            Emit(e.Notice(code="mcp_list_failed", message=message, hint="check its url, and what it wants to know"))
        ]

    def timer(self, kind: str, item_id: str) -> list[Effect]:
        """Take a timer that ran out: a call or an approval after which nothing came."""
        call = self._calls.get(item_id)
        if kind == "mcp-end":
            return self._end(call, "", None) if call is not None else []
        if call is not None:
            if call.ended:
                return []
            what, response_id = f"call of {call.label}.{call.name}", call.response_id
            call.ended = True
        else:
            asked = self._asked.get(item_id)
            what, response_id = "approved call", asked.response_id if asked is not None else None
            waiting = self._find(response_id)
            if waiting is None or item_id not in waiting.outstanding:
                return []
        message = f"the server has not told the end of the {what} for {patience.SERVER_CALL_SECONDS:g} s"
        effects: list[Effect] = [
            Emit(e.Notice(code="mcp_call_lost", message=f"{message}; it is not waited for any more"))
        ]
        if call is not None and call.begun:
            effects.append(ServerCallEnded(call.id, f"{call.label}.{call.name}", "", message))
        return effects + self._over(item_id, response_id, speaks=False)

    def _begin(self, call: HostedCall) -> list[Effect]:
        if call.begun:
            return []
        call.begun = True
        return [ServerCallBegan(call.id, f"{call.label}.{call.name}", call.arguments)]

    def _end(self, call: HostedCall, output: str, error: dict[str, object] | str | None) -> list[Effect]:
        if call.ended:
            return []
        effects = self._begin(call)
        call.ended = True
        failed = error if isinstance(error, str) or error is None else str(error.get("message") or error)
        effects.append(ServerCallEnded(call.id, f"{call.label}.{call.name}", output, failed))
        return effects + self._over(call.id, call.response_id, speaks=True)

    # The connection is lost

    def lose(self) -> list[Effect]:
        """Take the loss of the connection: nothing comes of what the server was doing, and nobody waits for it.

        No client can put such a call into a conversation, so the next connection is told of it in words.
        """
        effects: list[Effect] = []
        asked, self._asked = self._asked, {}
        over = [(item_id, request.response_id) for item_id, request in asked.items()]
        for item in (request.item for request in asked.values() if request.due):
            what = f"The tool {item.server_label}.{item.name} was approved to be called with {item.arguments or '{}'}"
            effects.append(_tell(f"{what} before; {_LOST}. {_DOUBT}"))
        for call in self._calls.values():
            if not call.ended:
                call.ended = True
                over.append((call.id, call.response_id))
                if call.begun:
                    effects.append(ServerCallEnded(call.id, f"{call.label}.{call.name}", "", _LOST))
            if not call.retold:
                call.retold = True
                effects.append(_tell(self._in_words(call)))
        for item_id, response_id in over:
            response = self._find(response_id)
            if response is not None and item_id in response.outstanding and response.turns:
                effects += self._over(item_id, response_id, speaks=True)
        return effects

    def _in_words(self, call: HostedCall) -> str:
        state = self._core.conversation.get(call.id)
        item = state.base if state is not None and isinstance(state.base, e.McpCallItem) else None
        what = f"The tool {call.label}.{call.name} was called with {call.arguments or '{}'} before"
        if item is None or (item.output is None and item.error is None):
            return f"{what}; {_LOST}. {_DOUBT}"
        return f"{what}, and gave: {item.output if item.error is None else item.error}"

    # Turns

    def _find(self, response_id: str | None) -> ActiveResponse | None:
        return self._core.responses.find(response_id) if response_id is not None else None

    def _wait(self, item_id: str, response: ActiveResponse | None, *, call: bool = False) -> str | None:
        """Let a response's turn wait for something of the server's; return the response's id."""
        if response is None:
            return None
        response.outstanding.add(item_id)
        for turn in response.turns if call else ():
            turn.calls.append(item_id)
        return response.id

    def _over(self, item_id: str, response_id: str | None, *, speaks: bool) -> list[Effect]:
        """Let the turn go on that waits for something of the server's."""
        responses = self._core.responses
        response = self._find(response_id)
        if response is None or (response.done and not response.turns):
            return responses.volunteer(item_id) if speaks else []
        response.outstanding.discard(item_id)
        response.calls += speaks
        return responses.settle(response)


def _tell(text: str) -> Effect:
    """Let the model know something of a call that no client can put into a conversation."""
    return Propose(e.ConversationItemCreate(item=e.MessageItem(role="system", content=(e.InputText(text=text),))))
