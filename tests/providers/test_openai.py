"""The ``openai`` provider."""

import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agentkit.errors import ConnectError
from agentkit.events.dialects import Dialect
from agentkit.providers import OpenAI, OpenAIConfig
from agentkit.transports import ConnectOptions
from agentkit.values import Secret

pytestmark = pytest.mark.anyio
KEY = "sk-proj-canary0123456789"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


async def asked(listening: Any, provider: OpenAI) -> Any:
    """Connect, and give the request that the server saw."""
    async with provider.connect() as transport:
        assert await transport.receive() == b"hello"
    return listening.requests[-1]


async def refused(provider: OpenAI) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        async with provider.connect():
            pass
    assert not caught.value.retryable
    return caught.value


def test_it_speaks_ga_to_a_model_by_default(anyio_backend: str) -> None:
    provider = OpenAI()
    assert (provider.name, provider.dialect, provider.model) == ("openai", Dialect.GA, "gpt-realtime")


async def test_model_and_key_are_sent_and_no_beta_header(listening: Any) -> None:
    request = await asked(listening, OpenAI("gpt-realtime-2", KEY, url=listening.url))
    assert request.path == "/v1/realtime?model=gpt-realtime-2"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert "OpenAI-Beta" not in request.headers
    assert "OpenAI-Organization" not in request.headers


async def test_organization_project_and_end_user_are_sent(listening: Any) -> None:
    provider = OpenAI(
        api_key=KEY, url=listening.url, organization="org-1", project="proj_1", safety_identifier="hash-1"
    )
    headers = (await asked(listening, provider)).headers
    assert headers["OpenAI-Organization"] == "org-1"
    assert headers["OpenAI-Project"] == "proj_1"
    assert headers["OpenAI-Safety-Identifier"] == "hash-1"


async def test_more_headers_and_query_keys_are_sent(listening: Any) -> None:
    provider = OpenAI(api_key=KEY, url=listening.url, headers={"X-Trace": "1"}, query={"region": "eu west"})
    request = await asked(listening, provider)
    assert request.headers["X-Trace"] == "1"
    assert request.path.endswith("?model=gpt-realtime&region=eu%20west")


async def test_transcription_sends_its_intent_and_no_model(listening: Any) -> None:
    provider = OpenAI(api_key=KEY, url=listening.url, intent="transcription")
    assert (await asked(listening, provider)).path == "/v1/realtime?intent=transcription"
    assert provider.model is None


async def test_joining_a_call_sends_its_id_and_no_model(listening: Any) -> None:
    provider = OpenAI(api_key=KEY, url=listening.url, call_id="rtc_1")
    assert (await asked(listening, provider)).path == "/v1/realtime?call_id=rtc_1"


async def test_a_model_in_the_url_wins(listening: Any) -> None:
    provider = OpenAI("other", KEY, url=f"{listening.url}?model=mine")
    assert provider.model == "mine"
    assert (await asked(listening, provider)).path == "/v1/realtime?model=mine"


