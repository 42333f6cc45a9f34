"""One connection to an MCP server: opened, watched, and lost at some time.

Rule: what makes a connection useless sets ``Connection.lost`` with a reason and does nothing else; who owns the
connection leaves it then, and opens another.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
from mcp.client import Client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp.types import CONNECTION_CLOSED, INVALID_REQUEST, METHOD_NOT_FOUND, Implementation, ToolListChangedNotification
from pydantic import ValidationError

from agentkit import ToolError, __version__

if TYPE_CHECKING:
    import httpx2
    from mcp.client import IncomingMessage, Transport
    from mcp.types import LoggingMessageNotificationParams, Tool

    from agentkit_mcp.config import McpConfig

Answer = TypeVar("Answer")

MAX_PAGES: Final = 50
"""Pages of a listing; a server that has ever more of them is not followed for ever."""
AGAIN: Final = 1.0
"""Seconds before a stream of changes that has ended is opened again; twice as many where it did not open."""
MAX_AGAIN: Final = 60.0

# What the library itself says where a connection, or a session over HTTP, has ended.
_ENDED: Final = {(CONNECTION_CLOSED, "Connection closed"), (INVALID_REQUEST, "Session terminated")}


def is_end(error: MCPError) -> bool:
    """Tell whether an error means that the connection is over, and not only that a request failed."""
    return (error.code, error.message) in _ENDED


class Connection:
    """A server that answers; ``connected`` gives one."""

    def __init__(self, config: McpConfig, *, garbage: Callable[[], None], log: Callable[[str], None]) -> None:
        """Take the options of what is to be connected.

        Args:
            config: The server's options.
            garbage: Called when the server says what is no message.
            log: Takes a line for the log.
        """
        self._config = config
        self._garbage = garbage
        self._log = log
        self._suspicion = anyio.Event()
        self._stale = anyio.Event()
        self.client: Client
        self.tools: Sequence[Tool] = ()
        """The server's tools as it listed them last."""
        self.lost = anyio.Event()
        """Set when it is of no use any more."""
        self.reason = ""
        """Why."""
        self.status: int | None = None
        """The status with which an HTTP server last refused a request, until it takes one."""

    def lose(self, reason: str) -> None:
        """Say that it is of no use any more."""
        if not self.lost.is_set():
            self.reason = reason
            self.lost.set()

    @property
    def has_resources(self) -> bool:
        """Whether the server says that it has any."""
        return self.client.server_capabilities.resources is not None

    async def fetch(self) -> None:
        """Ask for the server's tools.

        Raises:
            MCPError: It refused.
            ValidationError: It answered with something else.
        """
        if self.client.server_capabilities.tools is None:
            return
        found: list[Tool] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self.client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if cursor is None:
                break
        self.tools = found

    async def ask(self, question: Callable[[Client], Awaitable[Answer]]) -> Answer:
        """Ask the server for something on behalf of a model.

        Raises:
            ToolError: The server refuses, gives an odd answer, or is lost meanwhile.
        """
        name = self._config.called
        try:
            return await question(self.client)
        except MCPError as error:
            if not is_end(error):
                raise ToolError(f"server {name} refused: {error.message}") from error
            self.lose("it has closed the connection")
            message = f"server {name} was lost during the call; whether it was done is not known"
            raise ToolError(message, retry=True) from error
        except (ValidationError, RuntimeError) as error:  # RuntimeError: what does not fit the tool's output schema
            self._log(f"odd answer: {error}")
            raise ToolError(f"server {name} gave an answer that does not fit; the tool may have run") from error
        except anyio.get_cancelled_exc_class():
            self._suspicion.set()  # it took too long, perhaps because nobody is there
            raise

    async def hear(self, message: IncomingMessage) -> None:
        """Take what the server says unasked."""
        if isinstance(message, ToolListChangedNotification):
            self._stale.set()
        elif isinstance(message, ValidationError):
            self._garbage()
        elif isinstance(message, Exception):
            self._log(type(message).__name__)

    async def hear_log(self, params: LoggingMessageNotificationParams) -> None:
        """Take a line that the server logs through the protocol."""
        self._log(str(params.data))

    async def keep_tools(self, changed: Callable[[], None]) -> None:
        """Fetch the tools again whenever the server says that they have changed."""
        while True:
            await self._stale.wait()
            self._stale = anyio.Event()
            before = self.tools
            try:
                with anyio.fail_after(self._config.connect_timeout):
                    await self.fetch()
            except (MCPError, ValidationError, TimeoutError) as error:
                self._log(f"its changed tools cannot be listed: {error}")
            else:
                if self.tools != before:
                    changed()

    async def follow_changes(self) -> None:
        """Keep the stream open on which newer servers announce changes; older ones do it unasked."""
        offered = self.client.server_capabilities.tools
        if offered is None or not offered.list_changed:
            return
        pause = AGAIN
        while True:
            try:
                async with self.client.listen(tools_list_changed=True) as changes:
                    pause = AGAIN
                    self._stale.set()  # for what has changed while nobody listened
                    async for _ in changes:
                        self._stale.set()
            except ListenNotSupportedError:
                return
            except (MCPError, SubscriptionLost) as error:
                if isinstance(error, MCPError) and error.code == METHOD_NOT_FOUND:
                    return
                self._log(f"changes of its tools are not announced: {error}")
            await anyio.sleep(pause)
            pause = min(pause * 2, MAX_AGAIN)

    async def watch(self) -> None:
        """Ask the server from time to time whether it is still there, and at once when a call was given up."""
        while True:
            with anyio.move_on_after(self._config.health):
                await self._suspicion.wait()
            self._suspicion = anyio.Event()
            if not await self._answers():
                self.lose(f"it has not answered for {self._config.ping_timeout:g} s")
                return

    async def _answers(self) -> bool:
        session = self.client.session
        with anyio.move_on_after(self._config.ping_timeout) as scope:
            try:
                if session.discover_result is None:
                    await session.send_ping()
                else:  # newer servers have no ping
                    await session.send_discover(self.client.protocol_version)
            except MCPError as error:
                return not is_end(error)
            except ValidationError:
                return True
        return not scope.cancelled_caught

    async def note_status(self, response: httpx2.Response) -> None:
        """Remember with which status an HTTP server refuses."""
        self.status = response.status_code if response.status_code >= 400 else None


@asynccontextmanager
async def connected(
    config: McpConfig, transport: Transport, connection: Connection, changed: Callable[[], None]
) -> AsyncIterator[None]:
    """Open a connection, and watch it while it lasts.

    Args:
        config: The server's options.
        transport: How the server is reached.
        connection: What is opened.
        changed: Called when the server has changed its tools.

    Raises:
        TimeoutError: It took longer than ``connect_timeout``.
        Exception: Whatever the library raises where a server cannot be reached or does not speak the protocol.
    """
    # Not `fail_after`: what is opened in the scope outlives the waiting.
    with anyio.CancelScope(deadline=anyio.current_time() + config.connect_timeout) as scope:
        async with Client(
            transport,
            message_handler=connection.hear,
            logging_callback=connection.hear_log,
            client_info=Implementation(name="agentkit", version=__version__),
            cache=None,
        ) as connection.client:
            await connection.fetch()
            scope.deadline = math.inf
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(connection.watch)
                tasks.start_soon(connection.keep_tools, changed)
                tasks.start_soon(connection.follow_changes)
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()
    if scope.cancelled_caught:
        raise TimeoutError
