"""Spoken conversations with the embedded server, in tones: turns, transcripts, interruptions, truncation."""

import base64
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

import agentkit
from agentkit import tool
from agentkit.events import (
    AudioFormat,
    AudioInput,
    AudioOutput,
    AudioSettings,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemTruncated,
    Dialect,
    Interrupted,
    ResponseDone,
    ResponseOutputAudioDelta,
    ServerEvent,
    Settings,
    TurnCompleted,
)
from agentkit.local import Responder, ResponderRequest, RulesResponder, TextDelta, decode_tones, encode_tones
from agentkit.providers import Local
from agentkit.session import Session
from agentkit.transports.base import Transport

pytestmark = pytest.mark.anyio

PCM = AudioFormat(type="audio/pcm", rate=24000)
ULAW = AudioFormat(type="audio/pcmu")
ALAW = AudioFormat(type="audio/pcma")
PAUSE = {"audio/pcm": bytes(48 * 600), "audio/pcmu": b"\xff" * 8 * 600, "audio/pcma": b"\xd5" * 8 * 600}
POEM = "The tide comes in, the tide goes out, and nobody has asked it to. " * 20


@tool(examples=["what is {a} plus {b}?"])
async def add(a: int, b: int) -> str:
    """Add two numbers."""
    return f"That makes {a + b}."


@tool(examples=["recite the poem"])
async def recite() -> str:
    """Recite a poem."""
    return POEM


# through a session


def heard(events: list[ServerEvent], format: AudioFormat = PCM) -> str:
    """Decode what was said in the events."""
    audio = b"".join(each.audio or b"" for each in events if isinstance(each, ResponseOutputAudioDelta))
    return decode_tones(audio, format)


def spoken(format: AudioFormat, **incoming: Any) -> Settings:
    return Settings(audio=AudioSettings(input=AudioInput(format=format, **incoming), output=AudioOutput(format=format)))


async def until_answered(session: Session, *steps: Any) -> tuple[str, list[ServerEvent]]:
    """Take some steps and return the turn that follows, and the server's events until its end."""
    events: list[ServerEvent] = []
    with session.subscribe() as subscription:
        for step in steps:
            await step
        async for event in subscription:
            if isinstance(event, TurnCompleted):
                return event.text, events
            if isinstance(event, ServerEvent):
                events.append(event)
    raise AssertionError("the session ended")


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("format", [PCM, ULAW, ALAW], ids=["pcm", "ulaw", "alaw"])
async def test_a_spoken_question_runs_the_tool_and_its_answer_can_be_heard(
    dialect: Dialect, format: AudioFormat
) -> None:
    async with agentkit.open(Local(speech="tones", dialect=dialect), tools=[add], settings=spoken(format)) as session:
        question = encode_tones("what is 2 plus 3?", format) + PAUSE[format.type]
        text, events = await until_answered(session, session.append_audio(question))
    transcripts = [
        each.transcript for each in events if isinstance(each, ConversationItemInputAudioTranscriptionCompleted)
    ]
    assert transcripts == ["what is 2 plus 3?"]
    assert text == heard(events, format) == "That makes 5."


@pytest.mark.parametrize("dialect", Dialect)
async def test_push_to_talk_is_answered_when_it_is_committed(dialect: Dialect) -> None:
    async with agentkit.open(
        Local(speech="tones", dialect=dialect), tools=[add], settings=spoken(PCM, turn_detection=None)
    ) as session:
        question = encode_tones("what is 20 plus 3?", PCM) + PAUSE["audio/pcm"]
        text, events = await until_answered(session, session.append_audio(question), session.commit())
    assert text == heard(events) == "That makes 23."