async def test_the_key_is_read_from_the_environment_at_every_dial(
    listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = OpenAI(url=listening.url)
    for key in ("sk-first", "sk-second\n"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        assert (await asked(listening, provider)).headers["Authorization"] == f"Bearer {key.strip()}"


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_function_gives_the_key_for_every_dial(listening: Any, is_async: bool) -> None:
    keys = iter(["sk-first", "sk-second"])

    async def later() -> str:
        return next(keys)

    give: Callable[[], str | Awaitable[str]] = later if is_async else lambda: next(keys)
    provider = OpenAI(api_key=give, url=listening.url)
    seen = [(await asked(listening, provider)).headers["Authorization"] for _ in range(2)]
    assert seen == ["Bearer sk-first", "Bearer sk-second"]


async def test_a_masked_secret_is_revealed_only_to_the_server(listening: Any) -> None:
    provider = OpenAI(api_key=Secret(KEY), url=listening.url)
    assert (await asked(listening, provider)).headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("value", [None, "", "  "])
async def test_a_missing_key_names_the_variable_before_anything_is_dialled(
    listening: Any, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is not None:
        monkeypatch.setenv("OPENAI_API_KEY", value)
    error = await refused(OpenAI(url=listening.url))
    assert "OPENAI_API_KEY" in str(error)
    assert "export" in str(error)
    assert "local" in str(error.hint)
    assert listening.requests == []


@pytest.mark.parametrize(
    "key,environ,lacking",
    [
        (None, {}, "OPENAI_API_KEY"),
        (None, {"OPENAI_API_KEY": " \n"}, "OPENAI_API_KEY"),
        (None, {"OPENAI_API_KEY": KEY}, None),
        (KEY, {}, None),
        (lambda: KEY, {}, None),
    ],
)
def test_it_says_which_variable_it_lacks_without_dialling(
    anyio_backend: str, key: Any, environ: dict[str, str], lacking: str | None
) -> None:
    assert OpenAI(api_key=key).unset_variable(environ) == lacking


async def test_an_empty_key_says_where_it_was_given(listening: Any) -> None:
    assert "given as api_key is empty" in str(await refused(OpenAI(api_key=" ", url=listening.url)))
    assert "from the api_key function is empty" in str(await refused(OpenAI(api_key=lambda: "", url=listening.url)))


@pytest.mark.parametrize("key", [f"“{KEY}”", f"{KEY}\nX-Evil: 1", f"Bearer {KEY}", f"{KEY}\x00"])
async def test_a_key_that_no_header_can_hold_is_refused_without_being_shown(listening: Any, key: str) -> None:
    error = await refused(OpenAI(api_key=key, url=listening.url))
    assert KEY not in "".join(traceback.format_exception(error))
    assert listening.requests == []


async def test_a_refused_key_is_named_by_the_variable_that_it_was_taken_from(
    listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", f"{KEY}\n")
    error = await refused(OpenAI(api_key=KEY, url=listening.url.replace("/v1/realtime", "/refuse")))
    assert error.status == 401
    assert "refused the key MY_KEY ending in 6789" in str(error)


def test_a_bad_url_is_refused_when_the_provider_is_made(anyio_backend: str) -> None:
    with pytest.raises(ValueError, match="must begin with ws://"):
        OpenAI(url="api.openai.com/v1/realtime")


@pytest.mark.parametrize(
    "headers, problem",
    [
        ({"Authorization": "Bearer x"}, "use api_key"),
        ({"X-A": "canary\r\nX-B: 1"}, "X-A holds a line end"),
        ({"X A": "1"}, "not the name of a header"),
        ({"": "1"}, "not the name of a header"),
    ],
)
def test_a_bad_header_is_refused_when_the_provider_is_made(
    anyio_backend: str, headers: dict[str, str], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        OpenAI(headers=headers)
    assert "canary" not in str(caught.value)


def test_the_key_is_in_no_repr(anyio_backend: str) -> None:
    config = OpenAIConfig(api_key=Secret(KEY))
    assert KEY not in repr(OpenAI(api_key=KEY)) + repr(config) + repr(OpenAI.from_config(config))
    assert "gpt-realtime" in repr(config)


async def test_a_config_gives_the_same_provider(listening: Any) -> None:
    config = OpenAIConfig(
        model="m",
        api_key=Secret(KEY),
        url=listening.url,
        organization="o",
        project="p",
        safety_identifier="s",
        intent="realtime",
        query={"q": "1"},
        headers={"X-Trace": "1"},
        connection=ConnectOptions(open_timeout=5),
    )
    request = await asked(listening, OpenAI.from_config(config))
    assert request.path == "/v1/realtime?model=m&intent=realtime&q=1"
    sent = [request.headers[f"OpenAI-{name}"] for name in ("Organization", "Project", "Safety-Identifier")]
    assert sent == ["o", "p", "s"]


def test_importing_and_making_a_provider_imports_no_websocket_client(anyio_backend: str) -> None:
    code = (
        "import sys; from agentkit.providers.openai import OpenAI; OpenAI();"
        "print([name for name in ('websockets', 'ssl', 'asyncio', 'anyio', 'agentkit.local') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
