"""The rules that all guards share: what is looked for in a text, and how it is found in a text that comes in pieces.

Rule: what a stream lets out does not depend on where its text was cut. A detector says from where on its word may
still change; nothing beyond that place is let out before the text ends.
"""

import contextlib
import re
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final, NamedTuple

from agentkit_guard.folding import Fold, Folded, clean, fold_text, is_unseen, leet, look, plain

HELD: Final = 1024
"""Characters that a stream holds before it looks at them only now and then, so that its cost stays in proportion."""
CONTEXT: Final = 64
"""Characters kept of what was let out, by which a detector knows what stands before."""
DENIED: Final = "removed"
"""What is said of what was found by a rule of the user's."""
LONGEST: Final = 64
"""The longest text that a pattern of the user's is expected to match, unless said otherwise."""
_TOKEN: Final = re.compile(r"[^\W_]+")
_UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


class Span(NamedTuple):
    """A place in a text where something was found."""

    start: int
    end: int
    label: str


class Detector(ABC):
    """Looks for one thing in a folded text."""

    fold: ClassVar[Fold] = staticmethod(clean)
    label: str

    @abstractmethod
    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        """Yield what begins at ``start`` or later, in any order."""

    @abstractmethod
    def open_from(self, text: str) -> int:
        """Return from where on more text could change what is found; the text's length where it could not."""


class Pattern(Detector):
    """A regular expression of the user's, in the text without what cannot be seen."""

    def __init__(self, pattern: str, *, longest: int = LONGEST, label: str = DENIED, any_case: bool = False) -> None:
        """Compile it.

        Args:
            pattern: The expression.
            longest: The longest text that it matches.
            label: What is said of a match.
            any_case: Whether case is ignored.

        Raises:
            ValueError: It is no regular expression.
        """
        flags = re.IGNORECASE if any_case else 0
        try:
            self._pattern = re.compile(pattern, flags)
        except re.error as error:
            raise ValueError(f"the pattern {pattern!r} is not a regular expression: {error}") from error
        bare = "".join(each for each in pattern if not is_unseen(each) or each.isspace())
        with contextlib.suppress(re.error):  # a set of nothing but marks; there are none in a folded text
            self._pattern = re.compile(bare, flags)
        self._longest = longest
        self.label = label

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        return overlapping(self._pattern, text, start)

    def open_from(self, text: str) -> int:
        return max(0, len(text) - self._longest)


class PlainPattern(Pattern):
    """The same in the text without accents and look-alikes."""

    fold: ClassVar[Fold] = staticmethod(look)


