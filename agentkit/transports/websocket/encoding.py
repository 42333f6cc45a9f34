"""Text frames from a client to a server (RFC 6455, section 5.2)."""

from __future__ import annotations

from secrets import token_bytes
from struct import Struct

# The accelerated function which websockets itself uses; a test holds that it is there.
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # imported there, not defined

_SHORT = Struct("!BB").pack
_MEDIUM = Struct("!BBH").pack
_LONG = Struct("!BBQ").pack


_MASKS = 64
"""Masks drawn at once: asking the system for each costs a tenth of a whole frame."""


class Encoder:
    """Makes the frames of one connection."""

    __slots__ = ("_masks",)

    def __init__(self) -> None:
        self._masks: list[bytes] = []

    def text(self, data: bytes) -> bytes:
        """Make one final, masked, uncompressed text frame."""
        if not self._masks:
            drawn = token_bytes(4 * _MASKS)
            self._masks = [drawn[at : at + 4] for at in range(0, len(drawn), 4)]
        return encode_text(data, self._masks.pop())


def encode_text(data: bytes, mask: bytes | None = None) -> bytes:
    """Make one final, masked, uncompressed text frame; with a mask of its own where none is given."""
    length = len(data)
    if length < 126:
        header = _SHORT(0x81, 0x80 | length)
    elif length < 65536:
        header = _MEDIUM(0x81, 0xFE, length)
    else:
        header = _LONG(0x81, 0xFF, length)
    mask = mask or token_bytes(4)
    return b"".join((header, mask, apply_mask(data, mask)))
