"""The socket front: real clients on loopback."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from openai import AsyncOpenAI
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agentkit.events import Dialect
from agentkit.local import Responder, RulesResponder, serve_socket

TOOLS: list[Any] = [
    {
        "type": "function",
        "name": "calculate",
        "description": "Work out an arithmetic expression.",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
            "examples": ["what is {expression}?"],
        },
    },
    {
        "type": "function",
        "name": "now",
        "description": "Tell the time.",
        "parameters": {
            "type": "object",
            "properties": {"zone": {"type": "string"}},
            "examples": ["what time is it in {zone}?"],
        },
    },
]


@asynccontextmanager
async def serving(
    factory: Callable[[], Responder] = RulesResponder, *, dialect: Dialect | None = None, max_sessions: int = 4
) -> AsyncGenerator[str, None]:
    """Serve on a free port and give the URL."""
    ready = anyio.Event()
    urls: list[str] = []

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await serve_socket(
                "127.0.0.1",
                0,
                responder_factory=factory,
                on_ready=on_ready,
                dialect=dialect,
                max_sessions=max_sessions,
            )

        tasks.start_soon(serve)
        await ready.wait()
        try:
            yield urls[0]
        finally:
            tasks.cancel_scope.cancel()


@pytest.fixture
def anyio_backend() -> str:
    """The clients below exist for asyncio only; the server on trio is tested in test_socket_trio.py."""
    return "asyncio"


pytestmark = pytest.mark.anyio


async def _said(connection: Any, text: str) -> None:
    await connection.send(
        json.dumps(
            {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]},
            }
        )
    )


async def _until(connection: Any, name: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != name:
        events.append(json.loads(await connection.recv()))
    return events


async def test_the_openai_package_runs_a_text_turn() -> None:
    async with serving() as url:
        client = AsyncOpenAI(websocket_base_url=url.removesuffix("/realtime"), api_key="x")
        async with client, client.realtime.connect(model="gpt-realtime") as connection:
            created = await connection.recv()
            assert created.type == "session.created"
            await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            await connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
            )
            await connection.response.create()
            text = ""
            async for event in connection:
                if event.type == "response.output_text.delta":
                    text += event.delta
                elif event.type == "response.done":
                    assert event.response.status == "completed"
                    break
        assert "not a language model" in text


async def test_the_openai_package_runs_a_turn_with_two_tools() -> None:
    async with serving() as url:
        client = AsyncOpenAI(websocket_base_url=url.removesuffix("/realtime"), api_key="x")
        async with client, client.realtime.connect(model="gpt-realtime") as connection:
            await connection.session.update(session={"type": "realtime", "tools": TOOLS})
            await connection.conversation.item.create(
                item={
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "what is 17 * 23 and what time is it in Tokyo?"}],
                }
            )
            await connection.response.create()
            called: list[tuple[str, str]] = []
            text = ""
            done = 0
            async for event in connection:
                if event.type == "response.function_call_arguments.done":
                    called.append((event.name, event.arguments))
                    await connection.conversation.item.create(
                        item={
                            "type": "function_call_output",
                            "call_id": event.call_id,
                            "output": "391" if event.name == "calculate" else '{"text": "It is 14:05 in Tokyo."}',
                        }
                    )
                elif event.type == "response.output_text.done":
                    text = event.text
                elif event.type == "response.done":
                    done += 1
                    if done == 2:
                        break
                    await connection.response.create()
    assert called == [("calculate", '{"expression":"17 * 23"}'), ("now", '{"zone":"Tokyo"}')]
    assert text == "17 * 23: 391\nIt is 14:05 in Tokyo."


async def test_a_beta_client_runs_a_turn_in_beta_names() -> None:
    async with serving() as url, connect(f"{url}?model=m", additional_headers={"OpenAI-Beta": "realtime=v1"}) as beta:
        [created] = await _until(beta, "session.created")
        assert created["session"]["modalities"] == ["text"]
        assert created["session"]["turn_detection"]["type"] == "server_vad"
        await beta.send(json.dumps({"type": "session.update", "session": {"tools": TOOLS, "temperature": 0.7}}))
        updated = (await _until(beta, "session.updated"))[-1]
        assert updated["session"]["temperature"] == 0.7
        await _said(beta, "what is 2 + 2?")
        await beta.send(json.dumps({"type": "response.create"}))
        events = await _until(beta, "response.done")
        names = [event["type"] for event in events]
        assert "conversation.item.created" in names
        assert not {"conversation.item.added", "conversation.item.done"} & set(names)
        [call] = events[-1]["response"]["output"]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "4"}
        await beta.send(json.dumps({"type": "conversation.item.create", "item": output}))
        await beta.send(json.dumps({"type": "response.create"}))
        events = await _until(beta, "response.done")
        assert [event["text"] for event in events if event["type"] == "response.text.done"] == ["4"]
        assert events[-1]["response"]["output"][0]["content"] == [{"type": "text", "text": "4"}]


async def test_the_dialect_can_be_forced() -> None:
    async with serving(dialect=Dialect.BETA) as url, connect(url) as client:
        [created] = await _until(client, "session.created")
        assert "modalities" in created["session"]


async def test_the_model_of_the_url_is_the_session_s() -> None:
    async with serving() as url, connect(f"{url}?model=my-model") as client:
        [created] = await _until(client, "session.created")
        assert created["session"]["model"] == "my-model"


async def test_the_subprotocol_realtime_is_chosen() -> None:
    async with serving() as url, connect(url, subprotocols=["openai-insecure-api-key.x", "realtime"]) as client:  # type: ignore[list-item]  # plain strings do
        assert client.subprotocol == "realtime"


async def test_the_short_path_works_too() -> None:
    async with serving() as url, connect(url.replace("/v1/", "/")) as client:
        assert (await _until(client, "session.created"))[0]["session"]["object"] == "realtime.session"


async def test_another_path_gets_404() -> None:
    async with serving() as url:
        with pytest.raises(InvalidStatus) as refused:
            await connect(url.replace("/realtime", "/chat"))
    assert refused.value.response.status_code == 404


async def test_a_page_in_a_browser_is_refused() -> None:
    async with serving() as url:
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, origin="https://example.org")  # type: ignore[arg-type]  # a plain string does
    assert refused.value.response.status_code == 403


async def test_one_session_too_many_gets_503() -> None:
    async with serving(max_sessions=1) as url, connect(url) as first:
        await _until(first, "session.created")
        with pytest.raises(InvalidStatus) as refused:
            await connect(url)
    assert refused.value.response.status_code == 503


async def test_a_plain_request_is_told_to_use_a_websocket() -> None:
    async with serving() as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\n\r\n")
            reply = await stream.receive()
    assert reply.startswith(b"HTTP/1.1 426")


async def test_an_intent_that_is_not_served_closes_as_the_real_server_does() -> None:
    async with serving() as url, connect(f"{url}?intent=transcription") as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "invalid_request_error.invalid_intent")


async def test_stopping_the_server_closes_its_connections() -> None:
    async with serving() as url:
        client = await connect(url)
        await _until(client, "session.created")
    with pytest.raises(ConnectionClosed) as closed:
        await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
