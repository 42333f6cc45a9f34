"""Audio time: formats, what the user has said, what of the agent's audio is held and heard.

Rule: all arithmetic is by the format's own rate; what is kept is bounded.
"""

from collections import deque

from msgspec import UNSET, UnsetType

from agentkit.events import AudioFormat, AudioView

MIN_COMMIT_MS = 100
"""Less than this in the input buffer cannot be committed. Source: error ``input_audio_buffer_commit_empty``."""


CHUNK_COST = 96
"""What a delta costs in memory besides its samples, so that tiny ones are bounded as well."""


class Format:
    """How many bytes a millisecond of an audio format has."""

    __slots__ = ("name", "rate", "sample_bytes")

    def __init__(self, name: str = "audio/pcm", rate: int = 24000) -> None:
        self.name = name
        self.rate = rate
        """Samples a second."""
        self.sample_bytes = 2 if name == "audio/pcm" else 1

    @classmethod
    def of(cls, wire: AudioFormat | UnsetType | None) -> "Format":
        """Return the format that a session's settings name; PCM16 at 24 kHz where they are silent."""
        if wire is UNSET or wire is None:
            return cls()
        name = wire.type if wire.type in ("audio/pcmu", "audio/pcma") else "audio/pcm"
        rate = wire.rate if isinstance(wire.rate, int) and wire.rate > 0 else 0
        return cls(name, rate or (24000 if name == "audio/pcm" else 8000))

    def ms(self, size: int) -> int:
        """Return the whole milliseconds in a number of bytes."""
        return size * 1000 // (self.rate * self.sample_bytes)

    def size(self, ms: int) -> int:
        """Return the bytes of a number of milliseconds, whole samples."""
        return ms * self.rate // 1000 * self.sample_bytes

    @property
    def wire(self) -> AudioFormat:
        """The format as the protocol writes it."""
        return AudioFormat(type=self.name, rate=self.rate)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Format) and (self.name, self.rate) == (other.name, other.rate)

    def __hash__(self) -> int:
        return hash((self.name, self.rate))

    def __repr__(self) -> str:
        return f"Format({self.name!r}, {self.rate})"


class ItemAudio:
    """The audio of one item: appended in O(1), joined on demand."""

    __slots__ = ("chunks", "cut_ms", "done", "done_parts", "dropped", "flushed", "format", "odd", "played_ms", "size")

    def __init__(self, audio_format: Format) -> None:
        self.format = audio_format
        """The session's when the item began; a later change does not touch it."""
        self.done = False
        self.done_parts: set[int] = set()
        """Content parts whose audio is complete."""
        self.chunks: deque[bytes] = deque()
        self.odd: dict[int, bytes] = {}
        """By part: half a sample, carried over to the next delta."""
        self.size = 0
        """Bytes received in whole samples, dropped ones included."""
        self.dropped = 0
        """Bytes no longer kept, from the beginning."""
        self.played_ms = 0
        self.cut_ms: int | None = None
        """Where the item was cut off, once it was."""
        self.flushed = False
        """Whether players were told to drop it, at a place that nobody has told us."""

    @property
    def waiting(self) -> bool:
        """Whether a player may still hold some of it that was not heard."""
        return self.cut_ms is None and not self.flushed and self.played_ms < self.format.ms(self.size)

    def read(self, end: int) -> bytes:
        """Return what is still kept of the first ``end`` bytes."""
        return b"".join(self.chunks)[: max(0, end - self.dropped)]

    def view(self) -> AudioView:
        """Return the audio so far, up to where it was cut off; in constant time."""
        end = self.size if self.cut_ms is None else min(self.size, self.format.size(self.cut_ms))
        return AudioView(self, end, self.format.ms(self.size), self.format.wire)

    def whole_samples(self, index: int, data: bytes) -> bytes:
        """Return a part's delta in whole samples, with what the one before it left over."""
        if self.format.sample_bytes == 1:
            return data
        data = self.odd.pop(index, b"") + data
        if len(data) & 1:
            self.odd[index] = data[-1:]
            return data[:-1]
        return data


