"""Every kind of mistake is found, with its code and its exact place, in every form of the output."""

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from agentkit.cli.check import command
from agentkit.config import CODES, Diagnostic
from agentkit.config.build import examine
from agentkit.config.explanations import EXPLANATIONS
from agentkit.plugins import Plugins, load_plugins
from tests.config.fixtures import INSTALLED, Case, cases, told

ONE = cases("invalid")
SEVERAL = cases("several")
EVERY = [pytest.param(case, id=f"{case.path.parent.name}-{case.path.stem}") for case in (*ONE, *SEVERAL)]
FILES = [each for each in EVERY if not each.values[0].overrides]  # type: ignore[union-attr]  # each is a case
SETTINGS = ("AK008", "AK202", "AK203", "AK208", INSTALLED, "AK210")
"""Codes that no file gives by itself: an empty file, other plugins, stdin."""


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return load_plugins(environ={})


def check(case: Case, *arguments: str, at: Path | None = None) -> str:
    runner = CliRunner()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(at or case.path.parent)
        done = runner.invoke(command, [case.name, *arguments], catch_exceptions=False, standalone_mode=False)
    return done.stdout


def test_there_are_files_of_every_kind() -> None:
    kinds = {case.path.stem.split("_")[0] for case in ONE}
    assert kinds >= {"syntax", "shape", "name", "variable", "combination", "included", "preset", "set", "agents"}
    assert kinds >= {"limits", "recording", "audio", "serve", "guardrails", "hosted", "option", "secret"}
    assert len(ONE) >= 60
    assert len(SEVERAL) >= 25
    assert all(len(case.expected) >= 2 for case in SEVERAL)


def test_every_code_has_a_file() -> None:
    found = {code for case in (*ONE, *SEVERAL) for code, _ in case.expected}
    assert set(CODES) - found == set(SETTINGS)


@pytest.mark.parametrize("case", EVERY)
def test_what_is_wrong_is_found_with_its_place(case: Case, plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case.path.parent)
    agent, found = examine(case.name, overrides=case.overrides, environ={}, plugins=plugins)
    assert told(found, case) == case.expected
    assert (agent is None) == any(each.severity == "error" for each in found)


@pytest.mark.parametrize("case", FILES)
def test_the_json_form_says_the_same(case: Case) -> None:
    document = json.loads(check(case, "--format", "json"))
    found = [each for each in document["diagnostics"] if each["code"] != INSTALLED]
    places = [f"{each['line']}:{each['col']}" for each in found]
    files = ["" if each["file"] == case.name else f" {each['file']}" for each in found]
    assert [(each["code"], at + file) for each, at, file in zip(found, places, files, strict=True)] == [*case.expected]
    for each in found:
        assert each["message"]
        assert "\n" not in each["message"]
        if each["end_line"] is not None:
            assert (each["line"], each["col"]) < (each["end_line"], each["end_col"])


@pytest.mark.parametrize("case", FILES)
def test_the_other_forms_say_the_same(case: Case) -> None:
    concise = re.findall(r"^(\S+):(\d+:\d+): \w+\[(AK\d+)\]", check(case, "--format", "concise"), re.MULTILINE)
    full = check(case)
    heads = re.findall(r"^\w+\[(AK\d+)\]: .*\n +--> (\S+?):(\d+:\d+)$", full, re.MULTILINE)
    github = check(case, "--format", "github")
    marks = re.findall(r"^::\w+ file=(.+?),line=(\d+),col=(\d+).*?,title=(AK\d+)::", github, re.MULTILINE)
    for found in (
        [(code, at, file) for file, at, code in concise],
        [(code, at, file) for code, file, at in heads],
        [(code, f"{line}:{column}", file) for file, line, column, code in marks],
    ):
        said = [(code, at if file == case.name else f"{at} {file}") for code, at, file in found if code != INSTALLED]
        assert said == [*case.expected]
    assert len(github.splitlines()) == len(marks)
    assert re.search(r"\nFound \d+ (error|warning)", full)


@pytest.mark.parametrize("case", FILES)
def test_what_can_be_mended_is_and_nothing_else_changes(case: Case, tmp_path: Path) -> None:
    home = tmp_path / case.path.parent.name
    shutil.copytree(case.path.parent, home)
    path = home / case.name
    before = path.read_bytes()
    fixable = sum(each["fix"] is not None for each in json.loads(check(case, "--format", "json"))["diagnostics"])
    document = json.loads(check(case, "--fix", "--format", "json", at=home))
    assert document["fixed"] >= fixable
    assert not [each for each in document["diagnostics"] if each["fix"] is not None]
    syntax = {each["code"] for each in document["diagnostics"] if each["code"] < "AK100"}
    assert syntax <= {code for code, _ in case.expected}
    after = path.read_bytes()
    assert after.count(b"\n") == before.count(b"\n")
    assert after.count(b"\r\n") == before.count(b"\r\n")
    assert (after == before) == (not fixable or all(" " in at for _, at in case.expected))


def test_every_code_is_explained() -> None:
    assert list(EXPLANATIONS) == list(CODES)
    assert all(each.meaning.endswith(".") and each.mend.endswith(".") for each in EXPLANATIONS.values())


@pytest.mark.parametrize("code", [code for code, each in EXPLANATIONS.items() if each.example])
def test_the_example_of_a_code_gives_it(code: str, plugins: Plugins) -> None:
    found: tuple[Diagnostic, ...] = examine("a.yaml", text=EXPLANATIONS[code].example, environ={}, plugins=plugins)[1]
    assert code in {each.code for each in found}
