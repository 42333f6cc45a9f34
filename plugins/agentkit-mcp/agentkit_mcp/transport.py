"""How messages get to a server and back: by the pipes of a program that is started here, or by HTTP."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import httpx2
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

if TYPE_CHECKING:
    from contextvars import Context
    from types import TracebackType

    from mcp.client._transport import ReadStream, TransportStreams
    from mcp.shared.message import SessionMessage

    from agentkit_mcp.config import McpConfig
    from agentkit_mcp.connection import Connection
    from agentkit_mcp.stderr import Stderr

INHERITED: Final = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""Variables of ours that a program gets, besides those which the library gives it, such as PATH and HOME."""


@asynccontextmanager
async def program(config: McpConfig, connection: Connection, stderr: Stderr) -> AsyncIterator[TransportStreams]:
    """Start the server, and stop it with all that it has started.

    Args:
        config: The server's options.
        connection: What is lost when the server says nothing more.
        stderr: Where it writes what is for people.

    Raises:
        OSError: It cannot be started.
        ValueError: Its command line holds a NUL.
    """
    command, *args = config.argv
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    parameters = StdioServerParameters(
        command=command,
        args=args,
        env=inherited | {name: value.reveal() for name, value in config.env.items()},
        cwd=config.cwd,
        encoding_error_handler="replace",
    )
    async with stdio_client(parameters, errlog=stderr.file) as (read, write):
        stderr.file.close()
        yield _Watched(read, lambda: connection.lose("it has ended")), write


@asynccontextmanager
async def http(config: McpConfig, connection: Connection) -> AsyncIterator[TransportStreams]:
    """Reach the server by streamable HTTP.

    Args:
        config: The server's options.
        connection: What is told of each answer's status, and is lost when messages end.
    """
    headers = {name: value.reveal() for name, value in config.headers.items()}
    # A stream of changes may be silent for hours; calls have their own limit, and pings find a server that has gone.
    timeout = httpx2.Timeout(config.connect_timeout, read=None)
    async with (
        httpx2.AsyncClient(
            headers=headers, timeout=timeout, event_hooks={"response": [connection.note_status]}
        ) as client,
        streamable_http_client(config.url or "", http_client=client) as (read, write),
    ):
        yield _Watched(read, lambda: connection.lose("it has closed the connection")), write


class _Watched:
    """A stream of messages that says when it has ended, which the library tells only who waits for an answer."""

    def __init__(self, stream: ReadStream[SessionMessage | Exception], ended: Callable[[], None]) -> None:
        self._stream = stream
        self._ended = ended

    @property
    def last_context(self) -> Context | None:
        """The context in which the last message was sent, where the stream knows it."""
        context: Context | None = getattr(self._stream, "last_context", None)
        return context

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message."""
        try:
            return await self._stream.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            self._ended()
            raise

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    def __aiter__(self) -> _Watched:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> _Watched:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
