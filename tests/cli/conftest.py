"""What the tests of the command line share: a folder with an agent, and ways to run the program in it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.terminals import OpenTerminal

AGENT = """\
agent:
  name: tester
  instructions: Be brief.
provider: {use: local}
tools:
  - python: ./tools.py:add
  - python: ./tools.py:gate
  - python: ./tools.py:broken
  - python: ./tools.py:shout
  - python: ./tools.py:escape
  - python: ./tools.py:hold
  - python: ./tools.py:block
"""
TOOLS = '''\
"""Tools for the tests of the command line."""

import logging
import threading

import anyio

from agentkit import ToolError, tool


@tool(examples=["add {a} and {b}"])
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@tool(examples=["wait at the gate"])
async def gate() -> str:
    """Wait at the gate, for ever."""
    print("at the gate now")
    await anyio.sleep_forever()
    return "never"


@tool(examples=["break something"])
def broken() -> str:
    """Break something."""
    raise ToolError("it is broken")


@tool(examples=["shout loudly"])
def shout() -> str:
    """Shout loudly."""
    print("printed by the tool")
    logging.getLogger("agentkit.shout").info("logged by the tool")
    return "shouted"


@tool(examples=["never let go"])
async def hold() -> str:
    """Never let go, not even at the end."""
    print("holding on")
    with anyio.CancelScope(shield=True):
        await anyio.sleep_forever()
    return "never"


@tool(examples=["block a thread"])
def block() -> str:
    """Block a thread for ever."""
    print("blocking now")
    threading.Event().wait()
    return "never"


@tool(examples=["send an escape"])
def escape() -> str:
    """Send an escape."""
    return "\\x1b]0;title\\x07\\x1b[31mred\\x9b2J\\rend"
'''


Done = subprocess.CompletedProcess[str]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Variables without anything of the machine that could matter."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONUTF8": "1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an agent."""
    path = tmp_path / "work"
    path.mkdir()
    (path / "agent.yaml").write_text(AGENT)
    (path / "tools.py").write_text(TOOLS)
    return path


@pytest.fixture
def run(folder: Path, environ: dict[str, str]) -> Callable[..., Done]:
    """Run the program in the folder, to its end."""

    def runs(*arguments: str, stdin: str | bytes = "", env: dict[str, str] | None = None) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "agentkit", *arguments],
            cwd=folder,
            env={**environ, **(env or {})},
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            check=False,
            timeout=15,
        )
        return Done(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return runs


@pytest.fixture
def start(folder: Path, environ: dict[str, str]) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Start the program in the folder, with pipes; what still runs at the end is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def starts(*arguments: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-m", "agentkit", *arguments],
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield starts
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def open_terminal(folder: Path, environ: dict[str, str]) -> "Iterator[OpenTerminal]":
    """Open terminals with ``agentkit run`` in the folder, or another command; each is closed at the end."""
    from tests.cli.terminals import Terminal

    opened: list[Terminal] = []

    def opens(*arguments: str, columns: int = 80, variables: Mapping[str, str] | None = None) -> Terminal:
        verb = () if arguments[:1] == ("call",) else ("run",)
        terminal = Terminal(folder, {**environ, **(variables or {})}, *verb, *arguments, columns=columns)
        opened.append(terminal)
        return terminal

    yield opens
    for terminal in opened:
        terminal.close()


GUARD = """
from pathlib import Path

import anyio
import anyio.to_thread
from msgspec.structs import replace

from agentkit import Factory, Middleware, Responder, hookimpl, on
from agentkit.events import ConversationItemCreate, ResponseDone, ResponseOutputTextDelta
from agentkit.local import ResponderError, TextDelta
from agentkit.tools import ToolResult


class NoAdd(Middleware):
    @on(ResponseDone)
    async def done(self, event, call_next):
        await call_next(event)

    async def wrap_tool_call(self, call, call_next):
        if call.name != "add":
            return await call_next(call)
        self.session.notice("refused", "add was refused")
        return ToolResult.refused("adding is not allowed")


class Go(Middleware):
    async def wrap_tool_call(self, call, call_next):
        if call.name == "dig":
            await anyio.to_thread.run_sync(Path("go").read_text)
        return await call_next(call)


class First(Middleware):
    critical = True

    @on(ConversationItemCreate)
    async def out(self, event, call_next):
        await call_next(event)

    async def wrap_tool_call(self, call, call_next):
        return await call_next(call)


class Second(First):
    pass


class Calm(Middleware):
    @on(ResponseOutputTextDelta)
    async def calm(self, event, call_next):
        await call_next(replace(event, delta=event.delta.replace("5", "five")))


@hookimpl
def register_middleware():
    layers = {"no-add": NoAdd, "calm": Calm, "go": Go, "first": First, "second": Second}
    return [Factory(name, layer) for name, layer in layers.items()]


class Moody(Responder):
    name = "moody"

    async def respond(self, request):
        said = request.last_user_text
        if said == "fail":
            raise ResponderError("I will not", code="unwilling", type="invalid_request_error")
        if said != "be silent":
            yield TextDelta(text=f"you said {said}")


@hookimpl
def register_responders():
    return [Factory("moody", Moody)]
"""


@pytest.fixture
def guard(tmp_path: Path, environ: dict[str, str]) -> dict[str, str]:
    """Variables under which a plugin with a middleware and a responder is installed."""
    site = tmp_path / "guard"
    site.mkdir()
    (site / "guard_plugin.py").write_text(GUARD)
    info = site / "guard_plugin-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guard-plugin\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[agentkit]\nhouse = guard_plugin\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(site), environ.get("PYTHONPATH")]))}
