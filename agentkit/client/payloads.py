"""What handlers of the client's own events are given."""

from typing import Any

from agentkit.client.items import Delta, Item
from agentkit.client.plain import PlainDict, PlainStruct


class RealtimeEvent(PlainStruct, frozen=True, kw_only=True):
    """``realtime.event``: an event as it went over the wire."""

    time: str
    """ISO 8601, UTC, with milliseconds."""
    source: str
    """``client`` or ``server``."""
    event: PlainDict
    """The event, as it was on the wire."""


class Updated(PlainStruct, frozen=True, kw_only=True):
    """``conversation.updated``: an item changed."""

    item: Item
    delta: Delta | None = None
    """What was added; None where the item changed as a whole."""
    deleted: bool = False
    """Whether it has left the conversation."""


class Appended(PlainStruct, frozen=True, kw_only=True):
    """``conversation.item.appended`` and ``conversation.item.completed``: one item."""

    item: Item


class Interruption(PlainStruct, frozen=True, kw_only=True):
    """``conversation.interrupted``: the user cut the agent off."""

    item_id: str | None = None
    """The item that was playing, if one was."""
    heard_ms: int | None = None
    heard_text: str | None = None
    """What of it was heard: an estimate."""


class Failure(PlainStruct, frozen=True, kw_only=True):
    """``error``: the server reported an error, the connection was lost, or a handler failed."""

    type: str = "error"
    error: BaseException
    message: str
    code: str | None = None
    param: str | None = None
    event_id: str | None = None
    """Of the client event that caused it, where the server says which."""
    command: Any = None
    """That client event."""


class Noticed(PlainStruct, frozen=True, kw_only=True):
    """``notice``: something that a person should know, as that a press of the key was too short to be a turn."""

    level: str
    """``info``, ``warning`` or ``error``."""
    code: str
    message: str
    hint: str | None = None


class Closed(PlainStruct, frozen=True, kw_only=True):
    """``close``: there is no connection any more."""

    error: bool
    """Whether it was not asked for."""
    cause: str
    """``closed`` (by us), ``ended_by_server``, ``connection_lost``, ``limit`` or ``failed``."""
    code: int | None = None
    """The WebSocket close code, where one came."""
    reason: str | None = None
