"""``agentkit check --fix``, folders, choices of codes, code that is not run; all in the process."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentkit.cli.check import command
from agentkit.cli.exits import Exit, Problem

HEAD = "agent: {instructions: Be brief.}\nprovider: {use: local}\n"
TYPO = "# kept\r\nagent: {instrutions: Be brief.}  # and this\r\nprovider: {use: local}\r\nlimits: {turns: '4'}"
MENDED = "# kept\r\nagent: {instructions: Be brief.}  # and this\r\nprovider: {use: local}\r\nlimits: {turns: 4}"
CODE = "from pathlib import Path\n\nPath('ran').touch()\n\n\ndef hours(place: str) -> str:\n    return place\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


def check(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=stdin, standalone_mode=False)


def codes(done: Result) -> list[str]:
    return [each["code"] for each in json.loads(done.stdout)["diagnostics"]]


def problem(*arguments: str) -> Problem:
    error = check(*arguments).exception
    assert isinstance(error, Problem)
    return error


def test_a_file_is_mended_and_all_else_stays_byte_for_byte(folder: Path) -> None:
    (folder / "agent.yaml").write_bytes(b"\xef\xbb\xbf" + TYPO.encode())
    (folder / "agent.yaml").chmod(0o640)
    done = check("--fix")
    assert done.return_value == Exit.DONE
    assert done.stdout.startswith("Fixed 2 problems in 1 file.\nagent.yaml: valid")
    assert (folder / "agent.yaml").read_bytes() == b"\xef\xbb\xbf" + MENDED.encode()
    assert stat.S_IMODE((folder / "agent.yaml").stat().st_mode) == 0o640
    assert os.listdir(folder) == ["agent.yaml"]


def test_what_is_left_is_told_and_fails(folder: Path) -> None:
    (folder / "agent.yaml").write_text(HEAD + "sesion: {output: voice}\n")
    done = check("--fix")
    assert done.return_value == Exit.NO
    assert done.stdout.startswith("Fixed 1 problem in 1 file.\nerror[AK104]")


def test_without_fix_the_note_says_that_there_is_one(folder: Path) -> None:
    (folder / "agent.yaml").write_text(TYPO)
    done = check()
    assert done.stdout.count("= fix available: agentkit check --fix") == 2
    assert done.stdout.endswith("Found 2 errors in 1 file (2 fixable)\n")


def test_a_mended_mistake_uncovers_the_next(folder: Path) -> None:
    (folder / "agent.yaml").write_text(HEAD + "session:\n\tturn:\n\t\tintterupt: yes\n")
    assert check("--fix").return_value == Exit.DONE
    assert (folder / "agent.yaml").read_text() == HEAD + "session:\n  turn:\n    interrupt: true\n"


def test_a_file_that_is_extended_is_mended_with_the_one_that_extends_it(folder: Path) -> None:
    (folder / "agent.yaml").write_text("extends: base.yaml\nagent: {name: x}\n")
    (folder / "base.yaml").write_text("provider: {use: local}\nsession: {voise: marin}\n")
    assert check("--fix").return_value == Exit.DONE
    assert (folder / "base.yaml").read_text() == "provider: {use: local}\nsession: {voice: marin}\n"


def test_only_chosen_codes_are_mended(folder: Path) -> None:
    (folder / "agent.yaml").write_text(TYPO)
    check("--fix", "--select", "AK102")
    assert b"instrutions" in (folder / "agent.yaml").read_bytes()
    assert b"{turns: 4}" in (folder / "agent.yaml").read_bytes()


def test_stdin_is_mended_to_stdout(folder: Path) -> None:
    done = check("-", "--fix", stdin=TYPO.encode())
    assert done.stdout_bytes == MENDED.encode()
    assert "Fixed 2 problems" in done.stderr
    assert os.listdir(folder) == []


def test_stdin_keeps_its_byte_order_mark(folder: Path) -> None:
    text = "agent: {nmae: x}\nprovider: {use: local}\n"
    done = check("-", "--fix", stdin=b"\xef\xbb\xbf" + text.encode())
    assert done.stdout_bytes == b"\xef\xbb\xbf" + text.replace("nmae", "name").encode()


def test_stdin_changes_no_file_that_it_names(folder: Path) -> None:
    (folder / "base.yaml").write_text("session: {voise: marin}\n")
    done = check("-", "--fix", "--format", "json", stdin="extends: base.yaml\n" + HEAD)
    assert done.return_value == Exit.NO
    assert (folder / "base.yaml").read_text() == "session: {voise: marin}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_to_another_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(TYPO)
    (folder / "agent.yaml").symlink_to(tmp_path / "other.yaml")
    done = check("--fix")
    assert done.return_value == Exit.NO
    assert "a link to another folder" in done.stderr
    assert (tmp_path / "other.yaml").read_text() == TYPO.replace("\r\n", "\n")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_within_the_folder_stays_a_link(folder: Path) -> None:
    (folder / "real.yaml").write_bytes(TYPO.encode())
    (folder / "agent.yaml").symlink_to("real.yaml")
    assert check("--fix").return_value == Exit.DONE
    assert (folder / "agent.yaml").is_symlink()
    assert (folder / "real.yaml").read_bytes() == MENDED.encode()


def test_a_fix_shows_no_secret(folder: Path) -> None:
    (folder / "agent.yaml").write_text(
        "agent: {}\nprovider:\n  use: openai\n  with:\n    api_key: %canary\n    model: 'it's'\n"
    )
    for form in ("full", "concise", "json", "github"):
        assert "canary" not in check("--format", form).stdout


def test_a_folder_is_searched_for_configurations(folder: Path) -> None:
    (folder / "agent.yaml").write_text(HEAD)
    (folder / "sub").mkdir()
    (folder / "sub" / "b.yml").write_text("extends: base.yaml\nagent: {nmae: x}\n")
    (folder / "sub" / "base.yaml").write_text("agent: {}\nprovider: {use: local}\nsession: {voise: x}\n")
    (folder / "sub" / "compose.yaml").write_text("version: 1\nservices: {}\n")
    for hidden in (".git", "node_modules", "venv"):
        (folder / hidden).mkdir()
        (folder / hidden / "c.yaml").write_text("agent: {nmae: x}\n")
    (folder / "venv" / "pyvenv.cfg").touch()
    done = check(".", "--format", "concise")
    assert [line.split(" ")[0] for line in done.stdout.splitlines()[:-1]] == ["sub/b.yml:2:9:", "sub/base.yaml:3:11:"]
    assert done.stdout.endswith("Found 2 errors in 2 files (2 fixable)\n")


def test_a_folder_without_a_configuration_is_bad_usage(folder: Path) -> None:
    (folder / "compose.yaml").write_text("version: 1\nservices: {}\n")
    error = problem(".")
    assert error.code == Exit.USAGE
    assert "no configuration in the folder ." in str(error)


def test_a_file_that_several_build_on_is_told_once(folder: Path) -> None:
    (folder / "base.yaml").write_text("session: {voise: x}\n")
    for name in ("a.yaml", "b.yaml"):
        (folder / name).write_text("extends: base.yaml\n" + HEAD)
    assert codes(check("a.yaml", "b.yaml", "a.yaml", "--format", "json")) == ["AK101"]


@pytest.mark.parametrize(
    "arguments, shown",
    [
        (["--select", "AK101"], ["AK101"]),
        (["--select", "ak1"], ["AK101", "AK104"]),
        (["--select", "2xx", "--select", "104"], ["AK104", "AK201"]),
        (["--ignore", "AK1xx"], ["AK201"]),
        (["--ignore", "AK101,AK201"], ["AK104"]),
        (["--select", "AK1", "--ignore", "AK104"], ["AK101"]),
    ],
)
def test_codes_can_be_chosen(folder: Path, arguments: list[str], shown: list[str]) -> None:
    (folder / "agent.yaml").write_text(HEAD + "session: {voise: x, output: voice}\ntools: [{use: wether}]\n")
    done = check("--format", "json", *arguments)
    assert codes(done) == shown
    assert done.return_value == Exit.NO


def test_what_is_ignored_does_not_fail(folder: Path) -> None:
    (folder / "agent.yaml").write_text(HEAD + "session: {voise: x}\n")
    assert check("--ignore", "AK101").return_value == Exit.DONE


@pytest.mark.parametrize("code", ["AK999", "E1", "x"])
def test_a_code_that_does_not_exist_is_bad_usage(folder: Path, code: str) -> None:
    (folder / "agent.yaml").write_text(HEAD)
    assert problem("--select", code).code == Exit.USAGE


def test_a_code_is_explained() -> None:
    done = check("--explain", "ak304")
    assert done.return_value == Exit.DONE
    assert done.stdout.startswith("AK304: an unknown variable in a prompt\n\n")
    assert "    agent: {greeting: 'Hello, {{name}}'}\n" in done.stdout
    assert problem("--explain", "AK999").code == Exit.USAGE


def test_offline_parses_python_and_does_not_run_it(folder: Path) -> None:
    (folder / "tools.py").write_text(CODE)
    (folder / "agent.yaml").write_text(HEAD + "tools: [{python: './tools.py:hours'}]\n")
    done = check("--offline")
    assert done.return_value == Exit.DONE
    assert "0 tools, 0 middleware, 1 python tool not imported" in done.stdout
    assert "agent.yaml:3:18: ./tools.py:hours was only parsed" in done.stderr
    assert not (folder / "ran").exists()
    assert json.loads(check("--offline", "--format", "json").stdout)["unchecked"] == [
        {"file": "agent.yaml", "line": 3, "col": 18, "python": "./tools.py:hours"}
    ]
    assert check().return_value == Exit.DONE
    assert (folder / "ran").exists()


@pytest.mark.parametrize(
    "said, hint",
    [
        ("./tools.py:hour", "did you mean `hours`?"),
        ("./broken.py:x", "see its line 1"),
        ("./gone.py:x", None),
        ("no_such_module.at_all:x", "for a file beside this one, write ./tools.py:function"),
        ("json.no_such_part:x", "for a file beside this one, write ./tools.py:function"),
    ],
)
def test_offline_finds_what_is_not_there(folder: Path, said: str, hint: str | None) -> None:
    (folder / "tools.py").write_text(CODE)
    (folder / "broken.py").write_text("def x(:\n")
    (folder / "agent.yaml").write_text(HEAD + f"tools: [{{python: '{said}'}}]\n")
    (found,) = json.loads(check("--offline", "--format", "json").stdout)["diagnostics"]
    assert (found["code"], found["line"], found["col"]) == ("AK207", 3, 18)
    assert hint is None or found["hint"] == hint


@pytest.mark.parametrize(
    "code, name",
    [
        ("if True:\n    def x(): ...\n", "x"),
        ("from json import dumps as x\n", "x"),
        ("try:\n    import x\nexcept ImportError:\n    x = None\n", "x"),
        ("x: int = 1\n", "x"),
        ("from json import *\n", "dumps"),
        ("def __getattr__(name): ...\n", "any"),
        ("class x: ...\n", "x"),
    ],
)
def test_offline_knows_each_way_to_a_name(folder: Path, code: str, name: str) -> None:
    (folder / "tools.py").write_text(code)
    (folder / "agent.yaml").write_text(HEAD + f"tools: [{{python: './tools.py:{name}'}}]\n")
    assert codes(check("--offline", "--format", "json")) == []


def test_offline_looks_into_modules_without_importing_them(folder: Path) -> None:
    (folder / "agent.yaml").write_text(HEAD + "tools: [{python: 'json.decoder:JSONDecoder'}, {python: 'math:sin'}]\n")
    assert codes(check("--offline", "--format", "json")) == []


def test_stdin_may_not_name_code(folder: Path) -> None:
    (folder / "tools.py").write_text(CODE)
    text = HEAD + "tools: [{python: './tools.py:hours'}]\n"
    done = check("-", "--format", "json", stdin=text)
    assert (codes(done), done.return_value) == (["AK210"], Exit.NO)
    assert not (folder / "ran").exists()
    assert check("-", "--trust", stdin=text).return_value == Exit.DONE
    assert (folder / "ran").exists()


def test_stdin_may_not_name_code_of_another_agent_or_file_either(folder: Path) -> None:
    (folder / "tools.py").write_text(CODE)
    (folder / "base.yaml").write_text("tools: [{python: './tools.py:hours'}]\n")
    text = "extends: base.yaml\nagent: {handoff: [b]}\nprovider: {use: local}\n"
    text += "agents: {b: {tools: [{python: './tools.py:hours'}]}}\n"
    assert codes(check("-", "--format", "json", stdin=text)) == ["AK210", "AK210"]
    assert not (folder / "ran").exists()


def test_python_is_looked_at_where_something_else_is_wrong(folder: Path) -> None:
    (folder / "tools.py").write_text(CODE)
    (folder / "agent.yaml").write_text(HEAD + "limits: {turns: x}\ntools: [{python: './tools.py:hour'}]\n")
    assert codes(check("--format", "json")) == ["AK102", "AK207"]
    assert not (folder / "ran").exists()


def test_warnings_fail_where_they_are_to(folder: Path) -> None:
    (folder / "agent.yaml").write_text("agent: {greeting: \u201cHello\u201d}\nprovider: {use: local}\n", "utf-8")
    assert check().return_value == Exit.DONE
    assert check("--strict").return_value == Exit.NO
    assert check("--format", "github").stdout.startswith("::warning file=agent.yaml,line=1,col=19,")


def test_a_file_that_cannot_be_written_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "agent.yaml").write_text(TYPO)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.replace", refuse)
    error = problem("--fix")
    assert str(error) == "agent.yaml cannot be written: permission denied"
    assert os.listdir(folder) == ["agent.yaml"]
