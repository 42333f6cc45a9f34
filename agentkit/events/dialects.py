"""The two dialects, and how settings, responses and items are written in them: GA (nested) and beta (flat).

Rule: what a client asks for and the dialect cannot say is refused by name, never dropped; a server leaves it
out.
What arrives is read in ``agentkit.events.reading``.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from agentkit.errors import LocalProtocolError
from agentkit.events.items import (
    AnyItem,
    AnyPart,
    InputImage,
    ItemReferencePart,
    McpApprovalRequestItem,
    McpApprovalResponseItem,
    McpCallItem,
    McpListToolsItem,
    MessageItem,
    OutputAudio,
    OutputText,
    written,
)
from agentkit.events.settings import (
    AnyServerSession,
    AnySettings,
    Response,
    ResponseSettings,
    TranscriptionSettings,
)

# `Any` here is JSON that is about to be written, as in codec.py; it goes nowhere else.


class Dialect(StrEnum):
    """Which names and shapes a peer speaks; it matters only for what is sent."""

    GA = "ga"
    BETA = "beta"


_BETA_FORMATS: Final = {
    "audio/pcm": ("pcm16", 24000),
    "audio/pcmu": ("g711_ulaw", 8000),
    "audio/pcma": ("g711_alaw", 8000),
}
"""GA's audio formats: beta's name, and the only rate that it means."""
FLAT: Final = {
    "input_audio_format": ("input", "format"),
    "input_audio_transcription": ("input", "transcription"),
    "input_audio_noise_reduction": ("input", "noise_reduction"),
    "turn_detection": ("input", "turn_detection"),
    "output_audio_format": ("output", "format"),
    "voice": ("output", "voice"),
    "speed": ("output", "speed"),
}
"""Beta's flat names and their places in GA's ``audio``."""
_BETA_NESTED: Final = {
    "transcription": frozenset({"model", "language", "prompt"}),
    "noise_reduction": frozenset({"type"}),
    "turn_detection": frozenset(
        {
            "type",
            "threshold",
            "prefix_padding_ms",
            "silence_duration_ms",
            "eagerness",
            "create_response",
            "interrupt_response",
        }
    ),
}
"""What beta's nested objects have."""
_PARTS: Final = {
    Dialect.GA: {"text": "output_text", "audio": "output_audio"},
    Dialect.BETA: {"output_text": "text", "output_audio": "audio"},
}
_GA_ITEMS: Final = (McpListToolsItem, McpCallItem, McpApprovalRequestItem, McpApprovalResponseItem)
_OF_MODEL: Final = frozenset({"modalities", "instructions", "tools", "tool_choice", "temperature"})
_SESSION: Final = frozenset(
    {"id", "object", "expires_at", "model", "max_response_output_tokens", "tracing", *_OF_MODEL, *FLAT}
)
"""What a beta session has; below, a transcription session, and a response or its settings."""
_TRANSCRIPTION: Final = frozenset(
    {"id", "object", "expires_at", "include", *(flat for flat, (way, _) in FLAT.items() if way == "input")}
)
_RESPONSE: Final = frozenset(
    {
        "id",
        "object",
        "status",
        "status_details",
        "output",
        "conversation_id",
        "usage",
        "input",
        "conversation",
        "metadata",
        "max_output_tokens",
        "max_response_output_tokens",
        "voice",
        "output_audio_format",
        *_OF_MODEL,
    }
)


def settings_to_wire(
    settings: AnySettings | AnyServerSession, dialect: Dialect, *, strict: bool = True
) -> dict[str, Any]:
    """Write the settings of a session.

    Args:
        settings: What is asked for, or, on a server's side, what is in force.
        dialect: The shape.
        strict: Refuse what the dialect cannot say; a server leaves it out.

    Raises:
        LocalProtocolError: The dialect cannot say a field.
    """
    data = msgspec.to_builtins(settings, enc_hook=written)
    if dialect is Dialect.GA:
        return _ga(data, strict=strict)
    transcription = isinstance(settings, TranscriptionSettings)
    return _beta(data, "max_response_output_tokens", strict=strict, known=_TRANSCRIPTION if transcription else _SESSION)


def response_settings_to_wire(settings: ResponseSettings, dialect: Dialect) -> dict[str, Any]:
    """Write the settings of one response.

    Raises:
        LocalProtocolError: The dialect cannot say a field.
    """
    data = msgspec.to_builtins(settings, enc_hook=written)
    if isinstance(settings.input, tuple):
        data["input"] = [item_to_wire(item, dialect) for item in settings.input]
    if dialect is Dialect.GA:
        return _ga(data, strict=True)
    return _beta(data, "max_response_output_tokens", strict=True, known=_RESPONSE)


