import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkit.cli.main import COMMANDS

Done = subprocess.CompletedProcess[str]
Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(run: Callable[..., Done]) -> Complete:
    """Return what may follow a line; the last word of it is what is being typed."""

    def completes(line: str) -> list[str]:
        count = len(line.split()) - (not line.endswith(" "))
        variables = {"_AGENTKIT_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(count)}
        done = run(env=variables)
        assert (done.returncode, done.stderr) == (0, "")
        return [row.partition(",")[2] or row.rstrip(",") for row in done.stdout.splitlines() if row]

    return completes


def test_verbs_complete(complete: Complete) -> None:
    assert complete("agentkit ") == list(COMMANDS)
    assert complete("agentkit ch") == ["check"]
    assert complete("agentkit -q c") == ["check", "call", "completion"]


def test_flags_and_choices_complete(complete: Complete) -> None:
    assert complete("agentkit --co") == ["--color"]
    assert "--strict" in complete("agentkit check --")
    assert complete("agentkit check --color a") == ["auto", "always"]
    assert complete("agentkit completion ") == ["bash", "zsh", "fish"]
    assert complete("agentkit --log-level=de") == ["debug"]


def test_configurations_and_files_are_left_to_the_shell(complete: Complete) -> None:
    assert complete("agentkit run ") == ["yaml"]
    assert complete("agentkit call now --config ") == ["yaml"]
    assert complete("agentkit check --log-file ") == ["file"]


def test_names_of_plugins_complete_from_the_index(complete: Complete, run: Callable[..., Done]) -> None:
    assert complete("agentkit call no") == []
    run("plugins")
    assert complete("agentkit call no") == ["now"]
    assert complete("agentkit run --preset v") == ["voice"]
    assert complete("agentkit emulate --responder r") == ["rules"]
    assert complete("agentkit plugins ba") == ["basics"]
    assert complete("agentkit --plugins basics,gu") == ["basics,guard"]


def test_the_user_s_own_tools_complete_without_being_imported(complete: Complete, folder: Path) -> None:
    (folder / "tools.py").write_text("raise SystemExit\n")
    assert complete("agentkit call sh") == ["shout"]
    (folder / "agent.yaml").unlink()
    assert complete("agentkit call sh") == []


def test_kept_conversations_complete(complete: Complete, run: Callable[..., Done]) -> None:
    assert complete("agentkit sessions show ") == ["last"]
    assert run("run", "-p", "add 2 and 3").returncode == 0
    _, kept = complete("agentkit sessions show ")
    assert complete(f"agentkit run --resume {kept[:4]}") == [kept]
    assert run("sessions", "show", kept).returncode == 0


def test_codes_complete(complete: Complete) -> None:
    assert complete("agentkit check --select AK10")[:2] == ["AK101", "AK102"]
    assert complete("agentkit check --select AK2,AK30")[0] == "AK2,AK301"


@pytest.mark.parametrize("line", ["agentkit ", "agentkit run --", "agentkit call ", "agentkit check --select A"])
def test_completing_imports_no_engine_and_no_plugin(environ: dict[str, str], folder: Path, line: str) -> None:
    heavy = ["anyio", "agentkit.session", "agentkit.events", "agentkit.plugins", "websockets", "numpy", "yaml", "rich"]
    code = (
        "import sys; from agentkit.cli.main import main\n"
        "try: main()\n"
        f"finally: print('LOADED', [name for name in {heavy!r} if name in sys.modules])"
    )
    variables = {"_AGENTKIT_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()))}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environ, **variables}, cwd=folder, capture_output=True, check=False
    )
    assert done.stdout.decode().splitlines()[-1] == "LOADED []"


# The scripts


@pytest.fixture
def typed(environ: dict[str, str], folder: Path, tmp_path: Path) -> Callable[[str], list[str]]:
    """Complete a line in a real bash, by the script, and return the words that it offers."""
    program = tmp_path / "bin" / "agentkit"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m agentkit "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), environ["PATH"]])

    def completes(line: str) -> list[str]:
        words = [*line.replace("=", " = ").split(), *([""] if line.endswith((" ", "=")) else [])]
        script = (
            'eval "$(agentkit completion bash)"; COMP_WORDS=(' + " ".join(f"'{word}'" for word in words) + "); "
            f"COMP_CWORD={len(words) - 1}; _agentkit_completion agentkit; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env={**environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=15,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split()

    return completes


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes(typed: Callable[[str], list[str]], folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "other.yml").write_text("")
    assert typed("agentkit ch") == ["check"]
    assert sorted(typed("agentkit run ")) == ["agent.yaml", "more", "other.yml"]
    assert typed("agentkit run ag") == ["agent.yaml"]
    assert typed("agentkit call add --config=o") == ["other.yml"]
    assert sorted(typed("agentkit check --log-file t")) == ["tools.py"]
    assert typed("agentkit check --color=n") == ["never"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_its_shell_reads(run: Callable[..., Done], shell: str, tmp_path: Path) -> None:
    script = run("completion", shell).stdout
    assert f"_AGENTKIT_COMPLETE={shell}_complete" in script
    if shutil.which(shell) is not None:
        (tmp_path / "script").write_text(script)
        assert subprocess.run([shell, "-n", tmp_path / "script"], check=False).returncode == 0


def test_an_unknown_shell_is_bad_usage(run: Callable[..., Done]) -> None:
    done = run("completion", "cmd")
    assert done.returncode == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_behind_quotes_and_empty_words(environ: dict[str, str], folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "agentkit"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m agentkit "$@"\n')
    program.chmod(0o755)
    for before in (r"""$'"it\'s'""", "''", r"$'a\nb'"):
        script = (
            f'eval "$({program} completion bash)"; COMP_WORDS=(agentkit check --stdin-name {before} --color n); '
            f"COMP_CWORD=5; _agentkit_completion {program}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
        done = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=15
        )
        assert (done.stdout, done.stderr) == ("never\n", ""), before


def test_a_completion_without_a_line_is_bad_usage(run: Callable[..., Done]) -> None:
    done = run(env={"_AGENTKIT_COMPLETE": "bash_complete"})
    assert done.returncode == 2
    assert "there is no line to complete" in done.stderr


def test_a_pipe_for_a_configuration_does_not_hold_a_completion_up(complete: Complete, folder: Path) -> None:
    (folder / "agent.yaml").unlink()
    os.mkfifo(folder / "agent.yaml")
    assert complete("agentkit call sh") == []
