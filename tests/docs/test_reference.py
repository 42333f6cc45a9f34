"""The reference pages: as the code has them, with links that lead somewhere and examples that are true."""

import ast
import importlib
import re
import sys
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import msgspec
import pytest

import agentkit
from agentkit import hookspecs
from agentkit.cli.main import COMMANDS
from agentkit.cli.records import Record
from agentkit.config.build import examine
from agentkit.config.diagnostics import CODES
from agentkit.config.explanations import EXPLANATIONS
from agentkit.docs.__main__ import FOLDER, main
from agentkit.docs.pages import PAGES
from agentkit.docs.pages.commands import VARIABLES
from agentkit.docs.pages.diagnostics import diagnostics_of
from agentkit.docs.pages.hooks import session_events
from agentkit.docs.pages.ndjson import records, tag_of
from agentkit.plugins import Plugins
from agentkit.pytest_plugin import run_cli

ROOT: Final = Path(agentkit.__file__).parent
MARKDOWN: Final = [name for name in PAGES if name.endswith(".md")]
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)


def anchors(text: str) -> set[str]:
    kept = ["".join(char for char in each.lower() if char.isalnum() or char in " -_") for each in headings(text)]
    return {each.replace(" ", "-") for each in kept}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_the_code_has_it(name: str) -> None:
    assert text_of(name) == PAGES[name](), f"{name} is stale: python -m agentkit.docs"


def test_stale_pages_are_named_and_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--folder", str(tmp_path)]
    assert main([*folder, "--check"]) == 1
    assert capsys.readouterr().out.splitlines() == [f"{name} is stale: python -m agentkit.docs" for name in PAGES]
    assert list(tmp_path.iterdir()) == []
    assert main(folder) == 0
    assert {path.name for path in tmp_path.iterdir()} == set(PAGES)
    capsys.readouterr()
    assert main([*folder, "--check"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", MARKDOWN)
def test_every_link_of_a_page_leads_somewhere(name: str) -> None:
    text = text_of(name)
    links = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text))
    assert [link for link in links if link.startswith("#") and link[1:] not in anchors(text)] == []
    assert [link for link in links if not link.startswith("#") and not (FOLDER / link).exists()] == []


@pytest.mark.parametrize("name", MARKDOWN)
def test_every_row_of_a_table_has_the_cells_of_its_head(name: str) -> None:
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text_of(name), re.MULTILINE):
        cells = [len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()]
        assert set(cells) == {cells[0]}, block


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_nothing_of_this_machine(name: str) -> None:
    found = [word for word in (str(ROOT), sys.prefix + "/", " object at 0x") if word in text_of(name)]
    assert found == []


@pytest.mark.parametrize("name", MARKDOWN)
def test_the_python_of_a_page_is_python(name: str) -> None:
    for language, code in FENCE.findall(text_of(name)):
        if language == "python":
            ast.parse(code)


