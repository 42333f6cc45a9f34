"""Items: the protocol's fields, and what ``formatted`` makes of them, of the agent's and of the user's."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from agentkit import Local, RealtimeClient
from agentkit.audio import decode_alaw, decode_ulaw, read_wav
from agentkit.client import Item
from agentkit.local import decode_tones

if TYPE_CHECKING:
    from tests.client.conftest import Record, Server

pytestmark = pytest.mark.anyio
SPEECH = np.arange(-2400, 2400, dtype=np.int16)
"""200 ms of PCM16, every sample another."""
G711 = bytes(range(160))
"""20 ms."""


def found(client: RealtimeClient, item_id: str) -> Item:
    item = client.conversation.get_item(item_id)
    assert item is not None
    return item


def only(samples: np.ndarray[Any, Any]) -> bytes:
    return samples.astype("<i2").tobytes()


async def push_to_talk(client: RealtimeClient, server: Server, samples: np.ndarray[Any, Any], item_id: str) -> None:
    """Say something, and let the server make an item of it."""
    await client.append_input_audio(samples)
    await client.create_response()
    for name in ("input_audio_buffer.append", "input_audio_buffer.commit", "response.create"):
        await server.next(name)
    await server.emit("input_audio_buffer.committed", item_id=item_id, previous_item_id=None)
    await server.adds(item_id, role="user", status="completed", content=[{"type": "input_audio", "transcript": None}])
    await server.says(f"r_{item_id}", "I see.")


# The agent's


async def test_text_is_the_items_text_and_no_transcript(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await server.says("r1", "Hello")
        await server.handled(client)
        item = found(client, "item_r1")
    assert (item.type, item.role, item.status) == ("message", "assistant", "completed")
    assert (item.formatted.text, item.formatted.transcript) == ("Hello", "")
    assert item.content == [{"type": "output_text", "text": "Hello"}]
    assert item.content[0].text == "Hello"
    assert (item.formatted.tool, item.formatted.output, item.formatted.file) == (None, None, None)
    assert item.formatted.audio.tolist() == []


async def test_speech_is_the_items_audio_and_transcript_and_no_text(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await server.begins()
        await server.adds("i1")
        await server.tells("output_audio_transcript", "Hel")
        await server.speaks(only(SPEECH[:1000]))
        await server.tells("output_audio_transcript", "lo")
        await server.speaks(only(SPEECH[1000:]))
        await server.handled(client)
        item = found(client, "i1")
    assert (item.formatted.text, item.formatted.transcript) == ("", "Hello")
    assert item.formatted.audio.dtype == np.int16
    assert item.formatted.audio.tolist() == SPEECH.tolist()


async def test_the_file_is_a_wav_file_of_the_audio(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await server.begins()
        await server.adds("i1")
        await server.speaks(only(SPEECH))
        await server.handled(client)
        data = found(client, "i1").formatted.file
    assert data is not None
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
        assert file.readframes(9999) == only(SPEECH)


async def test_a_call_is_the_items_tool(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await server.begins()
        await server.adds("i1", "function_call", call_id="c1", name="look", arguments="")
        await server.tells("function_call_arguments", '{"at":')
        await server.handled(client)
        early = found(client, "i1")
        await server.tells("function_call_arguments", " 5}")
        await server.finishes("i1", "function_call", call_id="c1", name="look", arguments='{"at": 5}')
        await server.handled(client)
        item = found(client, "i1")
    tool = item.formatted.tool
    assert tool is not None
    assert (tool.type, tool.name, tool["call_id"], tool.arguments) == ("function", "look", "c1", '{"at": 5}')
    assert (item.type, item.role, item.name, item.call_id, item["arguments"]) == (
        "function_call",
        None,
        "look",
        "c1",
        '{"at": 5}',
    )
    assert early.formatted.tool is not None
    assert (early.formatted.tool.arguments, early.status) == ('{"at":', "in_progress")


async def test_an_output_is_the_items_output(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await server.adds("o1", "function_call_output", call_id="c1", output='{"x":1}', status="completed")
        await server.handled(client)
        item = found(client, "o1")
    assert (item.type, item.call_id, item.output, item.formatted.output) == (
        "function_call_output",
        "c1",
        '{"x":1}',
        '{"x":1}',
    )


async def test_an_item_of_no_known_type_keeps_its_fields(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await server.adds("x1", "made_up", status="completed", content=[{"type": "y", "z": 1}])
        await server.handled(client)
        item = found(client, "x1")
    assert (item.type, item.role, item.content[0].z) == ("made_up", None, 1)
    assert (item.formatted.text, item.formatted.tool) == ("", None)


async def test_rb_02_an_item_of_which_only_the_end_comes_is_there(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await server.finishes("zz", content=[{"type": "output_text", "text": "Late"}])
        await server.handled(client)
        assert found(client, "zz").formatted.text == "Late"


@pytest.mark.parametrize("transcript_first", [True, False])
async def test_rb_04_the_users_transcript_is_there_whichever_comes_first(
    server: Server, transcript_first: bool
) -> None:
    async def transcribed() -> None:
        name = "conversation.item.input_audio_transcription.completed"
        await server.emit(name, item_id="u1", content_index=0, transcript="hi")

    async def added() -> None:
        content = [{"type": "input_audio", "transcript": None}]
        await server.adds("u1", role="user", status="completed", content=content)

    async with RealtimeClient(provider=server) as client:
        for step in (transcribed, added) if transcript_first else (added, transcribed):
            await step()
        await server.handled(client)
        assert [(item.id, item.formatted.transcript) for item in client.conversation.get_items()] == [("u1", "hi")]


# G.711


@pytest.mark.parametrize("name, decode", [("g711_ulaw", decode_ulaw), ("g711_alaw", decode_alaw)])
async def test_rb_20_g711_of_the_agents_is_decoded_at_its_own_rate(
    server: Server, record: Callable[..., Record], name: str, decode: Callable[[bytes], Any]
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "conversation.updated")
    await client.update_session(output_audio_format=name)
    async with client:
        assert client.conversation.default_frequency == 8000
        await server.begins()
        await server.adds("i1")
        await server.speaks(G711)
        await server.handled(client)
        formatted = found(client, "i1").formatted
    assert told.events[-1].delta.audio.tolist() == decode(G711).tolist()
    assert formatted.audio.tolist() == decode(G711).tolist()
    assert formatted.file is not None
    assert read_wav(io.BytesIO(formatted.file)).rate == 8000


async def test_g711_of_the_users_is_decoded_at_its_own_rate(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.update_session(input_audio_format="g711_ulaw")
    async with client:
        await client.append_input_audio(G711 * 10)
        await client.create_response()
        await server.emit("input_audio_buffer.committed", item_id="u1", previous_item_id=None)
        content = [{"type": "input_audio", "transcript": None}]
        await server.adds("u1", role="user", status="completed", content=content)
        await server.handled(client)
        assert found(client, "u1").formatted.audio.tolist() == decode_ulaw(G711 * 10).tolist()


# The user's


async def test_what_was_said_under_push_to_talk_is_the_audio_of_the_item_it_became(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await push_to_talk(client, server, SPEECH, "u1")
        await push_to_talk(client, server, -SPEECH, "u2")
        await server.handled(client)
        assert found(client, "u1").formatted.audio.tolist() == SPEECH.tolist()
        assert found(client, "u2").formatted.audio.tolist() == (-SPEECH).tolist()


async def test_rb_66_typed_text_between_leaves_the_audio_to_its_own_item(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.append_input_audio(SPEECH)
        await client.realtime.send(
            "conversation.item.create",
            {"item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "typed"}]}},
        )
        content = [{"type": "input_text", "text": "typed"}]
        await server.adds("t1", role="user", status="completed", content=content)
        await client.create_response()
        await server.emit("input_audio_buffer.committed", item_id="u1", previous_item_id="t1")
        audio = [{"type": "input_audio", "transcript": None}]
        await server.adds("u1", role="user", status="completed", content=audio)
        await server.handled(client)
        assert found(client, "t1").formatted.audio.tolist() == []
        assert found(client, "u1").formatted.audio.tolist() == SPEECH.tolist()


async def test_audio_appended_after_a_commit_belongs_to_the_next_item(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.append_input_audio(SPEECH)
        await client.session.commit(reply=False)
        await client.append_input_audio(-SPEECH)
        await server.emit("input_audio_buffer.committed", item_id="u1", previous_item_id=None)
        content = [{"type": "input_audio", "transcript": None}]
        await server.adds("u1", role="user", status="completed", content=content)
        await server.handled(client)
        assert found(client, "u1").formatted.audio.tolist() == SPEECH.tolist()


async def test_under_turn_detection_an_item_has_the_audio_from_where_speech_began_to_where_it_ended(
    listening: Server,
) -> None:
    async with RealtimeClient(provider=listening) as client:
        await client.append_input_audio(SPEECH)
        await client.append_input_audio(-SPEECH)
        buffer = "input_audio_buffer"
        await listening.emit(f"{buffer}.speech_started", audio_start_ms=100, item_id="u1")
        await listening.emit(f"{buffer}.speech_stopped", audio_end_ms=300, item_id="u1")
        await listening.emit(f"{buffer}.committed", item_id="u1", previous_item_id=None)
        content = [{"type": "input_audio", "transcript": None}]
        await listening.adds("u1", role="user", status="completed", content=content)
        await listening.handled(client)
        heard = np.concatenate([SPEECH, -SPEECH])[100 * 24 : 300 * 24]
        assert found(client, "u1").formatted.audio.tolist() == heard.tolist()


# What is kept


async def test_no_more_audio_is_kept_than_the_client_was_told_to(server: Server) -> None:
    async with RealtimeClient(provider=server, keep_audio_bytes=20_000) as client:
        await server.begins()
        await server.adds("i1")
        for _ in range(10):
            await server.speaks(only(SPEECH))
        await server.handled(client)
        audio = found(client, "i1").formatted.audio
        assert 0 < 2 * len(audio) <= 20_000
        assert audio.tolist()[-len(SPEECH) :] == SPEECH.tolist()


async def test_an_item_read_by_hand_equals_the_one_that_was_told(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    told = record(client, "conversation.item.completed")
    async with client:
        await server.says("r1", "Hello")
        await server.handled(client)
        item = found(client, "item_r1")
        assert told.events[0].item == item
        assert {told.events[0].item, item} == {item}
        assert item in client.conversation.get_items()
        assert "Hello" in repr(item.formatted)
        assert "item_r1" in repr(item)


async def test_the_embedded_server_speaks_and_the_words_are_in_the_file() -> None:
    async with RealtimeClient(provider=Local(speech="tones")) as client:
        await client.update_session(modalities=["audio"])
        await client.send_user_message_content([{"type": "input_text", "text": "Hello!"}])
        await client.wait_for_next_completed_item(5)
        item = (await client.wait_for_next_completed_item(5)).item
        assert item.formatted.transcript
        assert item.formatted.file is not None
        spoken = read_wav(io.BytesIO(item.formatted.file)).samples.tobytes()
        assert decode_tones(spoken, client.session.output_format) == item.formatted.transcript
