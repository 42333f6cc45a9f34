"""What a response said that began before what it answers was checked: nothing of it is let out but its two ends."""

from typing import TypeVar

from msgspec.structs import replace

from agentkit.events import (
    AnyItem,
    ConversationUpdated,
    Event,
    FunctionCallOutputItem,
    Interrupted,
    ItemAppended,
    ItemCompleted,
    ItemEvent,
    ItemView,
    McpCallEvent,
    MessageItem,
    OutputEvent,
    OutputItemEvent,
    Reconnected,
    Response,
    ResponseCreated,
    ResponseDone,
    TurnCompleted,
    UnknownEvent,
)
from agentkit_guard.places import where_of
from agentkit_guard.reacting import Remembered, is_aside

E = TypeVar("E", bound=Event)


class Early:
    """The responses that began too early, and their items."""

    def __init__(self) -> None:
        self.responses = Remembered()
        """Their ids."""
        self._items = Remembered()
        self._going_on: str | None = None
        """The one that is being made."""
        self._in_turn = False
        """Whether the turn that goes on has one."""
        self._others = False
        """Whether the turn that goes on has another response as well."""

    def begins(self, response: Response, *, is_early: bool) -> bool:
        """Take note of a response; return whether it is in the conversation, and began too early."""
        if is_aside(response):
            return False
        self._going_on = None
        if not is_early:
            self._others = True
            return False
        self._going_on = response.id or ""
        self._in_turn = True
        self.responses.note(self._going_on)
        return True

    def shown(self, event: E) -> E | None:
        """Return what may be seen of an event; None where nothing may."""
        match event:
            case ResponseCreated() | ResponseDone():
                if (event.response.id or "") not in self.responses:
                    return event
                for item in event.response.output:
                    self._items.note_all((item.id,))
                if isinstance(event, ResponseDone) and (event.response.id or "") == self._going_on:
                    self._going_on = None
                return replace(event, response=replace(event.response, output=()))
            case OutputItemEvent():
                if event.response_id in self.responses:
                    self._items.note_all((event.item.id,))
                    return None
            case OutputEvent():
                return None if event.response_id in self.responses or event.item_id in self._items else event
            case McpCallEvent():
                return None if event.item_id in self._items else event
            case ItemEvent() | ConversationUpdated() | ItemAppended() | ItemCompleted():
                return None if self._is_early(event.item) else event
            case UnknownEvent():
                return None if self._going_on is not None or event.data.get("response_id") in self.responses else event
            case Reconnected():
                self._going_on = None
            case Interrupted():
                return replace(event, heard_text=None) if event.item_id in self._items else event
            case TurnCompleted():
                early, self._in_turn, others, self._others = self._in_turn, False, self._others, False
                return replace(event, text="") if early and not others else event
        return event

    def _is_early(self, item: AnyItem | ItemView) -> bool:
        """Tell whether an item is of a response that began too early, or comes meanwhile and is the agent's."""
        if item.id in self._items:
            return True
        bare = item.item if isinstance(item, ItemView) else item
        if self._going_on is None or isinstance(bare, FunctionCallOutputItem):
            return False
        if isinstance(bare, MessageItem) and where_of(bare.role) != "output":
            return False
        self._items.note_all((item.id,))
        return True
