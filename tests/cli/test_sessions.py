import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Done = subprocess.CompletedProcess[str]
Started = subprocess.Popen[bytes]
POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
SECRET = """\
from agentkit import tool


@tool(examples=["unlock with {pin}"], secret=["pin"])
def unlock(pin: str) -> str:
    \"\"\"Unlock the door.\"\"\"
    return f"opened with {pin}"
"""


@pytest.fixture
def kept(tmp_path: Path, environ: dict[str, str]) -> Path:
    """The folder where conversations are kept."""
    environ["AGENTKIT_STATE_DIR"] = str(tmp_path / "state")
    return tmp_path / "state/sessions"


def of(done: Done, kind: str) -> list[dict[str, Any]]:
    return [record for line in done.stdout.splitlines() if (record := json.loads(line))["type"] == kind]


def listed(run: Callable[..., Done]) -> list[dict[str, Any]]:
    document: dict[str, Any] = json.loads(run("sessions", "list", "--json").stdout)
    assert document["v"] == 1
    sessions: list[dict[str, Any]] = document["sessions"]
    return sessions


# Keeping


def test_a_conversation_is_kept_with_what_is_told_of_it(run: Callable[..., Done], kept: Path, folder: Path) -> None:
    done = run("run", "--json", "--lines", stdin="add 2 and 3\nadd 4 and 5\n")
    (meta,) = listed(run)
    assert meta["id"] == of(done, "session")[0]["id"]
    assert (meta["agent"], meta["provider"], meta["turns"]) == ("tester", "local", 2)
    assert meta["config"] == str(folder / "agent.yaml")
    assert meta["first"] == "add 2 and 3"
    assert meta["cost_usd"] is None


def test_nothing_is_kept_where_it_is_not_wanted(run: Callable[..., Done], kept: Path) -> None:
    assert run("run", "--no-keep", "-p", "add 2 and 3").stdout == "5\n"
    assert run("run", "-p", "add 2 and 3", env={"AGENTKIT_NO_KEEP": "1"}).stdout == "5\n"
    assert not kept.exists()


def test_a_store_that_cannot_be_written_is_one_warning(run: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    env = {"AGENTKIT_STATE_DIR": str(tmp_path / "file")}
    done = run("run", "--lines", stdin="add 2 and 3\nadd 4 and 5\n", env=env)
    assert (done.returncode, done.stdout) == (0, "5\n\n9\n")
    assert done.stderr.count("warning: the conversation is not kept") == 1
    assert "AGENTKIT_STATE_DIR" in done.stderr


def test_a_secret_argument_is_not_kept(run: Callable[..., Done], kept: Path, folder: Path) -> None:
    (folder / "agent.yaml").write_text("agent: {}\nprovider: {use: local}\ntools: [{python: './door.py:unlock'}]\n")
    (folder / "door.py").write_text(SECRET)
    run("run", "-p", "unlock with gandalf77", "--save", "talk.txt")
    (path,) = kept.iterdir()
    written = json.loads(path.read_text())["snapshot"]["entries"]
    assert [each["item"]["arguments"] for each in written if each["item"]["type"] == "function_call"] == [
        '{"pin":"***"}'
    ]
    assert [each["item"]["output"] for each in written if each["item"]["type"] == "function_call_output"] == [
        "opened with ***"
    ]
    assert "pin" in (folder / "talk.txt").read_text()
    assert '{"pin":"***"}' in (folder / "talk.txt").read_text()
    assert run("run", "-c", "-p", "unlock with frodo1234").returncode == 0


@POSIX
def test_a_kill_loses_nothing_that_was_answered(
    start: Callable[..., Started], run: Callable[..., Done], kept: Path
) -> None:
    process = start("run", "--json", "--lines")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"add 2 and 3\nadd 4 and 5\nwait at the gate\n")
    process.stdin.flush()
    for line in process.stdout:
        record = json.loads(line)
        if record["type"] == "tool" and record["name"] == "gate":
            break
    process.kill()
    process.wait()
    assert listed(run)[0]["turns"] == 2
    assert "you: add 4 and 5" in run("sessions", "show").stdout
    assert [path.suffix for path in kept.iterdir()] == [".json"]