def response_to_wire(response: Response, dialect: Dialect) -> dict[str, Any]:
    """Write a response as a server tells it."""
    data = msgspec.to_builtins(response, enc_hook=written)
    data["output"] = [item_to_wire(item, dialect, strict=False) for item in response.output]
    return (
        _ga(data, strict=False)
        if dialect is Dialect.GA
        else _beta(data, "max_output_tokens", strict=False, known=_RESPONSE)
    )


def _ga(data: dict[str, Any], *, strict: bool) -> dict[str, Any]:
    temperature = data.pop("temperature", None)
    if temperature is not None:
        _left_out("temperature", Dialect.GA, strict=strict)
    return data


def _left_out(path: str, dialect: Dialect, *, strict: bool) -> UnsetType:
    if strict:
        raise LocalProtocolError(
            f"The {dialect.upper()} dialect has no {path}: leave it out, or use a provider with the other dialect."
        )
    return UNSET


def _beta(data: dict[str, Any], tokens: str, *, strict: bool, known: frozenset[str]) -> dict[str, Any]:
    """Flatten the GA shape. A ``null`` that the dialect has no field for is left out: it asks for nothing."""
    result: dict[str, Any] = {}
    for path, name, value in _flattened(data, tokens):
        if name not in known:
            said: Any = UNSET if value is None else _left_out(path, Dialect.BETA, strict=strict)
        else:
            said = value if value is None else _beta_value(name, value, path=path, strict=strict)
        if said is not UNSET:
            result[name] = said
    return result


def _flattened(data: dict[str, Any], tokens: str) -> Iterator[tuple[str, str, Any]]:
    """Give each field's GA path, beta name and value."""
    names = {"output_modalities": "modalities", "max_output_tokens": tokens}
    for key, value in data.items():
        if key == "audio":
            for flat, (way, name) in FLAT.items():
                if name in (value or {}).get(way, {}):
                    yield f"audio.{way}.{name}", flat, value[way][name]
        elif key != "type":
            yield key, names.get(key, key), value


def _beta_value(name: str, value: Any, *, path: str, strict: bool) -> Any:
    if name == "modalities":
        return ["text", "audio"] if "audio" in value else value
    if name.endswith("_format"):
        beta, rate = _BETA_FORMATS.get(value["type"], (value["type"], None))
        if value.get("rate") not in (None, rate):
            return _left_out(f"{path} {value['type']} at {value['rate']} Hz", Dialect.BETA, strict=strict)
        return beta
    if name == "voice" and isinstance(value, dict):
        return value["id"] if not strict else _left_out(f"{path} by id", Dialect.BETA, strict=strict)
    if name == "tools":
        return [tool for index, tool in enumerate(value) if _in_beta(tool, f"tools[{index}]", strict=strict)]
    if name == "tool_choice" and isinstance(value, dict):
        if value["type"] == "function":
            return value["name"]
        return _left_out(f"{path} of type {value['type']}", Dialect.BETA, strict=strict)
    if (fields := _BETA_NESTED.get(path.rpartition(".")[2])) is not None:
        return {
            key: inner
            for key, inner in value.items()
            if key in fields
            or (inner is not None and _left_out(f"{path}.{key}", Dialect.BETA, strict=strict) is not UNSET)
        }
    return value


def _in_beta(tool: dict[str, Any], path: str, *, strict: bool) -> bool:
    kind = tool.get("type")
    return kind != "mcp" or _left_out(f"{path} of type {kind}", Dialect.BETA, strict=strict) is not UNSET


def item_to_wire(item: AnyItem, dialect: Dialect, *, strict: bool = True) -> dict[str, Any]:
    """Write an item, with its content parts under the dialect's names.

    Args:
        item: What a client adds, or, on a server's side, what is in the conversation.
        dialect: The shape.
        strict: Refuse what the dialect cannot say; a server writes it as it is.

    Raises:
        LocalProtocolError: The dialect cannot say it.
    """
    data: dict[str, Any] = msgspec.to_builtins(item, enc_hook=written)
    if strict and dialect is Dialect.BETA and isinstance(item, _GA_ITEMS):
        _left_out(f"item of type {item.wire_type}", dialect, strict=strict)
    if isinstance(item, MessageItem):
        data["content"] = [part_to_wire(part, dialect, strict=strict) for part in item.content]
    return data


def part_to_wire(part: AnyPart, dialect: Dialect, *, strict: bool = True) -> dict[str, Any]:
    """Write a content part under the dialect's name for it.

    Raises:
        LocalProtocolError: The dialect cannot say it.
    """
    data: dict[str, Any] = msgspec.to_builtins(part, enc_hook=written)
    missing = InputImage if dialect is Dialect.BETA else ItemReferencePart
    if strict and isinstance(part, missing):
        _left_out(f"content part of type {part.wire_type}", dialect, strict=strict)
    if isinstance(part, OutputText | OutputAudio):
        data["type"] = _PARTS[dialect].get(part.wire_type, part.wire_type)
    return data
