"""Problems of a configuration: what they are, how they are collected, how they are shown.

Rule: a code keeps its meaning for ever. 0xx is syntax, 1xx shape, 2xx names and files, 3xx variables and
secrets, 4xx combinations.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct, structs

from agentkit.config.nodes import KeyPath, Place, path_text
from agentkit.errors import ConfigError

Severity: TypeAlias = Literal["error", "warning"]

CODES: Final = {
    "AK001": "the text is not YAML",
    "AK002": "a tab where YAML wants spaces",
    "AK003": "a key is given twice",
    "AK004": "a value needs quotes",
    "AK005": "a tag is not accepted",
    "AK006": "a merge key is not accepted",
    "AK007": "several documents in one file",
    "AK008": "nothing in the file",
    "AK009": "the text cannot be read",
    "AK010": "nested or expanded too far",
    "AK011": "an override is not key=value",
    "AK101": "an unknown key",
    "AK102": "a value of the wrong type",
    "AK103": "a key is missing",
    "AK104": "a value is none of the choices",
    "AK105": "a value is out of range",
    "AK106": "a key in the wrong block",
    "AK107": "not supported yet by this version",
    "AK201": "no plugin gives this name",
    "AK202": "several plugins give this name",
    "AK203": "a plugin cannot be loaded",
    "AK204": "a file cannot be read",
    "AK205": "a file outside the configuration's folder",
    "AK206": "files extend each other in a loop or too deep",
    "AK207": "a python tool cannot be found",
    "AK208": "a plugin refuses its options",
    "AK301": "an environment variable is not set",
    "AK302": "a secret stands in the file",
    "AK303": "a variable is not written right",
    "AK304": "an unknown variable in a prompt",
    "AK401": "keys that do not go together",
    "AK402": "an audio format with a rate it does not have",
    "AK403": "options for something that takes none",
    "AK404": "two tools with one name",
    "AK405": "a policy that does not fit the tool",
    "AK406": "a middleware that cannot be a guardrail",
}
"""Every code, with what it is about."""

_SECRET_LINE: Final = re.compile(
    r"""(?ix) (?:key|token|secret|password|passwd|authorization|credential) ["']? \s* [:=] \s*
    (?: "((?:[^"\\]|\\.)*)"? | '([^']*)'? | ([^\s,}\]][^,}\]]*) )""",
)
_BREAK: Final = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


