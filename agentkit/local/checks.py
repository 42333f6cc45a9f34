"""What a client's frame may contain: unknown fields, missing fields and wrong types, by name.

The events package reads leniently, as a client must; a server refuses, so that a client's mistakes show.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from agentkit.events import (
    CLIENT_EVENTS,
    AudioFormat,
    AudioOutput,
    Dialect,
    FunctionTool,
    MalformedEvent,
    NoiseReduction,
    Transcription,
    TurnDetection,
    UnknownEvent,
)
from agentkit.events.items import ITEMS, PARTS
from agentkit.events.settings import CustomVoice, ResponseSettings, ServerMcpTool, Settings, ToolChoice
from agentkit.local.effects import RefusedError, missing

Shape: TypeAlias = Mapping[str, "Shape | None"]
"""Allowed keys; ``None`` is anything, a mapping is an object of its own."""


def _keys(cls: type[msgspec.Struct], **inner: Shape | None) -> Shape:
    return {**dict.fromkeys(cls.__struct_encode_fields__), **inner}


_IN: Final[Shape] = {
    "format": _keys(AudioFormat),
    "noise_reduction": _keys(NoiseReduction),
    "transcription": _keys(Transcription),
    "turn_detection": _keys(TurnDetection),
}
_OUT: Final = _keys(AudioOutput, format=_keys(AudioFormat), voice=_keys(CustomVoice))
_SHARED: Final = (
    "instructions",
    "output_modalities",
    "tools",
    "tool_choice",
    "max_output_tokens",
    "parallel_tool_calls",
    "prompt",
    "reasoning",
)
_GA_SESSION: Final[Shape] = {
    **dict.fromkeys([*_SHARED, "type", "model", "include", "tracing", "truncation"]),
    "audio": {"input": _IN, "output": _OUT},
}
_GA_RESPONSE: Final[Shape] = {
    **dict.fromkeys([*_SHARED, "conversation", "metadata", "input"]),
    "audio": {"output": _OUT},
}
_BETA_SHARED: Final = (
    "modalities",
    "instructions",
    "voice",
    "output_audio_format",
    "tools",
    "tool_choice",
    "temperature",
    "max_response_output_tokens",
)
_BETA_SESSION: Final[Shape] = {
    **dict.fromkeys([*_BETA_SHARED, "model", "input_audio_format", "speed", "tracing", "include"]),
    "input_audio_transcription": _keys(Transcription),
    "input_audio_noise_reduction": _keys(NoiseReduction),
    "turn_detection": _keys(TurnDetection),
}
_BETA_RESPONSE: Final[Shape] = dict.fromkeys([*_BETA_SHARED, "conversation", "metadata", "input"])
_TOOLS: Final = {"function": _keys(FunctionTool, type=None), "mcp": _keys(ServerMcpTool, type=None)}


class _BetaTypes(msgspec.Struct, kw_only=True):
    """The types of beta's flat fields."""

    modalities: list[str] | None = None
    instructions: str | None = None
    voice: str | None = None
    input_audio_format: str | None = None
    output_audio_format: str | None = None
    input_audio_transcription: Transcription | None = None
    input_audio_noise_reduction: NoiseReduction | None = None
    turn_detection: TurnDetection | None = None
    tools: list[dict[str, object]] | None = None
    tool_choice: str | ToolChoice | None = None
    temperature: float | None = None
    max_response_output_tokens: int | str | None = None
    speed: float | None = None
    metadata: dict[str, str] | None = None
    conversation: str | None = None


_AT = re.compile(r"(?P<what>.*) - at `\$(?P<path>[^`]*)`", re.DOTALL)
_LACKS = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_BARE: Final = frozenset({"input_audio_buffer.append"})
"""Events on the hot path, whose fields the decoder has checked."""


def check_frame(frame: bytes, wire_type: str, dialect: Dialect) -> None:
    """Refuse a decoded event whose frame says more, or less, than the dialect allows.

    Raises:
        RefusedError: A field is unknown, missing or of a wrong type.
    """
    if wire_type in _BARE:
        return
    data = msgspec.json.decode(frame, type=dict[str, object])
    known = CLIENT_EVENTS[wire_type].__struct_encode_fields__
    _allowed(data, dict.fromkeys(["type", *known]), "")
    if wire_type == "session.update":
        _check_session(data["session"], dialect)
    elif wire_type == "response.create" and isinstance(data.get("response"), dict):
        _check_response(data["response"], dialect)
    elif wire_type == "conversation.item.create":
        _check_item(data["item"], "item")


