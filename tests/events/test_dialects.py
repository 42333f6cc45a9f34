"""What is written in each dialect, and what a dialect refuses."""

import json
from typing import Any

import pytest

from agentkit.errors import LocalProtocolError
from agentkit.events import (
    Audio,
    AudioFormat,
    AudioInput,
    AudioOutput,
    AudioSettings,
    CustomVoice,
    Dialect,
    FunctionCallItem,
    FunctionTool,
    InputImage,
    InputText,
    ItemReferencePart,
    McpApprovalResponseItem,
    MessageItem,
    NoiseReduction,
    OutputAudio,
    OutputText,
    ResponseSettings,
    ServerMcpTool,
    ServerSession,
    Settings,
    Text,
    ToolChoice,
    Transcription,
    TranscriptionSettings,
    TurnDetection,
    UnknownItem,
    UnknownPart,
    UnknownTool,
)
from agentkit.events.dialects import item_to_wire, response_settings_to_wire, settings_to_wire


def on_the_wire(data: dict[str, Any]) -> Any:
    return json.loads(json.dumps(data))


def hear(**fields: Any) -> Settings:
    return Settings(audio=AudioSettings(input=AudioInput(**fields)))


def speak(**fields: Any) -> Settings:
    return Settings(audio=AudioSettings(output=AudioOutput(**fields)))


def beta(settings: Settings | TranscriptionSettings) -> Any:
    return on_the_wire(settings_to_wire(settings, Dialect.BETA))


def test_ga_is_written_as_it_is() -> None:
    settings = Settings(
        instructions="",
        tools=(FunctionTool(name="f"), UnknownTool({"type": "web_search"})),
        audio=AudioSettings(input=AudioInput(turn_detection=None), output=AudioOutput(voice=CustomVoice(id="v"))),
    )
    assert on_the_wire(settings_to_wire(settings, Dialect.GA)) == {
        "type": "realtime",
        "instructions": "",
        "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}],
        "audio": {"input": {"turn_detection": None}, "output": {"voice": {"id": "v"}}},
    }


@pytest.mark.parametrize(
    "settings,written",
    [
        (Settings(), {}),
        (
            Settings(model="m", instructions="i", temperature=0.8),
            {"model": "m", "instructions": "i", "temperature": 0.8},
        ),
        (
            Settings(instructions=None, tools=None, tool_choice=None),
            {"instructions": None, "tools": None, "tool_choice": None},
        ),
        (Settings(output_modalities=("audio",)), {"modalities": ["text", "audio"]}),
        (Settings(output_modalities=("text",)), {"modalities": ["text"]}),
        (Settings(output_modalities=None), {"modalities": None}),
        (Settings(max_output_tokens="inf"), {"max_response_output_tokens": "inf"}),
        (Settings(tracing={"workflow_name": "w"}), {"tracing": {"workflow_name": "w"}}),
        (Settings(tools=(FunctionTool(name="f"),)), {"tools": [{"type": "function", "name": "f"}]}),
        (Settings(tools=(UnknownTool({"type": "web"}),)), {"tools": [{"type": "web"}]}),
        (Settings(tool_choice="required"), {"tool_choice": "required"}),
        (Settings(tool_choice=ToolChoice(name="f")), {"tool_choice": "f"}),
        (hear(format=AudioFormat()), {"input_audio_format": "pcm16"}),
        (hear(format=AudioFormat(rate=24000)), {"input_audio_format": "pcm16"}),
        (hear(format=AudioFormat(type="audio/pcmu", rate=8000)), {"input_audio_format": "g711_ulaw"}),
        (hear(format=AudioFormat(type="pcm")), {"input_audio_format": "pcm"}),
        (hear(format=None), {"input_audio_format": None}),
        (speak(format=AudioFormat(type="audio/pcma")), {"output_audio_format": "g711_alaw"}),
        (speak(voice="alloy", speed=1.5), {"voice": "alloy", "speed": 1.5}),
        (hear(turn_detection=None), {"turn_detection": None}),
        (
            hear(turn_detection=TurnDetection(threshold=0.5, idle_timeout_ms=None)),
            {"turn_detection": {"type": "server_vad", "threshold": 0.5}},
        ),
        (
            hear(transcription=Transcription(model="m", language="en")),
            {"input_audio_transcription": {"model": "m", "language": "en"}},
        ),
        (
            hear(noise_reduction=NoiseReduction(type="near_field")),
            {"input_audio_noise_reduction": {"type": "near_field"}},
        ),
        (Settings(truncation=None, prompt=None), {}),
    ],
)
def test_beta_is_flat(settings: Settings, written: dict[str, Any]) -> None:
    assert beta(settings) == written


