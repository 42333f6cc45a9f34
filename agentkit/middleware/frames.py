"""What layers that write frames down make of them."""

import msgspec

from agentkit.events import Event, InputAudioBufferAppend, MalformedEvent, ResponseOutputAudioDelta

_AUDIO_KEYS = ("audio", "delta")


def without_audio(raw: bytes, event: Event) -> bytes:
    """Return a frame with its base64 audio replaced by how long it was."""
    if isinstance(event, MalformedEvent):
        return raw
    if isinstance(event, ResponseOutputAudioDelta | InputAudioBufferAppend):
        data = msgspec.json.decode(raw)
        for key in _AUDIO_KEYS:
            if isinstance(data.get(key), str):
                data[key] = _length(data[key])
        return msgspec.json.encode(data)
    if b'"audio"' in raw:
        return msgspec.json.encode(_shortened(msgspec.json.decode(raw)))
    return raw


def _shortened(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: _length(inner) if key == "audio" and isinstance(inner, str) else _shortened(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]
    return value


def _length(base64: str) -> str:
    return f"<{len(base64)} characters of base64>"
