"""Files for what is recorded: names that stay below their folder, never another's file, readable by the owner only.

Rule: a name is made of the configuration's template and of what we say ourselves, and each file is a new one.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agentkit import ConfigError

_NUMBERS: Final = 10_000
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
PLACE: Final = re.compile(r"\{([^{}]*)\}")


class NewFiles:
    """New files that have one name and an ending each."""

    def __init__(self, paths: Sequence[Path], handles: Sequence[int]) -> None:
        self.paths = tuple(paths)
        self.handles = tuple(handles)


def check_template(template: str, who: str) -> None:
    """Refuse a template that could lead elsewhere.

    Raises:
        ValueError: It has other variables than ``{session}`` and ``{date}``, a ``..``, or a name that no file can have.
    """
    unknown = sorted({name for name in PLACE.findall(template) if name not in ("session", "date")})
    if unknown:
        raise ValueError(f"{who}: the path has {{{unknown[0]}}}, and only {{session}} and {{date}} are filled in")
    if any(not character.isprintable() for character in template):
        raise ValueError(f"{who}: the path {template!r} has a control character")
    parts = Path(template).parts
    if ".." in parts:
        raise ValueError(f"{who}: the path {template!r} has a `..`; name the folder itself")
    if any(_RESERVED.fullmatch(part) for part in parts):
        raise ValueError(f"{who}: the path {template!r} has a name that is a device on Windows")
    if not Path(template).name or template.endswith(("/", os.sep)):
        raise ValueError(f"{who}: the path {template!r} is a folder; give the file a name, as {{session}}")


def create(template: str, endings: Sequence[str], *, session_id: str, who: str) -> NewFiles:
    """Make new files, all under the first name whose files are not there yet: with a number where it is taken.

    Args:
        template: Checked by ``check_template``.
        endings: What is put behind the name, for each file.
        session_id: Fills ``{session}``.
        who: The middleware, for messages.

    Raises:
        ConfigError: A file cannot be made.
    """
    filled = _filled(template, session_id)
    try:
        folder = _folder(template, filled)
        for number in range(1, _NUMBERS):
            stem, suffix = (filled.stem, filled.suffix) if endings == ("",) else (filled.name, "")
            name = (stem if number == 1 else f"{stem}-{number}") + suffix
            made = _create_all([folder / f"{name}{ending}" for ending in endings])
            if made is not None:
                return made
        raise OSError(f"there are {_NUMBERS} files of this name")
    except OSError as exc:
        raise ConfigError(
            f"the {who} cannot write {str(filled)!r}: {exc.strerror or exc}",
            hint=f"give a path that can be written: {{use: {who}, with: {{path: ...}}}}",
        ) from exc


def _filled(template: str, session_id: str) -> Path:
    values = {"session": _UNFIT.sub("_", session_id) or "session", "date": datetime.now(UTC).strftime("%Y-%m-%d")}
    return Path(PLACE.sub(lambda match: values[match[1]], template))


def _folder(template: str, filled: Path) -> Path:
    """Make the folder of a file, and check that no link on the way leads out of what the template names."""
    root = fixed_folder(template)
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    filled.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = filled.parent.resolve()
    if not folder.is_relative_to(root.resolve()):
        raise OSError(f"a link leads out of {str(root)!r}")
    return folder


def fixed_folder(template: str) -> Path:
    """Return the folders of a template before its first variable."""
    parts: list[str] = []
    for part in Path(template).parent.parts:
        if "{" in part:
            break
        parts.append(part)
    return Path(*parts) if parts else Path()


def hold(handle: int) -> None:
    """Hold a new file as one that is in use, until it is closed.

    Where files cannot be held it does nothing: Windows does not remove a file that is open.
    """
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(handle: int) -> bool:
    """Tell whether an open file is held by somebody else, in this process or another."""
    with suppress(ImportError, OSError):
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # one that is shared needs no right to write
        except BlockingIOError:
            return True
    return False


def _create_all(paths: Sequence[Path]) -> NewFiles | None:
    """Make all of these files, or none where one is there."""
    handles: list[int] = []
    try:
        for path in paths:
            handles.append(os.open(path, _FLAGS, 0o600))  # noqa: PERF401  # those that were opened have to be known
    except OSError as exc:
        for path, handle in zip(paths, handles, strict=False):
            os.close(handle)
            path.unlink(missing_ok=True)
        if isinstance(exc, FileExistsError):
            return None
        raise
    return NewFiles(paths, handles)


_FLAGS: Final = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
