"""What ``agentkit doctor`` finds in the machine: folders that are written, and the terminal."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agentkit.cli.doctor.findings import Check
from agentkit.cli.exits import Problem
from agentkit.cli.flags import Flags
from agentkit.cli.store import Store
from agentkit.cli.terminal import is_tty

_LOW_MIB: Final = 200
_NARROW: Final = 60


def unwritable(folder: Path) -> str | None:
    """Return why files cannot be made in a folder, or in the nearest one above where it would be made; None if fine."""
    there = folder.absolute()
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        return f"{there.name} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=there):
            return None
    except OSError as exc:
        return exc.strerror or str(exc)


def folders() -> Iterator[Check]:
    """Look at the places that agentkit itself writes to."""
    from agentkit.discovery import cache_file

    cache = cache_file(os.environ)
    slow = "every command imports all plugins anew"
    if cache is None:
        message = f"no place for the cache: neither HOME nor XDG_CACHE_HOME is set, so {slow}"
        yield Check(name="cache", status="warn", message=message, hint="export XDG_CACHE_HOME=/a/folder")
    elif (reason := unwritable(cache.parent)) is not None:
        message = f"the cache {cache.parent} cannot be written ({reason}), so {slow}"
        yield Check(name="cache", status="warn", message=message, hint="mend its permissions, or set XDG_CACHE_HOME")
    try:
        sessions = Store.of_user().folder
    except Problem as exc:
        yield Check(name="sessions", status="warn", message=str(exc), hint=exc.hint)
    else:
        if (reason := unwritable(sessions)) is not None:
            message = f"conversations cannot be kept in {sessions} ({reason}), so none can be continued"
            hint = "set AGENTKIT_STATE_DIR to another folder"
            yield Check(name="sessions", status="warn", message=message, hint=hint)
    try:
        free = shutil.disk_usage(".").free >> 20
    except OSError:
        return
    if free < _LOW_MIB:
        message = f"the disk is nearly full: {free} MiB are left in this folder"
        yield Check(name="disk", status="warn", message=message, hint="make room: logs and recordings stop when it is")


def terminal(flags: Flags) -> Check:
    """Look at what the terminal can show."""
    stream = sys.__stdout__ or sys.stdout
    look = flags.look(stream)
    encoding = (getattr(stream, "encoding", None) or "none").lower()
    if not is_tty(stream):
        message = f"terminal: stdout is not one, so answers are plain text ({encoding})"
        return Check(name="terminal", status="skip", message=message)
    parts = [f"terminal: {look.width} columns", "colour" if look.color else f"no colour{_why_plain(flags)}"]
    parts.append("ASCII only" if look.ascii else "Unicode")
    message = ", ".join([*parts, encoding])
    if look.ascii and not os.environ.get("AGENTKIT_ASCII"):
        return Check(name="terminal", status="warn", message=message, hint="export LC_ALL=C.UTF-8, or PYTHONUTF8=1")
    if os.environ.get("TERM", "dumb") == "dumb":
        hint = "export TERM=xterm-256color, if it is a real one"
        return Check(name="terminal", status="warn", message=message, hint=hint)
    if not is_tty(sys.stdin):
        message += "; stdin is not one, so nothing is asked"
    elif look.width is not None and look.width < _NARROW:
        return Check(name="terminal", status="warn", message=message, hint=f"make it {_NARROW} columns wide or more")
    return Check(name="terminal", status="ok", message=message)


def _why_plain(flags: Flags) -> str:
    if flags.color == "never":
        return " (--color never)"
    reasons = (("NO_COLOR", bool(os.environ.get("NO_COLOR"))), ("TERM=dumb", os.environ.get("TERM") == "dumb"))
    return next((f" ({name})" for name, holds in reasons if holds), "")
