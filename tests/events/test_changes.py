"""How settings change: merging, comparing, and the smallest update."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from agentkit.errors import LocalProtocolError
from agentkit.events import (
    AudioFormat,
    AudioInput,
    AudioOutput,
    AudioSettings,
    CustomVoice,
    FunctionTool,
    NoiseReduction,
    ServerMcpTool,
    ServerSession,
    ServerTranscriptionSession,
    Settings,
    ToolChoice,
    Transcription,
    TranscriptionSettings,
    TurnDetection,
    UnknownTool,
    diff_settings,
    merge_settings,
    minimal_update,
)

F = FunctionTool(name="f", description="d", parameters={"type": "object"})
VAD = TurnDetection(threshold=0.5, silence_duration_ms=200)


def audio(*, voice: Any = UNSET, **hears: Any) -> AudioSettings:
    output = UNSET if voice is UNSET else AudioOutput(voice=voice)
    return AudioSettings(input=AudioInput(**hears), output=output)


def test_a_merge_changes_only_what_the_update_says() -> None:
    base = Settings(instructions="a", tools=(F,), audio=audio(voice="v", turn_detection=VAD, transcription=None))
    update = Settings(instructions="b", audio=AudioSettings(input=AudioInput(noise_reduction=NoiseReduction())))
    assert merge_settings(base, update) == Settings(
        instructions="b",
        tools=(F,),
        audio=audio(voice="v", turn_detection=VAD, transcription=None, noise_reduction=NoiseReduction()),
    )


def test_a_merge_replaces_turn_detection_whole_and_null_clears() -> None:
    base = Settings(instructions="a", audio=audio(turn_detection=VAD, transcription=Transcription(model="m")))
    new = TurnDetection(type="semantic_vad")
    merged = merge_settings(base, Settings(instructions=None, audio=audio(turn_detection=new, transcription=None)))
    assert merged == Settings(instructions=None, audio=audio(turn_detection=new, transcription=None))


def test_a_merge_keeps_the_kind_and_identity_of_its_base() -> None:
    base = ServerSession(id="s", expires_at=5)
    update = ServerSession(id="other", object="o", model="m", audio=audio(voice="v"))
    assert merge_settings(base, update) == ServerSession(id="s", expires_at=5, model="m", audio=audio(voice="v"))


@pytest.mark.parametrize(
    "one,other", [(Settings(), TranscriptionSettings()), (ServerTranscriptionSession(), ServerSession())]
)
def test_a_conversation_and_a_transcription_do_not_mix(one: Any, other: Any) -> None:
    for function in (merge_settings, diff_settings, minimal_update):
        with pytest.raises(LocalProtocolError, match="open another session"):
            function(one, other)


@pytest.mark.parametrize(
    "asked,confirmed",
    [
        (Settings(), Settings(instructions="default")),
        (Settings(instructions="a"), Settings()),
        (Settings(instructions="a"), Settings(instructions="a", model="m")),
        (Settings(instructions="", tools=()), Settings(instructions=None, tools=None)),
        (Settings(temperature=0.8), Settings(temperature=0.800000011920929)),
        (Settings(model="gpt-realtime"), Settings(model="gpt-realtime-2025-08-28")),
        (Settings(output_modalities=("audio",)), Settings(output_modalities=("text", "audio"))),
        (Settings(tool_choice=ToolChoice(name="f")), Settings(tool_choice="f")),
        (Settings(prompt={"id": "p"}), Settings(prompt={"id": "p", "version": "2"})),
        (Settings(tools=(F,)), Settings(tools=(F,))),
        (
            Settings(tools=(FunctionTool(name="f"),)),
            Settings(tools=(FunctionTool(name="f", description="", parameters={}),)),
        ),
        (
            Settings(tools=(ServerMcpTool(server_label="m", authorization="secret"),)),
            Settings(tools=(ServerMcpTool(server_label="m"),)),
        ),
        (Settings(tools=(UnknownTool({"type": "x"}),)), Settings(tools=(UnknownTool({"type": "x"}),))),
        (Settings(audio=audio(turn_detection=None)), Settings(audio=audio(turn_detection=None))),
        (
            Settings(audio=audio(turn_detection=TurnDetection())),
            Settings(audio=audio(turn_detection=TurnDetection(threshold=0.5, create_response=True))),
        ),
        (Settings(audio=audio(format=AudioFormat())), Settings(audio=audio(format=AudioFormat(rate=24000)))),
        (Settings(audio=audio(voice=CustomVoice(id="v"))), Settings(audio=audio(voice="v"))),
    ],
)
def test_what_the_server_adds_or_says_otherwise_is_no_difference(asked: Settings, confirmed: Settings) -> None:
    assert diff_settings(asked, confirmed) == ()


@pytest.mark.parametrize(
    "asked,confirmed,path",
    [
        (Settings(instructions="a"), Settings(instructions="b"), "instructions"),
        (Settings(instructions="a"), Settings(instructions=None), "instructions"),
        (Settings(tools=None), Settings(tools=(F,)), "tools"),
        (Settings(temperature=0.8), Settings(temperature=0.9), "temperature"),
        (Settings(temperature=0.8), Settings(temperature=None), "temperature"),
        (Settings(model="gpt-realtime"), Settings(model="gpt-realtime2"), "model"),
        (Settings(output_modalities=("text",)), Settings(output_modalities=("audio",)), "output_modalities"),
        (Settings(max_output_tokens=5), Settings(max_output_tokens="inf"), "max_output_tokens"),
        (Settings(tool_choice=ToolChoice(name="f")), Settings(tool_choice="auto"), "tool_choice"),
        (
            Settings(tool_choice=ToolChoice(type="mcp", server_label="m")),
            Settings(tool_choice=ToolChoice(type="mcp", server_label="n")),
            "tool_choice",
        ),
        (Settings(prompt={"id": "p"}), Settings(prompt={"id": "q"}), "prompt.id"),
        (
            Settings(audio=audio(turn_detection=VAD)),
            Settings(audio=audio(turn_detection=None)),
            "audio.input.turn_detection",
        ),
        (
            Settings(audio=audio(turn_detection=VAD)),
            Settings(audio=audio(turn_detection=TurnDetection(threshold=0.9, silence_duration_ms=200))),
            "audio.input.turn_detection.threshold",
        ),
        (Settings(audio=audio(voice="v")), Settings(audio=audio(voice="w")), "audio.output.voice"),
        (Settings(tools=(F,)), Settings(tools=()), "tools.f"),
        (Settings(tools=()), Settings(tools=(F,)), "tools.f"),
        (Settings(tools=(F,)), Settings(tools=(FunctionTool(name="f", description="other"),)), "tools.f"),
        (
            Settings(tools=(F,)),
            Settings(tools=(FunctionTool(name="f", description="d", parameters={"type": "array"}),)),
            "tools.f",
        ),
        (Settings(tools=(ServerMcpTool(server_label="m"),)), Settings(tools=()), "tools.m"),
    ],
)
def test_a_difference_is_named_by_its_path(asked: Settings, confirmed: Settings, path: str) -> None:
    assert [found[0] for found in diff_settings(asked, confirmed)] == [path]


def test_a_difference_tells_both_values() -> None:
    assert diff_settings(Settings(instructions="a"), ServerSession(instructions="b")) == (("instructions", "a", "b"),)


def test_the_smallest_update_has_only_what_differs() -> None:
    current = ServerSession(
        id="s", instructions="a", tools=(F,), audio=audio(voice="v", turn_detection=VAD, transcription=None)
    )
    new = TurnDetection(threshold=0.9)
    wanted = Settings(instructions="a", tools=(F,), audio=audio(voice="v", turn_detection=new, transcription=None))
    assert minimal_update(current, wanted) == Settings(audio=AudioSettings(input=AudioInput(turn_detection=new)))


def test_what_the_server_has_not_told_is_sent() -> None:
    assert minimal_update(ServerSession(), Settings(instructions="a")) == Settings(instructions="a")
    wanted = Settings(audio=audio(voice="v"))
    assert minimal_update(ServerSession(), wanted) == Settings(audio=AudioSettings(output=AudioOutput(voice="v")))


def test_tools_are_sent_whole() -> None:
    other = FunctionTool(name="g")
    assert minimal_update(ServerSession(tools=(F,)), Settings(tools=(F, other))) == Settings(tools=(F, other))


def test_nothing_to_change_is_no_update() -> None:
    assert minimal_update(ServerSession(instructions="a"), Settings(instructions="a")) is None
    assert minimal_update(ServerTranscriptionSession(), TranscriptionSettings()) is None


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.just(UNSET) | st.none() | values


detections = st.builds(
    TurnDetection,
    type=st.sampled_from(["server_vad", "semantic_vad"]),
    threshold=maybe(st.sampled_from([0.1, 0.5])),
    eagerness=maybe(st.sampled_from(["low", "high"])),
)
settings = st.builds(
    Settings,
    instructions=maybe(st.sampled_from(["", "a", "b"])),
    tools=maybe(st.sampled_from([(), (F,), (F, FunctionTool(name="g")), (FunctionTool(name="f"),)])),
    tool_choice=maybe(st.sampled_from(["auto", ToolChoice(name="f")])),
    output_modalities=maybe(st.sampled_from([("audio",), ("text",)])),
    audio=st.just(UNSET)
    | st.builds(
        AudioSettings,
        input=st.just(UNSET) | st.builds(AudioInput, turn_detection=maybe(detections)),
        output=st.just(UNSET) | st.builds(AudioOutput, voice=maybe(st.sampled_from(["v", CustomVoice(id="w")]))),
    ),
)


@given(settings, settings)
def test_the_smallest_update_gives_what_is_wanted(current: Settings, wanted: Settings) -> None:
    update = minimal_update(current, wanted)
    merged = current if update is None else merge_settings(current, update)
    assert diff_settings(wanted, merged) == ()
    assert minimal_update(merged, wanted) is None


@given(settings, settings)
def test_a_merge_confirms_what_was_asked(base: Settings, update: Settings) -> None:
    assert diff_settings(update, merge_settings(base, update)) == ()
    assert merge_settings(base, Settings()) == base
