"""A secret argument, however the model writes it, is in nothing that is written down."""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import anyio
from agentkit_observe.configs import OtelConfig, RecorderConfig, TranscriptConfig
from agentkit_observe.otel import Otel
from agentkit_observe.recorder import Recorder
from agentkit_observe.transcript import Transcript
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import agentkit
from agentkit import Logger, ToolError, tool
from agentkit.events import RateLimitsUpdated
from agentkit.testing import FakeServer

CANARY = "CANARY"


@tool(secret=("pin",))
async def unlock(door: str, pin: str) -> dict[str, str]:
    """Unlock a door, and repeat all that was said."""
    return {"door": door, "pin": pin, "both": f"{door}-{pin}"}


@tool(secret=("pin",))
async def refuse(door: str, pin: str) -> str:
    """Refuse, and repeat all that was said."""
    raise ToolError(f"{pin!r} does not open {door}")


pins = st.text(st.characters(codec="utf-8"), max_size=12).map(lambda around: f"{around}{CANARY}-{around}")


@st.composite
def written(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Arguments as a model may write them, whole and in pieces."""
    pin: object = draw(pins | st.lists(pins, min_size=1, max_size=2))
    fields: dict[str, object] = {"door": "front", "pin": pin}
    if draw(st.booleans()):
        fields = dict(reversed(fields.items()))
    text = json.dumps(fields, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    text = text[: draw(st.sampled_from([len(text), len(text) - 1, text.index(CANARY) + len(CANARY)]))]
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return text, [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


async def call(server: FakeServer, name: str, text: str, pieces: list[str], *, named: bool) -> None:
    """Let the model call a tool and repeat its secret in the answer's items, as a server does."""
    at: dict[str, Any] = {"response_id": "r1", "item_id": "f1", "output_index": 0, "call_id": "c1"}
    item = {"id": "f1", "type": "function_call", "call_id": "c1", "name": name}
    await server.emit("response.created", response={"id": "r1", "status": "in_progress", "output": []})
    empty = {**item, "arguments": "", "status": "in_progress"}
    if named:
        await server.emit("response.output_item.added", response_id="r1", output_index=0, item=empty)
        await server.emit("conversation.item.added", item=empty)
    for piece in pieces:
        await server.emit("response.function_call_arguments.delta", **at, delta=piece)
    await server.emit(
        "response.function_call_arguments.done", **at, arguments=text, **({"name": name} if named else {})
    )
    whole = {**item, "arguments": text, "status": "completed"}
    await server.emit("response.output_item.done", response_id="r1", output_index=0, item=whole)
    await server.emit("conversation.item.done", item=whole)
    await server.emit("response.done", response={"id": "r1", "status": "completed", "output": [whole]})
    output = await server.next("conversation.item.create")
    await server.emit("conversation.item.added", item={**output["item"], "id": "o1"})
    await server.emit("conversation.item.done", item={**output["item"], "id": "o1"})


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


async def observed(folder: Path, name: str, text: str, pieces: list[str], *, named: bool) -> str:
    """Return all that was written down of a call."""
    spans, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    layers = [
        Logger(folder / "log.jsonl"),
        Recorder(RecorderConfig(path=str(folder / "recording"))),
        *(
            Transcript(TranscriptConfig(path=str(folder / f"transcript{ending}"), tools=True))
            for ending in (".txt", ".json", ".jsonl")
        ),
        Otel(OtelConfig(payloads=True), tracer_provider=tracers),
    ]
    server = FakeServer()
    async with agentkit.open(server, middleware=layers, tools=[unlock, refuse]) as session:
        await call(server, name, text, pieces, named=named)
        with session.subscribe(RateLimitsUpdated) as markers, anyio.fail_after(5):
            await server.emit("rate_limits.updated", rate_limits=[])
            await anext(markers)
    files = texts(folder)
    assert {"log.jsonl", "recording.jsonl", "transcript.txt", "transcript.json", "transcript.jsonl"} <= files.keys()
    for name_ in ("log.jsonl", "recording.jsonl", "transcript.jsonl"):
        for line in files[name_].splitlines():
            json.loads(line)
    return "".join([*files.values(), *(span.to_json() for span in spans.get_finished_spans())])


@given(written(), st.sampled_from(["unlock", "refuse"]), st.booleans())
@example((f'{{"door":"front","pin":"{CANARY}"}}', [f'{{"door":"front","pin":"{CANARY}"}}']), "unlock", True)
def test_a_canary_in_a_secret_argument_is_nowhere(arguments: tuple[str, list[str]], name: str, named: bool) -> None:
    text, pieces = arguments
    logging.disable(logging.CRITICAL)
    try:
        with tempfile.TemporaryDirectory() as folder:

            async def main() -> str:
                return await observed(Path(folder), name, text, pieces, named=named)

            everything = anyio.run(main)
    finally:
        logging.disable(logging.NOTSET)
    assert name in everything
    assert CANARY not in everything
    for piece in pieces:
        if len(piece) > 2 and piece in CANARY:
            assert f'"{piece}"' not in everything
