"""An item at one moment: cheap to make with every delta, and never changed by what comes later.

Rule: making a view costs the same however long the item has become; text is joined and audio is read when asked for.
"""

import re
from collections.abc import Sequence
from typing import Final, Protocol

from msgspec.structs import replace

from agentkit.events.items import (
    AnyItem,
    AnyPart,
    FunctionCallItem,
    InputAudio,
    InputText,
    MessageItem,
    OutputAudio,
    OutputText,
    UnknownItem,
)
from agentkit.events.settings import AudioFormat

SPEED = 0.017
"""Characters that a voice says in a millisecond, at most: an estimate's bound while a transcript runs ahead."""
LONGEST_WORD = 30
"""Characters; a longer run without a border is no word."""
BORDER: Final = re.compile(
    r"[\s\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
)
"""Space, or a character of Thai, Lao, Burmese, Khmer, Japanese or Chinese, where nothing marks the ends of words."""


class HeldAudio(Protocol):
    """Audio that only grows, but for what retention drops from its beginning."""

    def read(self, end: int) -> bytes:
        """Return what is still kept of the first ``end`` bytes."""


class PartView:
    """One content part at one moment: the first ``count`` chunks of a list that only grows."""

    __slots__ = ("base", "chunks", "count")

    def __init__(self, base: AnyPart | None, chunks: list[str]) -> None:
        self.base = base
        self.chunks = chunks
        self.count = len(chunks)

    @property
    def text(self) -> str:
        """The part's text, or its transcript, or the arguments of a call."""
        return "".join(self.chunks[: self.count])

    @property
    def part(self) -> AnyPart:
        """The part as the protocol writes it."""
        base = self.base
        if base is None:
            return OutputText(text=self.text)
        if isinstance(base, OutputText | InputText):
            return replace(base, text=self.text)
        if isinstance(base, OutputAudio | InputAudio):
            return replace(base, transcript=self.text or None)
        return base


class AudioView:
    """The audio of an item at one moment."""

    __slots__ = ("end", "format", "held", "ms")

    def __init__(self, held: HeldAudio, end: int, ms: int, audio_format: AudioFormat) -> None:
        self.held = held
        self.end = end
        self.ms = ms
        """Milliseconds received by then; what retention has dropped since is counted too."""
        self.format = audio_format

    def read(self) -> bytes:
        """Return what is still kept of it, in its format."""
        return self.held.read(self.end)


class ItemView:
    """An item as it was when an event told of it."""

    __slots__ = ("_base", "_done", "_parts", "audio", "heard_ms", "id", "interrupted", "previous_item_id", "status")

    def __init__(
        self,
        base: AnyItem,
        *,
        item_id: str,
        status: str | None,
        parts: Sequence[PartView] = (),
        audio: AudioView | None = None,
        heard_ms: int | None = None,
        interrupted: bool = False,
        previous_item_id: str | None = None,
        done: bool = True,
    ) -> None:
        self._base = base
        self._parts = parts
        self._done = done
        self.id = item_id
        self.status = status
        """``in_progress``, ``completed`` or ``incomplete``; None where the server has not said."""
        self.audio = audio
        """The agent's audio, or the user's where it is kept."""
        self.heard_ms = heard_ms
        """Milliseconds after which the agent was cut off; None where it was not."""
        self.interrupted = interrupted
        """Whether the agent was stopped while it made the item, or cut off while it was played."""
        self.previous_item_id = previous_item_id
        """The item before it in the conversation."""

    @classmethod
    def of(cls, item: AnyItem) -> "ItemView":
        """Return the view of an item that is whole already."""
        return cls(
            item,
            item_id=item.id or "",
            status=item.status,
            parts=[_whole(part) for part in getattr(item, "content", ())],
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ItemView):
            return NotImplemented
        mine, others = (
            (view.item, view.heard_ms, view.interrupted, view.audio and (view.audio.ms, view.audio.format))
            for view in (self, other)
        )
        return mine == others

    def __hash__(self) -> int:
        return hash((self.id, self.status))

    def __repr__(self) -> str:
        return f"ItemView({self.item!r})"

    @property
    def item(self) -> AnyItem:
        """The item in the protocol's shape."""
        base = self._base
        if isinstance(base, MessageItem):
            content = tuple(part.part for part in self._parts)
            return replace(base, id=self.id, status=self.status, content=content)
        if isinstance(base, FunctionCallItem):
            return replace(base, id=self.id, status=self.status, arguments=self._joined() or base.arguments)
        return base if isinstance(base, UnknownItem) else replace(base, id=self.id, status=self.status)

    def _joined(self) -> str:
        return "".join(part.text for part in self._parts)

    @property
    def text(self) -> str:
        """The message's written text, joined; transcripts are not in it."""
        if not isinstance(self._base, MessageItem):
            return ""
        return "".join(part.text for part in self._parts if isinstance(part.base, OutputText | InputText | None))

    @property
    def transcript(self) -> str:
        """What is said in the message, joined."""
        return "".join(part.text for part in self._parts if isinstance(part.base, OutputAudio | InputAudio))

    @property
    def heard_text(self) -> str | None:
        """What was heard of a message that was cut off: an estimate from the position and the transcript.

        The protocol does not tell which words lie where, nor gives back a transcript that was cut. None where the agent
        was not cut off.
        """
        if self.heard_ms is None:
            return None
        return heard_text(
            self.transcript, self.heard_ms, self.audio.ms if self.audio is not None else 0, done=self._done
        )


def _whole(part: AnyPart) -> PartView:
    if isinstance(part, OutputText | InputText):
        return PartView(part, [part.text])
    if isinstance(part, OutputAudio | InputAudio):
        return PartView(part, [part.transcript or ""])
    return PartView(part, [])


def heard_text(transcript: str, heard_ms: int, audio_ms: int, *, done: bool) -> str:
    """Estimate how much of a transcript was heard; whole words only.

    Args:
        transcript: What is said in the whole audio, or more where the audio has not all come.
        heard_ms: Milliseconds that were heard.
        audio_ms: Milliseconds of audio that belong to the transcript.
        done: Whether all the audio has come; transcripts run ahead of it.
    """
    if heard_ms <= 0 or audio_ms <= 0:
        return ""
    if done and heard_ms >= audio_ms:
        return transcript
    pace = len(transcript) / audio_ms
    characters = int(heard_ms * (pace if done else min(pace, SPEED)))
    if characters >= len(transcript):
        return transcript
    heard = transcript[:characters]
    if BORDER.match(transcript[characters]):
        return heard.rstrip()
    # A word that was cut in two was not heard.
    begin = max((found.end() for found in BORDER.finditer(heard, max(0, characters - LONGEST_WORD - 1))), default=0)
    return heard if characters - begin > LONGEST_WORD else heard[:begin].rstrip()
