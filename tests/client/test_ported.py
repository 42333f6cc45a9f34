"""A program as the JavaScript client's README has it, its parts in their order, translated by renaming alone."""

from __future__ import annotations

import random
from array import array
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from agentkit import Local, RealtimeClient
from agentkit.events import Dialect, FunctionCallOutputItem
from agentkit.local import FunctionCall, Responder, ResponderOutput, ResponderRequest, TextDelta

pytestmark = pytest.mark.anyio
WEATHER = {
    "name": "get_weather",
    "description": "Retrieves the weather for a given lat, lng coordinate pair. Specify a label for the location.",
    "parameters": {
        "type": "object",
        "properties": {
            "lat": {"type": "number", "description": "Latitude"},
            "lng": {"type": "number", "description": "Longitude"},
            "location": {"type": "string", "description": "Name of the location"},
        },
        "required": ["lat", "lng", "location"],
    },
}
ASK = {
    "type": "function",
    "name": "ask_operator",
    "description": "Ask the operator.",
    "parameters": {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]},
}


class Model(Responder):
    """Calls the tool that the user's words mean, and says what the tool has answered."""

    async def respond(self, request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        said, last = request.last_user_text or "nothing", request.items[-1]
        if isinstance(last, FunctionCallOutputItem):
            yield TextDelta(text=f"The answer is {last.output}")
        elif "weather" in said:
            yield FunctionCall(name="get_weather", arguments='{"lat": 45.07, "lng": 7.69, "location": "Turin"}')
        elif "operator" in said:
            yield FunctionCall(name="ask_operator", arguments='{"question": "What time is it?"}')
        else:
            yield TextDelta(text=f"You said {said}")


@pytest.mark.parametrize("dialect", list(Dialect), ids=str)
async def test_the_readme_of_the_javascript_client_runs_in_python(dialect: Dialect) -> None:
    client = RealtimeClient(provider=Local(Model, dialect=dialect, speech="tones"))
    told: list[str] = []
    errors: list[Any] = []
    appended: list[str] = []
    completed: list[str] = []
    server_events: list[str] = []
    calls: list[Any] = []
    audio: dict[str, int] = {}
    said = anyio.Event()

    # Can set parameters ahead of connecting, either separately or all at once
    await client.update_session(instructions="You are a great, upbeat friend.")
    await client.update_session(voice="alloy")
    await client.update_session(turn_detection={"type": "none"}, input_audio_transcription={"model": "whisper-1"})

    # Adding tools
    async def get_weather(lat: float, lng: float, location: str) -> dict[str, Any]:
        calls.append((lat, lng, location))
        return {"location": location, "temperature": 21}

    await client.add_tool(WEATHER, get_weather)
    await client.update_session(tools=[ASK])

    # Set up event handling
    client.on("error", errors.append)

    @client.on("conversation.updated")
    def updated(event: Any) -> None:
        item, delta = event["item"], event["delta"]
        items = client.conversation.get_items()
        assert len({each.id for each in items}) == len(items)
        match item.type:
            case "message":
                told.append(item.role)
            case "function_call":
                told.append(item.formatted.tool.name)
            case "function_call_output":
                told.append(item.formatted.output)
        if delta:
            assert (
                len([each for each in (delta.audio, delta.transcript, delta.arguments, delta.text) if each is not None])
                == 1
            )
            if delta.audio is not None:
                audio[item.id] = audio.get(item.id, 0) + len(delta.audio)

    client.on("conversation.item.appended", lambda event: appended.append(event.item.id))

    @client.on("conversation.item.completed")
    async def manual(event: Any) -> None:
        item = event.item
        completed.append(item.id)
        if item.type == "function_call" and item.formatted.tool.name == "ask_operator":
            output = {"type": "function_call_output", "call_id": item.formatted.tool.call_id, "output": "It is noon."}
            await client.realtime.send("conversation.item.create", {"item": output})
            await client.create_response()

    @client.on("realtime.event")
    def log(event: Any) -> None:
        if event.source == "server":
            server_events.append(event.event.type)

    client.realtime.on("server.response.done", lambda event: said.set())

    async def answered() -> None:
        """Wait until the agent has said its last word to what was sent before."""
        with anyio.fail_after(10):
            while True:
                item = (await client.wait_for_next_completed_item()).item
                if item.role == "assistant":
                    return

    # Connect to Realtime API
    await client.connect()
    await client.wait_for_session_created()
    assert client.is_connected()
    assert client.get_turn_detection_type() is None

    # Send an item and triggers a generation
    await client.send_user_message_content([{"type": "input_text", "text": "How are you?"}])
    await answered()

    # This populates 1s of noise in 0.1s chunks
    for _ in range(10):
        data = array("h", (random.randint(-0x8000, 0x7FFF) for _ in range(2400)))
        await client.append_input_audio(data)
    # Pending audio is committed and model is asked to generate
    await client.create_response()
    await answered()
    noise = [item for item in client.conversation.get_items() if item.role == "user"][-1]
    assert len(noise.formatted.audio) == 24000

    # A tool with a handler
    await client.send_user_message_content([{"type": "input_text", "text": "What is the weather in Turin?"}])
    await answered()
    assert calls == [(45.07, 7.69, "Turin")]

    # A tool that the application answers
    await client.send_user_message_content([{"type": "input_text", "text": "Ask the operator for the time."}])
    await answered()
    assert "ask_operator" in told
    assert "It is noon." in told

    # Low level
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How are you?"}]}
    await client.realtime.send("conversation.item.create", {"item": item})
    await client.realtime.send("response.create")
    await answered()

    # Interrupting the model: samples that have been heard by the listener
    last = client.conversation.get_items()[-1]
    assert audio[last.id] == len(last.formatted.audio) > 2400
    cancelled = await client.cancel_response(last.id, 2400)
    assert cancelled["item"].id == last.id

    await client.delete_item(last.id)
    await client.remove_tool("get_weather")
    await client.disconnect()
    assert not client.is_connected()
    assert errors == []
    assert said.is_set()
    assert sorted(set(appended)) == sorted(appended)
    assert set(completed) <= set(appended)
    assert {"user", "assistant", "get_weather"} <= set(told)
    assert "session.created" in server_events
