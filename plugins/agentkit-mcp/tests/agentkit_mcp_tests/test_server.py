"""A server that works: its tools, what they answer, and what it is told of us."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import pytest
from agentkit_mcp import Variable
from agentkit_mcp.content import NOTHING
from agentkit_mcp.offered import fit_name

from agentkit import Secret, ToolCall, ToolContext, ToolError
from agentkit.tools import Progress, Reporter

if TYPE_CHECKING:
    from .conftest import Call, Listener, Start

# On trio, the library's HTTP client leaves generators of event streams to the garbage collector.
ABANDONED = "ignore:Exception ignored in. <async_generator object:pytest.PytestUnraisableExceptionWarning"
ONE = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""For what does not depend on the backend, and starts a program of its own."""
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings(ABANDONED)]


@ONE
async def test_the_tools_of_a_program_are_those_that_it_lists(start: Start) -> None:
    async with start("notes", include=("add", "greet")) as server:
        add, greet = server.tools()
    assert [add.name, greet.name] == ["add", "greet"]
    assert add.description == "Add two numbers."
    assert add.parameters["required"] == ["a", "b"]


async def test_a_program_answers_calls(start: Start, call: Call) -> None:
    async with start("notes") as server:
        result = await call(server, "add", a=17, b=4)
    assert (result.status, result.output) == ("ok", "21")


