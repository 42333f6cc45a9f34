"""Session fields as the reference client takes them: flat, in the beta dialect's names, or nested as in GA.

Rule: only what the caller has set is ever sent; a value that would be left out is refused instead.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from agentkit.client.plain import plain
from agentkit.events import FunctionTool, Settings
from agentkit.events.dialects import FLAT
from agentkit.events.reading import strict_settings_from_wire
from agentkit.protocol.settings import NO_TURNS, asked_detection

DEFAULTS: Final[Mapping[str, Any]] = {
    "modalities": ["text", "audio"],
    "instructions": "",
    "voice": "alloy",
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "input_audio_transcription": None,
    "turn_detection": None,
    "tools": [],
    "tool_choice": "auto",
    "temperature": 0.8,
    "max_response_output_tokens": 4096,
}
"""What the reference client sends unasked; here it is for reading only."""
DEFAULT_VAD: Final[Mapping[str, Any]] = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
}
_REFERENCE: Final = {"output_modalities": "modalities", "max_output_tokens": "max_response_output_tokens"}
"""Fields of GA's that the reference client has under another name."""
_OF_GA: Final = tuple(name for name in Settings.__struct_fields__ if name != "model")
FIELDS: Final = tuple(dict.fromkeys([*DEFAULTS, *FLAT, *_OF_GA]))
"""Every field that ``update_session`` takes."""


def check_fields(fields: Mapping[str, Any]) -> None:
    """Check what a caller gives.

    Raises:
        TypeError: A field has another name.
        ValueError: A field's value is none that it can have.
    """
    import difflib

    for name, value in fields.items():
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(FIELDS)}"
            raise TypeError(f"a session has no field {name!r}{hint}")
        if name == "tools":
            for definition in value or ():
                manual_tool(definition)
        else:
            _settings(name, {name: value})


def flattened(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of checked fields under the reference client's names, so that of two names the later one counts."""
    result: dict[str, Any] = {}
    for name, value in fields.items():
        if name != "audio":
            result[_REFERENCE.get(name, name)] = plain(value)
            continue
        for flat, (way, inner) in FLAT.items():
            if inner in (value or {}).get(way, {}):
                result[flat] = plain(value[way][inner])
    return result


def settings_of(fields: Mapping[str, Any]) -> Settings | None:
    """Return the settings that fields ask for, tools aside; None where they ask for nothing."""
    data = {name: value for name, value in fields.items() if name != "tools"}
    if not data:
        return None
    return _settings("these fields", data)


def _settings(name: str, data: Mapping[str, Any]) -> Settings:
    try:
        return strict_settings_from_wire(msgspec.json.encode(_said_for_wire(data)))
    except (TypeError, ValueError) as exc:
        value = data.get(name, data)
        raise ValueError(f"{name} cannot be {value!r}: {exc}") from exc


def _said_for_wire(data: Mapping[str, Any]) -> dict[str, Any]:
    """Say what the reading of wire shapes would pass over: words for no turn detection, a list that is none."""
    said = dict(data)
    modalities = said.get("modalities", ())
    if not isinstance(modalities, list | tuple):
        raise TypeError("Expected `array`")
    detection = said.get("turn_detection")
    if isinstance(detection, str):
        said["turn_detection"] = None if detection in NO_TURNS else {"type": detection}
    audio = said.get("audio")
    user = audio.get("input") if isinstance(audio, Mapping) else None
    if isinstance(audio, Mapping) and isinstance(user, Mapping) and user.get("turn_detection") in NO_TURNS:
        said["audio"] = {**audio, "input": {**user, "turn_detection": None}}
    return said


def manual_tool(definition: Any) -> FunctionTool:
    """Return a tool without a handler, whose calls the application answers.

    Raises:
        ValueError: It is no definition of a function.
    """
    if isinstance(definition, FunctionTool):
        return definition
    try:
        tool = msgspec.convert({"type": "function", **definition}, FunctionTool)
    except (TypeError, msgspec.ValidationError) as exc:
        raise ValueError(f"tools cannot have {definition!r}: {exc}") from exc
    if not tool.name:
        raise ValueError(f"the tool {definition!r} has no name")
    return tool


def turn_detection_type(fields: Mapping[str, Any]) -> str | None:
    """Return the type of turn detection that fields ask for; None for push to talk."""
    settings = settings_of({name: fields[name] for name in ("turn_detection", "audio") if name in fields})
    return asked_detection(settings) if settings is not None else None