@POSIX
def test_an_interrupted_turn_is_kept(start: Callable[..., Started], run: Callable[..., Done], kept: Path) -> None:
    process = start("run", "--json", "--lines")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"wait at the gate\n")
    process.stdin.flush()
    for line in process.stdout:
        if json.loads(line)["type"] == "tool":
            break
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert "you: wait at the gate" in run("sessions", "show").stdout


# Going on


def test_the_last_conversation_is_gone_on_with_in_another_process(run: Callable[..., Done], kept: Path) -> None:
    run("run", "-p", "add 2 and 3")
    (before,) = listed(run)
    done = run("run", "-c", "--json", "-p", "add 4 and 5")
    assert done.returncode == 0
    assert of(done, "session")[0]["continues"] == before["id"]
    assert [user["text"] for user in of(done, "user")] == ["add 4 and 5"]
    assert [agent["text"] for agent in of(done, "agent") if agent["event"] == "final"] == ["9"]
    (after,) = listed(run)
    assert (after["id"], after["turns"], after["started"]) == (before["id"], 2, before["started"])
    assert after["updated"] > before["updated"]
    shown = run("sessions", "show", before["id"]).stdout
    assert [line for line in shown.splitlines() if line.startswith("you")] == ["you: add 2 and 3", "you: add 4 and 5"]


def test_the_model_knows_the_conversation_that_is_gone_on_with(
    run: Callable[..., Done], kept: Path, folder: Path
) -> None:
    run("run", "-p", "add 2 and 3")
    done = run("run", "-c", "-p", "add 4 and 5", "--save", "talk.md", "--events", "conversation.item.create", "--json")
    sent = [record["event"]["item"] for record in of(done, "event") if record["direction"] == "out"]
    assert [item.get("role", item["type"]) for item in sent] == [
        "user",
        "function_call",
        "function_call_output",
        "assistant",
        "user",
        "function_call_output",
    ]
    assert "add 2 and 3" in (folder / "talk.md").read_text()


def test_only_conversations_with_this_agent_are_gone_on_with(
    run: Callable[..., Done], kept: Path, folder: Path
) -> None:
    (folder / "other.yaml").write_text((folder / "agent.yaml").read_text())
    run("run", "-p", "add 2 and 3")
    done = run("run", "other.yaml", "-c", "-p", "hello")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no conversation with tester of other.yaml is kept" in done.stderr


def test_one_is_gone_on_with_by_its_id_from_anywhere(
    run: Callable[..., Done], kept: Path, folder: Path, tmp_path: Path
) -> None:
    run("run", "-p", "add 2 and 3")
    (meta,) = listed(run)
    (folder / "agent.yaml").rename(folder / "renamed.yaml")
    assert run("run", "--resume", meta["id"], "-p", "add 4 and 5").returncode == 2
    done = run("run", "renamed.yaml", "--resume", meta["id"][2:8], "-p", "add 4 and 5")
    assert (done.returncode, done.stdout) == (0, "9\n")
    assert f"session {meta['id']} was held with tester of {folder / 'agent.yaml'}" in done.stderr
    assert run("run", "--resume", meta["id"], "-p", "add 1 and 1").stdout == "2\n"


def test_a_changed_configuration_is_said(run: Callable[..., Done], kept: Path) -> None:
    run("run", "-p", "add 2 and 3")
    done = run("run", "-c", "--json", "--set", "agent.instructions=Be long.", "-p", "add 4 and 5")
    assert [notice["code"] for notice in of(done, "notice")] == ["agent_changed"]


