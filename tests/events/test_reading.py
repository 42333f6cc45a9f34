"""Settings and responses as they arrive, in either dialect or in a mixture, whole or partly odd."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from agentkit.events import (
    AudioFormat,
    AudioInput,
    AudioOutput,
    AudioSettings,
    CustomVoice,
    FunctionTool,
    MessageItem,
    ResponseSettings,
    ServerMcpTool,
    ServerSession,
    ServerTranscriptionSession,
    Settings,
    ToolChoice,
    Transcription,
    TranscriptionSettings,
    TurnDetection,
    UnknownTool,
)
from agentkit.events.reading import (
    response_from_wire,
    response_settings_from_wire,
    server_session_from_wire,
    settings_from_wire,
    strict_settings_from_wire,
    transcription_session_from_wire,
    transcription_settings_from_wire,
)


def read(**data: Any) -> Any:
    return server_session_from_wire(json.dumps(data).encode())


def test_a_flat_beta_session_takes_the_ga_shape() -> None:
    session = read(
        id="s",
        modalities=["text", "audio"],
        voice="alloy",
        speed=1.2,
        input_audio_format="pcm16",
        output_audio_format="g711_ulaw",
        input_audio_transcription={"model": "whisper-1"},
        input_audio_noise_reduction=None,
        turn_detection={"type": "semantic_vad", "eagerness": "low"},
        max_response_output_tokens="inf",
        temperature=0.8,
    )
    assert session == ServerSession(
        id="s",
        output_modalities=("audio",),
        max_output_tokens="inf",
        temperature=0.8,
        audio=AudioSettings(
            input=AudioInput(
                format=AudioFormat(rate=24000),
                transcription=Transcription(model="whisper-1"),
                noise_reduction=None,
                turn_detection=TurnDetection(type="semantic_vad", eagerness="low"),
            ),
            output=AudioOutput(format=AudioFormat(type="audio/pcmu"), voice="alloy", speed=1.2),
        ),
    )


def test_flat_fields_in_a_nested_session_are_read_as_well() -> None:
    session = read(
        voice="eve",
        turn_detection={"type": "server_vad"},
        audio={"input": {"format": {"type": "audio/pcm", "rate": 16000}}, "output": {"speed": 1}},
    )
    assert session.audio == AudioSettings(
        input=AudioInput(format=AudioFormat(rate=16000), turn_detection=TurnDetection()),
        output=AudioOutput(voice="eve", speed=1),
    )


def test_where_both_shapes_say_a_field_the_nested_one_wins() -> None:
    session = read(
        voice="flat",
        modalities=["text"],
        max_response_output_tokens=1,
        audio={"output": {"voice": "nested"}},
        output_modalities=["audio"],
        max_output_tokens=2,
    )
    assert (session.audio.output.voice, session.output_modalities, session.max_output_tokens) == (
        "nested",
        ("audio",),
        2,
    )


@pytest.mark.parametrize(
    "given,read_as", [(["audio"], ("audio",)), (["audio", "text"], ("audio",)), (["text"], ("text",)), ([], ())]
)
def test_beta_s_modalities(given: list[str], read_as: tuple[str, ...]) -> None:
    assert read(modalities=given).output_modalities == read_as


def test_odd_modalities_are_left_out() -> None:
    assert read(modalities="audio").output_modalities is UNSET


@pytest.mark.parametrize(
    "given,read_as",
    [
        ("pcm16", AudioFormat(rate=24000)),
        ("pcm", AudioFormat()),
        ("g711_ulaw", AudioFormat(type="audio/pcmu")),
        ("g711_alaw", AudioFormat(type="audio/pcma")),
        ("opus", AudioFormat(type="opus")),
        ({"type": "audio/opus", "rate": 48000}, AudioFormat(type="audio/opus", rate=48000)),
        (None, None),
        (5, UNSET),
    ],
)
def test_audio_formats(given: object, read_as: object) -> None:
    assert read(input_audio_format=given).audio.input.format == read_as
    assert read(audio={"input": {"format": given}}).audio.input.format == read_as


@pytest.mark.parametrize(
    "given,read_as",
    [
        (None, None),
        ({"type": None}, None),
        ({"type": None, "threshold": 0.1}, TurnDetection(threshold=0.1)),
        ({"type": "new_vad", "new": 1}, TurnDetection(type="new_vad")),
        ({"type": "server_vad", "threshold": "high", "create_response": False}, TurnDetection(create_response=False)),
        ("none", UNSET),
    ],
)
def test_turn_detection(given: object, read_as: object) -> None:
    assert read(turn_detection=given).audio.input.turn_detection == read_as


@pytest.mark.parametrize(
    "given,read_as",
    [("marin", "marin"), ({"id": "voice_1"}, CustomVoice(id="voice_1")), ({"x": 1}, UNSET), (5, UNSET), (None, None)],
)
def test_a_voice_is_a_name_or_an_id(given: object, read_as: object) -> None:
    session = read(audio={"output": {"voice": given, "speed": 1.5}})
    assert (session.audio.output.voice, session.audio.output.speed) == (read_as, 1.5)


def test_nested_function_tools_are_flattened() -> None:
    session = read(
        tools=[{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
    )
    assert session.tools == (FunctionTool(name="f", description="d", parameters={}),)
    assert session.tool_choice == ToolChoice(name="f")


def test_tools_of_all_kinds_are_kept() -> None:
    session = read(
        tools=[
            {"name": "untyped"},
            {"name": "null", "type": None},
            {"name": "listed", "type": []},
            {"type": "mcp", "server_label": "m"},
            {"type": "web_search", "x": 1},
            {"type": "mcp"},
            {"type": "function", "name": 5},
            "odd",
        ]
    )
    assert session.tools == (
        FunctionTool(name="untyped"),
        FunctionTool(name="null"),
        UnknownTool({"name": "listed", "type": []}),
        ServerMcpTool(server_label="m"),
        UnknownTool({"type": "web_search", "x": 1}),
        UnknownTool({"type": "mcp"}),
        UnknownTool({"type": "function", "name": 5}),
    )


@pytest.mark.parametrize("given,read_as", [(None, None), (5, UNSET), ([], ())])
def test_odd_tools_are_left_out(given: object, read_as: object) -> None:
    assert read(tools=given).tools == read_as


@pytest.mark.parametrize(
    "choice,read_as",
    [
        ("auto", "auto"),
        ("f", ToolChoice(name="f")),
        ("any", "any"),
        ({"type": "mcp", "server_label": "m"}, ToolChoice(type="mcp", server_label="m")),
        (5, UNSET),
    ],
)
def test_a_tool_s_name_is_a_choice_of_it(choice: object, read_as: object) -> None:
    assert read(tools=[{"type": "function", "name": "f"}, 5], tool_choice=choice).tool_choice == read_as


def test_a_name_without_tools_stays_a_string() -> None:
    assert read(tool_choice="f").tool_choice == "f"


def test_a_field_that_does_not_fit_is_left_out_and_the_rest_kept() -> None:
    session = read(
        id=5,
        instructions="hi",
        model=["x"],
        prompt={"id": "p"},
        max_output_tokens={"x": 1},
        include=["a", 5, "b"],
        tracing="auto",
        truncation=3,
        audio={"input": 5, "output": {"speed": "fast", "voice": "marin"}},
        expires_at="soon",
        reasoning=[],
    )
    assert session == ServerSession(
        instructions="hi",
        prompt={"id": "p"},
        include=("a", "b"),
        tracing="auto",
        audio=AudioSettings(output=AudioOutput(voice="marin")),
    )


def test_odd_audio_is_left_out() -> None:
    assert read(audio=5, instructions="hi") == ServerSession(instructions="hi")


def test_the_type_says_which_session_it_is() -> None:
    frame = b'{"type":"transcription","id":"s","input_audio_format":"pcm16"}'
    audio = AudioSettings(input=AudioInput(format=AudioFormat(rate=24000)))
    assert server_session_from_wire(frame) == ServerTranscriptionSession(id="s", audio=audio)
    assert settings_from_wire(frame) == TranscriptionSettings(audio=audio)
    assert settings_from_wire(b'{"type":"new"}') == Settings()


def test_beta_s_transcription_session_has_no_type() -> None:
    assert transcription_session_from_wire(b'{"id":"s"}') == ServerTranscriptionSession(id="s")
    assert transcription_settings_from_wire(b'{"include":["a"]}') == TranscriptionSettings(include=("a",))


@pytest.mark.parametrize(
    "read_from",
    [
        settings_from_wire,
        transcription_settings_from_wire,
        server_session_from_wire,
        transcription_session_from_wire,
        response_from_wire,
        response_settings_from_wire,
    ],
)
def test_what_is_no_object_is_an_error(read_from: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_from(b"[]")


def test_a_response_s_settings_take_beta_s_fields_and_items() -> None:
    settings = response_settings_from_wire(
        b'{"modalities":["text"],"voice":"alloy","output_audio_format":"pcm16","max_response_output_tokens":5,'
        b'"conversation":"none","metadata":{"a":"b"},"input":[{"type":"message","role":"user"}]}'
    )
    assert settings == ResponseSettings(
        output_modalities=("text",),
        audio=AudioSettings(output=AudioOutput(voice="alloy", format=AudioFormat(rate=24000))),
        max_output_tokens=5,
        conversation="none",
        metadata={"a": "b"},
        input=(MessageItem(role="user"),),
    )


def test_a_response_s_input_may_be_null_or_empty() -> None:
    assert response_settings_from_wire(b'{"input":null}') == ResponseSettings(input=None)
    assert response_settings_from_wire(b'{"input":[]}') == ResponseSettings(input=())
    assert response_settings_from_wire(b"{}") == ResponseSettings()
    assert response_settings_from_wire(b"null") is None


def test_an_item_of_a_response_s_input_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        response_settings_from_wire(b'{"input":[{"type":"message"}]}')


def test_a_beta_response_takes_the_ga_shape() -> None:
    response = response_from_wire(
        b'{"id":"r","modalities":["audio","text"],"voice":"alloy","temperature":0.8,"status":5}'
    )
    assert response.output_modalities == ("audio",)
    assert response.audio == AudioSettings(output=AudioOutput(voice="alloy"))
    assert (response.temperature, response.status) == (0.8, None)


def test_settings_that_msgspec_decodes_itself_have_typed_items() -> None:
    settings = msgspec.json.decode(b'{"input":[{"type":"message","role":"user"}]}', type=ResponseSettings)
    assert settings.input == (MessageItem(role="user"),)


# Strictly: what a caller of ours writes


@pytest.mark.parametrize(
    "given, read_as",
    [
        ({}, Settings()),
        ({"type": "realtime", "instructions": "x"}, Settings(instructions="x")),
        ({"modalities": ["text", "audio"]}, Settings(output_modalities=("audio",))),
        ({"max_response_output_tokens": 5}, Settings(max_output_tokens=5)),
        ({"voice": "ash"}, Settings(audio=AudioSettings(output=AudioOutput(voice="ash")))),
        (
            {"audio": {"output": {"voice": "ash"}}, "turn_detection": None},
            Settings(audio=AudioSettings(input=AudioInput(turn_detection=None), output=AudioOutput(voice="ash"))),
        ),
        ({"tools": [{"type": "function", "name": "f"}]}, Settings(tools=(FunctionTool(name="f"),))),
    ],
)
def test_a_caller_s_settings_may_have_either_shape(given: dict[str, Any], read_as: Settings) -> None:
    assert strict_settings_from_wire(json.dumps(given).encode()) == read_as


@pytest.mark.parametrize(
    "given, reason",
    [
        ({"instruction": "x"}, r"no such field - at `\$\.instruction`"),
        ({"audio": {"input": {"turns": None}}}, r"no such field - at `\$\.audio\.input\.turns`"),
        ({"audio": {"inputs": {}}}, r"no such field - at `\$\.audio\.inputs`"),
        ({"turn_detection": {"type": "server_vad", "x": 1}}, r"at `\$\.audio\.input\.turn_detection\.x`"),
        ({"instructions": 5}, r"Expected `str \| null`, got `int` - at `\$\.instructions`"),
        ({"type": "transcription"}, "Invalid value 'transcription'"),
        ([], "Expected `object`"),
    ],
)
def test_what_of_a_caller_s_settings_does_not_fit_is_an_error(given: Any, reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        strict_settings_from_wire(json.dumps(given).encode())


@pytest.mark.parametrize(
    "given, path",
    [
        (b'{"modalities": 5}', "$.modalities"),
        (b'{"audio": 5}', "$.audio"),
        (b'{"audio": {"input": 5}}', "$.audio.input"),
        (b'{"audio": {"nope": {}}}', "$.audio.nope"),
    ],
)
def test_nothing_of_what_a_caller_of_ours_writes_is_left_out(given: bytes, path: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        strict_settings_from_wire(given)
    assert str(caught.value).endswith(f"at `{path}`")


def test_what_a_caller_of_ours_writes_has_to_be_an_object() -> None:
    with pytest.raises(msgspec.ValidationError, match="Expected `object`"):
        strict_settings_from_wire(b"[]")
