"""Between frames and events.

Rule: nothing that arrives can raise here. A type that nobody knows becomes ``UnknownEvent``; a frame that is
no event, or an event of a known type that does not decode, becomes ``MalformedEvent``.
"""

from types import ModuleType
from typing import Any

import msgspec
import pybase64

from agentkit.errors import LocalProtocolError
from agentkit.events import response, server
from agentkit.events.base import ClientEvent, ServerEvent, name_on_wire
from agentkit.events.client import (
    CLIENT_EVENTS,
    ConversationItemCreate,
    InputAudioBufferAppend,
    ResponseCreate,
    SessionUpdate,
    TranscriptionSessionUpdate,
    UnknownClientEvent,
)
from agentkit.events.dialects import (
    Dialect,
    item_to_wire,
    part_to_wire,
    response_settings_to_wire,
    response_to_wire,
    settings_to_wire,
)
from agentkit.events.items import written
from agentkit.events.response import (
    ContentPartEvent,
    OutputItemEvent,
    ResponseCreated,
    ResponseDone,
    ResponseFunctionCallArgumentsDone,
)
from agentkit.events.server import (
    ItemEvent,
    MalformedEvent,
    SessionCreated,
    SessionUpdated,
    UnknownEvent,
)
from agentkit.events.settings import TranscriptionSettings

HEAD = 100
"""How many characters of a malformed frame are kept."""


def _tagged(*modules: ModuleType) -> dict[str, type[ServerEvent]]:
    """Collect the server event classes that have a name on the wire."""
    found: dict[str, type[ServerEvent]] = {}
    for module in modules:
        for cls in vars(module).values():
            if not isinstance(cls, type) or not issubclass(cls, ServerEvent):
                continue
            if cls.__struct_config__.tag is not None:
                name_on_wire(cls)
                found[cls.wire_type] = cls
    return found


SERVER_EVENTS: dict[str, type[ServerEvent]] = _tagged(server, response)
"""Server event classes by their wire name, both dialects'."""

_GA_NAMES: dict[str, str] = {
    name: base.wire_type
    for name, cls in SERVER_EVENTS.items()
    if issubclass(base := cls.__bases__[0], ServerEvent) and base.wire_type
}
_BETA_NAMES: dict[str, str] = {ga: beta for beta, ga in _GA_NAMES.items()}
OTHER_NAMES: dict[str, str] = _GA_NAMES | _BETA_NAMES
"""What a server event is called in the other dialect, where its name differs."""
_GA_ONLY = (
    "conversation.item.done",
    "input_audio_buffer.dtmf_event_received",
    "input_audio_buffer.timeout_triggered",
    "mcp_list_tools.",
    "response.mcp_call",
)
"""How the names begin of the events that beta does not have."""


def _union(classes: dict[str, Any]) -> Any:
    result: Any = None
    for cls in classes.values():
        result = cls if result is None else result | cls
    return result


_decode_server = msgspec.json.Decoder(_union(SERVER_EVENTS)).decode
_decode_client = msgspec.json.Decoder(_union(CLIENT_EVENTS)).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder(enc_hook=written).encode


def decode_server(frame: bytes | str) -> ServerEvent:
    """Decode a frame from the server.

    Args:
        frame: One text frame, as UTF-8 bytes or as a string.

    Returns:
        The event; ``UnknownEvent`` or ``MalformedEvent`` where it is not one of ours. Never raises.
    """
    try:
        # msgspec does not look into strings that it skips.
        if not frame.isascii() and isinstance(frame, bytes):
            frame.decode()
        event: ServerEvent = _decode_server(frame)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        return _other(frame, exc, SERVER_EVENTS)
    return event


def decode_client(frame: bytes | str) -> ClientEvent | UnknownEvent | MalformedEvent:
    """Decode a frame from a client, in either dialect, as a server does.

    Args:
        frame: One text frame, as UTF-8 bytes or as a string.

    Returns:
        The event; ``UnknownEvent`` or ``MalformedEvent`` where it is not one of ours. Never raises.
    """
    try:
        if not frame.isascii() and isinstance(frame, bytes):
            frame.decode()
        event: ClientEvent = _decode_client(frame)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        return _other(frame, exc, CLIENT_EVENTS)
    return event


def _other(frame: bytes | str, exc: Exception, known: dict[str, Any]) -> UnknownEvent | MalformedEvent:
    """Tell an event of an unknown type from a malformed one."""
    wire_type = event_id = None
    raw = frame if isinstance(frame, bytes) else frame.encode("utf-8", "backslashreplace")
    if not isinstance(exc, UnicodeError):
        try:
            data = _decode_object(frame)
        except (msgspec.MsgspecError, ValueError, RecursionError) as inner:
            exc = inner
        else:
            wire_type, event_id = data.get("type"), data.get("event_id")
            event_id = event_id if isinstance(event_id, str) else None
            if isinstance(wire_type, str) and wire_type not in known:
                return UnknownEvent(wire_type=wire_type, data=data, event_id=event_id)
            if not isinstance(wire_type, str):
                wire_type, exc = None, ValueError("the object has no string `type`")
    return MalformedEvent(
        wire_type=wire_type or "malformed",
        event_id=event_id,
        reason=str(exc),
        head=raw[:HEAD].decode("utf-8", "backslashreplace").encode("unicode_escape").decode("ascii")[:HEAD],
        size=len(raw),
    )