def overlapping(pattern: re.Pattern[str], text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield every match, also those that begin within another."""
    while (match := pattern.search(text, start)) is not None:
        if match.end() > match.start():
            yield match.start(), match.end()
        start = match.start() + 1


class Phrases(Detector):
    """Words and phrases, whole words only; ``stem*`` means every word that begins so."""

    def __init__(self, phrases: Sequence[str]) -> None:
        """Fold the phrases as the text is folded.

        Raises:
            ValueError: A phrase holds no letter or digit.
        """
        self.label = DENIED
        self._phrases: list[tuple[list[str], bool]] = []
        self._unspaced: list[str] = []
        for phrase in phrases:
            folded = fold_text(phrase, type(self).fold).text
            words = _TOKEN.findall(folded)
            if not words:
                raise ValueError(f"{phrase!r} holds no letter or digit that could be looked for")
            if _UNSPACED.search(folded):
                self._unspaced.append("".join(words))
            else:
                self._phrases.append((words, phrase.rstrip().endswith("*")))
        self._longest = max((len(words) for words, _ in self._phrases), default=0)

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        tokens = [(match.start(), match.end(), match.group()) for match in _TOKEN.finditer(text)]
        for first, (begin, _, _) in enumerate(tokens):
            if begin < start:
                continue
            for words, is_stem in self._phrases:
                found = tokens[first : first + len(words)]
                if len(found) == len(words) and _fits([token for _, _, token in found], words, is_stem=is_stem):
                    yield begin, found[-1][1]
        for word in self._unspaced:
            yield from overlapping(re.compile(re.escape(word)), text, start)

    def open_from(self, text: str) -> int:
        places = [len(text)]
        tokens = [(match.start(), match.group()) for match in _TOKEN.finditer(text)]
        unfinished = bool(tokens) and tokens[-1][0] + len(tokens[-1][1]) == len(text)
        for count in range(1, min(self._longest, len(tokens)) + 1):
            last = [token for _, token in tokens[-count:]]
            if any(_may_become(last, words, is_stem, unfinished) for words, is_stem in self._phrases):
                places.append(tokens[-count][0])
        for word in self._unspaced:
            size = next((size for size in range(len(word) - 1, 0, -1) if text.endswith(word[:size])), 0)
            places.append(len(text) - size)
        return min(places)


def _fits(tokens: list[str], words: list[str], *, is_stem: bool) -> bool:
    last = tokens[-1].startswith(words[-1]) if is_stem else tokens[-1] == words[-1]
    return last and tokens[:-1] == words[:-1]


def _may_become(tokens: list[str], words: list[str], is_stem: bool, unfinished: bool) -> bool:
    """Tell whether the last words of a text may be the beginning of a phrase, or a phrase whose end is not seen yet."""
    count = len(tokens)
    if not unfinished:
        return count < len(words) and tokens == words[:count]
    if count > len(words) or tokens[:-1] != words[: count - 1]:
        return False
    expected = words[count - 1]
    return expected.startswith(tokens[-1]) or (is_stem and count == len(words) and tokens[-1].startswith(expected))


class PlainPhrases(Phrases):
    """Phrases as they are written, but for case and accents."""

    fold: ClassVar[Fold] = staticmethod(plain)


class LookPhrases(Phrases):
    """Phrases written with letters that look the same."""

    fold: ClassVar[Fold] = staticmethod(look)


class LeetPhrases(Phrases):
    """Phrases written with digits and signs for letters."""

    fold: ClassVar[Fold] = staticmethod(leet)


def rules_for(
    deny: Sequence[str], patterns: Sequence[str], *, use_leet: bool = False, longest: int = LONGEST
) -> list[Detector]:
    """Return the detectors of words, phrases and patterns.

    Raises:
        ValueError: A phrase is empty, or a pattern is none.
    """
    found: list[Detector] = []
    if deny:
        found += [PlainPhrases(deny), LookPhrases(deny)]
        if use_leet:
            found.append(LeetPhrases(deny))
    for pattern in patterns:
        found.append(Pattern(pattern, longest=longest, any_case=True))
        found.append(PlainPattern(pattern, longest=longest, any_case=True))
    return found


class Screen:
    """Detectors, and what stands in the place of what they find."""

    def __init__(self, detectors: Sequence[Detector], *, replacement: str = "[{kind}]", cut: bool = False) -> None:
        """Make a screen.

        Args:
            detectors: What is looked for.
            replacement: What is put in the place of each; ``{kind}`` says what it was.
            cut: Whether a text ends where something was found, instead.
        """
        self.detectors = tuple(detectors)
        self._replacement = replacement
        self.cut = cut

    def replacement(self, label: str) -> str:
        """Return what stands in the place of what was found."""
        return self._replacement.replace("{kind}", label)

    def stream(self) -> "Stream":
        """Begin a text that comes in pieces."""
        return Stream(self)

    def apply(self, text: str, *, final: bool = True) -> str:
        """Return a text as it may be seen; one that is not final without an end that may become something."""
        return self.stream().feed(text, final=final)

    def finds(self, text: str) -> str | None:
        """Return what kind of thing is in a text; None where nothing is."""
        stream = self.stream()
        stream.feed(text, final=True)
        return stream.found[0] if stream.found else None


class Stream:
    """One text that comes in pieces, and how much of it may be seen."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._text = ""
        self._at = 0
        """How much of the text at hand was decided."""
        self._covered = 0
        """Up to where what was found reaches."""
        self._next = 0
        """How much is held when it is looked at next."""
        self.found: list[str] = []
        """The kinds of what was found so far, in order."""
        self.decided = 0
        """How many characters were decided, in all."""

    @property
    def waiting(self) -> bool:
        """Whether an end is held back."""
        return self._at < len(self._text)

    def feed(self, piece: str, *, final: bool = False) -> str:
        """Take more text, and return what may be seen of it by now.

        Args:
            piece: What comes next.
            final: Whether the text ends here.
        """
        self._text += piece
        text, screen = self._text, self._screen
        if not final and (self._at == len(text) or len(text) - self._at < self._next):
            return ""
        views: dict[Fold, Folded] = {}
        spans: list[Span] = []
        end = len(text)
        for detector in screen.detectors:
            fold = type(detector).fold
            view = views.get(fold)
            if view is None:
                view = views[fold] = fold_text(text, fold)
            if not view.text:
                continue
            start = _first_from(view.places, self._at)
            spans += [Span(*view.span(*found), detector.label) for found in detector.find(view.text, start)]
            if not final:
                end = min(end, view.places[detector.open_from(view.text)])
        released = self._release(spans, max(end, self._at))
        held = len(self._text) - self._at
        self._next = held + held // 4 if held > HELD else 0
        return released

    def _release(self, spans: list[Span], end: int) -> str:
        text, out, position = self._text, list[str](), max(self._at, self._covered)
        stopped = self._screen.cut and bool(self.found)
        for span in sorted(spans, key=lambda span: (span.start, -span.end)):
            if span.start >= end:
                break
            if span.start >= self._covered:
                if not stopped:
                    out.append(text[position : span.start])
                    if not self._screen.cut:
                        out.append(self._screen.replacement(span.label))
                self.found.append(span.label)
                stopped = self._screen.cut
            self._covered = position = max(self._covered, span.end)
        if position < end and not stopped:
            out.append(text[position:end])
        self.decided += end - self._at
        dropped = max(0, end - CONTEXT)
        self._text, self._at, self._covered = text[dropped:], end - dropped, max(0, self._covered - dropped)
        return "".join(out)


def _first_from(places: list[int], at: int) -> int:
    """Return the first folded character that comes from ``at`` or later."""

    return bisect_left(places, at)
