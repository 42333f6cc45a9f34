import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.core import ParameterSource
from hypothesis import given
from hypothesis import strategies as st

from agentkit.cli.envfile import read_env_file
from agentkit.cli.exits import Problem
from agentkit.cli.flags import Command, flags_of, variables_of
from agentkit.cli.main import COMMANDS, cli
from agentkit.cli.terminal import Look, wants_color

Done = subprocess.CompletedProcess[str]


def leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for each, inner in command.commands.items():
            yield from leaves(inner, f"{name} {each}")


def all_commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli)
    yield "agentkit", cli
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        yield from leaves(command, name)


OPTIONS = [
    (name, command, param, variable)
    for name, command in all_commands()
    if not isinstance(command, click.Group) or command is cli
    for param in command.params
    if isinstance(param, click.Option)
    for variable in variables_of(param)
]


def sample(param: click.Option) -> str:
    """Return a text that an option takes."""
    kind = param.type
    if isinstance(kind, click.Choice):
        return str(next(iter(kind.choices)))
    if isinstance(kind, click.IntRange | click.FloatRange):
        return str(kind.min + 1 if kind.min is not None else 1)
    return "1"


@pytest.mark.parametrize(
    "command, param, variable",
    [each[1:] for each in OPTIONS],
    ids=[f"{name} {variable}".replace(" ", "-") for name, _, _, variable in OPTIONS],
)
def test_a_variable_sets_every_flag_of_every_command(
    monkeypatch: pytest.MonkeyPatch, command: click.Command, param: click.Option, variable: str
) -> None:
    for known in list(os.environ):
        if known.startswith("AGENTKIT_"):
            monkeypatch.delenv(known)
    context = click.Context(command)
    before, source = param.consume_value(context, {})
    assert source is not ParameterSource.ENVIRONMENT
    monkeypatch.setenv(variable, sample(param))
    if variables_of(param)[variable] in param.secondary_opts:
        assert isinstance(command, Command)  # its other name: AGENTKIT_VOICE for --text/--voice
        return
    value, source = param.consume_value(context, {})
    assert source is ParameterSource.ENVIRONMENT
    assert param.type_cast_value(context, value) != before or before is not None


def test_flags_are_found_for_every_command() -> None:
    assert {name.split()[0] for name, *_ in OPTIONS} == {"agentkit", *COMMANDS}
    assert "AGENTKIT_LOG_LEVEL" in [variable for name, _, _, variable in OPTIONS if name == "check"]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, object]]:
    """Run a command of flags of several kinds, and return what it got."""
    got: dict[str, object] = {}

    @click.command("made", cls=Command)
    @click.option("--text/--voice", "spoken", default=None)
    @click.option("--set", "overrides", multiple=True)
    @click.option("--plugins", "own")
    @click.pass_context
    def command(context: click.Context, /, **values: object) -> None:
        got.update(values, verbosity=flags_of(context).verbosity, color=flags_of(context).color)

    def runs(*arguments: str, **variables: str) -> dict[str, object]:
        got.clear()
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        command.main(list(arguments), standalone_mode=False)
        return dict(got)

    return runs


def test_both_names_of_a_flag_have_a_variable(made: Callable[..., dict[str, object]]) -> None:
    assert made()["spoken"] is None
    assert made("--voice")["spoken"] is False
    assert made(AGENTKIT_VOICE="1")["spoken"] is False
    assert made("--text", AGENTKIT_VOICE="1")["spoken"] is True
    assert made(AGENTKIT_VOICE="", AGENTKIT_TEXT="1")["spoken"] is True


def test_a_flag_that_may_be_repeated_takes_a_value_a_line(made: Callable[..., dict[str, object]]) -> None:
    found = made(AGENTKIT_SET="agent.name=two words\nlimits.turns=3")
    assert found["overrides"] == ("agent.name=two words", "limits.turns=3")


def test_the_command_line_wins_over_variables(made: Callable[..., dict[str, object]]) -> None:
    assert made(AGENTKIT_VERBOSE="2")["verbosity"] == 2
    assert made("-q", AGENTKIT_VERBOSE="2")["verbosity"] == -1
    assert made("-qq", "-v")["verbosity"] == -1
    assert made(AGENTKIT_COLOR="always")["color"] == "always"
    assert made("--color", "never", AGENTKIT_COLOR="always")["color"] == "never"


def test_a_command_s_own_flag_comes_before_a_global_one(made: Callable[..., dict[str, object]]) -> None:
    assert made("--plugins", "all")["own"] == "all"


