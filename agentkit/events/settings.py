"""Settings of sessions and of single responses, in the GA dialect's shape.

Rule: ``UNSET`` means "not said" and is never sent; ``None`` is sent as ``null`` and clears. The beta
dialect's flat shape is read in ``agentkit.events.reading`` and written in ``agentkit.events.dialects``.
"""

from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType, field

from agentkit.events.base import settle_each
from agentkit.events.items import ItemsField, Unknown, decode_item


class AudioFormat(msgspec.Struct, frozen=True, kw_only=True):
    """``audio/pcm`` (16 bits, little-endian, mono), ``audio/pcmu`` or ``audio/pcma`` (G.711)."""

    type: str = "audio/pcm"
    rate: int | UnsetType | None = UNSET
    """Samples a second; a field of ``audio/pcm`` only."""


class NoiseReduction(msgspec.Struct, frozen=True, kw_only=True):
    """Noise reduction of the input."""

    type: str | UnsetType | None = UNSET
    """``near_field`` or ``far_field``."""
    strength: str | float | UnsetType | None = UNSET


class Transcription(msgspec.Struct, frozen=True, kw_only=True):
    """Transcription of the input."""

    model: str | UnsetType | None = UNSET
    language: str | UnsetType | None = UNSET
    prompt: str | UnsetType | None = UNSET
    languages: tuple[str, ...] | UnsetType | None = UNSET
    keywords: tuple[str, ...] | UnsetType | None = UNSET
    delay: str | UnsetType | None = UNSET


class TurnDetection(msgspec.Struct, frozen=True, kw_only=True):
    """How the server finds where a turn of the user ends; send it whole, its merge is not documented."""

    type: str = "server_vad"
    """``server_vad`` or ``semantic_vad``."""
    threshold: float | UnsetType | None = UNSET
    """0..1; server_vad."""
    prefix_padding_ms: int | UnsetType | None = UNSET
    silence_duration_ms: int | UnsetType | None = UNSET
    idle_timeout_ms: int | UnsetType | None = UNSET
    """5000..30000; server_vad in the GA dialect."""
    eagerness: str | UnsetType | None = UNSET
    """``low``, ``medium``, ``high`` or ``auto``; semantic_vad."""
    create_response: bool | UnsetType | None = UNSET
    interrupt_response: bool | UnsetType | None = UNSET


class AudioInput(msgspec.Struct, frozen=True, kw_only=True):
    """What the user says."""

    format: AudioFormat | UnsetType | None = UNSET
    noise_reduction: NoiseReduction | UnsetType | None = UNSET
    transcription: Transcription | UnsetType | None = UNSET
    turn_detection: TurnDetection | UnsetType | None = UNSET
    """``None``: turns are committed by the client (push to talk)."""


class CustomVoice(msgspec.Struct, frozen=True, kw_only=True):
    """A custom voice, by its id."""

    id: str


class AudioOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent says."""

    format: AudioFormat | UnsetType | None = UNSET
    voice: str | CustomVoice | UnsetType | None = UNSET
    speed: float | UnsetType | None = UNSET
    """0.25..1.5; changes only between turns."""


class AudioSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Both directions of audio."""

    input: AudioInput | UnsetType = UNSET
    output: AudioOutput | UnsetType = UNSET


class FunctionTool(msgspec.Struct, frozen=True, kw_only=True, tag="function", omit_defaults=True):
    """A tool that runs on our side, as the model sees it."""

    name: str | None = None
    description: str | None = None
    parameters: object = None
    """JSON Schema of the arguments object."""


class ServerMcpTool(msgspec.Struct, frozen=True, kw_only=True, tag="mcp", omit_defaults=True):
    """An MCP server that the Realtime server calls by itself (GA dialect)."""

    server_label: str
    server_url: str | None = None
    connector_id: str | None = None
    tunnel_id: str | None = None
    authorization: str | None = None
    headers: dict[str, str] | None = None
    allowed_tools: list[str] | dict[str, object] | None = None
    require_approval: str | dict[str, object] | None = None
    server_description: str | None = None
    allowed_callers: list[str] | None = None
    defer_loading: bool | None = None

    def __repr__(self) -> str:
        # Without its headers and its authorization, which are secrets.
        where = self.server_url or self.connector_id or self.tunnel_id
        return f"ServerMcpTool(server_label={self.server_label!r}, at {where!r})"


class UnknownTool(Unknown):
    """A tool of a type that this version does not know."""


ToolDefinition: TypeAlias = FunctionTool | ServerMcpTool | UnknownTool

if TYPE_CHECKING:
    ToolsField: TypeAlias = tuple[ToolDefinition, ...]
