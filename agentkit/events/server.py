"""Events of the server about the session, the conversation and the input (``response.py`` has a response's).

Rule: where beta has another name for an event, a subclass of the GA class carries it, so both are accepted,
and ``@on(ConversationItemAdded)`` sees both. Fields that some servers leave out have safe defaults.
"""

import msgspec

from agentkit.events.base import ServerEvent, settle
from agentkit.events.items import ItemField, decode_item
from agentkit.events.reading import server_session_from_wire, transcription_session_from_wire
from agentkit.events.settings import ServerSessionField


class ErrorDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong."""

    message: str = ""
    type: str | None = None
    code: str | None = None
    param: str | None = None
    event_id: str | None = None
    """The client event that caused it, where the server says so; often missing."""


class ErrorEvent(ServerEvent, frozen=True, kw_only=True, tag="error"):
    """Something failed; most are recoverable and the session stays open."""

    error: ErrorDetails


class SessionCreated(ServerEvent, frozen=True, kw_only=True, tag="session.created"):
    """The session's first event."""

    session: ServerSessionField

    def __post_init__(self) -> None:
        settle(self, "session", server_session_from_wire)


class TranscriptionSessionCreated(SessionCreated, frozen=True, kw_only=True, tag="transcription_session.created"):
    """``session.created`` of a transcription session in the beta dialect."""

    def __post_init__(self) -> None:
        settle(self, "session", transcription_session_from_wire)


class SessionUpdated(ServerEvent, frozen=True, kw_only=True, tag="session.updated"):
    """The whole effective settings, after each accepted ``session.update``."""

    session: ServerSessionField

    def __post_init__(self) -> None:
        settle(self, "session", server_session_from_wire)


class TranscriptionSessionUpdated(SessionUpdated, frozen=True, kw_only=True, tag="transcription_session.updated"):
    """``session.updated`` of a transcription session in the beta dialect."""

    def __post_init__(self) -> None:
        settle(self, "session", transcription_session_from_wire)


class ConversationInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation's own object."""

    id: str | None = None
    object: str | None = None


class ConversationCreated(ServerEvent, frozen=True, kw_only=True, tag="conversation.created"):
    """The conversation exists; not every server says so."""

    conversation: ConversationInfo


class ItemEvent(ServerEvent, frozen=True, kw_only=True):
    """A server event that carries a whole item."""

    item: ItemField

    def __post_init__(self) -> None:
        settle(self, "item", decode_item)


class ConversationItemAdded(ItemEvent, frozen=True, kw_only=True, tag="conversation.item.added"):
    """An item entered the conversation; a model's is still empty and ``in_progress``."""

    previous_item_id: str | None = None


class ConversationItemCreated(ConversationItemAdded, frozen=True, kw_only=True, tag="conversation.item.created"):
    """``conversation.item.added`` in the beta dialect."""


class ConversationItemDone(ItemEvent, frozen=True, kw_only=True, tag="conversation.item.done"):
    """An item is final."""

    previous_item_id: str | None = None


class ConversationItemRetrieved(ItemEvent, frozen=True, kw_only=True, tag="conversation.item.retrieved"):
    """The answer to ``conversation.item.retrieve``, with audio."""


class ConversationItemTruncated(ServerEvent, frozen=True, kw_only=True, tag="conversation.item.truncated"):
    """An item's audio was cut."""

    item_id: str
    content_index: int = 0
    audio_end_ms: int


class ConversationItemDeleted(ServerEvent, frozen=True, kw_only=True, tag="conversation.item.deleted"):
    """An item was removed."""

    item_id: str


class InputAudioTranscriptionEvent(ServerEvent, frozen=True, kw_only=True):
    """A server event about the transcript of the user's audio; it may come any time after the commit."""

    item_id: str
    content_index: int | None = 0


class ConversationItemInputAudioTranscriptionDelta(
    InputAudioTranscriptionEvent,
    frozen=True,
    kw_only=True,
    tag="conversation.item.input_audio_transcription.delta",
):
    """More of a transcript."""

    delta: str | None = None
    logprobs: list[dict[str, object]] | None = None


class ConversationItemInputAudioTranscriptionCompleted(
    InputAudioTranscriptionEvent,
    frozen=True,
    kw_only=True,
    tag="conversation.item.input_audio_transcription.completed",
):
    """A whole transcript."""

    transcript: str
    usage: dict[str, object] | None = None
    logprobs: list[dict[str, object]] | None = None
    languages: list[dict[str, object]] | None = None


