"""The conversation at a terminal, on a real pseudo-terminal."""

import signal
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from tests.cli.terminals import CTRL_C, CTRL_D, ESCAPE, OpenTerminal, Terminal


@pytest.fixture(params=["edited", "plain"])
def terminal(request: pytest.FixtureRequest, open_terminal: OpenTerminal) -> Terminal:
    """A conversation, with the line editor and without."""
    opened = open_terminal(variables={"TERM": "dumb"} if request.param == "plain" else None)
    opened.expect("/help")
    opened.expect("> ")
    return opened


def test_a_question_is_answered_and_ctrl_d_ends(terminal: Terminal) -> None:
    terminal.say("add 2 and 3")
    terminal.expect("tool   add(a=2, b=3)  ✓")
    terminal.expect("agent  5")
    terminal.expect("> ")
    terminal.type(CTRL_D)
    terminal.expect("1 turn")
    assert terminal.end() == 0


def test_a_failed_tool_is_shown_with_its_reason_and_place(terminal: Terminal) -> None:
    terminal.say("break something")
    terminal.expect("tool   broken()  ✗")
    terminal.expect("it is broken  (agent.yaml:8:5)")


def test_ctrl_c_stops_the_reply_and_the_session_goes_on(terminal: Terminal) -> None:
    terminal.say("wait at the gate")
    terminal.expect("at the gate now")
    terminal.type(CTRL_C)
    terminal.expect("stopped")
    terminal.expect("> ")
    terminal.say("add 2 and 3")
    terminal.expect("agent  5")


def test_ctrl_c_on_an_empty_line_warns_and_then_ends(terminal: Terminal) -> None:
    terminal.type(CTRL_C)
    terminal.expect("Ctrl-C again ends the session")
    terminal.expect("> ")
    terminal.type(CTRL_C)
    assert terminal.end() == 130


def test_a_word_that_is_typed_is_cleared_by_ctrl_c_first(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal()
    terminal.expect("> ")
    terminal.type("add 2")
    terminal.expect("add 2")
    terminal.type(CTRL_C)
    terminal.say("add 1 and 1")
    terminal.expect("tool   add(a=1, b=1)")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "sigint"])
def test_a_signal_at_the_prompt_leaves_the_terminal_as_it_was(terminal: Terminal, number: int) -> None:
    terminal.process.send_signal(number)
    if number == signal.SIGINT:
        terminal.expect("Ctrl-C again")
        terminal.process.send_signal(number)
    assert terminal.end() == (143 if number == signal.SIGTERM else 130)


def test_a_signal_during_a_reply_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.say("wait at the gate")
    terminal.expect("at the gate now")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end() == 143


def test_a_third_ctrl_c_kills_and_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.say("never let go")
    terminal.expect("holding on")
    terminal.type(CTRL_C)
    terminal.expect("stopped")
    terminal.type(CTRL_C)
    terminal.expect("1 turn")
    terminal.type(CTRL_C)
    assert terminal.end() == 130


def test_a_tool_that_blocks_its_thread_does_not_hold_the_program(terminal: Terminal) -> None:
    terminal.say("block a thread")
    terminal.expect("blocking now")
    terminal.type(CTRL_C)
    terminal.expect("stopped")
    terminal.type(CTRL_C)
    assert terminal.end() == 130


def test_slash_commands_help(terminal: Terminal) -> None:
    terminal.say("/tools")
    terminal.expect("add     Add two numbers.")
    terminal.say("/help")
    terminal.expect("/quit     end the session")
    terminal.say("/qiut")
    terminal.expect("did you mean /quit?")
    terminal.say("/quit")
    assert terminal.end() == 0


