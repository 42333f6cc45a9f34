"""Servers that die, hang, write nonsense, change, or never start."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest
from agentkit_mcp import McpConfig, McpServer, Restart, Variable

from agentkit import ConnectError, Secret, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Call, Listener, Site, Start

# On trio, the library's HTTP client leaves generators of event streams to the garbage collector.
ABANDONED = "ignore:Exception ignored in. <async_generator object:pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings(ABANDONED)]

ONE = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""For what does not depend on the backend: each test here starts a program."""
SOON = Restart(attempts=3, backoff=0.01, cap=30.0)


async def test_a_server_that_dies_is_started_again(start: Start, call: Call, listener: Listener) -> None:
    async with start("dying", restart=SOON) as server:
        assert (await call(server, "count")).output == "1"
        lost = await call(server, "count")
        await listener.heard("mcp_back")
        assert (await call(server, "count")).output == "1"
    assert lost.output == "server dying was lost during the call; whether it was done is not known"
    assert listener.notices[0].message == (
        "MCP server dying was lost: it has ended; it last wrote: out of ink; it is restarted"
    )


@ONE
async def test_while_a_server_is_restarted_its_tools_stay_and_calls_are_told(
    start: Start, call: Call, listener: Listener
) -> None:
    async with start("dying", restart=Restart(backoff=30.0)) as server:
        tools = server.tools()
        await call(server, "count")
        await call(server, "count")
        result = await call(server, "count")
        assert server.tools() == tools
    assert result.output == "server dying is not there, it is being restarted"
    assert isinstance(result.error, ToolError)
    assert result.error.retry
    assert listener.changes == 0


@ONE
async def test_a_server_that_does_not_come_back_is_given_up(
    start: Start, call: Call, listener: Listener, tmp_path: Path
) -> None:
    restart = Restart(attempts=2, backoff=0.01)
    async with start("dying_for_good", str(tmp_path / "mark"), restart=restart) as server:
        await call(server, "die")
        notice = await listener.heard("mcp_given_up")
        result = await call(server, "die")
    assert notice.level == "error"
    assert notice.message == (
        "MCP server dying_for_good is given up after 2 tries: it ended without an answer;"
        " it last wrote: the disk is gone"
    )
    assert result.output == "server dying_for_good is not there, and was given up"


async def test_a_call_that_takes_too_long_is_answered_and_a_server_that_hangs_is_restarted(
    start: Start, call: Call, listener: Listener
) -> None:
    async with start("hanging", restart=SOON, call_timeout=0.3, ping_timeout=0.5) as server:
        hung = await call(server, "hang")
        lost = await listener.heard("mcp_lost")
        await listener.heard("mcp_back")
    assert hung.output == "hang timed out after 0.3 s"
    assert lost.message == "MCP server hanging was lost: it has not answered for 0.5 s; it is restarted"


@ONE
async def test_a_server_that_answers_pings_survives_a_call_that_takes_too_long(
    start: Start, call: Call, listener: Listener
) -> None:
    async with start("notes", call_timeout=1.0) as server:
        assert (await call(server, "wait")).status == "timeout"
        assert (await call(server, "add", a=1, b=2)).output == "3"
    assert "mcp_lost" not in listener.codes()


@ONE
async def test_a_server_that_hangs_is_found_by_its_health_before_the_call_has_timed_out(
    start: Start, call: Call, listener: Listener
) -> None:
    async with start("hanging", restart=SOON, health=0.3, ping_timeout=1.0, call_timeout=60.0) as server:
        result = await call(server, "hang")
        await listener.heard("mcp_lost")
    assert result.output == "server hanging was lost during the call; whether it was done is not known"


