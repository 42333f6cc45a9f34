"""Types of values that a configuration's fields can have: durations, sizes, secrets, audio formats.

Rule: nothing here knows YAML. A class with a ``parse(text)`` classmethod, which raises ``ValueError``, can be
the type of any field, in a plugin's config class too.
"""

import re
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

DURATION: Final = "duration"
"""The unit mark of fields that are written as ``5s`` and held as seconds."""

SIZE: Final = "size"
"""The unit mark of fields that are written as ``1MiB`` and held as bytes."""

Duration: TypeAlias = Annotated[float, Meta(ge=0, extra={"unit": DURATION})]
"""A time, written as ``250ms``, ``5s``, ``15m``, ``2h`` or ``30d``; a float of seconds in code."""

Timeout: TypeAlias = Annotated[float, Meta(gt=0, extra={"unit": DURATION})]
"""A duration above zero."""

Size: TypeAlias = Annotated[int, Meta(ge=0, extra={"unit": SIZE})]
"""A number of bytes, written as ``512B``, ``64KiB`` or ``1MiB``; an int in code."""

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_DURATION: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)", re.ASCII)
_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(B|kB|MB|GB|KiB|MiB|GiB)", re.ASCII)
_FORMAT: Final = re.compile(r"(pcm16|g711_ulaw|g711_alaw)@(\d{1,6})", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds that a text such as ``250ms`` stands for.

    Raises:
        ValueError: It is no number with one of the units ms, s, m, h, d.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("a duration is a number and a unit: 250ms, 5s, 15m, 2h or 30d")
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(text: str) -> int:
    """Return the bytes that a text such as ``1MiB`` stands for.

    Raises:
        ValueError: It is no number with one of the units B, kB, MB, GB, KiB, MiB, GiB.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("a size is a number and a unit: 512B, 64KiB, 1MiB or 2GB")
    return int(float(match[1]) * _BYTES[match[2]])


class Secret:
    """A text that is never shown: ``str`` and ``repr`` are masked, ``reveal`` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def parse(cls, text: str) -> "Secret":
        """Make a secret of any text."""
        return cls(text)

    def reveal(self) -> str:
        """Return the text itself; hand it to what needs it and nothing else."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return "Secret('***')" if self._text else "Secret('')"

    def __str__(self) -> str:
        return "***" if self._text else ""


class AudioFormat(Struct, frozen=True, kw_only=True):
    """An audio format, written as ``pcm16@24000``, ``g711_ulaw@8000`` or ``g711_alaw@8000``."""

    encoding: Literal["pcm16", "g711_ulaw", "g711_alaw"]
    """How one sample is written."""
    rate: int
    """Samples a second."""

    @classmethod
    def parse(cls, text: str) -> "AudioFormat":
        """Read the written form.

        Raises:
            ValueError: The encoding is not known, or the rate is missing or not between 8000 and 48000.
        """
        match = _FORMAT.fullmatch(text)
        if match is None:
            raise ValueError("an audio format is pcm16@24000, g711_ulaw@8000 or g711_alaw@8000")
        rate = int(match[2])
        if not 8000 <= rate <= 48000:
            raise ValueError("the rate of an audio format is between 8000 and 48000")
        encoding: Literal["pcm16", "g711_ulaw", "g711_alaw"]
        match match[1]:
            case "pcm16":
                encoding = "pcm16"
            case "g711_ulaw":
                encoding = "g711_ulaw"
            case _:
                encoding = "g711_alaw"
        return cls(encoding=encoding, rate=rate)

    def __str__(self) -> str:
        return f"{self.encoding}@{self.rate}"
