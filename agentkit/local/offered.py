"""What a client may put into the conversation, and cut from it: checks and their refusals."""

import binascii
from collections.abc import Callable

import pybase64
from msgspec.structs import replace

from agentkit.events import (
    AnyItem,
    ConversationItemTruncate,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    InputImage,
    InputText,
    MessageItem,
    OutputText,
    Text,
)
from agentkit.local.effects import RefusedError, invalid, missing
from agentkit.local.history import OBJECT, History, cut_size, unknown_item
from agentkit.local.responder import HeldItem

_PARTS = {
    "user": (InputText, InputAudio, InputImage),
    "system": (InputText,),
    "assistant": (OutputText,),
}
"""The content that a client may give to each role."""


def offered_item(item: AnyItem, history: History, new_id: Callable[[str], str], *, where: str = "item") -> HeldItem:
    """Return the item as the conversation keeps it.

    Raises:
        RefusedError: It may not be put in.
    """
    if isinstance(item, MessageItem):
        item = _message(item, where)
    elif isinstance(item, FunctionCallItem):
        item = replace(item, call_id=item.call_id or new_id("call"))
    elif isinstance(item, FunctionCallOutputItem):
        if not history.has_call(item.call_id):
            raise RefusedError(f"Tool call ID '{item.call_id}' not found in conversation.", code="invalid_tool_call_id")
    else:
        raise invalid(f"{where}.type", "supported values are 'message', 'function_call' and 'function_call_output'.")
    return replace(item, id=item.id or new_id("item"), object=OBJECT, status=item.status or "completed")


def _message(item: MessageItem, where: str) -> MessageItem:
    allowed = _PARTS.get(item.role)
    if allowed is None:
        raise invalid(f"{where}.role", "it must be 'user', 'assistant' or 'system'.")
    if not item.content:
        raise missing(f"{where}.content")
    content = []
    for index, part in enumerate(item.content):
        if not isinstance(part, allowed):
            kinds = ", ".join(f"'{kind.wire_type}'" for kind in allowed)
            raise invalid(
                f"{where}.content[{index}].type",
                f"a message of the {item.role} cannot have '{part.wire_type}'; supported values are {kinds}.",
            )
        content.append(OutputText(text=part.text) if isinstance(part, Text) else part)
    return replace(item, content=tuple(content))


def audio_apart(item: HeldItem, where: str) -> tuple[HeldItem, dict[int, bytes]]:
    """Return the item without its audio, and the audio by content index.

    Raises:
        RefusedError: It is no base64.
    """
    if not isinstance(item, MessageItem):
        return item, {}
    found: dict[int, bytes] = {}
    content = list(item.content)
    for index, part in enumerate(content):
        if isinstance(part, InputAudio) and part.audio is not None:
            try:
                found[index] = pybase64.b64decode(part.audio, validate=True)
            except (binascii.Error, ValueError) as exc:
                raise invalid(f"{where}.content[{index}].audio", "it is not valid base64.") from exc
            content[index] = replace(part, audio=None)
    return replace(item, content=tuple(content)), found


def truncate(history: History, event: ConversationItemTruncate) -> None:
    """Cut an item's audio, and its transcript in proportion.

    Raises:
        RefusedError: It is not the agent's audio, or shorter than asked for.
    """
    if event.item_id not in history:
        raise unknown_item("truncate", event.item_id)
    item = history.get(event.item_id)
    held = history.audio_length(event.item_id, event.content_index)
    if not isinstance(item, MessageItem) or item.role != "assistant" or held is None:
        raise RefusedError(
            "Only model output audio messages can be truncated.",
            code="unsupported_content_type",
            param="item_id",
        )
    length, format = held
    history.truncate(event.item_id, event.content_index, cut_size(length, event.audio_end_ms, format))
