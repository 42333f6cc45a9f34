"""The inline interface on an emulated terminal: what a person sees on the screen and in the scrollback."""

import os
import signal
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from tests.cli.terminals import CTRL_C, CTRL_D, ESCAPE, OpenTerminal, Terminal

SITE = """
from pathlib import Path

import anyio

from agentkit import Factory, Responder, hookimpl
from agentkit.local import ResponderError, TextDelta


class Paced(Responder):
    '''Says what the file `words` of the working folder holds, and waits for another file after each `|`.'''

    name = "paced"

    async def respond(self, request):
        if request.last_user_text == "fail":
            raise ResponderError("I will not", code="unwilling", type="invalid_request_error")
        for index, part in enumerate(Path("words").read_text("utf-8").split("|")):
            if index:
                while not Path(f"go{index}").exists():
                    await anyio.sleep(0.01)
            if part:
                yield TextDelta(text=part)


@hookimpl
def register_responders():
    return [Factory("paced", Paced)]
"""
PACED = """\
agent: {name: pacer}
provider: {use: local, with: {responder: paced}}
limits: {cost_usd: 0.5, rates: {input: 4, output: 16}}
"""


class Paces:
    """An agent that speaks in steps."""

    def __init__(self, folder: Path, opens: OpenTerminal, variables: dict[str, str]) -> None:
        self.folder = folder
        self._opens = opens
        self._variables = variables

    def open(self, words: str, *arguments: str, columns: int = 80, **variables: str) -> Terminal:
        """Begin a conversation with an agent that says these words."""
        (self.folder / "words").write_text(words, "utf-8")
        terminal = self._opens(*arguments, columns=columns, variables={**self._variables, **variables})
        terminal.expect("listening" if columns >= 60 else "●")
        return terminal

    def go(self, step: int) -> None:
        """Let it say what is behind the next `|`."""
        (self.folder / f"go{step}").touch()


