import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]


def test_a_tool_runs_with_arguments_of_its_schema(run: Callable[..., Done]) -> None:
    done = run("call", "add", "a=2", "b=40")
    assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")


def test_arguments_come_as_json_too(run: Callable[..., Done]) -> None:
    assert run("call", "add", "--args", '{"a": 1}').stdout == "2\n"
    assert run("call", "add", "--args", "-", stdin='{"a": 1, "b": 2}').stdout == "3\n"


def test_json_has_status_and_time(run: Callable[..., Done]) -> None:
    told = json.loads(run("call", "add", "a=1", "--json").stdout)
    assert (told["v"], told["tool"], told["ok"], told["status"], told["output"]) == (1, "add", True, "ok", "2")
    assert told["ms"] >= 0


def test_what_a_tool_prints_is_not_its_result(run: Callable[..., Done]) -> None:
    done = run("call", "shout")
    assert (done.stdout, done.stderr) == ("shouted\n", "printed by the tool\n")


def test_a_failed_tool_is_the_answer_no(run: Callable[..., Done]) -> None:
    done = run("call", "broken")
    assert (done.returncode, done.stdout) == (1, "")
    assert "it is broken" in done.stderr


@pytest.mark.parametrize("arguments", [["a=two"], ["b=1"], ["a=1", "c=2"]])
def test_arguments_that_do_not_fit_are_bad_usage(run: Callable[..., Done], arguments: list[str]) -> None:
    done = run("call", "add", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: add: ")


def test_an_unknown_tool_gets_the_nearest(run: Callable[..., Done]) -> None:
    done = run("call", "ad")
    assert done.returncode == 2
    assert done.stderr == "error: no tool is called ad\n  did you mean add?\n"


def test_without_a_configuration_it_is_a_plugins_tool(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").unlink()
    done = run("call", "add", "a=1")
    assert done.returncode == 2
    assert "no tool is called `add`" in done.stderr


def test_the_tool_runs_inside_the_middleware(run: Callable[..., Done], folder: Path, guard: dict[str, str]) -> None:
    with (folder / "agent.yaml").open("a") as file:
        file.write("middleware: [{use: no-add}]\n")
    done = run("call", "add", "a=1", env=guard)
    assert done.returncode == 1
    assert "adding is not allowed" in done.stderr
    assert "warning: add was refused" in done.stderr
    assert run("call", "shout", env=guard).stdout == "shouted\n"
