"""Where a client connects, with which key and model: over a real WebSocket on loopback."""

from __future__ import annotations

import inspect
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.sync.server import ServerConnection, serve

import agentkit
from agentkit import ConnectError, Local, Middleware, RealtimeClient
from agentkit.client.connected import ConnectedClient
from agentkit.testing import SESSION

pytestmark = pytest.mark.anyio
KEY = "canary0123456789abcdef"


class Listening:
    """A server that greets and confirms, and keeps how it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.updates: list[dict[str, Any]] = []

    def handle(self, peer: ServerConnection) -> None:
        assert peer.request is not None
        self.requests.append(peer.request)
        peer.send(json.dumps({"type": "session.created", "session": SESSION}))
        try:
            for frame in peer:
                event = json.loads(frame)
                self.updates.append(event["session"])
                peer.send(json.dumps({"type": "session.updated", "session": {**SESSION, **event["session"]}}))
        except ConnectionClosed:
            pass

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.requests[-1].path).query)

    @property
    def with_key(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.requests[-1].headers.raw_items() if KEY in value]


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    found = Listening()
    with serve(found.handle, "127.0.0.1", 0) as server:
        found.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v1"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


async def test_rb_21_the_url_is_dialled_with_the_key_and_the_model(there: Listening) -> None:
    client = RealtimeClient(there.url, KEY, model="m1")
    async with client:
        assert client.is_connected()
    assert there.query == [("model", "m1")]
    assert there.with_key == [("Authorization", f"Bearer {KEY}")]
    assert client.realtime.url == there.url


async def test_a_url_without_a_key_is_dialled_without_one(there: Listening) -> None:
    async with RealtimeClient(there.url):
        pass
    assert there.requests[-1].headers.get("Authorization") is None
    assert there.query == []


@pytest.mark.parametrize(
    "auth, header, value",
    [("api-key", "api-key", KEY), ("x-api-key", "X-API-Key", KEY), ("bearer", "Authorization", f"Bearer {KEY}")],
)
async def test_the_key_is_shown_as_the_server_wants_it(
    there: Listening, auth: Literal["bearer", "api-key", "x-api-key"], header: str, value: str
) -> None:
    async with RealtimeClient(there.url, KEY, auth=auth):
        pass
    assert there.with_key == [(header, value)]


async def test_a_key_may_be_a_function_that_is_asked_at_every_dial(there: Listening) -> None:
    keys = iter([f"{KEY}1", f"{KEY}2"])
    client = RealtimeClient(there.url, lambda: next(keys))
    for number in (1, 2):
        async with client:
            assert there.with_key == [("Authorization", f"Bearer {KEY}{number}")]


async def test_headers_are_sent_with_the_handshake(there: Listening) -> None:
    async with RealtimeClient(there.url, headers={"X-Mine": "yes"}):
        pass
    assert there.requests[-1].headers["X-Mine"] == "yes"


async def test_rb_22_a_query_of_the_urls_own_stays(there: Listening) -> None:
    async with RealtimeClient(f"{there.url}?deployment=d&api-version=v", model="m1"):
        pass
    assert there.query == [("deployment", "d"), ("api-version", "v"), ("model", "m1")]


async def test_rb_23_connect_takes_a_model_for_this_connection(there: Listening) -> None:
    client = RealtimeClient(there.url, model="m1")
    for model, expected in (("m2", "m2"), (None, "m1")):
        await client.connect(model)
        await client.disconnect()
        assert there.query == [("model", expected)]


async def test_the_low_level_connects_with_a_model_as_well(there: Listening) -> None:
    client = RealtimeClient(there.url)
    await client.realtime.connect("m2")
    await client.realtime.disconnect()
    assert there.query == [("model", "m2")]


async def test_the_beta_dialect_is_said_in_the_handshake_and_in_the_updates(there: Listening) -> None:
    client = RealtimeClient(there.url, dialect="beta")
    await client.update_session(voice="verse")
    async with client:
        pass
    assert there.requests[-1].headers["OpenAI-Beta"] == "realtime=v1"
    assert there.updates == [{"voice": "verse"}]


async def test_a_server_that_is_not_there_is_told_by_its_address() -> None:
    client = RealtimeClient("ws://127.0.0.1:1/x", KEY)
    with pytest.raises(ConnectError, match=r"127\.0\.0\.1:1") as caught:
        await client.connect()
    assert KEY not in str(caught.value)
    assert not client.is_connected()


# Made, not connected


async def test_nothing_is_dialled_before_connect(there: Listening) -> None:
    client = RealtimeClient(there.url)
    await client.update_session(voice="verse")
    await client.add_tool({"name": "look"}, lambda: 1)
    assert there.requests == []


def test_without_a_url_the_key_of_the_environment_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    client = RealtimeClient()
    assert client.realtime.url is None
    assert not client.is_connected()


async def test_a_client_without_any_key_says_which_variable_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(agentkit.AgentkitError, match="OPENAI_API_KEY"):
        await RealtimeClient().connect()


def test_a_key_in_a_browsers_page_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "emscripten")
    with pytest.raises(ValueError, match="dangerously_allow_api_key_in_browser") as caught:
        RealtimeClient(api_key=KEY)
    assert KEY not in str(caught.value)
    RealtimeClient("ws://127.0.0.1:1/relay")
    RealtimeClient(api_key=KEY, dangerously_allow_api_key_in_browser=True)


@pytest.mark.parametrize("options", [{"url": "ws://127.0.0.1:1"}, {"api_key": KEY}, {"model": "m1"}])
def test_a_provider_is_instead_of_an_address_a_key_or_a_model(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a provider knows its url, api_key and model"):
        RealtimeClient(provider=Local(), **options)


@pytest.mark.parametrize("options", [{"url": "ftp://127.0.0.1:1"}, {"url": "127.0.0.1"}, {"url": ""}])
def test_an_address_that_cannot_be_dialled_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="ws"):
        RealtimeClient(**options)


def test_the_defaults_are_those_of_the_reference_client() -> None:
    config = RealtimeClient(provider=Local()).default_session_config
    assert config == {
        "modalities": ["text", "audio"],
        "instructions": "",
        "voice": "alloy",
        "input_audio_format": "pcm16",
        "output_audio_format": "pcm16",
        "input_audio_transcription": None,
        "turn_detection": None,
        "tools": [],
        "tool_choice": "auto",
        "temperature": 0.8,
        "max_response_output_tokens": 4096,
    }
    assert RealtimeClient(provider=Local()).conversation.default_frequency == 24000


async def test_layers_and_guards_are_made_for_every_connection() -> None:
    opened: list[str] = []

    class Counting(Middleware):
        def __init__(self, what: str) -> None:
            self._what = what

        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            opened.append(self._what)
            yield

    client = RealtimeClient(
        provider=Local(), middleware=lambda: [Counting("layer")], guards=lambda: [Counting("guard")]
    )
    for _ in range(2):
        async with client:
            pass
    assert sorted(opened) == ["guard", "guard", "layer", "layer"]


async def test_the_limits_reach_the_session() -> None:
    async with RealtimeClient(provider=Local(), limits=agentkit.SessionLimits(turns=1)) as client:
        await client.send_user_message_content(["Hello!"])
        assert (await client.wait_for_next("close", 5)).cause == "limit"


def test_every_option_of_the_client_is_documented() -> None:
    documented = inspect.getdoc(ConnectedClient.__init__) or ""
    names = list(inspect.signature(ConnectedClient.__init__).parameters)[1:]
    assert [name for name in names if f"{name}:" not in documented] == []