class TranscriptionError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a transcription failed."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None


class ConversationItemInputAudioTranscriptionFailed(
    InputAudioTranscriptionEvent,
    frozen=True,
    kw_only=True,
    tag="conversation.item.input_audio_transcription.failed",
):
    """No transcript will come."""

    error: TranscriptionError


class ConversationItemInputAudioTranscriptionSegment(
    InputAudioTranscriptionEvent,
    frozen=True,
    kw_only=True,
    tag="conversation.item.input_audio_transcription.segment",
):
    """One speaker's part of a transcript (diarizing models)."""

    id: str
    text: str
    speaker: str
    start: float
    """Seconds."""
    end: float
    """Seconds."""


class InputAudioBufferCommitted(ServerEvent, frozen=True, kw_only=True, tag="input_audio_buffer.committed"):
    """The buffered audio became the item ``item_id``."""

    item_id: str
    previous_item_id: str | None = None


class InputAudioBufferCleared(ServerEvent, frozen=True, kw_only=True, tag="input_audio_buffer.cleared"):
    """The buffered audio was dropped."""


class InputAudioBufferSpeechStarted(ServerEvent, frozen=True, kw_only=True, tag="input_audio_buffer.speech_started"):
    """The server hears the user begin; the audio will become the item ``item_id``."""

    audio_start_ms: int = 0
    """Milliseconds on the input audio's clock, less the prefix padding."""
    item_id: str | None = None


class InputAudioBufferSpeechStopped(ServerEvent, frozen=True, kw_only=True, tag="input_audio_buffer.speech_stopped"):
    """The server hears the user end."""

    audio_end_ms: int = 0
    item_id: str | None = None


class InputAudioBufferTimeoutTriggered(
    ServerEvent, frozen=True, kw_only=True, tag="input_audio_buffer.timeout_triggered"
):
    """The user was silent for ``idle_timeout_ms``; a response follows."""

    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class InputAudioBufferDtmfEventReceived(
    ServerEvent, frozen=True, kw_only=True, tag="input_audio_buffer.dtmf_event_received"
):
    """A key was pressed on a phone (SIP)."""

    event: str
    received_at: int
    """Seconds since the epoch."""


class OutputAudioBufferStarted(ServerEvent, frozen=True, kw_only=True, tag="output_audio_buffer.started"):
    """The server began to play a response (WebRTC and SIP)."""

    response_id: str


class OutputAudioBufferStopped(ServerEvent, frozen=True, kw_only=True, tag="output_audio_buffer.stopped"):
    """The server has played all of a response (WebRTC and SIP)."""

    response_id: str


class OutputAudioBufferCleared(ServerEvent, frozen=True, kw_only=True, tag="output_audio_buffer.cleared"):
    """The server cut a response's audio off (WebRTC and SIP)."""

    response_id: str


class McpListToolsInProgress(ServerEvent, frozen=True, kw_only=True, tag="mcp_list_tools.in_progress"):
    """The server asks an MCP server for its tools."""

    item_id: str


class McpListToolsCompleted(ServerEvent, frozen=True, kw_only=True, tag="mcp_list_tools.completed"):
    """The tools of an MCP server can be called."""

    item_id: str


class McpListToolsFailed(ServerEvent, frozen=True, kw_only=True, tag="mcp_list_tools.failed"):
    """The tools of an MCP server could not be listed."""

    item_id: str


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit."""

    name: str | None = None
    """``requests`` or ``tokens``."""
    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None


class RateLimitsUpdated(ServerEvent, frozen=True, kw_only=True, tag="rate_limits.updated"):
    """What is left of the rate limits."""

    rate_limits: tuple[RateLimit, ...] = ()


class UnknownEvent(ServerEvent, frozen=True, kw_only=True):
    """An event of a type that this version does not know, with its data."""

    wire_type: str  # type: ignore[misc]  # the one event whose name on the wire differs by instance
    data: dict[str, object]


class MalformedEvent(ServerEvent, frozen=True, kw_only=True):
    """A frame that is no event, or an event of a known type that does not decode."""

    wire_type: str = "malformed"  # type: ignore[misc]  # as above
    """The event's type, where one could be read."""
    reason: str
    head: str
    """The frame's first 100 characters, escaped."""
    size: int
    """The frame's length in bytes."""
