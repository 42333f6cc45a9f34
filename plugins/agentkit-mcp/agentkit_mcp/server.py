"""McpServer: the tools of one MCP server, which is started or reached, watched, and restarted when it fails.

Rule: one task owns the connection, from opening to closing. Calls use the one that is there, in the tasks they come
from, and are told where there is none.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
from msgspec import Struct

from agentkit import ConnectError, Tool, ToolContext, ToolError, Toolset, tool
from agentkit.masking import Masker
from agentkit.transports.redact import clean, safe_url
from agentkit_mcp.offered import effects_of, offer
from agentkit_mcp.quiet import quiet_library

if TYPE_CHECKING:
    import mcp.types
    from anyio.abc import TaskStatus
    from mcp.client import Client

    from agentkit.tools import ToolsetUser
    from agentkit_mcp.config import McpConfig
    from agentkit_mcp.connection import Connection
    from agentkit_mcp.failures import Failure

logger = logging.getLogger("agentkit.mcp")

AnyTool = Tool[..., object]
Answer = TypeVar("Answer")

LAST_WORDS: Final = 3
"""Lines of a server's stderr that a message cites."""
MAX_MESSAGE: Final = 1000
"""Characters of a message."""
MAX_WHERE: Final = 120
"""Characters of a command line that a message cites."""


class _Said(Struct, frozen=True):
    """A notice that nobody has heard yet."""

    code: str
    message: str
    level: str
    hint: str | None


class _End(Struct, frozen=True):
    """How a connection ended."""

    failure: Failure
    opened: bool
    """Whether it was one before."""
    cause: Exception | None


