"""A whole file becomes a checked configuration that knows where everything is written."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import Struct

from agentkit.config import ConfigErrors, Loaded, diagnose, load_config
from agentkit.config.schema import PythonTool, ToolName, Turn
from agentkit.errors import ConfigError, DuplicateNameError, PluginLoadError, UnknownNameError
from agentkit.values import Duration, Secret

FULL = """\
version: 1
preset: voice
agent:
  name: concierge
  instructions: |
    You help visitors of {{city}}.
  variables: {city: "${CITY:-Turin}"}
  greeting: Hello from {{ city }}!
provider:
  use: openai
  with: {model: gpt-realtime, api_key: "${KEY:-none}"}
session:
  output: audio
  voice: marin
  transcription: {model: gpt-4o-mini-transcribe, language: en}
  turn: {mode: server_vad, threshold: 0.5, silence_ms: 600, prefix_ms: 300, interrupt: true}
  input_format: pcm16@24000
  output_format: g711_ulaw@8000
  noise_reduction: near_field
  tool_choice: {tool: opening_hours}
  max_output_tokens: inf
  temperature: 0.8
  speed: 1.1
tools:
  - use: http-get
    with:
      allow: [example.org]
      timeout: 5s
  - python: ./tools.py:opening_hours
    name: opening_hours
    prefix: museum_
    timeout: 3s
    optional: true
middleware:
  - {use: transcript, with: {path: "logs/{session}.jsonl"}}
limits: {session_time: 15m, turns: 200, tool_calls_per_turn: 8}
"""

MINIMAL = "agent: {}\nprovider: {use: local}\n"


def load(text: str) -> Loaded:
    return load_config(text, name="agent.yaml", environ={})


def codes(text: str) -> list[tuple[str, int | None, int | None]]:
    _, found = diagnose(text, name="agent.yaml", environ={})
    return [(each.code, each.line, each.column) for each in found]


def test_a_full_file_becomes_values() -> None:
    config = load(FULL).config
    assert config.agent.name == "concierge"
    assert config.provider.use == "openai"
    assert config.session.turn == Turn(threshold=0.5, silence_ms=600, prefix_ms=300, interrupt=True)
    assert config.session.tool_choice == ToolName(tool="opening_hours")
    assert str(config.session.output_format) == "g711_ulaw@8000"
    assert isinstance(config.tools[1], PythonTool)
    assert config.tools[1].timeout == 3.0
    assert config.limits.session_time == 900


def test_three_lines_are_enough() -> None:
    text = "preset: voice\nagent: {instructions: Answer in one sentence.}\ntools: [{use: now}]\n"
    config = load(text).config
    assert config.provider.use == "openai"
    assert config.session.output == "audio"


def test_variables_of_the_agent_go_into_its_prompts() -> None:
    loaded = load(FULL)
    assert loaded.instructions == "You help visitors of Turin.\n"
    assert loaded.greeting == "Hello from Turin!"


def test_braces_after_a_backslash_stay() -> None:
    loaded = load("provider: {use: local}\nagent: {instructions: 'Write \\{{name}}, {x}, {{ }} and {{{.'}\n")
    assert loaded.instructions == "Write {{name}}, {x}, {{ }} and {{{."


def test_an_unknown_variable_in_a_prompt_is_cited_where_it_stands() -> None:
    text = (
        "provider: {use: local}\nagent:\n  variables: {city: x}\n  instructions: |\n"
        "    In {{city}}\n    say {{citi}}, {{citi}}\n"
    )
    assert codes(text) == [("AK304", 6, 9), ("AK304", 6, 19)]


def test_a_prompt_file_is_read_and_its_variables_are_cited_in_it(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "me.md").write_text("Line one\nSay {{nmae}}.\n")
    path = tmp_path / "agent.yaml"
    path.write_text(MINIMAL.replace("{}", "{instructions: {file: prompts/me.md}, variables: {name: x}}", 1))
    _, (found,) = diagnose(path, name="dir/agent.yaml", environ={})
    assert (found.code, found.place) == ("AK304", "dir/prompts/me.md:2:5")
    assert found.hint == "did you mean `{{name}}`?"


def test_a_prompt_file_gives_the_instructions(tmp_path: Path) -> None:
    (tmp_path / "me.md").write_text("Be {{how}}.")
    path = tmp_path / "agent.yaml"
    path.write_text(MINIMAL.replace("{}", "{instructions: {file: me.md}, variables: {how: brief}}", 1))
    assert load_config(path, environ={}).instructions == "Be brief."


@pytest.mark.parametrize("file, code", [("gone.md", "AK204"), ("../x.md", "AK205"), ("/etc/passwd", "AK205")])
def test_a_prompt_file_that_may_not_be_read_is_an_error(tmp_path: Path, file: str, code: str) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(MINIMAL.replace("{}", f"{{instructions: {{file: {file}}}}}", 1))
    _, (found,) = diagnose(path, environ={})
    assert (found.code, found.line, found.column) == (code, 1, 30)


def test_several_mistakes_are_reported_at_once() -> None:
    text = """\
