import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import agentkit
from agentkit.cli import main as entry
from agentkit.cli.exits import Exit, Problem, code_of, report
from agentkit.cli.terminal import Look
from agentkit.errors import AgentkitError, ConfigError, ConnectError, PluginError, ServerError, ToolError

Done = subprocess.CompletedProcess[str]

ALONE = [name for name in entry.COMMANDS if name not in entry.STAND_INS]
"""The commands that no plugin can take the place of."""


def test_the_version_is_printed(run: Callable[..., Done]) -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"agentkit {agentkit.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_lists_every_command_and_exit_code(run: Callable[..., Done], arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in entry.COMMANDS)
    assert all(f"  {code}" in done.stdout for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "70", "130, 143"))
    assert "AGENTKIT_<FLAG>" in done.stdout


@pytest.mark.parametrize("name", list(entry.COMMANDS))
def test_every_command_has_help(run: Callable[..., Done], name: str) -> None:
    done = run(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: agentkit {name}" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([name, "--help"] for name in ALONE), ["check", "--version"]]
)
def test_help_imports_no_engine_and_no_plugin(environ: dict[str, str], arguments: list[str]) -> None:
    engine = ["agentkit.session", "agentkit.protocol", "agentkit.events", "agentkit.plugins", "agentkit.config"]
    heavy = [*engine, "anyio", "numpy", "prompt_toolkit", "rich", "websockets", "yaml"]
    code = (
        "import sys; from agentkit.cli.main import main; main(sys.argv[1:]);"
        f"print('LOADED', [name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environ, capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[-1] == "LOADED []"


@pytest.mark.parametrize(
    "verb, near",
    [("chekc", "check"), ("validate", "check"), ("plugin", "plugins"), ("docter", "doctor"), ("help", "--help")],
)
def test_an_unknown_verb_gets_the_nearest(run: Callable[..., Done], verb: str, near: str) -> None:
    done = run(verb)
    assert (done.returncode, done.stdout) == (2, "")
    assert f'did you mean "{near}"?' in done.stderr


def test_an_unknown_verb_far_from_all_gets_the_list(run: Callable[..., Done]) -> None:
    assert "the commands are run, check" in run("xyzzy").stderr


def test_a_command_of_a_package_that_is_not_installed_says_which(run: Callable[..., Done]) -> None:
    done = run("serve")
    assert done.returncode == 2
    assert done.stderr == 'error: there is no command "serve"\n  pip install agentkit-realtime-serve\n'


def test_an_unknown_option_gets_the_nearest(run: Callable[..., Done]) -> None:
    done = run("run", "--jsno")
    assert done.returncode == 2
    assert done.stderr == "error: there is no option --jsno\n  did you mean --json?\n"


def test_a_wrong_value_of_an_option_is_one_line(run: Callable[..., Done]) -> None:
    done = run("run", "--max-turns", "0")
    assert done.returncode == 2
    assert done.stderr.startswith("error: invalid value for '--max-turns'")
    assert "Traceback" not in done.stderr


def test_flags_work_before_and_after_the_verb(run: Callable[..., Done]) -> None:
    assert run("-q", "check").stdout == run("check", "-q").stdout == ""


def test_a_variable_sets_a_flag(run: Callable[..., Done]) -> None:
    assert run("check", env={"AGENTKIT_FORMAT": "json"}).stdout == '{"v":1,"diagnostics":[]}\n'
    assert run("check", env={"AGENTKIT_QUIET": "1"}).stdout == ""


def test_a_log_file_that_cannot_be_written_is_said(run: Callable[..., Done]) -> None:
    done = run("check", "--log-file", "agent.yaml/x.log")
    assert done.returncode == 2
    assert "the log file agent.yaml/x.log cannot be written" in done.stderr


def test_logs_go_to_the_file(run: Callable[..., Done], folder: Path) -> None:
    done = run("run", "-p", "shout loudly", "--log-file", "logs/run.log", "-v")
    assert done.returncode == 0
    assert "INFO     agentkit.shout: logged by the tool" in (folder / "logs" / "run.log").read_text()
    assert "logged" not in done.stderr


def test_logs_go_to_stderr_where_they_are_asked_for(run: Callable[..., Done]) -> None:
    assert "logged" not in run("run", "-p", "shout loudly").stderr
    assert "INFO agentkit.shout: logged by the tool\n" in run("run", "-p", "shout loudly", "-v").stderr
    assert "logged" not in run("run", "-p", "shout loudly", "--log-level", "error").stderr


@pytest.mark.parametrize(
    "error, code",
    [
        (ConfigError("x"), 2),
        (PluginError("x"), 2),
        (ConnectError("x"), 3),
        (ServerError("x"), 3),
        (ToolError("x"), 1),
        (AgentkitError("x"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: AgentkitError, code: int) -> None:
    assert code_of(error) == code


@pytest.mark.parametrize(
    "error, code",
    [
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (BrokenPipeError(), 0),
        (Problem("x", code=Exit.LIMIT), 5),
        (ExceptionGroup("several", [ExceptionGroup("inner", [ConnectError("x")])]), 3),
    ],
)
def test_each_end_has_its_exit_code(error: BaseException, code: int) -> None:
    stream = io.StringIO()
    assert report(error, Look(stream), stream=stream) == code
    assert "Traceback" not in stream.getvalue()


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_error_that_cannot_be_told_keeps_its_code() -> None:
    assert report(ConnectError("x", hint="y"), Look(Full()), stream=Full()) == 3
    assert report(Problem("x"), Look(Full()), stream=Full()) == 2


def test_a_full_disk_is_no_fault_of_ours() -> None:
    stream = io.StringIO()
    assert report(OSError(errno.ENOSPC, "No space left on device"), Look(stream), stream=stream) == 1
    assert stream.getvalue() == "error: what was written has no room: No space left on device\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_log_file_on_a_full_disk_is_said_once(run: Callable[..., Done]) -> None:
    done = run("run", "-p", "shout loudly", "-vv", "--log-file", "/dev/full")
    assert (done.returncode, done.stdout) == (0, "shouted\n")
    assert done.stderr.count("warning: the log file /dev/full misses records: No space left on device") == 1
    assert "Traceback" not in done.stderr


def test_an_error_shows_its_hint_below() -> None:
    stream = io.StringIO()
    error = ConnectError("no connection", hint="plug it in")
    report(error, Look(stream), stream=stream)
    assert stream.getvalue() == "error: no connection\n  plug it in\n"


def test_an_error_cannot_send_terminal_codes() -> None:
    stream = io.StringIO()
    report(ServerError("\x1b[2Jgone"), Look(stream), stream=stream)
    assert stream.getvalue() == "error: gone\n"


def test_a_fault_of_ours_is_kept_in_a_report_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("OPENAI_API_KEY", "a-secret-value-of-mine")
    stream = io.StringIO()
    with pytest.raises(KeyError) as caught:
        raise KeyError("a-secret-value-of-mine")
    assert report(caught.value, Look(stream), stream=stream) == 70
    (kept,) = tmp_path.glob("agentkit-report-*.txt")
    assert str(kept) in stream.getvalue()
    assert "Traceback" not in stream.getvalue()
    assert "Traceback" in kept.read_text()
    assert "a-secret-value-of-mine" not in kept.read_text()
    if os.name == "posix":
        assert kept.stat().st_mode & 0o077 == 0


def test_very_verbose_shows_the_traceback_of_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stream = io.StringIO()
    report(KeyError("x"), Look(stream), stream=stream, verbose=True)
    assert "KeyError" in stream.getvalue().splitlines()[-1]


PLUGIN = """
from agentkit import LazyCommand, hookimpl

@hookimpl
def register_commands():
    return [LazyCommand("tides", "Print the tide table.", "tide_plugin.cli:tides"), LazyCommand("gone", "Gone.", "x:y")]
"""
COMMAND = """
import logging

import click

@click.command()
@click.argument("port")
@click.option("--metres/--feet")
def tides(port, metres):
    logging.getLogger("agentkit.tides").info("the moon is up")
    click.echo(f"high water in {port}, {1.5 if metres else 5}")
"""


@pytest.fixture
def tides(tmp_path: Path, environ: dict[str, str]) -> dict[str, str]:
    """Variables under which a plugin with commands is installed."""
    site = tmp_path / "site"
    (site / "tide_plugin").mkdir(parents=True)
    (site / "tide_plugin" / "__init__.py").write_text(PLUGIN)
    (site / "tide_plugin" / "cli.py").write_text(COMMAND)
    info = site / "tide_plugin-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tide-plugin\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[agentkit]\ntides = tide_plugin\n")
    (info / "RECORD").write_text("")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(site), environ.get("PYTHONPATH")]))}


