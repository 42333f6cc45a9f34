"""Texts as they look: the invisible goes, what looks the same becomes the same, and every character keeps its place.

Rule: a fold looks at one character at a time, so folding a text in pieces gives the folded text.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

Fold: TypeAlias = Callable[[str], str]
"""What one character becomes; empty for one that cannot be seen."""


class Folded(NamedTuple):
    """A folded text."""

    text: str
    places: list[int]
    """For each character, where in the original it came from; one more for the end."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return a part's place in the original."""
        return self.places[start], self.places[end - 1] + 1


def fold_text(text: str, fold: Fold) -> Folded:
    """Fold each character of a text."""
    if text.isascii() and fold is clean and not _CONTROL.search(text):
        return Folded(text.translate(_BLANKS), list(range(len(text) + 1)))
    pieces: list[str] = []
    places: list[int] = []
    for index, character in enumerate(text):
        piece = fold(character)
        pieces.append(piece)
        places += [index] * len(piece)
    places.append(len(text))
    return Folded("".join(pieces), places)


_BLANKS: Final = str.maketrans("\t\n\r\v\f", "     ")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_UNSEEN: Final = frozenset(("Cc", "Cf", "Mn", "Me"))
"""Categories of what is not seen, or stands on another character."""
_IGNORED: Final = ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF))
"""What Unicode says is not shown where it is not known, some of it not assigned yet."""
_FILLERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2065\u3164\uffa0")


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


def is_unseen(character: str) -> bool:
    """Tell whether a character is not seen by itself, or is a mark on another."""
    code = ord(character)
    return unicodedata.category(character) in _UNSEEN or character in _FILLERS or _within(code, _IGNORED)


@lru_cache(maxsize=8192)
def clean(character: str) -> str:
    """Fold to what is written: no invisible characters or marks of their own, digits in ASCII, one kind of blank."""
    category = unicodedata.category(character)
    if (character.isspace() and not "\x1c" <= character <= "\x1f") or character == "\u2800":
        return " "
    if is_unseen(character):
        return ""
    if character.isascii():
        return character
    if category == "Pd" or character in "\u2212\u2043":
        return "-"
    if category in ("Nd", "No") and (value := unicodedata.numeric(character)) in range(10):
        return str(int(value))
    if character in _ENCLOSED:
        return _ENCLOSED[character]
    wide = unicodedata.normalize("NFKC", character)
    return wide if wide == character else "".join(clean(each) for each in wide)


@lru_cache(maxsize=8192)
def plain(character: str) -> str:
    """Fold case and accents as well."""
    parts = unicodedata.normalize("NFKD", clean(character)).casefold()
    return "".join(each for each in parts if unicodedata.category(each) not in _UNSEEN)


@lru_cache(maxsize=8192)
def look(character: str) -> str:
    """Fold look-alikes of other alphabets to the Latin letters that they look like."""
    cleaned = unicodedata.normalize("NFKD", clean(character))
    return "".join(plain(LOOK_ALIKES.get(each, each)) for each in cleaned if unicodedata.category(each) not in _UNSEEN)


@lru_cache(maxsize=8192)
def leet(character: str) -> str:
    """Fold digits and signs that stand for letters; i and l are one, for a 1 stands for both."""
    return look(character).translate(_LEET)


_LEET: Final = str.maketrans("013456789@$l|", "oieasgtbgasii")

_TWINS: Final = {
    "A": "\u0410\u0391", "B": "\u0412\u0392", "C": "\u0421\u03f9", "D": "\u0500\u0110", "E": "\u0415\u0395",
    "H": "\u041d\u04ba\u0397\u0126", "I": "\u0406\u04c0\u0399", "J": "\u0408\u037f", "K": "\u041a\u039a",
    "L": "\u0141", "M": "\u041c\u039c", "N": "\u039d", "O": "\u041e\u039f\u00d8", "P": "\u0420\u03a1",
    "Q": "\u051a", "S": "\u0405", "T": "\u0422\u03a4", "V": "\u0474", "W": "\u051c", "X": "\u0425\u03a7",
    "Y": "\u0423\u04ae\u03a5", "Z": "\u0396", "a": "\u0430\u03b1\u0251\u1d00", "b": "\u0432\u03b2\u0185\u0299",
    "c": "\u0441\u03f2\u1d04", "d": "\u0501\u0111\u1d05", "e": "\u0435\u04bd\u03b5\u1d07", "f": "\ua730",
    "g": "\u050d\u0581\u0261\u0262", "h": "\u043d\u04bb\u0570\u0127\u029c", "i": "\u0456\u03b9\u0131\u0269\u026a",
    "j": "\u0458\u03f3\u0237\u1d0a", "k": "\u043a\u03ba\u1d0b", "l": "\u04cf\u0142\u029f", "m": "\u043c\u1d0d",
    "n": "\u043f\u03b7\u0578\u0274", "o": "\u043e\u03bf\u03c3\u0585\u00f8\u1d0f", "p": "\u0440\u03c1\u1d18",
    "q": "\u051b\u0566", "r": "\u0433\u0280", "s": "\u0455\ua731", "t": "\u0442\u03c4\u0167\u1d1b",
    "u": "\u03c5\u057d\u1d1c", "v": "\u0475\u03bd\u028b\u1d20", "w": "\u051d\u0461\u03c9\u1d21",
    "x": "\u0445\u03c7", "y": "\u0443\u04af\u03b3\u028f", "z": "\u1d22",
}  # fmt: skip
LOOK_ALIKES: Final = {twin: letter for letter, twins in _TWINS.items() for twin in twins}
"""Letters of other alphabets (Cyrillic, Greek, Armenian, small capitals), and the Latin letters they look like."""
_ENCLOSED: Final = {
    chr(first + index): chr(ord("A") + index) for first in (0x1F150, 0x1F170, 0x1F1E6) for index in range(26)
}
"""White letters on black, and flags' letters, which Unicode does not call forms of letters."""
