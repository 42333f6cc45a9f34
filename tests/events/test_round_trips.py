"""What we make is what the `openai` package's own types accept, and reading it again gives the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from openai.types.beta.realtime.realtime_client_event import RealtimeClientEvent as BetaClientEvent
from openai.types.beta.realtime.realtime_server_event import RealtimeServerEvent as BetaServerEvent
from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import TypeAdapter

from agentkit.events import (
    Audio,
    AudioFormat,
    AudioInput,
    AudioOutput,
    AudioSettings,
    ClientEvent,
    ConversationItemAdded,
    ConversationItemCreate,
    CustomVoice,
    Dialect,
    FunctionCallItem,
    FunctionCallOutputItem,
    FunctionTool,
    InputAudio,
    InputImage,
    InputText,
    MessageItem,
    NoiseReduction,
    OutputAudio,
    OutputText,
    Response,
    ResponseCreate,
    ResponseDone,
    ResponseSettings,
    ServerEvent,
    ServerMcpTool,
    SessionUpdate,
    Settings,
    StatusDetails,
    StatusError,
    Text,
    ToolChoice,
    Transcription,
    TurnDetection,
    Usage,
    UsageDetails,
    decode_client,
    decode_server,
    encode_client,
    encode_server,
)

CLIENT: dict[Dialect, TypeAdapter[Any]] = {
    Dialect.GA: TypeAdapter(RealtimeClientEvent),
    Dialect.BETA: TypeAdapter(BetaClientEvent),
}
SERVER: dict[Dialect, TypeAdapter[Any]] = {
    Dialect.GA: TypeAdapter(RealtimeServerEvent),
    Dialect.BETA: TypeAdapter(BetaServerEvent),
}
words = st.text(max_size=6)
counts = st.integers(0, 2**40)
dialects = st.sampled_from(Dialect)


def unset(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.just(UNSET) | values


def formats(dialect: Dialect) -> st.SearchStrategy[Any]:
    """Give formats; beta's ``pcm16`` says its rate, so only with it does GA's come back the same."""
    plain = [AudioFormat(rate=24000), AudioFormat(type="audio/pcmu"), AudioFormat(type="audio/pcma")]
    return st.sampled_from(plain if dialect is Dialect.BETA else [*plain, AudioFormat()])


def tools(dialect: Dialect) -> st.SearchStrategy[Any]:
    function = st.builds(
        FunctionTool,
        name=words,
        description=st.none() | words,
        parameters=st.none() | st.just({"type": "object", "properties": {"x": {"type": "string"}}}),
    )
    server = st.builds(
        ServerMcpTool,
        server_label=words,
        server_url=st.none() | words,
        headers=st.none() | st.dictionaries(words, words, max_size=2),
        allowed_tools=st.none() | st.lists(words, max_size=2) | st.just({"read_only": True}),
        require_approval=st.sampled_from([None, "always", "never", {"never": {"tool_names": ["a"]}}]),
        defer_loading=st.none() | st.booleans(),
    )
    return st.lists(function if dialect is Dialect.BETA else function | server, max_size=3).map(tuple)


def choices(dialect: Dialect) -> st.SearchStrategy[Any]:
    if dialect is Dialect.BETA:
        return st.sampled_from(["auto", "none", "required"])
    chosen = ToolChoice(type="mcp", server_label="s", name="f")
    return st.sampled_from(["auto", "none", "required", ToolChoice(name="f"), chosen])


def detections(dialect: Dialect) -> st.SearchStrategy[Any]:
    idle = st.just(UNSET) if dialect is Dialect.BETA else unset(st.none() | st.integers(5000, 30000))
    flags = unset(st.booleans())
    energy = st.builds(
        TurnDetection,
        threshold=unset(st.floats(0, 1)),
        prefix_padding_ms=unset(counts),
        silence_duration_ms=unset(counts),
        idle_timeout_ms=idle,
        create_response=flags,
        interrupt_response=flags,
    )
    meaning = st.builds(
        TurnDetection,
        type=st.just("semantic_vad"),
        eagerness=unset(st.sampled_from(["low", "medium", "high", "auto"])),
        create_response=flags,
    )
    return st.none() | energy | meaning


def outputs(dialect: Dialect, *, speed: bool) -> st.SearchStrategy[AudioOutput]:
    voices = unset(words if dialect is Dialect.BETA else words | st.builds(CustomVoice, id=words))
    speeds = unset(st.floats(0.25, 1.5)) if speed else st.just(UNSET)
    return st.builds(AudioOutput, format=formats(dialect), voice=voices, speed=speeds)


def shared(dialect: Dialect) -> dict[str, st.SearchStrategy[Any]]:
    """Give the fields that sessions and responses share."""
    ga = dialect is Dialect.GA
    return {
        "instructions": unset(words),
        "output_modalities": unset(st.sampled_from([("audio",), ("text",)])),
        "tools": unset(tools(dialect)),
        "tool_choice": unset(choices(dialect)),
        "max_output_tokens": unset(st.integers(1, 4096) | st.just("inf")),
        "temperature": st.just(UNSET) if ga else unset(st.floats(0.6, 1.2)),
        "reasoning": unset(st.just({"effort": "low"})) if ga else st.just(UNSET),
        "prompt": unset(st.just({"id": "p", "version": "1"})) if ga else st.just(UNSET),
    }


def settings(dialect: Dialect) -> st.SearchStrategy[Settings]:
    ga = dialect is Dialect.GA
    hears = st.builds(
        AudioInput,
        format=formats(dialect),
        noise_reduction=unset(st.none() | st.builds(NoiseReduction, type=st.sampled_from(["near_field", "far_field"]))),
        transcription=unset(st.none() | st.builds(Transcription, model=unset(words), language=unset(words))),
        turn_detection=unset(detections(dialect)),
    )
    audio = st.builds(AudioSettings, input=hears, output=outputs(dialect, speed=True))
    truncation = st.sampled_from(["auto", "disabled", {"type": "retention_ratio", "retention_ratio": 0.5}])
    return st.builds(
        Settings,
        **shared(dialect),
        audio=unset(audio),
        tracing=unset(st.sampled_from([None, "auto", {"workflow_name": "w"}])),
        truncation=unset(truncation) if ga else st.just(UNSET),
    )


def items(dialect: Dialect, *, spoken: bool = True) -> st.SearchStrategy[Any]:
    """Give items with the parts under the dialect's own names.

    Args:
        dialect: Whose names.
        spoken: Whether the assistant's audio is among them; a client of the beta dialect has no way to say it.
    """
    ga = dialect is Dialect.GA
    texts = st.builds(OutputText if ga else Text, text=words)
    sounds = st.builds(OutputAudio if ga else Audio, transcript=words)
    heard = st.builds(InputAudio, audio=st.none() | st.just("AAAA"), transcript=st.none() | words)
    typed = st.builds(InputText, text=words)
    seen = st.builds(InputImage, image_url=st.just("data:,"), detail=st.sampled_from(["auto", "low", "high"]))
    said = texts | sounds if spoken else texts
    parts = {"user": typed | heard | seen if ga else typed | heard, "assistant": said, "system": typed}
    common = {
        "id": words,
        "object": st.sampled_from([None, "realtime.item"]),
        "status": st.sampled_from([None, "in_progress", "completed", "incomplete"]),
    }
    messages = [
        st.builds(MessageItem, **common, role=st.just(role), content=st.lists(part, max_size=2).map(tuple))
        for role, part in parts.items()
    ]
    calls = st.builds(FunctionCallItem, **common, name=words, arguments=words, call_id=st.none() | words)
    answers = st.builds(FunctionCallOutputItem, **common, call_id=words, output=words)
    return st.one_of(*messages, calls, answers)


def client_events(dialect: Dialect) -> st.SearchStrategy[tuple[Dialect, ClientEvent]]:
    ids = st.none() | words
    response = st.builds(
        ResponseSettings,
        **shared(dialect),
        audio=unset(st.builds(AudioSettings, output=outputs(dialect, speed=False))),
        conversation=unset(st.sampled_from(["auto", "none"])),
        metadata=unset(st.none() | st.dictionaries(words, words, max_size=2)),
        input=unset(st.lists(items(dialect, spoken=dialect is Dialect.GA), max_size=2).map(tuple)),
    )
    events = st.one_of(
        st.builds(SessionUpdate, event_id=ids, session=settings(dialect)),
        st.builds(ResponseCreate, event_id=ids, response=st.none() | response),
        st.builds(ConversationItemCreate, event_id=ids, item=items(dialect), previous_item_id=ids),
    )
    return events.map(lambda event: (dialect, event))


def server_events(dialect: Dialect) -> st.SearchStrategy[tuple[Dialect, ServerEvent]]:
    details = st.builds(UsageDetails, text_tokens=counts, audio_tokens=counts)
    usage = st.builds(Usage, total_tokens=counts, input_token_details=details, output_token_details=st.none() | details)
    error = st.builds(StatusError, type=words, code=st.none() | words)
    response = st.builds(
        Response,
        id=words,
        status=st.sampled_from(["in_progress", "completed", "cancelled", "incomplete", "failed"]),
        status_details=st.none() | st.builds(StatusDetails, reason=st.just("turn_detected"), error=st.none() | error),
        output=st.lists(items(dialect), max_size=2).map(tuple),
        conversation_id=st.none() | words,
        output_modalities=st.sampled_from([None, ("audio",), ("text",)]),
        max_output_tokens=st.none() | st.just("inf") | counts,
        usage=st.none() | usage,
    )
    events: st.SearchStrategy[ServerEvent] = st.builds(ResponseDone, event_id=words, response=response)
    if dialect is Dialect.GA:
        # beta calls it by another name
        events |= st.builds(ConversationItemAdded, event_id=words, item=items(dialect), previous_item_id=words)
    return events.map(lambda event: (dialect, event))


@given(dialects.flatmap(client_events))
def test_what_a_client_says_is_understood(said: tuple[Dialect, ClientEvent]) -> None:
    dialect, event = said
    frame = encode_client(event, dialect)
    CLIENT[dialect].validate_json(frame)
    assert decode_client(frame) == event


@given(dialects.flatmap(server_events))
def test_what_a_server_says_is_understood(said: tuple[Dialect, ServerEvent]) -> None:
    dialect, event = said
    frame = encode_server(event, dialect)
    assert frame is not None
    SERVER[dialect].validate_json(frame)
    assert decode_server(frame) == event


@pytest.mark.parametrize("dialect", Dialect)
def test_a_named_tool_choice_comes_back_where_the_tool_is_told(dialect: Dialect) -> None:
    asked = SessionUpdate(session=Settings(tools=(FunctionTool(name="f"),), tool_choice=ToolChoice(name="f")))
    frame = encode_client(asked, dialect)
    CLIENT[dialect].validate_json(frame)
    assert decode_client(frame) == asked
