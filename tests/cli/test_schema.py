import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]

USUAL = ".agentkit/schema.json"


def test_the_schema_goes_to_stdout_and_nothing_to_stderr(run: Callable[..., Done]) -> None:
    done = run("schema")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert run("schema", "--out", "-").stdout == done.stdout


def test_plugins_are_in_it_or_not(run: Callable[..., Done], guard: dict[str, str]) -> None:
    assert '"no-add"' in run("schema", env=guard).stdout
    assert '"no-add"' in run("schema", "--plugins", "all", env=guard | {"AGENTKIT_PLUGINS": "none"}).stdout
    assert '"no-add"' not in run("schema", "--plugins", "none", env=guard).stdout
    assert '"logger"' in run("schema", "--plugins", "none", env=guard).stdout
    assert '"no-add"' in run("schema", "--plugins", "house", env=guard).stdout


def test_a_plugin_that_is_not_there_is_said(run: Callable[..., Done], guard: dict[str, str]) -> None:
    done = run("schema", "--plugins", "hose", env=guard)
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean `house`?" in done.stderr


def test_it_is_written_with_its_folder_and_nothing_beside_it(run: Callable[..., Done], folder: Path) -> None:
    done = run("schema", "--out", USUAL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"info: wrote {USUAL}\n")
    assert [path.name for path in (folder / ".agentkit").iterdir()] == ["schema.json"]
    assert (folder / USUAL).read_text() == run("schema").stdout
    assert run("schema", "--out", USUAL, "-q").stderr == ""


@pytest.mark.parametrize("target, why", [("tools.py/x.json", "cannot be written"), (".", "is a directory")])
def test_what_cannot_be_written_is_one_line(run: Callable[..., Done], target: str, why: str) -> None:
    done = run("schema", "--out", target)
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_check_says_when_it_is_no_longer_of_what_is_installed(
    run: Callable[..., Done], folder: Path, guard: dict[str, str]
) -> None:
    stale = f"info: {USUAL} is not of what is installed now\n  agentkit schema --out {USUAL}\n"
    run("schema", "--out", USUAL)
    assert run("check").stderr == ""
    done = run("check", env=guard)
    assert (done.returncode, done.stderr) == (0, stale)
    assert run("check", "-q", env=guard).stderr == ""
    assert run("check", "--plugins", "none").stderr == ""
    run("schema", "--out", USUAL, env=guard)
    assert run("check", env=guard).stderr == ""


def test_check_leaves_a_schema_alone_that_is_somebody_elses_or_was_asked_for_without_plugins(
    run: Callable[..., Done], folder: Path, guard: dict[str, str]
) -> None:
    run("schema", "--plugins", "none", "--out", USUAL)
    assert run("check", env=guard).stderr == ""
    (folder / USUAL).write_text("{}")
    assert run("check", env=guard).stderr == ""


def test_a_configuration_that_agentkit_new_writes_is_taken(run: Callable[..., Done], folder: Path) -> None:
    from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # it has no annotations

    from agentkit.config.diagnostics import Problems
    from agentkit.config.loader import read_yaml
    from agentkit.config.nodes import Source
    from agentkit.config.walk import to_python

    for name, flags in (("a", []), ("b", ["--provider", "openai", "--voice"]), ("c", ["--provider", "compatible"])):
        assert run("new", "agent", name, "--yes", *flags).returncode == 0
        text = (folder / name / "agent.yaml").read_text()
        node = read_yaml(Source("agent.yaml", text), Problems())
        assert node is not None
        schema = json.loads((folder / name / USUAL).read_text())
        assert [error.message for error in Draft7Validator(schema).iter_errors(to_python(node))] == []
        assert text.startswith(f"# yaml-language-server: $schema={USUAL}\n")
