"""Tools: what handlers are given, what the model is told, and what the server knows of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import agentkit
from agentkit import LocalProtocolError, RealtimeClient, ServerError

if TYPE_CHECKING:
    from tests.client.conftest import Record, Server

pytestmark = pytest.mark.anyio
NUMBERS = {"lat": {"type": "number"}, "lng": {"type": "number"}}
WEATHER = {
    "name": "get_weather",
    "description": "Tell the weather.",
    "parameters": {"type": "object", "properties": NUMBERS, "required": ["lat", "lng"]},
}
MANUAL = {"type": "function", "name": "ask_user", "parameters": {"type": "object", "properties": {}}}


def names(update: dict[str, Any]) -> list[str]:
    return [tool["name"] for tool in update["tools"]]


async def answer(server: Server, client: RealtimeClient, handler: Any, arguments: str = '{"lat": 1, "lng": 2}') -> str:
    """Let the model call the tool; return the output as the model reads it."""
    await client.add_tool(WEATHER, handler)
    await server.calls("r1", c1=("get_weather", arguments))
    call_id, output = await server.output()
    assert call_id == "c1"
    await server.next("response.create")
    return output


# Handlers


async def test_a_handler_gets_the_arguments_by_name(server: Server) -> None:
    def weather(lat: float, lng: float) -> dict[str, float]:
        return {"lat": lat, "lng": lng}

    async with RealtimeClient(provider=server) as client:
        assert await answer(server, client, weather) == '{"lat":1,"lng":2}'


async def test_a_handler_may_take_fewer_names_than_there_are(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        assert await answer(server, client, lambda lat, **rest: [lat, rest]) == '[1,{"lng":2}]'


@pytest.mark.parametrize("read", [lambda args: args["lat"] + args.lng, lambda values: values.lat + values["lng"]])
async def test_a_handler_gets_one_object_by_key_and_attribute(server: Server, read: Callable[..., Any]) -> None:
    async with RealtimeClient(provider=server) as client:
        assert await answer(server, client, read) == "3"


@pytest.mark.parametrize(
    "handler",
    [lambda lat: [lat], lambda *, lat: [lat], lambda lat, alt=0: [lat, alt], lambda lat, **rest: [lat, *rest]],
)
async def test_what_a_handler_does_not_take_is_left_out(server: Server, handler: Callable[..., Any]) -> None:
    async with RealtimeClient(provider=server) as client:
        output = await answer(server, client, handler, '{"lat": 1, "lng": 2, "made_up": 3}')
        assert output in ("[1]", "[1,0]", '[1,"lng","made_up"]')


@pytest.mark.parametrize("by_name", [True, False])
async def test_a_handler_gets_the_context_that_it_asks_for(server: Server, by_name: bool) -> None:
    async def named(lat: float, tool_context: agentkit.ToolContext) -> Any:
        return [lat, tool_context.data]

    def one_object(arguments: Any, tool_context: agentkit.ToolContext) -> Any:
        return [arguments.lat, tool_context.data]

    async with RealtimeClient(provider=server, context="mine") as client:
        assert await answer(server, client, named if by_name else one_object) == '[1,"mine"]'


async def test_a_handler_may_be_async(server: Server) -> None:
    async def weather(lat: float, lng: float) -> float:
        await anyio.lowlevel.checkpoint()
        return lat + lng

    async with RealtimeClient(provider=server) as client:
        assert await answer(server, client, weather) == "3"


async def test_an_async_handler_may_take_one_object(server: Server) -> None:
    async def weather(arguments: Any) -> Any:
        return arguments.lat + arguments.lng

    async with RealtimeClient(provider=server) as client:
        assert await answer(server, client, weather) == "3"


async def test_a_sync_handler_runs_in_a_thread(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        threads: list[int] = []
        await answer(server, client, lambda lat, lng: threads.append(threading.get_ident()))
        assert threads != [threading.get_ident()]


async def test_a_handler_may_take_nothing(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        assert await answer(server, client, lambda: "fine") == "fine"


async def test_a_handler_that_returns_nothing_answers_null(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        assert await answer(server, client, lambda lat, lng: None) == "null"


async def test_a_handler_that_raises_answers_an_error_and_the_client_goes_on(server: Server) -> None:
    def weather(lat: float, lng: float) -> None:
        raise KeyError("secret-detail")

    async with RealtimeClient(provider=server) as client:
        output = await answer(server, client, weather)
        assert output == "get_weather failed: KeyError"
        assert client.is_connected()


async def test_what_a_handler_says_by_a_tool_error_is_told_to_the_model(server: Server) -> None:
    async def weather(lat: float, lng: float) -> None:
        raise agentkit.ToolError("there is no weather at the poles")

    async with RealtimeClient(provider=server) as client:
        assert "no weather at the poles" in await answer(server, client, weather)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ('{"lat": 1}', "lng: missing"),
        ("[1, 2]", "invalid arguments"),
        ('{"lat": 1', "invalid arguments"),
    ],
)
async def test_arguments_that_are_not_the_definitions_never_reach_the_handler(
    server: Server, arguments: str, message: str
) -> None:
    called: list[Any] = []
    async with RealtimeClient(provider=server) as client:
        output = await answer(server, client, lambda lat, lng: called.append(lat), arguments)
        assert message in output
        assert called == []


async def test_a_call_of_an_unknown_tool_is_answered_by_an_error(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.add_tool(WEATHER, lambda lat, lng: 1)
        await server.calls("r1", c1=("get_whether", "{}"))
        call_id, output = await server.output()
        assert (call_id, "get_whether" in output) == ("c1", True)


async def test_two_calls_of_one_response_have_two_outputs_and_one_response(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.add_tool(WEATHER, lambda lat, lng: lat)
        arguments = '{"lat": %d, "lng": 0}'
        await server.calls("r1", c1=("get_weather", arguments % 1), c2=("get_weather", arguments % 2))
        assert sorted([await server.output(), await server.output()]) == [("c1", "1"), ("c2", "2")]
        await server.next("response.create")
        await server.expect_nothing(client)


# Definitions


async def test_tools_added_before_connecting_are_in_the_first_update(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.update_session(instructions="x")
    await client.add_tool(WEATHER, lambda lat, lng: 1)
    async with client:
        assert server.asked == [{"instructions": "x", "tools": [{"type": "function", **WEATHER}]}]


async def test_tools_added_and_removed_while_connected_reach_the_server(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.add_tool(WEATHER, lambda lat, lng: 1)
        await client.add_tool({"name": "look"}, lambda: 1)
        await client.remove_tool("get_weather")
        await client.remove_tool("look")
    assert [names(update) for update in server.asked] == [["get_weather"], ["get_weather", "look"], ["look"], []]


async def test_a_removed_tool_is_not_run_any_more(server: Server) -> None:
    called: list[Any] = []
    async with RealtimeClient(provider=server) as client:
        await client.add_tool(WEATHER, lambda lat, lng: called.append(lat))
        await client.remove_tool("get_weather")
        await server.calls("r1", c1=("get_weather", '{"lat": 1, "lng": 2}'))
        assert await server.output() == ("c1", "unknown tool 'get_weather'")
    assert called == []


async def test_rb_18_an_update_of_something_else_leaves_the_tools(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.add_tool(WEATHER, lambda lat, lng: 1)
    async with client:
        await client.update_session(voice="verse")
        assert server.asked[1] == {"audio": {"output": {"voice": "verse"}}}
        assert names(server.session) == ["get_weather"]


async def test_add_tool_returns_the_definition_and_the_handler(server: Server) -> None:
    client = RealtimeClient(provider=server)

    def weather(lat: float, lng: float) -> int:
        return 1

    added = await client.add_tool(WEATHER, weather)
    assert added.definition == WEATHER
    assert added["handler"] is weather
    assert client.tools == {"get_weather": added}


async def test_a_tool_of_a_name_that_is_taken_is_refused(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.add_tool(WEATHER, lambda lat, lng: 1)
    with pytest.raises(LocalProtocolError, match=r"added already; use remove_tool\('get_weather'\) first"):
        await client.add_tool(WEATHER, lambda lat, lng: 2)


async def test_removing_a_tool_that_was_not_added_is_an_error(server: Server) -> None:
    with pytest.raises(LocalProtocolError, match="'look' was not added"):
        await RealtimeClient(provider=server).remove_tool("look")


async def test_a_tool_may_be_added_again_after_it_was_removed(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.add_tool(WEATHER, lambda lat, lng: "old")
        await client.remove_tool("get_weather")
        assert await answer(server, client, lambda lat, lng: "new") == "new"


@pytest.mark.parametrize(
    "definition, handler, message",
    [
        ({"description": "x"}, print, "has no name"),
        (WEATHER, "get_weather", "has to be callable, not str"),
        (WEATHER, None, "has to be callable, not NoneType"),
        ({"name": "x", "parameters": "none"}, print, "parameters"),
    ],
)
async def test_a_definition_or_handler_that_cannot_be_used_is_an_error(
    server: Server, definition: dict[str, Any], handler: Any, message: str
) -> None:
    client = RealtimeClient(provider=server)
    with pytest.raises(TypeError, match=message):
        await client.add_tool(definition, handler)
    assert client.tools == {}


async def test_a_tool_that_the_server_refuses_was_not_added(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        server.refusals = ["session.tools[0].name"]
        with pytest.raises(ServerError):
            await client.add_tool(WEATHER, lambda lat, lng: 1)
        assert client.tools == {}
        await client.add_tool(WEATHER, lambda lat, lng: 1)
        assert names(server.session) == ["get_weather"]


async def test_tools_added_at_once_are_all_there(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        async with anyio.create_task_group() as tasks:
            for name in "abcd":
                tasks.start_soon(partial(client.add_tool, {"name": name}, lambda: 1))
        assert sorted(names(server.session)) == list("abcd")
        assert sorted(client.session.tools) == list("abcd")


async def test_a_definition_that_its_caller_changes_later_stays_as_it_was(server: Server) -> None:
    definition: dict[str, Any] = {"name": "look", "parameters": {"type": "object", "properties": {"at": {}}}}
    client = RealtimeClient(provider=server)
    await client.add_tool(definition, lambda at: at)
    definition["parameters"]["properties"]["no_more"] = {}
    async with client:
        assert server.asked[0]["tools"][0]["parameters"]["properties"] == {"at": {}}


# Manual tools


async def test_rb_45_a_manual_tool_is_answered_by_the_application_alone(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "conversation.item.completed")
    await client.update_session(tools=[MANUAL])
    async with client:
        await server.calls("r1", c1=("ask_user", "{}"))
        await server.expect_nothing(client)
        item = told.events[-1].item
        assert (item.type, item.formatted.tool.name, item.formatted.tool.call_id) == ("function_call", "ask_user", "c1")
        output = {"type": "function_call_output", "call_id": item.call_id, "output": "yes"}
        await client.realtime.send("conversation.item.create", {"item": output})
        await client.create_response()
        assert await server.output() == ("c1", "yes")
        await server.next("response.create")


async def test_manual_tools_stay_when_tools_are_added_and_removed(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.update_session(tools=[MANUAL])
        await client.add_tool(WEATHER, lambda lat, lng: 1)
        await client.remove_tool("get_weather")
        assert [names(update) for update in server.asked] == [
            ["ask_user"],
            ["ask_user", "get_weather"],
            ["ask_user"],
        ]


async def test_tools_with_handlers_stay_when_manual_tools_change(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.add_tool(WEATHER, lambda lat, lng: 1)
        await client.update_session(tools=[MANUAL])
        await client.update_session(tools=[])
        assert [sorted(names(update)) for update in server.asked] == [
            ["get_weather"],
            ["ask_user", "get_weather"],
            ["get_weather"],
        ]


async def test_one_name_is_either_a_manual_tool_or_one_with_a_handler(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.update_session(tools=[MANUAL])
    with pytest.raises(LocalProtocolError, match="ask_user"):
        await client.add_tool({"name": "ask_user"}, lambda: 1)
    await client.add_tool({"name": "look"}, lambda: 1)
    with pytest.raises(LocalProtocolError, match="look"):
        await client.update_session(tools=[{"name": "look"}])
    with pytest.raises(LocalProtocolError, match="twice"):
        await client.update_session(tools=[{"name": "twice"}, {"name": "twice"}])


async def test_a_tool_runs_in_the_embedded_server_as_well() -> None:
    client = RealtimeClient(provider=agentkit.Local())
    await client.add_tool({**WEATHER, "description": "Get the weather at a place"}, lambda lat, lng: {"celsius": 21})
    outputs: list[str] = []
    spoken = anyio.Event()

    @client.on("conversation.item.completed")
    def completed(event: Any) -> None:
        if event.item.type == "function_call_output":
            outputs.append(event.item.formatted.output)
        elif event.item.role == "assistant" and outputs:
            spoken.set()

    async with client:
        await client.send_user_message_content([{"type": "input_text", "text": "weather at lat 1 lng 2"}])
        with anyio.fail_after(5):
            await spoken.wait()
    assert outputs == ['{"celsius":21}']


async def test_what_a_definition_does_not_have_is_an_error(server: Server) -> None:
    client = RealtimeClient(provider=server)
    with pytest.raises(TypeError, match="no 'parameter'; did you mean parameters"):
        await client.add_tool({"name": "look", "parameter": {}}, print)
    with pytest.raises(TypeError, match="a definition is an object"):
        await client.add_tool("look", print)  # type: ignore[arg-type]  # what a caller may do
    assert client.tools == {}


async def test_a_failing_tool_is_told_by_error(server: Server, record: Callable[..., Record]) -> None:
    def fail() -> None:
        raise KeyError("nothing there")

    client = RealtimeClient(provider=server)
    told = record(client, "error")
    await client.add_tool({"name": "look"}, fail)
    async with client:
        await server.calls("r1", c=("look", "{}"))
        await server.output()
        await server.handled(client)
    assert [(type(event.error), event.code) for event in told.events] == [(KeyError, "tool_failed")]


async def test_what_the_model_leaves_out_is_none(server: Server) -> None:
    properties = {"a": {"type": "number"}, "b": {"type": "number"}}
    definition = {"name": "both", "parameters": {"type": "object", "properties": properties, "required": ["a"]}}
    async with RealtimeClient(provider=server) as client:
        await client.add_tool(definition, lambda a, b: [a, b])
        await server.calls("r1", c=("both", '{"a": 1}'))
        assert await server.output() == ("c", "[1,null]")


async def test_example_phrases_of_a_definition_go_to_servers_that_want_them(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.add_tool({"name": "look", "examples": ["look around"]}, lambda: 1)
    assert server.updates[0]["session"]["tools"][0]["parameters"]["examples"] == ["look around"]