def test_a_wrong_variable_is_one_line_that_names_it(run: Callable[..., Done]) -> None:
    done = run("check", env={"AGENTKIT_LOG_LEVEL": "loud"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: invalid value for AGENTKIT_LOG_LEVEL: 'loud' is not one of")


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    "flags, said",
    [
        (["--version"], "agentkit "),
        (["-q"], ""),
        (["--color", "always"], "agent.yaml: valid"),
        (["--log-level", "none", "--no-input", "--plugins", "none"], "agent.yaml: valid"),
        (["-h"], "Usage: "),
    ],
    ids=["version", "quiet", "color", "several", "help"],
)
def test_global_flags_work_on_both_sides_of_the_verb(
    run: Callable[..., Done], flags: list[str], said: str, before: bool
) -> None:
    done = run(*flags, "check") if before else run("check", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(said)
    assert said or not done.stdout


@pytest.mark.parametrize(
    "choice, variables, expected",
    [
        ("always", {"NO_COLOR": "1", "TERM": "dumb"}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ("auto", {"NO_COLOR": "", "FORCE_COLOR": "1"}, True),
        ("auto", {"FORCE_COLOR": "1", "TERM": "dumb"}, True),
        ("auto", {"TERM": "xterm"}, False),
        ("auto", {}, False),
    ],
)
def test_colour_goes_by_flag_then_variables_then_terminal(
    choice: str, variables: dict[str, str], expected: bool
) -> None:
    assert choice in ("auto", "always", "never")
    assert wants_color(choice, io.StringIO(), variables) is expected  # type: ignore[arg-type]  # as asserted


def test_nothing_is_wrapped_in_a_pipe() -> None:
    assert Look(io.StringIO(), environ={}).wrapped("word " * 100) == ["word " * 100]


# Files of variables


def test_an_env_file_sets_what_is_not_set(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text("agent: {name: '${WHO}', instructions: x}\nprovider: {use: local}\n")
    (folder / "keys.env").write_text("# mine\nexport WHO='me # and you'\n")
    assert run("check").returncode == 1
    for words in (("check", "--env-file", "keys.env"), ("--env-file", "keys.env", "check")):
        assert run(*words).returncode == 0
    assert run("check", env={"AGENTKIT_ENV_FILE": "keys.env"}).returncode == 0
    assert run("check", "--env-file", "keys.env", env={"WHO": ""}).returncode == 1  # it is set


def test_no_env_file_is_read_unasked(run: Callable[..., Done], folder: Path) -> None:
    (folder / ".env").write_text("AGENTKIT_QUIET=1\n")
    assert run("check").stdout != ""


@pytest.mark.parametrize("words", [("--env-file", "a.env", "check"), ("check", "--env-file", "a.env")])
def test_an_env_file_sets_flags_too(run: Callable[..., Done], folder: Path, words: tuple[str, ...]) -> None:
    (folder / "a.env").write_text("AGENTKIT_FORMAT=json\nAGENTKIT_QUIET=1\n")
    assert run(*words).stdout == '{"v":1,"diagnostics":[]}\n'
    assert run("-v", *words).returncode == 0


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "the file of variables x.env cannot be read: No such file or directory"),
        (b"A=1\nnot this\n", "x.env:2: this is not NAME=value"),
        (b"A='open\n", "x.env:1: this is not NAME=value"),
        (b"1A=x\n", "x.env:1: this is not NAME=value"),
        (b"A=\xff\n", "the file of variables x.env is not UTF-8 (byte 2)"),
    ],
    ids=["missing", "line", "quote", "name", "bytes"],
)
def test_an_env_file_that_cannot_be_used_is_one_line(
    run: Callable[..., Done], folder: Path, text: bytes | None, message: str
) -> None:
    if text is not None:
        (folder / "x.env").write_bytes(text)
    done = run("check", "--env-file", "x.env")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == f"error: {message}"


@pytest.mark.parametrize(
    "line, value",
    [
        ("A=b", "b"),
        (" A = b # more ", "b"),
        ("A=b#c", "b#c"),
        ("A=", ""),
        ("A=#", ""),
        ("A='x # y' # z", "x # y"),
        (r'A="a\nb \"q\" \\"', 'a\nb "q" \\'),
        ("export A=$B", "$B"),
        ("\ufeffA=1", "1"),
    ],
)
def test_the_forms_of_a_line(tmp_path: Path, line: str, value: str) -> None:
    path = tmp_path / "x.env"
    path.write_text(line + "\n", encoding="utf-8")
    assert read_env_file(str(path)) == {"A": value}


@given(text=st.text(max_size=40))
def test_a_file_of_anything_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("env") / "x.env"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    found: dict[str, str] | Problem
    try:
        found = read_env_file(str(path))
    except Problem as problem:
        found = problem
    said = [str(found)] if isinstance(found, Problem) else [*found.values()]
    assert all("\0" not in each for each in said)


def test_the_variables_of_a_run_end_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agentkit.pytest_plugin import run_cli

    (tmp_path / "a.env").write_text("ONLY_HERE=1\n")
    monkeypatch.chdir(tmp_path)
    assert run_cli("--env-file", "a.env", "completion", "bash").code == 0
    assert "ONLY_HERE" not in os.environ