@ONE
async def test_a_program_gets_the_variables_that_it_is_given_and_none_of_our_secrets(
    start: Start, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-that-is-ours")
    monkeypatch.setenv("UNRELATED", "ours too")
    async with start("notes", env={"NOTES_TOKEN": Variable("theirs")}) as server:
        got = json.loads((await call(server, "variables")).output)
    assert got["NOTES_TOKEN"] == "theirs"
    assert got.keys() & {"OPENAI_API_KEY", "UNRELATED"} == set()
    assert got["PATH"]


@ONE
async def test_what_a_program_writes_to_stderr_is_logged_without_secrets(
    start: Start, listener: Listener, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO", "agentkit.mcp")
    async with start("notes", env={"NOTES_TOKEN": Variable("open-sesame")}):
        pass
    assert "notes: the token is ***" in caplog.messages
    assert capfd.readouterr().err == ""


async def test_a_server_at_an_address_answers_calls(reach: Start, url: str, call: Call) -> None:
    async with reach(url) as server:
        result = await call(server, "add", a=17, b=4)
    assert (result.status, result.output) == ("ok", "21")


async def test_headers_are_sent_to_an_address(reach: Start, guarded_url: str, call: Call) -> None:
    async with reach(guarded_url, headers={"Authorization": Secret("Bearer open-sesame")}) as server:
        assert (await call(server, "add", a=1, b=1)).output == "2"


async def test_an_argument_may_be_called_context(reach: Start, url: str, call: Call) -> None:
    async with reach(url) as server:
        assert (await call(server, "greet", name="Ada", context="there")).output == "hello, Ada (there)"


async def test_arguments_that_do_not_fit_do_not_reach_the_server(reach: Start, url: str, call: Call) -> None:
    async with reach(url) as server:
        result = await call(server, "add", a="one")
    assert result.status == "invalid"
    assert "a: expected integer" in result.output
    assert "b" in result.output


async def test_a_tool_that_fails_tells_the_model_in_the_servers_words(reach: Start, url: str, call: Call) -> None:
    async with reach(url) as server:
        result = await call(server, "fail")
    assert result.status == "error"
    assert isinstance(result.error, ToolError)
    assert "the notebook is full" in result.output


async def test_what_is_no_text_is_described_in_a_line(reach: Start, url: str, call: Call) -> None:
    async with reach(url) as server:
        result = await call(server, "show")
    assert result.output.splitlines() == [
        "two files:",
        "[image, image/png, 3000 bytes; it cannot be shown here]",
        "[audio, audio/wav, 3 bytes; it cannot be shown here]",
        "[resource plan, note://plan: what is next]",
        "buy milk",
        "[resource note://b, image/gif, 3 bytes; it cannot be shown here]",
    ]


async def test_an_empty_answer_says_that_it_is_done(reach: Start, url: str, call: Call) -> None:
    async with reach(url) as server:
        assert (await call(server, "nothing")).output == NOTHING


async def test_a_servers_progress_is_the_calls_progress(reach: Start, url: str, call: Call) -> None:
    told: list[Progress] = []
    reporter = Reporter(told.append, anyio.lowlevel.current_token())
    context = ToolContext(call=ToolCall(call_id="call_1", name="add"), reporter=reporter)
    async with reach(url) as server:
        await call(server, "add", context, a=1, b=2)
    assert told == [Progress(message="adding", done=0.25)]


async def test_hints_become_effects(reach: Start, url: str) -> None:
    async with reach(url, trust_annotations=True) as server:
        effects = {tool.name: tool.policy.effects for tool in server.tools()}
    assert (effects["burn"], effects["look"], effects["add"]) == ("dangerous", "reads", "writes")


async def test_calls_have_the_time_that_the_options_give_them(reach: Start, url: str) -> None:
    async with reach(url, call_timeout=7.0) as server:
        assert {tool.policy.timeout for tool in server.tools()} == {7.0}


async def test_a_name_that_does_not_fit_is_changed_and_told(
    reach: Start, url: str, call: Call, listener: Listener
) -> None:
    async with reach(url) as server:
        assert (await call(server, fit_name("book.open"))).output == "open"
    [notice] = [notice for notice in listener.notices if notice.code == "mcp_renamed"]
    assert notice.message == f"the tool `book.open` of MCP server notes is called `{fit_name('book.open')}` here"


async def test_a_pattern_that_fits_no_tool_is_told_with_the_tools_there_are(
    reach: Start, url: str, listener: Listener
) -> None:
    async with reach(url, include=("add", "raed")) as server:
        assert [tool.name for tool in server.tools()] == ["add"]
    [notice] = listener.notices
    assert notice.message == "`raed` fits no tool of MCP server notes"
    assert notice.hint is not None
    assert "greet" in notice.hint


async def test_resources_are_two_more_tools(reach: Start, url: str, call: Call) -> None:
    async with reach(url, include=("add",), resources=True) as server:
        assert [tool.name for tool in server.tools()] == ["add", "list_resources", "read_resource"]
        listed = json.loads((await call(server, "list_resources")).output)
        text = await call(server, "read_resource", uri="note://today")
        picture = await call(server, "read_resource", uri="note://picture")
        filled = await call(server, "read_resource", uri="note://day/monday")
    assert listed[0] == {
        "uri": "note://today",
        "name": "Today",
        "description": "What is on today",
        "type": "text/plain",
    }
    assert listed[-1]["uri"] == "note://day/{day}"
    assert text.output == "buy milk"
    assert picture.output == "[resource note://picture, image/png, 6 bytes; it cannot be shown here]"
    assert filled.output == "nothing on monday"


async def test_a_resource_that_there_is_not_is_told_to_the_model(reach: Start, url: str, call: Call) -> None:
    async with reach(url, resources=True) as server:
        result = await call(server, "read_resource", uri="note://nowhere")
    assert result.status == "error"
    assert "note://nowhere" in result.output


@ONE
async def test_what_is_odd_in_a_list_is_told_and_the_rest_is_taken(
    start: Start, call: Call, listener: Listener
) -> None:
    async with start("odd", resources=True) as server:
        twice, listing = server.tools()
        assert (await call(server, "twice")).output == "the server's own twice"
    assert (twice.name, twice.description) == ("twice", "The first")
    assert listing.name == "list_resources"
    assert [notice.message for notice in listener.notices] == [
        "MCP server odd lists `twice` twice; its first is taken",
        "the tool `shapeless` of MCP server odd cannot be used: its parameters are not the JSON Schema of an object",
        "MCP server odd has no resources",
    ]


@ONE
async def test_a_servers_own_tool_keeps_its_name_where_ours_has_the_same(start: Start, call: Call) -> None:
    async with start("odd", "resources", resources=True) as server:
        assert [tool.name for tool in server.tools()] == [
            "twice",
            "list_resources",
            "mcp_list_resources",
            "read_resource",
        ]
        assert (await call(server, "list_resources")).output == "the server's own list_resources"
        assert (await call(server, "mcp_list_resources")).output == "[]"


async def test_notices_from_before_anybody_listened_reach_the_first_who_does(
    reach: Start, url: str, listener: Listener
) -> None:
    from agentkit_mcp import McpConfig, McpServer

    server = McpServer(McpConfig(url=url, include=("raed",)))
    async with server:
        server.attach(listener)()
        server.attach(listener)
    assert listener.codes() == ["mcp_unmatched"]


async def test_a_server_can_be_opened_again(reach: Start, url: str, call: Call) -> None:
    server = reach(url)
    for _ in range(2):
        async with server:
            assert (await call(server, "add", a=1, b=2)).output == "3"


async def test_a_call_of_a_server_that_is_not_open_says_so(reach: Start, url: str, call: Call) -> None:
    server = reach(url)
    async with server:
        pass
    assert (await call(server, "add", a=1, b=2)).output == "server notes is not open"
