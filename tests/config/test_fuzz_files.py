"""Shipped configurations, damaged in any way, give findings that fit the text, and never a failure."""

import json
import random
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.cli.check import command
from agentkit.config import Diagnostic, render_concise, render_full, render_github, render_json
from agentkit.config.build import examine
from agentkit.config.diagnostics import split_lines
from agentkit.config.fixes import apply
from agentkit.plugins import Plugins, load_plugins

ROOT = Path(__file__).parents[2]
CANARY = "canary-5f0c"
SEEDS = [
    *(path.read_text("utf-8") for path in sorted((ROOT / "configs").glob("*.yaml"))),
    *(path.read_bytes().decode() for path in sorted((ROOT / "tests/config/several").glob("*.yaml"))),
    f"agent: {{instructions: x}}\nprovider:\n  use: openai\n  with: {{api_key: {CANARY}, model: y}}\n",
]
# fmt: off
PIECES = st.sampled_from([
    "{", "}", "[", "]", ",", ": ", ":", "- ", "-", "? ", "\n", "\n  ", "\t", "\n\t", "'", "\"", "# ", "%X\n", "---\n",
    "...\n", "${", "${A}", "${A:-1}", "$$", "&a ", "*a", "!!x ", "! ", "|", ">", "<<: ", "@", "`", "{{", "}}", "null",
    "inherit", "~", "1e999", ".nan", "0x1", "yes", "5", "5s", "\0", "\x07", "\ud800", "\u2028", "\x85", "\ufeff",
    "\r\n", "\r", "\U0001f642", "\u201c", "e\u0301", "agent:", "  use: x\n", "extends: a.yaml\n", "\\", "key:value",
])
# fmt: on


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return load_plugins(environ={})


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Draw a configuration with some of its characters and lines changed."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        lines = text.splitlines(keepends=True)
        at = draw(st.integers(0, max(len(text) - 1, 0)))
        row = draw(st.integers(0, max(len(lines) - 1, 0)))
        match draw(st.integers(0, 6)):
            case 0:
                text = text[:at] + draw(PIECES) + text[at:]
            case 1:
                text = text[:at] + text[at + draw(st.integers(1, 8)) :]
            case 2:
                lines[row : row + 1] = []
                text = "".join(lines)
            case 3:
                lines[row:row] = lines[row : row + 1]
                text = "".join(lines)
            case 4:
                random.Random(at).shuffle(lines)
                text = "".join(lines)
            case 5:
                text = re.sub(r"(?<=: )[^\n]*", lambda _: draw(PIECES), text, count=1)
            case _:
                text = text[:at] + draw(st.text(max_size=4)) + text[at:]
    return text


def looked_over(text: str, found: tuple[Diagnostic, ...]) -> None:
    """Check that each finding has its place inside of the text."""
    lines = split_lines(text.removeprefix("\ufeff"))
    for each in found:
        if each.file != "a.yaml" or each.line is None or each.column is None:
            continue
        assert 1 <= each.line <= len(lines)
        assert 1 <= each.column <= len(lines[each.line - 1]) + 1
        if each.end_line is not None and each.end_column is not None:
            assert (each.line, each.column) <= (each.end_line, each.end_column)
            assert each.end_line <= len(lines)
        for number, shown in each.excerpt:
            assert len(shown) == len(lines[number - 1])


@given(damaged())
@settings(max_examples=250, deadline=None, derandomize=True)
def test_a_damaged_file_gives_findings_in_the_text(plugins: Plugins, text: str) -> None:
    agent, found = examine("a.yaml", text=text, environ={"A": "*a: {"}, plugins=plugins, trust=False)
    assert (agent is None) == any(each.severity == "error" for each in found)
    looked_over(text, found)
    lines = split_lines(text)
    for shown in (
        render_full(found, color=True, width=60),
        render_concise(found),
        render_github(found),
        render_json(found),
    ):
        assert CANARY not in shown or any(CANARY in line and f"api_key: {CANARY}" not in line for line in lines)


@given(damaged())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_fixes_never_make_a_text_worse_to_read(plugins: Plugins, text: str) -> None:
    for _ in range(20):
        found = examine("a.yaml", text=text, environ={}, plugins=plugins, trust=False)[1]
        fixes = [each.fix for each in found if each.fix is not None and each.file == "a.yaml"]
        text, made = apply(text, fixes)
        if not made:
            break
    else:
        pytest.fail("fixes without an end")
    assert not fixes


@given(damaged())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_command_always_gives_a_document(text: str) -> None:
    data = text.encode("utf-8", "replace")
    done = CliRunner().invoke(command, ["-", "--format", "json"], input=data, standalone_mode=False)
    assert done.exception is None
    assert done.return_value in (0, 1, 2)  # 2 is for what is no text that YAML could be
    assert json.loads(done.stdout)["v"] == 1