def test_a_hand_over_is_no_change_of_the_configuration(run: Callable[..., Done], kept: Path, folder: Path) -> None:
    (folder / "agent.yaml").write_text(
        "agent: {name: front, handoff: [back]}\nprovider: {use: local}\ntools: []\n"
        "agents: {back: {description: knows sums, tools: [{python: './tools.py:add'}]}}\n"
    )
    first = run("run", "--json", "-p", "hand over to back")
    assert [record["agent"] for record in of(first, "handoff")] == ["back"]
    done = run("run", "-c", "--json", "-p", "add 4 and 5")
    assert done.returncode == 0
    assert of(done, "notice") == []
    again = run("run", "-c", "--json", "--set", "agents.back.instructions=Be long.", "-p", "add 4 and 5")
    assert [notice["code"] for notice in of(again, "notice")] == ["agent_changed"]


def test_a_conversation_that_cannot_be_read_is_one_line(run: Callable[..., Done], kept: Path) -> None:
    run("run", "-p", "add 2 and 3")
    (path,) = kept.iterdir()
    file = json.loads(path.read_text())
    file["snapshot"]["entries"] = 7
    path.write_text(json.dumps(file))
    done = run("run", "-c", "-p", "add 4 and 5")
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_going_on_in_two_places_keeps_both(start: Callable[..., Started], run: Callable[..., Done], kept: Path) -> None:
    run("run", "-p", "add 2 and 3")
    process = start("run", "-c", "--json", "--lines")
    assert process.stdin is not None
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["type"] == "session"
    run("run", "-c", "-p", "add 4 and 5")
    out, _ = process.communicate(b"add 6 and 7\n", timeout=10)
    codes = [record["code"] for line in out.splitlines() if (record := json.loads(line))["type"] == "notice"]
    assert codes == ["kept_apart"]
    assert [meta["turns"] for meta in listed(run)] == [2, 2]


def test_without_keeping_a_conversation_can_still_be_gone_on_with(run: Callable[..., Done], kept: Path) -> None:
    run("run", "-p", "add 2 and 3")
    before = listed(run)
    assert run("run", "-c", "--no-keep", "-p", "add 4 and 5").stdout == "9\n"
    assert listed(run) == before


def test_continue_and_resume_exclude_each_other(run: Callable[..., Done]) -> None:
    assert run("run", "-c", "--resume", "ak1", "-p", "x").returncode == 2


# The commands


