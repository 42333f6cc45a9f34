"""What ``redact`` and ``topic`` do with what goes out: the user's messages, settings, and calls of tools."""

from typing import TypeVar

import msgspec

from agentkit import Next, NextCall, ToolCall, ToolResult, on
from agentkit.errors import ToolError
from agentkit.events import (
    ConversationItemCreate,
    FunctionCallOutputItem,
    MessageItem,
    ResponseCreate,
    SessionUpdate,
    Settings,
)
from agentkit_guard.arguments import canonical, change_json, parse, readings, texts_in
from agentkit_guard.places import Where, change_item, changed, where_of
from agentkit_guard.reacting import is_beside, is_saying, refusal
from agentkit_guard.screening import Screening

_S = TypeVar("_S", bound=msgspec.Struct)


class OutwardScreening(Screening):
    """Screen what goes to the server, and what goes into a tool and comes out of it."""

    _refuse_next = False
    """Whether the next response is the refusal of the user's last message."""

    # The user's words

    @on(ConversationItemCreate)
    async def item_out(self, event: ConversationItemCreate, call_next: Next[ConversationItemCreate]) -> None:
        """An item on its way to the server."""
        item = event.item
        if isinstance(item, MessageItem) and (where := where_of(item.role)) in self._at and item.role == "user":
            self._refuse_next = False
            kind = self._masking.finds(item.text)
            if kind is not None:
                self.found(where, event.event_id or f"sent {len(self._reacted)}", kind)
                self._refuse_next = self._action == "interrupt"
        if self._action == "interrupt" and not isinstance(item, FunctionCallOutputItem):
            await call_next(changed(event, item=change_item(item, self._without)))
        else:
            await call_next(changed(event, item=self.seen_item(item)))

    def _without(self, where: Where, text: str, index: int) -> str:
        """Return a text on its way out: one that holds something goes out as a placeholder."""
        found = where in self._at and self._masking.finds(text) is not None
        return self._masking.replacement("removed") if found else text

    @on(ResponseCreate)
    async def create_out(self, event: ResponseCreate, call_next: Next[ResponseCreate]) -> None:
        """A request for a response; the answer to a message that was stopped is the guard's own."""
        settings = event.response
        refuses = self._refuse_next and not is_beside(event)
        if refuses and self._speaker.message and not is_saying(event, self._speaker.message):
            self._refuse_next = False
            event = refusal(event, self._speaker.message)
        elif settings is not None:
            if isinstance(settings.instructions, str):
                settings = changed(settings, instructions=self.seen("instructions", settings.instructions))
            if isinstance(settings.input, tuple):
                settings = changed(settings, input=tuple(self.seen_item(item) for item in settings.input))
            event = changed(event, response=settings)
        await call_next(event)

    @on(SessionUpdate)
    async def settings_out(self, event: SessionUpdate, call_next: Next[SessionUpdate]) -> None:
        """Settings on their way to the server."""
        await call_next(changed(event, session=self.settings_seen(event.session)))

    def settings_seen(self, settings: _S) -> _S:
        """Return settings as they may be seen."""
        if isinstance(settings, Settings) and isinstance(settings.instructions, str):
            return changed(settings, instructions=self.seen("instructions", settings.instructions))
        return settings

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        """Look through a call's arguments, and through its result."""
        if "tool_arguments" in self._at:
            checked = self._checked(call)
            if isinstance(checked, ToolResult):
                return checked
            call = checked
        result = await call_next(call)
        return self._checked_result(call, result) if "tool_output" in self._at else result

    def _checked(self, call: ToolCall) -> ToolCall | ToolResult:
        try:
            value = parse(call.raw_arguments)
        except ValueError as error:
            return ToolResult.refused(f"the arguments could not be checked: {error}")
        written = canonical(value)
        given = list(texts_in(value))
        kind = next((kind for text in given if (kind := self._masking.finds(text))), None)
        hidden = None
        if kind is None:
            inner = (each for text in given for each in readings(text))
            try:
                kind = hidden = next((kind for text in inner if (kind := self._masking.finds(text))), None)
            except ValueError as error:
                return ToolResult.refused(f"the arguments could not be checked: {error}")
        if kind is not None:
            self.found("tool_arguments", call.call_id, kind)
        if kind is None or self._action == "warn":
            return changed(call, raw_arguments=written)
        if hidden is not None or self._action == "interrupt":
            return ToolResult.refused(self._speaker.message or "the arguments hold what is not let through")
        return changed(call, raw_arguments=change_json(written, self._masking.apply))

    def _checked_result(self, call: ToolCall, result: ToolResult) -> ToolResult:
        masked = change_json(result.output, self._masking.apply)
        if masked == result.output:
            return result
        self.found("tool_output", call.call_id, self._masking.finds(result.output) or "removed")
        if self._action == "warn":
            return result
        if self._action == "interrupt":
            return ToolResult.failed(self._speaker.message or "the result was withheld by a guard")
        error = ToolError(masked) if result.error is not None else None
        return ToolResult(output=masked, status=result.status, value=masked, error=error)
