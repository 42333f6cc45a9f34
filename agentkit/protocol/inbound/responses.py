"""What the events about responses, their items and the calls in them do."""

from typing import TYPE_CHECKING

from agentkit import events as e
from agentkit.protocol.calls import Call, CallStatus
from agentkit.protocol.effects import Effect, Emit, StartTool, Suppress
from agentkit.protocol.inbound.hosted import KINDS, Hosted
from agentkit.protocol.inbound.items import Items
from agentkit.protocol.items import ItemState, call_of
from agentkit.protocol.wanted import ActiveResponse

if TYPE_CHECKING:
    from agentkit.protocol.core import Core

DUPLICATE = Suppress("duplicate")
CANCELLED_OUTPUT = '{"error": "cancelled by the user before the call began"}'
FAILED_OUTPUT = '{"error": "not run: the response that made the call failed"}'


class Responses:
    """Takes events of responses and of the items in them."""

    def __init__(self, core: "Core", items: Items, hosted: Hosted) -> None:
        self._core = core
        self._hosted = hosted
        self._items = items

    def created(self, event: e.ResponseCreated) -> list[Effect]:
        """A response has begun."""
        response, effects = self._core.responses.created(event.response)
        return effects if response is not None else [DUPLICATE]

    def done(self, event: e.ResponseDone) -> list[Effect]:
        """A response is over: what it lists is final, and what it needs next is asked for."""
        core, told = self._core, event.response
        response, effects = core.responses.ended(told)
        if response is None:
            return [DUPLICATE]
        if not response.beside:
            for orphan in core.calls.claimed(response.id):
                self._claim(orphan, response)
            rest = "completed" if response.status == "completed" else "incomplete"
            for item in told.output:
                effects += self._item_done(item, response, rest)
            for item_id in response.item_ids:
                effects += self._close(item_id, response, rest)
            for call_id in response.waiting_calls:
                call = core.calls.get(call_id)
                if call is not None and call.status is CallStatus.RUNNING:
                    effects += self._start(call, response)
        effects += self._incomplete(told)
        texts = self._texts(response, told)
        failed = response.status == "failed"
        for turn in response.turns:
            turn.count(response.id, told, [] if failed else texts)
        if failed:
            effects += core.responses.fail(response, told, texts)
        else:
            effects += core.responses.settle(response)
        return effects + core.responses.release()

    def _incomplete(self, told: e.Response) -> list[Effect]:
        if told.status != "incomplete":
            return []
        reason = told.status_details.reason if told.status_details is not None else None
        message = f"the response stopped early: {reason or 'the server gives no reason'}"
        return [Emit(e.Notice(code="response_incomplete", message=message))]

    def _close(self, item_id: str, response: ActiveResponse, rest: str) -> list[Effect]:
        """End an item of a response that is over: not every server says so of each."""
        core = self._core
        core.output.finished(item_id)
        state = core.conversation.get(item_id)
        if state is None or state.final or not isinstance(state.base, e.MessageItem | e.FunctionCallItem):
            return []
        if isinstance(state.base, e.FunctionCallItem) and not (state.base.name and state.part(0).final):
            rest = "incomplete"
        state.advance(rest)
        effects: list[Effect] = [*self._items.changed(state), Emit(e.ItemCompleted(item=core.view(state)))]
        return effects + self.announce(state, response)

    def _texts(self, response: ActiveResponse, told: e.Response) -> list[str]:
        """Return the texts of a response's messages: as mirrored, or as told where they are beside the conversation."""
        if response.beside:
            texts = [item.text for item in told.output if isinstance(item, e.MessageItem)]
            return [text for text in texts if text] or ["".join(response.deltas)]
        states = [self._core.conversation.get(item_id) for item_id in response.item_ids]
        return [state.text for state in states if state is not None and isinstance(state.base, e.MessageItem)]

    # Items of responses

    def item_added(self, event: e.ResponseOutputItemAdded) -> list[Effect]:
        """A response begins an item."""
        response = self._core.responses.find(event.response_id)
        if response is not None and response.beside:
            return []
        state, effects = self._items.put(event.item)
        if state is not None:
            self.belongs(state, response)
            effects += self._hosted.item(state, response)
        return effects

    def item_done(self, event: e.ResponseOutputItemDone) -> list[Effect]:
        """A response's item is final."""
        core = self._core
        response = core.responses.find(event.response_id)
        if response is not None and response.beside:
            return []
        effects = self._item_done(event.item, response, "completed")
        if response is None and event.response_id and isinstance(event.item, e.FunctionCallItem):
            core.calls.orphan(event.item.call_id or "", event.response_id)
        return effects

    def _item_done(self, item: e.AnyItem, response: ActiveResponse | None, status: str) -> list[Effect]:
        state, effects = self._items.put(item, done=status)
        if state is None:
            return effects
        self.belongs(state, response)
        self._core.output.finished(state.id)
        return effects + self.announce(state, response)

    def conversation_item_done(self, event: e.ConversationItemDone) -> list[Effect]:
        """An item of the conversation is final; one of the model's is some response's, whether or not we know which."""
        if self._core.recovery.acknowledged(event.item):
            return []
        state, effects = self._items.put(event.item, previous_item_id=event.previous_item_id, done="completed")
        if state is None:
            return effects
        return effects + self.announce(state, self._core.responses.find(state.response_id))

    def conversation_item_added(self, event: e.ConversationItemAdded) -> list[Effect]:
        """An item is in the conversation; a question of the server's may be told in no other way."""
        effects = self._items.added(event)
        state = self._core.conversation.get(event.item.id) if isinstance(event.item, KINDS) and event.item.id else None
        if state is not None:
            effects += self._hosted.item(state, self._core.responses.find(state.response_id))
        return effects

    def belongs(self, state: ItemState, response: ActiveResponse | None) -> None:
        """Note whose an item is."""
        if response is None:
            return
        response.alive = True
        if state.response_id is None:
            state.response_id = response.id
            response.item_ids.append(state.id)
            state.interrupted = state.interrupted or response.stopping

    # Calls

    def announce(self, state: ItemState, response: ActiveResponse | None) -> list[Effect]:
        """Start the call that an item is, once, where it is complete."""
        core = self._core
        if isinstance(state.base, KINDS):
            return self._hosted.item(state, response)
        item = call_of(state) if state.status == "completed" else None
        if item is None or not item.call_id or item.call_id in core.added_calls:
            return []
        call, is_new = core.calls.announce(item, response.id if response is not None else None)
        assert call is not None
        if not is_new:
            return self._again(call, item, response)
        if response is None:
            return [self._run(call)]
        response.outstanding.add(call.call_id)
        for turn in response.turns:
            turn.calls.append(call.call_id)
        if response.interrupted and not response.done:
            response.waiting_calls.append(call.call_id)
            return []
        return self._start(call, response)

    def _again(self, call: Call, item: e.FunctionCallItem, response: ActiveResponse | None) -> list[Effect]:
        """Take a call that is known: said once more, or made again by another response."""
        if response is None or response.id == call.response_id:
            return []
        if call.response_id is None:  # now we know whose it is
            self._claim(call, response)
            return []
        if call.status is CallStatus.WITHHELD or item.id in call.item_ids:
            return []
        call.item_ids.add(item.id)
        call.repeats.append(response.id)
        if not call.detached:
            response.outstanding.add(call.call_id)
        return [] if call.output is None else self._core.send_output(call.call_id, call.output)

    def _claim(self, call: Call, response: ActiveResponse) -> None:
        """Note whose a call is that was announced before its response was known."""
        call.response_id = response.id
        if call.status in (CallStatus.RUNNING, CallStatus.DONE) and not call.detached:
            response.outstanding.add(call.call_id)
        response.calls += call.status is CallStatus.DELIVERED

    def _start(self, call: Call, response: ActiveResponse) -> list[Effect]:
        """Run a call, unless its response was stopped or the turn has had too many."""
        core = self._core
        if response.cancelling or response.status == "cancelled":
            return core.finish_call(call.call_id, CANCELLED_OUTPUT)
        if response.status == "failed":
            return core.finish_call(call.call_id, FAILED_OUTPUT)
        refused = self._over(call, response)
        if refused is None:
            return [self._run(call)]
        # The model is told, so that it can answer with what it has; where it goes on calling, nothing more is asked.
        output, notice = refused
        return [*core.finish_call(call.call_id, output), Emit(notice)]

    def _over(self, call: Call, response: ActiveResponse) -> tuple[str, e.Notice] | None:
        """Return what a call is refused with, where a limit is reached, and what the application is told."""
        limits = self._core.limits
        most = max((len(turn.calls) for turn in response.turns), default=0)
        limit = limits.tool_calls_per_turn
        if limit is not None and most > limit:
            response.silent = response.silent or most > 2 * limit
            return _refusal(
                "tool_call_limit",
                call,
                f"more than {limit} tool calls in one turn",
                hint="raise limits.tool_calls_per_turn if the agent really needs so many",
            )
        limit = limits.tool_calls_per_session
        if limit is not None and len(self._core.calls) > limit:
            response.silent = response.silent or len(self._core.calls) > 2 * limit
            return _refusal("tool_call_limit", call, f"more than {limit} tool calls in this session")
        limit = limits.same_calls_per_turn if limits.tool_calls_per_turn is not None else None
        if limit is None:
            return None
        same = max((self._core.calls.same(call, turn.calls) for turn in response.turns), default=0)
        if same > limit:
            response.silent = response.silent or same > 2 * limit
            return _refusal("tool_loop", call, f"the same call {same} times in one turn")
        return None

    def invalid(self, call_id: str, output: str) -> tuple[str, list[Effect]]:
        """Take a call whose arguments do not fit; return what the model is told, and what follows."""
        core = self._core
        call = core.calls.get(call_id)
        limit = core.limits.invalid_calls_per_turn
        response = core.responses.find(call.response_id) if call is not None else None
        if call is None or response is None or limit is None:
            return output, []
        for turn in response.turns:
            turn.invalid += 1
        most = max((turn.invalid for turn in response.turns), default=0)
        if most < limit:
            return output, []
        response.silent = response.silent or most > 2 * limit
        notice = e.Notice(
            code="invalid_calls",
            message=f"{most} tool calls of one turn had arguments that do not fit, the last one of {call.name}",
        )
        return f"{output}; do not try again, answer with what you have", [Emit(notice)]

    def _run(self, call: Call) -> Effect:
        return StartTool(call.call_id, call.name, call.arguments, call.item_id, call.response_id)


def _refusal(code: str, call: Call, reason: str, *, hint: str | None = None) -> tuple[str, e.Notice]:
    notice = e.Notice(code=code, message=f"{reason}; the call of {call.name} was refused", hint=hint)
    return f'{{"error": "refused: {reason}; answer with what you have"}}', notice