def test_a_command_of_a_plugin_runs(run: Callable[..., Done], tides: dict[str, str]) -> None:
    done = run("tides", "Turin", env=tides)
    assert (done.returncode, done.stdout) == (0, "high water in Turin, 5\n")


def test_a_command_of_a_plugin_has_the_global_flags(run: Callable[..., Done], tides: dict[str, str]) -> None:
    for words in (("-v", "tides", "Turin"), ("tides", "Turin", "-v")):
        done = run(*words, env={**tides, "AGENTKIT_METRES": "1"})
        assert (done.returncode, done.stdout) == (0, "high water in Turin, 1.5\n")
        assert "INFO agentkit.tides: the moon is up" in done.stderr
    assert run("tides", "--version", env=tides).stdout.startswith("agentkit ")
    wrong = run("tides", "Turin", "--color", "blue", env=tides)
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_a_command_of_a_plugin_is_listed_once_the_index_knows_it(
    run: Callable[..., Done], tides: dict[str, str]
) -> None:
    assert "tides" not in run("--help", env=tides).stdout
    run("plugins", env=tides)
    listed = run("--help", env=tides).stdout
    assert "Commands of plugins" in listed
    assert "Print the tide table. (tide-plugin)" in listed
    assert "tides" not in run("--plugins", "none", "--help", env=tides).stdout


def test_a_command_that_cannot_be_imported_is_one_line(run: Callable[..., Done], tides: dict[str, str]) -> None:
    done = run("gone", env=tides)
    assert done.returncode == 1
    assert "the command gone of plugin tides (tide-plugin 1.2) cannot be loaded: ModuleNotFoundError" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_verb_near_a_plugins_command_gets_it(run: Callable[..., Done], tides: dict[str, str]) -> None:
    assert 'did you mean "tides"?' in run("tide", env=tides).stderr