@pytest.fixture
def paces(folder: Path, tmp_path: Path, environ: dict[str, str], open_terminal: OpenTerminal) -> Paces:
    site = tmp_path / "site"
    info = site / "paced-0.1.dist-info"
    info.mkdir(parents=True)
    (site / "paced_plugin.py").write_text(SITE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: paced\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[agentkit]\npaced = paced_plugin\n")
    (folder / "agent.yaml").write_text(PACED)
    path = os.pathsep.join(filter(None, [str(site), environ.get("PYTHONPATH")]))
    return Paces(folder, open_terminal, {"PYTHONPATH": path})


def lines_of(terminal: Terminal) -> list[str]:
    return terminal.text.split("\n")


def said(terminal: Terminal) -> list[str]:
    """Return the transcript without its times."""
    return [line[10:] if line[2:3] == ":" and line[5:6] == ":" else line for line in lines_of(terminal)]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_reply_is_drawn_as_it_comes_and_then_stands_in_the_transcript(paces: Paces, columns: int) -> None:
    terminal = paces.open("It opens at ten|, and closes at six.", columns=columns)
    terminal.say("when does it open?")
    terminal.until(lambda: "agent  It opens at ten▌" in terminal.text)
    assert terminal.bar.startswith("speaking")
    assert terminal.screen[-2].startswith(">")
    paces.go(1)
    terminal.until(lambda: terminal.bar.startswith("listening"))
    transcript = said(terminal)
    assert "you    when does it open?" in transcript
    assert any(line.startswith("agent  It opens at ten, and closes at six.") for line in transcript)
    assert "▌" not in terminal.text
    assert max(map(len, terminal.screen)) <= columns


@pytest.mark.parametrize(
    "columns, there, gone", [(120, ["1 turn", " of 0.50"], []), (80, ["1 turn", " of 0.50"], ["p50"]), (79, [], ["$"])]
)
def test_what_the_bar_has_room_for(paces: Paces, columns: int, there: list[str], gone: list[str]) -> None:
    terminal = paces.open("yes", columns=columns)
    terminal.say("really?")
    terminal.until(lambda: "1 turn" in terminal.bar)
    for part in there:
        assert part in terminal.bar
    for part in gone:
        assert part not in terminal.bar


def test_percentiles_from_a_hundred_columns_on(paces: Paces) -> None:
    terminal = paces.open("yes", columns=100)
    terminal.say("really?")
    terminal.until(lambda: "1 turn" in terminal.bar)
    terminal.say("and now?")
    terminal.until(lambda: "2 turns" in terminal.bar)
    assert "(p50 " in terminal.bar
    assert ", p95 " in terminal.bar


def test_a_narrow_bar_is_a_sign_and_the_latency(paces: Paces) -> None:
    terminal = paces.open("yes", columns=59)
    terminal.say("really?")
    terminal.until(lambda: terminal.bar.startswith("● ") and terminal.bar.endswith(" ms"))


def test_what_is_typed_meanwhile_is_kept_and_what_is_sent_waits(paces: Paces) -> None:
    terminal = paces.open("one |two")
    terminal.say("first")
    terminal.until(lambda: "one▌" in terminal.text)
    terminal.say("second")
    terminal.until(lambda: "waits: second" in terminal.text)
    terminal.type("thi")
    terminal.until(lambda: "> thi" in terminal.text)
    paces.go(1)
    terminal.until(lambda: "2 turns" in terminal.bar)
    transcript = said(terminal)
    assert transcript.index("you    first") < transcript.index("you    second")
    assert terminal.screen[-2] == "> thi"
    assert "waits" not in terminal.text


def test_escape_stops_the_reply_and_nothing_else(paces: Paces) -> None:
    terminal = paces.open("It goes on |and on")
    terminal.say("tell me")
    terminal.until(lambda: "It goes on▌" in terminal.text)
    terminal.type(ESCAPE)
    terminal.expect("It goes on ⏸ stopped")
    terminal.until(lambda: terminal.bar.startswith("listening"))
    terminal.type(ESCAPE)
    terminal.type(CTRL_D)
    assert terminal.end() == 0


def test_a_long_reply_goes_to_the_scrollback_and_nothing_is_lost_or_twice(paces: Paces) -> None:
    words = " ".join(f"w{index}" for index in range(600))
    terminal = paces.open(f"{words} |end", columns=60)
    terminal.say("tell me")
    terminal.until(lambda: "w599▌" in terminal.text)
    paces.go(1)
    terminal.until(lambda: terminal.bar.startswith("listening"))
    found = [word for word in terminal.text.split() if word[0] == "w" and word[1:].isdigit()]
    assert found == words.split()


def test_a_window_that_changes_its_size_leaves_nothing_behind(paces: Paces) -> None:
    terminal = paces.open(f"{'word ' * 30}|end", columns=120)
    terminal.say("tell me")
    terminal.until(lambda: "▌" in terminal.text)
    for columns in (80, 60, 40, 100):
        terminal.resize(columns)
        terminal.until(lambda columns=columns: max(map(len, terminal.screen)) <= columns and "▌" in terminal.text)  # type: ignore[misc]  # the loop's value
    paces.go(1)
    terminal.until(lambda: terminal.bar.startswith("listening"))
    assert terminal.text.count("agent  word") == 1
    assert terminal.text.count("word") == 30
    assert terminal.text.count("listening") == 1
    assert "speaking" not in terminal.text


def test_wide_and_combining_characters_and_long_words_stay_inside(paces: Paces) -> None:
    address = "https://example.org/" + "x" * 90
    terminal = paces.open(f"日本語のとても長い文章がここにあります {address} e\u0301te\u0301 👍 |end", columns=60)
    terminal.say("tell me")
    terminal.until(lambda: "👍" in terminal.text and "▌" in terminal.text)
    assert terminal.screen[-2].startswith(">")
    paces.go(1)
    terminal.until(lambda: terminal.bar.startswith("listening"))
    assert address in "".join(terminal.text.split())
    assert terminal.screen[-2].startswith(">")


def test_what_a_model_writes_is_never_obeyed(paces: Paces) -> None:
    terminal = paces.open("\x1b]0;owned\x07\x1b[2J\x1b[Hsafe\x9b2J \u202ebackover |\x1b[31mred")
    terminal.say("tell me")
    terminal.until(lambda: "safe backover▌" in terminal.text)
    paces.go(1)
    terminal.until(lambda: terminal.bar.startswith("listening"))
    assert "you    tell me" in "\n".join(said(terminal))
    assert "owned" not in terminal.raw
    assert "\u202e" not in terminal.raw


def test_a_failure_is_a_row_and_the_conversation_goes_on(paces: Paces) -> None:
    terminal = paces.open("yes")
    terminal.say("fail")
    terminal.expect("error  I will not")
    terminal.say("really?")
    terminal.expect("agent  yes")


def test_no_colour_at_all_has_no_bar_and_no_escape(paces: Paces) -> None:
    terminal = paces._opens(variables={**paces._variables, "NO_COLOR": "1"})
    (paces.folder / "words").write_text("yes")
    terminal.expect("> ")
    terminal.say("really?")
    terminal.expect("agent  yes")
    terminal.type(CTRL_D)
    assert terminal.end() == 0
    assert "│" not in terminal.text
    assert ESCAPE not in terminal.raw


def test_ascii_only_where_it_is_asked_for(paces: Paces) -> None:
    terminal = paces.open("one |two", AGENTKIT_ASCII="1", columns=120)
    terminal.say("first")
    terminal.until(lambda: "one_" in terminal.text)
    paces.go(1)
    terminal.until(lambda: "| 1 turn |" in terminal.bar)
    terminal.type(CTRL_D)
    assert terminal.end() == 0
    assert terminal.raw.isascii()


# Leaving


@pytest.mark.parametrize("way", ["ctrl-d", "quit", "ctrl-c", "sigterm", "third", "hangup"])
def test_the_terminal_is_as_it_was_however_it_ends(paces: Paces, way: str) -> None:
    terminal = paces.open("on |and on")
    terminal.say("tell me")
    terminal.until(lambda: "on▌" in terminal.text)
    match way:
        case "ctrl-d":
            terminal.type(CTRL_D)
        case "quit":
            terminal.say("/quit")
        case "ctrl-c":
            terminal.type(CTRL_C)
            terminal.expect("stopped")
            terminal.type(CTRL_C)
        case "third":
            terminal.type(CTRL_C * 3)
        case _:
            terminal.process.send_signal(signal.SIGTERM if way == "sigterm" else signal.SIGHUP)
    code = {"ctrl-d": 0, "quit": 0, "ctrl-c": 130, "third": 130}.get(way, 143)
    assert terminal.end() == code
    assert "speaking" not in terminal.text
    assert "listening" not in terminal.text


def test_it_sleeps_and_wakes_up_again(paces: Paces) -> None:
    terminal = paces.open("yes")
    terminal.type("half")
    terminal.until(lambda: "> half" in terminal.text)
    terminal.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, terminal.process.pid, os.WSTOPPED | os.WNOWAIT)
    terminal.cook()
    terminal.process.send_signal(signal.SIGCONT)
    terminal.until(lambda: terminal.raw_mode)
    terminal.say(" done?")
    terminal.expect("you    half done?")
    terminal.expect("agent  yes")
    terminal.type(CTRL_D)
    assert terminal.end() == 0