async def test_speaking_interrupts_the_answer_and_the_next_one_can_be_heard() -> None:
    async with agentkit.open(Local(speech="tones", paced=True), tools=[add, recite]) as session:
        with session.subscribe(ResponseOutputAudioDelta) as poem:
            await session.send_text("recite the poem")
            item_id = (await anext(poem)).item_id
        question = encode_tones("what is 1 plus 1?", PCM) + PAUSE["audio/pcm"]
        kinds = (Interrupted, ResponseDone, ConversationItemTruncated, ResponseOutputAudioDelta)
        told: list[object] = []
        answer = b""
        with session.subscribe(*kinds) as subscription:
            await session.append_audio(question)
            async for event in subscription:
                match event:
                    case Interrupted():
                        told.append("interrupted")
                        await session.truncate(item_id, 500)
                    case ResponseDone(response=response) if response.status == "cancelled":
                        told.append(item_id in [item.id for item in response.output])
                    case ConversationItemTruncated():
                        told.append(event.audio_end_ms)
                    case ResponseOutputAudioDelta() if event.item_id != item_id:
                        answer += event.audio or b""
                if decode_tones(answer, PCM) == "That makes 2.":
                    break
    assert sorted(told, key=str) == [500, True, "interrupted"]


async def test_a_session_can_be_spoken_to_while_a_response_is_written_as_text() -> None:
    settings = Settings(output_modalities=("text",))
    async with agentkit.open(Local(speech="tones"), tools=[add], settings=settings) as session:
        question = encode_tones("what is 2 plus 2?", PCM) + PAUSE["audio/pcm"]
        text, events = await until_answered(session, session.append_audio(question))
    assert text == "That makes 4."
    assert not any(isinstance(each, ResponseOutputAudioDelta) for each in events)


async def test_sounds_that_are_no_tones_are_answered_as_an_empty_text() -> None:
    async with agentkit.open(Local(speech="tones"), tools=[add]) as session:
        hum = (b"\x00\x20" * 40 + b"\x00\xe0" * 40) * 300
        text, events = await until_answered(session, session.append_audio(hum + PAUSE["audio/pcm"]))
    assert [each.response.status for each in events if isinstance(each, ResponseDone)] == ["completed"]
    assert "can only read text" in text
    assert heard(events) == text


# on the wire


class Echo(Responder):
    """Says what it heard, at length."""

    name = "echo"

    async def respond(self, request: ResponderRequest) -> AsyncGenerator[TextDelta, None]:
        yield TextDelta(text=f"You said: {request.last_user_text}. ")
        yield TextDelta(text=POEM)


