"""Events that the engine makes for the application; they never touch the wire.

They pass the same middleware as server events, on their way to the application.
"""

from agentkit.errors import ServerError
from agentkit.events.base import ClientEvent, SessionEvent
from agentkit.events.settings import Usage
from agentkit.events.views import ItemView


class ItemDelta(SessionEvent, frozen=True, kw_only=True):
    """What one event added to an item; exactly the field of the kind that came is set."""

    text: str | None = None
    transcript: str | None = None
    audio: bytes | None = None
    """Samples in the session's output format."""
    arguments: str | None = None


class ConversationUpdated(SessionEvent, frozen=True, kw_only=True):
    """An item changed."""

    wire_type = "conversation.updated"
    item: ItemView
    """The item as it was then, the delta included; for one that was deleted, as it was before."""
    delta: ItemDelta | None = None
    """``None`` where the item changed as a whole."""
    deleted: bool = False
    """Whether the item has left the conversation."""


class ItemAppended(SessionEvent, frozen=True, kw_only=True):
    """An item entered the conversation."""

    wire_type = "conversation.item.appended"
    item: ItemView


class ItemCompleted(SessionEvent, frozen=True, kw_only=True):
    """An item is final: its status is ``completed`` or ``incomplete``."""

    wire_type = "conversation.item.completed"
    item: ItemView


class Interrupted(SessionEvent, frozen=True, kw_only=True):
    """The user cut the agent off while it spoke or made an answer."""

    wire_type = "conversation.interrupted"
    item_id: str | None = None
    """The item that was playing, if one was."""
    heard_ms: int | None = None
    """Milliseconds of it that were heard."""
    heard_text: str | None = None
    """What of it was heard, in words: an estimate."""
    by_speech: bool = False
    """Whether the user has begun to speak; otherwise the application has cut the agent off."""


class FlushPlayback(SessionEvent, frozen=True, kw_only=True):
    """Whoever plays the agent's audio must drop what it has not played."""

    wire_type = "playback.flush"
    item_id: str | None = None
    at_ms: int | None = None


class ToolStarted(SessionEvent, frozen=True, kw_only=True):
    """A tool's body is about to run."""

    wire_type = "tool.started"
    call_id: str
    name: str
    arguments: str
    """JSON as the model wrote it."""


class ToolFinished(SessionEvent, frozen=True, kw_only=True):
    """A call has its output."""

    wire_type = "tool.finished"
    call_id: str
    name: str
    output: str
    """What the model is told."""
    status: str
    """``ok``, ``error``, ``timeout``, ``refused``, ``cancelled``, ``unknown`` or ``invalid``."""
    seconds: float
    result: object = None
    """What the tool returned, as it was."""
    error: BaseException | None = None
    """What its body raised; the model is not told of it, but by a ``ToolError``."""

    @property
    def ok(self) -> bool:
        """Whether the tool returned a value."""
        return self.status == "ok"


class ToolCallPending(SessionEvent, frozen=True, kw_only=True):
    """The model calls a tool that has no body here; the application answers with ``session.answer``."""

    wire_type = "tool.pending"
    call_id: str
    name: str
    arguments: str


class TurnCompleted(SessionEvent, frozen=True, kw_only=True):
    """The agent has answered and will do nothing more by itself."""

    wire_type = "turn.completed"
    status: str
    """The last response's: ``completed``, ``cancelled``, ``incomplete`` or ``failed``."""
    text: str
    """All the text and transcripts of the turn's messages, joined."""
    responses: int
    """How many responses the turn took, tool rounds included."""
    tool_calls: int
    first_output_seconds: float | None = None
    """From the turn's input to the first text, transcript or audio."""
    seconds: float
    """From the turn's input to the end of its last response."""
    usage: Usage


class SettingsMismatch(SessionEvent, frozen=True, kw_only=True):
    """The server's settings differ from what was asked for."""

    wire_type = "settings.mismatch"
    differences: tuple[tuple[str, object, object], ...]
    """Triples of (path of the field, asked, confirmed)."""


class Notice(SessionEvent, frozen=True, kw_only=True):
    """Something that a person should know, in one line."""

    wire_type = "notice"
    level: str = "warning"
    """``info``, ``warning`` or ``error``."""
    code: str
    message: str
    hint: str | None = None


class ErrorOccurred(SessionEvent, frozen=True, kw_only=True):
    """The server reported an error that is not a benign race."""

    wire_type = "error.occurred"
    error: ServerError
    command: ClientEvent | None = None
    """The client event that caused it, where the server says which."""


class AppEvent(SessionEvent, frozen=True, kw_only=True):
    """An event of the application's own: sent as any client event, told to who listens, never to the server."""

    wire_type = "app.event"
    name: str
    """Begins with ``app.``."""
    data: dict[str, object]


class SessionExpiring(SessionEvent, frozen=True, kw_only=True):
    """The server will end the session soon: time to go on in another one, by ``snapshot`` and ``resume``."""

    wire_type = "session.expiring"
    seconds: float
    """Until the server ends it."""


class SessionEnded(SessionEvent, frozen=True, kw_only=True):
    """The session is over; the last event."""

    wire_type = "session.ended"
    cause: str
    """``closed`` (by us), ``ended_by_server``, ``connection_lost``, ``limit`` or ``failed``."""
    error: BaseException | None = None
