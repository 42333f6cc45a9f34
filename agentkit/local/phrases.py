"""Phrases with slots: ``what time is it in {zone}?`` against what a user said.

Rule: time is bounded whatever the text: words are capped, and matching is a table of phrase by words.
"""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

MAX_TEXT: Final = 2_000
MAX_WORDS: Final = 120
MAX_PHRASE_WORDS: Final = 32
MAX_SLOT_WORDS: Final = 40

_MARKS: Final = ".,;:!?\"'`\u2018\u2019\u201c\u201d\u2026\u00bf\u00a1\u00ab\u00bb"
_EDGES: Final = f"{_MARKS}()[]{{}}<>"
_CONTRACTIONS: Final = {
    "what's": ("what", "is"),
    "whats": ("what", "is"),
    "who's": ("who", "is"),
    "where's": ("where", "is"),
    "when's": ("when", "is"),
    "how's": ("how", "is"),
    "it's": ("it", "is"),
    "that's": ("that", "is"),
    "there's": ("there", "is"),
    "i'm": ("i", "am"),
    "i'd": ("i", "would"),
    "let's": ("let", "us"),
    "don't": ("do", "not"),
    "can't": ("can", "not"),
}
_FILLERS: Final = (
    "a an the please kindly just hey hi hello ok okay so well now then also too right can could would will you me tell "
    "say give i we want need to know like do"
)
_COMMON: Final = (
    "what which who whom whose when where why how is am are was were be been being it its this that these those there "
    "here my your our his her their of in on at by for from with about as and or not no yes if does did has have had "
    "us let any some many much"
)
FILLERS: Final = frozenset(_FILLERS.split())
"""Words which a user may add anywhere without meaning more."""
_ARTICLES: Final = frozenset(["a", "an", "the", "please"])
"""Words which a user may leave out of a phrase."""
COMMON: Final = FILLERS | frozenset(_COMMON.split())
"""Words that say little about what is wanted."""


class Word(msgspec.Struct, frozen=True):
    """One word as the user wrote it, and as it is compared."""

    raw: str
    norm: str


class Phrase(msgspec.Struct, frozen=True, kw_only=True):
    """An example of what a user may say for a tool."""

    text: str
    parts: tuple[str, ...]
    """Words as they are compared; a slot is ``{name}``."""
    arguments: dict[str, object] = {}
    """What is passed whatever the user says."""

    @property
    def literals(self) -> frozenset[str]:
        """The words that are not slots."""
        return frozenset(part for part in self.parts if not is_slot(part))


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """How well a phrase fits, and what is in its slots."""

    score: float
    arguments: dict[str, object]


Filler = Callable[[str, str], object]
"""Takes a slot's name and its text; returns the value, or ``None`` where the text does not fit."""


def is_slot(part: str) -> bool:
    """Whether a phrase's part is a slot."""
    return part.startswith("{")


def words_of(text: str) -> list[Word]:
    """Return the words of a text, contractions taken apart."""
    found: list[Word] = []
    for raw in unicodedata.normalize("NFKC", text[:MAX_TEXT]).replace("\u2019", "'").split()[:MAX_WORDS]:
        norm = raw.casefold().strip(_EDGES)
        first, *rest = _CONTRACTIONS.get(norm, (norm or raw,))
        found.append(Word(raw, first))
        found.extend(Word("", more) for more in rest)
    return found


def phrase_of(text: str, arguments: dict[str, object] | None = None) -> Phrase:
    """Return the phrase of an example.

    Args:
        text: What a user may say; slots are ``{name}``.
        arguments: The call's arguments for it. One whose value stands in the text becomes a slot.
    """
    fixed: dict[str, object] = {}
    for name, value in (arguments or {}).items():
        place = text.casefold().find(str(value).casefold()) if isinstance(value, str | int | float) else -1
        if place >= 0 and str(value) and f"{{{name}}}" not in text:
            text = f"{text[:place]}{{{name}}}{text[place + len(str(value)) :]}"
        elif f"{{{name}}}" not in text:
            fixed[name] = value
    parts: list[str] = []
    for raw in text.split():
        start, end = raw.find("{"), raw.find("}")
        if 0 <= start < end - 1:
            parts.append(raw[start : end + 1])
        else:
            parts.extend(word.norm for word in words_of(raw))
    return Phrase(text=text, parts=tuple(parts[:MAX_PHRASE_WORDS]), arguments=fixed)


def match(phrase: Phrase, words: Sequence[Word], fill: Filler) -> Match | None:
    """Fit a phrase to all of the user's words, or return ``None``.

    Words of no weight may be added or left out. A word of weight counts three times a common one, and a short slot
    is better than a long one.
    """
    spoken = {word.norm for word in words}
    if not phrase.parts or any(word not in spoken for word in phrase.literals - _ARTICLES):
        return None
    parts, count = phrase.parts, len(words)
    impossible = float("-inf")
    # best[j]: the score of the phrase's rest against words[j:]; one row for each part, from the end.
    best = [0.0] * (count + 1)
    for j in range(count - 1, -1, -1):
        best[j] = best[j + 1] - 0.5 if words[j].norm in FILLERS else impossible
    chosen: list[list[int]] = []
    for part in reversed(parts):
        row = [impossible] * (count + 1)
        ends = [-1] * (count + 1)
        for j in range(count, -1, -1):
            if part in _ARTICLES:
                row[j] = best[j] - 0.25
                ends[j] = j
            if j == count:
                continue
            if is_slot(part):
                for k in range(j + 1, min(count, j + MAX_SLOT_WORDS) + 1):
                    score = best[k] - 0.01 * (k - j)
                    if score > row[j] and fill(part[1:-1], slot_text(words[j:k])) is not None:
                        row[j], ends[j] = score, k
            elif part == words[j].norm and best[j + 1] + _weight(part) > row[j]:
                row[j], ends[j] = best[j + 1] + _weight(part), j + 1
            if words[j].norm in FILLERS and row[j + 1] - 0.5 > row[j]:
                row[j], ends[j] = row[j + 1] - 0.5, -2
        best = row
        chosen.append(ends)
    if best[0] == impossible:
        return None
    arguments = dict(phrase.arguments)
    place = 0
    for part, ends in zip(parts, reversed(chosen), strict=True):
        while ends[place] == -2:
            place += 1
        if is_slot(part):
            arguments[part[1:-1]] = fill(part[1:-1], slot_text(words[place : ends[place]]))
        place = ends[place]
    return Match(score=best[0], arguments=arguments)


def slot_text(words: Sequence[Word]) -> str:
    """Return words as the user wrote them, without the punctuation around them."""
    text = " ".join(word.raw for word in words if word.raw).strip()
    # A bracket at an edge is punctuation only where its partner is missing.
    text = text.strip(f" {_MARKS}")
    if text.count("(") != text.count(")"):
        text = text.strip("()")
    return text


def _weight(word: str) -> float:
    return 1.0 if word in COMMON else 3.0
