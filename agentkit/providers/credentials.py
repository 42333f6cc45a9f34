"""Keys: where they come from, asked anew for every dial, and never shown."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Mapping

from agentkit.errors import ConnectError
from agentkit.transports.redact import is_secret_name, key_tail
from agentkit.values import Secret

_SHORTEST_KEY = 8
"""A shorter text may equal any variable by chance."""

ApiKey = str | Secret | Callable[[], str | Awaitable[str]]
"""A key, or a function which gives one and is called for every dial; it may be async."""


async def resolve_key(api_key: ApiKey | None, *, variable: str | None = None) -> tuple[str | None, str]:
    """Get the key for one dial.

    Args:
        api_key: What the provider was given.
        variable: The environment variable that is read where it was given nothing.

    Returns:
        The key, or None where there is none, and how a message names it.

    Raises:
        ConnectError: The key cannot be part of a request.
    """
    if api_key is None:
        found = None if variable is None else os.environ.get(variable)
        source = variable or "api_key"
    elif isinstance(api_key, str):
        found, source = api_key, _origin(api_key)
    elif isinstance(api_key, Secret):
        found, source = api_key.reveal(), _origin(api_key.reveal())
    else:
        given = api_key()
        found, source = (await given if inspect.isawaitable(given) else given), "from the api_key function"
    # A line end gets into a key that was read from a file.
    key = (found or "").strip()
    if not key:
        return None, source
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConnectError(
            f"the key {source} holds a space or a character that no key has",
            retryable=False,
            hint="Copy the key again, without quotes or text around it.",
        )
    return key, f"{source}{key_tail(key)}"


def _origin(key: str) -> str:
    """Name the variable that a key was taken from, which the code or file that passed it on does not say."""
    given = key.strip()
    names = (name for name, value in os.environ.items() if len(given) >= _SHORTEST_KEY and value.strip() == given)
    return next(names, "given as api_key")


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that cannot be sent as they are.

    Raises:
        ValueError: A name or value holds what a header must not hold; the value is not shown.
    """
    for name, value in headers.items():
        if not name or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"{name!r} is not the name of a header")
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"the header {name} holds a line end or a character that is not ASCII")


def header_label(headers: Mapping[str, str]) -> str | None:
    """Name the header that holds a key, for a message, or None."""
    for name, value in headers.items():
        if is_secret_name(name):
            return f"in the header {name}{key_tail(value)}"
    return None
