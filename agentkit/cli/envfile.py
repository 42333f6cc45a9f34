"""Files of variables, as ``--env-file`` reads them: ``NAME=value`` a line; none is read unasked."""

import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Final

from agentkit.cli.exits import Problem

_LINE: Final = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_QUOTED: Final = re.compile(r""""((?:[^"\\]|\\.)*)"\s*(?:#.*)?|'([^']*)'\s*(?:#.*)?""")
_COMMENT: Final = re.compile(r"(?:^|\s+)#.*")
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


def read_env_file(path: str) -> dict[str, str]:
    """Return the variables of a file.

    A line is ``NAME=value``, also with ``export`` before it or with the value in quotes; ``#`` begins a comment. In
    double quotes a backslash before n, t, r, a quote or a backslash counts; nothing else is expanded. Of a name the
    last line counts.

    Raises:
        Problem: The file cannot be read, or a line is none of these; what it says is not shown.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise Problem(f"the file of variables {path} cannot be read: {exc.strerror}", hint="name another one") from exc
    except UnicodeDecodeError as exc:
        raise Problem(f"the file of variables {path} is not UTF-8 (byte {exc.start})") from exc
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        value = None if match is None else _value(match[2])
        if match is None or value is None or "\0" in value:
            raise Problem(f"{path}:{number}: this is not NAME=value", hint="write NAME=value, or NAME='a value'")
        found[match[1]] = value
    return found


def add_variables(found: Mapping[str, str], environ: MutableMapping[str, str] = os.environ) -> tuple[str, ...]:
    """Set the variables that are not set yet, and return their names."""
    added = tuple(name for name in found if name not in environ)
    for name in added:
        environ[name] = found[name]
    return added


def _value(text: str) -> str | None:
    """Return what a value says; None where its quotes are not closed."""
    if text[:1] not in ('"', "'"):
        return _COMMENT.sub("", text)
    quoted = _QUOTED.fullmatch(text)
    if quoted is None:
        return None
    if quoted[2] is not None:
        return quoted[2]
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), quoted[1])
