"""``agentkit new agent``: every variant is valid, its tests pass, its commands can be pasted."""

import importlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from agentkit import Preset, hookimpl, tool
from agentkit.cli.flags import Flags
from agentkit.plugins import Plugins
from agentkit.pytest_plugin import Ran, run_cli
from tests.cli.terminals import CTRL_C, CTRL_D, Terminal

PROVIDERS: Final = (
    (),
    ("--provider", "local"),
    ("--provider", "openai"),
    ("--provider", "openai", "--voice"),
    ("--provider", "compatible", "--text"),
    ("--provider", "compatible", "--voice"),
    ("--voice",),
    ("--preset", "text"),
    ("--preset", "voice"),
    ("--preset", "voice", "--provider", "local"),
)
TOOLS: Final = ((), ("--tool", "calculate"), ("--tool", "now", "--tool", "set_memory", "--tool", "get_memory"))
VARIANTS: Final = [first + second for first, second in itertools.product(PROVIDERS, TOOLS)]
ONE_EACH: Final = [each + TOOLS[-1] for each in PROVIDERS]
FILES: Final = [
    ".agentkit/schema.json",
    ".gitignore",
    "README.md",
    "agent.yaml",
    "test_agent.py",
    "tools.py",
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTKIT_STATE_DIR", str(tmp_path_factory.mktemp("state")))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def agent(*words: str) -> Ran:
    return run_cli("new", "agent", *words)


def files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


@pytest.fixture
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-a-test")
    monkeypatch.setenv("REALTIME_API_KEY", "key-of-a-test")


@pytest.mark.usefixtures("_keys")
@pytest.mark.parametrize("words", VARIANTS, ids=" ".join)
def test_every_variant_is_valid(words: tuple[str, ...]) -> None:
    assert agent("museum", *words).code == 0
    done = run_cli("check", "--strict", "museum/agent.yaml")
    assert (done.code, done.err) == (0, ""), done.out


@pytest.mark.parametrize("words", ONE_EACH, ids=" ".join)
def test_its_schema_takes_it_and_refuses_a_mistake(words: tuple[str, ...]) -> None:
    agent("museum", *words)
    text = Path("museum/agent.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=.agentkit/schema.json\n")
    validator: Any = importlib.import_module("jsonschema").Draft7Validator(
        json.loads(Path("museum/.agentkit/schema.json").read_text())
    )
    assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == []
    assert list(validator.iter_errors(yaml.safe_load(text.replace("instructions:", "instrutions:")))) != []


@pytest.mark.parametrize("words", ONE_EACH, ids=" ".join)
def test_it_answers_without_a_key(words: tuple[str, ...]) -> None:
    agent("museum", *words)
    done = run_cli("run", "museum/agent.yaml", "--demo", "-p", "when does the museum open?")
    assert (done.code, done.out) == (0, "The museum is open from ten to six.\n"), done.err


@pytest.mark.timeout(90)
def test_the_tests_that_are_written_pass(tmp_path: Path) -> None:
    for number, words in enumerate(ONE_EACH):
        agent(f"agent-{number}", *words)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"{4 * len(ONE_EACH)} passed" in done.stdout


@pytest.mark.usefixtures("_keys")
@pytest.mark.parametrize("words", ONE_EACH, ids=" ".join)
def test_what_is_commented_out_is_valid_too(words: tuple[str, ...]) -> None:
    agent("museum", *words)
    path = Path("museum/agent.yaml")
    text = re.sub(
        r"^( *)# ((?:- )?[a-z_]+: .*|  +(?:- )?[a-z_]+: .*|middleware: .*)$", r"\1\2", path.read_text(), flags=re.M
    )
    assert text != path.read_text()
    path.write_text(text)
    done = run_cli("check", "--strict", "museum/agent.yaml")
    assert (done.code, done.err) == (0, ""), done.out + text
    assert "0 middleware" not in done.out


def test_ruff_finds_nothing_in_the_python() -> None:
    agent("museum")
    for words in (["check", "--line-length", "120"], ["format", "--check", "--line-length", "120"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", "museum"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_the_files_are_shown_with_what_each_is() -> None:
    done = agent("museum")
    assert (done.code, done.err) == (0, "")
    assert files("museum") == FILES
    lines = done.out.splitlines()
    assert lines[0] == "museum/"
    assert sorted(line.split()[0] for line in lines[1:7]) == FILES
    assert lines[7:] == ["", "next:", "  cd museum", "  agentkit check", "  agentkit run"]


@pytest.mark.parametrize("words", [(), ("--provider", "openai", "--voice")], ids=["local", "openai"])
@pytest.mark.parametrize("folder", ["museum", "my agents/the museum"])
def test_the_next_commands_can_be_pasted(folder: str, words: tuple[str, ...], tmp_path: Path) -> None:
    out = agent(folder, *words).out
    commands = out.partition("next:\n")[2].partition("\n\n")[0]
    assert len(commands.splitlines()) == 3
    done = subprocess.run(
        ["sh", "-ec", commands],
        input="when does the market open?",
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "The market is open from seven to two."


def test_a_provider_with_a_key_is_told_where_the_key_goes() -> None:
    done = agent("museum", "--provider", "openai")
    assert files("museum") == sorted([*FILES, ".env.example"])
    assert "cp .env.example .env" in done.out
    assert "OPENAI_API_KEY=\n" in Path("museum/.env.example").read_text()
    assert ".env\n" in Path("museum/.gitignore").read_text()


def test_the_folder_is_named_as_the_agent_is() -> None:
    agent("--name", "The Museum: guide")
    assert files("the-museum-guide") == FILES
    assert 'name: "The Museum: guide"\n' in Path("the-museum-guide/agent.yaml").read_text()
    assert run_cli("check", "--strict", "the-museum-guide/agent.yaml").code == 0


def test_without_a_word_it_is_my_agent() -> None:
    assert agent().code == 0
    assert "name: my-agent\n" in Path("my-agent/agent.yaml").read_text()


def test_the_working_directory_can_be_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("museum/.git").mkdir(parents=True)
    monkeypatch.chdir("museum")
    done = agent(".")
    assert done.code == 0
    assert "name: museum\n" in Path("agent.yaml").read_text()
    assert "cd " not in done.out
    assert len(done.out.partition("next:\n")[2].splitlines()) == 3


def test_quietly_only_the_folder_is_named() -> None:
    assert agent("-q", "museum").out == "museum\n"


def test_a_folder_that_is_not_empty_is_left_alone() -> None:
    Path("museum").mkdir()
    Path("museum/notes.txt").write_text("mine")
    done = agent("museum", "--yes")
    assert done.code == 2
    assert "museum is not empty" in done.err
    assert files("museum") == ["notes.txt"]


def test_by_force_files_are_replaced_and_others_stay() -> None:
    agent("museum")
    Path("museum/notes.txt").write_text("mine")
    Path("museum/tools.py").write_text("old")
    assert agent("museum", "--force").code == 0
    assert files("museum") == sorted([*FILES, "notes.txt"])
    assert Path("museum/tools.py").read_text() != "old"


def test_what_cannot_be_written_whole_is_taken_away_again() -> None:
    Path("museum/tools.py").mkdir(parents=True)
    done = agent("museum", "--force")
    assert done.code == 1
    assert "museum/tools.py cannot be written" in done.err
    assert files("museum") == []


@pytest.mark.parametrize(
    "words, said, hint",
    [
        (("--tool", "nov"), "has a tool called nov", "did you mean now?"),
        (("--tool", "http-get"), "must be told something first", "--list"),
        (("--preset", "voise"), "no preset is called voise", "did you mean voice?"),
        (("--preset", "voice", "--text"), "the preset voice says itself", "--provider"),
        (("--provider", "local", "--voice"), "local has no voice", "--provider openai"),
        (("--provider", "locl"), "locl", "--help"),
        (("--name", " "), "an agent's name is", "--name concierge"),
        (("--name", "a\x1b[31mb"), "an agent's name is", "--name concierge"),
    ],
)
def test_a_choice_that_is_not_there_is_answered_with_one_that_is(words: tuple[str, ...], said: str, hint: str) -> None:
    done = agent("museum", *words)
    assert done.code == 2
    assert said in done.err
    assert hint in done.err
    assert list(Path().iterdir()) == []


def test_what_can_be_chosen_is_listed() -> None:
    done = agent("--list")
    names = [line.split()[0] for line in done.out.splitlines()]
    assert {"providers", "presets", "tools", "local", "openai", "compatible", "voice", "now"} <= set(names)
    assert "http-get" not in names
    assert list(Path().iterdir()) == []


class House:
    """A plugin with a preset that brings tools and no provider, and a tool of the name that the agent's own has."""

    @hookimpl
    def register_presets(self) -> list[Preset]:
        return [Preset("house", {"tools": [{"use": "ring"}]}, "A house with a bell.")]

    @hookimpl
    def register_tools(self) -> list[object]:
        @tool
        def ring() -> str:
            """Ring the bell."""
            return "ding"

        @tool
        def opening_hours() -> str:
            """Tell nothing."""
            return ""

        return [ring, opening_hours]


@pytest.fixture
def _house(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = Plugins.from_modules({"house": House()})
    monkeypatch.setattr(Flags, "load_plugins", lambda self: plugins)


@pytest.mark.usefixtures("_house")
def test_a_preset_keeps_its_tools_and_gets_a_provider_where_it_has_none() -> None:
    assert agent("museum", "--preset", "house").code == 0
    text = Path("museum/agent.yaml").read_text()
    assert "  use: local" in text
    done = run_cli("check", "--strict", "museum/agent.yaml")
    assert (done.code, done.out) == (0, "museum/agent.yaml: valid: provider local, 2 tools, 0 middleware\n")


@pytest.mark.usefixtures("_house")
def test_a_tool_of_the_same_name_is_refused() -> None:
    done = agent("museum", "--tool", "opening_hours")
    assert done.code == 2
    assert "has a tool of its own called opening_hours" in done.err


@pytest.fixture
def wizard(tmp_path: Path, environ: dict[str, str]) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, environ, "new", "agent")
    yield terminal
    terminal.close()


def test_in_a_terminal_enter_takes_what_is_offered(wizard: Terminal, tmp_path: Path) -> None:
    for question in ("name [my-agent]:", "provider [local]:", "tools, or none [now calculate]:"):
        wizard.expect(question)
        wizard.type("\r")
    wizard.expect("agentkit run")
    assert wizard.end() == 0
    assert run_cli("check", "--strict", str(tmp_path / "my-agent/agent.yaml")).code == 0


def test_in_a_terminal_everything_can_be_answered(wizard: Terminal, tmp_path: Path) -> None:
    for question, answer in (
        ("name [my-agent]:", "Guide"),
        ("provider [local]:", "google"),
        ("it is one of local, openai, compatible", "open"),
        ("text or voice [text]:", "voice"),
        ("tools, or none [now calculate]:", "wether"),
        ("there is no tool wether", "weather, now"),
    ):
        wizard.expect(question)
        wizard.say(answer)
    wizard.expect("agentkit run --demo")
    assert wizard.end() == 0
    text = (tmp_path / "guide/agent.yaml").read_text()
    assert "use: openai" in text
    assert "output: audio" in text
    assert re.findall(r"- use: (\w+)", text)[:2] == ["weather", "now"]


def test_a_name_whose_folder_is_taken_is_asked_for_again(wizard: Terminal, tmp_path: Path) -> None:
    (tmp_path / "guide").mkdir()
    (tmp_path / "guide" / "notes.txt").write_text("mine")
    wizard.expect("name [my-agent]:")
    wizard.say("Guide")
    wizard.expect("guide is not empty")
    wizard.expect("name [my-agent]:")
    wizard.say("Other")
    wizard.expect("provider [local]:")
    press_until_it_ends(wizard, CTRL_D)
    assert files(str(tmp_path / "guide")) == ["notes.txt"]


def press_until_it_ends(terminal: Terminal, key: str) -> None:
    """Press a key, and again where it came just before the reading, where Python misses it."""
    for _ in range(4):
        terminal.type(key)
        try:
            terminal.process.wait(3)
        except subprocess.TimeoutExpired:
            continue
        return


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D], ids=["ctrl-c", "ctrl-d"])
def test_a_wizard_that_is_left_leaves_nothing_behind(wizard: Terminal, key: str, tmp_path: Path) -> None:
    wizard.expect("name [my-agent]:")
    wizard.say("guide")
    wizard.expect("provider [local]:")
    press_until_it_ends(wizard, key)
    wizard.expect("nothing was written")
    assert wizard.end() == 128 + signal.SIGINT
    assert [each.name for each in tmp_path.iterdir() if each.name != "cache"] == []


def test_no_input_asks_nothing_in_a_terminal(tmp_path: Path, environ: dict[str, str]) -> None:
    terminal = Terminal(tmp_path, environ, "new", "agent", "museum", "--no-input")
    try:
        terminal.expect("agentkit run")
        assert terminal.end() == 0
        assert "[" not in terminal.text
    finally:
        terminal.close()


@pytest.mark.parametrize("name", ["\x1b[31mz", "a\nb", "\x9bz", "x" * 300, "x/" * 3000])
def test_a_folder_that_cannot_be_one_is_bad_usage(name: str) -> None:
    done = run_cli("new", "agent", "--yes", "--", name)
    assert (done.code, done.out) == (2, "")
    assert name not in done.err
    assert "Traceback" not in done.err
    assert not any(Path().iterdir())


def test_a_folder_that_may_not_be_written_is_bad_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    done = run_cli("new", "agent", "sea", "--yes")
    assert done.code == 2
    assert "permission denied" in done.err
    assert not Path("sea").exists()
