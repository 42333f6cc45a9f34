"""The schema as a file, for editors to find, and whether it still says what is installed."""

import contextlib
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from agentkit.config.json_schema.document import json_schema
from agentkit.discovery import cache_file
from agentkit.files import replace_file
from agentkit.plugins import Plugins

SCHEMA_FILE: Final = Path(".agentkit", "schema.json")
"""Where editors look for it, beside a configuration."""

_COMMENT: Final = "Made by `agentkit schema{}`; make it again when plugins come or go."
_KEPT: Final = 50
_MADE: Final = re.compile(_COMMENT.split("{")[0] + r"(?: --plugins ([^`\\]*))?`;")


def schema_text(plugins: Plugins, *, only: str | None = None) -> str:
    """Return the schema as indented JSON.

    Args:
        plugins: What there is.
        only: ``none``, or names with commas between them: what of that is in it, and any other name is taken too.
            All where it is None, and no other name.
    """
    names = [] if only == "none" else [name.strip() for name in (only or "").split(",") if name.strip()]
    used = plugins if only is None else plugins.restrict(names)
    head, *rest = json_schema(used, closed=only is None).items()
    comment = _COMMENT.format("" if only is None else f" --plugins {only}")
    document = dict([head, ("$comment", comment), *rest])
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def write_schema(path: Path, plugins: Plugins, *, only: str | None = None) -> None:
    """Write the schema to a file, whole or not at all; its folder is made.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, schema_text(plugins, only=only).encode())


def is_stale(path: Path, plugins: Plugins, *, environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether a schema that ``write_schema`` wrote would be another one now.

    Args:
        environ: Says where is remembered what was found; the process's own where it is None.

    Returns:
        False, too, where there is no such file, or somebody else's.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    made = _MADE.search(text)
    if made is None:
        return False
    known = _Known(text, plugins, os.environ if environ is None else environ)
    if known.is_current():
        return False
    stale = text != schema_text(plugins, only=made[1])
    if not stale:
        known.remember()
    return stale


class _Known:
    """Remembers which schemas are those of what is installed, for making one anew takes longer than reading a file."""

    def __init__(self, text: str, plugins: Plugins, environ: Mapping[str, str]) -> None:
        fingerprint = plugins.fingerprint
        self._file = cache_file(environ, of="schemas")
        self._digest = fingerprint and hashlib.sha256(f"{fingerprint}\0{text}".encode()).hexdigest()

    def is_current(self) -> bool:
        """Tell whether it was remembered."""
        return self._digest is not None and self._digest in self._lines()

    def remember(self) -> None:
        """Remember it; where that is not possible, it is made anew next time."""
        if self._file is None or self._digest is None:
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._file, "\n".join([*self._lines()[-_KEPT:], self._digest, ""]).encode())

    def _lines(self) -> list[str]:
        try:
            return [] if self._file is None else self._file.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError):
            return []
