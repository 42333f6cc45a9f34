"""The session's effective settings: defaults, what an update changes, and what is refused.

Rule: a refused update changes nothing. What this server cannot do (speech without a synthesiser, transcripts
without a transcriber) is not refused: ``session.updated`` is the truth about a session, and there it says text.
"""

import re
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from agentkit.events import (
    AudioFormat,
    AudioInput,
    AudioOutput,
    AudioSettings,
    FunctionTool,
    ResponseSettings,
    ServerMcpTool,
    ServerSession,
    Settings,
    ToolChoice,
    Transcription,
    TurnDetection,
)
from agentkit.events.settings import SettingsBase, ToolDefinition
from agentkit.local.effects import RefusedError, invalid, missing
from agentkit.local.samples import FORMATS, PCM

VOICES: Final = ("marin", "alloy")
TRANSCRIBER: Final = "local"
"""The name of the transcription model in a session that has not asked for one."""
_T = TypeVar("_T")
_S = TypeVar("_S", bound=msgspec.Struct)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What stands behind this server."""

    speaks: bool = False
    hears: bool = False


def defaults(*, id: str, model: str, abilities: Abilities, temperature: float | UnsetType = UNSET) -> ServerSession:
    """Return the settings of a new session; only the beta dialect has a temperature."""
    return ServerSession(
        id=id,
        object="realtime.session",
        model=model,
        instructions="",
        output_modalities=("audio",) if abilities.speaks else ("text",),
        tools=(),
        tool_choice="auto",
        max_output_tokens="inf",
        audio=AudioSettings(
            input=AudioInput(
                format=PCM,
                noise_reduction=None,
                # A server with ears tells what it hears until the client wants none of it.
                transcription=Transcription(model=TRANSCRIBER) if abilities.hears else None,
                turn_detection=_whole_turn_detection(TurnDetection()),
            ),
            output=AudioOutput(format=PCM, voice=VOICES[0], speed=1.0),
        ),
        include=None,
        tracing=None,
        temperature=temperature,
        truncation="auto",
        prompt=None,
    )


def updated(current: ServerSession, asked: Settings, *, abilities: Abilities, audio_emitted: bool) -> ServerSession:
    """Return the settings after an update.

    Raises:
        RefusedError: A field cannot have this value; nothing has changed.
    """
    if said(asked.model) not in (None, current.model):
        raise RefusedError(
            f"The model of a session cannot be changed: it is '{current.model}'.",
            code="invalid_value",
            param="session.model",
        )
    _check_base(asked, "session")
    merged = _merge(current, asked)
    incoming, outgoing = input_of(merged), output_of(merged)
    _check_formats(incoming.format, "session.audio.input.format")
    _check_output(outgoing, "session.audio.output")
    turns = said(incoming.turn_detection)
    if turns is not None:
        turns = _whole_turn_detection(turns)
    if audio_emitted and outgoing.voice != output_of(current).voice:
        raise RefusedError(
            "Cannot update a conversation's voice if assistant audio is present.",
            code="cannot_update_voice",
            param="session.audio.output.voice",
        )
    merged = replace(
        merged,
        # null puts a field back to what a new session has.
        instructions=said(merged.instructions) or "",
        tools=said(merged.tools) or (),
        tool_choice=said(merged.tool_choice) or "auto",
        max_output_tokens=said(merged.max_output_tokens) or "inf",
        output_modalities=modalities(said(merged.output_modalities), abilities),
        audio=AudioSettings(
            input=replace(
                incoming,
                format=said(incoming.format) or PCM,
                turn_detection=turns,
                transcription=incoming.transcription if abilities.hears else None,
            ),
            output=replace(outgoing, format=said(outgoing.format) or PCM, voice=said(outgoing.voice) or VOICES[0]),
        ),
    )
    _check_choice(choice_of(merged), said(merged.tools) or (), "session")
    return merged


def for_response(current: ServerSession, asked: ResponseSettings | None, *, abilities: Abilities) -> ServerSession:
    """Return the session's settings with one response's own laid over them.

    Raises:
        RefusedError: A field cannot have this value.
    """
    if asked is None:
        return current
    _check_base(asked, "response")
    if said(asked.conversation) not in (None, "auto", "none"):
        raise invalid("response.conversation", "it must be 'auto' or 'none'.")
    _check_metadata(said(asked.metadata))
    shared = {name: value for name in SettingsBase.__struct_fields__ if said(value := getattr(asked, name)) is not None}
    merged = replace(current, **shared)
    if isinstance(asked.audio, AudioSettings) and isinstance(asked.audio.output, AudioOutput):
        merged = replace(
            merged,
            audio=replace(audio_of(merged), output=_merge(output_of(merged), asked.audio.output)),
        )
        _check_output(output_of(merged), "response.audio.output")
    merged = replace(merged, output_modalities=modalities(said(merged.output_modalities), abilities))
    _check_choice(choice_of(merged), said(merged.tools) or (), "response")
    return merged


def said(value: _T | UnsetType | None) -> _T | None:
    """Return the value, or ``None`` where nothing was said."""
    return None if isinstance(value, UnsetType) else value


def audio_of(session: ServerSession) -> AudioSettings:
    """Return the audio settings; an effective session has them."""
    return session.audio if isinstance(session.audio, AudioSettings) else AudioSettings()


def input_of(session: ServerSession) -> AudioInput:
    """Return the settings of what the user says."""
    found = audio_of(session).input
    return found if isinstance(found, AudioInput) else AudioInput()


def output_of(session: ServerSession) -> AudioOutput:
    """Return the settings of what the agent says."""
    found = audio_of(session).output
    return found if isinstance(found, AudioOutput) else AudioOutput()


def turn_detection_of(session: ServerSession) -> TurnDetection | None:
    """Return how turns are found; ``None`` is push to talk."""
    return said(input_of(session).turn_detection)


def function_tools(session: ServerSession) -> tuple[FunctionTool, ...]:
    """Return the tools that run at the client's side."""
    return tuple(tool for tool in said(session.tools) or () if isinstance(tool, FunctionTool))


