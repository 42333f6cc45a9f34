"""Opens a WebSocket on the running backend, and closes it in bounded time."""

from __future__ import annotations

import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache
from urllib.parse import urlsplit

from websockets.exceptions import InvalidProxy, InvalidURI, WebSocketException

from agentkit.errors import ConnectError
from agentkit.transports.base import Transport
from agentkit.transports.endpoint import ConnectOptions, Endpoint
from agentkit.transports.redact import scrub
from agentkit.transports.websocket.failures import HandshakeRefused, causes, connect_error

_FAILURES = (OSError, UnicodeError, ImportError, WebSocketException, HandshakeRefused)
"""What a dial can raise; a ``TimeoutError`` is an ``OSError``."""


@asynccontextmanager
async def open_websocket(endpoint: Endpoint, options: ConnectOptions | None = None) -> AsyncIterator[Transport]:
    """Dial once, and close the connection when the context is left.

    Args:
        endpoint: Where to, and with which headers.
        options: Limits; the defaults where not given.

    Raises:
        ConnectError: The connection could not be opened.
    """
    options = options or ConnectOptions()
    tls = _tls_context(options.ca_file) if urlsplit(endpoint.url).scheme == "wss" else None
    if _on_trio():
        from agentkit.transports.websocket import trio_backend

        failures = _FAILURES + trio_backend.FAILURES
        dialled = trio_backend.dial(endpoint, options, tls)
    else:
        from agentkit.transports.websocket import asyncio_backend

        failures = _FAILURES
        dialled = asyncio_backend.dial(endpoint, options, tls)
    async with AsyncExitStack() as stack:
        refusal: Exception | None = None
        try:
            transport = await stack.enter_async_context(dialled)
        except failures as exc:
            refusal = exc
        if refusal is not None:
            # Outside the handler, so that a cause which holds a secret does not come along as context.
            raise connect_error(refusal, endpoint, options) from (None if _tells(refusal, endpoint) else refusal)
        try:
            yield transport
        except BaseException:
            await transport.aclose(1001)
            raise
        await transport.aclose()


def _on_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


def _tells(exc: BaseException, endpoint: Endpoint) -> bool:
    """Whether an error, or one that it was raised from, holds a secret in its text."""
    secrets = endpoint.secrets
    return any(
        isinstance(each, (InvalidURI, InvalidProxy)) or scrub(str(each), secrets) != str(each) for each in causes(exc)
    )


@lru_cache(maxsize=8)
def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Make the settings of TLS, once: the system's authorities take milliseconds and a megabyte to load."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as exc:
            raise ConnectError(
                f"the certificate authorities in {ca_file} could not be read: {exc.strerror or exc}",
                retryable=False,
                hint="ca_file must name a file of certificates in PEM form.",
            ) from exc
    return context
