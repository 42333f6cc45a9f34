"""The server's conversation: items by id, in order, with the audio that belongs to them."""

from collections.abc import Iterator
from typing import Final

import pybase64
from msgspec.structs import replace

from agentkit.events import (
    AnyPart,
    AudioFormat,
    FunctionCallItem,
    InputAudio,
    MessageItem,
    OutputAudio,
)
from agentkit.local.effects import RefusedError, invalid
from agentkit.local.responder import HeldItem
from agentkit.protocol.audio import Format

MAX_AUDIO_BYTES: Final = 64 * 1024 * 1024
"""Audio kept for ``conversation.item.retrieve``; the oldest item's goes first."""
OBJECT: Final = "realtime.item"


class History:
    """The items of one conversation."""

    def __init__(self) -> None:
        self._order: list[str] = []
        self._items: dict[str, HeldItem] = {}
        self._audio: dict[tuple[str, int], bytes] = {}
        self._audio_bytes = 0
        self._lengths: dict[tuple[str, int], tuple[int, AudioFormat]] = {}
        self._calls: set[str] = set()

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    def __iter__(self) -> Iterator[HeldItem]:
        return (self._items[item_id] for item_id in self._order)

    def __len__(self) -> int:
        return len(self._order)

    def get(self, item_id: str) -> HeldItem | None:
        """Return an item, if it is there."""
        return self._items.get(item_id)

    def has_call(self, call_id: str) -> bool:
        """Whether a function call with this ``call_id`` is in the conversation."""
        return call_id in self._calls

    def add(self, item: HeldItem, previous_item_id: str | None = None) -> str | None:
        """Put an item in and return the id of the one before it.

        Raises:
            RefusedError: The id is taken, or the previous item is not there.
        """
        assert item.id is not None
        if item.id in self._items:
            raise invalid("item.id", f"an item with the id '{item.id}' already exists.")
        if previous_item_id is None:
            place = len(self._order)
        elif previous_item_id == "root":
            place = 0
        elif previous_item_id in self._items:
            place = self._order.index(previous_item_id) + 1
        else:
            raise RefusedError(
                f"Error creating item: the previous item with id '{previous_item_id}' does not exist.",
                code="item_create_invalid_previous_item_id",
                param="previous_item_id",
            )
        self._order.insert(place, item.id)
        self.put(item)
        return self._order[place - 1] if place else None

    def put(self, item: HeldItem) -> None:
        """Replace an item by its newer state."""
        assert item.id is not None
        self._items[item.id] = item
        if isinstance(item, FunctionCallItem) and item.call_id is not None:
            self._calls.add(item.call_id)

    def before(self, item_id: str) -> str | None:
        """Return the id of the item before one that is there."""
        # The newest items are asked for, so the search begins at the end.
        place = len(self._order) - 1
        while self._order[place] != item_id:
            place -= 1
        return self._order[place - 1] if place else None

    def remove(self, item_id: str) -> None:
        """Take an item out.

        Raises:
            RefusedError: It is not there.
        """
        item = self._items.pop(item_id, None)
        if item is None:
            raise unknown_item("delete", item_id)
        self._order.remove(item_id)
        if isinstance(item, FunctionCallItem) and item.call_id is not None:
            self._calls.discard(item.call_id)
        for key in [key for key in self._lengths if key[0] == item_id]:
            del self._lengths[key]
            self._drop_audio(key)

    def keep_audio(self, item_id: str, content_index: int, audio: bytes, format: AudioFormat) -> None:
        """Keep the audio of a part for retrieval, and its length for truncation."""
        key = (item_id, content_index)
        self._drop_audio(key)
        self._lengths[key] = len(audio), format
        self._audio[key] = audio
        self._audio_bytes += len(audio)
        while self._audio_bytes > MAX_AUDIO_BYTES:
            self._drop_audio(next(iter(self._audio)))

    def audio_length(self, item_id: str, content_index: int) -> tuple[int, AudioFormat] | None:
        """Return the bytes of a part's audio and their format, or ``None`` where it has none."""
        return self._lengths.get((item_id, content_index))

    def truncate(self, item_id: str, content_index: int, size: int) -> None:
        """Cut the audio of one of the agent's messages to ``size`` bytes, and its transcript in proportion."""
        item = self._items.get(item_id)
        if not isinstance(item, MessageItem):
            return
        key = (item_id, content_index)
        length, format = self._lengths[key]
        self._lengths[key] = size, format
        audio = self._audio.get(key)
        if audio is not None:
            self._audio_bytes -= len(audio) - size
            self._audio[key] = audio[:size]
        content = list(item.content)
        part = content[content_index]
        if isinstance(part, OutputAudio):
            heard = _heard(part.transcript or "", size / length if length else 0.0)
            content[content_index] = replace(part, transcript=heard)
            self._items[item_id] = replace(item, content=tuple(content))

    def with_audio(self, item: HeldItem) -> HeldItem:
        """Return the item with its audio in base64."""
        if not isinstance(item, MessageItem):
            return item
        content: list[AnyPart] = []
        for index, part in enumerate(item.content):
            audio = self._audio.get((item.id or "", index))
            if audio is not None and isinstance(part, InputAudio | OutputAudio):
                content.append(replace(part, audio=pybase64.b64encode(audio).decode("ascii")))
            else:
                content.append(part)
        return replace(item, content=tuple(content))

    def _drop_audio(self, key: tuple[str, int]) -> None:
        self._audio_bytes -= len(self._audio.pop(key, b""))


def unknown_item(verb: str, item_id: str) -> RefusedError:
    """Return the refusal of an item id that nobody has."""
    return RefusedError(
        f"Error: the item with id '{item_id}' does not exist.",
        code=f"item_{verb}_invalid_item_id",
        param="item_id",
    )


def cut_size(length: int, ms: int, format: AudioFormat) -> int:
    """Return the bytes that a truncation at ``ms`` keeps.

    Raises:
        RefusedError: There is not so much audio.
    """
    measure = Format.of(format)
    if ms < 0:
        raise invalid("audio_end_ms", "it must not be negative.")
    if measure.ms(length) < ms:
        raise RefusedError(
            f"Audio content of {measure.ms(length)}ms is already shorter than {ms}ms",
            code="invalid_value",
            param="audio_end_ms",
        )
    return measure.size(ms)


def _heard(transcript: str, share: float) -> str:
    """Return the whole words of a transcript's first part."""
    end = int(len(transcript) * share)
    if end >= len(transcript) or transcript[end].isspace():
        return transcript[:end]
    return transcript[:end].rpartition(" ")[0]
