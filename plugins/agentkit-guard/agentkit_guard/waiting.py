"""What waits for what in ``hold``: one text of the agent's, how far it has passed, and who needs how much of it."""

from typing import NamedTuple

from agentkit_guard.rules import Screen


class Spoken:
    """One text of the agent's, and how far it has passed."""

    __slots__ = ("_rules", "_screen", "asked", "final", "has_audio", "passed", "response_id", "stopped", "text")

    def __init__(self, screen: Screen, response_id: str | None) -> None:
        self._screen = screen
        self._rules = screen.stream()
        self.response_id = response_id
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
        if self._screen.detectors:
            self._rules.feed(piece)

    def become(self, text: str) -> str:
        """Take the whole of it, and return it; where it differs from what came, it is looked at again."""
        if text.startswith(self.text):
            self.add(text[len(self.text) :])
        elif text != self.text:
            same = next((index for index, (a, b) in enumerate(zip(text, self.text, strict=False)) if a != b), len(text))
            self.passed, self.asked = min(self.passed, same), min(self.asked, same)
            self.text, self._rules = "", self._screen.stream()
            self.add(text)
        return text

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

    @property
    def met(self) -> bool:
        """Whether it has."""
        spoken = self.spoken
        if spoken.stopped is not None:
            return True
        if self.after and not (spoken.final and spoken.passed == len(spoken.text)):
            return len(spoken.text[: spoken.passed].rstrip()) > self.position
        return spoken.passed >= self.position
