"""Configurations with mistakes, as files whose first lines say what has to be found in them.

``# expect: AK101 5:3`` is a finding's code and place, with the file's name behind it where it is another one;
``# set: key=value`` is an override of the command line. `needs` a package is left out: it depends on what is installed.
"""

import re
from pathlib import Path
from typing import NamedTuple

from agentkit.config import Diagnostic

HOME = Path(__file__).parent
INSTALLED = "AK209"


class Case(NamedTuple):
    """One file."""

    path: Path
    expected: tuple[tuple[str, str], ...]
    """Code and place: ``5:3``, ``2:1 parts/base.yaml`` or ``- --set key``."""
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.path.name


def cases(folder: str) -> list[Case]:
    """Read the files of a folder."""
    found = []
    for path in sorted((HOME / folder).glob("*.yaml")):
        text = path.read_bytes().decode()
        expected = re.findall(r"^# expect: (AK\d{3}) (.+?)\r?$", text, re.MULTILINE)
        found.append(Case(path, tuple(expected), tuple(re.findall(r"^# set: (.+?)\r?$", text, re.MULTILINE))))
    return found


def told(diagnostics: tuple[Diagnostic, ...], case: Case) -> tuple[tuple[str, str], ...]:
    """Return findings as a file's first lines would say them."""
    return tuple((each.code, _place(each, case)) for each in diagnostics if each.code != INSTALLED)


def _place(each: Diagnostic, case: Case) -> str:
    at = "-" if each.line is None else f"{each.line}:{each.column}"
    return at if each.file == case.name else f"{at} {each.file}"
