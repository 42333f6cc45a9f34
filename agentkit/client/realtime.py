"""The low level of the client: raw events, as they go over the wire."""

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from agentkit.client.handlers import EventHandlers
from agentkit.errors import AgentkitError, ConnectionLostError, LocalProtocolError
from agentkit.events import ClientEvent, MalformedEvent, UnknownClientEvent, UnknownEvent, decode_client
from agentkit.masking import Masker

if TYPE_CHECKING:
    from agentkit.client.connected import ConnectedClient

logger = logging.getLogger("agentkit.client")


class RealtimeAPI(EventHandlers):
    """Raw events: ``on("server.response.done")``, ``on("client.*")``, and ``send``.

    A name of either dialect finds the events of both. Handlers get a dict of their own, as it was on the wire.
    """

    names = ("server.*", "client.*")

    def __init__(self, client: "ConnectedClient", url: str | None, *, debug: bool) -> None:
        super().__init__()
        self._client = client
        self.url = url
        """The address that is dialled; None where a provider knows it."""
        self.debug = debug
        if debug:
            logger.setLevel(logging.DEBUG)
            if not logger.hasHandlers():
                logger.addHandler(logging.StreamHandler())
        """Whether every event is logged, to the logger ``agentkit.client`` at the level DEBUG; keys are masked."""

    @cached_property
    def _masker(self) -> Masker:
        return Masker()

    def is_connected(self) -> bool:
        """Tell whether there is a connection.

        Example:
            >>> from agentkit import Local, RealtimeClient
            >>> RealtimeClient(provider=Local()).realtime.is_connected()
            False
        """
        return self._client.is_connected()

    async def connect(self, model: str | None = None) -> None:
        """Connect, as ``RealtimeClient.connect``.

        Example:
            >>> async def main(client):
            ...     await client.realtime.connect(model="gpt-realtime")
        """
        await self._client.connect(model)

    async def disconnect(self) -> None:
        """Disconnect, as ``RealtimeClient.disconnect``.

        Example:
            >>> async def stop(client):
            ...     await client.realtime.disconnect()
        """
        await self._client.disconnect()

    async def send(self, name: str, data: "dict[str, Any] | None" = None) -> None:
        """Send an event, in either dialect's shape; it passes the layers and the engine's rules.

        Args:
            name: The event's type; one that is not known here is sent as it is, one that begins with ``app.`` is told
                to the handlers of ``client.app...`` and goes no further.
            data: Its other fields.

        Raises:
            LocalProtocolError: There is no connection, or the event may not be sent now.
            ValueError: The fields do not fit an event of this type.

        Example:
            >>> async def greet(client):
            ...     item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
            ...     await client.realtime.send("conversation.item.create", {"item": item})
            ...     await client.realtime.send("response.create")
        """
        await self._client.session.send(_event(name, data or {}))

    def log(self, direction: str, name: str, event: dict[str, Any]) -> None:
        """Log an event, where ``debug`` is on."""
        if self.debug:
            shown = self._masker.bytes(msgspec.json.encode(event)).decode("utf-8", "backslashreplace")
            logger.debug("%s %s %s", "received" if direction == "in" else "sent", name, shown)


def _event(name: str, data: dict[str, Any]) -> ClientEvent:
    if not isinstance(data, dict):
        raise ValueError(f"the fields of {name} have to be a dict, not {type(data).__name__}")
    try:
        event = decode_client(msgspec.json.encode({**data, "type": name}))
    except (TypeError, ValueError) as exc:
        raise ValueError(f"{name} cannot be sent as JSON: {exc}") from exc
    if isinstance(event, MalformedEvent):
        raise ValueError(f"these fields make no {name}: {event.reason}")
    if isinstance(event, UnknownEvent):
        rest = {key: value for key, value in event.data.items() if key not in ("type", "event_id")}
        return UnknownClientEvent(wire_type=name, data=rest, event_id=event.event_id)
    return event


def not_connected(lost: AgentkitError | None = None) -> LocalProtocolError:
    """Return the error of what needs a connection, which may have been lost."""
    if isinstance(lost, ConnectionLostError):
        return LocalProtocolError(f"the client is not connected any more: {lost}; use connect() again")
    return LocalProtocolError("the client is not connected; use connect() first")
