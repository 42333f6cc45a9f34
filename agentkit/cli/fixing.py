"""``agentkit check --fix``: files are checked and mended in turn until nothing is left that has one way out."""

import os
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentkit.cli.exits import Exit, Problem, say
from agentkit.cli.flags import Flags

if TYPE_CHECKING:
    from agentkit.config import Diagnostic
    from agentkit.config.diagnostics import Fix

_ROUNDS: Final = 20
_WRITABLE: Final = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_EDITED: Final = 3
"""So often a file is checked again because it was edited meanwhile."""


class Fixed(Struct):
    """What was mended."""

    count: int = 0
    files: set[str] = set()
    text: str | None = None
    """What stdin gave, mended."""

    def __str__(self) -> str:
        if not self.count:
            return "Fixed no problems"
        places = f" in {len(self.files)} file{'s' * (len(self.files) > 1)}"
        return f"Fixed {self.count} problem{'s' * (self.count > 1)}{places}"


def fix_all(
    check: "Callable[[str | None], Sequence[Diagnostic]]", flags: Flags, *, stdin: tuple[str, str] | None
) -> Fixed:
    """Mend what can be mended.

    Args:
        check: Returns the findings, with another text for stdin where one is given.
        flags: How messages look.
        stdin: The name and the text of what stdin gave; of what that names, no file is changed.

    Raises:
        Problem: A file cannot be written.
    """
    from agentkit.config.fixes import apply

    mark = "\ufeff" if stdin is not None and stdin[1].startswith("\ufeff") else ""
    fixed = Fixed(text=stdin[1].removeprefix(mark) if stdin is not None else None)
    refused: set[str] = set()
    edited: dict[str, int] = {}
    for _ in range(_ROUNDS):
        changed = False
        by_file: dict[str, list[Diagnostic]] = {}
        for each in check(fixed.text):
            if each.fix is not None and each.file not in refused:
                by_file.setdefault(each.file, []).append(each)
        made: int | None
        for name, found in by_file.items():
            fixes = [each.fix for each in found if each.fix is not None]
            if stdin is not None and name == stdin[0]:
                assert fixed.text is not None
                fixed.text, made = apply(fixed.text, fixes)
            elif stdin is not None or not _may_change(name, flags):
                refused.add(name)
                continue
            else:
                made = _change(Path(name), fixes)
            if made is None:
                edited[name] = edited.get(name, 0) + 1
                changed = True
                if edited[name] == _EDITED:
                    refused.add(name)
                    say(sys.stderr, flags.look(), f"{name} is edited meanwhile, and is left alone", level="warning")
            elif made:
                changed = True
                fixed.count += made
                fixed.files.add(name)
        if not changed:
            break
    fixed.text = None if fixed.text is None else mark + fixed.text
    return fixed


def _may_change(name: str, flags: Flags) -> bool:
    """Tell whether a file is one of its folder, may be written, and has no other name; what it is not is said."""
    path = Path(name)
    try:
        found = path.stat()
    except OSError as exc:
        raise Problem(f"{name} cannot be written: {(exc.strerror or str(exc)).lower()}") from exc
    why = None
    if not path.resolve().is_relative_to(path.parent.resolve()):
        why = "is a link to another folder"
    elif not stat.S_ISREG(found.st_mode):
        why = "is no file"
    elif not found.st_mode & _WRITABLE or not os.access(path, os.W_OK):
        why = "is write-protected"
    elif found.st_nlink > 1:
        why = "has another name (a hard link)"
    if why is not None:
        say(sys.stderr, flags.look(), f"{name} {why}, and is not changed", level="warning")
    return why is None


def _change(path: Path, fixes: "Sequence[Fix]") -> int | None:
    """Mend a file, and return how much; None where it is not any more what was checked."""
    from agentkit.config.diagnostics import fingerprint
    from agentkit.config.fixes import apply
    from agentkit.files import read_regular, replace_file

    try:
        data = read_regular(path)
        mark = data.startswith(b"\xef\xbb\xbf")
        text = data.decode("utf-8-sig")
        checked = fingerprint(text)
        if any(fix.of != checked for fix in fixes):
            return None
        text, made = apply(text, fixes)
        if made:
            replace_file(path.resolve(), text.encode("utf-8-sig" if mark else "utf-8"))
    except UnicodeDecodeError:
        return None
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise Problem(f"{path.as_posix()} cannot be written: {reason.lower()}", code=Exit.USAGE) from exc
    return made