class OutputAudio:
    """The agent's audio by item, with a cap on what is kept, and how much of it was heard."""

    def __init__(self, keep_bytes: int = 16 << 20) -> None:
        self.format = Format()
        self.keep_bytes = keep_bytes
        """Memory for audio over all items; the oldest goes first."""
        self.kept = 0
        """Memory taken, each delta's own cost included."""
        self._items: dict[str, ItemAudio] = {}
        self._order: deque[ItemAudio] = deque()
        self.latest: str | None = None
        """The item whose audio came last."""
        self._playing: str | None = None
        self.clocked = False
        """Whether anybody has ever moved the playback clock: otherwise what was heard is not known."""

    def append(self, item_id: str, data: bytes, index: int = 0) -> bytes | None:
        """Add a delta's samples to an item.

        Returns:
            What was added, in whole samples; None, nothing having changed, where its audio was complete already.
        """
        audio = self._items.get(item_id)
        if audio is None:
            audio = self._items[item_id] = ItemAudio(self.format)
        elif audio.done or (audio.done_parts and index in audio.done_parts):
            return None
        self.latest = item_id
        size = len(data)
        if audio.odd or size & 1:
            data = audio.whole_samples(index, data)
            size = len(data)
        audio.size += size
        audio.chunks.append(data)
        self._order.append(audio)
        self.kept += size + CHUNK_COST
        while self.kept > self.keep_bytes:
            self._evict()
        return data

    def _evict(self) -> None:
        oldest = self._order.popleft()
        size = len(oldest.chunks.popleft())
        oldest.dropped += size
        self.kept -= size + CHUNK_COST

    def read(self, item_id: str) -> bytes:
        """Return the samples of an item that are still kept."""
        audio = self._items.get(item_id)
        return b"".join(audio.chunks) if audio else b""

    def view(self, item_id: str) -> AudioView | None:
        """Return an item's audio so far, in constant time; None where it has none."""
        audio = self._items.get(item_id)
        return audio.view() if audio is not None else None

    def cut_ms(self, item_id: str) -> int | None:
        """Return where an item was cut off; None where it was not."""
        audio = self._items.get(item_id)
        return audio.cut_ms if audio is not None else None

    def finished(self, item_id: str, index: int | None = None) -> None:
        """No more audio will come for an item, or for one part of it; half a sample left over is dropped."""
        if (audio := self._items.get(item_id)) is None:
            return
        if index is None:
            audio.done = True
            audio.odd.clear()
        else:
            audio.done_parts.add(index)
            audio.odd.pop(index, None)

    def remove(self, item_id: str) -> bool:
        """Forget an item; return whether it had audio that was not all heard."""
        audio = self._items.pop(item_id, None)
        if self._playing == item_id:
            self._playing = None
        if self.latest == item_id:
            self.latest = None
        if audio is None:
            return False
        self.kept -= sum(len(chunk) + CHUNK_COST for chunk in audio.chunks)
        self._order = deque(other for other in self._order if other is not audio)
        return audio.cut_ms is None and (not audio.done or audio.played_ms < audio.format.ms(audio.size))

    def received_ms(self, item_id: str) -> int:
        """Milliseconds of an item's audio received so far."""
        audio = self._items.get(item_id)
        return audio.format.ms(audio.size) if audio else 0

    def played(self, item_id: str, ms: int) -> None:
        """Move the playback clock: ``ms`` milliseconds of the item were heard; never beyond what was received.

        What a player says of an item that was cut off meanwhile, or that has no audio, is too late to count.
        """
        audio = self._items.get(item_id)
        if audio is None or audio.cut_ms is not None:
            return
        self._playing = item_id
        self.clocked = True
        audio.played_ms = min(max(ms, audio.played_ms), audio.format.ms(audio.size))

    def heard_ms(self, item_id: str) -> int:
        """Milliseconds of an item that were heard."""
        audio = self._items.get(item_id)
        return audio.played_ms if audio else 0

    @property
    def playing(self) -> str | None:
        """The item at which the playback clock is; it may be at its end."""
        return self._playing

    @property
    def waiting(self) -> bool:
        """Whether a player may still hold audio that was not heard."""
        return any(audio.waiting for audio in self._items.values())

    def flush(self) -> None:
        """Players were told to drop everything: what was not heard by now never will be."""
        for audio in self._items.values():
            if audio.waiting and self.clocked:
                audio.cut_ms = audio.played_ms
            elif audio.waiting:
                audio.flushed = True

    def was_heard(self, item_id: str, ms: int) -> None:
        """Take somebody's exact word on how much of an item with audio was heard; never beyond what was received."""
        audio = self._items[item_id]
        audio.played_ms = min(max(0, ms), audio.format.ms(audio.size))

    def cut(self, item_id: str, ms: int) -> None:
        """Cut an item off: no more of it will be heard."""
        if (audio := self._items.get(item_id)) is not None:
            audio.cut_ms = ms
            audio.played_ms = min(audio.played_ms, ms)
        if self._playing == item_id:
            self._playing = None