def test_the_greeting_is_said_before_the_prompt(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("--set", "agent.greeting=Welcome.")
    terminal.expect("/help")
    terminal.expect("agent  Welcome.")
    terminal.expect("> ")


def test_a_conversation_that_goes_on_greets_nobody_again(open_terminal: OpenTerminal) -> None:
    first = open_terminal("--set", "agent.greeting=Welcome.")
    first.expect("agent  Welcome.")
    first.say("add 2 and 3")
    first.expect("agent  5")
    first.expect("> ")
    first.type(CTRL_D)
    assert first.end() == 0
    again = open_terminal("--continue", "--set", "agent.greeting=Welcome.")
    again.expect('· 1 turn · last: "add 2 and 3"')
    again.expect("you    add 2 and 3")
    again.expect("agent  5")
    again.expect("> ")
    again.say("/retry")
    again.expect("tool   add(a=2, b=3)  ✓")
    again.expect("1 new turn")
    again.type(CTRL_D)
    assert again.end() == 0
    assert "Welcome" not in again.text


def test_what_was_typed_and_never_sent_is_shown_at_the_end(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("--set", "limits.turns=1")
    terminal.expect("> ")
    terminal.say("wait at the gate")
    terminal.expect("at the gate now")
    terminal.say("add 1 and 1")
    terminal.until(lambda: "waits: add 1 and 1" in terminal.text)
    terminal.type("half a question")
    terminal.until(lambda: "> half a question" in terminal.text)
    terminal.type(ESCAPE)
    terminal.expect("not asked, as the session has ended:\nadd 1 and 1\n")
    terminal.expect("not sent, as the session has ended:\nhalf a question\n")
    assert terminal.end() == 5


def test_what_is_typed_ahead_is_not_lost_where_the_reply_is_stopped(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal(variables={"TERM": "dumb"})
    terminal.expect("> ")
    terminal.say("wait at the gate")
    terminal.expect("at the gate now")
    terminal.say("add 2 and 3")
    terminal.type(CTRL_C)
    terminal.expect("stopped")
    terminal.expect("agent  5")


def test_keys_that_send_sequences_are_not_sent_as_text(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal(variables={"TERM": "dumb"})
    terminal.expect("> ")
    terminal.say("\x1b[A\x1bOB")
    terminal.say("\x1b[Aadd 2 and 3\x1bOC")
    terminal.expect("agent  5")
    terminal.expect("> ")
    terminal.say("/help")
    terminal.expect("NO_COLOR")
    terminal.type(CTRL_D)
    terminal.expect("1 turn ")
    assert terminal.end() == 0


def test_a_limit_ends_the_conversation_with_its_reason(open_terminal: OpenTerminal) -> None:
    limited = open_terminal("--max-turns", "1")
    limited.expect("> ")
    limited.say("add 2 and 3")
    limited.expect("limits.turns")
    assert limited.end() == 5


def test_what_a_tool_prints_stands_on_its_own_line(terminal: Terminal) -> None:
    terminal.say("shout loudly")
    before = terminal.expect("printed by the tool\n")
    assert before[-1] in "\r\n"


def test_terminal_codes_of_a_tool_are_not_obeyed(terminal: Terminal) -> None:
    terminal.say("send an escape")
    terminal.expect("redend")
    assert "title" not in terminal.raw
    assert "\x1b[31mred" not in terminal.raw


@pytest.mark.parametrize(
    "variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"AGENTKIT_COLOR": "never"}], ids=["no-color", "dumb", "never"]
)
def test_no_escape_is_written_where_none_is_wanted(open_terminal: OpenTerminal, variables: dict[str, str]) -> None:
    terminal = open_terminal(variables=variables)
    terminal.expect("> ")
    terminal.say("break something")
    terminal.expect("it is broken")
    terminal.expect("> ")
    terminal.type(CTRL_D)
    terminal.expect("1 turn")
    assert terminal.end() == 0
    assert "\x1b" not in terminal.raw


def test_ascii_is_all_there_is_where_it_is_asked_for(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal(variables={"AGENTKIT_ASCII": "1"})
    terminal.expect("> ")
    terminal.say("add 2 and 3")
    terminal.expect("add(a=2, b=3)  ok")
    terminal.expect("> ")
    terminal.type(CTRL_D)
    terminal.end()
    assert terminal.raw.isascii()


def test_nothing_of_ours_is_wider_than_sixty_columns(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("--set", f"agent.name={'long' * 20}", columns=60)
    terminal.expect("> ")
    terminal.say("break something")
    terminal.expect("✗")
    terminal.expect("> ")
    terminal.type(CTRL_D)
    terminal.expect("1 turn")
    terminal.end()
    assert [line for line in terminal.text.split("\n") if len(line.rpartition("\r")[2]) > 60] == []


def test_no_input_never_asks(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("--no-input")
    terminal.expect("--no-input forbids to ask")
    assert terminal.end() == 2


def test_json_in_a_terminal_takes_lines(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("--json")
    terminal.expect('"type":"session"')
    terminal.say("add 2 and 3")
    terminal.expect('"type":"turn"')
    terminal.type(CTRL_D)
    terminal.expect('"type":"end"')
    assert terminal.end() == 0


def test_ctrl_d_says_what_waits_and_is_not_asked(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal()
    terminal.expect("> ")
    terminal.say("wait at the gate")
    terminal.expect("at the gate now")
    terminal.say("add 1 and 1")
    terminal.until(lambda: "waits: add 1 and 1" in terminal.text)
    terminal.type(CTRL_D)
    terminal.expect("not asked, as the session has ended:\nadd 1 and 1\n")
    assert terminal.end() == 0
    assert "not sent" not in terminal.text


def test_without_escapes_an_approval_has_a_line_of_its_own(open_terminal: OpenTerminal, folder: Path) -> None:
    (folder / "agent.yaml").write_text(
        "provider: {use: local}\nagent: {}\ntools: [{python: './tools.py:add', approve: ask, background: true}]\n"
    )
    terminal = open_terminal(columns=120, variables={"TERM": "dumb"})
    terminal.expect("> ")
    terminal.say("add 2 and 3")
    terminal.expect("needs approval")
    asked = [line for line in terminal.text.split("\n") if "needs approval" in line]
    assert [line.startswith("tool add(") for line in asked] == [True]
    terminal.say("y")
    terminal.expect("✓")
