"""``agentkit new tool``: a function and its item are added, and what was there stays as it was."""

import ast
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agentkit.cli.exits import Problem
from agentkit.cli.new.python_file import SourceFile
from agentkit.cli.new.tool_list import ToolList
from agentkit.pytest_plugin import Ran, run_cli
from tests.cli.terminals import CTRL_C, Terminal
from tests.cli.test_new_agent import press_until_it_ends

AGENT = """\
# mine
agent: {name: tester}
provider: {use: local}
tools:
  - use: now   # the time

  # after it
limits: {turns: 3}   # few
"""
FUNCTION = (
    '@tool(examples=["tide in {place}"])\ndef tide(place: str) -> str:\n    """Tell the tide."""\n    return place\n'
)
REFERENCE = "./tools.py:tide"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTKIT_STATE_DIR", str(tmp_path_factory.mktemp("state")))
    Path("agent.yaml").write_text(AGENT)


def tool(*words: str) -> Ran:
    return run_cli("new", "tool", *words)


def test_it_is_added_to_both_files_and_works() -> None:
    done = tool("tide_table", "--yes")
    assert (done.code, done.err) == (0, "")
    assert Path("agent.yaml").read_text() == AGENT.replace(
        "the time\n", "the time\n  - python: ./tools.py:tide_table\n"
    )
    assert run_cli("check", "--strict").code == 0
    assert run_cli("run", "-p", "the tide table for Turin").out == "Nothing is known yet of Turin.\n"
    assert "agent.yaml:6: its item under tools" in done.out
    assert "tools.py:7: the function tide_table" in done.out
    assert Path("tools.py").read_text().splitlines()[6].startswith("def tide_table")


@pytest.mark.parametrize("flag", ["--yes", "--config"])
def test_a_function_that_is_there_gets_only_its_item(flag: str) -> None:
    source = "import os\n\n\ndef tide_table() -> str:\n    return os.name\n"
    Path("tools.py").write_text(source)
    done = tool("tide_table", flag, *(["agent.yaml"] if flag == "--config" else []))
    assert (done.code, done.err) == (0, "")
    assert "tools.py:4: the function tide_table, as it was" in done.out
    assert Path("tools.py").read_text() == source
    assert yaml.safe_load(Path("agent.yaml").read_text())["tools"][-1] == {"python": "./tools.py:tide_table"}
    assert run_cli(*done.out.splitlines()[-1].split()[1:]).out == f"{os.name}\n"
    again = tool("tide_table", "--yes")
    assert again.code == 2
    assert "tools.py:4 has a tide_table already" in again.err


def test_the_command_that_comes_next_can_be_pasted() -> None:
    command = tool("tide_table", "--yes").out.splitlines()[-1].split()
    done = run_cli(*command[1:])
    assert (done.code, done.out) == (0, "Nothing is known yet of Turin.\n")


def test_a_second_one_goes_below_the_first() -> None:
    tool("tide_table", "--yes")
    tool("sea_state", "--yes")
    text = Path("tools.py").read_text()
    assert [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)] == [
        "tide_table",
        "sea_state",
    ]
    assert text.count("import tool\n") == 1
    document = yaml.safe_load(Path("agent.yaml").read_text())
    assert document["tools"][1:] == [{"python": "./tools.py:tide_table"}, {"python": "./tools.py:sea_state"}]


def test_without_a_yes_the_item_is_printed_and_the_configuration_stays() -> None:
    done = tool("tide_table")
    assert done.code == 0
    assert "tools:\n  - python: ./tools.py:tide_table\n" in done.out
    assert "put that item under `tools:` of agent.yaml" in done.err
    assert Path("agent.yaml").read_text() == AGENT
    assert Path("tools.py").exists()


def test_the_configuration_can_be_named() -> None:
    Path("agents").mkdir()
    Path("agents/sea.yaml").write_text(AGENT)
    assert tool("tide_table", "--config", "agents/sea.yaml", "--file", "more/own.py").code == 0
    assert "- python: ./more/own.py:tide_table\n" in Path("agents/sea.yaml").read_text()
    assert run_cli("check", "--strict", "agents/sea.yaml").code == 0