def modalities(asked: tuple[str, ...] | None, abilities: Abilities) -> tuple[str, ...]:
    """Return the kind of output that is really made: text where nobody speaks."""
    if not abilities.speaks:
        return ("text",)
    return asked or ("audio",)


def choice_of(session: ServerSession) -> str | ToolChoice:
    """Return whether, and which, tools have to be called."""
    choice = session.tool_choice
    return choice if isinstance(choice, str | ToolChoice) else "auto"


def tokens_of(session: ServerSession) -> int | str:
    """Return the most output tokens as the session tells it."""
    tokens = session.max_output_tokens
    return tokens if isinstance(tokens, int | str) else "inf"


def token_limit(session: ServerSession) -> int | None:
    """Return the most output tokens, or ``None`` for no limit."""
    limit = tokens_of(session)
    return limit if isinstance(limit, int) else None


def _merge(current: _S, asked: msgspec.Struct) -> _S:
    """Lay what was said over what is there; only the ``audio`` objects merge deeply."""
    changes: dict[str, object] = {}
    for name in asked.__struct_fields__:
        value = getattr(asked, name)
        if value is UNSET:
            continue
        before = getattr(current, name)
        deep = isinstance(value, AudioSettings | AudioInput | AudioOutput) and type(before) is type(value)
        changes[name] = _merge(before, value) if deep else value
    return replace(current, **changes)


def _whole_turn_detection(asked: TurnDetection) -> TurnDetection:
    where = "session.audio.input.turn_detection"
    if asked.type not in ("server_vad", "semantic_vad"):
        raise invalid(f"{where}.type", "supported values are 'server_vad' and 'semantic_vad', or null for none.")
    create = said(asked.create_response)
    interrupt = said(asked.interrupt_response)
    create, interrupt = create is not False, interrupt is not False
    if asked.type == "semantic_vad":
        eagerness = said(asked.eagerness) or "auto"
        if eagerness not in ("low", "medium", "high", "auto"):
            raise invalid(f"{where}.eagerness", "it must be 'low', 'medium', 'high' or 'auto'.")
        return TurnDetection(
            type="semantic_vad", eagerness=eagerness, create_response=create, interrupt_response=interrupt
        )
    threshold = said(asked.threshold)
    padding = said(asked.prefix_padding_ms)
    silence = said(asked.silence_duration_ms)
    if threshold is not None and not 0 <= threshold <= 1:
        raise invalid(f"{where}.threshold", "it must be between 0 and 1.")
    for name, value in (("prefix_padding_ms", padding), ("silence_duration_ms", silence)):
        if value is not None and not 0 <= value <= 10_000:
            raise invalid(f"{where}.{name}", "it must be between 0 and 10000.")
    return TurnDetection(
        type="server_vad",
        threshold=0.5 if threshold is None else threshold,
        prefix_padding_ms=300 if padding is None else padding,
        silence_duration_ms=500 if silence is None else silence,
        # This server never speaks up by itself, and says so.
        idle_timeout_ms=None,
        create_response=create,
        interrupt_response=interrupt,
    )


