"""One item of the mirror: what was told of it, merged so that no order and no repetition changes the result."""

from msgspec.structs import replace

from agentkit.events import AnyItem, AudioView, FunctionCallItem, ItemView, MessageItem, UnknownItem
from agentkit.protocol.parts import PartState

FINAL = ("completed", "incomplete")
PARTS = 1024
"""Content parts of one item; a server that names a higher index is not followed."""
_EMPTY = (None, "", ())


class ItemState:
    """One item as we know it; changed only by the conversation."""

    __slots__ = (
        "announced",
        "audio_end_ms",
        "base",
        "following",
        "guessed",
        "id",
        "interrupted",
        "parts",
        "preceding",
        "previous_item_id",
        "response_id",
        "status",
    )

    def __init__(self, item_id: str, base: AnyItem) -> None:
        self.id = item_id
        self.base = _without_content(base)
        """The item as told, without what came in deltas."""
        self.guessed = False
        """Whether its kind is only what an event about it lets us think."""
        self.announced = False
        """Whether the application was told of it."""
        self.status: str | None = None
        self.parts: list[PartState] = []
        self.previous_item_id: str | None = None
        """What decided the item's place, where anything did; empty where that was deleted."""
        self.preceding: ItemState | None = None
        self.following: ItemState | None = None
        self.response_id: str | None = None
        self.interrupted = False
        """Whether later deltas are dropped."""
        self.audio_end_ms: int | None = None
        """Where the audio was truncated."""

    @property
    def final(self) -> bool:
        """Whether the item will not change any more, but for its transcript."""
        return self.status in FINAL

    def part(self, index: int) -> PartState:
        """Return a content part, made where it is missing; one that counts for nothing where no item has so many."""
        if not 0 <= index < PARTS:
            return PartState()
        while len(self.parts) <= index:
            self.parts.append(PartState())
        return self.parts[index]

    @property
    def text(self) -> str:
        """All text and transcripts, joined."""
        return "".join(part.text for part in self.parts)

    def merge(self, item: AnyItem, *, done: bool) -> bool:
        """Take the item as an event tells it; return False, changing nothing, where it is told to be of another kind.

        Args:
            item: What was told.
            done: Whether the event says that the item is done.
        """
        if self.guessed:
            self.guessed = False
            if type(item) is not type(self.base):
                self.base = _without_content(item)
        if type(item) is not type(self.base):
            return False
        if self.final and item == self.base:
            return True  # said once more: three events of a call tell the same
        done = done or item.status in FINAL
        told = _without_content(item)
        self.base = fuller(self.base, told) if self.final and not done else fuller(told, self.base)
        if isinstance(item, MessageItem):
            for index, part in enumerate(item.content):
                self.part(index).merge(part, final=done)
        elif isinstance(item, FunctionCallItem) and item.arguments and done:
            self.part(0).set_final(item.arguments)
        return True

    def advance(self, status: str | None) -> None:
        """Take a status; a final one never goes back, and ``incomplete``, the more careful of the two, stays."""
        if status is not None and not (self.final and status not in FINAL) and self.status != "incomplete":
            self.status = status

    def view(self, audio: AudioView | None = None, heard_ms: int | None = None) -> ItemView:
        """Return the item as it is now, in constant time; later events do not change what is returned.

        Args:
            audio: Its audio so far.
            heard_ms: Where it was cut off.
        """
        return ItemView(
            self.base,
            item_id=self.id,
            status=self.status,
            parts=[part.view() for part in self.parts],
            audio=audio,
            heard_ms=heard_ms,
            interrupted=self.interrupted,
            previous_item_id=self.preceding.id if self.preceding is not None else None,
            done=self.status == "completed",
        )

    def snapshot(self) -> AnyItem:
        """Return the item as it is now, in the protocol's shape."""
        return self.view().item


def _without_content(item: AnyItem) -> AnyItem:
    return replace(item, content=()) if isinstance(item, MessageItem) else item


def fuller(first: AnyItem, second: AnyItem) -> AnyItem:
    """Return the first item, with the second's word on what the first does not say; both are of one class."""
    if isinstance(first, UnknownItem):
        assert isinstance(second, UnknownItem)
        return UnknownItem({**second.data, **first.data})
    missing = {name: getattr(second, name) for name in first.__struct_fields__ if getattr(first, name) in _EMPTY}
    return replace(first, **missing) if missing else first


def call_of(state: ItemState) -> FunctionCallItem | None:
    """Return the call that an item is, with its arguments as far as they came."""
    item = state.snapshot()
    return item if isinstance(item, FunctionCallItem) else None
