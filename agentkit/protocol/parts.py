"""One content part as it grows: deltas appended in O(1), joined on demand, replaced by what a done event says."""

from agentkit.events import AnyPart, Audio, InputAudio, InputText, OutputAudio, OutputText, PartView, Text


class PartState:
    """The text of a part (its text, transcript, or a call's arguments) and what else was told of it."""

    __slots__ = ("base", "chunks", "final")

    def __init__(self) -> None:
        self.base: AnyPart | None = None
        self.chunks: list[str] = []
        """Only ever added to, or replaced by another list: views of the part share it."""
        self.final = False
        """Whether a done event gave the whole text; later deltas are strays."""

    @property
    def text(self) -> str:
        """The text so far."""
        if len(self.chunks) > 1:
            self.chunks = ["".join(self.chunks)]
        return self.chunks[0] if self.chunks else ""

    def add(self, delta: str) -> None:
        """Append a delta."""
        self.chunks.append(delta)

    def add_before(self, text: str) -> None:
        """Prepend text that came before the part's item was known."""
        if not self.final:
            self.chunks = [text, *self.chunks]  # a new list: views hold the old one

    def become(self, base: AnyPart) -> None:
        """Take what an event's kind says about the part, where nothing was told of it yet."""
        if self.base is None:
            self.base = base

    def set_final(self, text: str) -> None:
        """Replace the text by what a done event says; an empty word erases nothing."""
        if text:
            self.chunks = [text]
        self.final = True

    def merge(self, part: AnyPart, *, final: bool) -> None:
        """Take a part as an event tells it.

        Args:
            part: The part; short names (``audio``) count as the long ones (``output_audio``).
            final: Whether the event says that the part's item is done.
        """
        part = _canonical(part)
        if self.base is None or type(part) is not type(self.base) or _told(part) >= _told(self.base):
            self.base = part
        text = _text(part)
        if not text:
            return
        if final or isinstance(part, InputText | InputAudio):
            self.set_final(text)
        elif not self.chunks:
            self.add(text)

    def view(self) -> PartView:
        """Return the part as it is now, in constant time."""
        return PartView(self.base, self.chunks)


def _canonical(part: AnyPart) -> AnyPart:
    if isinstance(part, Text):
        return OutputText(text=part.text)
    if isinstance(part, Audio):
        return OutputAudio(audio=part.audio, transcript=part.transcript)
    return part


def _text(part: AnyPart) -> str:
    if isinstance(part, InputText | OutputText):
        return part.text
    if isinstance(part, InputAudio | OutputAudio):
        return part.transcript or ""
    return ""


def _told(part: AnyPart) -> int:
    """Rank how much a part tells besides its text: one with its audio is not replaced by one without."""
    return int(isinstance(part, InputAudio | OutputAudio) and part.audio is not None)
