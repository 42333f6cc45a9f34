"""One item of a conversation with what the protocol does not keep: when it began, and how much of it was heard."""

import msgspec

from agentkit.events import MessageItem, decode_item
from agentkit.events.base import settle
from agentkit.events.items import ItemField


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An item as the mirror has it, and its times."""

    item: ItemField
    at: float | None = None
    """Seconds from the beginning of the session to that of the item."""
    seconds: float | None = None
    """How long its audio lasts; None for text."""
    heard_ms: int | None = None
    """Milliseconds after which the agent was cut off; None where it was not."""
    heard_text: str | None = None
    """An estimate of what was heard of an item that was cut off; None where it was not."""

    def __post_init__(self) -> None:
        settle(self, "item", decode_item)

    @property
    def cut_off(self) -> bool:
        """Whether the agent was cut off while it said this."""
        return self.heard_ms is not None or self.heard_text is not None

    @property
    def said(self) -> str:
        """The text of a message as far as the other side knows it: what was heard, where the agent was cut off."""
        if self.heard_text is not None:
            return self.heard_text
        if self.heard_ms is not None and self.heard_ms <= 0:
            return ""
        return self.item.text if isinstance(self.item, MessageItem) else ""