# Commands


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_section_with_its_help(name: str) -> None:
    section = text_of("commands.md").split(f"\n## agentkit {name}\n")[1].split("\n## ")[0]
    assert f"agentkit {name}" in section


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_one_that_the_code_reads(name: str) -> None:
    sources = [path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py") if "docs" not in path.parts]
    assert any(f'"{name}"' in source for source in sources)


# Configuration


@pytest.mark.parametrize(
    "text", [code for language, code in FENCE.findall(text_of("configuration.md")) if language == "yaml"]
)
def test_an_example_configuration_is_valid(text: str) -> None:
    agent, diagnostics = examine("agent.yaml", text=text, environ={}, plugins=Plugins.from_modules({}))
    assert agent is not None, diagnostics
    assert diagnostics == ()


# Diagnostics


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_heading(code: str) -> None:
    assert code in headings(text_of("diagnostics.md"))


@pytest.mark.parametrize("code", [code for code, each in EXPLANATIONS.items() if each.example])
def test_an_example_gives_its_code(code: str) -> None:
    assert code in [each.code for each in diagnostics_of(EXPLANATIONS[code].example)]


# Hooks


def test_every_hook_and_every_event_of_a_session_is_on_the_page() -> None:
    found = headings(text_of("hooks.md"))
    assert set(hookspecs.HOOKS) <= set(found)
    events = [each.__name__ for each in session_events()]
    assert {"TurnCompleted", "ToolFinished", "SessionEnded"} <= set(events)
    assert set(events) <= set(found)


# NDJSON

VALIDATOR: Final[Any] = importlib.import_module("jsonschema").Draft202012Validator
SCHEMA: Final[dict[str, Any]] = msgspec.json.decode(text_of("ndjson.schema.json"))
AGENT: Final = """\
agent: {name: tester}
provider: {use: local}
tools: [{python: "./tools.py:add"}, {python: "./tools.py:broken"}, {python: "./tools.py:wipe"}]
limits: {turns: 4}
"""
TOOLS: Final = '''\
from agentkit import ToolError, tool


@tool(examples=["add {a} and {b}"])
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool(examples=["break something"])
def broken() -> str:
    """Break something."""
    raise ToolError("it is broken")


@tool(examples=["wipe it"], effects="dangerous")
def wipe() -> str:
    """Wipe it."""
    return "wiped"
'''


def wrong(line: bytes | str) -> list[str]:
    """Return what the schema has against a line."""
    validator = VALIDATOR(SCHEMA)
    return [error.message for error in validator.iter_errors(msgspec.json.decode(line))]


def sample(expected: object) -> Any:
    """Make a value of a type."""
    if expected in (str, object):
        return "text"
    if expected in (int, float, bool):
        return expected(1)
    if expected is msgspec.Raw:
        return msgspec.Raw(b'{"any": ["thing"]}')
    origin, arguments = get_origin(expected), get_args(expected)
    if origin is Literal:
        return arguments[0]
    if origin in (tuple, list):
        return origin([sample(arguments[0])])
    if origin is dict:
        return {"key": sample(arguments[1])}
    if isinstance(expected, type) and issubclass(expected, msgspec.Struct):
        return expected(**{each.name: sample(each.type) for each in msgspec.structs.fields(expected)})
    return sample(arguments[0])  # a union


def test_the_schema_is_one() -> None:
    VALIDATOR.check_schema(SCHEMA)


@pytest.mark.parametrize("record", records(), ids=tag_of)
def test_every_record_fits_the_schema_and_has_a_section(record: type[Record]) -> None:
    full = record(**{each.name: sample(each.type) for each in msgspec.structs.fields(record)})
    least = record(**{each.name: sample(each.type) for each in msgspec.structs.fields(record) if each.required})
    assert [wrong(msgspec.json.encode(each)) for each in (full, least)] == [[], []]
    assert tag_of(record) in headings(text_of("ndjson.md"))


@pytest.mark.parametrize(
    "line",
    [
        '{"type": "nothing", "v": 1}',
        '{"type": "state", "v": 1, "state": 3, "detail": null}',
        '{"type": "state", "v": 1}',
    ],
)
def test_what_is_no_record_does_not_fit(line: str) -> None:
    assert wrong(line) != []


@pytest.mark.parametrize(
    "words",
    [
        ("-p", "add 2 and 3"),
        ("--lines",),
        ("--lines", "--approve", "none"),
        ("-p", "break something"),
        ("-p", "hello"),
        ("--events", "response.*", "-p", "add 2 and 3"),
        ("--json-audio", "--voice", "--set", "provider.with.speech=tones", "-p", "add 2 and 3"),
    ],
    ids=" ".join,
)
def test_what_run_prints_fits_the_schema(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTKIT_STATE_DIR", str(tmp_path / "state"))
    Path("agent.yaml").write_text(AGENT)
    Path("tools.py").write_text(TOOLS)
    done = run_cli("run", "--json", *words, stdin="add 2 and 3\nwipe it\nbreak something\nadd 4 and 5\nadd 6 and 7\n")
    lines = done.out.splitlines()
    assert [(line, found) for line in lines if (found := wrong(line))] == []
    kinds = [msgspec.json.decode(line)["type"] for line in lines]
    assert (kinds[0], kinds[-1]) == ("session", "end")
