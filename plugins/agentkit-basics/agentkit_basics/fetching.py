"""Fetching one text over HTTP within bounds on address, time and size.

Rule: the address that was checked is the one that is connected to, so a name that changes between the two
gains nothing. The standard library's client is enough for that; larger ones hide the socket.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from msgspec import Struct

from agentkit import ToolError

_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK: Final = 65_536
_TEXT = re.compile(r"text/.*|application/(?:.*\+)?(?:json|xml)|application/(?:javascript|yaml|x-yaml|x-ndjson)")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class Limits(Struct, frozen=True, kw_only=True):
    """What one fetch may do."""

    allow: Sequence[str]
    """Hosts: ``example.org``, ``*.example.org``, ``*`` for any; with ``:port`` if not the usual."""
    allow_private: bool = False
    """Whether addresses of this machine and of local networks may be reached."""
    timeout: float = 10.0
    """Seconds for everything, redirects included."""
    max_bytes: int = 1_048_576
    """How much of the body is read."""
    max_redirects: int = 5


class Page(Struct, frozen=True, kw_only=True):
    """What came back."""

    url: str
    """Where it came from in the end."""
    status: int
    reason: str
    content_type: str
    text: str
    truncated: bool
    """Whether the body was longer than allowed."""


def fetch(url: str, limits: Limits) -> Page:
    """Get a text, following redirects that stay within the limits.

    Raises:
        ToolError: The address is not allowed, the answer is no text, or it did not come in time.
    """
    deadline = time.monotonic() + limits.timeout
    for _ in range(limits.max_redirects + 1):
        parts = _checked(url, limits.allow)
        with _opened(parts, limits, deadline) as response:
            target = response.getheader("Location")
            if response.status in _REDIRECTS and target:
                url = urljoin(url, target)
                continue
            return _page(url, response, limits)
    raise ToolError(f"{_host(url)} redirects more than {limits.max_redirects} times")


def is_allowed(host: str, port: int, *, usual: int, allow: Sequence[str]) -> bool:
    """Tell whether a list of hosts has this one; an entry without a port means the scheme's usual one."""
    for entry in allow:
        pattern, _, number = entry.strip().lower().rpartition(":")
        if not pattern or not number.isdigit():
            pattern, number = entry.strip().lower(), str(usual)
        if int(number) != port:
            continue
        pattern = pattern.strip("[]")
        if pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:])):
            return True
    return False


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the open internet, also when it is wrapped in an IPv6 one."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _checked(url: str, allow: Sequence[str]) -> SplitResult:
    if not url.isprintable() or " " in url or len(url) > 2_000:
        raise ToolError("the URL holds spaces or control characters, or is longer than 2,000 characters")
    try:
        parts = urlsplit(url)
        host, named = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise ToolError(f"that is no valid URL: {error}") from error
    if parts.scheme not in _PORTS or not host:
        raise ToolError("the URL must begin with https:// or http:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ToolError("the URL may not hold a user name or password")
    usual = _PORTS[parts.scheme]
    port = usual if named is None else named
    if not is_allowed(host, port, usual=usual, allow=allow):
        shown = host if port == usual else f"{host}:{port}"
        raise ToolError(f"{shown} is not in the list of allowed hosts: {', '.join(allow)}")
    return parts


def _addresses(host: str, port: int, limits: Limits) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ToolError(f"{host} cannot be found; is this machine offline?") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not limits.allow_private and not all(is_public(address) for address in addresses):
        raise ToolError(f"{host} leads to a private address, which is not allowed")
    return addresses


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was checked, whatever the name resolves to later."""

    def __init__(self, host: str, port: int, connected: socket.socket) -> None:
        super().__init__(host, port)
        self.sock = connected


@contextlib.contextmanager
def _opened(parts: SplitResult, limits: Limits, deadline: float) -> Iterator[http.client.HTTPResponse]:
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or _PORTS[parts.scheme]
    late = ToolError(f"{host} did not answer within {limits.timeout:g} s")
    addresses = _addresses(host, port, limits)
    raw = _connected(host, port, addresses, deadline, late)
    connected: socket.socket = raw

    def give_up() -> None:
        # A socket that is closed already has nothing left to shut down.
        with contextlib.suppress(OSError, ValueError):
            connected.shutdown(socket.SHUT_RDWR)

    # A peer that sends a byte now and then never trips a socket's own timeout.
    guard = threading.Timer(max(deadline - time.monotonic(), 0), give_up)
    guard.daemon = True
    guard.start()
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context()
            secured = context.wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
            connected = secured
            secured.do_handshake()
        connection = _Pinned(host, port, connected)
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        headers = {
            "User-Agent": "agentkit-realtime-basics",
            "Accept": "text/*, application/json;q=0.9, */*;q=0.1",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        connection.request("GET", _quoted(path), headers=headers)
        with connection.getresponse() as response:
            yield response
        # An answer that ended because we gave up looks like one that is whole.
        if time.monotonic() >= deadline:
            raise late
    except (OSError, http.client.HTTPException, ToolError) as error:
        if time.monotonic() >= deadline or isinstance(error, TimeoutError):
            raise late from error
        if isinstance(error, ToolError):
            raise
        raise ToolError(f"{host} cannot be reached: {_reason(error)}") from error
    finally:
        guard.cancel()
        connected.close()
        raw.close()


def _connected(host: str, port: int, addresses: list[str], deadline: float, late: ToolError) -> socket.socket:
    problem: OSError | None = None
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            raise late from problem
        try:
            connected = socket.create_connection((address, port), timeout=left)
        except OSError as error:
            problem = error
            continue
        connected.settimeout(max(deadline - time.monotonic(), 0.001))
        return connected
    if isinstance(problem, TimeoutError):
        raise late from problem
    raise ToolError(f"{host} cannot be reached: {_reason(problem)}; is this machine offline?") from problem


def _page(url: str, response: http.client.HTTPResponse, limits: Limits) -> Page:
    content_type = (response.headers.get_content_type() if response.getheader("Content-Type") else "").lower()
    if response.getheader("Content-Encoding", "identity").lower() != "identity":
        raise ToolError(f"{_host(url)} sent a compressed answer although none was accepted")
    if content_type and _TEXT.fullmatch(content_type) is None:
        raise ToolError(f"{_host(url)} sent {content_type[:100]}, which is no text")
    body = bytearray()
    while len(body) <= limits.max_bytes and (chunk := response.read1(_CHUNK)):
        body += chunk
    if response.length and len(body) <= limits.max_bytes:
        raise ToolError(f"{_host(url)} broke off in the middle of its answer")
    if not content_type and b"\0" in body:
        raise ToolError(f"{_host(url)} sent something that is no text")
    charset = response.headers.get_content_charset() or "utf-8"
    raw = bytes(body[: limits.max_bytes])
    try:
        text = raw.decode(charset, errors="replace")
    except LookupError:
        text = raw.decode("utf-8", errors="replace")
    return Page(
        url=url,
        status=response.status,
        reason=response.reason,
        content_type=content_type,
        text=text,
        truncated=len(body) > limits.max_bytes,
    )


def _quoted(path: str) -> str:
    return quote(path, safe="%/:?#[]@!$&'()*+,;=~-._")


def _host(url: str) -> str:
    return urlsplit(url).hostname or url[:100]


def _reason(error: Exception | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
