"""What is secret by its form is left out of recorded events: cards, addresses, numbers, keys.

Rule: what a text shows does not depend on how it was cut into pieces. The end of a text that comes in deltas waits
until it is clear that it begins nothing secret; the event with the whole text has all of it.

Rule: everything is masked, whatever its key. Only on the protocol's own level, never in what an application or a tool
has put into an event, an id, audio and an image stay as they are, and only where they have the form of one.
"""

import functools
import math
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

if TYPE_CHECKING:
    from agentkit_guard.rules import Stream

STREAMS: Final = 256
"""Texts in pieces that are known at once; of the oldest, what waits is not written."""
HIDDEN: Final = "***"
"""What stands in the place of a frame that cannot be read."""
_JSON: Final = frozenset({"arguments", "output"})
"""Keys of texts that may be JSON, and stay JSON."""
_LEVELS: Final = frozenset(
    {"audio", "content", "conversation", "error", "image_url", "input", "item", "part", "prompt", "response", "session"}
)
"""Keys of what the protocol has shaped, where it stands on the protocol's own level; ``output`` is a response's."""
_ID: Final = re.compile(r"(?=[^A-Za-z]*[A-Za-z])(?!.*(?<![A-Za-z0-9])\d{9,}(?![A-Za-z0-9]))[A-Za-z0-9_\-]{1,64}")
"""An id: letters, with or without digits, but no long number that stands alone."""
_BASE64: Final = re.compile(r"(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9+/]+={0,2}")
_IMAGE: Final = re.compile(r"data:image/[a-z.+\-]{1,32};base64,(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9+/]+={0,2}")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S*")
_MOMENT: Final = 3_000_000_000_000
"""Milliseconds since the epoch, until 2065; a number of the protocol's below it is no card."""
_SHORT: Final = 64
"""Texts of so many characters are remembered once they are looked at, for names come with every event."""


class Redactor:
    """Masks the texts of one session's frames."""

    def __init__(self) -> None:
        """Load what knows the forms.

        Raises:
            ValueError: The package that knows them is not installed.
        """
        try:
            from agentkit_guard.kinds import KINDS
            from agentkit_guard.rules import Screen
        except ImportError as exc:
            raise ValueError(
                "recorder: redact needs the package agentkit-realtime-guard; "
                "pip install agentkit-realtime-guard, or write redact: false"
            ) from exc
        self._screen = Screen([kind() for kind in KINDS.values()])
        self._short = functools.lru_cache(maxsize=1024)(self._screen.apply)
        self._streams: dict[tuple[str, ...], _Pieces] = {}

    def frame(self, raw: bytes) -> bytes:
        """Return a frame with its texts masked, to be called for each in their order; JSON stays JSON."""
        try:
            event: object = msgspec.json.decode(raw)
            piece = self._piece(event) if isinstance(event, dict) and isinstance(event.get("type"), str) else None
            masked = self._masked(event, own=True)
            if piece is not None and isinstance(masked, dict):
                masked["delta"] = piece
            return msgspec.json.encode(masked)
        except (ValueError, RecursionError):
            return msgspec.json.encode(HIDDEN)

    def _piece(self, event: dict[str, Any]) -> str | None:
        """Take a piece of a text out of its event, and return what is shown of it; or note that a text has ended."""
        kind, _, last = event["type"].rpartition(".")
        key = (kind, *(repr(event.get(name)) for name in ("item_id", "output_index", "content_index")))
        if last != "delta":
            self._streams.pop(key, None)
            return None
        if not isinstance(event.get("delta"), str):
            return None
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Pieces(self._screen.stream(), is_json=kind.endswith("arguments"))
            if len(self._streams) > STREAMS:
                del self._streams[next(iter(self._streams))]
        piece = event["delta"]
        event["delta"] = ""
        return stream.feed(piece)

    def _masked(self, value: object, key: str = "", *, own: bool = False, in_response: bool = False) -> object:
        """Mask a value.

        Args:
            value: What was decoded.
            key: Its name.
            own: Whether it stands on the protocol's own level.
            in_response: Whether it stands in a response, whose output is items and no tool's.
        """
        if isinstance(value, str):
            return value if own and _is_of_protocol(value, key) else self._text(value, key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value if own and 0 <= value < _MOMENT else self._number(value)
        if isinstance(value, list):
            return [self._masked(inner, key, own=own, in_response=in_response) for inner in value]
        if not isinstance(value, dict):
            return value
        masked: dict[str, object] = {}
        for name, inner in value.items():
            below = isinstance(inner, dict | list)
            level = own and (not below or name in _LEVELS or (name == "output" and in_response))
            made = self._masked(inner, name, own=level, in_response=name == "response")
            masked[self._name(name, masked)] = None if name == "logprobs" else made  # the tokens of a text are the text
        return masked

    def _name(self, name: str, taken: dict[str, object]) -> str:
        """Mask a name; where two become one, the second gets a number."""
        masked = shown = self._text(name)
        number = 2
        while shown in taken:
            shown, number = f"{masked} {number}", number + 1
        return shown

    def _text(self, text: str, key: str = "") -> str:
        """Mask a whole text, also what is in it as JSON or in a URL's escapes."""
        if key in _JSON or ("\\" in text and _looks_like_json(text)):
            try:
                value: object = msgspec.json.decode(text)
                return msgspec.json.encode(self._masked(value)).decode()
            except (ValueError, RecursionError):
                pass  # a text like any other
        shown = self._apply(text)
        if "%" in shown and _URL.fullmatch(shown):
            plain = unquote(shown)
            masked = self._apply(plain)
            return shown if masked == plain else masked
        return shown

    def _number(self, value: int | float) -> object:
        """Mask a number that has the form of a secret; of one with a fraction, its whole part says so."""
        if not math.isfinite(value):
            return value
        digits = str(int(value))
        masked = self._apply(digits)
        return value if masked == digits else masked

    def _apply(self, text: str) -> str:
        return self._short(text) if len(text) <= _SHORT else self._screen.apply(text)


class _Pieces:
    """A text that comes in pieces, and what is shown of it.

    Of JSON nothing more is shown from the first escape on: what is written so is only known once it is read.
    """

    def __init__(self, stream: "Stream", *, is_json: bool) -> None:
        self._stream = stream
        self._is_json: bool | None = is_json or None
        """None before anything has come that says so."""
        self._ended = False

    def feed(self, piece: str) -> str:
        """Take a piece, and return what may be seen."""
        if self._ended:
            return ""
        if self._is_json is None and piece.strip():
            self._is_json = _looks_like_json(piece)
        before, escape, _ = piece.partition("\\") if self._is_json else (piece, "", "")
        self._ended = bool(escape)
        return self._stream.feed(before)


def _looks_like_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[", '"')


def _is_of_protocol(text: str, key: str) -> bool:
    """Tell whether a text on the protocol's own level is an id, audio or an image, by its key and its form."""
    if key == "id" or key.endswith("_id"):
        return _ID.fullmatch(text) is not None
    if key == "audio":
        return _BASE64.fullmatch(text) is not None
    return key in ("image_url", "url") and _IMAGE.fullmatch(text) is not None
