"""``agentkit new``: what it writes, what it refuses, what it says. What it writes is run in tests/third_party."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agentkit.cli import new
from agentkit.cli.main import COMMANDS
from agentkit.pytest_plugin import Ran, run_cli

LONGEST = "agentkit-" + "north-" * 5 + "n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(COMMANDS, "new", "Write the beginning of a package.")


def plugin(*words: str) -> Ran:
    return run_cli("new", "plugin", *words)


def files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def test_a_tool_is_written_into_a_folder_of_its_name() -> None:
    done = plugin("agentkit-tides")
    assert (done.code, done.err) == (0, "")
    assert files("agentkit-tides") == [
        "README.md",
        "agent.yaml",
        "agentkit_tides/__init__.py",
        "agentkit_tides/py.typed",
        "pyproject.toml",
        "tests/test_tides.py",
    ]


def test_the_tree_and_the_next_commands_are_shown() -> None:
    lines = plugin("agentkit-tides").out.splitlines()
    assert lines[0] == "agentkit-tides/"
    assert "  agentkit_tides/__init__.py  what the plugin brings, and its hook" in lines
    assert "  tests/test_tides.py         5 tests that pass" in lines
    assert lines[-4:] == [
        "next:",
        "  cd agentkit-tides && pip install -e '.[dev]'",
        "  pytest",
        "  agentkit run agent.yaml",
    ]


def test_a_command_is_tried_by_its_verb() -> None:
    assert plugin("agentkit-tides", "--kind", "command").out.splitlines()[-1] == "  agentkit tides"


def test_quietly_only_the_folder_is_named() -> None:
    assert plugin("-q", "agentkit-tides").out == "agentkit-tides\n"


def test_another_folder_can_be_named_and_is_quoted_where_it_has_to_be() -> None:
    done = plugin("agentkit-tides", "my plugins/tides")
    assert "README.md" in files("my plugins/tides")
    assert "  cd 'my plugins/tides' && pip install -e '.[dev]'" in done.out.splitlines()


@pytest.mark.parametrize(
    "name, distribution, module, entry",
    [
        ("agentkit-tides", "agentkit-tides", "agentkit_tides", "tides"),
        ("agentkit-realtime-tides", "agentkit-realtime-tides", "agentkit_tides", "tides"),
        ("tides", "tides", "agentkit_tides", "tides"),
        ("agentkit-sea-state", "agentkit-sea-state", "agentkit_sea_state", "sea-state"),
    ],
)
def test_the_names_come_of_the_distributions(name: str, distribution: str, module: str, entry: str) -> None:
    plugin(name)
    project = Path(name, "pyproject.toml").read_text()
    assert f'\nname = "{distribution}"\n' in project
    assert f'[project.entry-points.agentkit]\n{entry} = "{module}"\n' in project
    assert f"{module}/__init__.py" in files(name)


@pytest.mark.parametrize(
    "name", ["Tides", "my_tides", "1tides", "-tides", "tides-", "a--b", "../tides", "a b", "x" * 41]
)
def test_a_bad_name_is_refused(name: str) -> None:
    done = plugin("--", name)
    assert done.code == 2
    assert "cannot be the name of a plugin's package" in done.err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "name, hint", [("Agentkit_Tides", "did you mean agentkit-tides?"), ("-tides", "agentkit-tides is one")]
)
def test_a_bad_name_is_answered_with_a_good_one(name: str, hint: str) -> None:
    assert hint in plugin("--", name).err


@pytest.mark.parametrize("name", ["agentkit", "agentkit-realtime", "agentkit-agentkit", "agentkit-1st"])
def test_a_name_of_agentkits_own_is_refused(name: str) -> None:
    assert plugin(name).code == 2
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "kind, name",
    [("provider", "openai"), ("responder", "rules"), ("preset", "voice"), ("middleware", "logger"), ("command", "run")],
)
def test_a_name_that_agentkit_has_itself_is_refused_with_another(kind: str, name: str) -> None:
    done = plugin(f"agentkit-{name}", "--kind", kind)
    assert done.code == 2
    assert f"agentkit has a {kind} called {name} itself" in done.err
    assert f"my-{name}" in done.err


def test_a_package_that_is_installed_is_not_written_again() -> None:
    done = plugin("agentkit-basics")
    assert done.code == 2
    assert "there is a package agentkit_basics already" in done.err


def test_without_a_name_the_way_is_shown() -> None:
    done = plugin()
    assert done.code == 2
    assert "agentkit new plugin agentkit-tides --kind tool" in done.err


def test_a_folder_that_is_not_empty_is_left_alone() -> None:
    Path("tides").mkdir()
    Path("tides", "notes.txt").write_text("mine")
    done = plugin("tides")
    assert done.code == 2
    assert "tides is not empty" in done.err
    assert "--force" in done.err
    assert files("tides") == ["notes.txt"]


def test_an_empty_folder_is_fine() -> None:
    Path("tides").mkdir()
    assert plugin("tides").code == 0


def test_by_force_files_are_replaced_and_others_stay() -> None:
    plugin("tides")
    Path("tides", "notes.txt").write_text("mine")
    Path("tides", "agent.yaml").write_text("old")
    done = plugin("tides", "--force", "--yes")
    assert done.code == 0
    assert Path("tides", "notes.txt").read_text() == "mine"
    assert "use: tides" in Path("tides", "agent.yaml").read_text()


def test_a_file_is_no_folder() -> None:
    Path("tides").write_text("")
    done = plugin("tides")
    assert done.code == 2
    assert "tides is a file" in done.err


def test_a_folder_that_cannot_be_written_is_said_in_one_line() -> None:
    Path("file").write_text("")
    done = plugin("tides", "file/tides")
    assert done.code == 2
    assert "file is a file, so file/tides cannot be made" in done.err
    assert "Traceback" not in done.err


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    done = plugin("tides", "--kind", "gadget")
    assert done.code == 2
    assert all(kind in done.err for kind in new.KINDS)


def test_the_kinds_are_listed() -> None:
    lines = plugin("--list").out.splitlines()
    assert [line.split()[0] for line in lines] == list(new.KINDS)


def test_alone_it_shows_its_help() -> None:
    done = run_cli("new")
    assert done.code == 0
    assert "Write a plugin's package, with tests that pass." in done.out


@pytest.mark.parametrize("kind", new.KINDS)
def test_a_module_is_small_and_has_five_tests(kind: str) -> None:
    plugin("tides", "--kind", kind)
    source = Path("tides/agentkit_tides/__init__.py").read_text()
    hook = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.decorator_list)
    assert hook.end_lineno is not None
    assert len([line for line in source.splitlines()[: hook.lineno - 2] if line]) <= 25
    assert len(re.findall(r"def test_", Path("tides/tests/test_tides.py").read_text())) == 5


@pytest.mark.parametrize("kind", new.KINDS)
@pytest.mark.parametrize("name", ["agentkit-a", LONGEST])
def test_names_of_any_length_leave_the_code_formatted(kind: str, name: str) -> None:
    plugin(name, "--kind", kind)
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", "."],
            cwd=name,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", new.KINDS)
def test_no_template_is_left_unfilled(kind: str) -> None:
    plugin("tides", "--kind", kind)
    texts = [Path("tides", path).read_text(encoding="utf-8") for path in files("tides")]
    assert [text for text in texts if re.search(r"\$[a-z{]|MODULE|NAME\b", text)] == []
