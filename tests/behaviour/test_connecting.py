"""Where a session connects, with which key and model, and what is asked first: over a real WebSocket on loopback."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.sync.server import ServerConnection, serve

import agentkit
from agentkit.testing import SESSION

pytestmark = pytest.mark.anyio
KEY = "canary0123456789abcdef"


class Listening:
    """A server that greets and confirms; what it was asked, and a script for after that."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.updates: list[dict[str, Any]] = []
        self.script: Callable[[ServerConnection], None] = lambda peer: None

    def handle(self, peer: ServerConnection) -> None:
        assert peer.request is not None
        self.requests.append(peer.request)
        peer.send(json.dumps({"type": "session.created", "session": SESSION}))
        self.script(peer)
        try:
            for frame in peer:
                event = json.loads(frame)
                if event["type"] == "session.update":
                    self.updates.append(event["session"])
                    peer.send(json.dumps({"type": "session.updated", "session": {**SESSION, **event["session"]}}))
        except ConnectionClosed:
            pass

    @property
    def path(self) -> str:
        return urlsplit(self.requests[-1].path).path

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.requests[-1].path).query, keep_blank_values=True)


@pytest.fixture
def listening_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    found = Listening()
    with serve(found.handle, "127.0.0.1", 0) as server:
        found.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "auth, header, value",
    [("bearer", "Authorization", f"Bearer {KEY}"), ("api-key", "api-key", KEY), ("x-api-key", "X-API-Key", KEY)],
)
async def test_rb_21_the_url_is_dialled_with_its_own_way_to_send_the_key(
    listening_on: Listening, auth: Literal["bearer", "api-key", "x-api-key"], header: str, value: str
) -> None:
    async with agentkit.open(agentkit.Compatible(f"{listening_on.url}/x", api_key=KEY, auth=auth)) as session:
        assert session.settings is not None
    assert listening_on.path == "/x"
    assert listening_on.query == []
    headers = listening_on.requests[-1].headers
    assert [(name, sent) for name, sent in headers.raw_items() if KEY in sent] == [(header, value)]


async def test_rb_21_the_url_of_the_openai_provider_is_dialled_too(listening_on: Listening) -> None:
    async with agentkit.open(agentkit.OpenAI("m1", KEY, url=f"{listening_on.url}/gateway")):
        pass
    assert listening_on.path == "/gateway"
    assert listening_on.query == [("model", "m1")]
    assert listening_on.requests[-1].headers["Authorization"] == f"Bearer {KEY}"


async def test_rb_21_a_server_that_is_not_there_is_told_by_its_address(listening_on: Listening) -> None:
    with pytest.raises(agentkit.ConnectError, match=r"127\.0\.0\.1:1"):
        async with agentkit.open(agentkit.Compatible("ws://127.0.0.1:1/x")):
            raise AssertionError("not reached")


@pytest.mark.parametrize(
    "query, model, expected",
    [
        ("?deployment=d&api-version=v", "m", [("deployment", "d"), ("api-version", "v"), ("model", "m")]),
        ("?a=1%202&b=%26", "m x&y", [("a", "1 2"), ("b", "&"), ("model", "m x&y")]),
        ("?model=mine", "other", [("model", "mine")]),
        ("?", "m", [("model", "m")]),
        ("?flag", "m", [("flag", ""), ("model", "m")]),
        ("?deployment=d", None, [("deployment", "d")]),
    ],
)
async def test_rb_22_the_urls_own_query_is_kept_and_the_model_added_once(
    listening_on: Listening, query: str, model: str | None, expected: list[tuple[str, str]]
) -> None:
    async with agentkit.open(agentkit.Compatible(f"{listening_on.url}/p{query}", model)):
        pass
    assert listening_on.requests[-1].path.count("?") == 1
    assert (listening_on.path, listening_on.query) == ("/p", expected)


async def test_rb_23_the_model_is_in_the_url_and_may_be_in_the_session(listening_on: Listening) -> None:
    provider = agentkit.OpenAI("m2", KEY, url=listening_on.url)
    async with agentkit.open(provider, settings=agentkit.Settings(model="m2", instructions="x")):
        pass
    assert listening_on.query == [("model", "m2")]
    assert listening_on.updates == [{"type": "realtime", "model": "m2", "instructions": "x"}]


async def test_rb_23_the_model_of_a_configuration_is_used(
    listening_on: Listening, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_KEY", KEY)
    config = tmp_path / "agent.yaml"
    config.write_text(
        "version: 1\nagent: {name: a, instructions: x}\n"
        f'provider: {{use: openai, with: {{model: m2, url: "{listening_on.url}/v1", api_key: "${{CANARY_KEY}}"}}}}\n'
    )
    agent = agentkit.load(config)
    async with agent.open():
        pass
    assert listening_on.query == [("model", "m2")]
    assert "instructions" in listening_on.updates[0]


async def test_rb_24_the_beta_dialect_is_said_in_the_handshake_only(listening_on: Listening) -> None:
    provider = agentkit.Compatible(listening_on.url, dialect="beta")
    settings = agentkit.Settings(audio=agentkit.AudioSettings(output=agentkit.AudioOutput(voice="verse")))
    async with agentkit.open(provider, settings=settings):
        pass
    assert listening_on.requests[-1].headers["OpenAI-Beta"] == "realtime=v1"
    assert listening_on.updates == [{"voice": "verse"}]


async def test_rb_16_pings_are_answered_while_a_tool_blocks_its_thread(listening_on: Listening) -> None:
    started, release = threading.Event(), threading.Event()
    pongs: list[bool] = []

    @agentkit.tool
    def block() -> str:
        """Wait in the thread."""
        started.set()
        assert release.wait(10)
        return "done"

    def script(peer: ServerConnection) -> None:
        assert json.loads(peer.recv())["type"] == "session.update"
        tools = [block.definition()]
        peer.send(json.dumps({"type": "session.updated", "session": {**SESSION, "tools": tools}}))
        call = {"id": "i", "type": "function_call", "call_id": "c", "name": "block", "arguments": "{}"}
        done = {"id": "r1", "status": "completed", "output": [{**call, "status": "completed"}]}
        peer.send(json.dumps({"type": "response.created", "response": {"id": "r1"}}))
        peer.send(json.dumps({"type": "response.done", "response": done}))
        assert started.wait(5)
        pongs.append(peer.ping().wait(5))
        release.set()
        assert json.loads(peer.recv())["item"]["output"] == "done"
        peer.send(json.dumps({"type": "heard"}))

    listening_on.script = script
    async with agentkit.open(agentkit.Compatible(listening_on.url), tools=[block]) as session:
        await session.wait_for(agentkit.events.UnknownEvent, timeout=10)
    assert pongs == [True]