def _check_base(asked: SettingsBase, where: str) -> None:
    wanted = said(asked.output_modalities)
    if wanted is not None and wanted not in (("audio",), ("text",)):
        raise invalid(f"{where}.output_modalities", "supported combinations are ['text'] and ['audio'].")
    tokens = said(asked.max_output_tokens)
    if tokens is not None and tokens != "inf" and not (isinstance(tokens, int) and 1 <= tokens <= 4096):
        raise invalid(f"{where}.max_output_tokens", "it must be an integer between 1 and 4096, or 'inf'.")
    temperature = said(asked.temperature)
    if temperature is not None and not 0.6 <= temperature <= 1.2:
        raise invalid(f"{where}.temperature", "it must be between 0.6 and 1.2.")
    names: set[str] = set()
    for index, tool in enumerate(said(asked.tools) or ()):
        names.add(_check_tool(tool, f"{where}.tools[{index}]", names))


def _check_tool(tool: ToolDefinition, where: str, taken: set[str]) -> str:
    if isinstance(tool, ServerMcpTool):
        raise invalid(f"{where}.type", "the local server cannot call MCP servers; declare functions.")
    if not isinstance(tool, FunctionTool):
        raise invalid(f"{where}.type", "the supported value is 'function'.")
    if tool.name is None:
        raise missing(f"{where}.name")
    if not _TOOL_NAME.fullmatch(tool.name):
        raise invalid(f"{where}.name", "a name has 1 to 64 letters, digits, '_' or '-'.")
    if tool.name in taken:
        raise invalid(f"{where}.name", f"there is already a tool with the name '{tool.name}'.")
    if tool.parameters is not None and not isinstance(tool.parameters, dict):
        raise invalid(f"{where}.parameters", "it must be a JSON Schema object.")
    return tool.name


def _check_choice(choice: str | ToolChoice | None, tools: tuple[ToolDefinition, ...], where: str) -> None:
    if isinstance(choice, ToolChoice):
        if choice.name not in {tool.name for tool in tools if isinstance(tool, FunctionTool)}:
            raise invalid(f"{where}.tool_choice", f"there is no tool with the name '{choice.name}'.")
    elif choice not in (None, "auto", "none", "required"):
        raise invalid(f"{where}.tool_choice", "it must be 'auto', 'none', 'required' or a function.")


def _check_output(output: AudioOutput, where: str) -> None:
    _check_formats(output.format, f"{where}.format")
    speed = said(output.speed)
    if speed is not None and not 0.25 <= speed <= 1.5:
        raise invalid(f"{where}.speed", "it must be between 0.25 and 1.5.")


def _check_formats(format: AudioFormat | UnsetType | None, where: str) -> None:
    found = said(format)
    if found is None:
        return
    if found.type not in FORMATS:
        raise invalid(f"{where}.type", "supported values are 'audio/pcm', 'audio/pcmu' and 'audio/pcma'.")
    if found.type == "audio/pcm" and said(found.rate) not in (None, PCM.rate):
        raise invalid(f"{where}.rate", "the only supported rate is 24000.")


def _check_metadata(metadata: dict[str, str] | None) -> None:
    pairs = metadata or {}
    if len(pairs) > 16 or any(len(key) > 64 or len(value) > 512 for key, value in pairs.items()):
        raise invalid("response.metadata", "at most 16 pairs; keys of 64 characters, values of 512.")