def encode_client(event: ClientEvent, dialect: Dialect = Dialect.GA) -> bytes:
    """Encode an event for the server.

    Raises:
        LocalProtocolError: The dialect cannot say it, or it holds what JSON cannot.
    """
    try:
        if isinstance(event, InputAudioBufferAppend):
            # Measured for 20 ms of audio: a quarter of what msgspec's own base64 takes; an eighth for 100 ms.
            event_id = b"" if event.event_id is None else b'"event_id":' + _encode(event.event_id) + b","
            audio = pybase64.b64encode(event.audio)
            return b'{"type":"input_audio_buffer.append",%b"audio":"%b"}' % (event_id, audio)
        if isinstance(event, SessionUpdate | ResponseCreate | ConversationItemCreate):
            return _encode(_client_body(event, dialect))
        if isinstance(event, UnknownClientEvent):
            own = {"type": event.wire_type} | ({} if event.event_id is None else {"event_id": event.event_id})
            return _encode({**event.data, **own})
        return _encode(event)
    except (TypeError, ValueError, RecursionError) as exc:
        raise _not_json(event, exc) from exc


def _not_json(event: ClientEvent | ServerEvent, exc: Exception) -> LocalProtocolError:
    return LocalProtocolError(f"{event.wire_type} holds what cannot be sent as JSON: {exc}.")


def _client_body(event: SessionUpdate | ResponseCreate | ConversationItemCreate, dialect: Dialect) -> dict[str, Any]:
    body: dict[str, Any] = {"type": event.wire_type}
    if event.event_id is not None:
        body["event_id"] = event.event_id
    if isinstance(event, SessionUpdate):
        beta_transcription = dialect is Dialect.BETA and isinstance(event.session, TranscriptionSettings)
        body["type"] = (TranscriptionSessionUpdate if beta_transcription else SessionUpdate).wire_type
        body["session"] = settings_to_wire(event.session, dialect)
    elif isinstance(event, ResponseCreate):
        if event.response is not None:
            body["response"] = response_settings_to_wire(event.response, dialect)
    else:
        if event.previous_item_id is not None:
            body["previous_item_id"] = event.previous_item_id
        body["item"] = item_to_wire(event.item, dialect)
    return body


def encode_server(event: ServerEvent, dialect: Dialect = Dialect.GA) -> bytes | None:
    """Encode an event for a client, as a server does.

    Returns:
        The frame; ``None`` where the dialect has no such event. A field that the dialect has not is left out.

    Raises:
        LocalProtocolError: It is no event that a server sends, or it holds what JSON cannot.
    """
    name = event.wire_type if isinstance(event, UnknownEvent) else _server_name(event, dialect)
    if dialect is Dialect.BETA and name.startswith(_GA_ONLY):
        return None
    try:
        return _encode(_server_body(event, name, dialect))
    except (TypeError, ValueError, RecursionError) as exc:
        raise _not_json(event, exc) from exc


def _server_body(event: ServerEvent, name: str, dialect: Dialect) -> ServerEvent | dict[str, Any]:
    if isinstance(event, UnknownEvent):
        return event.data
    changed = _server_fields(event, dialect)
    nameless = dialect is Dialect.BETA and isinstance(event, ResponseFunctionCallArgumentsDone)
    if name == event.wire_type and not changed and not nameless:
        return event
    body: dict[str, Any] = msgspec.to_builtins(event, enc_hook=written)
    if nameless:
        del body["name"]
    return {**body, **changed, "type": name}


def _server_name(event: ServerEvent, dialect: Dialect) -> str:
    if event.wire_type not in SERVER_EVENTS:
        raise LocalProtocolError(f"{type(event).__name__} is no event that a server can send.")
    ga = _GA_NAMES.get(event.wire_type, event.wire_type)
    if dialect is Dialect.GA:
        return ga
    if isinstance(event, SessionCreated | SessionUpdated):
        return _BETA_NAMES[ga] if isinstance(event.session, TranscriptionSettings) else ga
    return _BETA_NAMES.get(ga, ga)


def _server_fields(event: ServerEvent, dialect: Dialect) -> dict[str, Any]:
    """Write the fields whose shape depends on the dialect."""
    if isinstance(event, SessionCreated | SessionUpdated):
        return {"session": settings_to_wire(event.session, dialect, strict=False)}
    if isinstance(event, ResponseCreated | ResponseDone):
        return {"response": response_to_wire(event.response, dialect)}
    if isinstance(event, ItemEvent | OutputItemEvent):
        return {"item": item_to_wire(event.item, dialect, strict=False)}
    if isinstance(event, ContentPartEvent):
        # GA too has beta's short names in these events.
        return {"part": part_to_wire(event.part, Dialect.BETA, strict=False)}
    return {}
