"""The files that ``agentkit new`` writes: filled from templates, put into a folder, shown as a tree.

Rule: nothing is written before everything is known, and what cannot be written whole is taken away again.
"""

import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template
from typing import Final

import click

from agentkit.cli.exits import Exit, Problem
from agentkit.cli.flags import Flags
from agentkit.cli.output import Out
from agentkit.cli.terminal import is_tty

_HERE: Final = PurePosixPath()
_SUFFIX: Final = ".txt"
_MAX_SHOWN: Final = 60
_OVERLOOKED: Final = frozenset({".git", ".venv", "venv", ".idea", ".vscode"})
"""What may be in a folder that counts as empty."""


def templates(*parts: str) -> Traversable:
    """Return a folder of the templates, or one of them."""
    found: Traversable = files("agentkit") / "templates"
    for part in parts:
        found = found / part
    return found


def filled(template: Traversable, values: Mapping[str, str]) -> str:
    """Return a template with its values put in."""
    return Template(template.read_text(encoding="utf-8")).substitute(values)


def walk(folder: Traversable, path: PurePosixPath = _HERE) -> list[tuple[Traversable, PurePosixPath]]:
    """Return every template below a folder, with the path that it is written to."""
    found: list[tuple[Traversable, PurePosixPath]] = []
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir():
            found += walk(each, path / each.name)
        elif each.name.endswith(_SUFFIX):
            found.append((each, path / each.name.removesuffix(_SUFFIX)))
    return found


def make_room(target: Path, paths: Iterable[PurePosixPath], flags: Flags, *, force: bool, yes: bool, verb: str) -> None:
    """Check that files may be written into a folder.

    Args:
        target: The folder, which need not be there.
        paths: The files.
        flags: Whether something may be asked.
        force: Whether files that are there may be replaced.
        yes: Whether that is not asked for once more.
        verb: What the user has typed, for the hint.

    Raises:
        Problem: They may not.
        Abort: The user has said no.
    """
    if not str(target).isprintable():
        raise Problem(
            f"{str(target)!r} has characters that cannot be shown", hint=f"name another folder: {verb} NAME DIR"
        )
    try:
        if target.exists() and not target.is_dir():
            raise Problem(f"{target} is a file", hint=f"name a folder: {verb} NAME DIR")
        nearest = next((each for each in (target, *target.parents) if each.exists()), target)
        if not nearest.is_dir():
            raise Problem(f"{nearest} is a file, so {target} cannot be made", hint="name another folder")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise Problem(f"{nearest} cannot be written to: permission denied", hint="name another folder")
        if not target.exists() or all(each.name in _OVERLOOKED for each in target.iterdir()):
            return
    except OSError as exc:
        shown = str(target) if len(str(target)) <= _MAX_SHOWN else f"{str(target)[:_MAX_SHOWN]}..."
        raise Problem(f"{shown} cannot be used: {exc.strerror}", hint="name another folder") from exc
    if not force:
        raise Problem(f"{target} is not empty", hint="name another folder, or write into it with --force")
    replaced = [str(path) for path in paths if (target / path).exists()]
    if replaced and not yes and asks(flags):
        click.confirm(f"replace {', '.join(replaced)} in {target}?", abort=True, err=True)


def asks(flags: Flags) -> bool:
    """Tell whether questions can be asked: there is somebody at a terminal who did not forbid it."""
    return not flags.no_input and is_tty(sys.stdin) and is_tty(sys.stderr)


def write(target: Path, texts: Mapping[PurePosixPath, str]) -> None:
    """Write files into a folder, all of them or none that was not there before.

    Raises:
        Problem: One cannot be written.
    """
    made: list[Path] = []
    try:
        for path, text in texts.items():
            file = target / path
            try:
                made += _folders(file.parent)
            except OSError as exc:
                message = f"the folder {file.parent} cannot be made: {exc.strerror}"
                raise Problem(message, hint="name another folder") from exc
            is_new = not file.exists()
            file.write_text(text, encoding="utf-8", newline="\n")
            if is_new:
                made.append(file)
    except BaseException as exc:
        _take_away(made)
        if isinstance(exc, OSError):
            raise Problem(f"{file} cannot be written: {exc.strerror}", code=Exit.NO) from exc
        raise


def _folders(folder: Path) -> list[Path]:
    """Make a folder and those above it, and return those that were not there."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _take_away(made: list[Path]) -> None:
    for path in reversed(made):
        try:
            path.rmdir() if path.is_dir() else path.unlink()
        except OSError:
            pass  # somebody else has put something there meanwhile


def tell(
    target: Path, notes: Mapping[str, str], commands: Iterable[str], flags: Flags, out: Out, *, after: str = ""
) -> None:
    """Show what was written, and the next commands; only the folder where the user wants it quiet.

    Args:
        target: The folder.
        notes: Each file in its place of the tree, with what it is.
        commands: What can be pasted into a shell as it stands.
        flags: How much is said.
        out: Where it is said.
        after: What can be done after those.
    """
    if flags.verbosity < 0:
        out.line(target.as_posix())
        return
    look = flags.look(out.stream)
    out.line(f"{target.as_posix().rstrip('/')}/")
    width = max(map(len, notes))
    for path, note in notes.items():
        out.line(look.cut(f"  {path:{width}}  {note}".rstrip()))
    out.line()
    out.line("next:")
    for command in commands:
        out.line(f"  {command}")
    if after:
        out.line()
        for line in look.wrapped(after):
            out.line(line)


def change_to(target: Path) -> str:
    """Return the command that goes to a folder."""
    return f"cd {shlex.quote(target.as_posix())}"
