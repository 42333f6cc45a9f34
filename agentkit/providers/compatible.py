"""The ``compatible`` provider: any server that speaks the Realtime protocol, at any address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Literal

from msgspec import Struct, field

from agentkit.errors import ConnectError
from agentkit.events.dialects import Dialect
from agentkit.providers.addresses import check_url, query_value, websocket_url
from agentkit.providers.credentials import ApiKey, check_headers, header_label, resolve_key
from agentkit.transports.base import Provider, Transport
from agentkit.transports.endpoint import ConnectOptions, Endpoint
from agentkit.transports.redact import safe_url
from agentkit.values import Secret

Auth = Literal["bearer", "api-key", "x-api-key", "query"]
"""How the key is shown to the server."""

_AUTH_HEADERS = {"bearer": "Authorization", "api-key": "api-key", "x-api-key": "X-API-Key"}
_BETA_HEADER = {"OpenAI-Beta": "realtime=v1"}


class CompatibleConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of the ``compatible`` provider."""

    url: str
    """The address, dialled as it is; http and https stand for ws and wss."""
    model: str | None = None
    """Added to the address's query, unless it is there."""
    api_key: Secret | None = None
    """The key, where the server wants one."""
    headers: dict[str, str] = field(default_factory=dict)
    """More headers for the handshake."""
    query: dict[str, str] = field(default_factory=dict)
    """More keys for the address's query."""
    dialect: Literal["ga", "beta"] = "ga"
    """What is sent; names of both dialects are understood."""
    auth: Auth = "bearer"
    """How the key is sent: ``Authorization: Bearer``, ``api-key``, ``X-API-Key``, or ``api_key`` in the query."""
    connection: ConnectOptions = ConnectOptions()
    """Limits and settings of the WebSocket connection."""

    def __repr__(self) -> str:
        return f"CompatibleConfig(url={safe_url(self.url)!r}, model={self.model!r}, dialect={self.dialect!r})"


class Compatible(Provider):
    """Any server that speaks the Realtime protocol."""

    name = "compatible"
    reconnects = True

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        api_key: ApiKey | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        dialect: Dialect | Literal["ga", "beta"] = Dialect.GA,
        auth: Auth = "bearer",
        connection: ConnectOptions | None = None,
    ) -> None:
        """Make the provider; nothing is dialled yet.

        Args:
            url: The address, dialled as it is; http and https stand for ws and wss. Keys of its query stay.
            model: Added to the query, unless it is there.
            api_key: The key, or a function (sync or async) that gives one for every dial.
            headers: More headers for the handshake.
            query: More keys for the query.
            dialect: What is sent; names of both dialects are understood.
            auth: How the key is sent: ``Authorization: Bearer``, ``api-key``, ``X-API-Key``, or in the query as
                ``api_key``.
            connection: Limits and settings of the WebSocket connection.

        Raises:
            ValueError: The URL, a header, the dialect or the way to send the key cannot be used.
        """
        check_url(url)
        self.dialect = Dialect(dialect)
        self._headers = dict(headers or {})
        check_headers(self._headers)
        if auth not in (*_AUTH_HEADERS, "query"):
            raise ValueError(f"auth is bearer, api-key, x-api-key or query, not {auth!r}")
        taken = next((name for name in self._headers if name.lower() == _AUTH_HEADERS.get(auth, "").lower()), None)
        if taken is not None and api_key is not None:
            raise ValueError(f"both api_key and the header {taken} give a key: leave one out")
        if self.dialect is Dialect.BETA and not any(name.lower() == "openai-beta" for name in self._headers):
            self._headers |= _BETA_HEADER
        self.model = query_value(url, "model") or model
        self._url = websocket_url(url, {"model": model, **(query or {})})
        self._auth = auth
        self._api_key = api_key
        self._options = connection or ConnectOptions()

    @classmethod
    def from_config(cls, config: CompatibleConfig) -> Compatible:
        """Make the provider from its options.

        Raises:
            ValueError: The URL, a header, the dialect or the way to send the key cannot be used.
        """
        return cls(
            config.url,
            config.model,
            api_key=config.api_key,
            headers=config.headers,
            query=config.query,
            dialect=config.dialect,
            auth=config.auth,
            connection=config.connection,
        )

    def __repr__(self) -> str:
        return f"Compatible(url={safe_url(self._url)!r}, model={self.model!r}, dialect={self.dialect.value!r})"

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Transport]:
        """Open one connection; see ``Provider.connect``.

        Raises:
            ConnectError: The key is empty, or the connection could not be opened.
        """
        key, label = await resolve_key(self._api_key)
        if key is None and self._api_key is not None:
            raise ConnectError(
                f"the key {label} is empty: set it, or leave api_key out if {safe_url(self._url)} wants none",
                retryable=False,
            )
        # Not at the top: what only configures a provider needs no WebSocket client.
        from agentkit.transports.websocket import open_websocket

        async with open_websocket(self._endpoint(key, label), self._options) as transport:
            yield transport

    def _endpoint(self, key: str | None, label: str) -> Endpoint:
        url, headers = self._url, self._headers
        if key is None:
            return Endpoint(url=url, headers=headers, key_label=header_label(headers), model=self.model)
        if self._auth == "query":
            url = websocket_url(url, {"api_key": key})
        else:
            value = f"Bearer {key}" if self._auth == "bearer" else key
            headers = headers | {_AUTH_HEADERS[self._auth]: value}
        return Endpoint(url=url, headers=headers, key_label=label, model=self.model)
