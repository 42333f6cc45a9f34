"""The small console program of ``from-javascript.md``, ported: talk by typing, hear the answer in a WAV file.

Each line of stdin is a message of the user's; ``!`` cuts the agent off; the end of the input ends the program once the
agent has answered. ::

    python -m agentkit.docs.console                                           # OpenAI; the key is OPENAI_API_KEY
    python -m agentkit.docs.console --url ws://127.0.0.1:8788/v1/realtime     # agentkit emulate --speech tones
"""

import argparse
import math
import os
import sys
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


async def talk(client: RealtimeClient, wav: WavWriter) -> bool:
    """Connect, and send what is typed; tell whether it ended as it should."""

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

    @client.on("error")
    def error(event: Any) -> None:
        print(f"error: {event.message}", file=sys.stderr)

    await client.add_tool(WEATHER, get_weather)
    await client.update_session(instructions="Be brief.", turn_detection={"type": "none"})
    await client.connect()
    session = client.session
    session.playback.follow_real_time()  # nothing plays the audio here, so the clock runs by itself
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read, client)
        await session.wait_closed()
        tasks.cancel_scope.cancel()
    await client.disconnect()
    return session.ended is None or session.ended.error is None


async def read(client: RealtimeClient) -> None:
    """Send what is typed; at its end, let the agent finish."""
    # a thread that waits for a line cannot be stopped, so it is left behind
    while line := await to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        text = line.strip()
        if text == "!":
            await cut_off(client)
        elif text:
            await client.send_user_message_content([{"type": "input_text", "text": text}])
    await client.session.end()


async def cut_off(client: RealtimeClient) -> None:
    """Stop the agent, and let it forget what was not heard."""
    playing = client.session.playback.item_id
    if playing is None:
        await client.cancel_response()
        return
    heard = client.session.playback.heard_ms(playing)
    cut = await client.cancel_response(playing, math.ceil(heard * client.conversation.default_frequency / 1000))
    item = client.conversation.get_item(cut.item.id)
    print(f"\n[cut off; heard {heard} ms: {item.heard_text if item is not None else ''}]")


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(prog="console", description="Talk to an agent by typing.")
    parser.add_argument("--url", help="a Realtime server; OpenAI's by default")
    parser.add_argument("--wav", default="answer.wav", help="where the agent's voice goes")
    options = parser.parse_args()
    problem: str | None = None
    code = 1
    try:
        with WavWriter(options.wav, rate=24000) as wav:
            code = int(not anyio.run(talk, RealtimeClient(options.url), wav))
    except (AgentkitError, OSError, ValueError) as exc:
        problem = f"error: {exc}"
    except KeyboardInterrupt:
        code = 130
    if problem is not None:
        print(problem, file=sys.stderr)
    sys.stdout.flush()
    os._exit(code)  # the thread may still wait for a line


if __name__ == "__main__":
    main()
