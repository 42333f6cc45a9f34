"""Servers to talk to, and somebody who listens to what a toolset tells."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from agentkit_mcp import McpConfig, McpServer
from msgspec import Struct

from agentkit import ToolCall, ToolContext, ToolResult

if TYPE_CHECKING:
    from agentkit import Toolset

SERVERS = Path(__file__).parent / "servers"
PATIENCE = 15
"""Seconds after which a test that waits for something has failed."""


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Notice(Struct, frozen=True):
    code: str
    message: str
    level: str
    hint: str | None


class Listener:
    """Uses toolsets, and remembers what it is told."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.changes = 0
        self._news: anyio.Event | None = None

    def tools_changed(self, toolset: Toolset) -> None:
        self.changes += 1
        self._tell()

    def notice(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        self.notices.append(Notice(code, message, level, hint))
        self._tell()

    def codes(self) -> list[str]:
        return [notice.code for notice in self.notices]

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        with anyio.fail_after(PATIENCE):
            while not holds():
                self._news = anyio.Event()
                await self._news.wait()

    async def heard(self, code: str) -> Notice:
        """Wait for a notice."""
        await self.until(lambda: code in self.codes())
        return next(notice for notice in self.notices if notice.code == code)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait long for a server that hangs to end by itself."""
    monkeypatch.setattr("mcp.client.stdio.PROCESS_TERMINATION_TIMEOUT", 0.3)


Start = Callable[..., McpServer]


@pytest.fixture
def start(listener: Listener) -> Start:
    """Make a toolset of a script in `servers`, which the listener listens to."""

    def make(script: str, *args: str, **options: object) -> McpServer:
        given = {"name": script, "command": (sys.executable, str(SERVERS / f"{script}.py"), *args), **options}
        server = McpServer(McpConfig(**given))  # type: ignore[arg-type]  # as a test gives them
        server.attach(listener)
        return server

    return make


@pytest.fixture
def reach(listener: Listener, anyio_backend: str) -> Iterator[Start]:
    """Make a toolset of a server at an address, which the listener listens to."""

    def make(url: str, **options: object) -> McpServer:
        given = {"name": "notes", "url": url, **options}
        server = McpServer(McpConfig(**given))  # type: ignore[arg-type]  # as a test gives them
        server.attach(listener)
        return server

    yield make
    if anyio_backend == "trio":
        gc.collect()  # so that generators which the library has abandoned are told of in the test that they come from


Call = Callable[..., Awaitable[ToolResult]]


@pytest.fixture
def call() -> Call:
    """Call one of a server's tools as a session does."""

    async def call_tool(
        server: McpServer, name: str, context: ToolContext | None = None, /, **arguments: object
    ) -> ToolResult:
        tool = next(each for each in server.tools() if each.name == name)
        made = ToolCall(call_id="call_1", name=name, raw_arguments=json.dumps(arguments))
        with anyio.fail_after(PATIENCE):
            return await tool.run(made, context)

    return call_tool


class Site(Struct):
    """A server that is reached by HTTP."""

    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(*token: str, port: int = 0) -> Iterator[Site]:
    """Serve notes.py by HTTP, on a port or any, and only to those who know a token where there is one."""
    argv = [sys.executable, str(SERVERS / "web.py"), str(port), *token]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    with process.stdout:
        site = Site(int(process.stdout.readline()), process)
        try:
            yield site
        finally:
            site.stop()


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of a server that stays."""
    with serving() as site:
        yield site.url


@pytest.fixture
def site() -> Iterator[Site]:
    """A server that may be stopped."""
    with serving() as served:
        yield served


@pytest.fixture
def serve_again() -> Iterator[Callable[[Site], None]]:
    """Serve where a server was stopped."""
    with ExitStack() as sites:

        def again(site: Site) -> None:
            sites.enter_context(serving(port=site.port))

        yield again


@pytest.fixture(scope="session")
def guarded_url() -> Iterator[str]:
    """The address of a server that wants `Authorization: Bearer open-sesame`."""
    with serving("open-sesame") as served:
        yield served.url
