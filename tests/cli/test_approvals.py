"""Approvals on the command line: who is asked, how, and what becomes of the answer."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from tests.cli.terminals import CTRL_C, CTRL_D, OpenTerminal, Terminal

KILL_LINE = "\x15"
"""Ctrl-U, which drops what stands in the line, with the line editor and without."""

Done = subprocess.CompletedProcess[str]

AGENT = """\
agent: {name: asker}
provider: {use: local}
tools:
  - {python: "./asked.py:send_mail", approve: ask}
  - {python: "./asked.py:brief", approve: {mode: ask, timeout: 300ms}}
  - {python: "./asked.py:wipe", effects: dangerous}
  - {python: "./asked.py:dig", approve: ask, background: true}
  - {python: "./asked.py:sign_in", approve: ask, secret: [password]}
  - {python: "./asked.py:work", background: true}
  - {python: "./asked.py:pair"}
"""
TOOLS = '''\
"""Tools that need approval."""

import anyio

from agentkit import ToolContext, tool


@tool(examples=["mail {to} about {subject}"])
async def send_mail(to: str, subject: str, copies: int = 1) -> str:
    """Send a mail."""
    return f"mailed {to} {copies} times"


@tool(examples=["brief {to}"])
async def brief(to: str) -> str:
    """Brief somebody."""
    return "briefed"


@tool(examples=["wipe {disk}"])
async def wipe(disk: str) -> str:
    """Wipe a disk."""
    return f"{disk} is wiped"


@tool(examples=["dig at {place}"])
async def dig(place: str) -> str:
    """Dig."""
    return f"{place} is dug"


@tool(examples=["sign in with {password}"])
async def sign_in(password: str) -> str:
    """Sign in."""
    return "signed in"


@tool(examples=["work without end"])
async def work(context: ToolContext) -> str:
    """Work."""
    context.progress("working", done=0.3)
    await anyio.sleep_forever()
    return "never"


@tool(examples=["count to three"])
async def pair(context: ToolContext) -> str:
    """Count."""
    for number in range(1, 4):
        context.progress(f"number {number}", done=number / 3)
    return "counted"
'''


@pytest.fixture
def folder(folder: Path) -> Path:
    """A folder with an agent whose tools need approval."""
    (folder / "agent.yaml").write_text(AGENT)
    (folder / "asked.py").write_text(TOOLS)
    return folder


@pytest.fixture(params=["edited", "plain"])
def terminal(request: pytest.FixtureRequest, open_terminal: OpenTerminal) -> Terminal:
    """A conversation, with the line editor and without."""
    opened = open_terminal(columns=120, variables={"TERM": "dumb"} if request.param == "plain" else None)
    opened.expect("/help")
    opened.expect("> ")
    return opened


def test_a_call_that_is_approved_runs(terminal: Terminal) -> None:
    terminal.say("mail ann about cats")
    terminal.expect('tool send_mail(to="ann", subject="cats") needs approval')
    terminal.expect("[y]es [n]o [a]lways this session [e]dit >")
    terminal.say("y")
    terminal.expect("agent  mailed ann 1 times")
    terminal.expect("> ")


def test_a_call_that_is_refused_does_not_run_and_the_model_is_told_why(terminal: Terminal) -> None:
    terminal.say("mail ann about cats")
    terminal.expect("[e]dit >")
    terminal.say("n ask her first")
    terminal.expect("refused: ask her first")
    terminal.expect("> ")
    assert "mailed" not in terminal.text


def test_always_holds_for_the_session(terminal: Terminal) -> None:
    terminal.say("mail ann about cats")
    terminal.expect("[e]dit >")
    terminal.say("a")
    terminal.expect("agent  mailed ann")
    terminal.expect("> ")
    terminal.say("mail bob about dogs")
    assert "needs approval" not in terminal.expect("agent  mailed bob")


def test_an_answer_that_is_none_is_asked_for_again(terminal: Terminal) -> None:
    terminal.say("mail ann about cats")
    terminal.expect("[e]dit >")
    terminal.say("perhaps")
    terminal.expect("write y, n")
    terminal.expect("[e]dit >")
    terminal.say("y")
    terminal.expect("agent  mailed ann")


def test_arguments_can_be_edited_and_bad_ones_say_why(terminal: Terminal) -> None:
    terminal.say("mail ann about cats")
    terminal.expect("[e]dit >")
    terminal.say("e")
    terminal.expect('{"to":"ann","subject":"cats"}')
    terminal.expect("arguments >" if "they are" in terminal.text else "")
    terminal.say(KILL_LINE + '{"to": "ann", "subject": "cats", "copies": "many"}')
    terminal.expect("copies: expected int")
    terminal.expect("arguments >")
    terminal.say(KILL_LINE + '{"to": "ann", "subject": "cats", "copies": 2}')
    terminal.expect('mail(to="ann", subject="cats", copies=2), edited')
    terminal.expect("mailed ann 2 times")


def test_arguments_that_are_left_as_they_are_are_asked_for_again(terminal: Terminal) -> None:
    terminal.say("mail ann about cats")
    terminal.expect("[e]dit >")
    terminal.say("e")
    terminal.expect('{"to":"ann","subject":"cats"}')
    terminal.expect("arguments >" if "they are" in terminal.text else "")
    terminal.say(KILL_LINE)
    terminal.expect("[e]dit >")
    terminal.say("y")
    terminal.expect("mailed ann 1 times")


def test_ctrl_c_is_no_and_stops_the_reply(terminal: Terminal) -> None:
    terminal.say("mail ann about cats")
    terminal.expect("[e]dit >")
    terminal.type(CTRL_C)
    terminal.expect("stopped")
    terminal.expect("refused: the user has refused it")
    terminal.expect("> ")
    terminal.say("count to three")
    terminal.expect("agent  counted")
    assert "mailed" not in terminal.text


def test_ctrl_c_for_a_call_in_the_background_does_not_end_the_session(terminal: Terminal) -> None:
    terminal.say("dig at home")
    terminal.expect("[e]dit >")
    terminal.type(CTRL_C)
    terminal.expect("refused")
    terminal.say("count to three")
    terminal.expect("agent  counted")


def test_a_question_that_nobody_answers_in_time_is_closed(terminal: Terminal) -> None:
    terminal.say("brief ann")
    terminal.expect("needs approval")
    terminal.expect("refused: nobody approved it in 0.3 s")
    terminal.expect("> ")
    terminal.say("count to three")
    terminal.expect("agent  counted")


def test_a_dangerous_call_is_approved_for_these_arguments_only(terminal: Terminal) -> None:
    terminal.say("wipe sda")
    terminal.expect('dangerous tool wipe(disk="sda") needs approval')
    terminal.expect("[a]lways with these [e]dit >")
    terminal.say("a")
    terminal.expect("agent  sda is wiped")
    terminal.expect("> ")
    terminal.say("wipe sdb")
    terminal.expect('dangerous tool wipe(disk="sdb") needs approval')
    terminal.expect("[e]dit >")
    terminal.say("n")
    terminal.expect("refused")


def test_a_secret_argument_is_not_shown(terminal: Terminal) -> None:
    terminal.say("sign in with hunter22")
    terminal.expect('sign_in(password="***") needs approval')
    terminal.expect("[e]dit >")
    terminal.say("y")
    terminal.expect("agent  signed in")


def test_what_was_typed_before_the_question_does_not_answer_it(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal(variables={"TERM": "dumb"})
    terminal.expect("> ")
    terminal.type("mail ann about cats\ry\r")
    terminal.expect("[e]dit >")
    terminal.say("n")
    terminal.expect("refused")
    assert "mailed" not in terminal.text


def test_what_is_half_typed_survives_a_question(
    open_terminal: OpenTerminal, folder: Path, guard: dict[str, str]
) -> None:
    os.mkfifo(folder / "go")
    terminal = open_terminal("--set", "middleware=[{use: go}]", columns=120, variables=guard)
    terminal.expect("/help")
    terminal.expect("> ")
    terminal.say("dig at home")
    terminal.expect("tool dig")
    terminal.type("count to")
    terminal.expect("count to")
    (folder / "go").write_text("now")
    terminal.expect("[e]dit >")
    terminal.say("n")
    terminal.expect("> count to")
    terminal.say(" three")
    terminal.expect("counted")


def test_a_call_in_the_background_asks_over_the_prompt_and_is_told_later(terminal: Terminal) -> None:
    terminal.say("dig at home")
    terminal.expect('dig(place="home") needs approval')
    terminal.expect("[e]dit >")
    terminal.say("y")
    terminal.expect("agent  home is dug")
    terminal.say("count to three")
    terminal.expect("agent  counted")


def test_running_calls_are_listed_and_cancelled(terminal: Terminal) -> None:
    terminal.say("work without end")
    terminal.until(lambda: "work: 30% working" in terminal.text or "tool work 30% working" in terminal.bar)
    terminal.say("/tools")
    terminal.expect("running:")
    terminal.expect("1 work(), ")
    terminal.expect("30%")
    terminal.say("/cancel 2")
    terminal.expect("there is no call 2")
    terminal.say("/cancel")
    terminal.expect("work is given up")
    terminal.expect("cancelled: the user gave it up")
    terminal.say("/cancel")
    terminal.expect("no call is running")


def test_progress_is_shown_as_lines_where_there_is_no_bar(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal(variables={"TERM": "dumb"})
    terminal.expect("> ")
    terminal.say("count to three")
    terminal.expect("pair: 100% number 3")
    terminal.expect("agent  counted")


def test_the_terminal_is_left_as_it_was_where_a_question_is_open(terminal: Terminal) -> None:
    terminal.say("mail ann about cats")
    terminal.expect("[e]dit >")
    terminal.process.terminate()
    assert terminal.end() == 143


def test_the_end_of_input_is_no(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal(columns=120, variables={"TERM": "dumb"})
    terminal.expect("> ")
    terminal.say("mail ann about cats")
    terminal.expect("[e]dit >")
    terminal.type(CTRL_D)
    terminal.expect("nobody can be asked for approval any more")
    assert terminal.end() == 0


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["edited", "no-color", "dumb"])
def test_every_argument_is_shown_whole_at_sixty_columns(open_terminal: OpenTerminal, variables: dict[str, str]) -> None:
    terminal = open_terminal(columns=60, variables=variables)
    terminal.expect("> ")
    words = " ".join(f"word{number}" for number in range(20))
    terminal.say(f"mail ann about {words}")
    terminal.expect("[e]dit >")
    shown = " ".join(terminal.text.split())
    assert f'tool send_mail(to="ann", subject="{words}") needs approval' in shown
    terminal.say("y")
    terminal.expect("agent  mailed ann")
    if variables:
        assert "\x1b" not in terminal.raw


def test_one_question_asks_in_a_terminal_too(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("-p", "mail ann about cats", columns=120)
    terminal.expect("[e]dit >")
    terminal.say("y")
    terminal.expect("\nmailed ann 1 times")
    assert terminal.end() == 0


def test_lines_in_a_terminal_ask_between_them(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("--json", columns=1000)
    terminal.expect('"type":"session"')
    terminal.say("mail ann about cats")
    terminal.expect('"type":"approval"')
    terminal.expect("[e]dit >")
    terminal.say("y")
    terminal.expect('"type":"turn"')
    terminal.say("count to three")
    terminal.expect('"output":"counted"')


# Without a terminal


def test_without_a_terminal_nobody_is_asked_and_the_model_is_told(run: Callable[..., Done]) -> None:
    done = run("run", "-p", "mail ann about cats")
    assert done.returncode == 0
    assert done.stdout == "refused: nobody can be asked for approval here\n"
    assert "warning: tool send_mail needs approval, and nobody can be asked" in done.stderr


def test_all_approves_what_is_not_dangerous(run: Callable[..., Done]) -> None:
    assert run("run", "--approve", "all", "-p", "mail ann about cats").stdout == "mailed ann 1 times\n"


def test_all_leaves_dangerous_tools_refused(run: Callable[..., Done]) -> None:
    done = run("run", "--approve", "all", "-p", "wipe sda")
    assert "wiped" not in done.stdout
    assert "a dangerous tool needs a person's approval" in done.stdout
    assert "tool wipe was refused" in done.stderr


def test_ask_without_a_terminal_is_bad_usage(run: Callable[..., Done]) -> None:
    done = run("run", "--approve", "ask", "-p", "mail ann about cats")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--approve ask needs a terminal" in done.stderr


def test_ndjson_has_the_request_and_the_decision(run: Callable[..., Done]) -> None:
    done = run("run", "--approve", "all", "--json", "-p", "sign in with hunter22")
    request, decision = [each for each in map(json.loads, done.stdout.splitlines()) if each["type"] == "approval"]
    assert (request["event"], request["name"], request["effects"]) == ("request", "sign_in", "writes")
    assert request["arguments"] == {"password": "***"}
    assert request["seconds"] == 120
    assert (decision["event"], decision["approved"], decision["by"]) == ("decision", True, "person")
    assert decision["call_id"] == request["call_id"]


def test_ndjson_has_progress(run: Callable[..., Done]) -> None:
    done = run("run", "--json", "-p", "count to three")
    told = [each for each in map(json.loads, done.stdout.splitlines()) if each.get("event") == "progress"]
    assert [each["message"] for each in told] == ["number 1", "number 2", "number 3"]
    assert told[-1]["done"] == 1


def test_a_pipe_waits_for_what_runs_in_the_background(run: Callable[..., Done]) -> None:
    done = run("run", "--approve", "all", "-p", "dig at home")
    assert (done.returncode, done.stdout, done.stderr) == (0, "home is dug\n", "")


# One tool by itself


def test_a_call_that_needs_approval_is_refused_without_a_terminal(run: Callable[..., Done]) -> None:
    done = run("call", "send_mail", "to=ann", "subject=cats")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--approve all approves these arguments" in done.stderr


@pytest.mark.parametrize("tool", [("send_mail", "to=ann", "subject=cats"), ("wipe", "disk=sda")])
def test_the_command_line_approves_the_arguments_that_it_gives(run: Callable[..., Done], tool: tuple[str, ...]) -> None:
    assert run("call", "--approve", "all", *tool).returncode == 0


@pytest.mark.parametrize("answer, code", [("y", 0), ("n", 1)])
def test_a_call_asks_at_the_terminal(open_terminal: OpenTerminal, answer: str, code: int) -> None:
    terminal = open_terminal("call", "wipe", "disk=sda", columns=120)
    terminal.expect('dangerous tool wipe(disk="sda") needs approval [y]es [n]o >')
    terminal.say(answer)
    terminal.expect("sda is wiped" if answer == "y" else "refused: you have refused it")
    assert terminal.end() == code


def test_progress_of_a_call_goes_to_stderr(run: Callable[..., Done]) -> None:
    done = run("call", "pair")
    assert done.stdout == "counted\n"
    assert done.stderr.splitlines() == ["pair: 33% number 1", "pair: 67% number 2", "pair: 100% number 3"]


def test_arguments_that_do_not_fit_are_bad_usage_before_anybody_is_asked(run: Callable[..., Done]) -> None:
    assert run("call", "send_mail", "to=ann").returncode == 2


def test_a_call_takes_no_answer_that_was_typed_before_its_question(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("call", "wipe", "disk=sda", columns=120)
    terminal.say("y")
    terminal.expect("needs approval")
    terminal.say("n")
    assert terminal.end() == 1
    assert "is wiped" not in terminal.text
