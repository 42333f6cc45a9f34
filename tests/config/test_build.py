"""From a file and plugins to an agent: names, options, functions of the user's, settings."""

from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from msgspec import UNSET

import agentkit
from agentkit import Factory, Middleware, Preset, hookimpl, tool
from agentkit.config.build import Agent, examine
from agentkit.config.diagnostics import Diagnostic
from agentkit.events import TurnDetection
from agentkit.plugins import Plugins
from agentkit.values import Timeout


@tool
def ping() -> str:
    """Answer a ping."""
    return "pong"


class GreetConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Options."""

    word: str = "hello"
    """What to say."""
    pause: Timeout = 1.0
    """How long to wait."""


def greet(config: GreetConfig) -> agentkit.Tool[..., object]:
    if config.word == "refuse":
        raise ValueError("that word is taken")

    def say() -> str:
        """Greet."""
        return config.word

    return tool(say, name="greet")


class Idle(Middleware):
    """A layer without hooks."""


PLUGIN = SimpleNamespace(
    register_tools=hookimpl(lambda: [ping, Factory("greet", greet, GreetConfig)]),
    register_middleware=hookimpl(lambda: [Factory("idle", Idle)]),
    register_presets=hookimpl(lambda: [Preset("small", "provider: {use: local}\nagent: {name: small}")]),
)
BASE = "agent: {name: a}\nprovider: {use: local}\n"


def build(text: str, **options: object) -> tuple[Agent | None, tuple[Diagnostic, ...]]:
    plugins = Plugins.from_modules({"mine": PLUGIN})
    return examine("agent.yaml", text=text, plugins=plugins, environ={}, **options)  # type: ignore[arg-type]  # as given


def found(text: str) -> list[tuple[str, int | None, int | None]]:
    agent, diagnostics = build(text)
    assert agent is None
    return [(each.code, each.line, each.column) for each in diagnostics if each.severity == "error"]


def agent_of(text: str, **options: object) -> Agent:
    agent, diagnostics = build(text, **options)
    assert agent is not None, diagnostics
    return agent


def test_names_of_plugins_become_tools_with_their_source_and_place() -> None:
    agent = agent_of(
        BASE + "tools:\n  - use: ping\n  - use: mine:greet\n    with: {word: hi}\n    name: hey\n    prefix: my_\n"
    )
    assert [source.tool.name for source in agent.tools] == ["ping", "my_hey"]
    assert agent.tools[1].tool() == "hi"
    assert agent.tools[0].source.startswith("mine:ping")
    assert str(agent.tools[1].place).startswith("agent.yaml:5")


def test_every_unknown_name_is_reported_at_its_place_with_the_nearest() -> None:
    text = "agent: {name: a}\nprovider: {use: locale}\ntools:\n  - use: pong\nmiddleware:\n  - use: loger\n"
    agent, diagnostics = build(text)
    assert agent is None
    assert [(each.code, each.line, each.column) for each in diagnostics] == [
        ("AK201", 2, 17),
        ("AK201", 4, 10),
        ("AK201", 6, 10),
    ]
    assert ["local" in (diagnostics[0].hint or ""), "ping" in (diagnostics[1].hint or "")] == [True, True]
    assert "logger" in (diagnostics[2].hint or "")


def test_wrong_options_are_reported_at_their_place() -> None:
    assert found(BASE + "tools:\n  - use: greet\n    with: {wort: hi, pause: 5}\n") == [
        ("AK101", 5, 12),
        ("AK102", 5, 29),
    ]


def test_options_for_a_tool_that_takes_none_are_refused() -> None:
    assert found(BASE + "tools:\n  - use: ping\n    with: {a: 1}\n") == [("AK403", 5, 5)]


def test_options_that_a_plugin_refuses_are_told_in_its_words() -> None:
    agent, diagnostics = build(BASE + "tools:\n  - use: greet\n    with: {word: refuse}\n")
    assert agent is None
    assert [(each.code, each.message) for each in diagnostics] == [("AK208", "that word is taken")]


def test_two_tools_of_one_name_are_refused_naming_both_places() -> None:
    agent, diagnostics = build(BASE + "tools:\n  - use: ping\n  - use: greet\n    name: ping\n")
    assert agent is None
    assert diagnostics[0].code == "AK404"
    assert "agent.yaml:4" in diagnostics[0].notes[0]


def test_an_optional_tool_that_is_missing_is_a_warning() -> None:
    agent = agent_of(BASE + "tools:\n  - use: nothing-like-it\n    optional: true\n")
    assert agent.tools == ()
    assert [each.severity for each in agent.warnings] == ["warning"]


def test_what_is_switched_off_is_not_there() -> None:
    text = BASE + "tools: [{use: ping, when: false}]\nmiddleware: [{use: logger, when: false}]\n"
    agent = agent_of(text)
    assert (agent.tools, agent.layers) == ((), ())


def test_a_middleware_without_hooks_is_refused() -> None:
    assert found(BASE + "middleware: [{use: idle}]\n") == [("AK203", 3, 20)]


def test_an_unknown_responder_is_reported_where_it_is_named() -> None:
    text = "agent: {name: a}\nprovider:\n  use: local\n  with: {responder: rulez}\n"
    assert found(text) == [("AK201", 4, 21)]


def test_the_responders_own_options_are_checked() -> None:
    text = "agent: {name: a}\nprovider:\n  use: local\n  with:\n    responder: chat\n    with: {modell: x}\n"
    assert [code for code, _, _ in found(text)] == ["AK101"]


def test_a_function_of_a_file_becomes_a_tool(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text('def shout(text: str) -> str:\n    """Shout."""\n    return text.upper()\n')
    file = tmp_path / "agent.yaml"
    file.write_text(BASE + "tools:\n  - python: ./tools.py:shout\n    timeout: 2s\n")
    agent = agentkit.load(file, environ={}, plugins=Plugins.from_modules({}))
    assert agent.tools[0].tool("a") == "A"
    assert agent.tools[0].tool.policy.timeout == 2


@pytest.mark.parametrize(
    "reference, said",
    [
        ("./none.py:f", "there is no file"),
        ("./broken.py:f", "ZeroDivisionError"),
        ("./tools.py:missing", "has no `missing`"),
        ("tools", "names no function"),
        ("../up.py:f", "outside"),
        ("no.such.module:f", "could not be imported"),
        ("./tools.py:odd", "cannot be a tool"),
    ],
)
def test_a_function_that_cannot_be_used_is_explained(tmp_path: Path, reference: str, said: str) -> None:
    (tmp_path / "tools.py").write_text("def shout(text): return text\ndef odd(*texts): return texts\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    file = tmp_path / "agent.yaml"
    file.write_text(BASE + f"tools:\n  - python: {reference}\n")
    agent, diagnostics = examine(file, environ={}, plugins=Plugins.from_modules({}))
    assert agent is None
    assert [(each.code, each.line) for each in diagnostics] == [("AK207", 4)]
    assert said in diagnostics[0].message


def test_the_session_block_becomes_settings_and_nothing_else_is_asked() -> None:
    text = BASE + (
        "session:\n  output: audio\n  voice: marin\n  turn: {mode: server_vad, silence_ms: 600, interrupt: true}\n"
        "  transcription: {model: m, language: en}\n  input_format: g711_ulaw@8000\n  output_format: pcm16@24000\n"
        "  noise_reduction: near_field\n  tool_choice: {tool: ping}\n  max_output_tokens: inf\n  speed: 1.2\n"
    )
    settings = agent_of(text).settings
    wire = msgspec.json.decode(msgspec.json.encode(settings))
    assert wire == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "noise_reduction": {"type": "near_field"},
                "transcription": {"model": "m", "language": "en"},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 600, "interrupt_response": True},
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.2},
        },
        "tool_choice": {"type": "function", "name": "ping"},
        "max_output_tokens": "inf",
    }
    assert agent_of(BASE).settings.audio is UNSET


def test_push_to_talk_asks_for_no_turn_detection() -> None:
    settings = agent_of(BASE + "session: {turn: {mode: push_to_talk}}\n").settings
    assert settings.audio is not UNSET
    assert settings.audio.input is not UNSET
    assert settings.audio.input.turn_detection is None
    vad = agent_of(BASE + "session: {turn: {mode: semantic_vad, eagerness: low}}\n").settings.audio
    assert vad is not UNSET
    assert vad.input is not UNSET
    assert vad.input.turn_detection == TurnDetection(type="semantic_vad", eagerness="low")


def test_limits_are_in_force() -> None:
    limits = agent_of(BASE + "limits: {session_time: 15m, turns: 3, tool_calls_per_turn: 8}\n").limits
    assert (limits.session_time, limits.turns, limits.core.tool_calls_per_turn) == (900, 3, 8)


def test_a_preset_and_demo_and_overrides_lie_on_top_of_each_other() -> None:
    agent = agent_of("preset: small\nagent: {instructions: x}\n", overrides=("agent.name=b",))
    assert agent.name == "b"
    text = "agent: {name: a}\nprovider: {use: openai, with: {api_key: '${NO_SUCH_KEY}'}}\n"
    assert agent_of(text, demo=True).provider.name == "local"


def test_the_chain_can_be_looked_at_without_a_session() -> None:
    agent = agent_of(BASE + "middleware: [{use: logger}]\n")
    assert [layer.name for layer in agent.chain().layers] == ["Logger"]


@pytest.mark.anyio
async def test_the_greeting_is_the_first_message_of_the_conversation() -> None:
    agent = agent_of("agent: {name: a, greeting: 'Hello {{who}}', variables: {who: Ada}}\nprovider: {use: local}\n")
    async with agent.open() as session:
        await session.ask("hi", timeout=5)
        first = session.history.items()[0]
    assert isinstance(first, agentkit.events.MessageItem)
    assert (first.role, first.text) == ("assistant", "Hello Ada")


@pytest.mark.anyio
async def test_an_agent_without_its_tools_can_only_talk() -> None:
    agent = agent_of(BASE + "tools: [{use: ping}]\n")
    async with agent.open(tools=False) as session:
        assert session.tools == {}


def test_a_mistyped_function_gets_the_nearest_of_the_files_own(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text("from enum import Enum\ndef opening_hours(shop: str) -> str: return shop\n")
    file = tmp_path / "agent.yaml"
    file.write_text(BASE + "tools:\n  - python: ./tools.py:opening\n")
    _, diagnostics = examine(file, environ={}, plugins=Plugins.from_modules({}))
    assert diagnostics[0].hint == "did you mean `opening_hours`?"


def test_wrong_values_names_and_options_are_all_found_in_one_pass_in_the_order_of_the_text() -> None:
    text = (
        "agnt: {name: a}\n"
        "provider: {use: locale}\n"
        "tools:\n"
        "  - use: pong\n"
        "  - use: greet\n"
        "    with: {wort: hi}\n"
        "    timeot: 5s\n"
        "  - use: greet\n"
        "    timeout: soon\n"
        "  - {use: nothing, when: false}\n"
        "middleware:\n"
        "  - use: loger\n"
        "  - use: logger\n"
        "    with: {path: '${NOWHERE}'}\n"
    )
    assert [(code, line) for code, line, _ in found(text)] == [
        ("AK101", 1),
        ("AK201", 2),
        ("AK201", 4),
        ("AK101", 6),
        ("AK101", 7),
        ("AK102", 9),
        ("AK201", 12),
        ("AK301", 14),
    ]


def test_a_missing_optional_tool_is_a_warning_beside_other_errors() -> None:
    _, diagnostics = build(BASE + "sesion: {}\ntools: [{use: nothing, optional: true}]\n")
    assert [(each.code, each.severity) for each in diagnostics] == [("AK101", "error"), ("AK201", "warning")]


@pytest.mark.parametrize(
    "item, severity",
    [
        ("{use: nothing, optional: true}", "warning"),
        ("{use: greet, with: {wrod: hi}, optional: true}", "error"),
        ("{use: greet, with: {pause: 5}, optional: true}", "error"),
    ],
)
def test_an_optional_tool_may_be_missing_but_not_be_written_wrongly(item: str, severity: str) -> None:
    agent, (found, *_) = build(f"{BASE}tools:\n  - {item}\n")
    assert found.severity == severity
    assert (agent is None) == (severity == "error")


def test_an_agent_says_what_it_is() -> None:
    assert repr(agent_of(BASE + "tools: [{use: ping}]\n")) == "<Agent a: provider local, 1 tool>"