def refusal_of(event: UnknownEvent | MalformedEvent) -> RefusedError:
    """Return why an event that is none of the protocol's, or does not decode, is refused."""
    if isinstance(event, UnknownEvent):
        supported = ", ".join(f"'{name}'" for name in CLIENT_EVENTS)
        return RefusedError(
            f"Invalid value: '{event.wire_type[:100]}'. Supported values are: {supported}.",
            code="invalid_value",
            param="type",
        )
    cls = CLIENT_EVENTS.get(event.wire_type)
    if cls is None:
        return RefusedError(f"The frame is no event: {event.reason}.", code="invalid_value", param="type")
    # What is decoded in a second step has paths of its own, which do not begin with a field of the event.
    refusal = refusal_from(event.reason, "")
    first = (refusal.param or "").partition(".")[0].partition("[")[0]
    inner = next((name for name in ("session", "item", "response") if name in cls.__struct_fields__), None)
    if inner is None or first in cls.__struct_fields__:
        return refusal
    return refusal_from(event.reason, inner)


def refusal_from(reason: str, where: str) -> RefusedError:
    """Return the refusal that a decoder's message stands for."""
    found = _AT.fullmatch(reason)
    path = (where + (found["path"] if found else "")).removeprefix(".")
    what = found["what"] if found else reason
    lacks = _LACKS.fullmatch(what)
    if lacks:
        return missing(f"{path}.{lacks['name']}".removeprefix("."))
    return RefusedError(
        f"Invalid type for '{path}': {what}." if path else f"{what}.",
        code="invalid_value",
        param=path or None,
    )


def _check_session(session: object, dialect: Dialect) -> None:
    if dialect is Dialect.GA and isinstance(session, dict) and "type" not in session:
        raise missing("session.type")
    if dialect is Dialect.GA:
        _check_settings(session, _GA_SESSION, "session", Settings)
    else:
        _check_settings(session, _BETA_SESSION, "session", _BetaTypes)


def _check_response(response: object, dialect: Dialect) -> None:
    if dialect is Dialect.GA:
        _check_settings(response, _GA_RESPONSE, "response", ResponseSettings)
    else:
        _check_settings(response, _BETA_RESPONSE, "response", _BetaTypes)


def _check_settings(data: object, shape: Shape, where: str, types: type[msgspec.Struct]) -> None:
    if not isinstance(data, dict):
        raise refusal_from(f"Expected `object`, got `{type(data).__name__}`", where)
    _allowed(data, shape, where)
    _convert({key: value for key, value in data.items() if key not in ("input", "type")}, types, where)
    for index, tool in enumerate(_list(data.get("tools"))):
        if isinstance(tool, dict):
            kind = _TOOLS.get(str(tool.get("type")), _TOOLS["function"])
            _allowed(tool, kind, f"{where}.tools[{index}]")
    if isinstance(choice := data.get("tool_choice"), dict):
        _allowed(choice, _keys(ToolChoice), f"{where}.tool_choice")
    for index, item in enumerate(_list(data.get("input"))):
        _check_item(item, f"{where}.input[{index}]")


def _convert(data: dict[str, object], types: type[msgspec.Struct], where: str) -> None:
    tag = types.__struct_config__.tag
    try:
        msgspec.convert(data if tag is None else {"type": tag, **data}, types)
    except msgspec.ValidationError as exc:
        raise refusal_from(str(exc), where) from exc


def _check_item(item: object, where: str) -> None:
    cls = ITEMS.get(str(item.get("type"))) if isinstance(item, dict) else None
    if cls is None or not isinstance(item, dict):
        return
    _allowed(item, _keys(cls, type=None), where)
    for index, part in enumerate(_list(item.get("content"))):
        kind = PARTS.get(str(part.get("type"))) if isinstance(part, dict) else None
        if kind is not None and isinstance(part, dict):
            _allowed(part, _keys(kind, type=None), f"{where}.content[{index}]")


def _allowed(data: Mapping[str, object], shape: Shape, where: str) -> None:
    for key, value in data.items():
        path = f"{where}.{key}" if where else key
        if key not in shape:
            raise RefusedError(f"Unknown parameter: '{path[:200]}'.", code="unknown_parameter", param=path[:200])
        inner = shape[key]
        if inner and isinstance(value, dict):
            _allowed(value, inner, path)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
