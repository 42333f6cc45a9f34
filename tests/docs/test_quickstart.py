"""The quickstart: every block is run, one after the other, as a reader would, and prints what the page says.

Above a block, ``<!-- exit: N -->`` says how its last command ends, ``<!-- file: F -->`` that the block is the file F,
and ``<!-- edit: F: OLD => NEW -->`` what the text before it asks the reader to change. A block ``text`` is what the
``sh`` block before it prints, on both streams. ``pip`` installs what is there already: without an index, into an
environment made for the test.
"""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Final, NamedTuple

import pytest

import agentkit

PAGE: Final = Path(agentkit.__file__).parent / "docs" / "quickstart.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
BLOCK: Final = re.compile(r"((?:^<!-- .*? -->\n)*)^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OFFLINE: Final = "--no-index --no-deps --no-build-isolation --no-cache-dir --disable-pip-version-check"


class Block(NamedTuple):
    """One fenced block."""

    line: int
    language: str
    text: str
    marks: dict[str, str]
    """What the comments above it say: ``exit``, ``file``, ``edit``."""


def blocks() -> Iterator[Block]:
    for found in BLOCK.finditer(TEXT):
        marks = dict(mark.split(": ", 1) for mark in re.findall(r"<!-- (.*?) -->", found[1]))
        line = TEXT[: found.start(2)].count("\n") + 1
        yield Block(line, found[2], found[3], marks)


BLOCKS: Final = list(blocks())


class Environment(venv.EnvBuilder):
    """An environment that sees what the running one has, and has its commands: ``agentkit``, ``pytest``, ``pip``."""

    def post_setup(self, context: SimpleNamespace) -> None:
        paths = {"base": context.env_dir, "platbase": context.env_dir}
        own = Path(sysconfig.get_path("purelib", "venv", paths))
        outer = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        (own / "outer.pth").write_text("".join(f"import site; site.addsitedir({folder!r})\n" for folder in outer))
        python, here = shlex.quote(str(context.env_exe)), shlex.quote(sys.executable)
        self._command(context, "agentkit", f'exec {python} -m agentkit "$@"')
        self._command(context, "pytest", f'exec {python} -m pytest -p no:cacheprovider "$@"')
        self._command(context, "pip", f'shift; exec {here} -m pip --python {python} install {OFFLINE} "$@"')

    def _command(self, context: SimpleNamespace, name: str, script: str) -> None:
        path = Path(context.bin_path, name)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


class Reader:
    """Somebody who does what the page says, in a folder of their own."""

    def __init__(self, home: Path) -> None:
        Environment(symlinks=True).create(home / "env")
        kept = {name: os.environ[name] for name in ("SYSTEMROOT", "LANG") if name in os.environ}
        self._environ = {
            **kept,
            "PATH": f"{home / 'env' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "PYTHONUTF8": "1",
            "PIP_CONFIG_FILE": os.devnull,
        }
        self._folder = home / "work"
        self._folder.mkdir()
        self._printed: str | None = None

    def read(self, block: Block) -> None:
        """Do what a block says, or look whether it says what was printed."""
        if "edit" in block.marks:
            name, _, change = block.marks["edit"].partition(": ")
            old, _, new = change.partition(" => ")
            self._edit(self._folder / name, old, new)
        if "file" in block.marks:
            (self._folder / block.marks["file"]).write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            self._printed = self._run(block)
        elif block.language == "text":
            assert self._printed is not None, f"line {block.line}: no command stands before this"
            assert self._printed == block.text, f"line {block.line} of the quickstart is not what is printed"
            self._printed = None
        else:
            assert "edit" in block.marks, f"line {block.line}: nobody does anything with this block"
            assert block.text.strip() in block.marks["edit"]

    def _edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path.name} has {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def _run(self, block: Block) -> str:
        where = self._folder.parent / "where"
        script = f"trap 'pwd > {shlex.quote(str(where))}' EXIT\n{block.text}"
        done = subprocess.run(
            ["sh", "-ec", script],
            cwd=self._folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            check=False,
        )
        expected = int(block.marks.get("exit", "0"))
        assert done.returncode == expected, f"line {block.line} ended with {done.returncode}:\n{done.stdout}"
        self._folder = Path(where.read_text().strip())
        return done.stdout


@pytest.mark.timeout(150)
def test_every_block_does_what_the_page_says(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for block in BLOCKS:
        reader.read(block)


def test_the_page_has_five_screens_and_each_runs_something() -> None:
    starts = [TEXT[: found.start()].count("\n") + 1 for found in re.finditer(r"^## (\d)\. ", TEXT, re.MULTILINE)]
    assert len(starts) == 5
    for start, end in zip(starts, [*starts[1:], TEXT.count("\n")], strict=True):
        assert any(block.language == "sh" for block in BLOCKS if start < block.line < end)


def test_every_link_of_the_page_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", TEXT)
    assert links
    assert [link for link in links if not (PAGE.parent / link).exists()] == []
