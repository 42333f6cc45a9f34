"""The ``openai`` provider: OpenAI's Realtime API, in the GA dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Literal

from msgspec import Struct, field

from agentkit.errors import ConnectError
from agentkit.events.dialects import Dialect
from agentkit.providers.addresses import check_url, query_value, websocket_url
from agentkit.providers.credentials import ApiKey, check_headers, resolve_key
from agentkit.transports.base import Provider, Transport
from agentkit.transports.endpoint import ConnectOptions, Endpoint
from agentkit.values import Secret

DEFAULT_URL = "wss://api.openai.com/v1/realtime"
KEY_VARIABLE = "OPENAI_API_KEY"
KNOWN_MODELS = ("gpt-realtime", "gpt-realtime-2", "gpt-realtime-mini", "gpt-realtime-whisper")
"""Only for suggestions where a model is refused; any name is sent as it is."""


class OpenAIConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of the ``openai`` provider."""

    model: str = "gpt-realtime"
    """The model; not sent where the address joins a call or transcribes."""
    api_key: Secret | None = None
    """The key; without it, that of the environment variable OPENAI_API_KEY."""
    url: str = DEFAULT_URL
    """The address, for a gateway in front of the API."""
    organization: str | None = None
    """Sent as OpenAI-Organization."""
    project: str | None = None
    """Sent as OpenAI-Project."""
    safety_identifier: str | None = None
    """Sent as OpenAI-Safety-Identifier: a stable, hashed name of the end user."""
    intent: Literal["realtime", "transcription"] | None = None
    """What the connection is for; ``transcription`` takes its model from the settings."""
    call_id: str | None = None
    """Join a WebRTC or SIP call that is under way."""
    query: dict[str, str] = field(default_factory=dict)
    """More keys for the address's query."""
    headers: dict[str, str] = field(default_factory=dict)
    """More headers for the handshake."""
    connection: ConnectOptions = ConnectOptions()
    """Limits and settings of the WebSocket connection."""

    def __repr__(self) -> str:
        return f"OpenAIConfig(model={self.model!r})"


class OpenAI(Provider):
    """OpenAI's Realtime API."""

    name = "openai"
    dialect = Dialect.GA
    reconnects = True

    def __init__(
        self,
        model: str = "gpt-realtime",
        api_key: ApiKey | None = None,
        *,
        url: str = DEFAULT_URL,
        organization: str | None = None,
        project: str | None = None,
        safety_identifier: str | None = None,
        intent: Literal["realtime", "transcription"] | None = None,
        call_id: str | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        connection: ConnectOptions | None = None,
    ) -> None:
        """Make the provider; nothing is dialled yet.

        Args:
            model: The model; not sent with ``call_id`` or for transcription, where the server knows it otherwise.
            api_key: The key, or a function (sync or async) that gives one for every dial. Without it the
                environment variable OPENAI_API_KEY is read, at every dial too.
            url: The address, for a gateway in front of the API. Keys of its query stay.
            organization: Sent as OpenAI-Organization.
            project: Sent as OpenAI-Project.
            safety_identifier: Sent as OpenAI-Safety-Identifier: a stable, hashed name of the end user.
            intent: What the connection is for.
            call_id: Join a WebRTC or SIP call that is under way.
            query: More keys for the address's query.
            headers: More headers for the handshake.
            connection: Limits and settings of the WebSocket connection.

        Raises:
            ValueError: The URL or a header cannot be used.
        """
        check_url(url)
        own = {
            "OpenAI-Organization": organization,
            "OpenAI-Project": project,
            "OpenAI-Safety-Identifier": safety_identifier,
        }
        self._headers = dict(headers or {}) | {name: value for name, value in own.items() if value}
        check_headers(self._headers)
        if any(name.lower() == "authorization" for name in self._headers):
            raise ValueError("the header Authorization is made of the key: use api_key")
        decided_elsewhere = call_id is not None or intent == "transcription"
        self.model: str | None = query_value(url, "model") or (None if decided_elsewhere else model)
        self._url = websocket_url(
            url,
            {"model": None if decided_elsewhere else model, "intent": intent, "call_id": call_id, **(query or {})},
        )
        self._api_key = api_key
        self._options = connection or ConnectOptions()

    @classmethod
    def from_config(cls, config: OpenAIConfig) -> OpenAI:
        """Make the provider from its options.

        Raises:
            ValueError: The URL or a header cannot be used.
        """
        return cls(
            config.model,
            config.api_key,
            url=config.url,
            organization=config.organization,
            project=config.project,
            safety_identifier=config.safety_identifier,
            intent=config.intent,
            call_id=config.call_id,
            query=config.query,
            headers=config.headers,
            connection=config.connection,
        )

    def __repr__(self) -> str:
        return f"OpenAI(model={self.model!r})"

    def unset_variable(self, environ: Mapping[str, str]) -> str | None:
        """Return ``OPENAI_API_KEY`` where no key was given and it is not set."""
        return KEY_VARIABLE if self._api_key is None and not environ.get(KEY_VARIABLE, "").strip() else None

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Transport]:
        """Open one connection; see ``Provider.connect``.

        Raises:
            ConnectError: There is no key, or the connection could not be opened.
        """
        key, label = await resolve_key(self._api_key, variable=KEY_VARIABLE)
        if key is None:
            source = f"the environment variable {label} is not set" if self._api_key is None else f"{label} is empty"
            raise ConnectError(
                f"there is no OpenAI key ({source}): set it with export {KEY_VARIABLE}=...",
                retryable=False,
                hint="Keys are made at https://platform.openai.com/api-keys; the provider local needs none.",
            )
        # Not at the top: what only configures a provider needs no WebSocket client.
        from agentkit.transports.websocket import open_websocket

        endpoint = Endpoint(
            url=self._url,
            headers=self._headers | {"Authorization": f"Bearer {key}"},
            key_label=label,
            model=self.model,
            known_models=KNOWN_MODELS,
        )
        async with open_websocket(endpoint, self._options) as transport:
            yield transport
