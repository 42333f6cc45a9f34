"""``recording``: the recorder as the first layer, by its name."""

from types import SimpleNamespace

import msgspec
import pytest

from agentkit import Duration, Factory, Middleware, Next, hookimpl, on
from agentkit.config.build import Agent, examine
from agentkit.config.diagnostics import Diagnostic
from agentkit.discovery import Discovery, Source, builtin_source
from agentkit.events import Event
from agentkit.plugins import Plugins
from agentkit.registry import Owner

BASE = "agent: {}\nprovider: {use: local}\n"


class RecorderConfig(msgspec.Struct, frozen=True, kw_only=True):
    path: str = "r"
    audio: bool = True
    events: bool = True
    keep: Duration | None = None
    redact: bool = False


class OldConfig(msgspec.Struct, frozen=True, kw_only=True):
    path: str = "r"
    audio: bool = True
    events: bool = True


class Recorder(Middleware):
    def __init__(self, config: RecorderConfig) -> None:
        self.config = config
        if config.path == "..":
            raise ValueError("recorder: the path leads elsewhere")

    @on(Event)
    async def record(self, event: Event, call_next: Next[Event]) -> None:
        await call_next(event)


def known(config: type[msgspec.Struct] = RecorderConfig, *, twice: bool = False) -> Plugins:
    def source(name: str, distribution: str, *factories: Factory[Middleware]) -> Source:
        module = SimpleNamespace(register_middleware=hookimpl(lambda: factories))
        return Source(owner=Owner(name, distribution, "0.1.0"), target="", load=lambda: module)

    factory = Factory("recorder", Recorder, config)
    sources = {
        "agentkit": builtin_source(),
        "observe": source("observe", "agentkit-realtime-observe", factory),
        "guard": source("guard", "agentkit-realtime-guard"),
    }
    if twice:
        sources["other"] = source("other", "other", factory)
    return Plugins(Discovery(sources=sources))


def examined(text: str, plugins: Plugins | None = None, *overrides: str) -> tuple[Agent | None, list[Diagnostic]]:
    agent, found = examine(
        "agent.yaml", text=BASE + text, plugins=plugins or known(), environ={}, overrides=overrides, embedding=True
    )
    return agent, list(found)


def recorder(text: str, *overrides: str) -> RecorderConfig:
    agent, found = examined(text, None, *overrides)
    assert agent is not None, found
    layer = agent.layers[0].build()
    assert isinstance(layer, Recorder)
    return layer.config


def test_it_is_the_first_layer_and_says_where_it_comes_from() -> None:
    agent, found = examined("middleware: [{use: logger}]\nrecording: {mode: events}\n")
    assert found == []
    assert agent is not None
    assert agent.layers[0].source == "recording:"
    assert [layer.name for layer in agent.layers] == ["recorder", "logger"]
    assert str(agent.layers[0].place) == "agent.yaml:4:1"
    assert agent.layers[0].build() is not agent.layers[0].build()
    assert isinstance(agent.chain().layers[0], Recorder)


def test_what_is_said_reaches_the_recorder() -> None:
    text = 'recording: {mode: events_and_audio, path: "calls/{session}", keep: 30d, redact: false}\n'
    assert recorder(text) == RecorderConfig(path="calls/{session}", keep=30 * 86400)


def test_events_alone_have_no_audio_and_what_is_secret_is_masked() -> None:
    expected = RecorderConfig(path="recordings/{date}-{session}", audio=False, redact=True)
    assert recorder("recording: {mode: events}\n") == expected


def test_it_can_be_switched_on_from_outside() -> None:
    found = recorder("", "recording.mode=events_and_audio", "recording.path=here/{session}")
    assert found == RecorderConfig(path="here/{session}", redact=True)


@pytest.mark.parametrize("text", ["", "recording: {}\n", "recording: {mode: none, keep: 1d}\n", "recording: null\n"])
def test_without_a_mode_nothing_is_recorded(text: str) -> None:
    agent, found = examined(text)
    assert agent is not None, found
    assert agent.layers == ()


@pytest.mark.parametrize("use", ["recorder", "observe:recorder"])
def test_a_session_is_not_recorded_twice(use: str) -> None:
    agent, (found,) = examined(f"middleware:\n  - use: {use}\nrecording: {{mode: events}}\n")
    assert agent is None
    assert (found.code, found.line, found.column) == ("AK401", 4, 10)
    assert found.notes == ("`recording` is at agent.yaml:5:1",)


@pytest.mark.parametrize(
    "text",
    [
        "middleware: [{use: recorder, when: false}]\nrecording: {mode: events}\n",
        "middleware: [{use: recorder}]\nrecording: {mode: none}\n",
    ],
)
def test_a_recorder_that_is_switched_off_is_none(text: str) -> None:
    agent, found = examined(text)
    assert (found, agent is not None and len(agent.layers)) == ([], 1)


def test_who_says_that_audio_is_redacted_is_told_that_it_is_not() -> None:
    agent, (found,) = examined("recording: {mode: events_and_audio, redact: true}\n")
    assert agent is not None
    assert (found.code, found.severity, found.key) == ("AK401", "warning", "recording.redact")
    assert examined("recording: {mode: events_and_audio}\n")[1] == []


def test_a_recorder_that_refuses_its_options_is_cited() -> None:
    agent, (found,) = examined('recording: {mode: events, path: ".."}\n')
    assert agent is None
    assert (found.code, found.line, found.message) == ("AK208", 3, "recorder: the path leads elsewhere")


def test_a_recorder_that_lacks_an_option_is_not_taken_for_one_that_has_it() -> None:
    agent, (found,) = examined("recording: {mode: events}\n", known(OldConfig))
    assert agent is None
    assert found.code == "AK208"
    assert found.message == "the middleware `recorder` that is installed has no option `redact`"


def test_two_recorders_are_told() -> None:
    agent, (found,) = examined("recording: {mode: events}\n", known(twice=True))
    assert agent is None
    assert found.code == "AK202"
    assert "observe:recorder" in found.message + (found.hint or "")