class McpServer(Toolset):
    """The tools of one MCP server.

    A server that dies or hangs is restarted; meanwhile its tools stay, and a call of one is answered by an error that
    says so.
    """

    def __init__(self, config: McpConfig, *, optional: bool = False) -> None:
        """Take the options; nothing is started before it is opened.

        Args:
            config: How the server is reached, and what is taken of it.
            optional: Whether a session starts without it, with a notice, where it cannot be reached.
        """
        self._config = config
        self.optional = optional
        self._masker = Masker(_secrets(config))
        self._connection: Connection | None = None
        self._absence = "is not open"
        self._listed: tuple[Sequence[mcp.types.Tool], bool] | None = None
        self._tools: list[AnyTool] = []
        self._told: set[str] = set()
        self._listeners = 0
        self._unheard: list[_Said] = []

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self._config.called

    def tools(self) -> Sequence[AnyTool]:
        """Return the server's tools as it listed them last."""
        return self._tools

    def attach(self, user: ToolsetUser) -> Callable[[], None]:
        """Tell somebody of changes and notices from now on, and of the notices that nobody has heard yet."""
        detach = super().attach(user)
        self._listeners += 1
        unheard, self._unheard = self._unheard, []
        for said in unheard:
            user.notice(said.code, said.message, level=said.level, hint=said.hint)

        def leave() -> None:
            self._listeners -= 1
            detach()

        return leave

    def notice(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        """Tell a person something in one line, by every session that uses it, or by the first one that will."""
        said = _Said(code, self._fit(message), level, None if hint is None else self._fit(hint))
        if self._listeners:
            super().notice(said.code, said.message, level=said.level, hint=said.hint)
        else:
            self._unheard.append(said)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold the connection to the server, whichever it is at the time.

        Raises:
            ConnectError: It could not be started or reached, or does not speak the protocol.
        """
        failure: Exception | None = None
        try:
            with quiet_library():
                async with anyio.create_task_group() as tasks:
                    await tasks.start(self._keep)
                    try:
                        yield
                    except Exception as error:  # noqa: BLE001  # raised again below, outside of the group
                        failure = error
                    finally:
                        tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            raise group.exceptions[0] from group.exceptions[0].__cause__
        finally:
            self._absence = "is not open"
            if failure is not None:
                raise failure

    # The connection

    async def _keep(self, *, task_status: TaskStatus[None]) -> None:
        """Own the connection: open it, and open it again when it is lost.

        Raises:
            ConnectError: The first one could not be opened.
        """
        restart = self._config.restart
        tries = 0
        first = True
        while True:
            began = anyio.current_time()
            end = await self._connect(task_status.started if first else self._back)
            if first and not end.opened:
                message = f"MCP server {self.name} ({self._where()}) is not there: {end.failure.why}"
                raise ConnectError(self._fit(message), retryable=False, hint=end.failure.hint) from end.cause
            first = False
            if end.opened and anyio.current_time() - began >= restart.cap:
                tries = 0
            if tries >= restart.attempts:
                break
            if end.opened:
                self.notice("mcp_lost", f"MCP server {self.name} was lost: {end.failure.why}; it is restarted")
            else:
                self._log(f"not back after try {tries}: {end.failure.why}")
            await anyio.sleep(min(restart.backoff * 2.0 ** min(tries, 30), restart.cap))
            tries += 1
        self._absence = "is not there, and was given up"
        after = f" after {tries} {'try' if tries == 1 else 'tries'}" if tries else ""
        message = f"MCP server {self.name} is given up{after}: {end.failure.why}"
        self.notice("mcp_given_up", message, level="error", hint=end.failure.hint)

    def _back(self) -> None:
        self.notice("mcp_back", f"MCP server {self.name} is back", level="info")

    async def _connect(self, ready: Callable[[], None]) -> _End:
        """Open a connection, say so by `ready`, use it until it is lost, and return why that was."""
        from agentkit_mcp.connection import Connection, connected
        from agentkit_mcp.failures import Failure, failure_of
        from agentkit_mcp.stderr import Stderr
        from agentkit_mcp.transport import http, program

        config = self._config
        connection = Connection(config, garbage=self._hear_garbage, log=self._log)
        stderr = None if config.url else Stderr(self.name, self._masker.text)
        transport = http(config, connection) if stderr is None else program(config, connection, stderr)
        opened = False
        cause: Exception | None = None
        try:
            async with connected(config, transport, connection, lambda: self._renew(connection)):
                self._connection = connection
                self._renew(connection)
                self._absence = "is not there, it is being restarted"  # as soon as it is lost
                opened = True
                ready()
                try:
                    await connection.lost.wait()
                finally:
                    self._connection = None
            failure = Failure(connection.reason)
        except Exception as error:
            # Isolation boundary of MCP connections: whatever a server, or the library that talks to it, makes of a
            # connection, the session goes on without the server.
            logger.debug("%s: the connection failed", self.name, exc_info=error)
            cause = error
            failure = failure_of(error, config, connection.status)
        finally:
            if stderr is not None:
                stderr.file.close()  # here as well, where the program was never started
        words = [] if stderr is None else await stderr.last(LAST_WORDS)
        if words:
            failure = Failure(f"{failure.why}; it last wrote: {' / '.join(words)}", failure.hint)
        return _End(failure, opened, cause)

    def _log(self, line: str) -> None:
        logger.info("%s: %s", self.name, self._fit(line))

    def _hear_garbage(self) -> None:
        self._tell_once(
            "mcp_garbage",
            f"MCP server {self.name} writes to its stdout what is no message; such lines are left out",
            hint="a server's stdout is for the protocol: its logs belong on stderr",
        )

    def _tell_once(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        if message not in self._told:
            self._told.add(message)
            self.notice(code, message, level=level, hint=hint)

    def _where(self) -> str:
        """Say how the server is reached, without secrets."""
        if self._config.url:
            return safe_url(self._config.url)
        whole = clean(self._masker.text(shlex.join(self._config.argv)), limit=1 << 20)
        # A long path says least at its beginning, and which server it is at its end.
        return whole if len(whole) <= MAX_WHERE else f"{whole[: MAX_WHERE // 3]}...{whole[-MAX_WHERE * 2 // 3 :]}"

    def _fit(self, message: str) -> str:
        return clean(self._masker.text(message), limit=MAX_MESSAGE)

    # The tools

    def _renew(self, connection: Connection) -> None:
        """Make the tools anew where the server lists others than before."""
        listed = (connection.tools, self._config.resources and connection.has_resources)
        if listed == self._listed:
            return
        first, self._listed = self._listed is None, listed
        self._tools = [*self._offered(connection.tools), *(self._readers(connection.tools) if listed[1] else ())]
        if self._config.resources and not connection.has_resources:
            self._tell_once("mcp_no_resources", f"MCP server {self.name} has no resources", level="info")
        if not first:
            self.changed()

    def _offered(self, listed: Sequence[mcp.types.Tool]) -> list[AnyTool]:
        config = self._config
        chosen = offer(listed, include=config.include, exclude=config.exclude)
        for name, new in chosen.renamed.items():
            said = f"the tool `{name}` of MCP server {self.name} is called `{new}` here"
            self._tell_once("mcp_renamed", said, level="info", hint="a model allows a-z, A-Z, 0-9, _ and - in names")
        for name in chosen.doubled:
            self._tell_once("mcp_doubled", f"MCP server {self.name} lists `{name}` twice; its first is taken")
        for pattern in chosen.unmatched:
            said = f"`{pattern}` fits no tool of MCP server {self.name}"
            self._tell_once("mcp_unmatched", said, hint=f"its tools: {', '.join(each.name for each in listed)}")
        made: list[AnyTool] = []
        for name, each in chosen.tools.items():
            try:
                made.append(self._tool(name, each))
            except TypeError as error:
                said = f"the tool `{each.name}` of MCP server {self.name} cannot be used: {error}"
                self._tell_once("mcp_unusable", said)
        return made

    def _tool(self, name: str, listed: mcp.types.Tool) -> AnyTool:
        schema = {"properties": {}, **listed.input_schema}
        if not isinstance(schema["properties"], dict):
            raise TypeError("its parameters are not the JSON Schema of an object")
        context = "context"
        while context in schema["properties"]:
            context += "_"

        async def call(**arguments: object) -> str:
            given = arguments.pop(context, None)
            return await self._call(listed.name, arguments, given if isinstance(given, ToolContext) else None)

        return Tool.from_definition(
            {"name": name, "description": listed.description or listed.title or "", "parameters": schema},
            call,
            context=context,
            timeout=self._config.call_timeout,
            effects=effects_of(listed, trusted=self._config.trust_annotations),
        )

    def _readers(self, listed: Sequence[mcp.types.Tool]) -> list[AnyTool]:
        """Make the two tools by which a model reads resources."""
        taken = {each.name for each in listed}
        return [
            tool(
                function,
                name=name if name not in taken else f"mcp_{name}",
                timeout=self._config.call_timeout,
                effects="reads",
            )
            for name, function in (("list_resources", self._list_resources), ("read_resource", self._read_resource))
        ]

    async def _list_resources(self) -> list[dict[str, str]]:
        """List the resources that can be read, with their addresses."""
        from agentkit_mcp.resources import list_resources

        return await self._using(list_resources)

    async def _read_resource(self, uri: str) -> str:
        """Read a resource.

        Args:
            uri: Its address, as the list of resources gives it; fill in what stands in {braces}.
        """
        from agentkit_mcp.content import text_of_resource

        return text_of_resource(await self._using(lambda client: client.read_resource(uri)))

    async def _call(self, name: str, arguments: dict[str, object], context: ToolContext | None) -> str:
        """Call one of the server's tools.

        Raises:
            ToolError: The server is not there, is lost meanwhile, refuses, or answers that it has failed.
        """
        from agentkit_mcp.content import text_of

        async def report(progress: float, total: float | None, message: str | None) -> None:
            if context is not None:
                done = min(max(progress / total, 0.0), 1.0) if total else None
                context.progress(message or "", done=done)

        result = await self._using(lambda client: client.call_tool(name, arguments, progress_callback=report))
        text = text_of(result)
        if result.is_error:
            raise ToolError(text)
        return text

    async def _using(self, ask: Callable[[Client], Awaitable[Answer]]) -> Answer:
        """Ask the server for something.

        Raises:
            ToolError: It is not there, is lost meanwhile, refuses, or gives an odd answer.
        """
        connection = self._connection
        if connection is None or connection.lost.is_set():
            raise ToolError(f"server {self.name} {self._absence}", retry=True)
        return await connection.ask(ask)


def _secrets(config: McpConfig) -> set[str]:
    """Collect what must not be shown: the values of variables and headers, also without a header's ``Bearer``."""
    values = {value.reveal() for value in (*config.env.values(), *config.headers.values())}
    return values | {value.rpartition(" ")[2] for value in values}
