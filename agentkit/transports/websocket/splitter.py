"""Cuts the bytes from a server into WebSocket frames, without I/O.

Only whole, unfragmented, uncompressed text frames are understood here; they are what a Realtime server sends.
Every other frame is handed on, byte for byte and in order, to the full parser of websockets, which thus is always
at a frame boundary. For a text frame this takes a sixth of the full parser's time.
"""

from __future__ import annotations

from collections.abc import Callable

WHOLE_TEXT = 0x81
"""First byte of a frame that is text, final, and has no reserved bit set (RFC 6455, section 5.2)."""

_OPCODES = frozenset((0x0, 0x1, 0x2, 0x8, 0x9, 0xA))


class FrameSplitter:
    """Sorts a byte stream into whole text messages and everything else."""

    __slots__ = ("_fragmented", "_handed_over", "_max_size", "_missing", "_on_other", "_on_text", "_rest")

    def __init__(self, on_text: Callable[[bytes], object], on_other: Callable[[bytes], bool], *, max_size: int) -> None:
        """Prepare for a stream that begins at a frame boundary.

        Args:
            on_text: Takes the payload of each whole text frame.
            on_other: Takes the bytes of each other frame; answers whether the stream goes on. If not, it gets
                all bytes that follow.
            max_size: Frames with a longer payload are handed over at their header, to be refused early.
        """
        self._on_text = on_text
        self._on_other = on_other
        self._max_size = max_size
        self._rest = bytearray()
        self._missing = 2
        self._fragmented = False
        self._handed_over = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        if self._handed_over:
            self._on_other(data)
            return
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._missing:
                return
            data = bytes(rest)
            rest.clear()
        end = len(data)
        position = 0
        missing = 2
        while end - position >= 2:
            first = data[position]
            length = data[position + 1]
            start = position + 2
            if first != WHOLE_TEXT and first & 0x0F not in _OPCODES:
                # Refused by the parser at this point; the rest may never come.
                self._hand_over(data[position:])
                return
            if length == 126:
                missing = 4
                if end - position < 4:
                    break
                length = data[start] << 8 | data[start + 1]
                start += 2
            elif length == 127:
                missing = 10
                if end - position < 10:
                    break
                length = int.from_bytes(data[start : start + 8], "big")
                start += 8
            elif length > 127:
                # A server must not mask: the parser says so to the peer.
                self._hand_over(data[position:])
                return
            if length > self._max_size:
                self._hand_over(data[position:])
                return
            stop = start + length
            if stop > end:
                missing = stop - position
                break
            if first == WHOLE_TEXT and not self._fragmented:
                self._on_text(data[start:stop])
            else:
                opcode = first & 0x0F
                if opcode < 3:
                    self._fragmented = first < 0x80
                if not self._on_other(data[position:stop]):
                    self._handed_over = True
                    if stop < end:
                        self._on_other(data[stop:])
                    return
            position = stop
            missing = 2
        self._missing = missing
        if position < end:
            rest += data[position:] if position else data

    def stop(self) -> None:
        """Hand over all bytes from here on."""
        self._handed_over = True

    def _hand_over(self, data: bytes) -> None:
        self._handed_over = True
        self._on_other(data)
