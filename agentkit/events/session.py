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
    """A call begins: the layers around it, an approval where its tool needs one, then its body."""

    wire_type = "tool.started"
    call_id: str
    name: str
    arguments: str
    """JSON as the model wrote it; ``***`` stands for each secret argument."""
    background: bool = False
    """Whether the turn goes on without it."""
    where: str | None = None
    """Where a configuration names the tool, as ``agent.yaml:31:5``."""


class ToolProgress(SessionEvent, frozen=True, kw_only=True):
    """A call that runs tells how far it has come."""

    wire_type = "tool.progress"
    call_id: str
    name: str
    message: str = ""
    done: float | None = None
    """From 0 to 1, where the tool knows it."""
    partial: object = None
    """What a tool that is an async generator yielded."""


class ApprovalRequested(SessionEvent, frozen=True, kw_only=True):
    """A call waits for a person's approval, by ``session.approvals``."""

    wire_type = "approval.requested"
    call_id: str
    """Names the approval, too; of a tool that the server runs, its approval request's item id."""
    name: str
    arguments: str
    """Exactly what would run, as JSON; ``***`` stands for each secret argument."""
    effects: str = "writes"
    """``reads``, ``writes`` or ``dangerous``."""
    seconds: float | None = None
    """How long it waits; None is for as long as the session lasts."""
    server_label: str | None = None
    """Of a tool that the server runs: which MCP server's it is."""


class ApprovalDecided(SessionEvent, frozen=True, kw_only=True):
    """An approval was given or refused."""

    wire_type = "approval.decided"
    call_id: str
    name: str
    approved: bool
    by: str
    """``person``, ``timeout``, ``nobody`` (none can be asked), or ``cancelled`` where the call was given up."""
    reason: str = ""
    """Why it was refused; the model is told."""
    edited: bool = False
    """Whether the arguments were changed."""
    arguments: str | None = None
    """What they were changed to, as JSON; ``***`` stands for each secret argument."""


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
    """What the tool returned, as it was; as text, where it holds a secret argument, which is masked."""
    error: BaseException | None = None
    """What its body raised; the model is not told of it, but by a ``ToolError``."""
    background: bool = False
    """Whether the turn went on without it."""
    where: str | None = None
    """Where a configuration names the tool."""

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
    turn: int = 0
    """Its number in the session, from 1; what waits for the turn knows it by that."""
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
    cost_usd: float | None = None
    """What it cost in US dollars; None where the session knows no rates."""


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


class Reconnecting(SessionEvent, frozen=True, kw_only=True):
    """The connection was lost, or could not be opened again; another try follows."""

    wire_type = "session.reconnecting"
    attempt: int
    """Which try follows, from 1."""
    of: int
    """How many there are at most."""
    seconds: float
    """Until then."""
    error: BaseException | None = None
    """What went wrong."""


class Reconnected(SessionEvent, frozen=True, kw_only=True):
    """The session goes on, on another connection: its settings are in force, and the model knows the conversation."""

    wire_type = "session.reconnected"
    restored: bool
    """Whether all of the conversation is there."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Pairs of an item's id and why it, or a part of it, is not."""


class HandedOver(SessionEvent, frozen=True, kw_only=True):
    """The conversation is with another agent: its instructions and tools are in force."""

    wire_type = "session.handed_over"
    agent: str
    """Its name."""
    previous: str
    """The name of the one before."""


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
