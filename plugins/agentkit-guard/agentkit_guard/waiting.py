"""What waits for what in ``hold``: one text of the agent's, how far it has passed, and who needs how much of it."""

from collections.abc import Sequence
from typing import NamedTuple

from agentkit_guard.rules import Screen


class Spoken:
    """One text of the agent's, and how far it has passed."""

    __slots__ = (
        "_rules",
        "_same",
        "_screen",
        "asked",
        "final",
        "has_audio",
        "item_id",
        "passed",
        "response_id",
        "stopped",
        "text",
        "version",
    )

    def __init__(self, screen: Screen, response_id: str | None, item_id: str | None) -> None:
        self._screen = screen
        self._rules = screen.stream()
        self._same: list[int] = []
        """How much stayed, each time that the text was replaced by another."""
        self.response_id = response_id
        self.item_id = item_id
        self.version = 0
        """How often the text was replaced by another."""
        self.text = ""
        self.passed = 0
        """Characters that have passed."""
        self.asked = 0
        """Characters that a function or a model was asked about."""
        self.final = False
        """Whether no more will come."""
        self.has_audio = False
        self.stopped: int | None = None
        """How much of it may be seen, where it was stopped."""

    def add(self, piece: str) -> None:
        """Take more of it."""
        self.text += piece
        if self.final and piece:
            self._rules, piece = self._screen.stream(), self.text  # what was an end is none
        if self._screen.detectors:
            self._rules.feed(piece)

    def become(self, text: str) -> str:
        """Take the whole of it, and return it; where it differs from what came, it is looked at again."""
        if text.startswith(self.text):
            self.add(text[len(self.text) :])
        elif text != self.text:
            same = next((index for index, (a, b) in enumerate(zip(text, self.text, strict=False)) if a != b), len(text))
            self.passed, self.asked = min(self.passed, same), min(self.asked, same)
            self._same.append(same)
            self.version += 1
            self.text, self._rules = "", self._screen.stream()
            self.add(text)
        return text

    def kept(self, position: int, version: int) -> bool:
        """Tell whether a beginning of it, as it was then, is in it still."""
        return all(position <= same for same in self._same[version:])

    @property
    def found(self) -> bool:
        """Whether the rules have found something."""
        if self.final:
            self._rules.feed("", final=True)
        return bool(self._rules.found)

    def checkable(self, sentence_end: int) -> int:
        """Return how far it can be checked now, where the last whole sentence ends here."""
        if self.final:
            return len(self.text)
        return min(sentence_end, self._rules.decided) if self._screen.detectors else sentence_end

    def stop(self) -> None:
        """Let nothing more be seen of it than what has passed."""
        if self.stopped is None:
            self.stopped = self.passed

    def shown(self, text: str) -> str:
        """Return what may be seen of a beginning of it, or of all of it."""
        if self.stopped is None:
            return text
        seen = self.text[: self.stopped]
        return text if seen.startswith(text) else seen


class Need(NamedTuple):
    """How much of a text has to have passed before an event may go."""

    spoken: Spoken
    position: int
    after: bool
    """Whether something that came later has to have passed too, unless nothing more will come."""

    version: int
    """Which text that was, where it was replaced by another since."""

    @property
    def met(self) -> bool:
        """Whether it has, or never will."""
        spoken = self.spoken
        if spoken.stopped is not None or not spoken.kept(self.position, self.version):
            return True
        if self.after and not (spoken.final and spoken.passed == len(spoken.text)):
            return len(spoken.text[: spoken.passed].rstrip()) > self.position
        return spoken.passed >= self.position

    @property
    def dropped(self) -> bool:
        """Whether it never will."""
        spoken = self.spoken
        if not spoken.kept(self.position, self.version):
            return True
        return spoken.stopped is not None and self.position > spoken.stopped


def said_before(spoken: Spoken, parts: Sequence[Spoken], most: int) -> str:
    """Return the end of what the parts of a message say before one of them.

    Args:
        spoken: The one.
        parts: All, in order.
        most: How many characters at most.
    """
    texts: list[str] = []
    for part in parts:
        if part is spoken:
            break
        texts.append(part.text[-most:])
    return "".join(texts)[-most:]


def found_across(screen: Screen, parts: Sequence[Spoken], most: int) -> bool:
    """Tell whether the parts of a message hold together what none of them holds alone.

    Args:
        screen: What is looked for.
        parts: All, in order.
        most: How many characters of each end of a part are looked at.
    """
    if len(parts) < 2:
        return False
    texts = [part.text if len(part.text) <= 2 * most else f"{part.text[:most]}\n{part.text[-most:]}" for part in parts]
    for join in ("", " "):
        stream = screen.stream()
        stream.feed(join.join(texts), final=parts[-1].final)
        if stream.found:
            return True
    return False
