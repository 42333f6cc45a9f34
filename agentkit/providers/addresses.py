"""The address that is dialled: checked, mapped to WebSocket schemes, with query keys added where they are missing."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlsplit

from agentkit.transports.redact import safe_url

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_QUERY_SAFE = "%/:?@!$'()*+,;=&~-._[]"
"""What a query may hold as it stands, the percent sign among it: what is encoded already stays as it is."""
_PATH_SAFE = "%/:@!$&'()*+,;=~-._"


def check_url(url: str) -> None:
    """Refuse an address that cannot be dialled.

    Raises:
        ValueError: It has no known scheme or no host, holds a user name or a fragment, or is not a URL at all.
    """
    websocket_url(url)


def websocket_url(url: str, query: Mapping[str, str | None] | None = None) -> str:
    """Make the address to dial.

    Args:
        url: As the user wrote it; ``http`` and ``https`` stand for ``ws`` and ``wss``.
        query: Keys to add; one that the URL has already keeps the URL's value, and None adds nothing.

    Raises:
        ValueError: The URL cannot be dialled.
    """
    url = url.strip()
    shown = safe_url(url) if "://" in url else url.partition("?")[0].rpartition("@")[2]  # a key may be in the rest
    if not url.isprintable() or " " in url:
        raise ValueError(f"the URL {shown!r} holds a space or a control character")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise ValueError(f"the URL {shown!r} is not valid: {exc}") from None
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or "://" not in url:
        raise ValueError(f"the URL {shown!r} must begin with ws://, wss://, http:// or https://")
    if not host:
        raise ValueError(f"the URL {shown!r} has no host")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"the URL {shown!r} must not hold a user name or password: use api_key or headers")
    if parts.fragment or "#" in url:
        raise ValueError(f"the URL {shown!r} must not have a part after #")
    fields = [quote(parts.query, safe=_QUERY_SAFE)] if parts.query else []
    present = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    fields += [
        f"{quote(name, safe='')}={quote(value, safe='')}"
        for name, value in (query or {}).items()
        if value is not None and name not in present
    ]
    address = f"{scheme}://{parts.netloc}{quote(parts.path, safe=_PATH_SAFE) or '/'}"
    return f"{address}?{'&'.join(fields)}" if fields else address


def query_value(url: str, name: str) -> str | None:
    """Read one key of an address's query, or None."""
    return dict(parse_qsl(urlsplit(url.strip()).query)).get(name)
