"""Slash commands, keys and what others print, in the inline interface."""

import base64
import json
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from tests.cli.terminals import CTRL_D, OpenTerminal, Terminal

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
FLOOD = '''\
"""A tool that prints."""

import logging

from agentkit import tool


@tool(examples=["flood the screen"])
def flood() -> str:
    """Flood the screen."""
    logging.getLogger("flood").warning("logged")
    for number in range(100):
        print(f"printed {number}\\x1b[31m")
    return "flooded"
'''


@pytest.fixture
def terminal(open_terminal: OpenTerminal) -> Terminal:
    opened = open_terminal(columns=120)
    opened.expect("listening")
    return opened


def test_commands_about_the_conversation(terminal: Terminal, folder: Path) -> None:
    terminal.say("/retry")
    terminal.expect("nothing was asked yet")
    terminal.say("add 2 and 3")
    terminal.expect("agent  5")
    terminal.say("/retry")
    terminal.expect("you    add 2 and 3")
    terminal.expect("agent  5")
    terminal.say("/say Good evening.")
    terminal.expect("you    /say Good evening.")
    terminal.until(lambda: "3 turns" in terminal.bar)
    terminal.say("/retry")
    terminal.expect("you    add 2 and 3")
    terminal.until(lambda: "4 turns" in terminal.bar)
    terminal.say("/stats")
    terminal.expect("turns        4")
    terminal.expect("tools        add 3")
    terminal.say("/foo")
    terminal.expect("there is no /foo; /help lists them")
    terminal.say("/save talk.json")
    terminal.expect("saved ")
    assert json.loads((folder / "talk.json").read_text())["entries"][0]["text"] == "add 2 and 3"
    terminal.say("/save agent.yaml")
    terminal.expect("agent.yaml names no form of a")
    (folder / "mine.md").write_text("mine")
    terminal.say("/save mine.md")
    terminal.expect("mine.md exists, and is left as it is")
    assert (folder / "mine.md").read_text() == "mine"


def test_commands_about_what_happens(terminal: Terminal) -> None:
    terminal.say("/events response.d*")
    terminal.expect("events response.d* are shown")
    terminal.say("add 2 and 3")
    terminal.expect("event  ← response.done")
    terminal.say("/events")
    terminal.expect("no events are shown any more")
    terminal.say("/approve nobody")
    terminal.expect("write /approve ask, /approve all or /approve none")
    terminal.say("/approve all")
    terminal.expect("but for those of dangerous tools")
    terminal.say("/mute")
    terminal.expect("pip install agentkit-realtime-audio")


def test_an_image_goes_to_the_agent(terminal: Terminal, folder: Path) -> None:
    (folder / "a cat.png").write_bytes(PNG)
    (folder / "text.png").write_text("no image")
    terminal.say("/image missing.png")
    terminal.expect("you    /image missing.png")
    terminal.expect("missing.png cannot be read: No such file")
    terminal.say("/image text.png")
    terminal.expect("text.png is no PNG and no JPEG")
    terminal.say("/image a cat.png what is this?")
    terminal.expect("you    [image a cat.png, 1 kB] what is this?")
    terminal.until(lambda: "1 turn" in terminal.bar)
    terminal.say("/save talk.txt")
    terminal.expect("saved ")
    assert "what is this? [image]" in (folder / "talk.txt").read_text()


def test_keys(terminal: Terminal) -> None:
    terminal.type("?")
    terminal.expect("Esc stops the reply")
    terminal.type("\x14")
    terminal.expect("voice needs: pip install agentkit-realtime-audio")
    terminal.type("/sta\t")
    terminal.until(lambda: "> /stats" in terminal.text)
    terminal.type("\r")
    terminal.expect("reconnects   0")
    terminal.type("/approve no\t")
    terminal.until(lambda: "> /approve none" in terminal.text)
    terminal.type("\r")
    terminal.expect("every call that needs approval is refused")
    terminal.type("what\x1b\radd 1 and 1")  # Alt-Enter
    terminal.until(lambda: "> what\nadd 1 and 1" in terminal.text)
    terminal.type("\x03")
    terminal.until(lambda: "add 1 and 1" not in terminal.text)
    terminal.say("add 4 and 4")
    terminal.expect("agent  8")
    terminal.type("\x1b[A")
    terminal.until(lambda: terminal.screen[-2] == "> add 4 and 4")


def test_tools_that_ask_are_marked(open_terminal: OpenTerminal, folder: Path) -> None:
    (folder / "agent.yaml").write_text(
        "provider: {use: local}\nagent: {}\ntools:\n"
        "  - {python: './tools.py:add', approve: ask}\n  - {python: './tools.py:shout', effects: dangerous}\n"
        "  - {python: './tools.py:broken'}\n"
    )
    terminal = open_terminal()
    terminal.expect("listening")
    terminal.say("/tools")
    terminal.expect("add     Add two numbers. (asks)")
    terminal.expect("shout   Shout loudly. (dangerous, asks)")
    terminal.expect("broken  Break something.\n")


def test_what_others_print_is_above_cleaned_and_not_too_much(open_terminal: OpenTerminal, folder: Path) -> None:
    (folder / "tools.py").write_text(FLOOD)
    (folder / "agent.yaml").write_text("provider: {use: local}\nagent: {}\ntools: [{python: './tools.py:flood'}]\n")
    terminal = open_terminal("--log-level", "warning")
    terminal.expect("listening")
    terminal.say("flood the screen")
    terminal.expect("more lines dropped: at most 20 a second are shown")
    printed = [line for line in terminal.text.split("\n") if line.startswith("printed ")]
    assert printed == [f"printed {number}" for number in range(19)]
    assert "WARNING flood: logged" in terminal.text
    assert "\x1b[31mprinted" not in terminal.raw
    terminal.type(CTRL_D)
    assert terminal.end() == 0


def test_what_is_typed_before_a_question_is_seen_goes_to_the_prompt(open_terminal: OpenTerminal, folder: Path) -> None:
    (folder / "agent.yaml").write_text(
        "provider: {use: local}\nagent: {}\ntools: [{python: './tools.py:add', approve: ask}]\n"
    )
    terminal = open_terminal(columns=120)
    terminal.expect("listening")
    terminal.type("add 2 and 3\ry")
    terminal.until(lambda: "add(a=2, b=3) needs approval" in terminal.text and terminal.screen[-2].endswith("[e]dit >"))
    assert "agent  5" not in terminal.text
    terminal.say("n not today")
    terminal.expect("refused add(a=2, b=3)")
    terminal.until(lambda: terminal.screen[-2] == "> y")
