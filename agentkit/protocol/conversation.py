"""The mirror of the server's conversation.

Rule: order-independent and idempotent. One id, one item, for ever; order by ``previous_item_id``; what we know is never
erased by an event that says less; a final status never goes back; final content repairs lost deltas.
"""

from collections.abc import Iterator
from itertools import islice

from msgspec.structs import replace

from agentkit.events import AnyItem, FunctionCallItem, InputAudio, MessageItem
from agentkit.protocol.items import ItemState

PARKED = 64
"""Items whose early transcripts are kept until the item comes."""
PARKED_CHARS = 16_384
"""Characters kept of one item's early transcript."""
REMEMBERED = 1024
"""Deleted ids remembered, so that late events about them make no ghosts."""
ROOT = "root"
"""The protocol's name for the place before the first item."""


class Conversation:
    """Items by id and in order."""

    def __init__(self) -> None:
        self.items: dict[str, ItemState] = {}
        """By id, for reading only."""
        self._head: ItemState | None = None
        self._tail: ItemState | None = None
        self._waiting: dict[str, list[ItemState]] = {}
        self._parked: dict[tuple[str, int], str] = {}
        self._deleted: dict[str, str] = {}
        self.strays = 0
        """Events that were about nothing we know, late, or duplicates."""

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[ItemState]:
        item = self._head
        while item is not None:
            yield item
            item = item.following

    def get(self, item_id: str) -> ItemState | None:
        """Return the item with this id."""
        return self.items.get(item_id)

    def was_deleted(self, item_id: str) -> bool:
        """Tell whether an item was deleted."""
        return item_id in self._deleted

    # Items as a whole

    def put(
        self, item: AnyItem, *, previous_item_id: str | None = None, done: str | None = None
    ) -> tuple[ItemState | None, bool]:
        """Take an item as the server tells it.

        Args:
            item: The item; one without an id is a stray.
            previous_item_id: Its place, where the event says so.
            done: Where the event says that the item is done: its status, should the item itself not say.

        Returns:
            The item's state (None for a stray), and whether it became final now.
        """
        if not item.id or item.id in self._deleted:
            self.strays += 1
            return None, False
        state = self.items.get(item.id) or self._enter(item.id, item)
        self._place(state, previous_item_id)
        was_final = state.final
        if not state.merge(item, done=done is not None):
            self.strays += 1
        state.advance(item.status if item.status is not None else done)
        return state, state.final and not was_final

    def adopt(
        self, item_id: str, base: MessageItem | FunctionCallItem, *, previous_item_id: str | None = None
    ) -> ItemState | None:
        """Return an item that an event is about, made by that event's word where none announced it.

        Args:
            item_id: Its id.
            base: What it seems to be; what the server tells of it later counts more.
            previous_item_id: Its place, where the event says so.
        """
        state = self.items.get(item_id)
        if state is None:
            if item_id in self._deleted:
                self.strays += 1
                return None
            state = self._enter(item_id, replace(base, id=item_id))
            state.merge(base, done=False)
            state.status = base.status
            state.guessed = True
        self._place(state, previous_item_id)
        return state

    def _enter(self, item_id: str, base: AnyItem) -> ItemState:
        state = self.items[item_id] = ItemState(item_id, base)
        self._append(state)
        for child in self._waiting.pop(item_id, ()):
            if self.items.get(child.id) is child:  # else it was deleted meanwhile
                self._move_after(child, state)
        for index in [index for parked, index in self._parked if parked == item_id]:
            state.part(index).add_before(self._parked.pop((item_id, index)))
            state.part(index).become(InputAudio())
        return state

    def delete(self, item_id: str) -> ItemState | None:
        """Remove an item; later events about it are strays."""
        for key in [key for key in self._parked if key[0] == item_id]:
            del self._parked[key]
        state = self.items.pop(item_id, None)
        if state is None:
            self._deleted.setdefault(item_id, "")
            self.strays += 1
        else:
            self._deleted[item_id] = state.preceding.id if state.preceding is not None else ROOT
            self._unlink(state, state)
        if len(self._deleted) > REMEMBERED:
            del self._deleted[next(iter(self._deleted))]
        return state

    # Transcripts of the user's audio

    def transcript(self, item_id: str, index: int, text: str) -> ItemState | None:
        """Take a whole transcript, whose item may not exist yet."""
        state = self.adopt(item_id, MessageItem(role="user", content=(InputAudio(),)))
        if state is not None:
            part = state.part(index)
            part.become(InputAudio())
            part.set_final(text)
        return state

    def transcript_delta(self, item_id: str, index: int, delta: str) -> ItemState | None:
        """Take more of a transcript; parked where the item does not exist yet."""
        state = self.items.get(item_id)
        if state is None:
            self._park(item_id, index, delta)
            return None
        part = state.part(index)
        if part.final:
            self.strays += 1
            return None
        part.become(InputAudio())
        part.add(delta)
        return state

    def _park(self, item_id: str, index: int, text: str) -> None:
        """Keep text of an item that does not exist yet; the oldest goes first."""
        known = self._parked.get((item_id, index), "")
        if item_id in self._deleted or len(known) + len(text) > PARKED_CHARS:
            self.strays += 1
            return
        self._parked[item_id, index] = known + text
        if len(self._parked) > PARKED:
            del self._parked[next(iter(self._parked))]
            self.strays += 1

    # Order

    def _place(self, state: ItemState, previous_item_id: str | None) -> None:
        if previous_item_id is None or state.previous_item_id is not None or previous_item_id == state.id:
            return
        for _ in range(len(self._deleted)):  # what came before a deleted item is in its place now
            previous_item_id = self._deleted.get(previous_item_id, previous_item_id)
        state.previous_item_id = previous_item_id
        if previous_item_id == ROOT:
            self._move_after(state, None)
        elif (previous := self.items.get(previous_item_id)) is not None:
            self._move_after(state, previous)
        elif previous_item_id:
            self._waiting.setdefault(previous_item_id, []).append(state)

    def _append(self, state: ItemState) -> None:
        state.preceding = self._tail
        if self._tail is not None:
            self._tail.following = state
        else:
            self._head = state
        self._tail = state

    def _move_after(self, state: ItemState, previous: ItemState | None) -> None:
        """Move an item, and the items whose places depend on it, to where it belongs."""
        if state.preceding is previous:
            return
        last, moving = state, {state.id}
        while last.following is not None and last.following.previous_item_id in moving:
            last = last.following
            moving.add(last.id)
        if previous is not None and previous.id in moving:
            return  # a loop of previous ids: the server contradicts itself, so the order of arrival stays
        self._unlink(state, last)
        following = self._head if previous is None else previous.following
        state.preceding, last.following = previous, following
        if previous is None:
            self._head = state
        else:
            previous.following = state
        if following is None:
            self._tail = last
        else:
            following.preceding = last

    def _unlink(self, first: ItemState, last: ItemState) -> None:
        before, after = first.preceding, last.following
        if before is None:
            self._head = after
        else:
            before.following = after
        if after is None:
            self._tail = before
        else:
            after.preceding = before
        first.preceding = last.following = None

    # Reading

    @property
    def last_id(self) -> str | None:
        """The id of the last item."""
        return self._tail.id if self._tail is not None else None

    def last(self, count: int) -> list[AnyItem]:
        """Return the last items, oldest first."""

        def backwards() -> Iterator[ItemState]:
            item = self._tail
            while item is not None:
                yield item
                item = item.preceding

        return [state.snapshot() for state in islice(backwards(), count)][::-1]

    def snapshot(self) -> list[AnyItem]:
        """Return every item as it is now, in order."""
        return [state.snapshot() for state in self]
