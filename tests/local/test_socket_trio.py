"""The socket front on trio."""

import json
from typing import Any

import anyio
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.trio.client import connect

from agentkit.local import RulesResponder, serve_socket

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Its client exists for trio only."""
    return "trio"


async def test_a_turn_runs_and_stopping_closes_the_connection() -> None:
    ready = anyio.Event()
    urls: list[str] = []

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    async def serve() -> None:
        with stop:
            await serve_socket("127.0.0.1", 0, responder_factory=RulesResponder, on_ready=on_ready)

    stop = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        await ready.wait()
        async with connect(urls[0]) as client:
            for event in (
                {
                    "type": "conversation.item.create",
                    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
                },
                {"type": "response.create"},
            ):
                await client.send(json.dumps(event))
            last: dict[str, Any] = {}
            while last.get("type") != "rate_limits.updated":
                last = json.loads(await client.recv())
            stop.cancel()
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
