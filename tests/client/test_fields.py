"""Session fields: what goes over the wire in each dialect, and what is refused here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from agentkit import LocalProtocolError, RealtimeClient
from agentkit.events import Dialect

if TYPE_CHECKING:
    from tests.client.conftest import Server

pytestmark = pytest.mark.anyio
TOOL = {"type": "function", "name": "look", "description": "Look.", "parameters": {"type": "object", "properties": {}}}
VAD = {"type": "server_vad", "threshold": 0.7, "prefix_padding_ms": 250, "silence_duration_ms": 150}


def of_input(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": fields}}


def of_output(**fields: Any) -> dict[str, Any]:
    return {"audio": {"output": fields}}


# Field, its value, and what the session of `session.update` has in GA and in beta; None: the dialect has no such field.
WIRE: list[tuple[str, Any, dict[str, Any] | None, dict[str, Any] | None]] = [
    ("modalities", ["text"], {"output_modalities": ["text"]}, {"modalities": ["text"]}),
    ("output_modalities", ["text"], {"output_modalities": ["text"]}, {"modalities": ["text"]}),
    ("instructions", "Be kind.", {"instructions": "Be kind."}, {"instructions": "Be kind."}),
    ("voice", "verse", of_output(voice="verse"), {"voice": "verse"}),
    ("speed", 1.25, of_output(speed=1.25), {"speed": 1.25}),
    (
        "input_audio_format",
        "g711_ulaw",
        of_input(format={"type": "audio/pcmu"}),
        {"input_audio_format": "g711_ulaw"},
    ),
    (
        "output_audio_format",
        "g711_alaw",
        of_output(format={"type": "audio/pcma"}),
        {"output_audio_format": "g711_alaw"},
    ),
    (
        "input_audio_transcription",
        {"model": "whisper-1"},
        of_input(transcription={"model": "whisper-1"}),
        {"input_audio_transcription": {"model": "whisper-1"}},
    ),
    (
        "input_audio_noise_reduction",
        {"type": "near_field"},
        of_input(noise_reduction={"type": "near_field"}),
        {"input_audio_noise_reduction": {"type": "near_field"}},
    ),
    ("turn_detection", VAD, of_input(turn_detection=VAD), {"turn_detection": VAD}),
    (
        "turn_detection",
        {"type": "semantic_vad", "eagerness": "low"},
        of_input(turn_detection={"type": "semantic_vad", "eagerness": "low"}),
        {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}},
    ),
    ("tools", [TOOL], {"tools": [TOOL]}, {"tools": [TOOL]}),
    ("tool_choice", "none", {"tool_choice": "none"}, {"tool_choice": "none"}),
    ("tool_choice", "required", {"tool_choice": "required"}, {"tool_choice": "required"}),
    (
        "tool_choice",
        {"type": "function", "name": "look"},
        {"tool_choice": {"type": "function", "name": "look"}},
        {"tool_choice": "look"},
    ),
    ("temperature", 0.9, None, {"temperature": 0.9}),
    ("max_response_output_tokens", 100, {"max_output_tokens": 100}, {"max_response_output_tokens": 100}),
    ("max_response_output_tokens", "inf", {"max_output_tokens": "inf"}, {"max_response_output_tokens": "inf"}),
    ("max_output_tokens", 100, {"max_output_tokens": 100}, {"max_response_output_tokens": 100}),
    ("audio", {"output": {"voice": "verse"}}, of_output(voice="verse"), {"voice": "verse"}),
    ("truncation", "disabled", {"truncation": "disabled"}, None),
]
CASES = [
    pytest.param(dialect, name, value, said, id=f"{dialect}-{name}-{index}")
    for index, (name, value, *both) in enumerate(WIRE)
    for dialect, said in zip((Dialect.GA, Dialect.BETA), both, strict=True)
]


@pytest.mark.parametrize("dialect, name, value, said", CASES)
async def test_a_field_set_before_connecting_is_all_that_is_sent(
    new_server: Callable[..., Server], dialect: Dialect, name: str, value: Any, said: dict[str, Any] | None
) -> None:
    server = new_server(dialect)
    client = RealtimeClient(provider=server)
    if said is None:
        with pytest.raises(LocalProtocolError, match=f"dialect has no {name}"):
            await client.update_session(**{name: value})
        assert client.session_config == {}
        return
    await client.update_session(**{name: value})
    async with client:
        assert server.asked == [said]


@pytest.mark.parametrize("dialect, name, value, said", CASES)
async def test_a_field_set_while_connected_is_all_that_is_sent(
    new_server: Callable[..., Server], dialect: Dialect, name: str, value: Any, said: dict[str, Any] | None
) -> None:
    server = new_server(dialect)
    async with RealtimeClient(provider=server) as client:
        if said is None:
            with pytest.raises(LocalProtocolError, match=f"dialect has no {name}"):
                await client.update_session(**{name: value})
            assert (server.updates, client.session_config) == ([], {})
        else:
            await client.update_session(**{name: value})
            assert server.asked == [said]


@pytest.mark.parametrize("dialect", list(Dialect), ids=str)
async def test_nothing_is_sent_where_nothing_was_set(new_server: Callable[..., Server], dialect: Dialect) -> None:
    server = new_server(dialect)
    async with RealtimeClient(provider=server) as client:
        await server.expect_nothing(client)
    assert server.updates == []


async def test_the_default_settings_can_be_asked_for(new_server: Callable[..., Server]) -> None:
    server = new_server(Dialect.BETA)
    server.session = {"id": "sess_1"}
    client = RealtimeClient(provider=server)
    await client.update_session(**client.default_session_config)
    async with client:
        assert server.asked[0] == {
            "modalities": ["text", "audio"],
            "instructions": "",
            "voice": "alloy",
            "input_audio_format": "pcm16",
            "output_audio_format": "pcm16",
            "input_audio_transcription": None,
            "turn_detection": None,
            "tool_choice": "auto",
            "temperature": 0.8,
            "max_response_output_tokens": 4096,
        }


async def test_the_default_turn_detection_can_be_changed_and_asked_for(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.update_session(turn_detection={**client.default_server_vad_config, "threshold": 0.9})
    async with client:
        assert server.asked == [
            of_input(
                turn_detection={
                    "type": "server_vad",
                    "threshold": 0.9,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 200,
                }
            )
        ]


async def test_defaults_that_a_caller_changes_stay_as_they_were_for_the_next(server: Server) -> None:
    client = RealtimeClient(provider=server)
    client.default_session_config["modalities"].append("smell")
    client.default_server_vad_config["threshold"] = 5
    assert client.default_session_config.modalities == ["text", "audio"]
    assert client.default_server_vad_config.threshold == 0.5


async def test_fields_set_one_after_the_other_before_connecting_are_one_update(server: Server) -> None:
    client = RealtimeClient(provider=server)
    await client.update_session(instructions="Old.")
    await client.update_session(voice="verse")
    await client.update_session(instructions="New.")
    async with client:
        assert server.asked == [{"instructions": "New.", **of_output(voice="verse")}]


async def test_a_field_that_the_server_has_already_is_not_sent_again(server: Server) -> None:
    async with RealtimeClient(provider=server) as client:
        await client.update_session(voice="alloy")
        await client.update_session(instructions="x")
        await client.update_session(instructions="x", tool_choice="none")
    assert server.asked == [{"instructions": "x"}, {"tool_choice": "none"}]


@pytest.mark.parametrize("none", [None, "none", "disabled", {"type": "none"}, {"type": "disabled"}], ids=repr)
async def test_every_name_of_no_turn_detection_is_sent_as_null(listening: Server, none: Any) -> None:
    async with RealtimeClient(provider=listening) as client:
        assert client.get_turn_detection_type() == "server_vad"
        await client.update_session(turn_detection=none)
        assert listening.asked == [of_input(turn_detection=None)]
        assert client.get_turn_detection_type() is None


@pytest.mark.parametrize("kind", ["server_vad", "semantic_vad"])
async def test_the_type_of_turn_detection_is_told_before_and_while_connected(server: Server, kind: str) -> None:
    client = RealtimeClient(provider=server)
    assert client.get_turn_detection_type() is None
    await client.update_session(turn_detection={"type": kind})
    assert client.get_turn_detection_type() == kind
    async with client:
        assert client.get_turn_detection_type() == kind


async def test_the_type_of_turn_detection_is_what_the_server_says(listening: Server) -> None:
    async with RealtimeClient(provider=listening) as client:
        assert client.get_turn_detection_type() == "server_vad"


async def test_a_wrong_name_is_an_error_with_the_nearest_right_one(server: Server) -> None:
    client = RealtimeClient(provider=server)
    with pytest.raises(TypeError, match="no field 'instruction'; did you mean instructions"):
        await client.update_session(instruction="x")
    assert client.session_config == {}


async def test_a_name_like_none_is_an_error_that_lists_the_right_ones(server: Server) -> None:
    with pytest.raises(TypeError, match=r"no field 'zzz'; known: modalities, .*voice"):
        await RealtimeClient(provider=server).update_session(zzz=1)


@pytest.mark.parametrize(
    "name, value",
    [
        ("modalities", 3),
        ("instructions", 3),
        ("voice", ["x"]),
        ("input_audio_format", 8000),
        ("input_audio_transcription", "whisper-1"),
        ("input_audio_transcription", {"modell": "whisper-1"}),
        ("turn_detection", {"type": "server_vad", "treshold": 0.5}),
        ("turn_detection", {"type": "server_vad", "threshold": "high"}),
        ("tool_choice", 5),
        ("temperature", "hot"),
        ("max_response_output_tokens", 1.5),
        ("tools", [{"description": "no name"}]),
        ("tools", [{"name": 5}]),
        ("audio", {"outputs": {}}),
        ("instructions", object()),
    ],
)
async def test_a_wrong_value_is_an_error_that_names_its_field_and_nothing_is_sent(
    server: Server, name: str, value: Any
) -> None:
    async with RealtimeClient(provider=server) as client:
        with pytest.raises(ValueError, match="tool" if name == "tools" else name):
            await client.update_session(**{"speed": 1.2, name: value})
        assert client.session_config == {}
        await server.expect_nothing(client)
    assert server.updates == []
