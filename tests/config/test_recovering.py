"""One mistake in a sound file is one finding: nothing that follows from it is said, and the rest is checked."""

from pathlib import Path

import pytest
import yaml

from agentkit.config import Diagnostic, diagnose
from agentkit.config.build import examine
from agentkit.config.scanning import is_content, value_start
from agentkit.plugins import Plugins, load_plugins
from tests.config.fixtures import Case, cases

ROOT = Path(__file__).parents[2] / "configs"
BROKEN = [
    "@x",
    '"never closed',
    "{a: 1",
    "[a",
    "a: b: c",
    "*",
    "%x",
    "'It's me'",
    '"x" y',
    "${A}: {",
    "|x",
    "}",
    "&",
    "`x`",
    "{{a}} b",
]
SYNTAX = [case for case in (*cases("invalid"), *cases("several")) if not case.overrides]


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return load_plugins(environ={})


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("name", ["guarded.yaml", "handoff.yaml", "ollama.yaml", "openai.yaml"])
def test_a_broken_value_is_one_finding(name: str, value: str, plugins: Plugins) -> None:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    sound = {each.code for each in examine(name, text="\n".join(lines), environ={}, plugins=plugins)[1]}
    block = False
    for row, line in enumerate(lines):
        block = line.rstrip().endswith("|") or (block and line.startswith("    "))
        if block or not is_content(line):
            continue
        start = value_start(line)
        written = line[:start] + " " * line[:start].endswith(":") + value
        text = "\n".join([*lines[:row], written, *lines[row + 1 :]])
        found = [each for each in examine(name, text=text, environ={}, plugins=plugins)[1] if each.code not in sound]
        assert [each.code[:3] for each in found] == ["AK0"], (written, found)
        assert found[0].line == row + 1


@pytest.mark.parametrize("case", SYNTAX, ids=[case.path.stem for case in SYNTAX])
def test_the_parser_in_pure_python_leads_to_the_same(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    text = case.path.read_bytes().decode()
    fast = diagnose(text, environ={}, directory=case.path.parent)[1]
    monkeypatch.setattr("agentkit.config.loader._Parser", yaml.SafeLoader)
    assert diagnose(text, environ={}, directory=case.path.parent)[1] == fast


def found(text: str) -> list[tuple[str, int | None, int | None]]:
    diagnostics: tuple[Diagnostic, ...] = diagnose(text, environ={})[1]
    return [(each.code, each.line, each.column) for each in diagnostics]


def test_a_place_behind_a_tab_is_that_of_the_file() -> None:
    text = "agent: {}\nprovider: {use: local}\nsession:\n\tturn:\n\t\tmode: x\n\tvoice: {a: 1}\n"
    assert found(text) == [("AK002", 4, 1), ("AK104", 5, 9), ("AK102", 6, 9)]


def test_tabs_that_could_mean_several_things_have_no_fix() -> None:
    text = "agent: {}\nprovider: {use: local}\nsession:\n  turn:\n    mode: server_vad\n\tvoice: x\n"
    diagnostics = diagnose(text, environ={})[1]
    assert [(each.code, each.fix) for each in diagnostics] == [("AK002", None)]


def test_a_lone_carriage_return_moves_no_line() -> None:
    text = "# a\r@b\nagent: {nmae: x}\nprovider: {use: local}\n"
    assert found(text) == [("AK004", 2, 1), ("AK101", 3, 9)]


def test_reading_on_ends_where_it_would_take_too_long() -> None:
    text = "".join(f"k{number}: @x{'y' * 2000}\n" for number in range(400))
    assert 1 <= len(found(text)) < 400


def test_an_override_that_is_not_yaml_is_one_finding() -> None:
    diagnostics = diagnose(
        "agent: {}\nprovider: {use: local}\n", environ={}, overrides=["session={a: [", "limits.turns=x"]
    )[1]
    assert [(each.code, each.file) for each in diagnostics] == [
        ("AK001", "--set session"),
        ("AK102", "--set limits.turns"),
    ]


def test_many_characters_that_yaml_forbids_are_not_told_for_ever() -> None:
    assert len(found("agent: {}\nx: " + "\x07" * 500)) == 20


def test_a_character_that_yaml_forbids_spoils_its_value_alone() -> None:
    text = "agent: {}\nprovider: {use: lo\x07cal}\nsession: {vo\x07ice: x, output: voice}\n"
    assert found(text) == [("AK009", 2, 19), ("AK009", 3, 13), ("AK104", 3, 30)]
