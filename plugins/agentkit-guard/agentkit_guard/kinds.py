"""Kinds of secrets that are known by their form: cards, IBANs, e-mail addresses, phone numbers, keys."""

import re
from collections.abc import Callable, Iterator
from typing import ClassVar, Final, Literal, TypeAlias

from agentkit_guard.rules import Detector, overlapping

Kind: TypeAlias = Literal["card", "email", "phone", "key", "iban", "ssn"]
"""What can be looked for by its form."""

_GAP: Final = 3
"""Separators that may stand between two digits."""
_CARD_GAP: Final = 8
"""The same in a card's number that is known by how it begins."""
_CARD_USUAL: Final = " -._/"
_CARD_SEPARATORS: Final = _CARD_USUAL + ",:;|\u00a6*+\u00b7\u0387\u2022\u2027\u2219\u22c5\u30fb\u25cf\u25aa"
_PHONE_SEPARATORS: Final = " -./()+"


def _open_number(text: str, digits: int, separators: str, most: int = _GAP) -> int:
    """Return where the number begins with which a text ends; of a long one, where its last ``digits`` begin."""
    begin, gap, left = len(text), 0, digits
    for index in range(len(text) - 1, -1, -1):
        if text[index].isdecimal():
            begin, gap, left = index, 0, left - 1
            if not left:
                return begin
        elif text[index] in separators and gap < most:
            gap += 1
        else:
            break
    return begin


def _trailing(text: str, fits: Callable[[str], bool], limit: int) -> int:
    """Return where the run of fitting characters begins with which a text ends."""
    index = len(text)
    while index > 0 and len(text) - index < limit and fits(text[index - 1]):
        index -= 1
    return index


class Card(Detector):
    """13 to 19 digits with a right check digit, in groups of any kind; of a longer number, what looks like a card.

    Where what is between the groups is unusual, as in a list, the number has to begin as a card's does.
    """

    label = "card"
    _RUN = re.compile(rf"\d(?:[{re.escape(_CARD_SEPARATORS)}]{{0,{_CARD_GAP}}}\d)+")
    _USUAL = re.compile(rf"\d(?:[{re.escape(_CARD_USUAL)}]{{0,{_GAP}}}\d)*")
    _BRAND = re.compile(
        r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3[068]\d{12}|(?:6011|65\d\d|64\d\d|35\d\d)\d{12}"
    )

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        for run in self._RUN.finditer(text):
            if run.end() <= start:
                continue
            places = [index for index in range(run.start(), run.end()) if text[index].isdecimal()]
            digits = "".join(text[index] for index in places)
            for first, begin in enumerate(places):
                if begin < start or (size := self._size(text, digits, places, first)) == 0:
                    continue
                yield begin, places[first + size - 1] + 1

    def _size(self, text: str, digits: str, places: list[int], first: int) -> int:
        """Return how many digits from here on are a card's number; 0 where none are."""
        begins = first == 0 or places[first] - places[first - 1] > 1
        for size in range(min(19, len(digits) - first), 12, -1):
            end = first + size
            alone = begins and (end == len(digits) or places[end] - places[end - 1] > 1)
            number = digits[first:end]
            branded = self._BRAND.fullmatch(number) is not None
            if not (alone or branded) or len(set(number)) < 2 or not luhn(number):
                continue
            if (alone and branded) or self._USUAL.fullmatch(text, places[first], places[end - 1] + 1):
                return size
        return 0

    def open_from(self, text: str) -> int:
        return _open_number(text, 19, _CARD_SEPARATORS, _CARD_GAP)


def luhn(digits: str) -> bool:
    """Tell whether a number's check digit is right."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if index % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


class Phone(Detector):
    """Numbers with a country's code, in groups, or with a leading zero."""

    label = "phone"
    _FORMS = (
        re.compile(r"\+ ?\d(?:[ ().\-/]{0,3}\d){6,14}"),
        re.compile(r"(?<![\d.\-/])\(?\d{2,5}\)?[ .\-/]{1,2}\d{2,5}(?:[ .\-/]{1,2}\d{2,5}){1,3}(?!\d)"),
        re.compile(r"(?<!\d)0\d{8,13}(?!\d)"),
    )

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        for form in self._FORMS:
            for begin, end in overlapping(form, text, start):
                if sum(map(str.isdecimal, text[begin:end])) >= 9 or text[begin] == "+":
                    yield begin, end

    def open_from(self, text: str) -> int:
        begin = _open_number(text, 26, _PHONE_SEPARATORS)
        signs = text[_trailing(text[:begin], "+( ".__contains__, _GAP) : begin]
        return begin - len(signs.lstrip())


