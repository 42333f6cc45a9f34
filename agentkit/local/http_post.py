"""One streaming HTTP/1.1 POST over anyio, for asyncio and trio alike.

It exists because no HTTP client is among the core's dependencies, and a worker thread could not be cancelled cleanly.
It follows no redirect, so a key stays with its host, and it uses no proxy.
"""

import os
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing
from typing import Final, TypeVar
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from agentkit.errors import AgentkitError

MAX_HEAD: Final = 64 * 1024
MAX_LINE: Final = 1024 * 1024
"""The longest line of an event stream."""
MAX_BODY: Final = 64 * 1024 * 1024
_T = TypeVar("_T")
_PIECE: Final = 64 * 1024


class HttpError(AgentkitError):
    """There is no usable HTTP reply."""

    def __init__(self, message: str, *, reached: bool) -> None:
        super().__init__(message)
        self.reached = reached
        """Whether the server had answered before it failed."""


class HttpReply:
    """A reply whose head is there and whose body streams."""

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        stream: ByteStream,
        buffer: BufferedByteReceiveStream,
        *,
        timeout: float,
    ) -> None:
        self.status = status
        self.headers = headers
        """Names in lower case."""
        self._stream = stream
        self._buffer = buffer
        self._timeout = timeout

    @property
    def content_type(self) -> str:
        """The media type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def body(self, limit: int) -> bytes:
        """Return the body, or its first ``limit`` bytes.

        Raises:
            HttpError: The body breaks off, or does not come in time.
        """
        found = bytearray()
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                found += piece
                if len(found) >= limit:
                    break
        return bytes(found[:limit])

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes.

        Raises:
            HttpError: The body breaks off, is too big, or does not come in time.
        """
        total = 0
        async with aclosing(self._framed()) as pieces:
            async for piece in pieces:
                total += len(piece)
                if total > MAX_BODY:
                    raise HttpError(f"The reply is larger than {MAX_BODY >> 20} MiB.", reached=True)
                yield piece

    async def _framed(self) -> AsyncGenerator[bytes, None]:
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            while size := _chunk_size(await self._line()):
                while size:
                    piece = await self._some(min(size, _PIECE))
                    size -= len(piece)
                    yield piece
                await self._line()
            return
        length = self.headers.get("content-length")
        left = int(length) if length is not None and length.isdecimal() else None
        while left is None or left > 0:
            try:
                piece = await self._some(_PIECE if left is None else min(left, _PIECE))
            except HttpError:
                if left is None:
                    return
                raise
            left = None if left is None else left - len(piece)
            yield piece

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """Yield the body's lines without their ends.

        Raises:
            HttpError: The body breaks off, is too big, or does not come in time.
        """
        rest = b""
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                *whole, rest = (rest + piece).split(b"\n")
                for line in whole:
                    yield line.rstrip(b"\r")
                if len(rest) > MAX_LINE:
                    raise HttpError("A line of the reply is too long.", reached=True)
        if rest:
            yield rest

    async def aclose(self) -> None:
        """Close the connection, at once where it is cancelled."""
        await self._stream.aclose()

    async def _line(self) -> bytes:
        return await _guarded(self._buffer.receive_until(b"\r\n", MAX_HEAD), self._timeout)

    async def _some(self, limit: int) -> bytes:
        return await _guarded(self._buffer.receive(limit), self._timeout)


async def post(url: str, body: bytes, *, headers: Mapping[str, str], timeout: float) -> HttpReply:
    """Send a POST and return the reply once its head is there; the caller closes it.

    Args:
        url: An ``http`` or ``https`` address.
        body: JSON.
        headers: Beside those of HTTP itself.
        timeout: Seconds to connect, and seconds of silence at any later time.

    Raises:
        HttpError: The server cannot be reached, or does not answer as HTTP does.
        ValueError: The address is not one, or a header holds a line break.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{url!r} is not an http or https address.")
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    target = parts.path or "/"
    if parts.query:
        target = f"{target}?{parts.query}"
    own = {
        "Host": parts.netloc.rpartition("@")[2],
        "Accept": "text/event-stream, application/json",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "User-Agent": "agentkit",
    }
    lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in {**own, **headers}.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("A header or the address holds a line break.")
    stream = await _connected(host, port, secure=secure, timeout=timeout)
    try:
        await _guarded(stream.send("\r\n".join([*lines, "", ""]).encode() + body), timeout)
        buffer = BufferedByteReceiveStream(stream)
        status, found = 100, dict[str, str]()
        while 100 <= status < 200:
            status, found = _head(await _guarded(buffer.receive_until(b"\r\n\r\n", MAX_HEAD), timeout))
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    return HttpReply(status, found, stream, buffer, timeout=timeout)


async def _connected(host: str, port: int, *, secure: bool, timeout: float) -> ByteStream:
    try:
        with anyio.fail_after(timeout):
            if not secure:
                return await anyio.connect_tcp(host, port)
            context = ssl.create_default_context()
            # The body's own framing tells where it ends, so a missing closing alert loses nothing.
            return await anyio.connect_tcp(host, port, ssl_context=context, tls_standard_compatible=False)
    except TimeoutError as exc:
        raise HttpError(f"{host}:{port} did not answer within {timeout:g} s.", reached=False) from exc
    except ssl.SSLError as exc:
        raise HttpError(f"No secure connection to {host}:{port}: {exc.reason or exc}.", reached=False) from exc
    except (anyio.BrokenResourceError, anyio.EndOfStream) as exc:
        raise HttpError(f"{host}:{port} closed the connection at once.", reached=False) from exc
    except OSError as exc:
        raise HttpError(f"No connection to {host}:{port}: {_told(exc)}.", reached=False) from exc


async def _guarded(step: Awaitable[_T], timeout: float) -> _T:
    try:
        with anyio.fail_after(timeout):
            return await step
    except TimeoutError as exc:
        raise HttpError(f"The server was silent for {timeout:g} s.", reached=True) from exc
    except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, OSError) as exc:
        raise HttpError("The server closed the connection in the middle of its reply.", reached=True) from exc
    except anyio.DelimiterNotFound as exc:
        raise HttpError("The server's reply is not HTTP.", reached=True) from exc


def _head(raw: bytes) -> tuple[int, dict[str, str]]:
    first, *rest = raw.decode("latin-1").split("\r\n")
    version, _, status = first.partition(" ")
    if not version.startswith("HTTP/1.") or not status[:3].isdecimal():
        raise HttpError("The server's reply is not HTTP/1.1.", reached=True)
    headers = {}
    for line in rest:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(status[:3]), headers


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not 1 <= len(digits) <= 8 or not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
        raise HttpError("The server's reply is not framed as HTTP/1.1 says.", reached=True)
    return int(digits, 16)


def _told(exc: OSError) -> str:
    """Return the system's own words, around which anyio and the event loops put theirs."""
    cause: BaseException = exc
    while isinstance(inner := cause.__cause__, BaseException):
        cause = inner.exceptions[0] if isinstance(inner, BaseExceptionGroup) else inner
    if isinstance(cause, socket.gaierror):
        return f"{cause.strerror}"[:1].lower() + f"{cause.strerror}"[1:]
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno).lower()
    return str(exc)
