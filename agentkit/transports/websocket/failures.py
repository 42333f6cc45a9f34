"""Every way in which a dial or a connection fails, as one sentence and the next step."""

from __future__ import annotations

import difflib
import json
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

from websockets.exceptions import (
    InvalidMessage,
    InvalidProxy,
    InvalidProxyStatus,
    InvalidURI,
    ProxyError,
)
from websockets.frames import Close
from websockets.http11 import Response
from websockets.protocol import Protocol
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from agentkit.errors import ConnectError, ConnectionLostError
from agentkit.transports.closing import lost
from agentkit.transports.endpoint import ConnectOptions, Endpoint
from agentkit.transports.redact import clean, safe_url, scrub, without_markup
from agentkit.transports.websocket.retry_after import retry_after

_RETRYABLE_4XX = {408, 425, 429}
_FATAL_5XX = {501, 505}
_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
_PROXY_HINT = "Check the proxy settings of the environment (HTTPS_PROXY, NO_PROXY), or set the option proxy."
_KEY_HINT = "Check that the key is complete, still valid, and allowed to use the model."


class HandshakeRefused(Exception):  # noqa: N818 - it never leaves the package, where it becomes a ConnectError
    """The server answered the handshake with something else than an upgrade."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"HTTP {response.status_code}")
        self.response = response


def connect_error(exc: BaseException, endpoint: Endpoint, options: ConnectOptions) -> ConnectError:
    """Say why a dial failed, whether another try may help, and what to do."""
    host = urlsplit(endpoint.url).netloc
    if isinstance(exc, HandshakeRefused):
        return _refused(exc.response, endpoint)
    if isinstance(exc, InvalidURI):
        return ConnectError(
            f"the URL {endpoint.shown} cannot be dialled: {exc.msg}",
            retryable=False,
            hint="Write ws:// or wss://.",
        )
    if isinstance(exc, ImportError):
        return ConnectError(
            "the proxy of the environment is a SOCKS proxy, which needs the package python-socks",
            retryable=False,
            hint="Install it with: pip install 'python-socks[asyncio]', or set the option proxy to false.",
        )
    if isinstance(exc, (InvalidProxy, ProxyError)):
        return _proxy(exc)
    leaves = list(causes(exc))
    proxy = _proxy_of(endpoint, options)
    # Until a proxy has answered, what fails is the way to it.
    reached = host if proxy is None else f"the proxy {urlsplit(proxy).netloc.rpartition('@')[2]}"
    for leaf in leaves:
        if isinstance(leaf, ssl.SSLError):
            return _tls(leaf, host)
    for leaf in leaves:
        if isinstance(leaf, (socket.gaierror, UnicodeError)):
            return ConnectError(
                f"the host name of {reached} could not be resolved: {clean(str(leaf))}",
                hint="Check the spelling of the URL, the network and its name server.",
            )
    for leaf in leaves:
        if isinstance(leaf, ConnectionRefusedError):
            return ConnectError(
                f"nothing accepts connections at {reached}",
                hint="Check host and port of the URL, and that the server runs." if proxy is None else _PROXY_HINT,
            )
    if isinstance(exc, TimeoutError):
        return ConnectError(
            f"{host} did not finish the handshake within {options.open_timeout:g} s",
            hint="Check the network, the proxy settings and the URL; a firewall may drop the connection.",
        )
    if isinstance(exc, InvalidMessage) and any(isinstance(leaf, EOFError) for leaf in leaves):
        return ConnectError(
            f"{host} closed the connection during the handshake",
            hint="The server may be starting or overloaded; check that the URL is a WebSocket endpoint.",
        )
    if isinstance(exc, OSError):
        return ConnectError(
            f"{reached} could not be reached: {clean(exc.strerror or str(exc) or type(exc).__name__)}",
            hint="Check the network connection and the proxy settings.",
        )
    # What is left are answers that break HTTP or the upgrade.
    detail = clean(str(exc.__cause__ or exc), secrets=endpoint.secrets)
    return ConnectError(
        f"not a websocket: {host} answered in another protocol ({detail})",
        retryable=False,
        hint=f"Check the URL: {endpoint.shown}",
    )


def lost_connection(protocol: Protocol, cause: BaseException | None, secrets: tuple[str, ...]) -> ConnectionLostError:
    """Say how an open connection ended."""
    received, sent = protocol.close_rcvd, protocol.close_sent
    close: Close | None = received
    by_us = sent is not None and (received is None or protocol.close_rcvd_then_sent is False)
    if by_us:
        close = sent
    error = lost(
        None if close is None else int(close.code),
        "" if close is None else close.reason,
        by_us=by_us,
        secrets=secrets,
    )
    error.__cause__ = cause or protocol.parser_exc
    return error


def stalled(seconds: float) -> ConnectionLostError:
    """Say that the peer does not read."""
    return ConnectionLostError(
        f"the connection was given up: the server read nothing for {seconds:g} s",
        hint="The network is too slow for what is sent, or the server hangs.",
    )


def _refused(response: Response, endpoint: Endpoint) -> ConnectError:
    status = response.status_code
    host = urlsplit(endpoint.url).netloc
    secrets = endpoint.secrets
    text, code = _reason(response, secrets)
    said = f": {text}" if text else ""
    wait = retry_after(response.headers)
    location = next(iter(response.headers.get_all("Location")), None)
    if 300 <= status < 400 and location is not None:
        return _redirected(status, location, endpoint)
    if status < 400:
        kind = _content_type(response) or "no content type"
        return ConnectError(
            f"not a websocket: got {kind} from {host} (HTTP {status}){said}",
            retryable=False,
            status=status,
            hint=f"Check the URL {endpoint.shown}, and whether a sign-in page or a proxy answers instead.",
        )
    if status in (401, 403):
        key = f"the key {endpoint.key_label}" if endpoint.key_label else "a connection without a key"
        return ConnectError(
            f"{host} refused {key} (HTTP {status}){said}",
            retryable=False,
            status=status,
            hint=_KEY_HINT if endpoint.key_label else "Set the key that this server asks for: api_key.",
        )
    if status in (400, 404):
        return ConnectError(
            f"{host} knows no such endpoint or model (HTTP {status}){said}",
            retryable=False,
            status=status,
            hint=_address_hint(endpoint),
        )
    if status == 429:
        if code == "insufficient_quota":
            return ConnectError(
                f"the quota at {host} is used up (HTTP 429){said}",
                retryable=False,
                status=status,
                hint="Check the plan and billing of the account that the key belongs to.",
            )
        return ConnectError(
            f"{host} asks for fewer connections (HTTP 429){said}",
            status=status,
            retry_after=wait,
            hint="Wait before the next try" + (f": {wait:g} s." if wait is not None else "."),
        )
    retryable = status in _RETRYABLE_4XX or (status >= 500 and status not in _FATAL_5XX)
    return ConnectError(
        f"{host} refused the connection (HTTP {status}){said}",
        retryable=retryable,
        status=status,
        retry_after=wait,
        hint="The server has a problem; try again later." if retryable else f"Check the URL: {endpoint.shown}",
    )


def _redirected(status: int, location: str, endpoint: Endpoint) -> ConnectError:
    here = urlsplit(endpoint.url).netloc
    try:
        target = urljoin(endpoint.url, location)
        there = urlsplit(target).netloc.rpartition("@")[2] or "an address without a host"
    except ValueError:
        target, there = location, "an address that is not valid"
    return ConnectError(
        f"{here} redirects to {clean(there)} (HTTP {status}), and the key is not sent to another address",
        retryable=False,
        status=status,
        hint=f"If you trust it, set the URL to {safe_url(target, endpoint.secrets)}",
    )


def _address_hint(endpoint: Endpoint) -> str:
    hint = f"Check the URL {endpoint.shown}"
    if endpoint.model is None:
        return f"{hint}."
    near = difflib.get_close_matches(endpoint.model, endpoint.known_models, n=1)
    if near and near[0] != endpoint.model:
        return f"{hint} and the model {endpoint.model!r}: did you mean {near[0]!r}?"
    return f"{hint} and the model {endpoint.model!r}."


def _content_type(response: Response) -> str:
    value = next(iter(response.headers.get_all("Content-Type")), "")
    return clean(value.partition(";")[0].strip().lower(), limit=60)


def _reason(response: Response, secrets: tuple[str, ...]) -> tuple[str, str | None]:
    """Take the server's own words, and the error's code, from the body."""
    text = bytes(response.body or b"").decode(errors="replace")
    if "json" in _content_type(response):
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            return clean(text, secrets=secrets), None
        error = body.get("error", body) if isinstance(body, dict) else body
        if isinstance(error, dict):
            code = error.get("code")
            message = error.get("message") or error.get("detail") or text
            return clean(str(message), secrets=secrets), code if isinstance(code, str) else None
        return clean(str(error), secrets=secrets), None
    if "html" in _content_type(response):
        # Markup goes after the secrets, which it may split.
        text = without_markup(scrub(text, secrets))
    return clean(text, secrets=secrets), None


def _tls(exc: ssl.SSLError, host: str) -> ConnectError:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return ConnectError(
            f"the TLS certificate of {host} was not accepted: {clean(exc.verify_message or str(exc))}",
            retryable=False,
            hint="Check this computer's clock and the host name; if a proxy replaces certificates, name its "
            "authority with ca_file or SSL_CERT_FILE.",
        )
    plain = exc.reason in _NOT_TLS
    return ConnectError(
        f"no TLS connection with {host}: {clean(exc.reason or str(exc)).replace('_', ' ').lower()}",
        retryable=not plain,
        hint="The server may speak no TLS at this port: try ws:// in place of wss://."
        if plain
        else "Check the network, and whether a proxy stands between.",
    )


def _proxy_of(endpoint: Endpoint, options: ConnectOptions) -> str | None:
    if isinstance(options.proxy, str):
        return options.proxy
    return get_proxy(parse_uri(endpoint.url)) if options.proxy else None


def _proxy(exc: InvalidProxy | ProxyError) -> ConnectError:
    if isinstance(exc, InvalidProxy):
        return ConnectError(
            f"the proxy {safe_url(exc.proxy)} cannot be used: {clean(exc.msg)}", retryable=False, hint=_PROXY_HINT
        )
    if isinstance(exc, InvalidProxyStatus):
        status = exc.response.status_code
        return ConnectError(
            f"the proxy refused the connection (HTTP {status})",
            retryable=status >= 500 or status in _RETRYABLE_4XX,
            status=status,
            retry_after=retry_after(exc.response.headers),
            hint=_PROXY_HINT,
        )
    return ConnectError(
        f"the connection through the proxy failed: {clean(str(exc.__cause__ or exc))}", hint=_PROXY_HINT
    )


def causes(exc: BaseException) -> Iterator[BaseException]:
    """Walk an error, what it was raised from, and the members of groups."""
    waiting = [exc]
    while waiting:
        current = waiting.pop(0)
        yield current
        if isinstance(current, BaseExceptionGroup):
            waiting.extend(current.exceptions)
        if current.__cause__ is not None:
            waiting.append(current.__cause__)
