"""Kept conversations: one file each, in a folder that only its user can read.

Rule: text only, secrets masked; a file is whole or not there. What cannot be kept is said once, and stops nothing.
"""

import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec

from agentkit.cli.exits import Problem
from agentkit.files import read_regular, replace_file

if TYPE_CHECKING:
    from agentkit.session.snapshot import Snapshot

VERSION: Final = 1
KEEP_COUNT: Final = 200
KEEP_DAYS: Final = 30
DAY: Final = 86_400.0
"""Seconds."""
LAST: Final = "last"
"""Stands for the newest conversation where an id is asked for."""
_SUFFIX: Final = ".json"
_OURS: Final = re.compile(r"ak[0-9a-f]{8}\.json")
"""The name of a file that a session is kept in."""
MAX_BYTES: Final = 64 << 20
"""Of a kept conversation; a larger file is none."""
_Time: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=32_503_680_000.0)]
"""Seconds since the epoch, until the year 3000: what every platform has a date for."""
_Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e10)]
_Cost: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a kept conversation in a list."""

    id: str
    agent: str
    config: str | None
    """The file of the agent, from the root; None where it came from stdin."""
    provider: str
    model: str | None
    started: _Time
    """Seconds since the epoch."""
    updated: _Time
    turns: _Count
    seconds: _Seconds
    """How long it was held, all its sessions together."""
    cost_usd: _Cost | None = None
    digest: str = ""
    """Stands for the instructions and the tools' names of each agent, so that a change shows."""
    first: str = ""
    """How it begins."""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    v: int
    meta: Meta
    snapshot: msgspec.Raw


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that was kept."""

    meta: Meta
    raw: msgspec.Raw
    """The snapshot as JSON."""
    mark: tuple[int, int, int]
    """Changes when its file does."""

    def snapshot(self) -> "Snapshot":
        """Read the conversation.

        Raises:
            Problem: It cannot be read.
        """
        from agentkit.session.snapshot import Snapshot

        try:
            return Snapshot.from_json(bytes(self.raw))
        except ValueError as exc:
            raise Problem(f"session {self.meta.id} cannot be read: {exc}") from exc


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where this user's programs of agentkit keep what they have to remember."""
    if said := environ.get("AGENTKIT_STATE_DIR"):
        return Path(said)
    if sys.platform == "win32":
        base = environ.get("LOCALAPPDATA")
        return Path(base, "agentkit") if base else Path.home() / "AppData/Local/agentkit"
    said = environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(said):
        return Path(said, "agentkit")
    home = Path.home()
    return home / ("Library/Application Support/agentkit" if sys.platform == "darwin" else ".local/state/agentkit")


