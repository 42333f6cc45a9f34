"""The small console program of ``from-javascript.md``, ported: talk by typing, hear the answer in a WAV file.

Each line of stdin is a message of the user's; ``!`` cuts the agent off; the end of the input ends the program once the
agent has answered. ::

    python -m agentkit.docs.console                                           # OpenAI; the key is OPENAI_API_KEY
    python -m agentkit.docs.console --url ws://127.0.0.1:8788/v1/realtime     # agentkit emulate --speech tones
"""

import argparse
import math
import sys
from functools import partial
from typing import Any

import anyio
from anyio import to_thread

from agentkit import AgentkitError, RealtimeClient
from agentkit.audio import WavWriter

WEATHER = {
    "name": "get_weather",
    "description": "Tell the weather at a place.",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "Name of the place"}},
        "required": ["location"],
        "examples": ["what is the weather in Turin?"],
    },
}


async def get_weather(location: str) -> dict[str, Any]:
    """Answer the model's call; what is returned goes back to it as JSON."""
    return {"location": location, "celsius": 21, "sky": "clear"}


async def talk(client: RealtimeClient, wav: WavWriter) -> None:
    """Connect, and send what is typed."""

    @client.on("conversation.updated")
    def updated(event: Any) -> None:
        item, delta = event.item, event.delta
        if item.role != "assistant" or delta is None:
            return
        if delta.audio is not None:
            wav.write(delta.audio)
        print(delta.transcript or delta.text or "", end="", flush=True)

    @client.on("conversation.item.completed")
    def completed(event: Any) -> None:
        if event.item.role == "assistant":
            print()
        elif event.item.type == "function_call":
            print(f"[{event.item.name}({event.item.arguments})]")

    @client.on("conversation.interrupted")
    def interrupted(event: Any) -> None:
        print(f"\n[cut off; heard {event.heard_ms or 0} ms: {event.heard_text or ''}]")

    @client.on("error")
    def error(event: Any) -> None:
        print(f"error: {event.message}", file=sys.stderr)

    await client.add_tool(WEATHER, get_weather)
    await client.update_session(instructions="Be brief.", turn_detection={"type": "none"})
    await client.connect()
    session = client.session
    session.playback.follow_real_time()  # nothing plays the audio here, so the clock runs by itself
    while line := await to_thread.run_sync(sys.stdin.readline):
        text = line.strip()
        if text == "!":
            await cut_off(client)
        elif text:
            await client.send_user_message_content([{"type": "input_text", "text": text}])
    await session.end()
    await session.wait_closed()
    await client.disconnect()


async def cut_off(client: RealtimeClient) -> None:
    """Stop the agent, and let it forget what was not heard."""
    playing = client.session.playback.item_id
    if playing is None:
        await client.cancel_response()
        return
    heard = client.session.playback.heard_ms(playing)
    await client.cancel_response(playing, math.ceil(heard * client.conversation.default_frequency / 1000))


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(prog="console", description="Talk to an agent by typing.")
    parser.add_argument("--url", help="a Realtime server; OpenAI's by default")
    parser.add_argument("--wav", default="answer.wav", help="where the agent's voice goes")
    options = parser.parse_args()
    with WavWriter(options.wav, rate=24000) as wav:
        try:
            anyio.run(partial(talk, RealtimeClient(options.url), wav))
        except AgentkitError as exc:
            sys.exit(f"error: {exc}")


if __name__ == "__main__":
    main()
