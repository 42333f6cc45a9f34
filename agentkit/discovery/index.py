"""The index of what plugins register, kept between runs, so that looking a name up imports its plugin only.

Rule: a record counts only while its fingerprint holds. A file that cannot be used counts as none: it is made again.
"""

import contextlib
import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from agentkit.files import replace_file
from agentkit.registry import KINDS, LazyCommand, is_name

_FORMAT: Final = 1


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What one plugin registered when it was last imported."""

    fingerprint: str
    names: dict[str, tuple[str, ...]]
    """By kind."""
    commands: tuple[LazyCommand, ...] = ()
    """Whole, so that help needs no import."""
    import_ms: float


class _Index(msgspec.Struct, frozen=True):
    format: int
    records: dict[str, Record]


def cache_file(environ: Mapping[str, str], *, of: str = "plugins", platform: str = sys.platform) -> Path | None:
    """Return where this environment's index is kept, or None where the user has no place for it.

    Args:
        of: What it is an index of.
    """
    if platform == "win32":
        base = environ.get("LOCALAPPDATA", "")
    elif platform == "darwin":
        base = str(Path(environ["HOME"], "Library", "Caches")) if environ.get("HOME") else ""
    else:
        base = environ.get("XDG_CACHE_HOME", "")
        # The XDG specification tells us to ignore a relative path.
        if not os.path.isabs(base):
            base = str(Path(environ["HOME"], ".cache")) if environ.get("HOME") else ""
    if not base:
        return None
    interpreter = hashlib.sha256(f"{sys.prefix}\0{sys.version}".encode()).hexdigest()[:16]
    return Path(base, "agentkit", f"{of}-{interpreter}.json")


def read_index(file: Path | None) -> dict[str, Record]:
    """Return the records kept between runs; none where there is no file, or one that cannot be used."""
    if file is None:
        return {}
    try:
        index = msgspec.json.decode(file.read_bytes(), type=_Index)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    if index.format != _FORMAT:
        return {}
    return {plugin: record for plugin, record in index.records.items() if _is_sound(record)}


def _is_sound(record: Record) -> bool:
    lists = [names for kind, names in record.names.items() if kind in KINDS]
    commands = {command.name for command in record.commands}
    return (
        len(lists) == len(record.names)
        and all(is_name(name) for names in lists for name in names)
        and all(len(set(names)) == len(names) for names in lists)
        and commands == set(record.names.get("commands", ()))
    )


def write_index(file: Path | None, records: Mapping[str, Record]) -> None:
    """Keep the records for the next run; where that is not possible, the next run makes them again."""
    if file is None:
        return
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, msgspec.json.encode(_Index(_FORMAT, dict(records))))