else:
    # agentkit.events.dialects reads the tools, with a fallback that msgspec does not have.
    ToolsField = tuple[FunctionTool | ServerMcpTool, ...]


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool that has to be called."""

    type: str = field(default_factory=lambda: "function")
    """``function`` or ``mcp``."""
    name: str | None = None
    server_label: str | None = None


class SettingsBase(msgspec.Struct, frozen=True, kw_only=True):
    """What sessions and single responses share."""

    instructions: str | UnsetType | None = UNSET
    output_modalities: tuple[str, ...] | UnsetType | None = UNSET
    """``("audio",)`` or ``("text",)``; audio always brings its transcript."""
    tools: ToolsField | UnsetType | None = UNSET
    tool_choice: str | ToolChoice | UnsetType | None = UNSET
    """``auto``, ``none``, ``required`` or a ``ToolChoice``."""
    max_output_tokens: int | str | UnsetType | None = UNSET
    """1..4096 or ``inf``."""
    parallel_tool_calls: bool | UnsetType | None = UNSET
    prompt: dict[str, object] | UnsetType | None = UNSET
    reasoning: dict[str, object] | UnsetType | None = UNSET
    temperature: float | UnsetType | None = UNSET
    """0.6..1.2; the beta dialect only."""


class Settings(SettingsBase, frozen=True, kw_only=True, tag="realtime"):
    """Settings of a conversation session: what ``session.update`` asks for."""

    model: str | UnsetType | None = UNSET
    audio: AudioSettings | UnsetType = UNSET
    include: tuple[str, ...] | UnsetType | None = UNSET
    tracing: str | dict[str, object] | UnsetType | None = UNSET
    truncation: str | dict[str, object] | UnsetType | None = UNSET


class TranscriptionSettings(msgspec.Struct, frozen=True, kw_only=True, tag="transcription"):
    """Settings of a transcription session: input only, no responses."""

    audio: AudioSettings | UnsetType = UNSET
    """Only ``input`` is used."""
    include: tuple[str, ...] | UnsetType | None = UNSET


class ServerSession(Settings, frozen=True, kw_only=True, tag="realtime", omit_defaults=True):
    """The effective session as the server tells it in ``session.created`` and ``session.updated``."""

    id: str | None = None
    object: str | None = None
    expires_at: int | None = None
    """Seconds since the epoch at which the server ends the session."""


class ServerTranscriptionSession(
    TranscriptionSettings, frozen=True, kw_only=True, tag="transcription", omit_defaults=True
):
    """The effective transcription session as the server tells it."""

    id: str | None = None
    object: str | None = None
    expires_at: int | None = None


AnySettings: TypeAlias = Settings | TranscriptionSettings
AnyServerSession: TypeAlias = ServerSession | ServerTranscriptionSession


class ResponseSettings(SettingsBase, frozen=True, kw_only=True):
    """Settings of one response: what ``response.create`` overrides."""

    audio: AudioSettings | UnsetType = UNSET
    """Only ``output`` is used."""
    conversation: str | UnsetType | None = UNSET
    """``auto``, or ``none`` for a response beside the conversation."""
    metadata: dict[str, str] | UnsetType | None = UNSET
    """At most 16 pairs; keys of 64 characters, values of 512."""
    input: ItemsField | UnsetType | None = UNSET
    """The items that the response sees in place of the conversation."""

    def __post_init__(self) -> None:
        settle_each(self, "input", decode_item)


class UsageDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens by kind."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens: int | None = None
    cached_tokens_details: dict[str, int | None] | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one response."""

    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: UsageDetails | None = None
    output_token_details: UsageDetails | None = None


class StatusError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a response failed."""

    type: str | None = None
    code: str | None = None
    message: str | None = None


class StatusDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Why a response ended as it did."""

    type: str | None = None
    reason: str | None = None
    """``turn_detected``, ``client_cancelled``, ``max_output_tokens`` or ``content_filter``."""
    error: StatusError | None = None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """One response as the server tells it."""

    id: str | None = None
    object: str | None = "realtime.response"
    status: str | None = None
    """``in_progress``, ``completed``, ``cancelled``, ``incomplete`` or ``failed``."""
    status_details: StatusDetails | None = None
    output: ItemsField = field(default_factory=lambda: ())
    conversation_id: str | None = None
    """``None`` for a response beside the conversation."""
    output_modalities: tuple[str, ...] | None = None
    max_output_tokens: int | str | None = None
    audio: AudioSettings | None = None
    metadata: dict[str, str] | None = None
    temperature: float | None = None
    """The beta dialect only."""
    usage: Usage | None = None

    def __post_init__(self) -> None:
        settle_each(self, "output", decode_item)


if TYPE_CHECKING:
    SessionField: TypeAlias = AnySettings
    ServerSessionField: TypeAlias = AnyServerSession
    ResponseField: TypeAlias = Response
    ResponseSettingsField: TypeAlias = ResponseSettings | None
else:
    # Decoded in a second step, which knows both dialects (agentkit.events.dialects).
    SessionField = msgspec.Raw
    ServerSessionField = msgspec.Raw
    ResponseField = msgspec.Raw
    ResponseSettingsField = msgspec.Raw
