"""What the user says: how much of it is in the server's buffer, and whose item it becomes.

Rule: audio belongs to the item that ``input_audio_buffer.committed`` names, never to the next item of the user's.
"""

from collections import deque

from agentkit.events import AudioView
from agentkit.protocol.audio import CHUNK_COST, Format, ItemAudio

SPEECHES = 64
"""Items whose speech the server has noticed and not committed yet, remembered."""


class InputAudio:
    """The input buffer's length, and, if wanted, the audio of each of the user's items."""

    __slots__ = (
        "_begins",
        "_bound",
        "_chunks",
        "_kept_items",
        "_kept_loose",
        "_marks",
        "_speech",
        "_start",
        "format",
        "keep_bytes",
        "pending",
        "total",
    )

    def __init__(self, keep_bytes: int = 0) -> None:
        """Begin.

        Args:
            keep_bytes: Memory for the user's audio: half for what is in no item yet, half for the items; the oldest
                goes first. 0 keeps none.
        """
        self.format = Format()
        self.keep_bytes = keep_bytes
        self.pending = 0
        """Bytes in the server's buffer, as far as we know."""
        self.total = 0
        """Bytes of the whole session: the input audio's clock."""
        self._begins = 0
        """Where what is in the buffer begins on that clock."""
        self._marks: list[tuple[str | None, tuple[int, int] | None]] = []
        """Each commit and clear of ours that has no answer yet: its event id, and what a commit has taken."""
        self._speech: dict[str, list[int | None]] = {}
        """By item: where the server's turn detection heard the speech begin and end."""
        self._chunks: deque[bytes] = deque()
        self._start = 0
        """Where the first chunk begins."""
        self._bound: dict[str, ItemAudio] = {}
        self._kept_loose = self._kept_items = 0

    @property
    def pending_ms(self) -> int:
        """Milliseconds in the server's buffer."""
        return self.format.ms(self.pending)

    @property
    def position_ms(self) -> int:
        """Milliseconds of input so far in this session."""
        return self.format.ms(self.total)

    @property
    def kept(self) -> int:
        """Memory taken, each chunk's own cost included."""
        return self._kept_loose + self._kept_items

    @property
    def committing(self) -> bool:
        """Whether a commit of ours has no answer yet."""
        return any(span is not None for _, span in self._marks)

    def append(self, audio: bytes) -> None:
        """Count appended audio, and keep it where that is wanted."""
        size = len(audio)
        self.pending += size
        self.total += size
        if self.keep_bytes:
            self._chunks.append(audio)
            self._kept_loose += size + CHUNK_COST
            while self._kept_loose > self.keep_bytes // 2:
                self._drop_chunk()

    def _drop_chunk(self) -> None:
        chunk = self._chunks.popleft()
        self._start += len(chunk)
        self._kept_loose -= len(chunk) + CHUNK_COST

    def use(self, audio_format: Format) -> None:
        """Take another format; the clock goes on where it was."""
        if audio_format == self.format:
            return
        before, position = self.format, self.position_ms
        while self._chunks:
            self._drop_chunk()
        self._marks = [
            (event_id, span and (_moved(span[0], before, audio_format), _moved(span[1], before, audio_format)))
            for event_id, span in self._marks
        ]
        for heard in self._speech.values():
            heard[:] = (None if at is None else _moved(at, before, audio_format) for at in heard)
        self.format = audio_format
        self.total = self._start = self._begins = audio_format.size(position)
        self.pending = _moved(self.pending, before, audio_format)

    def restart(self) -> None:
        """Begin at nothing: another connection has an empty buffer, and a clock of its own."""
        while self._chunks:
            self._drop_chunk()
        self._marks.clear()
        self._speech.clear()
        self.pending = self.total = self._begins = self._start = 0

    # The buffer is emptied

    def emptied_by_us(self, event_id: str | None = None, *, commit: bool) -> None:
        """A commit or clear of ours goes out; what is appended after it belongs to what comes next."""
        self._marks.append((event_id, (self._begins, self.total) if commit else None))
        self._begins = self.total
        self.pending = 0

    def emptied(self, item_id: str | None = None) -> None:
        """The server has committed or dropped its buffer: by itself, or in answer to us.

        Args:
            item_id: The item that the audio became; None where it was dropped.
        """
        if self._marks:
            span = self._marks.pop(0)[1]
        else:
            span = self._begins, self.total
            self._begins = self.total
            self.pending = 0
        if item_id is None:
            return
        heard = self._speech.pop(item_id, None)
        if heard is not None:
            begin, end = heard
            span = 0 if begin is None else begin, self.total if end is None else end
        if span is not None and self.keep_bytes:
            self._take(item_id, *span)

    def refused(self, event_id: str | None = None, *, empty: bool = False) -> None:
        """The server refused a commit or clear of ours: what it took is still in the buffer, for the next.

        Args:
            event_id: Which; None where the server does not say, which is the oldest commit.
            empty: Whether the reason is that there is too little in the buffer, whatever we think of it.
        """
        meant = [mark for mark in self._marks if mark[0] == event_id or (event_id is None and mark[1] is not None)]
        if not meant:
            return
        index, span = self._marks.index(meant[0]), meant[0][1]
        del self._marks[index]
        if span is None:
            return
        if index == len(self._marks):
            self._begins = span[0]
            if not empty:
                self.pending += span[1] - span[0]
            return
        next_id, next_span = self._marks[index]
        if next_span is not None:
            self._marks[index] = next_id, (span[0], next_span[1])

    def speech(self, item_id: str | None, *, began_ms: int | None = None, ended_ms: int | None = None) -> None:
        """Note where the server's turn detection heard an item's speech begin or end, on the input's clock."""
        if item_id is None or not self.keep_bytes:
            return
        span = self._speech.setdefault(item_id, [None, None])
        if began_ms is not None:
            span[0] = self.format.size(max(0, began_ms))
        if ended_ms is not None:
            span[1] = self.format.size(max(0, ended_ms))
        if len(self._speech) > SPEECHES:
            del self._speech[next(iter(self._speech))]

    # The audio of items

    def _take(self, item_id: str, begin: int, end: int) -> None:
        """Give an item its audio; what was before it, nobody will ask for any more."""
        taken = bytearray()
        while self._chunks and self._start < end:
            chunk, start = self._chunks[0], self._start
            taken += chunk[max(0, begin - start) : end - start]
            if start + len(chunk) > end:
                break
            self._drop_chunk()
        self.bind(item_id, bytes(taken))

    def bind(self, item_id: str, data: bytes) -> None:
        """Keep the audio of an item, where audio is kept at all."""
        if not self.keep_bytes or not data or item_id in self._bound:
            return
        bound = self._bound[item_id] = ItemAudio(self.format)
        bound.chunks.append(data)
        bound.size = len(data)
        self._kept_items += len(data) + CHUNK_COST
        while self._kept_items > self.keep_bytes // 2:
            self.remove(next(iter(self._bound)))

    def remove(self, item_id: str) -> None:
        """Forget an item's audio."""
        bound = self._bound.pop(item_id, None)
        if bound is not None:
            self._kept_items -= bound.size + CHUNK_COST

    def view(self, item_id: str) -> AudioView | None:
        """Return the audio of an item of the user's, where it is kept."""
        bound = self._bound.get(item_id)
        return bound.view() if bound is not None else None


def _moved(size: int, before: Format, now: Format) -> int:
    """Return a place on the input's clock in another format."""
    return now.size(before.ms(size))