def test_beta_s_transcription_session_is_flat_and_has_include() -> None:
    settings = TranscriptionSettings(
        include=("item.input_audio_transcription.logprobs",),
        audio=AudioSettings(input=AudioInput(format=AudioFormat(), transcription=Transcription(model="m"))),
    )
    assert beta(settings) == {
        "include": ["item.input_audio_transcription.logprobs"],
        "input_audio_format": "pcm16",
        "input_audio_transcription": {"model": "m"},
    }


@pytest.mark.parametrize(
    "settings,field",
    [
        (Settings(truncation="auto"), "truncation"),
        (Settings(include=("a",)), "include"),
        (Settings(parallel_tool_calls=False), "parallel_tool_calls"),
        (Settings(prompt={"id": "p"}), "prompt"),
        (Settings(reasoning={"effort": "low"}), "reasoning"),
        (Settings(tools=(FunctionTool(name="f"), ServerMcpTool(server_label="m"))), "tools[1] of type mcp"),
        (Settings(tool_choice=ToolChoice(type="mcp", server_label="m")), "tool_choice of type mcp"),
        (hear(format=AudioFormat(rate=16000)), "audio.input.format audio/pcm at 16000 Hz"),
        (hear(format=AudioFormat(type="pcm", rate=16000)), "audio.input.format pcm at 16000 Hz"),
        (hear(turn_detection=TurnDetection(idle_timeout_ms=5000)), "audio.input.turn_detection.idle_timeout_ms"),
        (hear(transcription=Transcription(keywords=("a",))), "audio.input.transcription.keywords"),
        (hear(noise_reduction=NoiseReduction(strength=0.5)), "audio.input.noise_reduction.strength"),
        (speak(voice=CustomVoice(id="v")), "audio.output.voice by id"),
        (
            TranscriptionSettings(audio=AudioSettings(output=AudioOutput(voice="alloy"))),
            "audio.output.voice",
        ),
    ],
)
def test_what_beta_cannot_say_is_refused_by_name(settings: Settings, field: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        beta(settings)
    assert str(caught.value).startswith(f"The BETA dialect has no {field}:")


def test_temperature_is_refused_in_ga() -> None:
    with pytest.raises(LocalProtocolError, match="The GA dialect has no temperature"):
        settings_to_wire(Settings(temperature=0.8), Dialect.GA)
    with pytest.raises(LocalProtocolError, match="The GA dialect has no temperature"):
        response_settings_to_wire(ResponseSettings(temperature=0.8), Dialect.GA)


def test_a_null_temperature_asks_ga_for_nothing() -> None:
    assert settings_to_wire(Settings(temperature=None), Dialect.GA) == {"type": "realtime"}


def test_a_server_leaves_out_what_beta_cannot_say() -> None:
    session = ServerSession(
        id="s",
        truncation="auto",
        tools=(FunctionTool(name="f"), ServerMcpTool(server_label="m")),
        tool_choice=ToolChoice(type="mcp", server_label="m"),
        audio=AudioSettings(
            input=AudioInput(
                format=AudioFormat(rate=16000), turn_detection=TurnDetection(idle_timeout_ms=5000, eagerness="low")
            ),
            output=AudioOutput(voice=CustomVoice(id="v")),
        ),
    )
    assert settings_to_wire(session, Dialect.BETA, strict=False) == {
        "id": "s",
        "tools": [{"type": "function", "name": "f"}],
        "turn_detection": {"type": "server_vad", "eagerness": "low"},
        "voice": "v",
    }


def test_a_response_s_settings_in_both_dialects() -> None:
    settings = ResponseSettings(
        output_modalities=("audio",),
        conversation="none",
        metadata={"a": "b"},
        max_output_tokens=5,
        audio=AudioSettings(output=AudioOutput(voice="alloy", format=AudioFormat(rate=24000))),
        input=(MessageItem(role="assistant", content=(OutputText(text="a"),)),),
    )
    item = {"type": "message", "role": "assistant"}
    assert on_the_wire(response_settings_to_wire(settings, Dialect.GA)) == {
        "output_modalities": ["audio"],
        "conversation": "none",
        "metadata": {"a": "b"},
        "max_output_tokens": 5,
        "audio": {"output": {"voice": "alloy", "format": {"type": "audio/pcm", "rate": 24000}}},
        "input": [{**item, "content": [{"type": "output_text", "text": "a"}]}],
    }
    assert on_the_wire(response_settings_to_wire(settings, Dialect.BETA)) == {
        "modalities": ["text", "audio"],
        "conversation": "none",
        "metadata": {"a": "b"},
        "max_response_output_tokens": 5,
        "voice": "alloy",
        "output_audio_format": "pcm16",
        "input": [{**item, "content": [{"type": "text", "text": "a"}]}],
    }


def test_a_response_s_settings_without_input() -> None:
    assert response_settings_to_wire(ResponseSettings(input=None), Dialect.GA) == {"input": None}
    assert response_settings_to_wire(ResponseSettings(), Dialect.BETA) == {}


@pytest.mark.parametrize(
    "settings,field",
    [
        (
            ResponseSettings(audio=AudioSettings(input=AudioInput(turn_detection=TurnDetection()))),
            "audio.input.turn_detection",
        ),
        (ResponseSettings(audio=AudioSettings(output=AudioOutput(speed=1.5))), "audio.output.speed"),
    ],
)
def test_one_response_has_no_field_of_the_whole_session(settings: ResponseSettings, field: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"has no {field}"):
        response_settings_to_wire(settings, Dialect.BETA)


PARTS = (
    InputText(text="a"),
    OutputText(text="b"),
    Text(text="c"),
    OutputAudio(transcript="d"),
    Audio(transcript="e"),
    UnknownPart({"type": "new", "x": 1}),
)


@pytest.mark.parametrize(
    "dialect,names",
    [
        (Dialect.GA, ["input_text", "output_text", "output_text", "output_audio", "output_audio", "new"]),
        (Dialect.BETA, ["input_text", "text", "text", "audio", "audio", "new"]),
    ],
)
def test_parts_have_the_dialect_s_names(dialect: Dialect, names: list[str]) -> None:
    written = item_to_wire(MessageItem(role="assistant", content=PARTS), dialect)
    assert [part["type"] for part in written["content"]] == names


def test_unknown_items_are_written_as_they_were() -> None:
    for dialect in Dialect:
        assert item_to_wire(UnknownItem({"type": "new", "x": 1}), dialect) == {"type": "new", "x": 1}


def test_what_an_item_does_not_say_is_not_written() -> None:
    assert item_to_wire(FunctionCallItem(name="f"), Dialect.GA) == {
        "type": "function_call",
        "name": "f",
        "arguments": "",
    }


@pytest.mark.parametrize(
    "item,dialect,what",
    [
        (MessageItem(role="user", content=(InputImage(image_url="data:,"),)), Dialect.BETA, "part of type input_image"),
        (McpApprovalResponseItem(approval_request_id="r", approve=True), Dialect.BETA, "type mcp_approval_response"),
        (MessageItem(role="user", content=(ItemReferencePart(id="i"),)), Dialect.GA, "part of type item_reference"),
    ],
)
def test_an_item_that_a_dialect_has_not_is_refused(item: MessageItem, dialect: Dialect, what: str) -> None:
    with pytest.raises(LocalProtocolError, match=what):
        item_to_wire(item, dialect)
    assert item_to_wire(item, dialect, strict=False)["type"] == item.wire_type
