"""From the file's ``session:`` to the protocol's settings."""

from typing import TypeVar

from msgspec import UNSET, Struct, UnsetType

from agentkit.config.schema import Config, HostedMcp, ToolName, Turn
from agentkit.events import AudioFormat as WireFormat
from agentkit.events import (
    AudioInput,
    AudioOutput,
    AudioSettings,
    NoiseReduction,
    ServerMcpTool,
    Settings,
    ToolChoice,
    Transcription,
    TurnDetection,
)
from agentkit.values import AudioFormat

T = TypeVar("T")
S = TypeVar("S", bound=Struct)
_WIRE_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}


def settings_of(config: Config, instructions: str | None, *, model: str | None = None) -> Settings:
    """Return what is asked of the server: only what the file says.

    Args:
        config: The file.
        instructions: The agent's instructions, with their variables put in.
        model: The provider's model, where it is named in the session too.
    """
    said = config.session
    audio_in = AudioInput(
        format=_format(said.input_format),
        noise_reduction=NoiseReduction(type=said.noise_reduction) if said.noise_reduction else UNSET,
        transcription=Transcription(
            model=_said(said.transcription.model),
            language=_said(said.transcription.language),
            prompt=_said(said.transcription.prompt),
        )
        if said.transcription
        else UNSET,
        turn_detection=_turn_detection(said.turn) if said.turn is not None else UNSET,
    )
    audio_out = AudioOutput(format=_format(said.output_format), voice=_said(said.voice), speed=_said(said.speed))
    audio = AudioSettings(input=_unless_empty(audio_in), output=_unless_empty(audio_out))
    choice = said.tool_choice
    return Settings(
        instructions=_said(instructions),
        model=_said(model),
        output_modalities=(said.output,) if said.output else UNSET,
        audio=_unless_empty(audio),
        tool_choice=ToolChoice(name=choice.tool) if isinstance(choice, ToolName) else _said(choice),
        max_output_tokens=_said(said.max_output_tokens),
        temperature=_said(said.temperature),
    )


def hosted_of(said: HostedMcp) -> ServerMcpTool:
    """Return the declaration of an MCP server that the Realtime server calls."""
    return ServerMcpTool(
        server_label=said.label,
        server_url=said.url,
        connector_id=said.connector,
        authorization=said.authorization.reveal() if said.authorization is not None else None,
        headers={name: value.reveal() for name, value in said.headers.items()} or None,
        allowed_tools=list(said.include) or None,
        require_approval="always" if said.approve == "ask" else "never",
        server_description=said.description,
    )


def _turn_detection(turn: Turn) -> TurnDetection | None:
    if turn.mode == "push_to_talk":
        return None
    return TurnDetection(
        type=turn.mode,
        threshold=_said(turn.threshold),
        silence_duration_ms=_said(turn.silence_ms),
        prefix_padding_ms=_said(turn.prefix_ms),
        eagerness=_said(turn.eagerness),
        interrupt_response=_said(turn.interrupt),
    )


def _format(said: AudioFormat | None) -> WireFormat | UnsetType:
    if said is None:
        return UNSET
    return WireFormat(type=_WIRE_FORMATS[said.encoding], rate=said.rate if said.encoding == "pcm16" else UNSET)


def _said(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value


def _unless_empty(value: S) -> S | UnsetType:
    return UNSET if value == type(value)() else value