@ONE
async def test_what_is_no_message_on_stdout_is_told_once_and_left_out(
    start: Start, call: Call, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    async with start("garbage") as server:
        assert (await call(server, "fine")).output == "fine"
        assert (await call(server, "fine")).output == "fine"
        await listener.heard("mcp_garbage")
    assert listener.codes() == ["mcp_garbage"]
    assert "garbage writes to its stdout" in listener.notices[0].message
    assert not [record for record in caplog.records if record.levelname not in ("DEBUG", "INFO")]


@pytest.mark.parametrize("anyio_backend,protocol", [("asyncio", "new"), ("trio", "new"), ("asyncio", "old")])
async def test_a_tool_that_a_server_gets_later_is_there_for_the_next_call(
    start: Start, call: Call, listener: Listener, protocol: str
) -> None:
    async with start("changing", protocol) as server:
        await call(server, "grow")
        await listener.until(lambda: listener.changes > 0)
        assert (await call(server, "second")).output == "second"
    assert listener.changes == 1


@ONE
async def test_a_program_that_there_is_not_is_named_with_what_to_do(listener: Listener) -> None:
    with pytest.raises(ConnectError) as caught:
        async with McpServer(McpConfig(name="notes", command=("no-such-program-anywhere", "--fast"))):
            pass
    assert str(caught.value) == (
        "MCP server notes (no-such-program-anywhere --fast) is not there: it cannot be started:"
        " no-such-program-anywhere: No such file or directory"
    )
    assert caught.value.hint == "check `command` and `cwd`"
    assert isinstance(caught.value.__cause__, BaseException)


@ONE
async def test_a_server_that_cannot_start_is_named_with_its_last_words(start: Start) -> None:
    with pytest.raises(ConnectError) as caught:
        async with start("broken"):
            pass
    assert "MCP server broken (" in str(caught.value)
    assert "broken.py) is not there: it ended without an answer" in str(caught.value)
    assert str(caught.value).endswith("it last wrote: no module named 'notebook'")


async def test_of_a_long_command_the_beginning_and_the_end_are_shown() -> None:
    command = ("/" + "x" * 150 + "/python", "/" + "y" * 150 + "/notes.py")
    with pytest.raises(ConnectError, match=r"\(/x+\.\.\.y+/notes\.py\) is not there") as caught:
        async with McpServer(McpConfig(name="notes", command=command)):
            pass
    assert len(str(caught.value).partition(" is not there")[0]) < 200


async def test_a_program_that_says_nothing_is_given_up_in_time(start: Start) -> None:
    with pytest.raises(ConnectError, match=r"it did not answer within 0.3 s") as caught:
        async with start("silent", connect_timeout=0.3):
            pass
    assert caught.value.hint == "raise `connect_timeout` if it is slow to start"


async def test_an_address_where_nobody_is_is_named(reach: Start) -> None:
    with pytest.raises(ConnectError) as caught:
        async with reach("http://127.0.0.1:9/mcp?key=hush-hush-hush"):
            pass
    assert str(caught.value) == "MCP server notes (http://127.0.0.1:9/mcp?key=***) is not there: nothing answers there"


@ONE
async def test_an_address_that_wants_another_token_is_named_without_it(reach: Start, guarded_url: str) -> None:
    with pytest.raises(ConnectError, match=r"is not there: it answered 401 Unauthorized$") as caught:
        async with reach(guarded_url, headers={"Authorization": Secret("Bearer wrong-guess")}):
            pass
    assert caught.value.hint == "check `headers`"
    assert "wrong-guess" not in str(caught.value)


@ONE
async def test_a_secret_in_the_last_words_is_not_shown(start: Start) -> None:
    code = "import os, sys; sys.exit(f'bad token {os.environ[\"NOTES_TOKEN\"]}')"
    config = McpConfig(name="notes", command=(sys.executable, "-c", code), env={"NOTES_TOKEN": Variable("open-sesame")})
    with pytest.raises(ConnectError, match=r"bad token \*\*\*"):
        async with McpServer(config):
            pass


@ONE
async def test_an_address_where_nobody_is_any_more_is_given_up(
    site: Site, reach: Start, call: Call, listener: Listener
) -> None:
    async with reach(site.url, restart=Restart(attempts=1, backoff=0.01)) as server:
        site.stop()
        lost = await call(server, "add", a=1, b=2)
        notice = await listener.heard("mcp_given_up")
    assert lost.output == "server notes was lost during the call; whether it was done is not known"
    assert notice.message == "MCP server notes is given up after 1 try: nothing answers there"


@ONE
async def test_an_address_where_somebody_is_again_is_reached_again(
    site: Site, serve_again: Callable[[Site], None], reach: Start, call: Call, listener: Listener
) -> None:
    async with reach(site.url, restart=Restart(attempts=100, backoff=0.1, cap=0.1)) as server:
        site.stop()
        await call(server, "add", a=1, b=2)
        await listener.heard("mcp_lost")
        await anyio.to_thread.run_sync(serve_again, site)
        await listener.heard("mcp_back")
        assert (await call(server, "add", a=1, b=2)).output == "3"


async def test_an_error_of_the_application_passes_as_it_is(reach: Start, url: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with reach(url):
            raise ZeroDivisionError


async def test_a_surrounding_that_is_cancelled_leaves_at_once(start: Start, listener: Listener) -> None:
    with anyio.fail_after(15), anyio.CancelScope() as scope:
        async with start("notes"):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