def test_an_empty_list_says_how_one_is_made(run: Callable[..., Done], kept: Path) -> None:
    done = run("sessions", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no conversation is kept" in done.stderr
    assert listed(run) == []
    assert run("sessions", "show", "last").returncode == 2


def test_the_list_is_a_table_in_a_pipe(run: Callable[..., Done], kept: Path) -> None:
    run("run", "-p", "add 2 and 3 " + "and more " * 30)
    head, row = run("sessions").stdout.splitlines()
    assert head.split() == ["ID", "WHEN", "AGENT", "TURNS", "TIME", "COST", "BEGINS"]
    assert row.split()[:2] == [listed(run)[0]["id"], "just"]
    assert "add 2 and 3" in row


def test_an_export_has_the_form_that_is_asked_for(run: Callable[..., Done], kept: Path, folder: Path) -> None:
    run("run", "-p", "add 2 and 3")
    assert run("sessions", "export").stdout.startswith("**you:** add 2 and 3\n")
    assert run("sessions", "export", "last", "--format", "vtt").stdout.startswith("WEBVTT\n")
    lines = run("sessions", "export", "last", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["message", "function_call", "message"]
    assert run("sessions", "export", "--out", "talk.md").stdout == ""
    assert (folder / "talk.md").read_text().startswith("**you:**")


def test_an_export_that_fails_leaves_the_file_as_it_was(run: Callable[..., Done], kept: Path, folder: Path) -> None:
    run("run", "-p", "add 2 and 3")
    (folder / "talk.md").write_text("before")
    done = run("sessions", "export", "--out", "talk.md/none")
    assert (done.returncode, (folder / "talk.md").read_text()) == (2, "before")
    assert "talk.md/none cannot be written" in done.stderr
    assert run("sessions", "export", "--out", os.devnull).returncode == 0
    assert not Path(os.devnull).is_file()
    assert (folder / "talk.md").read_text() == "before"


@POSIX
def test_an_export_is_written_into_a_pipe_and_through_a_link(
    run: Callable[..., Done], kept: Path, folder: Path
) -> None:
    run("run", "-p", "add 2 and 3")
    assert run("sessions", "export", "--out", "/dev/stdout").stdout.startswith("**you:**")
    (folder / "link.md").symlink_to("talk.md")
    assert run("sessions", "export", "--out", "link.md").returncode == 0
    assert (folder / "link.md").is_symlink()
    assert (folder / "talk.md").read_text().startswith("**you:**")


def test_what_is_shown_has_the_order_it_was_said_in(run: Callable[..., Done], kept: Path) -> None:
    run("run", "-p", "add 2 and 3 \u202eback\u2066 \u200fagain\u061c")
    assert "you: add 2 and 3 back again\n" in run("sessions", "show").stdout
    entries = run("sessions", "show", "--json").stdout.partition('"entries":')[2]
    assert entries.isascii()
    assert "\\u202e" in entries


def test_an_export_of_audio_says_where_audio_is(run: Callable[..., Done], kept: Path) -> None:
    done = run("sessions", "export", "last", "--format", "wav")
    assert done.returncode == 2
    assert "audio is only in recordings" in done.stderr


def test_show_as_json_is_one_document(run: Callable[..., Done], kept: Path) -> None:
    run("run", "-p", "add 2 and 3")
    document = json.loads(run("sessions", "show", "--json").stdout)
    assert document["session"]["turns"] == 1
    assert document["entries"][0]["text"] == "add 2 and 3"


def test_prune_wants_to_know_what_and_tells_what_is_gone(run: Callable[..., Done], kept: Path) -> None:
    run("run", "-p", "add 2 and 3")
    (meta,) = listed(run)
    assert run("sessions", "prune").returncode == 2
    assert run("sessions", "prune", "--older", "5").returncode == 2
    assert run("sessions", "prune", "--older", "1h").stdout == ""
    assert run("sessions", "prune", "--all", "--dry-run").stdout == f"{meta['id']}\n"
    assert run("sessions", "prune", "--all", "--yes").stdout == f"{meta['id']}\n"
    assert listed(run) == []


def test_prune_all_needs_a_yes_where_nobody_can_be_asked(run: Callable[..., Done], kept: Path) -> None:
    assert run("sessions", "prune", "--all").returncode == 0
    run("run", "-p", "add 2 and 3")
    done = run("sessions", "prune", "--all")
    assert (done.returncode, done.stdout) == (2, "")
    assert "1 conversation would be deleted" in done.stderr
    assert "--yes" in done.stderr
    assert len(listed(run)) == 1


@POSIX
@pytest.mark.parametrize("answer, code, left", [("n", 1, 1), ("", 1, 1), ("y", 0, 0)])
def test_prune_all_asks_at_a_terminal(
    run: Callable[..., Done], kept: Path, folder: Path, environ: dict[str, str], answer: str, code: int, left: int
) -> None:
    from tests.cli.terminals import Terminal

    run("run", "-p", "add 2 and 3")
    terminal = Terminal(folder, environ, "sessions", "prune", "--all")
    try:
        terminal.expect("delete 1 conversation? [y/N]")
        terminal.say(answer)
        assert terminal.end() == code
    finally:
        terminal.close()
    assert len(listed(run)) == left


def test_path_names_the_folder(run: Callable[..., Done], kept: Path) -> None:
    assert run("sessions", "path").stdout == f"{kept}\n"


def test_an_unknown_subcommand_is_explained(run: Callable[..., Done]) -> None:
    done = run("sessions", "lst")
    assert done.returncode == 2
    assert "list" in done.stderr
