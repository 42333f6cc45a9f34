"""Updates of the session: refused, one after the other, at once, and again by the next connection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from agentkit import RealtimeClient, ServerError

if TYPE_CHECKING:
    from tests.client.conftest import Server

pytestmark = pytest.mark.anyio
TOOL = {"type": "function", "name": "look", "description": "Look.", "parameters": {"type": "object", "properties": {}}}


def of_input(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": fields}}


def of_output(**fields: Any) -> dict[str, Any]:
    return {"audio": {"output": fields}}


async def test_a_refused_update_is_raised_and_changes_nothing(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.update_session(instructions="Old.")
        server.refusals = ["session.instructions"]
        with pytest.raises(ServerError) as caught:
            await client.update_session(instructions="New.")
        assert (caught.value.code, caught.value.param) == ("invalid_value", "session.instructions")
        assert client.session_config == {"instructions": "Old."}
        await client.update_session(voice="verse")
    assert server.asked[-1] == of_output(voice="verse")


async def test_tools_of_an_update_whose_other_fields_are_refused_are_taken_back(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        server.refusals = ["", "session.audio.output.voice"]
        with pytest.raises(ServerError):
            await client.update_session(tools=[TOOL], voice="nobody's")
        assert client.session_config == {}
        assert list(client.session.tools) == []
    assert server.session["tools"] == []


async def test_a_tool_choice_comes_after_the_tool_that_it_names(server: Server) -> None:
    choice = {"type": "function", "name": "look"}
    async with RealtimeClient(provider=server) as client:
        await client.update_session(tool_choice=choice, tools=[TOOL])
    assert server.asked == [{"tools": [TOOL]}, {"tool_choice": choice}]


async def test_a_refusal_leaves_what_another_update_set_meanwhile(server: Server) -> None:
    async def refused(client: RealtimeClient) -> None:
        with pytest.raises(ServerError):
            await client.update_session(instructions="No.")

    async with RealtimeClient(provider=server) as client:
        await client.update_session(voice="verse")
        server.holding = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refused, client)
            await wait_all_tasks_blocked()
            tasks.start_soon(partial(client.update_session, tool_choice="none"))
            await wait_all_tasks_blocked()
            server.holding, server.refusals = False, ["session.instructions"]
            for update in server.held:
                await server.confirm(update)
        assert client.session_config == {"voice": "verse", "tool_choice": "none"}


async def test_nested_fields_set_one_after_the_other_before_connecting_are_all_sent(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.update_session(audio={"output": {"voice": "verse", "speed": 1.5}})
    await client.update_session(audio={"input": {"format": {"type": "audio/pcmu"}}})
    async with client:
        assert server.asked == [
            {"audio": {"input": {"format": {"type": "audio/pcmu"}}, "output": {"voice": "verse", "speed": 1.5}}}
        ]


@pytest.mark.parametrize(
    "earlier, later, said",
    [
        ({"audio": {"output": {"voice": "verse"}}}, {"voice": "coral"}, of_output(voice="coral")),
        ({"voice": "verse"}, {"audio": {"output": {"voice": "coral"}}}, of_output(voice="coral")),
        ({"output_modalities": ["audio"]}, {"modalities": ["text"]}, {"output_modalities": ["text"]}),
        ({"modalities": ["audio"]}, {"output_modalities": ["text"]}, {"output_modalities": ["text"]}),
        ({"max_output_tokens": 1}, {"max_response_output_tokens": 2}, {"max_output_tokens": 2}),
    ],
)
async def test_of_two_names_of_one_field_the_later_one_counts(
    server: Server, earlier: dict[str, Any], later: dict[str, Any], said: dict[str, Any]
) -> None:
    client = RealtimeClient(provider=server)
    await client.update_session(**earlier)
    await client.update_session(**later)
    async with client:
        assert server.asked == [said]


async def test_the_settings_that_were_set_are_asked_for_again_by_the_next_connection(
    new_server: Callable[..., Server],
) -> None:
    server = new_server()
    client = RealtimeClient(provider=server)
    async with client:
        await client.update_session(instructions="Keep.")
    server.session = {**server.session, "instructions": ""}
    async with client:
        assert server.asked == [{"instructions": "Keep."}] * 2


async def test_session_config_is_a_copy(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.update_session(modalities=["text"])
    client.session_config.modalities.append("audio")
    assert client.session_config.modalities == ["text"]
    assert client.session_config["modalities"] == ["text"]


async def test_fields_that_their_caller_changes_later_stay_as_they_were(server: Server) -> None:
    client = RealtimeClient(provider=server)
    detection, tools = {"type": "server_vad"}, [dict(TOOL)]
    await client.update_session(turn_detection=detection, tools=tools)
    detection["type"] = "semantic_vad"
    tools[0]["name"] = "other"
    tools.clear()
    async with client:
        assert server.asked == [{"tools": [TOOL], **of_input(turn_detection={"type": "server_vad"})}]


async def test_defaults_are_changed_by_attribute_as_in_javascript(server: Server) -> None:
    config = RealtimeClient(provider=server).default_server_vad_config
    config.threshold = 0.9
    client = RealtimeClient(provider=server)
    await client.update_session(turn_detection=config)
    async with client:
        assert server.asked[0]["audio"]["input"]["turn_detection"]["threshold"] == 0.9


async def test_fields_may_come_as_one_object(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.update_session({"voice": "alloy", "instructions": "one"}, instructions="two")
    assert client.session_config == {"voice": "alloy", "instructions": "two"}


async def test_turn_detection_may_be_a_word(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.update_session(turn_detection="server_vad")
    assert client.get_turn_detection_type() == "server_vad"


def test_options_as_one_object_are_an_error_that_says_how(server: Server) -> None:
    with pytest.raises(TypeError, match="options are keywords, as api_key="):
        RealtimeClient({"apiKey": "x"})  # type: ignore[arg-type]  # as in JavaScript
