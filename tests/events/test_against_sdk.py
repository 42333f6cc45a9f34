"""Our classes against the `openai` package's own types: each of its events, in all its variants, survives us whole."""

import json
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from openai.types.beta.realtime import conversation_item as beta_item
from openai.types.beta.realtime import conversation_item_content as beta_content
from openai.types.beta.realtime import conversation_item_with_reference as beta_reference
from openai.types.beta.realtime import response_content_part_added_event as beta_part_added
from openai.types.beta.realtime import response_content_part_done_event as beta_part_done
from openai.types.beta.realtime.realtime_client_event import RealtimeClientEvent as BetaClientEvent
from openai.types.beta.realtime.realtime_server_event import RealtimeServerEvent as BetaServerEvent
from openai.types.realtime import (
    realtime_conversation_item_assistant_message as assistant,
)
from openai.types.realtime import (
    realtime_conversation_item_user_message as user,
)
from openai.types.realtime import response_content_part_added_event as part_added
from openai.types.realtime import response_content_part_done_event as part_done
from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

from agentkit.events import (
    CLIENT_EVENTS,
    SERVER_EVENTS,
    Dialect,
    MalformedEvent,
    UnknownEvent,
    decode_client,
    decode_server,
    encode_client,
    encode_server,
)

SOME = {str: "text", int: 7, float: 0.5, bool: True, object: {"any": [1, None]}, type(None): None}

MERGED: dict[type[BaseModel], dict[str | None, tuple[str, ...]]] = {
    # The SDK has one class for several kinds, with every field optional; by kind, the fields that belong to it.
    user.Content: {
        "input_text": ("text",),
        "input_audio": ("audio", "transcript"),
        "input_image": ("image_url", "detail"),
        None: ("text",),
    },
    assistant.Content: {"output_text": ("text",), "output_audio": ("audio", "transcript"), None: ("text",)},
    beta_content.ConversationItemContent: {
        "input_text": ("text",),
        "input_audio": ("audio", "transcript"),
        "text": ("text",),
        "audio": ("audio", "transcript"),
        "item_reference": ("id",),
    },
    beta_reference.Content: {
        "input_text": ("text",),
        "input_audio": ("audio", "transcript"),
        "text": ("text",),
        "item_reference": ("id",),
    },
}
for _item in (beta_item.ConversationItem, beta_reference.ConversationItemWithReference):
    MERGED[_item] = {
        "message": ("id", "object", "status", "role", "content"),
        "function_call": ("id", "object", "status", "name", "arguments", "call_id"),
        "function_call_output": ("id", "object", "status", "call_id", "output"),
    }
MERGED[beta_reference.ConversationItemWithReference]["item_reference"] = ("id", "object", "status")
for _module in (part_added, part_done, beta_part_added, beta_part_done):
    MERGED[_module.Part] = {"text": ("text",), "audio": ("audio", "transcript"), None: ("text",)}
NEEDED = {"role", "name", "call_id", "output"}
"""Fields of beta's merged items that we need: without them the item means nothing."""
LEFT_OUT = {
    # a key of the REST interface; it must not be kept in settings that get logged
    "session_update_event.client_secret",
    "transcription_session.client_secret",
    "transcription_session_update.client_secret",
    # a transcription session does not answer
    "transcription_session.modalities",
    "transcription_session_update.modalities",
}


def models(union: Any) -> dict[str, type[BaseModel]]:
    """Collect the classes of a union of events by their type on the wire."""
    options = get_args(get_args(union)[0] if get_origin(union) is Annotated else union)
    return {get_args(option.model_fields["type"].annotation)[0]: option for option in options}


GA_SERVER, GA_CLIENT = models(RealtimeServerEvent), models(RealtimeClientEvent)
BETA_SERVER, BETA_CLIENT = models(BetaServerEvent), models(BetaClientEvent)


