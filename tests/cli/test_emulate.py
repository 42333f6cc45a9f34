import base64
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from websockets.sync.client import connect

from agentkit.events import AudioFormat
from agentkit.local import decode_tones, encode_tones

Done = subprocess.CompletedProcess[str]
Started = subprocess.Popen[bytes]
PCM = AudioFormat(type="audio/pcm", rate=24000)
POEM = "The tide comes in, the tide goes out, and nobody has asked it to. " * 12
RESULTS = {"add": "That makes 5.", "now": "It is five past two.", "recite": POEM}
TOOLS: list[Any] = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}, "examples": [phrase]}}
    for name, phrase in (("add", "what is 2 plus 3?"), ("now", "what time is it?"), ("recite", "recite the poem"))
]
POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")


def url_of(process: Started) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def agent(url: str, *, attempts: int = 8) -> str:
    provider = f"{{use: compatible, with: {{url: '{url}'}}, reconnect: {{attempts: {attempts}, max_wait: 200ms}}}}"
    return f"agent: {{}}\nprovider: {provider}\ntools: [{{python: './tools.py:add'}}]\n"


@pytest.mark.parametrize("dialect", ["ga", "beta"])
def test_an_agent_talks_to_it_as_to_the_embedded_server(
    start: Callable[..., Started], run: Callable[..., Done], folder: Path, dialect: str
) -> None:
    url = url_of(start("emulate", "--port", "0", "--dialect", dialect))
    assert url.startswith("ws://127.0.0.1:")
    text = agent(url).replace("url:", f"dialect: {dialect}, url:")
    (folder / "remote.yaml").write_text(text)
    done = run("run", "remote.yaml", "-p", "add 2 and 3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")


@POSIX
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
def test_a_signal_ends_it_in_good_order(start: Callable[..., Started], number: int, code: int) -> None:
    process = start("emulate", "--port", "0")
    url_of(process)
    process.send_signal(number)
    assert process.wait(10) == code
    assert process.stdout is not None
    assert process.stdout.read() == b""
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()


def test_the_responder_can_come_from_a_configuration(
    start: Callable[..., Started], run: Callable[..., Done], folder: Path
) -> None:
    (folder / "server.yaml").write_text("agent: {}\nprovider: {use: local, with: {model: my-model}}\n")
    (folder / "remote.yaml").write_text(agent(url_of(start("emulate", "--port", "0", "--config", "server.yaml"))))
    assert '"model":"my-model"' in run("run", "remote.yaml", "--json", "-p", "add 2 and 3").stdout


def test_an_unknown_responder_gets_the_nearest(run: Callable[..., Done]) -> None:
    done = run("emulate", "--responder", "ruls")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean `rules`" in done.stderr


def test_a_taken_port_is_one_line(start: Callable[..., Started], run: Callable[..., Done]) -> None:
    port = url_of(start("emulate", "--port", "0")).rpartition(":")[2].partition("/")[0]
    done = run("emulate", "--port", port)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_provider_without_a_responder_is_refused(run: Callable[..., Done], folder: Path) -> None:
    (folder / "remote.yaml").write_text(agent("ws://127.0.0.1:1/v1/realtime"))
    done = run("emulate", "--config", "remote.yaml")
    assert done.returncode == 2
    assert "has no responder" in done.stderr


@pytest.mark.parametrize("attempts", [0, 2])
def test_a_server_that_goes_away_ends_the_talk_with_its_reason(
    start: Callable[..., Started], folder: Path, attempts: int
) -> None:
    server = start("emulate", "--port", "0")
    (folder / "remote.yaml").write_text(agent(url_of(server), attempts=attempts))
    process = start("run", "remote.yaml", "--lines")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"add 2 and 3\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"5\n"
    server.terminate()
    assert process.wait(10) == 3
    assert process.stderr is not None
    told = process.stderr.read().decode()
    lines = told.splitlines()
    assert [line for line in lines if line.startswith("error: ")][-1].startswith("error: the session has ended")
    assert sum("connecting again" in line for line in lines) == attempts
    assert "Traceback" not in told


def test_its_speech_is_one_that_it_has(run: Callable[..., Done]) -> None:
    done = run("emulate", "--speech", "opera")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'opera' is not 'tones'" in done.stderr


