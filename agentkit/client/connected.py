"""The client's connection, settings and tools; ``RealtimeClient`` adds the conversation."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Literal, TypeVar

import msgspec

from agentkit.client.calling import AddedTool, checked_name, tool_of
from agentkit.client.connection import Connection, Tap
from agentkit.client.conversation import RealtimeConversation
from agentkit.client.fields import (
    DEFAULT_VAD,
    DEFAULTS,
    check_fields,
    flattened,
    manual_tool,
    settings_of,
    turn_detection_type,
)
from agentkit.client.handlers import EventHandlers
from agentkit.client.plain import PlainDict, plain
from agentkit.client.realtime import RealtimeAPI, not_connected
from agentkit.client.telling import Teller
from agentkit.errors import AgentkitError, LocalProtocolError, ServerError
from agentkit.events import FunctionTool, SessionUpdate, encode_client
from agentkit.middleware import Middleware
from agentkit.protocol import Limits
from agentkit.providers import Compatible, OpenAI
from agentkit.providers.credentials import ApiKey
from agentkit.session import Reconnect, Session, SessionLimits, open
from agentkit.tools import Tool
from agentkit.transports.base import Provider

KEEP_AUDIO_BYTES = 64 << 20
"""The agent's audio kept for ``formatted.audio``, and as much of the user's: 23 minutes of PCM16 each."""
C = TypeVar("C", bound="ConnectedClient")


class ConnectedClient(EventHandlers):
    """What of a client has to do with its connection."""

    names = (
        "realtime.event",
        "conversation.updated",
        "conversation.item.appended",
        "conversation.item.completed",
        "conversation.interrupted",
        "notice",
        "error",
        "close",
    )

    def __init__(
        self,
        url: str | None = None,
        api_key: ApiKey | None = None,
        *,
        model: str | None = None,
        dialect: Literal["ga", "beta"] = "ga",
        auth: Literal["bearer", "api-key", "x-api-key", "query"] = "bearer",
        headers: Mapping[str, str] | None = None,
        provider: Provider | None = None,
        middleware: Callable[[], Sequence[Middleware]] = list,
        guards: Callable[[], Sequence[Middleware]] = list,
        limits: SessionLimits | None = None,
        context: object = None,
        keep_audio_bytes: int = KEEP_AUDIO_BYTES,
        ready_timeout: float = 10.0,
        debug: bool = False,
        dangerously_allow_api_key_in_browser: bool = False,
    ) -> None:
        """Make a client; nothing is dialled yet.

        Args:
            url: The address; OpenAI's by default. Keys of its query stay.
            api_key: The key, or a function that gives one for every dial; for OpenAI, by default the environment's
                OPENAI_API_KEY.
            model: The model, for the address's query.
            dialect: What is sent to ``url``; names of both dialects are understood.
            auth: How the key is shown to ``url``.
            headers: More headers for the handshake.
            provider: Where to connect, instead of all of the above.
            middleware: Makes the layers of each connection.
            guards: Makes the layers that have the last word.
            limits: What a session may do at most.
            context: Reaches the tools that ask for a ``ToolContext``.
            keep_audio_bytes: The agent's audio kept for ``formatted.audio``, and as much of the user's.
            ready_timeout: Seconds that the server may take until the session is ready.
            debug: Log every event, to the logger ``agentkit.client``.
            dangerously_allow_api_key_in_browser: Allow a key where this runs in a browser's page.

        Raises:
            ValueError: The options contradict each other, cannot be used, or give a key away to a browser's page.
        """
        super().__init__()
        if url is not None and not isinstance(url, str):
            raise TypeError(f"url has to be a string, not {type(url).__name__}; options are keywords, as api_key=...")
        if api_key is not None and sys.platform == "emscripten" and not dangerously_allow_api_key_in_browser:
            raise ValueError(
                "whoever opens the page can read the key: connect to a server of your own by url=, "
                "or set dangerously_allow_api_key_in_browser"
            )
        if provider is not None and (url is not None or api_key is not None or model is not None):
            raise ValueError("a provider knows its url, api_key and model: leave them out")
        self._provider = provider
        self._options: dict[str, Any] = {"api_key": api_key, "headers": headers}
        self._model = model
        self._dialect = dialect
        self._auth = auth
        self._middleware = middleware
        self._guards = guards
        self._limits = limits or SessionLimits()
        self._context = context
        self._keep_audio_bytes = keep_audio_bytes
        self._ready_timeout = ready_timeout
        self._fields: dict[str, Any] = {}
        self._connection: Connection | None = None
        self._opening: Connection | None = None
        self.dropped_input = 0
        """Bytes of the user's audio that were dropped because there was no connection."""
        self.tools: dict[str, AddedTool] = {}
        """Tools that were added, by name: ``definition`` and ``handler``."""
        self.realtime = RealtimeAPI(self, url, debug=debug)
        """Raw events, as they go over the wire."""
        self.conversation = RealtimeConversation(
            lambda: self._connection.session if self._connection is not None else None
        )
        """The items of the conversation; they stay after a lost connection, until the next one or ``disconnect``."""
        self._teller = Teller(self, self.realtime)
        self._make_provider(None)

    # Connection

    @property
    def _session(self) -> Session | None:
        connection = self._opening or self._connection
        session = connection.session if connection is not None else None
        return session if session is not None and session.ended is None else None

    @property
    def session(self) -> Session:
        """The session behind the client, which can do more.

        Raises:
            LocalProtocolError: The client is not connected.

        Example:
            >>> async def play(client):
            ...     client.session.playback.follow_real_time()
        """
        session = self._session
        if session is None:
            raise not_connected(self._closed)
        return session

    def is_connected(self) -> bool:
        """Tell whether there is a connection and its session is ready.

        Example:
            >>> from agentkit import Local, RealtimeClient
            >>> RealtimeClient(provider=Local()).is_connected()
            False
        """
        return self._session is not None

    async def connect(self, model: str | None = None) -> None:
        """Connect, ask for the settings and tools, and wait until the server has confirmed them.

        Args:
            model: Another model than the client's.

        Raises:
            LocalProtocolError: There is a connection already.
            ConnectError: It could not be opened.
            ServerError: The server refused the settings.
            RemoteProtocolError: The server did not answer as a Realtime server does.
            SessionClosedError: ``disconnect`` was called meanwhile.

        Example:
            >>> async def main(client):
            ...     await client.connect()
        """
        if self._opening is not None or self.is_connected():
            raise LocalProtocolError("the client is connected already; use disconnect() first")
        provider = self._make_provider(model)
        connection = self._opening = Connection(lambda tap: self._open(provider, tap), self._teller)
        asked = dict(self._fields), dict(self.tools)
        try:
            session = await connection.open()
            self._connection = connection
        finally:
            self._opening = None
        if asked != (self._fields, self.tools):  # by another task, while this one connected
            await self._ask_for_all(session)

    async def disconnect(self) -> None:
        """Disconnect; the conversation is forgotten, settings, tools and handlers stay.

        Example:
            >>> async def stop(client):
            ...     await client.disconnect()
        """
        connection = self._opening or self._connection
        try:
            if connection is not None:
                await connection.close()
        finally:
            if self._connection is connection:
                self._connection = None

    async def reset(self) -> None:
        """Disconnect, and forget handlers, settings and tools.

        Example:
            >>> async def start_anew(client):
            ...     await client.reset()
        """
        await self.disconnect()
        self.clear_event_handlers()
        self.realtime.clear_event_handlers()
        self._fields.clear()
        self.tools.clear()

    async def __aenter__(self: C) -> C:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def wait_for_session_created(self) -> None:
        """Wait until the session is there; it is, once ``connect`` has returned.

        Raises:
            LocalProtocolError: The client is not connected.

        Example:
            >>> async def ready(client):
            ...     await client.wait_for_session_created()
        """
        _ = self.session

    def _make_provider(self, model: str | None) -> Provider:
        if self._provider is not None:
            return self._provider
        model = model or self._model
        if self.realtime.url is None:
            return OpenAI(**self._options) if model is None else OpenAI(model, **self._options)
        return Compatible(self.realtime.url, model, dialect=self._dialect, auth=self._auth, **self._options)

    def _open(self, provider: Provider, tap: Tap) -> AbstractAsyncContextManager[Session]:
        keep = {"keep_audio_bytes": self._keep_audio_bytes, "keep_input_bytes": self._keep_audio_bytes}
        core: Limits = msgspec.structs.replace(self._limits.core, **keep)
        return open(
            provider,
            tools=self._all_tools(),
            middleware=[tap, *self._middleware()],
            guards=self._guards(),
            settings=settings_of(self._fields),
            limits=msgspec.structs.replace(self._limits, core=core),
            context=self._context,
            ready_timeout=self._ready_timeout,
            reconnect=Reconnect(attempts=0),  # as the reference client: "disconnected", and connect() again
        )

    # Settings and tools

    @property
    def default_session_config(self) -> PlainDict:
        """What the reference client asks for unasked; here nothing is sent but what you set."""
        return PlainDict(plain(DEFAULTS))

    @property
    def default_server_vad_config(self) -> PlainDict:
        """Turn detection with the reference client's numbers, to be changed and given to ``update_session``."""
        return PlainDict(plain(DEFAULT_VAD))

    @property
    def session_config(self) -> PlainDict:
        """The fields that were set by ``update_session``."""
        return PlainDict(plain(self._fields))

    def get_turn_detection_type(self) -> str | None:
        """Return ``server_vad`` or ``semantic_vad``; None where the client ends the user's turns.

        Example:
            >>> from agentkit import Local, RealtimeClient
            >>> RealtimeClient(provider=Local()).get_turn_detection_type() is None
            True
        """
        session = self._session
        if session is None:
            return turn_detection_type(self._fields)
        return None if session.mode == "push_to_talk" else session.mode

    async def update_session(self, config: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
        """Set fields of the session; only these are sent, on connecting where there is no connection yet.

        Args:
            config: Fields as one object, as in JavaScript; those given by name count more.
            **fields: ``modalities``, ``instructions``, ``voice``, ``input_audio_format``, ``output_audio_format``,
                ``input_audio_transcription``, ``turn_detection``, ``tools``, ``tool_choice``, ``temperature`` (beta
                only), ``max_response_output_tokens``; or GA's own names. ``tools`` are tools without a handler, whose
                calls you answer yourself.

        Raises:
            TypeError: There is no such field.
            ValueError: A field cannot have this value.
            LocalProtocolError: The dialect has no such field.
            ServerError: The server refused it; nothing has changed.

        Example:
            >>> async def quiet(client):
            ...     await client.update_session(instructions="Be brief.", turn_detection={"type": "server_vad"})
        """
        fields = {**(config or {}), **fields}
        check_fields(fields)
        defined = [manual_tool(tool).name for tool in fields.get("tools") or ()]
        for name in defined:
            if name in self.tools or defined.count(name) > 1:
                raise LocalProtocolError(f"the tool {name!r} is defined already")
        settings = settings_of(fields)
        if settings is not None:
            encode_client(SessionUpdate(session=settings), self._make_provider(None).dialect)
        flat = flattened(fields)
        before = {name: self._fields[name] for name in flat if name in self._fields}
        self._fields.update(flat)
        session = self._session
        if session is None:
            return
        offered = False
        try:
            if "tools" in fields:  # first: tool_choice may name one of them
                await session.set_tools(self._all_tools())
                offered = True
            if settings is not None:
                await session.update(settings)
        except AgentkitError as exc:  # who is cancelled has asked all the same
            self._take_back(flat, before)
            if offered and isinstance(exc, ServerError | LocalProtocolError):
                await session.set_tools(self._all_tools())
            raise

    async def _ask_for_all(self, session: Session) -> None:
        try:
            await session.set_tools(self._all_tools())
            settings = settings_of(self._fields)
            if settings is not None:
                await session.update(settings)
        except ServerError:
            await self.disconnect()
            raise

    def _take_back(self, fields: dict[str, Any], before: dict[str, Any]) -> None:
        """Set fields to what they were, but for those that somebody has set meanwhile."""
        for name, value in fields.items():
            if name in self._fields and self._fields[name] is value:
                del self._fields[name]
                self._fields.update({name: before[name]} if name in before else {})

    async def add_tool(self, definition: Mapping[str, Any], handler: Callable[..., object]) -> AddedTool:
        """Add a tool and what answers its calls; the server is told.

        Args:
            definition: ``name``, ``description`` and ``parameters``, a JSON Schema.
            handler: Sync (then it runs in a thread) or async. It gets the arguments by name where its parameters have
                the names of the properties, else as one object. What it returns is sent as JSON, a string as it is.

        Raises:
            LocalProtocolError: There is a tool of this name.
            TypeError: The definition or the handler cannot be used.
            ServerError: The server refused it; it was not added.

        Example:
            >>> async def weather(lat, lng):
            ...     return {"celsius": 21}
            >>> async def add(client):
            ...     numbers = {"lat": {"type": "number"}, "lng": {"type": "number"}}
            ...     schema = {"type": "object", "properties": numbers, "required": ["lat", "lng"]}
            ...     await client.add_tool({"name": "get_weather", "parameters": schema}, weather)
        """
        name = checked_name(definition)
        if name in self.tools or name in [tool.name for tool in self._manual()]:
            raise LocalProtocolError(f"the tool {name!r} was added already; use remove_tool({name!r}) first")
        tool_of(definition, handler)
        added = self.tools[name] = AddedTool(definition=plain(definition), handler=handler)
        try:
            if self._session is not None:
                await self._session.set_tools(self._all_tools())
        except AgentkitError:
            self.tools.pop(name, None)
            raise
        return added

    async def remove_tool(self, name: str) -> None:
        """Take a tool away; the server is told.

        Raises:
            LocalProtocolError: There is no such tool.

        Example:
            >>> async def remove(client):
            ...     await client.remove_tool("get_weather")
        """
        removed = self.tools.pop(name, None)
        if removed is None:
            raise LocalProtocolError(f"the tool {name!r} was not added, so it cannot be removed")
        try:
            if self._session is not None:
                await self._session.set_tools(self._all_tools())
        except AgentkitError:
            self.tools[name] = removed
            raise

    def _manual(self) -> list[FunctionTool]:
        return [manual_tool(definition) for definition in self._fields.get("tools") or ()]

    def _all_tools(self) -> "list[Tool[..., object] | FunctionTool]":
        return [*self._manual(), *(tool_of(each.definition, each.handler) for each in self.tools.values())]
