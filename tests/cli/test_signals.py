"""A command that is told to end closes what it has opened first."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

if os.name != "posix":
    pytest.skip("Windows has no such signals", allow_module_level=True)

Started = Callable[..., "subprocess.Popen[bytes]"]
SLOW = """
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from agentkit import Toolset, tool


async def until_ended():
    try:
        print("it waits", file=sys.stderr, flush=True)
        await anyio.sleep(60)
    finally:
        Path("closed").touch()


@tool
async def slow() -> str:
    \"\"\"Wait.\"\"\"
    await until_ended()
    return "waited"


class House(Toolset):
    @asynccontextmanager
    async def running(self):
        await until_ended()
        yield

    def tools(self):
        return []
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command, named", [(["call", "slow"], "slow"), (["tools"], "House"), (["doctor"], "House")])
def test_what_is_open_is_closed(
    start: Started, folder: Path, command: list[str], named: str, number: signal.Signals
) -> None:
    (folder / "slow.py").write_text(SLOW)
    (folder / "agent.yaml").write_text(
        f"agent: {{}}\nprovider: {{use: local}}\ntools: [{{python: ./slow.py:{named}}}]\n"
    )
    process = start(*command)
    assert process.stderr is not None
    while b"it waits" not in (line := process.stderr.readline()):
        assert line, "it has ended"
    process.send_signal(number)
    assert process.wait() == 143
    assert (folder / "closed").exists()
    assert b"Traceback" not in process.stderr.read()
