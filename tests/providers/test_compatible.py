"""The ``compatible`` provider."""

from typing import Any, Literal

import pytest

from agentkit.errors import ConnectError
from agentkit.events.dialects import Dialect
from agentkit.providers import Compatible, CompatibleConfig
from agentkit.transports import ConnectOptions
from agentkit.values import Secret

pytestmark = pytest.mark.anyio
KEY = "canary0123456789abcdef"


async def asked(listening: Any, provider: Compatible) -> Any:
    """Connect, and give the request that the server saw."""
    async with provider.connect() as transport:
        assert await transport.receive() == b"hello"
    return listening.requests[-1]


async def test_the_url_is_dialled_as_it_is_without_a_key_or_model(listening: Any) -> None:
    request = await asked(listening, Compatible(listening.url))
    assert request.path == "/v1/realtime"
    assert not {"Authorization", "api-key", "X-API-Key", "OpenAI-Beta"} & set(request.headers)


async def test_an_http_url_is_dialled_as_a_websocket(listening: Any) -> None:
    assert (await asked(listening, Compatible(listening.url.replace("ws://", "http://")))).path == "/v1/realtime"


async def test_a_query_is_kept_and_the_model_added(listening: Any) -> None:
    provider = Compatible(f"{listening.url}?deployment=d&api-version=v", "m x", query={"language": "en"})
    assert (await asked(listening, provider)).path == "/v1/realtime?deployment=d&api-version=v&model=m%20x&language=en"
    assert provider.model == "m x"


async def test_a_model_in_the_url_wins(listening: Any) -> None:
    provider = Compatible(f"{listening.url}?model=mine", "other")
    assert (await asked(listening, provider)).path == "/v1/realtime?model=mine"
    assert provider.model == "mine"


@pytest.mark.parametrize(
    "auth, header, value",
    [("bearer", "Authorization", f"Bearer {KEY}"), ("api-key", "api-key", KEY), ("x-api-key", "X-API-Key", KEY)],
)
async def test_the_key_is_sent_in_the_chosen_header(
    listening: Any, auth: Literal["bearer", "api-key", "x-api-key"], header: str, value: str
) -> None:
    request = await asked(listening, Compatible(listening.url, api_key=KEY, auth=auth))
    assert request.headers[header] == value
    assert [name for name, sent in request.headers.raw_items() if KEY in sent] == [header]


async def test_the_key_is_sent_in_the_query_where_that_is_chosen(listening: Any) -> None:
    provider = Compatible(f"{listening.url}?a=1", api_key="a/b+c=" + KEY, auth="query")
    assert (await asked(listening, provider)).path == f"/v1/realtime?a=1&api_key=a%2Fb%2Bc%3D{KEY}"
    assert KEY not in repr(provider)


async def test_a_function_gives_the_key_for_every_dial(listening: Any) -> None:
    keys = iter(["first-key", "second-key"])

    async def give() -> str:
        return next(keys)

    provider = Compatible(listening.url, api_key=give, auth="api-key")
    assert [(await asked(listening, provider)).headers["api-key"] for _ in range(2)] == ["first-key", "second-key"]


async def test_what_the_key_function_raises_is_not_hidden(listening: Any) -> None:
    async def give() -> str:
        raise LookupError("the vault is sealed")

    with pytest.raises(LookupError, match="sealed"):
        async with Compatible(listening.url, api_key=give).connect():
            pass


async def test_an_empty_key_is_refused_before_anything_is_dialled(listening: Any) -> None:
    with pytest.raises(ConnectError, match="given as api_key is empty") as caught:
        async with Compatible(listening.url, api_key="").connect():
            pass
    assert not caught.value.retryable
    assert listening.requests == []


async def test_the_beta_dialect_says_so_in_a_header(listening: Any) -> None:
    provider = Compatible(listening.url, dialect="beta")
    assert provider.dialect is Dialect.BETA
    assert (await asked(listening, provider)).headers["OpenAI-Beta"] == "realtime=v1"


async def test_a_beta_header_of_the_user_is_kept(listening: Any) -> None:
    provider = Compatible(listening.url, dialect=Dialect.BETA, headers={"openai-beta": "realtime=v2"})
    assert (await asked(listening, provider)).headers.get_all("OpenAI-Beta") == ["realtime=v2"]


async def test_a_header_may_hold_the_key_in_place_of_api_key(listening: Any) -> None:
    provider = Compatible(listening.url, headers={"Authorization": "Basic Zm9v"})
    assert (await asked(listening, provider)).headers["Authorization"] == "Basic Zm9v"


@pytest.mark.parametrize("kind", ["key", "header", "none"])
async def test_a_refused_key_is_named_by_where_it_came_from(listening: Any, kind: str) -> None:
    url = listening.url.replace("/v1/realtime", "/refuse")
    provider = {
        "key": Compatible(url, api_key=KEY),
        "header": Compatible(url, headers={"X-Token": KEY}),
        "none": Compatible(url),
    }[kind]
    with pytest.raises(ConnectError) as caught:
        async with provider.connect():
            pass
    named = {
        "key": "the key given as api_key ending in cdef",
        "header": "the key in the header X-Token ending in cdef",
        "none": "a connection without a key",
    }
    assert named[kind] in str(caught.value)
    assert caught.value.status == 401


def test_a_key_and_a_header_that_holds_one_cannot_both_be_given(anyio_backend: str) -> None:
    with pytest.raises(ValueError, match="leave one out"):
        Compatible("ws://h/", api_key=KEY, headers={"authorization": "x"})


def test_a_way_to_send_the_key_that_is_not_known_is_refused(anyio_backend: str) -> None:
    with pytest.raises(ValueError, match="bearer, api-key, x-api-key or query"):
        Compatible("ws://h/", auth="basic")  # type: ignore[arg-type]  # what a caller without a type checker does


def test_a_bad_url_is_refused_when_the_provider_is_made(anyio_backend: str) -> None:
    with pytest.raises(ValueError, match="must begin with ws://"):
        Compatible("localhost:8000/v1/realtime")


def test_no_secret_is_in_a_repr(anyio_backend: str) -> None:
    config = CompatibleConfig(url=f"ws://h/?api_key={KEY}", api_key=Secret(KEY), headers={"X-Token": KEY})
    provider = Compatible(config.url, headers=config.headers)
    assert KEY not in repr(config) + repr(provider)
    assert "ws://h/" in repr(provider)


async def test_a_config_gives_the_same_provider(listening: Any) -> None:
    config = CompatibleConfig(
        url=listening.url,
        model="m",
        api_key=Secret(KEY),
        headers={"X-Trace": "1"},
        query={"q": "1"},
        dialect="beta",
        auth="x-api-key",
        connection=ConnectOptions(compression=True),
    )
    request = await asked(listening, Compatible.from_config(config))
    assert request.path == "/v1/realtime?model=m&q=1"
    assert [request.headers[name] for name in ("X-Trace", "X-API-Key", "OpenAI-Beta")] == ["1", KEY, "realtime=v1"]
    assert "permessage-deflate" in request.headers["Sec-WebSocket-Extensions"]
