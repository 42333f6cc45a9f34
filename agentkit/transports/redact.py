"""Text from outside made fit for a message: no secrets, no control characters, no markup, bounded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

MASK = "***"
SHORTEST_SECRET = 4
"""Shorter texts are too common to search for: masking them would garble every message."""
SHOWN_TAIL_OF = 16
"""A key shorter than this shows nothing of itself, for four characters would be too large a part."""

_SECRET_NAME = re.compile(r"auth|key|token|secret|password|passwd|credential|cookie|signature|^sig$", re.IGNORECASE)
_KEY_SHAPE = re.compile(r"\b(?:sk|ek|rk)[-_][\w*.\-]{8,}")
_MARKUP = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.IGNORECASE | re.DOTALL)


def is_secret_name(name: str) -> bool:
    """Tell whether a header or a query key of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def secrets_of(url: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    """Collect the values that must never be shown, as they stand and as they are encoded."""
    found = {value for name, value in headers.items() if is_secret_name(name)}
    found |= {value.split(" ", 1)[1] for value in tuple(found) if " " in value}
    found |= {value for name, value in parse_qsl(urlsplit(url).query) if is_secret_name(name)}
    found |= {form for value in tuple(found) for form in (quote(value), quote(value, safe=""), quote_plus(value))}
    # The longest first, so that a secret which contains another leaves nothing over.
    return tuple(sorted((value for value in found if len(value) >= SHORTEST_SECRET), key=len, reverse=True))


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Mask known secrets, and whatever has the shape of a key."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return _KEY_SHAPE.sub(MASK, text)


def clean(text: str, *, limit: int = 200, secrets: Iterable[str] = ()) -> str:
    """Make one short printable line of text that came from outside."""
    text = " ".join("".join(c if c.isprintable() else " " for c in scrub(text, secrets)).split())
    return text if len(text) <= limit else f"{text[:limit]}..."


def without_markup(text: str) -> str:
    """Leave out tags, scripts and comments."""
    return _MARKUP.sub(" ", text)


def safe_url(url: str, secrets: Iterable[str] = ()) -> str:
    """Show an address without its secrets."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return clean(url, secrets=secrets)
    fields = [field.partition("=") for field in parts.query.split("&") if field]
    query = "&".join(
        f"{name}={MASK}" if is_secret_name(unquote(name)) else f"{name}{sign}{value}" for name, sign, value in fields
    )
    return clean(f"{parts.scheme}://{host}{parts.path}" + (f"?{query}" if query else ""), secrets=secrets)


def key_tail(key: str) -> str:
    """Say how a key ends, in words for a message, or nothing where that would tell too much."""
    return f" ending in {key[-4:]}" if len(key) >= SHOWN_TAIL_OF else ""