def samples(annotation: Any) -> Iterator[Any]:
    """Give JSON values of each kind that an annotation allows."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from samples(get_args(annotation)[0])
    elif origin is Literal:
        yield from get_args(annotation)
    elif origin in (Union, types.UnionType):
        for option in get_args(annotation):
            yield from samples(option)
    elif origin is list:
        yield from ([value] for value in samples(get_args(annotation)[0]))
    elif origin is dict:
        yield from ({"key": value} for value in samples(get_args(annotation)[1]))
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from variants(annotation)
    else:
        yield SOME[annotation]


def variants(model: type[BaseModel]) -> Iterator[dict[str, Any]]:
    """Give a model with all its fields, with only those that it needs, and with each value of each field."""
    for kind, names in MERGED.get(model, {"": tuple(model.model_fields)}).items():
        fixed = {} if kind == "" else {"type": kind}
        fields = {
            name: list(samples(model.model_fields[name].annotation))
            for name in names
            if f"{model.__module__.rpartition('.')[2]}.{name}" not in LEFT_OUT
        }
        needed = {
            name: values[0]
            for name, values in fields.items()
            if model.model_fields[name].is_required() or (model in MERGED and name in NEEDED)
        }
        full = {name: values[0] for name, values in fields.items()}
        yield {**full, **fixed}
        yield {**needed, **fixed}
        for name, values in fields.items():
            for value in values[1:]:
                if value is None and name in needed:
                    continue
                yield {**full, name: value, **fixed}


def lost(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Name what is in the sample and not in what we make of it; ``null`` and an absent field are the same."""
    if isinstance(theirs, dict) and isinstance(ours, dict | None):
        ours = ours or {}
        for key, value in theirs.items():
            yield from lost(value, ours.get(key), f"{path}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for index, value in enumerate(theirs):
            yield from lost(value, ours[index], f"{path}[{index}]")
    elif theirs != ours and not (theirs is None and ours in ("", [], "server_vad", "audio/pcm", "function")):
        yield f"{path}: {theirs!r} became {ours!r}"


def both_modalities(value: Any) -> Any:
    """Write beta's ``["audio"]`` as beta servers want it, which is with the text that always comes."""
    if isinstance(value, dict):
        return {
            key: ["text", "audio"] if key == "modalities" and inner == ["audio"] else both_modalities(inner)
            for key, inner in value.items()
        }
    return value


CASES = [
    *((Dialect.GA, "server", name, model) for name, model in GA_SERVER.items()),
    *((Dialect.GA, "client", name, model) for name, model in GA_CLIENT.items()),
    *((Dialect.BETA, "server", name, model) for name, model in BETA_SERVER.items()),
    *((Dialect.BETA, "client", name, model) for name, model in BETA_CLIENT.items()),
]


@pytest.mark.parametrize("dialect,side,name,model", CASES, ids=[f"{d}-{s}-{n}" for d, s, n, _ in CASES])
def test_every_variant_of_the_sdk_s_event_survives(
    dialect: Dialect, side: str, name: str, model: type[BaseModel]
) -> None:
    problems: set[str] = set()
    for sample in variants(model):
        frame = json.dumps(sample).encode()
        event = decode_server(frame) if side == "server" else decode_client(frame)
        assert not isinstance(event, UnknownEvent | MalformedEvent), (sample, event)
        assert event.wire_type == name
        written = encode_server(event, dialect) if side == "server" else encode_client(event, dialect)  # type: ignore[arg-type]  # by side
        assert written is not None
        expected = both_modalities({key: value for key, value in sample.items() if key != "type"})
        problems |= set(lost(expected, json.loads(written)))
    assert problems == set()


def extras(value: object, path: str = "") -> Iterator[str]:
    """Name the fields that the SDK does not know, which its models would silently keep."""
    if isinstance(value, BaseModel):
        yield from (f"{path}.{key}" for key, inner in (value.model_extra or {}).items() if inner is not None)
        for name in type(value).model_fields:
            yield from extras(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from extras(inner, f"{path}[]")


ADAPTERS: dict[tuple[Dialect, str], TypeAdapter[Any]] = {
    (Dialect.GA, "server"): TypeAdapter(RealtimeServerEvent),
    (Dialect.GA, "client"): TypeAdapter(RealtimeClientEvent),
    (Dialect.BETA, "server"): TypeAdapter(BetaServerEvent),
    (Dialect.BETA, "client"): TypeAdapter(BetaClientEvent),
}


@pytest.mark.parametrize("dialect,side,name,model", CASES, ids=[f"{d}-{s}-{n}" for d, s, n, _ in CASES])
def test_what_we_write_is_what_the_sdk_and_we_read(
    dialect: Dialect, side: str, name: str, model: type[BaseModel]
) -> None:
    for sample in variants(model):
        frame = json.dumps(sample).encode()
        if side == "server":
            event: Any = decode_server(frame)
            written = encode_server(event, dialect)
            again: Any = decode_server(written or b"")
        else:
            event = decode_client(frame)
            written = encode_client(event, dialect)
            again = decode_client(written)
        assert written is not None
        if name != "transcription_session.updated":  # the SDK wants a secret there, which it says is not sent
            assert set(extras(ADAPTERS[dialect, side].validate_json(written))) == set()
        if again.wire_type != name:
            assert issubclass(SERVER_EVENTS[name], type(again))
            continue
        assert again == event


EXTRA_EVENTS = {
    "transcription_session.created": "beta servers of transcription sessions send it; the SDK forgot it",
}


def test_we_know_the_sdk_s_events_and_no_others() -> None:
    assert set(CLIENT_EVENTS) == set(GA_CLIENT) | set(BETA_CLIENT)
    assert set(SERVER_EVENTS) - set(EXTRA_EVENTS) == set(GA_SERVER) | set(BETA_SERVER)


EXTRA_FIELDS = {
    "input_audio_buffer.dtmf_event_received": {"event_id"},  # every event may have one
}
"""Fields of ours that the SDK's event of that type has in neither dialect."""


@pytest.mark.parametrize("name", sorted({**SERVER_EVENTS, **CLIENT_EVENTS}))
def test_an_event_has_no_field_that_the_sdk_does_not_have(name: str) -> None:
    ours = {**SERVER_EVENTS, **CLIENT_EVENTS}[name]
    ga = ours.__bases__[0].wire_type if name not in GA_SERVER else name  # type: ignore[attr-defined]  # an Event
    theirs = [
        table[key] for key in (name, ga) for table in (GA_SERVER, GA_CLIENT, BETA_SERVER, BETA_CLIENT) if key in table
    ]
    known = {field for model in theirs for field in model.model_fields}
    assert set(ours.__struct_fields__) - known == EXTRA_FIELDS.get(name, set())
