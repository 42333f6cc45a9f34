"""Where texts are in items, parts and settings, and whose they are."""

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from agentkit.events import (
    AnyItem,
    AnyPart,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    InputText,
    ItemView,
    McpApprovalRequestItem,
    McpCallItem,
    MessageItem,
    OutputAudio,
    OutputText,
    UnknownItem,
    UnknownPart,
)
from agentkit_guard.arguments import change_data

Where: TypeAlias = Literal["input", "output", "tool_arguments", "tool_output", "instructions"]
"""Whose text it is: the user's, the agent's, a call's arguments, a tool's result, or what the model is told to be."""
EVERYWHERE: tuple[Where, ...] = ("input", "output", "tool_arguments", "tool_output")
"""Where a guard looks unless it is told where."""
_ROLES: dict[str, Where] = {"user": "input", "assistant": "output", "system": "instructions"}
_S = TypeVar("_S", bound=msgspec.Struct)


class Change(Protocol):
    """What becomes of a text."""

    def __call__(self, where: Where, text: str, index: int) -> str:
        """Return the text as it may be seen; ``index`` is the content part's."""


def as_tuple(at: Where | tuple[Where, ...]) -> frozenset[Where]:
    """Return the places of an ``at:``, which may be one."""
    return frozenset((at,) if isinstance(at, str) else at)


def where_of(role: str) -> Where:
    """Return whose text a message of a role holds; of a role that nobody knows, the agent's."""
    return _ROLES.get(role, "output")


def changed(struct: _S, **fields: object) -> _S:
    """Return a Struct with other fields; itself where they are the same."""
    if all(getattr(struct, name) == value for name, value in fields.items()):
        return struct
    return replace(struct, **fields)


def change_part(part: AnyPart, change: Callable[[str], str]) -> AnyPart:
    """Change the text of a content part."""
    if isinstance(part, InputText | OutputText):
        return changed(part, text=change(part.text))
    if isinstance(part, InputAudio | OutputAudio):
        return changed(part, transcript=change(part.transcript)) if part.transcript else part
    if isinstance(part, UnknownPart):
        return UnknownPart(_data(part.data, change))
    return part


def said_in_part(part: AnyPart) -> str:
    """Return the text of a content part."""
    texts: list[str] = []

    def note(text: str) -> str:
        texts.append(text)
        return text

    change_part(part, note)
    return "\n".join(texts)


def said_in(item: AnyItem, *, whoever: bool = False) -> dict[int, str]:
    """Return what an item of the agent's says, by content part.

    Args:
        item: The item.
        whoever: Whether it is the agent's whatever its role.
    """
    said: dict[int, str] = {}

    def note(where: Where, text: str, index: int) -> str:
        if text and (where == "output" or (whoever and where in ("input", "instructions"))):
            said[index] = f"{said[index]}\n{text}" if index in said else text
        return text

    change_item(item, note)
    return said


def name_of(item: AnyItem) -> str:
    """Return the name by which an item's texts are known; of one without an id, what it says."""
    return item.id or f"unnamed {said_in(item, whoever=True)}"


def change_item(item: AnyItem, change: Change) -> AnyItem:
    """Change every text of an item."""
    if isinstance(item, MessageItem):
        where = where_of(item.role)
        content = tuple(
            change_part(part, lambda text, index=index: change(where, text, index))  # type: ignore[misc]  # binds
            for index, part in enumerate(item.content)
        )
        return changed(item, content=content)
    if isinstance(item, FunctionCallItem | McpApprovalRequestItem):
        return changed(item, arguments=change("tool_arguments", item.arguments, 0))
    if isinstance(item, FunctionCallOutputItem):
        return changed(item, output=change("tool_output", item.output, 0))
    if isinstance(item, McpCallItem):
        output = change("tool_output", item.output, 0) if item.output is not None else None
        return changed(item, arguments=change("tool_arguments", item.arguments, 0), output=output)
    if isinstance(item, UnknownItem):
        return UnknownItem(_data(item.data, lambda text: change("output", text, 0)))
    return item


def _data(data: dict[str, object], change: Callable[[str], str]) -> dict[str, object]:
    return {
        name: value if name in ("id", "type", "object", "status", "role") else change_data(value, change)
        for name, value in data.items()
    }


class ChangedView(ItemView):
    """A view whose texts are changed when they are asked for, so making one costs the same however long they are."""

    __slots__ = ("_change", "_heard", "_view")

    def __init__(self, view: ItemView, change: Callable[[AnyItem], AnyItem], heard: Callable[[str, str], str]) -> None:
        """Wrap a view.

        Args:
            view: The item as it was.
            change: What becomes of the item.
            heard: Takes what was heard of the item and its whole transcript, and returns what may be seen.
        """
        super().__init__(
            UnknownItem({}),
            item_id=view.id,
            status=view.status,
            audio=view.audio,
            heard_ms=view.heard_ms,
            interrupted=view.interrupted,
            previous_item_id=view.previous_item_id,
        )
        self._view = view
        self._change = change
        self._heard = heard

    @property
    def item(self) -> AnyItem:
        """The item in the protocol's shape."""
        return self._change(self._view.item)

    def _parts_of(self, *classes: type[AnyPart]) -> str:
        item = self.item
        if not isinstance(item, MessageItem):
            return ""
        parts = (part for part in item.content if isinstance(part, classes))
        return "".join(getattr(part, "text", None) or getattr(part, "transcript", None) or "" for part in parts)

    @property
    def text(self) -> str:
        """The message's written text, joined."""
        return self._parts_of(OutputText, InputText)

    @property
    def transcript(self) -> str:
        """What is said in the message, joined."""
        return self._parts_of(OutputAudio, InputAudio)

    @property
    def heard_text(self) -> str | None:
        """What was heard of a message that was cut off."""
        heard = self._view.heard_text
        return None if heard is None else self._heard(heard, self._view.transcript)