def test_an_item_that_is_there_already_is_not_added_again() -> None:
    text = AGENT.replace("  - use: now", "  - python: ./tools.py:tide_table\n  - use: now")
    Path("agent.yaml").write_text(text)
    done = tool("tide_table", "--yes")
    assert done.code == 0
    assert "agent.yaml: names it already" in done.out
    assert Path("agent.yaml").read_text() == text
    assert run_cli("check", "--strict").code == 0


@pytest.mark.parametrize(
    "words, said, hint",
    [
        ((), "the tool needs a name", "agentkit new tool tide_table"),
        (("tide-table",), "cannot be the name", "did you mean tide_table?"),
        (("class",), "cannot be the name", "tide_table is one"),
        (("1st",), "cannot be the name", "tide_table is one"),
        (("print",), "print has a meaning", "take another name"),
        (("now",), "agent.yaml has a tool called now already", "take another name"),
        (("kept",), "tools.py:1 has a kept already", "take another name"),
        (("tide", "--config", "none.yaml"), "there is no file none.yaml", ""),
        (("tide", "--config", "-"), "not to stdin", "--config agent.yaml"),
        (("tide", "--file", "${HOME}.py"), "has characters that are not taken", "letters, digits"),
        (("tide", "--file", "a b/c: d#.py"), "has characters that are not taken", "letters, digits"),
        (("tide", "--file", "a\nb.py"), "has characters that are not taken", "letters, digits"),
        (("tide", "--file", "tools.txt"), "tools.txt is no Python file", "--file tools.py"),
        (("tide", "--file", "../tools.py"), "outside of the folder", "keep it below"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(words: tuple[str, ...], said: str, hint: str) -> None:
    Path("tools.py").write_text("kept = 1\n")
    done = tool(*words, "--yes")
    assert done.code == 2
    assert said in done.err
    assert hint in done.err
    assert Path("agent.yaml").read_text() == AGENT
    assert sorted(path.name for path in Path().iterdir()) == ["agent.yaml", "tools.py"]
    assert Path("tools.py").read_text() == "kept = 1\n"


def test_without_an_agent_the_way_to_one_is_named() -> None:
    Path("agent.yaml").unlink()
    done = tool("tide")
    assert done.code == 2
    assert "there is no agent.yaml" in done.err
    assert list(Path().iterdir()) == []


def test_a_file_that_is_not_python_is_left_alone_with_its_line() -> None:
    Path("tools.py").write_text("def half(:\n")
    done = tool("tide", "--yes")
    assert done.code == 2
    assert "tools.py:1 is not Python" in done.err
    assert Path("tools.py").read_text() == "def half(:\n"


def test_a_file_of_another_encoding_is_left_alone() -> None:
    Path("tools.py").write_bytes(b"# -*- coding: latin-1 -*-\nname = '\xe9'\n")
    assert tool("tide", "--yes").code == 2
    Path("tools.py").write_bytes(b"name = '\xe9'\n")
    assert tool("tide", "--yes").code == 2


def test_a_folder_of_that_name_is_no_file() -> None:
    Path("tools.py").mkdir()
    done = tool("tide", "--yes")
    assert done.code == 2
    assert "tools.py cannot be read" in done.err
    assert Path("agent.yaml").read_text() == AGENT


def test_modes_and_links_stay() -> None:
    Path("own").mkdir()
    Path("own/tools.py").write_text("kept = 1\n")
    Path("own/tools.py").chmod(0o640)
    Path("tools.py").symlink_to("own/tools.py")
    assert tool("tide", "--yes").code == 0
    assert Path("tools.py").is_symlink()
    assert stat.S_IMODE(Path("own/tools.py").stat().st_mode) == 0o640
    assert "def tide(" in Path("own/tools.py").read_text()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that cannot be written")
def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = tool("tide", "--yes")
    tmp_path.chmod(0o700)
    assert done.code == 1
    assert "cannot be written" in done.err


def test_a_list_that_comes_from_below_is_kept() -> None:
    Path("base.yaml").write_text("agent: {}\nprovider: {use: local}\ntools: [{use: now}]\n")
    Path("agent.yaml").write_text("extends: base.yaml\n")
    assert tool("tide", "--yes").code == 0
    assert Path("agent.yaml").read_text() == "extends: base.yaml\n\ntools:\n  - inherit\n  - python: ./tools.py:tide\n"
    assert "2 tools" in run_cli("check", "--strict").out


@pytest.fixture
def terminal(tmp_path: Path, environ: dict[str, str]) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, environ, "new", "tool")
    yield terminal
    terminal.close()


def test_in_a_terminal_it_asks_for_the_name_and_whether_to_add_it(terminal: Terminal) -> None:
    terminal.expect("name of the tool:")
    terminal.say("tide")
    terminal.expect("add `- python: ./tools.py:tide` to agent.yaml? [Y/n]:")
    terminal.say("")
    terminal.expect("agentkit call")
    assert terminal.end() == 0
    assert "python: ./tools.py:tide" in Path("agent.yaml").read_text()


def test_a_question_that_is_left_leaves_nothing_behind(terminal: Terminal) -> None:
    terminal.expect("name of the tool:")
    terminal.say("tide")
    terminal.expect("[Y/n]:")
    press_until_it_ends(terminal, CTRL_C)
    assert terminal.end() == 130
    assert Path("agent.yaml").read_text() == AGENT
    assert not Path("tools.py").exists()


# The Python file

SOURCES = {
    "empty": "",
    "a docstring": '"""Mine."""\n',
    "a docstring without a line end": '"""Mine."""',
    "comments": "#!/usr/bin/env python\n# mine\n",
    "imports": '"""Mine."""\n\nimport os\nfrom pathlib import Path\n\nx = 1\n',
    "the future": "from __future__ import annotations\n\nx = 1\n",
    "code at once": "x = 1\n",
    "code below a docstring": '"""Mine."""\n\n\nx = 1\n',
    "an import that is no first one": "x = 1\nimport os\n",
    "windows": '"""Mine."""\r\n\r\nimport os\r\n\r\nx = 1\r\n',
    "a mark": '\ufeff"""Mine."""\n',
    "blank lines": "import os\n\n\n\n",
    "many imports": "from agentkit import (\n    Toolset,\n    tool,\n)\n\nx = 1\n",
    "another name": "from agentkit import tool as made\n",
    "the package": "import agentkit\n",
    "the package by another name": "import agentkit as kit\n",
    "a main": "import os\n\nif __name__ == '__main__':\n    print(os.name)",
    "a form feed in a docstring": '"""Mine.\x0c"""\nimport os\n\nx = os.name\n',
    "a form feed": "x = 1\n\x0c\ny = 2\n",
}


@pytest.mark.parametrize("text", SOURCES.values(), ids=SOURCES)
def test_a_function_is_added_and_every_line_stays(text: str) -> None:
    source = SourceFile(Path("tools.py"), text)
    made = source.with_function(FUNCTION.replace("@tool", f"@{source.decorator or 'tool'}"))
    scope: dict[str, object] = {"__name__": "tools"}
    exec(compile(made.removeprefix("\ufeff"), "tools.py", "exec"), scope)  # the point
    assert getattr(scope["tide"], "name", None) == "tide"
    line = SourceFile(Path("tools.py"), made).function_line("tide")
    assert line is not None
    lines = made.replace("\r\n", "\n").split("\n")
    assert lines[line - 1].startswith("def tide(")
    kept = iter(lines)
    assert all(old in kept for old in text.replace("\r\n", "\n").split("\n"))
    assert made.count("\r\n") in (0, made.count("\n"))
    assert made.endswith("\n")
    assert not made.endswith("\n\n")


@pytest.mark.parametrize(
    "text",
    [
        "def tide(): ...\n",
        "class tide: ...\n",
        "tide = 1\n",
        "tide: int = 1\n",
        "from sea import tide\n",
        "import sea as tide\n",
        "if True:\n    def tide(): ...\n",
        "try:\n    pass\nexcept ValueError:\n    tide = 1\n",
        "a, (tide, b) = 1, (2, 3)\n",
        "for tide in (): ...\n",
    ],
)
def test_a_name_that_is_taken_is_found(text: str) -> None:
    assert SourceFile(Path("tools.py"), text).line_of("tide") is not None


def test_a_name_inside_of_a_function_is_free() -> None:
    assert SourceFile(Path("tools.py"), "def sea():\n    tide = 1\n    return tide\n").line_of("tide") is None


def test_text_that_is_not_python_is_a_problem() -> None:
    with pytest.raises(Problem, match=r"tools\.py:2 is not Python"):
        SourceFile(Path("tools.py"), "x = 1\n  y = 2\n")


def test_a_file_that_calls_something_else_tool_is_left_alone() -> None:
    Path("tools.py").write_text("def tool(): ...\n")
    done = tool("tide", "--yes")
    assert done.code == 2
    assert "tools.py:1 gives the name `tool` another meaning" in done.err


# The configuration

LISTS = {
    "a block": "tools:\n  - use: now\n  - use: calculate\n",
    "a block that does not indent": "tools:\n- use: now\n- use: calculate\n",
    "a block with options below": "tools:\n    - use: now\n      with:\n        zone: Turin\nlimits: {turns: 1}\n",
    "a block scalar at the end": "tools:\n  - use: now\n    filler: |\n      Wait.\n\n      Please.\n\nagent: {}\n",
    "a flow": "tools: [{use: now}, {use: calculate}]\n",
    "a flow over lines": "tools: [\n  {use: now},\n  {use: calculate},   # last\n]\n",
    "an empty flow": "tools: []\nlimits: {turns: 1}\n",
    "flows in a block": "tools:\n  - {use: now}   # time\n  - {use: calculate,\n     timeout: 2s}   # sums\n",
    "nothing below": "tools:\n  # - use: now\nlimits: {turns: 1}\n",
    "nothing below and no line end": "tools:",
    "no list": "limits: {turns: 1}",
    "no list and a comment": "limits: {turns: 1}\n# the end",
    "plain texts": "tools:\n  - inherit\n",
    "no line end": "tools:\n  - use: now",
    "windows": "tools:\r\n  - use: now\r\nlimits: {turns: 1}\r\n",
    "a mark": "\ufefftools:\n  - use: now\n",
    "comments": "tools:   # mine\n  # first\n  - use: now   # time\n  # last\n\n# and more\nlimits: {turns: 1}\n",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_an_item_is_added_to_every_kind_of_list(text: str) -> None:
    changed = ToolList("agent.yaml", text).with_function(REFERENCE)
    assert changed is not None
    check(text, *changed)


@pytest.mark.parametrize(
    "text",
    [
        "{tools: [{use: now}]}\n",
        "tools: null\n",
        "tools: now\n",
        "tools: {use: now}\n",
        "a: &tools [{use: now}]\ntools: *tools\n",
        "tools: [",
        "",
        "- use: now\n",
        "limits: {turns: 1}\n...\n",
    ],
)
def test_where_an_item_cannot_be_put_in_safely_it_is_not(text: str) -> None:
    assert ToolList("agent.yaml", text).with_function(REFERENCE) is None


def check(before: str, after: str, line: int) -> None:
    """Check that exactly one piece was put in, and that it is one more tool."""
    old, new = yaml.safe_load(before), yaml.safe_load(after)
    had = old.pop("tools", None) or []
    assert new.pop("tools") == [*had, {"python": REFERENCE}]
    assert new == old
    start = next((at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), len(before))
    assert after.endswith(before[start:])
    assert REFERENCE in after.splitlines()[line - 1]
    assert after.count("\r\n") in (0, after.count("\n"))


ITEMS = st.sampled_from(
    [
        "use: now",
        "{use: now}",
        "use: now   # a comment",
        "use: now\n  with:\n    zone: Turin",
        "use: now\n  filler: >-\n    One\n    two.",
        "{use: now,\n   timeout: 2s}",
        "inherit",
        'use: "now"\n  # below\n  timeout: 2s',
        "mcp: {command: [a, b]}",
    ]
)


@given(
    items=st.lists(ITEMS, max_size=4),
    indent=st.integers(0, 4),
    before=st.sampled_from(
        ["", "agent: {name: x}\n", "# first\n\n", "agent:\n  instructions: |\n    tools:\n      - no\n"]
    ),
    between=st.sampled_from(["", "\n", "  # between\n", "\n\n      # far\n"]),
    after=st.sampled_from(["", "\n", "limits: {turns: 1}\n", "\n# last\n", "\nlimits:\n  turns: 1"]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_any_list_grows_by_one_item_and_nothing_else_changes(
    items: list[str], indent: int, before: str, between: str, after: str, newline: str
) -> None:
    lead = " " * indent
    listed = "".join(f"- {item}\n{between}" for item in items)
    block = "".join(lead + line if line.strip() else line for line in listed.splitlines(keepends=True))
    text = f"{before}tools:\n{block}{after}".replace("\n", newline)
    yaml.safe_load(text)
    changed = ToolList("agent.yaml", text).with_function(REFERENCE)
    assert changed is not None
    check(text, *changed)
