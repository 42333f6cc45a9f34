"""Text frames from a client to a server (RFC 6455, section 5.2)."""

from __future__ import annotations

from secrets import token_bytes
from struct import Struct

# The accelerated function which websockets itself uses; a test holds that it is there.
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # imported there, not defined

_SHORT = Struct("!BB").pack
_MEDIUM = Struct("!BBH").pack
_LONG = Struct("!BBQ").pack


def encode_text(data: bytes) -> bytes:
    """Make one final, masked, uncompressed text frame."""
    length = len(data)
    if length < 126:
        header = _SHORT(0x81, 0x80 | length)
    elif length < 65536:
        header = _MEDIUM(0x81, 0xFE, length)
    else:
        header = _LONG(0x81, 0xFF, length)
    mask = token_bytes(4)
    return b"".join((header, mask, apply_mask(data, mask)))
