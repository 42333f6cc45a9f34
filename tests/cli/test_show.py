import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Done = subprocess.CompletedProcess[str]


def test_the_chain_is_shown_in_passing_order(run: Callable[..., Done], folder: Path, guard: dict[str, str]) -> None:
    with (folder / "agent.yaml").open("a") as file:
        file.write("middleware:\n  - use: no-add\n  - {use: logger, with: {path: x.jsonl}}\n  - use: house:no-add\n")
    done = run("show", "--chain", env=guard)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:5] == [
        "client events   application > wire",
        "server events   wire > house:no-add > no-add > application",
        "session events  session > application",
        "tool calls      model > no-add > house:no-add > tool",
        "wire tap        each frame, both ways > logger",
    ]
    assert "no-add: ResponseDone, wrap_tool_call" in lines


def test_the_chain_is_json_too(run: Callable[..., Done], folder: Path) -> None:
    with (folder / "agent.yaml").open("a") as file:
        file.write("middleware: [{use: logger}]\n")
    told = json.loads(run("show", "--chain", "--json").stdout)
    assert told["v"] == 1
    assert [way["way"] for way in told["chain"]][-1] == "wire tap"
    assert told["chain"][-1]["layers"][0]["where"] == "agent.yaml:13:20"


def test_the_chain_is_what_there_is_to_show(run: Callable[..., Done]) -> None:
    assert run("show").stdout == run("show", "--chain").stdout != ""


def test_guardrails_stand_where_they_have_the_last_word_and_are_marked(
    run: Callable[..., Done], folder: Path, guard: dict[str, str]
) -> None:
    with (folder / "agent.yaml").open("a") as file:
        file.write("middleware: [{use: no-add}]\nguardrails: [{use: first}, {use: second}]\n")
    lines = run("show", env=guard).stdout.splitlines()
    assert lines[:4] == [
        "client events   application > first [guardrail] > second [guardrail] > wire",
        "server events   wire > no-add > application",
        "session events  session > application",
        "tool calls      model > no-add > first [guardrail] > second [guardrail] > tool",
    ]
    assert "first (guardrail): ConversationItemCreate, wrap_tool_call" in lines
    told = json.loads(run("show", "--json", env=guard).stdout)
    assert [layer["guardrail"] for layer in told["chain"][3]["layers"]] == [False, True, True]


def test_another_order_of_the_list_is_another_order_of_the_chain(
    run: Callable[..., Done], folder: Path, guard: dict[str, str]
) -> None:
    with (folder / "agent.yaml").open("a") as file:
        file.write("guardrails: [{use: second}, {use: first}]\n")
    assert "tool calls      model > second [guardrail] > first [guardrail] > tool" in run("show", env=guard).stdout
