"""What the README files show: their Python runs, their YAML loads, their hooks and commands are the real ones.

A fenced block right below ``<!-- no-run -->`` is compiled only.
"""

import ast
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import click
import pytest
import yaml

from agentkit import hookspecs
from agentkit.cli.main import COMMANDS, cli
from agentkit.config import render_full
from agentkit.config.build import examine

ROOT: Final = Path(__file__).parents[1]
README: Final = ROOT / "README.md"
PAGES: Final = [README, *sorted(ROOT.glob("plugins/*/README.md"))]
NO_RUN: Final = "<!-- no-run -->"
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    runs: bool

    @property
    def place(self) -> str:
        """Where it is, as a failing test shows it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        above = text[: found.start()]
        yield Block(page, above.count("\n") + 1, found[1], found[2], not above.rstrip().endswith(NO_RUN))


BLOCKS: Final = [block for page in PAGES for block in blocks_of(page)]
PYTHON: Final = [block for block in BLOCKS if block.language == "python"]
AGENTS: Final = [
    block
    for block in BLOCKS
    if block.language == "yaml" and isinstance(document := yaml.safe_load(block.text), dict) and "agent" in document
]


def place(block: Block) -> str:
    return block.place


def test_the_readme_shows_how_to_embed_and_to_configure() -> None:
    assert [block for block in PYTHON if block.page == README and block.runs and "agentkit.open(" in block.text]
    assert [block for block in AGENTS if block.page == README]


@pytest.mark.parametrize("block", [block for block in PYTHON if block.runs], ids=place)
def test_python_in_a_readme_runs(block: Block, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text],
        cwd=tmp_path,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("block", PYTHON, ids=place)
def test_python_in_a_readme_compiles(block: Block) -> None:
    compile(block.text, block.place, "exec")


@pytest.mark.parametrize("block", AGENTS, ids=place)
def test_an_agent_in_a_readme_loads(block: Block, tmp_path: Path) -> None:
    agent, diagnostics = examine(block.place, text=block.text, environ={"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert agent is not None, render_full(diagnostics)
    assert diagnostics == ()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_what_a_readme_links_to_exists(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_files_that_the_readme_names_exist() -> None:
    named = re.findall(r"(?<![\w/.-])(?:configs|plugins|tests|\.ci)/[\w./-]+", README.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name.rstrip(".")).exists()] == []


# Hooks

SHOWN: Final = {
    node.name: node
    for block in PYTHON
    if block.page == README
    for node in ast.walk(ast.parse(block.text))
    if isinstance(node, ast.FunctionDef) and node.name.startswith("register_") and node.returns is not None
}


def element(annotation: str) -> str:
    """Return what an iterable is of, without the parameters of ``Tool``."""
    outer = ast.parse(annotation, mode="eval").body
    assert isinstance(outer, ast.Subscript), annotation
    return ast.unparse(outer.slice).replace("Tool[..., object]", "Tool")


def test_the_readme_shows_every_hook_and_no_other() -> None:
    assert set(SHOWN) == set(hookspecs.HOOKS)


@pytest.mark.parametrize("name", hookspecs.HOOKS)
def test_a_hook_in_the_readme_has_the_signature_of_its_spec(name: str) -> None:
    (spec,) = ast.parse(inspect.getsource(getattr(hookspecs, name))).body
    shown = SHOWN[name]
    assert isinstance(spec, ast.FunctionDef)
    assert ast.unparse(shown.args) == ast.unparse(spec.args)
    assert spec.returns is not None
    assert shown.returns is not None
    assert element(ast.unparse(shown.returns)) == element(ast.unparse(spec.returns))


# Commands


class Line(NamedTuple):
    """One command of ``agentkit`` that a page shows."""

    place: str
    words: list[str]


def command_lines() -> Iterator[Line]:
    """Find every command line: in the blocks for a shell, and in code within the text."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        shell = [
            (block.line, line) for block in blocks_of(page) if block.language == "sh" for line in block.text.split("\n")
        ]
        prose = FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)
        inline = [(prose[: found.start()].count("\n") + 1, found[1]) for found in re.finditer(r"`([^`]+)`", prose)]
        for line, code in shell + inline:
            for part in re.split(r"&&|\|\||[;|]", code.replace(r"\|", ",")):  # in a table a bar is escaped
                words = shlex.split(re.sub(r"[<>].*", "", part), comments=True) if "agentkit" in part else []
                if words and Path(words[0]).name == "agentkit" and len(words) > 1:
                    yield Line(f"{page.relative_to(ROOT)}:{line}: {code}", words[1:])


LINES: Final = list(command_lines())


def test_the_readme_shows_the_commands_of_every_day() -> None:
    assert {"run", "check", "call", "show", "emulate"} <= {line.words[0] for line in LINES}


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.place)
def test_a_command_in_a_readme_is_a_real_one_with_real_flags(line: Line) -> None:
    verb = next((word for word in line.words if not word.startswith("-")), None)
    context = click.Context(cli)
    known = {name for param in cli.params for name in param.opts}
    if verb is not None:
        assert verb in COMMANDS
        command = cli.get_command(context, verb)
        assert command is not None
        known |= {name for param in command.get_params(context) for name in (*param.opts, *param.secondary_opts)}
    flags = {word.partition("=")[0] for word in line.words if word.startswith("-") and word != "-"}
    assert flags <= known


def test_the_lines_that_set_the_project_up_are_marked_once_each() -> None:
    text = README.read_text(encoding="utf-8")
    assert [text.count(f"\n<!-- {mark} -->\n```sh\n") for mark in ("run", "test")] == [1, 1]