class Store:
    """The kept conversations of a user."""

    def __init__(self, folder: Path | None = None, *, now: Callable[[], float] = time.time) -> None:
        """Look at a folder; where none is named, at the user's own."""
        self.folder = folder if folder is not None else state_folder() / "sessions"
        self.now = now
        """Tells the seconds since the epoch."""

    @classmethod
    def of_user(cls) -> "Store":
        """Return the user's own.

        Raises:
            Problem: There is no place for it.
        """
        try:
            return cls()
        except RuntimeError as exc:  # there is no home directory
            raise Problem(f"no conversation is kept: {exc}", hint="AGENTKIT_STATE_DIR names a folder for them") from exc

    def all(self) -> list[Kept]:
        """Return every conversation, the newest first; files that are none are passed over.

        Raises:
            Problem: The folder cannot be read.
        """
        names = self._names()
        found = [kept for name in names if name.endswith(_SUFFIX) and (kept := self._read(self.folder / name))]
        return sorted(found, key=lambda kept: kept.meta.updated, reverse=True)

    def find(self, wanted: str) -> Kept:
        """Return the conversation with this id, or the only one whose id begins so; ``last`` is the newest.

        Raises:
            Problem: There is none, or there are several.
        """
        every = self.all()
        if not every:
            raise Problem("no conversation is kept", hint="agentkit run keeps each one that has had a turn")
        if wanted == LAST:
            return every[0]
        exact = [kept for kept in every if kept.meta.id == wanted]
        found = exact or [kept for kept in every if wanted and wanted in _beginnings(kept.meta.id, len(wanted))]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(kept.meta.id for kept in found[:8])
            raise Problem(f"{len(found)} sessions begin with {wanted}: {ids}", hint="write more of the id")
        raise Problem(f"there is no session {wanted}", hint="agentkit sessions list")

    def last_of(self, config: str | None, agent: str) -> Kept | None:
        """Return the newest conversation with the agent of a configuration."""
        return next((kept for kept in self.all() if (kept.meta.config, kept.meta.agent) == (config, agent)), None)

    def write(self, meta: Meta, snapshot: bytes, *, mark: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        """Write a conversation, in the place of what was kept of it.

        Args:
            meta: What is told of it.
            snapshot: Its JSON.
            mark: The mark of what is replaced; None where there is nothing yet.

        Returns:
            The mark of what is kept now; None where another program has changed it meanwhile, and nothing was done.

        Raises:
            OSError: It cannot be written.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{meta.id}{_SUFFIX}"
        if _mark(path) != mark:
            return None
        data = msgspec.json.encode(_File(v=VERSION, meta=meta, snapshot=msgspec.Raw(snapshot)))
        replace_file(path, data, mode=0o600)
        return _mark(path)

    def prune(self, *, older: float | None = None, count: int | None = None, dry: bool = False) -> list[Meta]:
        """Delete conversations, and return what was deleted.

        Args:
            older: Those that were not gone on with for so many seconds.
            count: All but so many of the newest.
            dry: Only tell which.

        Raises:
            Problem: One cannot be deleted.
        """
        every = self.all()
        gone = [
            kept.meta
            for index, kept in enumerate(every)
            if (count is not None and index >= count) or (older is not None and kept.meta.updated < self.now() - older)
        ]
        for meta in () if dry else gone:
            self._delete(meta.id)
        return gone

    def clear(self, *, dry: bool = False) -> list[str]:
        """Delete all that is kept, also what cannot be read, and return the ids; of a link, only the link itself.

        Args:
            dry: Only tell which.

        Raises:
            Problem: The folder cannot be read, or one cannot be deleted.
        """
        ids = dict.fromkeys(kept.meta.id for kept in self.all())
        others = [name.removesuffix(_SUFFIX) for name in self._names() if _OURS.fullmatch(name)]
        ids.update(dict.fromkeys(each for each in others if self._is_file_or_link(each)))
        for each in () if dry else ids:
            self._delete(each)
        return list(ids)

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise _unreadable(self.folder, exc) from exc

    def _is_file_or_link(self, session_id: str) -> bool:
        path = self.folder / f"{session_id}{_SUFFIX}"
        return path.is_symlink() or not path.is_dir()

    def _delete(self, session_id: str) -> None:
        try:
            (self.folder / f"{session_id}{_SUFFIX}").unlink(missing_ok=True)
        except OSError as exc:
            raise _unreadable(self.folder, exc, "cannot be cleaned up") from exc

    def _read(self, path: Path) -> Kept | None:
        """Return what is in a file; None where it is no conversation, or one of a later version."""
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return None
            mark, data = _mark(path), read_regular(path, MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                return None
            file = msgspec.json.decode(data, type=_File)
        except (OSError, ValueError, RecursionError):
            return None
        if mark is None or file.v != VERSION or path.name != f"{file.meta.id}{_SUFFIX}":
            return None
        return Kept(meta=file.meta, raw=file.snapshot, mark=mark)


def config_name(source: str) -> str | None:
    """Return how a configuration is known among kept conversations; None for one from stdin."""
    return None if source in ("-", "<stdin>") else os.path.abspath(source)


def digest_of(agents: Iterable[tuple[str, str, Iterable[str]]]) -> str:
    """Return what stands for the agents of a configuration, each with its name, its instructions and its tools."""
    import hashlib

    said = sorted((name, instructions, sorted(tools)) for name, instructions, tools in agents)
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def _beginnings(session_id: str, size: int) -> tuple[str, str]:
    """Return what an id may be called by, cut to a size: all of it, or what follows the ``ak`` of every id."""
    return session_id[:size], session_id.removeprefix("ak")[:size]


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _unreadable(folder: Path, error: OSError, what: str = "cannot be read") -> Problem:
    return Problem(
        f"{folder}, where conversations are kept, {what}: {error.strerror or error}",
        hint="AGENTKIT_STATE_DIR names another folder",
    )
