"""Events that go to the server: the same names in both dialects."""

from typing import TypeAlias, get_args

from agentkit.events.base import ClientEvent, name_on_wire, settle
from agentkit.events.items import ItemField, decode_item
from agentkit.events.reading import (
    response_settings_from_wire,
    settings_from_wire,
    transcription_settings_from_wire,
)
from agentkit.events.settings import ResponseSettingsField, SessionField


class SessionUpdate(ClientEvent, frozen=True, kw_only=True, tag="session.update"):
    """Change settings of the session; answered by ``session.updated`` or ``error``."""

    session: SessionField

    def __post_init__(self) -> None:
        settle(self, "session", settings_from_wire)


class TranscriptionSessionUpdate(SessionUpdate, frozen=True, kw_only=True, tag="transcription_session.update"):
    """``session.update`` of a transcription session in the beta dialect."""

    def __post_init__(self) -> None:
        settle(self, "session", transcription_settings_from_wire)


class InputAudioBufferAppend(ClientEvent, frozen=True, kw_only=True, tag="input_audio_buffer.append"):
    """Add audio to the input buffer; not answered. At most 15 MiB."""

    audio: bytes
    """Samples in the session's input format; base64 on the wire."""


class InputAudioBufferCommit(ClientEvent, frozen=True, kw_only=True, tag="input_audio_buffer.commit"):
    """Make a user item of the buffered audio; makes no response by itself."""


class InputAudioBufferClear(ClientEvent, frozen=True, kw_only=True, tag="input_audio_buffer.clear"):
    """Drop the buffered audio."""


class OutputAudioBufferClear(ClientEvent, frozen=True, kw_only=True, tag="output_audio_buffer.clear"):
    """Cut off the audio that the server still plays (WebRTC and SIP only)."""


class ConversationItemCreate(ClientEvent, frozen=True, kw_only=True, tag="conversation.item.create"):
    """Add an item to the conversation."""

    item: ItemField
    previous_item_id: str | None = None
    """Insert after this item; ``root`` is the beginning; left out, append."""

    def __post_init__(self) -> None:
        settle(self, "item", decode_item)


class ConversationItemRetrieve(ClientEvent, frozen=True, kw_only=True, tag="conversation.item.retrieve"):
    """Ask for an item as the server holds it, with its audio."""

    item_id: str


class ConversationItemTruncate(ClientEvent, frozen=True, kw_only=True, tag="conversation.item.truncate"):
    """Cut an assistant's audio to what was heard."""

    item_id: str
    content_index: int
    audio_end_ms: int
    """Milliseconds kept; not above the audio's real length."""


class ConversationItemDelete(ClientEvent, frozen=True, kw_only=True, tag="conversation.item.delete"):
    """Remove an item from the conversation."""

    item_id: str


class ResponseCreate(ClientEvent, frozen=True, kw_only=True, tag="response.create"):
    """Ask for a response; refused while another is active in the conversation."""

    response: ResponseSettingsField = None

    def __post_init__(self) -> None:
        settle(self, "response", response_settings_from_wire)


class ResponseCancel(ClientEvent, frozen=True, kw_only=True, tag="response.cancel"):
    """Stop a response."""

    response_id: str | None = None
    """Left out: the one that is active in the conversation."""


AnyClientEvent: TypeAlias = (
    SessionUpdate
    | TranscriptionSessionUpdate
    | InputAudioBufferAppend
    | InputAudioBufferCommit
    | InputAudioBufferClear
    | OutputAudioBufferClear
    | ConversationItemCreate
    | ConversationItemRetrieve
    | ConversationItemTruncate
    | ConversationItemDelete
    | ResponseCreate
    | ResponseCancel
)


class UnknownClientEvent(ClientEvent, frozen=True, kw_only=True):
    """An event of a type that this version does not know, for a server that does; it is sent as it is.

    One whose type begins with ``app.`` is the application's own: it passes the layers, becomes an ``AppEvent`` and
    goes no further.
    """

    wire_type: str  # type: ignore[misc]  # the one client event whose name on the wire differs by instance
    data: dict[str, object]
    """The event's fields, its type and id aside."""


CLIENT_EVENTS: dict[str, type[ClientEvent]] = {}
"""Client event classes by their wire name."""
for _cls in get_args(AnyClientEvent):
    name_on_wire(_cls)
    CLIENT_EVENTS[_cls.wire_type] = _cls