agent:
  instrutions: x
  voice: marin
provider: {use: local}
session:
  output: adio
  turn: {mode: semantic_vad, silence_ms: 5}
  input_format: g711_alaw@16000
tools:
  - {use: now, python: x}
  - {usr: now}
"""
    assert codes(text) == [
        ("AK101", 2, 3),
        ("AK106", 3, 3),
        ("AK104", 6, 11),
        ("AK401", 7, 30),
        ("AK402", 8, 17),
        ("AK401", 10, 16),
        ("AK101", 11, 6),
    ]


def test_a_misplaced_key_is_told_its_place() -> None:
    _, (found,) = diagnose("agent: {voice: x}\nprovider: {use: local}\nsession: {speed: 1}\n", name="agent.yaml")
    assert found.message == "`voice` is not a key of `agent`"
    assert found.hint == "it belongs under `session:` (agent.yaml:3)"


@pytest.mark.parametrize("key", ["agent", "provider"])
def test_what_is_needed_and_missing_is_named(key: str) -> None:
    text = "".join(line for line in MINIMAL.splitlines(keepends=True) if not line.startswith(key))
    _, (found,) = diagnose(text)
    assert (found.code, found.message, found.line) == ("AK103", f"`{key}` is missing", 1)


@pytest.mark.parametrize("text", ["agent.yaml", "- a\n- b\n", "5"])
def test_a_file_that_is_no_block_of_keys_is_an_error(text: str) -> None:
    assert codes(text) == [("AK102", 1, 1)]


def test_null_puts_the_default_back() -> None:
    config = load(MINIMAL + "session: null\ntools:\nlimits: {turns: ~}\n").config
    assert config.tools == ()
    assert config.limits.turns is None


@pytest.mark.parametrize(
    "turn, codes_found",
    [
        ("{mode: server_vad, eagerness: low}", ["AK401"]),
        ("{eagerness: low}", ["AK401"]),
        ("{mode: semantic_vad, eagerness: low, interrupt: false}", []),
        ("{mode: push_to_talk, silence_ms: 5, interrupt: true}", ["AK401", "AK401"]),
        ("{mode: push_to_talk, silence_ms: null}", []),
        ("{mode: null, threshold: 0.1}", []),
    ],
)
def test_keys_of_turn_go_with_its_mode(turn: str, codes_found: list[str]) -> None:
    _, found = diagnose(MINIMAL + f"session: {{turn: {turn}}}\n")
    assert [each.code for each in found] == codes_found


def test_the_version_is_one() -> None:
    assert codes(MINIMAL + "version: 2\n") == [("AK104", 3, 10)]


def test_an_error_carries_every_problem_and_the_first_place() -> None:
    with pytest.raises(ConfigErrors) as caught:
        load("agnt: {}\nprovider: {use: 5}\n")
    assert isinstance(caught.value, ConfigError)
    assert (caught.value.file, caught.value.line, caught.value.column) == ("agent.yaml", 1, 1)
    assert [each.code for each in caught.value.diagnostics] == ["AK101", "AK102"]
    first, second = str(caught.value).splitlines()
    assert first == "agent.yaml:1:1: unknown key `agnt` (did you mean `agent`?)"
    assert second.startswith("agent.yaml:2:17: ")


def test_the_text_of_an_error_has_ten_problems_at_most() -> None:
    with pytest.raises(ConfigErrors) as caught:
        load("agent: {}\nprovider: {use: local}\n" + "".join(f"x{number}: 1\n" for number in range(13)))
    *lines, last = str(caught.value).splitlines()
    assert len(lines) == 10
    assert last == "and 3 more errors"


def test_an_error_survives_pickling() -> None:
    with pytest.raises(ConfigErrors) as caught:
        load("agent: {}\n")
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.diagnostics == caught.value.diagnostics


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="no such file"):
        load_config(tmp_path / "agent.yaml")


def test_every_value_has_its_place() -> None:
    loaded = load(FULL)
    assert str(loaded.place("session", "voice")) == "agent.yaml:14:10"
    assert str(loaded.key_place("session", "voice")) == "agent.yaml:14:3"
    assert str(loaded.place("tools", 0, "with", "allow", 0)) == "agent.yaml:27:15"
    assert str(loaded.place("provider", "with", "model")) == "agent.yaml:11:17"


def test_a_value_that_is_not_there_has_the_place_around_it() -> None:
    loaded = load(FULL)
    assert loaded.place("tools", 1, "with", "x") == loaded.place("tools", 1)
    assert loaded.place("tools", 9) == loaded.place("tools")


def test_relative_paths_start_at_the_file_that_has_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "base.yaml").write_text("tools: [{python: './t.py:f'}]\n")
    path = tmp_path / "agent.yaml"
    path.write_text("extends: sub/base.yaml\n" + MINIMAL)
    loaded = load_config(path, environ={})
    assert loaded.folders_of("tools", 0, "python") == (tmp_path / "sub", tmp_path)
    assert loaded.folders_of("agent") == (tmp_path, tmp_path)


def test_a_preset_that_is_no_file_has_no_folder() -> None:
    loaded = load("preset: voice\nagent: {}\n")
    assert loaded.folders_of("session", "output") is None


class HttpOptions(Struct, frozen=True, kw_only=True):
    allow: list[str]
    timeout: Duration = 10.0
    token: Secret = Secret("")


def test_options_become_the_config_class_of_a_plugin() -> None:
    loaded = load(FULL)
    options, found = loaded.convert(loaded.config.tools[0].options, HttpOptions)  # type: ignore[union-attr] # by use
    assert found == ()
    assert options == HttpOptions(allow=["example.org"], timeout=5.0)


def test_mistakes_in_options_are_cited_in_the_file() -> None:
    loaded = load(MINIMAL + "middleware:\n  - use: x\n    with:\n      alow: [a]\n      timeout: 5\n")
    options, found = loaded.convert(loaded.config.middleware[0].options, HttpOptions)
    assert options is None
    assert [(each.code, each.line, each.column, each.key) for each in found] == [
        ("AK101", 6, 7, "middleware[0].with.alow"),
        ("AK102", 7, 16, "middleware[0].with.timeout"),
    ]


def test_options_that_are_missing_are_cited_at_the_item() -> None:
    loaded = load(MINIMAL + "middleware:\n  - use: x\n")
    _, (found,) = loaded.convert(loaded.config.middleware[0].options, HttpOptions)
    assert (found.code, found.line, found.column) == ("AK103", 4, 5)


def test_options_with_defaults_need_not_be_given() -> None:
    class Easy(Struct, frozen=True, kw_only=True):
        size: int = 1

    loaded = load(MINIMAL + "middleware: [{use: x, with: null}]\n")
    assert loaded.convert(loaded.config.middleware[0].options, Easy) == (Easy(), ())


def test_a_secret_of_options_is_hidden_in_later_excerpts() -> None:
    loaded = load(MINIMAL + "middleware: [{use: x, with: {allow: 5, token: canary}}]\n")
    _, found = loaded.convert(loaded.config.middleware[0].options, HttpOptions)
    later = loaded.problem("AK201", "no", "middleware", 0, "use")
    assert [each.code for each in found] == ["AK102", "AK302"]
    assert "canary" not in repr((loaded, found, later))


def test_options_for_what_takes_none_are_refused() -> None:
    loaded = load(MINIMAL + "middleware:\n  - {use: x, with: {a: 1}}\n  - {use: y}\n  - {use: z, with: {}}\n")
    (found,) = loaded.refuse_options(loaded.config.middleware[0].options, "x")
    assert (found.code, found.line, found.column) == ("AK403", 4, 14)
    assert loaded.refuse_options(loaded.config.middleware[1].options, "y") == ()
    assert loaded.refuse_options(loaded.config.middleware[2].options, "z") == ()


def test_a_name_that_nobody_gives_becomes_a_diagnostic() -> None:
    loaded = load(MINIMAL + "tools: [{use: wether}]\n")
    error = UnknownNameError("no tool is called `wether`; did you mean `weather`?", name="wether", known=("weather",))
    found = loaded.plugin_problem(error, "tools", 0, "use")
    assert (found.code, found.line, found.column) == ("AK201", 3, 15)
    assert (found.message, found.hint) == ("no tool is called `wether`", "did you mean `weather`?")


def test_a_bare_unknown_name_error_still_gets_the_nearest_name() -> None:
    error = UnknownNameError("no tool is called `wether`", name="wether", known=("weather", "now"))
    assert load(MINIMAL).plugin_problem(error, "tools").hint == "did you mean `weather`?"


@pytest.mark.parametrize(
    "error, code",
    [
        (DuplicateNameError("two", hint="write a:x"), "AK202"),
        (PluginLoadError("broken", hint="pip install y"), "AK203"),
    ],
)
def test_other_plugin_errors_become_diagnostics(error: DuplicateNameError | PluginLoadError, code: str) -> None:
    found = load(MINIMAL).plugin_problem(error, "provider", "use", severity="warning")
    assert (found.code, found.severity, found.hint) == (code, "warning", error.hint)


def test_warnings_do_not_stop_a_configuration() -> None:
    loaded, found = diagnose(MINIMAL)
    assert loaded is not None
    assert loaded.warnings == found == ()


def test_the_shape_needs_no_yaml_reader() -> None:
    code = "import sys, agentkit.config.schema, agentkit.values; print('yaml' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=15)
    assert run.stdout.strip() == "False"
