"""How long recordings are kept: older ones that the same template has made are removed.

Rule: nothing is removed that the recorder has not made, and no link is followed. A file counts as the recorder's by its
name, and by how it begins: a file of events by its first line, one of audio by its header.

Rule: what cannot be removed stops nothing. Who records holds its files, and a file that is held stays.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agentkit_observe.files import PLACE, fixed_folder, is_held

_VALUES: Final = {"date": r"\d{4}-\d\d-\d\d", "session": r"ak[0-9a-f]{8}"}
"""What stands in a name in the place of each variable."""
_EVENTS: Final = re.compile(rb'\{"at":\d+\.\d{6},"time":"[^"]{10,40}","seq":\d+,"direction":"(?:in|out)",')
_AUDIO: Final = re.compile(rb"RIFF.{4}WAVEfmt .{4}\x01\x00\x02\x00", re.DOTALL)
_HEAD: Final = 256
_SHARED: Final = 32
"""What Windows says of a file that somebody has open."""
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@dataclass
class Removal:
    """What came of removing recordings."""

    removed: int = 0
    """Files that were removed."""
    errors: list[OSError] = field(default_factory=list)
    """Why others could not be, each with its ``filename``."""


def remove_older(template: str, before: float) -> Removal:
    """Remove the recordings of a template that were last written before a moment; blocks while it reads folders.

    Args:
        template: The recorder's path, with its variables.
        before: Seconds since the epoch.
    """
    path = Path(template)
    root = fixed_folder(template)
    name = re.compile(f"({_pattern(path.name)}(?:-\\d+)?)\\.(?:jsonl|wav)")
    done = Removal()
    for folder in _folders(root, path.parent.parts[len(root.parts) :], done):
        for paths in _older(folder, name, before, done):
            _remove(paths, done, has_session="{session}" in path.name)
    return done


def _folders(root: Path, parts: tuple[str, ...], done: Removal) -> Iterator[Path]:
    """Find the folders of a template."""
    if not parts:
        yield root
        return
    pattern = re.compile(_pattern(parts[0]))
    for entry in _entries(root, done):
        if pattern.fullmatch(entry.name) and _is(entry, stat.S_ISDIR, done):
            yield from _folders(Path(entry.path), parts[1:], done)


def _older(folder: Path, name: re.Pattern[str], before: float, done: Removal) -> list[list[Path]]:
    """Find the files of a folder that have the name of a recording, by recording, where none of them is fresh."""
    found: dict[str, list[Path]] = {}
    fresh: set[str] = set()
    for entry in _entries(folder, done):
        match = name.fullmatch(entry.name)
        if match is None or (status := _is(entry, stat.S_ISREG, done)) is None:
            continue
        found.setdefault(match[1], []).append(Path(entry.path))
        if status.st_mtime >= before:
            fresh.add(match[1])
    return [paths for stem, paths in found.items() if stem not in fresh]


def _remove(paths: list[Path], done: Removal, *, has_session: bool) -> None:
    """Remove the files of one recording, if it is one that nobody writes any more."""
    with ExitStack() as stack:
        events: list[Path] = []
        audio: list[Path] = []
        empty: list[Path] = []
        for path in paths:
            try:
                handle = os.open(path, _FLAGS)
            except FileNotFoundError:
                continue  # another session was faster
            except OSError as exc:
                done.errors.append(exc)
                return
            stack.callback(os.close, handle)
            if is_held(handle):
                return
            if os.fstat(handle).st_size == 0:
                empty.append(path)
            is_events = path.suffix == ".jsonl"
            if _begins(handle, _EVENTS if is_events else _AUDIO):
                (events if is_events else audio).append(path)
        if not events and not has_session:
            audio = []  # by its name alone it may be anybody's
        if os.name == "nt":
            stack.close()  # there no file is removed that is open
        if not (events or audio):
            return
        for path in (*events, *audio, *empty):  # a program that was killed leaves one in which nothing is yet
            try:
                path.unlink()
                done.removed += 1
            except FileNotFoundError:
                pass
            except OSError as exc:
                if getattr(exc, "winerror", None) != _SHARED:
                    done.errors.append(exc)


def _entries(folder: Path, done: Removal) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as exc:
        done.errors.append(exc)
        return []


def _is(entry: "os.DirEntry[str]", kind: Callable[[int], bool], done: Removal) -> os.stat_result | None:
    """Return what is known of an entry, if it is of a kind, and no link."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as exc:
        done.errors.append(exc)
        return None
    return status if kind(status.st_mode) else None


def _begins(handle: int, pattern: re.Pattern[bytes]) -> bool:
    """Tell whether an open file is a regular one, and begins so."""
    return stat.S_ISREG(os.fstat(handle).st_mode) and pattern.match(os.read(handle, _HEAD)) is not None


def _pattern(part: str) -> str:
    """Return what a part of the template's path looks like once it is filled in."""
    pieces = PLACE.split(part)  # every second one is a variable's name
    return "".join(_VALUES[piece] if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))
