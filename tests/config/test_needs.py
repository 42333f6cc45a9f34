"""Keys that need a package: what is said where it is not installed, not allowed or broken."""

from functools import partial
from types import SimpleNamespace

import pytest

import agentkit
from agentkit import Preset, hookimpl
from agentkit.config.build import examine
from agentkit.config.diagnostics import ConfigErrors, Diagnostic
from agentkit.discovery import Discovery, Source, builtin_source
from agentkit.plugins import Plugins
from agentkit.registry import Owner

BASE = "agent: {}\nprovider: {use: local}\n"


def broken() -> object:
    raise ImportError("no PortAudio here")


def module(name: str) -> object:
    return SimpleNamespace(register_presets=hookimpl(lambda: [Preset(name, "agent: {}")]))


def plugins(*installed: str, only: frozenset[str] | None = None, fails: bool = False) -> Plugins:
    """Return the built-in plugin, and one of each package that is said to be installed."""
    sources = {"agentkit": builtin_source()}
    for name in installed:
        owner = Owner(name, f"agentkit-realtime-{name}", "0.1.0")
        sources[name] = Source(owner=owner, target="", load=broken if fails else partial(module, name))
    return Plugins(Discovery(sources=sources), only=only)


def found(text: str, known: Plugins, *, embedding: bool = False) -> list[Diagnostic]:
    return list(examine("agent.yaml", text=BASE + text, plugins=known, environ={}, embedding=embedding)[1])


@pytest.mark.parametrize("key", ["audio", "serve"])
def test_a_key_whose_package_is_missing_says_what_to_install(key: str) -> None:
    (problem,) = found(f"{key}: {{}}\n", plugins())
    assert (problem.code, problem.severity, problem.line, problem.column) == ("AK209", "error", 3, 1)
    assert problem.message == f"`{key}` needs the package agentkit-realtime-{key}, which is not installed"
    assert problem.hint == f"pip install agentkit-realtime-{key}"


@pytest.mark.parametrize("key", ["audio", "serve"])
def test_where_the_package_is_installed_nothing_is_said(key: str) -> None:
    assert found(f"{key}: {{}}\n", plugins(key)) == []


@pytest.mark.parametrize("text", ["audio: null\nserve: null\n", "recording: {mode: none}\n", "recording: {}\n"])
def test_what_is_not_asked_for_needs_nothing(text: str) -> None:
    assert found(text, plugins()) == []


def test_a_program_of_ones_own_ignores_what_only_the_command_line_reads() -> None:
    text = "audio: {echo: gate}\nserve: {port: 80}\n"
    assert found(text, plugins(), embedding=True) == []
    agent = agentkit.load("agent.yaml", text=BASE + text, plugins=plugins(), environ={})
    assert agent.config.serve is not None
    with pytest.raises(ConfigErrors) as caught:
        agentkit.load("agent.yaml", text=f"{BASE}audio: {{echo: loud}}\n", plugins=plugins(), environ={})
    assert [each.code for each in caught.value.diagnostics] == ["AK104"]


def test_a_package_that_is_not_allowed_is_not_there() -> None:
    (problem,) = found("audio: {}\n", plugins("audio", only=frozenset()))
    assert problem.message.endswith("agentkit-realtime-audio, whose plugin `audio` is switched off")
    assert problem.hint == "add audio to AGENTKIT_PLUGINS or --plugins"
    (problem,) = found("plugins: [serve]\naudio: {}\nserve: {}\n", plugins("audio", "serve"))
    assert (problem.code, problem.line, problem.hint) == ("AK209", 4, "add audio to `plugins:`")


def test_a_package_that_is_broken_says_why() -> None:
    problems = found("audio: {}\n", plugins("audio", fails=True))
    assert [each.code for each in problems] == ["AK209"]
    assert "cannot be loaded" in problems[0].message
    assert "no PortAudio here" in problems[0].message


def test_a_recording_needs_what_records_and_what_masks() -> None:
    problems = found("recording: {mode: events}\n", plugins())
    assert [(each.code, each.line, each.column) for each in problems] == [("AK209", 3, 1), ("AK209", 3, 1)]
    assert [each.hint for each in problems] == [
        "pip install agentkit-realtime-observe",
        "pip install agentkit-realtime-guard, or write `redact: false`",
    ]


def test_the_place_of_what_masks_is_its_key() -> None:
    problems = found("recording: {mode: events, redact: true}\n", plugins())
    assert [(each.column, each.key) for each in problems] == [(1, "recording"), (27, "recording.redact")]


def test_a_recording_that_masks_nothing_needs_only_what_records() -> None:
    (problem,) = found("recording: {mode: events, redact: false}\n", plugins("guard"))
    assert problem.hint == "pip install agentkit-realtime-observe"


def test_it_is_said_beside_other_mistakes() -> None:
    problems = found("audio: {}\nlimits: {turns: x}\n", plugins())
    assert [each.code for each in problems] == ["AK209", "AK102"]
