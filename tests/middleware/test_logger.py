"""The logger: what it writes of a frame, and what it does not."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from agentkit import ConfigError, Logger, tool
from agentkit.events import (
    ClientEvent,
    ConversationItemCreate,
    FunctionCallOutputItem,
    InputAudioBufferAppend,
    decode_server,
    encode_client,
)
from agentkit.middleware.logger import LoggerConfig

pytestmark = pytest.mark.anyio


@tool(secret=("pin",))
async def unlock(door: str, pin: str) -> str:
    """Unlock a door."""
    return f"{door} does not open with {pin}"


@asynccontextmanager
async def logging(path: Path, *, audio: bool = False) -> AsyncIterator[Logger]:
    layer = Logger.from_config(LoggerConfig(path=str(path), audio=audio))
    # all that the logger uses of it
    layer.session = SimpleNamespace(id="ak1", secret_arguments={"unlock": frozenset({"pin"})})
    async with layer.running():
        yield layer


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def incoming(layer: Logger, frame: bytes) -> None:
    layer.on_wire("in", frame, decode_server(frame))


def outgoing(layer: Logger, event: ClientEvent) -> None:
    layer.on_wire("out", encode_client(event), event)


async def test_a_line_has_time_number_direction_and_the_event_as_it_went(tmp_path: Path) -> None:
    async with logging(tmp_path / "log.jsonl") as layer:
        incoming(layer, b'{"type":"made.up","later":[1,2,{"audio":3}]}')
        outgoing(layer, InputAudioBufferAppend(audio=bytes(3)))
    first, second = read(tmp_path / "log.jsonl")
    assert (first["seq"], first["direction"], second["seq"], second["direction"]) == (1, "in", 2, "out")
    assert first["event"] == {"type": "made.up", "later": [1, 2, {"audio": 3}]}
    moment = datetime.fromisoformat(str(first["time"]))
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 3600


async def test_audio_is_replaced_by_its_length_unless_asked_for(tmp_path: Path) -> None:
    delta = b'{"type":"response.output_audio.delta","item_id":"i","delta":"AAAA"}'
    part = b'{"type":"input_audio","audio":"BBBBBBBB"}'
    item = b'{"type":"conversation.item.retrieved","item":{"type":"message","role":"user","content":[%b]}}' % part
    text = b'{"type":"response.output_text.delta","item_id":"i","delta":"the word \\"audio\\""}'
    async with logging(tmp_path / "short.jsonl") as layer:
        for frame in (delta, item, text):
            incoming(layer, frame)
    async with logging(tmp_path / "whole.jsonl", audio=True) as layer:
        incoming(layer, delta)
    short = [line["event"] for line in read(tmp_path / "short.jsonl")]
    assert short[0] == {"type": "response.output_audio.delta", "item_id": "i", "delta": "<4 characters of base64>"}
    assert "BBBB" not in json.dumps(short[1])
    assert short[2] == json.loads(text)
    assert read(tmp_path / "whole.jsonl")[0]["event"] == json.loads(delta)


async def test_a_frame_over_several_lines_is_one_line(tmp_path: Path) -> None:
    async with logging(tmp_path / "log.jsonl") as layer:
        incoming(layer, b'{\r\n  "type": "made.up",\n  "text": "a\\nb"\n}')
    assert [line["event"] for line in read(tmp_path / "log.jsonl")] == [{"type": "made.up", "text": "a\nb"}]


async def test_a_frame_that_is_no_event_is_kept_as_text(tmp_path: Path) -> None:
    async with logging(tmp_path / "log.jsonl") as layer:
        incoming(layer, b'\xff "quote"\n')
    assert read(tmp_path / "log.jsonl")[0]["raw"] == '\ufffd "quote"\n'


async def test_the_path_takes_the_session_and_the_date_and_a_file_is_appended_to(tmp_path: Path) -> None:
    for _ in range(2):
        async with logging(tmp_path / "{date}" / "{session}.jsonl") as layer:
            incoming(layer, b'{"type":"made.up"}')
            path = layer.path
    assert path is not None
    assert path.name == "ak1.jsonl"
    datetime.strptime(path.parent.name, "%Y-%m-%d")  # raises where it is no date
    assert len(read(path)) == 2


async def test_a_path_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write .*file") as caught:
        async with logging(tmp_path / "file" / "log.jsonl"):
            raise AssertionError("not reached")
    assert caught.value.hint is not None


async def test_a_tools_secret_arguments_are_not_in_it_nor_what_repeats_them(tmp_path: Path) -> None:
    item = b'{"id":"f1","type":"function_call","call_id":"c1","name":"unlock","arguments":%b}'
    whole = b'"{\\"door\\":\\"front\\",\\"pin\\":\\"swordfish\\"}"'
    delta = b'{"type":"response.function_call_arguments.delta","item_id":"f1","call_id":"c1","delta":"%b"}'
    output = FunctionCallOutputItem(call_id="c1", output="front does not open with swordfish")
    async with logging(tmp_path / "log.jsonl") as layer:
        incoming(layer, b'{"type":"response.output_item.added","item":%b}' % (item % b'""'))
        incoming(layer, delta % b"sword")
        incoming(layer, delta % b"fish")
        incoming(layer, b'{"type":"response.output_item.done","item":%b}' % (item % whole))
        outgoing(layer, ConversationItemCreate(item=output))
        incoming(layer, b'{"type":"response.output_item.done","item":{"type":"function_call","arguments":%b}}' % whole)
        incoming(layer, b'{"type":"function_call", "arguments":%b' % whole)
    log = (tmp_path / "log.jsonl").read_text()
    assert "sword" not in log
    assert "fish" not in log
    assert "front does not open with ***" in log
    assert len(read(tmp_path / "log.jsonl")) == 7


async def test_a_key_in_a_frame_that_is_no_event_is_masked(tmp_path: Path) -> None:
    async with logging(tmp_path / "log.jsonl") as layer:
        incoming(layer, b"bare sk-abcdefghijklmnop123 text")
    assert read(tmp_path / "log.jsonl")[0]["raw"] == "bare *** text"
