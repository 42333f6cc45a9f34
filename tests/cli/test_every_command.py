"""What holds for every command: it ends in good order whatever its streams, its terminal and its folders are."""

import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from agentkit.cli.main import COMMANDS
from tests.cli.terminals import Terminal

Done = subprocess.CompletedProcess[str]

USUAL: dict[str, tuple[str, ...]] = {
    "run": ("run", "-p", "add 2 and 3"),
    "call": ("call", "add", "a=2"),
    "new": ("new", "agent", "made", "--yes"),
    "emulate": ("emulate", "--port", "0"),
    "completion": ("completion", "bash"),
    "doctor": ("doctor", "--offline"),
    "sessions": ("sessions", "path"),
}
"""A usual call of each command that needs words; the others are called with none."""
WITHOUT_END = frozenset({"emulate"})
"""Serves until it is told to end."""
CODES = {"devices": 4}
"""What a usual call ends with, where that is not 0."""
ENDING = [name for name in COMMANDS if name not in WITHOUT_END]


def words(name: str) -> tuple[str, ...]:
    return USUAL.get(name, (name,))


Shell = Callable[..., Done]
HELP = shlex.join([sys.executable, "-m", "agentkit"])


@pytest.fixture
def shell(folder: Path, environ: dict[str, str]) -> Shell:
    """Run a line of the shell in the folder; ``$IT`` is the command."""

    def runs(line: str, name: str, variables: Mapping[str, str] | None = None) -> Done:
        it = shlex.join([sys.executable, "-m", "agentkit", *words(name)])
        return subprocess.run(
            ["bash", "-c", line.replace("$IT", it)],
            cwd=folder,
            env={**environ, **(variables or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=15,
        )

    return runs


def in_order(done: Done) -> None:
    assert "Traceback" not in done.stdout + done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("name", ENDING)
def test_its_usual_call_says_nothing_wrong(shell: Shell, name: str) -> None:
    done = shell("$IT", name)
    in_order(done)
    assert done.returncode == CODES.get(name, 0), done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ENDING)
def test_a_closed_stdout_is_no_fault(shell: Shell, name: str) -> None:
    done = shell("$IT >&-", name)
    in_order(done)
    assert done.returncode in (0, 1, CODES.get(name, 0)), done.stderr


@pytest.mark.parametrize("name", ENDING)
def test_everything_closed_is_no_fault(shell: Shell, name: str) -> None:
    assert shell("$IT <&- >&- 2>&-", name).returncode in (0, 1, CODES.get(name, 0))


@pytest.mark.parametrize("name", ENDING)
def test_a_closed_stdin_is_no_fault(shell: Shell, name: str) -> None:
    done = shell("$IT <&-", name)
    in_order(done)
    assert done.returncode == CODES.get(name, 0), done.stderr


@pytest.mark.parametrize("name", ENDING)
def test_a_reader_that_goes_away_is_quiet(shell: Shell, name: str) -> None:
    done = shell("set -o pipefail; $IT | true", name)
    in_order(done)
    assert done.returncode == CODES.get(name, 0), done.stderr
    assert "roken" not in done.stderr


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_its_help_ends_in_good_order_where_nobody_reads_it(shell: Shell, name: str) -> None:
    done = shell(f"set -o pipefail; {HELP} {name} --help | true", name)
    in_order(done)
    assert (done.returncode, done.stderr) == (0, "")
    full = shell(f"{HELP} {name} --help > /dev/full", name)
    in_order(full)
    assert (full.returncode, full.stderr.count("error: ")) == (1, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("name", ENDING)
def test_a_full_disk_is_one_line(shell: Shell, name: str) -> None:
    done = shell("$IT > /dev/full", name)
    in_order(done)
    if name not in CODES:
        assert done.returncode == 1
        assert done.stderr.count("error: ") <= 1


@pytest.mark.parametrize("name", ENDING)
@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=["dumb", "no-color"])
def test_a_terminal_without_colours_gets_no_escapes(
    folder: Path, environ: dict[str, str], name: str, variables: dict[str, str]
) -> None:
    terminal = Terminal(folder, {**environ, **variables}, *words(name), columns=60)
    try:
        shown = all_of(terminal)
        assert terminal.end() == CODES.get(name, 0)
        assert shown
        assert "\x1b" not in shown
    finally:
        terminal.close()


def all_of(terminal: Terminal) -> str:
    """Read all that a program writes to its terminal, to its end."""
    read = b""
    while True:
        ready, _, _ = select.select([terminal.master], [], [], 0.05)
        if ready:
            read += os.read(terminal.master, 1 << 16)
        elif terminal.process.poll() is not None:
            return read.decode()


@pytest.mark.parametrize("name", ENDING)
@pytest.mark.parametrize("home", ["/proc/none", None], ids=["unwritable", "unset"])
def test_no_home_is_no_fault(shell: Shell, name: str, home: str | None) -> None:
    line = "unset HOME XDG_CACHE_HOME; $IT" if home is None else "$IT"
    variables = {} if home is None else {"HOME": home, "XDG_CACHE_HOME": "", "XDG_STATE_HOME": ""}
    done = shell(line, name, variables)
    in_order(done)
    assert done.returncode == CODES.get(name, 0), done.stderr


@pytest.mark.parametrize("name", ENDING)
def test_a_locale_without_unicode_is_no_fault(shell: Shell, name: str) -> None:
    done = shell("$IT", name, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    in_order(done)
    assert done.returncode == CODES.get(name, 0), done.stderr


@pytest.mark.parametrize(
    "name, module",
    [*((name, f"agentkit.cli.{name}") for name in COMMANDS), ("run", "click"), ("run", "agentkit.cli.main")],
)
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_at_once_ends_it(
    folder: Path, environ: dict[str, str], name: str, module: str, number: signal.Signals, code: int
) -> None:
    """The signal comes while the program's own code is being imported."""
    (folder / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == '{module}' and not hasattr(sys, 'sent'):\n"
        "            sys.sent = True\n"
        f"            os.kill(os.getpid(), {int(number)})\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "agentkit", *words(name)],
        cwd=folder,
        env={**environ, "PYTHONPATH": os.pathsep.join([str(folder), environ.get("PYTHONPATH", "")])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )
    in_order(done)
    assert done.returncode in (code, -int(number))
    assert done.stdout == ""


def test_every_command_has_a_module_and_a_line_of_help() -> None:
    folder = Path(sys.modules["agentkit.cli.main"].__file__ or "").parent
    for name, said in COMMANDS.items():
        assert (folder / f"{name}.py").exists() or (folder / name / "__init__.py").exists()
        assert said.endswith(".")