class Wire:
    """A client in plain dicts."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.seen: list[dict[str, Any]] = []

    async def send(self, wire_type: str, **fields: Any) -> None:
        await self._transport.send(json.dumps({"type": wire_type, **fields}).encode())

    async def update(self, **incoming: Any) -> None:
        """Change the settings of the input, and wait until that is confirmed."""
        await self.send("session.update", session={"type": "realtime", "audio": {"input": incoming}})
        await self.until("session.updated")

    async def say(self, text: str) -> None:
        """Speak a text, and be silent for as long as ends a turn."""
        audio = encode_tones(text, PCM) + PAUSE["audio/pcm"]
        await self.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())

    async def until(self, wire_type: str) -> dict[str, Any]:
        """Return the next event of a type; what comes before it is kept too."""
        while True:
            event: dict[str, Any] = json.loads(await self._transport.receive())
            self.seen.append(event)
            assert event["type"] != "error", event
            if event["type"] == wire_type:
                return event

    def names(self) -> list[str]:
        return [event["type"] for event in self.seen]


@asynccontextmanager
async def wired(responder: type[Responder] = RulesResponder, *, paced: bool = False) -> AsyncGenerator[Wire, None]:
    async with Local(responder, speech="tones", paced=paced).connect() as transport:
        yield Wire(transport)


TRANSCRIPTS = {
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
}


async def test_a_session_tells_that_its_server_hears_and_speaks() -> None:
    async with wired() as wire:
        session = (await wire.until("session.created"))["session"]
    assert session["output_modalities"] == ["audio"]
    assert session["audio"]["input"]["transcription"] == {"model": "local"}


async def test_without_transcription_the_client_is_told_none_and_the_answer_knows_it() -> None:
    async with wired(Echo) as wire:
        await wire.update(transcription=None)
        await wire.say("hello")
        said = await wire.until("response.output_audio_transcript.delta")
    assert said["delta"] == "You said: hello. "
    assert not TRANSCRIPTS & set(wire.names())


async def test_with_transcription_the_client_is_told_it_before_the_answer() -> None:
    async with wired(Echo) as wire:
        await wire.update(transcription={"model": "whisper-1"})
        await wire.say("hello")
        await wire.until("response.output_audio_transcript.delta")
    told = [event for event in wire.seen if event["type"] in TRANSCRIPTS]
    assert [event.get("delta", event.get("transcript")) for event in told] == ["hello", "hello"]
    [committed] = [event for event in wire.seen if event["type"] == "input_audio_buffer.committed"]
    assert {event["item_id"] for event in told} == {committed["item_id"]}


async def test_where_turns_make_no_response_the_client_asks_for_it() -> None:
    async with wired(Echo) as wire:
        await wire.update(turn_detection={"type": "server_vad", "create_response": False})
        await wire.say("hello")
        await wire.until("conversation.item.input_audio_transcription.completed")
        await wire.send("response.create")
        said = await wire.until("response.output_audio_transcript.delta")
    assert said["delta"] == "You said: hello. "
    assert wire.names().count("response.created") == 1


async def test_a_turn_that_may_not_interrupt_is_answered_after_the_answer() -> None:
    go_on = anyio.Event()

    class Patient(Responder):
        async def respond(self, request: ResponderRequest) -> AsyncGenerator[TextDelta, None]:
            yield TextDelta(text=f"You said: {request.last_user_text}. ")
            await go_on.wait()
            yield TextDelta(text="That was it.")

    async with wired(Patient) as wire:
        await wire.update(turn_detection={"type": "server_vad", "interrupt_response": False})
        await wire.say("one")
        await wire.until("response.output_audio.delta")
        await wire.say("two")
        second = "conversation.item.input_audio_transcription.completed"
        assert (await wire.until(second))["transcript"] == "two"
        assert wire.names().count("response.created") == 1
        go_on.set()
        responses = [(await wire.until("response.done"))["response"] for _ in range(2)]
    assert [each["status"] for each in responses] == ["completed", "completed"]
    said = [each["output"][0]["content"][0]["transcript"] for each in responses]
    assert said == ["You said: one. That was it.", "You said: two. That was it."]


async def test_a_message_is_truncated_while_it_is_spoken() -> None:
    async with wired(Echo, paced=True) as wire:
        await wire.say("hello")
        for _ in range(2):
            item_id = (await wire.until("response.output_audio_transcript.delta"))["item_id"]
        await wire.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=900)
        await wire.until("conversation.item.truncated")
        await wire.send("response.cancel")
        done = (await wire.until("response.done"))["response"]
        await wire.send("conversation.item.retrieve", item_id=item_id)
        [part] = (await wire.until("conversation.item.retrieved"))["item"]["content"]
    assert done["status"] == "cancelled"
    audio = base64.b64decode(part["audio"])
    assert len(audio) == 900 * 48
    assert decode_tones(audio, PCM) == "You said: hello. "


async def test_a_user_message_with_audio_is_heard() -> None:
    async with wired(Echo) as wire:
        audio = base64.b64encode(encode_tones("good morning", PCM)).decode()
        item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}]}
        await wire.send("conversation.item.create", item=item)
        await wire.send("response.create")
        said = await wire.until("response.output_audio_transcript.delta")
    assert said["delta"] == "You said: good morning. "


async def test_audio_that_nobody_transcribed_is_not_answered_by_a_server_that_hears() -> None:
    async with wired(Echo) as wire:
        audio = base64.b64encode(encode_tones("good morning", PCM)).decode()
        item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}]}
        await wire.send("response.create", response={"conversation": "none", "input": [item]})
        done = (await wire.until("response.done"))["response"]
    assert done["status_details"]["error"]["code"] == "transcript_missing"


def test_another_kind_of_speech_is_refused() -> None:
    with pytest.raises(ValueError, match="'tones' or None, not 'opera'"):
        Local(speech="opera")  # type: ignore[arg-type]  # what a caller without a type checker may write


def test_a_provider_that_will_speak_does_not_load_what_it_speaks_with() -> None:
    script = "import sys; from agentkit.providers import Local; Local(speech='tones'); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