class SocialSecurity(Detector):
    """A number of the United States' social security."""

    label = "ssn"
    _FORM = re.compile(r"(?<!\d)\d{3}[ -]\d{2}[ -]\d{4}(?!\d)")

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        return overlapping(self._FORM, text, start)

    def open_from(self, text: str) -> int:
        return _open_number(text, 10, " -")


class Email(Detector):
    """An e-mail address."""

    label = "email"
    _FORM = re.compile(r"[\w.%+'\-]{1,64}@(?:[\w\-]{1,63}\.){1,8}[^\W\d_]{2,24}")
    _LIMIT = 640

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        return overlapping(self._FORM, text, start) if "@" in text else iter(())

    def open_from(self, text: str) -> int:
        return _trailing(text, lambda character: character.isalnum() or character in "_.%+'-@", self._LIMIT)


class Iban(Detector):
    """A bank account's international number with right check digits."""

    label = "iban"
    _BEGIN = re.compile(r"(?<![^\W_])[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9])")
    _OPEN = re.compile(r"(?<![^\W_])[A-Za-z](?:\Z|[A-Za-z](?:\Z|\d(?:\Z|\d(?:[ -]?[A-Za-z0-9]){0,30}[ -]?\Z)))")

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        for found in self._BEGIN.finditer(text, start):
            wanted = IBAN_LENGTHS.get(found.group()[:2].upper())
            begin, end, characters = found.start(), found.start(), ""
            while wanted is not None and end < len(text) and len(characters) < wanted:
                if text[end].isascii() and text[end].isalnum():
                    characters += text[end]
                elif text[end] not in " -" or text[end - 1] in " -":
                    break
                end += 1
            if wanted is not None and len(characters) == wanted and _sound(characters.upper()):
                yield begin, end

    def open_from(self, text: str) -> int:
        tail = max(0, len(text) - 70)
        found = self._OPEN.search(text, tail)
        return len(text) if found is None else found.start()


def _sound(iban: str) -> bool:
    return int("".join(str(int(each, 36)) for each in iban[4:] + iban[:4])) % 97 == 1


IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SD": 18,
    "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22,
    "VG": 24, "XK": 20,
}  # fmt: skip
"""The length of an IBAN by its country. Source: the registry of ISO 13616."""


class Key(Detector):
    """A key of a well-known service, by how it begins."""

    label = "key"
    _LIMIT = 4096
    _FORMS: tuple[tuple[str, int], ...] = (
        ("sk-", 20), ("pk-", 20), ("rk-", 20), ("ek_", 16), ("sk_live_", 16), ("sk_test_", 16), ("rk_live_", 16),
        ("rk_test_", 16), ("pk_live_", 16), ("whsec_", 16), ("ghp_", 30), ("gho_", 30), ("ghu_", 30), ("ghs_", 30),
        ("ghr_", 30), ("github_pat_", 20), ("glpat-", 16), ("xoxb-", 10), ("xoxa-", 10), ("xoxp-", 10), ("xoxr-", 10),
        ("xoxs-", 10), ("xapp-", 10), ("AKIA", 16), ("ASIA", 16), ("AIza", 30), ("ya29.", 20), ("hf_", 20),
        ("npm_", 30), ("pypi-", 40), ("dop_v1_", 40), ("SG.", 40), ("eyJ", 40), ("gsk_", 30), ("xai-", 30),
    )  # fmt: skip
    """How a key begins, and how many characters follow at least."""
    _TOKEN = re.compile(r"[A-Za-z0-9_.\-]+")
    _BEGIN = re.compile("|".join(rf"(?<![A-Za-z0-9]){re.escape(begin)}" for begin, _ in _FORMS))
    _NEEDED: ClassVar = dict(_FORMS)

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        at = start
        while (found := self._BEGIN.search(text, at)) is not None:
            token = self._TOKEN.match(text, found.start(), found.start() + self._LIMIT)
            assert token is not None
            end = found.start() + len(token.group().rstrip(".-"))
            if end - found.end() >= self._NEEDED[found.group()]:
                yield found.start(), end
            at = found.start() + 1

    def open_from(self, text: str) -> int:
        begin = _trailing(
            text, lambda character: character.isascii() and bool(self._TOKEN.match(character)), self._LIMIT
        )
        token = text[begin:]
        for match in re.finditer(r"(?<![A-Za-z0-9])[A-Za-z]", token):
            rest = token[match.start() :]
            if any(rest.startswith(form) or form.startswith(rest) for form, _ in self._FORMS):
                return begin + match.start()
        return len(text)


KINDS: Final[dict[Kind, type[Detector]]] = {
    "card": Card,
    "email": Email,
    "phone": Phone,
    "key": Key,
    "iban": Iban,
    "ssn": SocialSecurity,
}
"""The detector of each kind."""