def test_a_configuration_s_speech_is_one_that_the_server_has(run: Callable[..., Done], folder: Path) -> None:
    (folder / "server.yaml").write_text("agent: {}\nprovider: {use: local, with: {speech: opera}}\n")
    done = run("emulate", "--port", "0", "--config", "server.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "server.yaml:2" in done.stderr
    assert "opera" in done.stderr


@pytest.mark.parametrize(
    "provider, flags",
    [
        ("{use: local, with: {speech: tones}}", ()),
        ("{use: local}", ("--speech", "tones")),
        ("{use: local, with: {speech: tones, responder: chat, with: {model: m}}}", ()),
    ],
    ids=["file", "flag", "file with options"],
)
def test_it_speaks_where_the_file_or_the_flag_says_so(
    start: Callable[..., Started], folder: Path, provider: str, flags: tuple[str, ...]
) -> None:
    (folder / "server.yaml").write_text(f"agent: {{}}\nprovider: {provider}\n")
    with connect(url_of(start("emulate", "--port", "0", "--config", "server.yaml", *flags))) as client:
        session = json.loads(client.recv())["session"]
    assert session["output_modalities"] == ["audio"]


def test_it_is_silent_where_nobody_says_so(start: Callable[..., Started]) -> None:
    with connect(url_of(start("emulate", "--port", "0"))) as client:
        session = json.loads(client.recv())["session"]
    assert session["output_modalities"] == ["text"]


class Client:
    """The ``openai`` package's client, its tools and what it has seen."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.seen: list[Any] = []

    async def until(self, wire_type: str) -> Any:
        """Return the next event of a type."""
        while True:
            event = await self.connection.recv()
            self.seen.append(event)
            assert event.type != "error", event
            if event.type == wire_type:
                return event

    async def ask(self, text: str) -> None:
        """Send a text and ask for an answer."""
        content: list[Any] = [{"type": "input_text", "text": text}]
        await self.connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        await self.connection.response.create()

    async def say(self, text: str) -> None:
        """Speak a text in pieces of 100 ms, with the silence that ends a turn."""
        audio = encode_tones(text, PCM) + bytes(48 * 600)
        for start in range(0, len(audio), 4800):
            piece = base64.b64encode(audio[start : start + 4800]).decode()
            await self.connection.input_audio_buffer.append(audio=piece)

    async def run_tools(self) -> list[str]:
        """Take a response of calls, answer them, ask for the next response, and return the tools' names."""
        called = [item for item in (await self.until("response.done")).response.output if item.type == "function_call"]
        for call in called:
            output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": RESULTS[call.name]}
            await self.connection.conversation.item.create(item=output)
        await self.connection.response.create()
        return [call.name for call in called]

    async def listen(self) -> tuple[str, str, str]:
        """Return the transcript, the decoded audio and the id of the next spoken answer."""
        self.seen.clear()
        done = (await self.until("response.done")).response
        audio = b"".join(
            base64.b64decode(each.delta) for each in self.seen if each.type == "response.output_audio.delta"
        )
        [item] = done.output
        return item.content[0].transcript, decode_tones(audio, PCM), item.id

    async def said(self, item_id: str) -> tuple[str, str]:
        """Return the transcript and the decoded audio of an item as the server holds it."""
        await self.connection.conversation.item.retrieve(item_id=item_id)
        [part] = (await self.until("conversation.item.retrieved")).item.content
        return part.transcript, decode_tones(base64.b64decode(part.audio), PCM)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_openai_package_has_a_spoken_conversation(start: Callable[..., Started]) -> None:
    url = url_of(start("emulate", "--port", "0", "--speech", "tones", "--paced"))
    openai = AsyncOpenAI(websocket_base_url=url.removesuffix("/realtime"), api_key="x")
    async with openai, openai.realtime.connect(model="gpt-realtime") as connection:
        client = Client(connection)
        assert (await client.until("session.created")).session.output_modalities == ["audio"]
        incoming: Any = {"transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad"}}
        await connection.session.update(session={"type": "realtime", "tools": TOOLS, "audio": {"input": incoming}})
        updated = (await client.until("session.updated")).session
        assert updated.audio.input.transcription.model == "whisper-1"

        await client.ask("what is 2 plus 3? And what time is it?")
        assert await client.run_tools() == ["add", "now"]
        transcript, audible, item_id = await client.listen()
        assert transcript == audible == "That makes 5.\nIt is five past two."

        await connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=1400)
        assert (await client.until("conversation.item.truncated")).audio_end_ms == 1400
        transcript, audible = await client.said(item_id)
        assert "That makes 5.\nIt is five past two.".startswith(transcript)
        assert transcript.startswith("That makes 5.")

        client.seen.clear()
        await client.say("what time is it?")
        assert await client.run_tools() == ["now"]
        names = [event.type for event in client.seen]
        turn = ["speech_started", "speech_stopped", "committed"]
        assert [each for each in names if each.startswith("input_audio_buffer.")] == [
            f"input_audio_buffer.{each}" for each in turn
        ]
        [heard] = [each for each in client.seen if each.type.endswith("input_audio_transcription.completed")]
        assert heard.transcript == "what time is it?"
        transcript, audible, _ = await client.listen()
        assert transcript == audible == "It is five past two."

        await client.ask("recite the poem")
        assert await client.run_tools() == ["recite"]
        poem = (await client.until("response.output_audio.delta")).item_id
        await connection.response.cancel()
        done = (await client.until("response.done")).response
        assert (done.status, done.status_details.reason) == ("cancelled", "client_cancelled")
        transcript, audible = await client.said(poem)
        assert transcript == audible != ""
        assert POEM.startswith(transcript)

        await client.ask("recite the poem")
        assert await client.run_tools() == ["recite"]
        await client.until("response.output_audio.delta")
        await client.say("what is 2 plus 3?")
        interrupted = (await client.until("response.done")).response
        assert (interrupted.status, interrupted.status_details.reason) == ("cancelled", "turn_detected")
        assert await client.run_tools() == ["add"]
        assert (await client.listen())[:2] == ("That makes 5.", "That makes 5.")