class Diagnostic(Struct, frozen=True, kw_only=True):
    """One problem, with its place and what to do about it."""

    code: str
    """One of ``CODES``."""
    severity: Severity
    message: str
    file: str
    """A file's name, ``preset NAME (...)`` or ``--set KEY``."""
    line: int | None = None
    """1-based, as are the columns; None where the source has no lines."""
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    """Exclusive."""
    key: str | None = None
    """The path of the key: ``tools[0].with.allow``."""
    hint: str | None = None
    """The next step."""
    notes: tuple[str, ...] = ()
    """More that helps: which keys there are, where the other one stands."""
    excerpt: tuple[tuple[int, str], ...] = ()
    """The line itself and the one above it, with their numbers; secrets are masked."""

    @property
    def place(self) -> str:
        """``file:line:column``, as far as known."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


class ConfigErrors(ConfigError):  # noqa: N818 - it stands for several errors
    """A configuration that cannot be used, with every problem found in it."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        """Every problem, warnings too; the errors come in the order of the text."""
        first = next((each for each in self.diagnostics if each.severity == "error"), None)
        if first is None:
            raise ValueError("ConfigErrors without an error")
        super().__init__(
            first.message,
            file=first.file,
            line=first.line,
            column=first.column,
            key=first.key,
            hint=first.hint,
        )

    def __str__(self) -> str:
        more = sum(each.severity == "error" for each in self.diagnostics) - 1
        return super().__str__() + (f" (and {more} more error{'s' * (more > 1)})" if more else "")

    def __reduce__(self) -> tuple[type["ConfigErrors"], tuple[tuple[Diagnostic, ...]]]:
        return ConfigErrors, (self.diagnostics,)


class Problems:
    """Collects what is wrong, and knows which texts must not be shown."""

    def __init__(self) -> None:
        self._found: list[tuple[Diagnostic, Place]] = []
        self._secrets: list[Place] = []

    def add(
        self,
        code: str,
        message: str,
        *,
        at: Place,
        path: KeyPath = (),
        hint: str | None = None,
        notes: Sequence[str] = (),
        severity: Severity = "error",
    ) -> None:
        """Note one problem at a place."""
        diagnostic = Diagnostic(
            code=code,
            severity=severity,
            message=message,
            file=at.file,
            line=at.line,
            column=at.column,
            end_line=at.end_line,
            end_column=at.end_column,
            key=path_text(path) or None,
            hint=hint,
            notes=tuple(notes),
        )
        self._found.append((diagnostic, at))

    def hide(self, place: Place) -> None:
        """Keep what is written at a place out of every excerpt."""
        self._secrets.append(place)

    def absorb(self, other: "Problems") -> None:
        """Take over what another collection found."""
        self._found.extend(other._found)
        self._secrets.extend(other._secrets)

    def share_secrets(self, other: "Problems") -> None:
        """Let two collections hide what either knows to be secret."""
        self._secrets = other._secrets = [*self._secrets, *other._secrets]

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes found so far, in the order of finding."""
        return tuple(diagnostic.code for diagnostic, _ in self._found)

    @property
    def errors(self) -> int:
        """How many errors there are; warnings do not count."""
        return sum(diagnostic.severity == "error" for diagnostic, _ in self._found)

    def finish(self) -> tuple[Diagnostic, ...]:
        """Return every problem once, file by file in the order of the text, with excerpts."""
        files: dict[str, int] = {}
        kept: dict[tuple[object, ...], Diagnostic] = {}
        for diagnostic, place in self._found:
            files.setdefault(diagnostic.file, len(files))
            # A part that an alias repeats is checked at each use, and is still one mistake.
            identity = (diagnostic.code, diagnostic.place, diagnostic.message)
            if identity not in kept:
                kept[identity] = structs.replace(diagnostic, excerpt=self._excerpt(place))
        return tuple(
            sorted(
                kept.values(),
                key=lambda each: (files[each.file], each.line or 0, each.column or 0, each.code),
            )
        )

    def _excerpt(self, place: Place) -> tuple[tuple[int, str], ...]:
        if place.line is None or not place.source.located:
            return ()
        lines = split_lines(place.source.text)
        if place.line > len(lines):
            return ()
        numbers = [place.line - 1] if place.line > 1 and lines[place.line - 2].strip() else []
        return tuple((number, self._masked(lines, number, place)) for number in [*numbers, place.line])

    def _masked(self, lines: list[str], number: int, place: Place) -> str:
        line = lines[number - 1]
        for secret in self._secrets:
            if secret.source is not place.source or secret.line is None:
                continue
            end_line = secret.end_line or secret.line
            if secret.line <= number <= end_line:
                start = (secret.column or 1) - 1 if number == secret.line else 0
                end = (secret.end_column or 1) - 1 if number == end_line else len(line)
                line = _cover(line, start, end)
        # What is not read yet can stand beside a problem, so what is called a secret is covered by sight.
        for match in _SECRET_LINE.finditer(line):
            group = match.lastindex or 0
            if "${" not in match[group]:
                line = _cover(line, match.start(group), match.end(group))
        return line


def split_lines(text: str) -> list[str]:
    """Split where YAML's reader counts a new line, so that its line numbers fit."""
    return _BREAK.split(text)


def summary(diagnostics: Sequence[Diagnostic]) -> str:
    """Count errors and warnings in one sentence, without a full stop."""
    counts = []
    for severity in ("error", "warning"):
        count = sum(each.severity == severity for each in diagnostics)
        if count:
            counts.append(f"{count} {severity}{'s' * (count > 1)}")
    if not counts:
        return "Found no problems"
    files = len({each.file for each in diagnostics})
    return f"Found {' and '.join(counts)} in {files} file{'s' * (files > 1)}"


def _cover(line: str, start: int, end: int) -> str:
    return line[:start] + "*" * max(0, min(end, len(line)) - start) + line[max(start, end) :]
