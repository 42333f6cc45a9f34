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


def test_the_tool_of_a_further_agent_runs_too(run: Callable[..., Done], folder: Path) -> None:
    text = (folder / "agent.yaml").read_text().replace("  - python: ./tools.py:shout\n", "")
    text += "agents:\n  other: {instructions: Shout., tools: [{python: './tools.py:shout'}]}\n"
    (folder / "agent.yaml").write_text(text.replace("instructions: Be brief.", "instructions: x\n  handoff: [other]"))
    done = run("call", "shout")
    assert (done.returncode, done.stdout) == (0, "shouted\n")


def test_arguments_from_a_closed_stdin_are_bad_usage(run: Callable[..., Done]) -> None:
    done = run("call", "add", "--args", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --args is not JSON")


def test_a_body_that_raises_is_one_error_with_its_place(run: Callable[..., Done], folder: Path) -> None:
    (folder / "odd.py").write_text("def explode() -> str:\n    raise RuntimeError('kaboom')\n")
    (folder / "odd.yaml").write_text("agent: {}\nprovider: {use: local}\ntools: [{python: './odd.py:explode'}]\n")
    done = run("call", "--config", "odd.yaml", "explode")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("error: explode failed: RuntimeError: kaboom (odd.py:2)\n  -vv shows the traceback\n")
    assert "Traceback" in run("call", "-vv", "--config", "odd.yaml", "explode").stderr


def test_a_function_that_the_configuration_does_not_list_is_pointed_at(run: Callable[..., Done], folder: Path) -> None:
    with (folder / "tools.py").open("a") as file:
        file.write("\n\ndef sing() -> str:\n    return 'la'\n")
    line = (folder / "tools.py").read_text().splitlines().index("def sing() -> str:") + 1
    told = " ".join(run("call", "sing").stderr.split())
    assert f"tools.py:{line} has a function of that name" in told
    assert "agentkit new tool sing --config agent.yaml" in told
    added = run("new", "tool", "sing", "--config", "agent.yaml")
    assert (added.returncode, added.stderr) == (0, "")
    assert f"tools.py:{line}: the function sing, as it was" in added.stdout
    assert run("call", "sing").stdout == "la\n"
    (folder / "agent.yaml").unlink()
    assert "- python: ./tools.py:sing" in run("call", "sing").stderr


@pytest.mark.parametrize(
    "words", [("show", "-"), ("tools", "-"), ("call", "add", "a=1", "--config", "-")], ids=lambda words: words[0]
)
def test_a_configuration_from_stdin_names_code_where_it_is_trusted(
    run: Callable[..., Done], folder: Path, words: tuple[str, ...]
) -> None:
    text = (folder / "agent.yaml").read_text()
    refused, done = run(*words, stdin=text), run(*words, "--trust", stdin=text)
    assert (refused.returncode, done.returncode) == (2, 0)
    assert "AK210" in refused.stderr


def test_stdin_is_not_read_twice(run: Callable[..., Done]) -> None:
    done = run("call", "add", "--config", "-", "--args", "-")
    assert done.returncode == 2
    assert "both the configuration and the arguments" in done.stderr
