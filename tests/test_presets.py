"""The core's own presets, and how a preset is cited."""

import pytest

from agentkit.config import load_config
from agentkit.errors import UnknownNameError
from agentkit.presets import BUILTIN_PRESETS, Preset, find_builtin


@pytest.mark.parametrize("preset", BUILTIN_PRESETS, ids=lambda preset: preset.name)
def test_a_preset_of_the_core_needs_nothing_but_an_agent(preset: Preset) -> None:
    loaded = load_config(f"preset: {preset.name}\nagent: {{}}\n", environ={})
    assert loaded.config.provider.use == "openai"
    assert loaded.warnings == ()
    assert preset.description


def test_the_voice_preset_speaks_and_hears_turns() -> None:
    session = load_config("preset: voice\nagent: {}\n", environ={}).config.session
    assert session.output == "audio"
    assert session.turn is not None
    assert session.turn.mode == "server_vad"


def test_the_text_preset_answers_in_text() -> None:
    assert load_config("preset: text\nagent: {}\n", environ={}).config.session.output == "text"


def test_a_preset_is_cited_with_its_owner() -> None:
    assert Preset("voice", "", owner="agentkit-realtime 0.1.0").label == "preset voice (agentkit-realtime 0.1.0)"
    assert Preset("voice", {}).label == "preset voice"


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(UnknownNameError) as caught:
        find_builtin("voise")
    assert caught.value.known == ("voice", "text")
