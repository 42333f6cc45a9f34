"""What arrives: settings and responses, read from either dialect's shape or a mixture of both.

Rule: a field that does not fit is left out and the rest is kept: one odd value never hides a whole session.
"""

from collections.abc import Iterator
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from agentkit.events.dialects import FLAT
from agentkit.events.items import AnyItem, UnknownItem, decode_item
from agentkit.events.settings import (
    AnyServerSession,
    AnySettings,
    FunctionTool,
    Response,
    ResponseSettings,
    ServerMcpTool,
    ServerSession,
    ServerTranscriptionSession,
    Settings,
    SettingsBase,
    ToolDefinition,
    TranscriptionSettings,
    UnknownTool,
)

# `Any` here is JSON that has no type yet, as in codec.py; it goes nowhere else.

_FORMATS: Final[dict[str, dict[str, Any]]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "pcm": {"type": "audio/pcm"},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
"""Beta's audio formats; ``pcm`` is Qwen's, whose rate differs between the directions."""
_BETA_KEYS: Final = frozenset({*FLAT, "modalities", "max_response_output_tokens"})
"""What a response has in the beta dialect only."""
_MOVED: Final = frozenset({"modalities", "max_response_output_tokens"})
"""Fields that have another name in the GA shape."""
_MODES: Final = frozenset({"auto", "none", "required"})

_decode_any = msgspec.json.Decoder().decode
_decode_raws_or_null = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode
_decode_raws = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_response = msgspec.json.Decoder(Response).decode
_decode_raw_list = msgspec.json.Decoder(list[msgspec.Raw] | None).decode
_T = TypeVar("_T", bound=msgspec.Struct)


def settings_from_wire(raw: msgspec.Raw | bytes) -> AnySettings:
    """Read the settings that a client asks for.

    Raises:
        msgspec.ValidationError: It is no object.
    """
    data = _nested(_decode_any(raw))
    if data.get("type") == "transcription":
        return _read(data, TranscriptionSettings)
    return _read(data, Settings)


def strict_settings_from_wire(raw: msgspec.Raw | bytes) -> Settings:
    """Read the settings that a caller of ours writes in either dialect's shape; nothing is left out.

    Raises:
        msgspec.ValidationError: A field does not fit, or there is no such field; the message has its path.
    """
    given = _decode_any(raw)
    _check_shape(given)
    data = {name: value for name, value in _nested(given).items() if name not in _MOVED}
    settings = msgspec.convert(data, Settings)
    for path in _unknown(data, msgspec.to_builtins(settings), "$"):
        raise msgspec.ValidationError(f"there is no such field - at `{path}`")
    return settings


def _check_shape(given: Any) -> None:
    """Check what is moved to another place before it is converted.

    Raises:
        msgspec.ValidationError: It is not what it has to be.
    """
    if not isinstance(given, dict):
        return  # told by who reads it
    if not isinstance(given.get("modalities", []), list):
        raise msgspec.ValidationError("Expected `array` - at `$.modalities`")
    audio = given.get("audio", {})
    if not isinstance(audio, dict):
        raise msgspec.ValidationError("Expected `object` - at `$.audio`")
    for way, fields in audio.items():
        if way not in ("input", "output"):
            raise msgspec.ValidationError(f"there is no such field - at `$.audio.{way}`")
        if not isinstance(fields, dict):
            raise msgspec.ValidationError(f"Expected `object` - at `$.audio.{way}`")


def _unknown(given: Any, kept: Any, path: str) -> Iterator[str]:
    if not isinstance(given, dict) or not isinstance(kept, dict):
        return
    for name, value in given.items():
        if name not in kept:
            yield f"{path}.{name}"
        else:
            yield from _unknown(value, kept[name], f"{path}.{name}")


def transcription_settings_from_wire(raw: msgspec.Raw | bytes) -> AnySettings:
    """Read the settings of a transcription session, which have no ``type`` in the beta dialect.

    Raises:
        msgspec.ValidationError: It is no object.
    """
    return _read(_nested(_decode_any(raw)), TranscriptionSettings)


def server_session_from_wire(raw: msgspec.Raw | bytes) -> AnyServerSession:
    """Read the effective settings as the server tells them.

    Raises:
        msgspec.ValidationError: It is no object.
    """
    data = _nested(_decode_any(raw))
    if data.get("type") == "transcription":
        return _read(data, ServerTranscriptionSession)
    return _read(data, ServerSession)


def transcription_session_from_wire(raw: msgspec.Raw | bytes) -> AnyServerSession:
    """Read the effective settings of a transcription session, which have no ``type`` in the beta dialect.

    Raises:
        msgspec.ValidationError: It is no object.
    """
    return _read(_nested(_decode_any(raw)), ServerTranscriptionSession)


def response_settings_from_wire(raw: msgspec.Raw | bytes) -> ResponseSettings | None:
    """Read the settings of one response.

    Raises:
        msgspec.ValidationError: It is no object, or an item of its input does not fit.
    """
    raws = _decode_raws_or_null(raw)
    if raws is None:
        return None
    items = raws.pop("input", None)
    settings = _read(_nested({key: _decode_any(value) for key, value in raws.items()}), ResponseSettings)
    if items is None:
        return settings
    listed = _decode_raw_list(items)
    return replace(settings, input=None if listed is None else tuple(decode_item(item) for item in listed))


def response_from_wire(raw: msgspec.Raw | bytes) -> Response:
    """Read a response as the server tells it.

    An item that does not fit its type is kept as ``UnknownItem``: it must not hide that the response is over.

    Raises:
        msgspec.ValidationError: It is no object.
    """
    raws = _decode_raws(raw)
    if _BETA_KEYS.isdisjoint(raws):
        try:
            return _decode_response(raw)
        except msgspec.ValidationError:
            pass  # what does not fit is left out below
    items = raws.pop("output", None)
    response = _read(_nested({key: _decode_any(value) for key, value in raws.items()}), Response)
    if items is None:
        return response
    try:
        listed = _decode_raw_list(items) or ()
    except msgspec.ValidationError:
        return response
    return replace(response, output=tuple(item for raw_item in listed for item in _any_item(raw_item)))


def _any_item(raw: msgspec.Raw) -> tuple[AnyItem, ...]:
    try:
        return (decode_item(raw),)
    except msgspec.ValidationError:
        data = _decode_any(raw)
        return (UnknownItem(data),) if isinstance(data, dict) else ()


def _nested(data: Any) -> dict[str, Any]:
    """Move beta's flat fields to their places in the GA shape; a GA field that is there as well wins."""
    if not isinstance(data, dict):
        raise msgspec.ValidationError(f"Expected `object`, got `{type(data).__name__}`")
    result = {key: value for key, value in data.items() if key not in FLAT and key != "audio"}
    if isinstance(modalities := result.get("modalities"), list):
        result.setdefault("output_modalities", ["audio"] if "audio" in modalities else modalities)
    if "max_response_output_tokens" in result:
        result.setdefault("max_output_tokens", result["max_response_output_tokens"])
    audio = data.get("audio")
    ways: dict[str, dict[str, Any]] = {}
    if isinstance(audio, dict):
        ways = {key: dict(value) for key, value in audio.items() if isinstance(value, dict)}
    for flat, (way, name) in FLAT.items():
        if flat in data:
            ways.setdefault(way, {}).setdefault(name, data[flat])
    for way_data in ways.values():
        if isinstance(format_ := way_data.get("format"), str):
            way_data["format"] = _FORMATS.get(format_, {"type": format_})
        if isinstance(turns := way_data.get("turn_detection"), dict) and turns.get("type", "") is None:
            # alone, it is xAI's way to say `null`
            way_data["turn_detection"] = {key: turns[key] for key in turns if key != "type"} or None
    if ways:
        result["audio"] = ways
    if isinstance(result.get("tools"), list):
        result["tools"] = [_flat_function(tool) for tool in result["tools"]]
    if "tool_choice" in result:
        result["tool_choice"] = _choice(result["tool_choice"], result.get("tools"))
    return result


def _flat_function(value: Any) -> Any:
    """Lift the fields of ``{"type": "function", "function": {...}}`` (Qwen, chat completions)."""
    if isinstance(value, dict) and isinstance(inner := value.get("function"), dict):
        return {**inner, "type": "function"}
    return value


def _choice(value: Any, tools: Any) -> Any:
    """Read the name of one of the tools as the choice of that tool."""
    if isinstance(value, str) and value not in _MODES and isinstance(tools, list):
        named = any(isinstance(tool, dict) and tool.get("name") == value for tool in tools)
        return {"type": "function", "name": value} if named else value
    return _flat_function(value)


def _read(data: dict[str, Any], cls: type[_T]) -> _T:
    """Make a Struct of what fits it. Its tag is the caller's decision, and its tools need a fallback."""
    data.pop("type", None)
    tools = data.pop("tools", UNSET)
    result = _fitting(data, cls)
    if isinstance(result, SettingsBase) and (tools is None or isinstance(tools, list)):
        read = None if tools is None else tuple(tool for value in tools for tool in _read_tool(value))
        return replace(result, tools=read)
    return result


def _read_tool(value: Any) -> tuple[ToolDefinition, ...]:
    if not isinstance(value, dict):
        return ()
    typed = value if value.get("type") is not None else {**value, "type": "function"}
    try:
        return (msgspec.convert(typed, FunctionTool | ServerMcpTool),)
    except msgspec.ValidationError:
        return (UnknownTool(value),)


def _fitting(data: dict[str, Any], cls: type[_T]) -> _T:
    """Make a Struct of the fields that fit it.

    Raises:
        msgspec.ValidationError: A field that must be there is not, or does not fit.
    """
    tag = cls.__struct_config__.tag
    tagged = data if tag is None else {"type": tag, **data}
    try:
        return msgspec.convert(tagged, cls)
    except msgspec.ValidationError:
        kept: dict[str, Any] = {}
        for field in msgspec.structs.fields(cls):
            if field.name in data:
                value = _fitting_value(data[field.name], field.type)
                if value is not UNSET:
                    kept[field.name] = value
        return msgspec.convert(kept if tag is None else {"type": tag, **kept}, cls)


def _fitting_value(value: Any, wanted: Any) -> Any:
    """Return the value, or what of it fits the type, as JSON; ``UNSET`` where nothing does."""
    try:
        msgspec.convert(value, wanted)
        return value
    except msgspec.ValidationError:
        options = get_args(wanted) or (wanted,)
    if isinstance(value, dict):
        for option in options:
            if isinstance(option, type) and issubclass(option, msgspec.Struct):
                try:
                    return msgspec.to_builtins(_fitting(value, option))
                except msgspec.ValidationError:
                    return UNSET
    if isinstance(value, list):
        for option in options:
            if get_origin(option) is tuple:
                return [
                    kept for element in value if (kept := _fitting_value(element, get_args(option)[0])) is not UNSET
                ]
    return UNSET
