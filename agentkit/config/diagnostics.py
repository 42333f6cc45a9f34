"""Problems of a configuration: what they are, how they are collected, how they are shown.

Rule: a code keeps its meaning for ever. 0xx is syntax, 1xx shape, 2xx names and files, 3xx variables and
secrets, 4xx combinations.
"""

import functools
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct, structs

from agentkit.config.nodes import KeyPath, Place, Source, path_text
from agentkit.errors import ConfigError
from agentkit.masking import cover

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
    "AK012": "a space is missing after a colon or a dash",
    "AK013": "quotation marks that are not YAML's",
    "AK101": "an unknown key",
    "AK102": "a value of the wrong type",
    "AK103": "a key is missing",
    "AK104": "a value is none of the choices",
    "AK105": "a value is out of range",
    "AK106": "a key in the wrong block",
    "AK201": "no plugin gives this name",
    "AK202": "several plugins give this name",
    "AK203": "a plugin cannot be loaded",
    "AK204": "a file cannot be read",
    "AK205": "a file outside the configuration's folder",
    "AK206": "files extend each other in a loop or too deep",
    "AK207": "a python tool cannot be found",
    "AK208": "a plugin refuses its options",
    "AK209": "a key needs a package that is not installed",
    "AK210": "code that is not trusted",
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
    "AK407": "an agent that no hand-over leads to",
}
"""Every code, with what it is about."""

_SECRET_LINE: Final = re.compile(
    r"""(?ix) (?:key|token|secret|password|passwd|authorization|credential|cookie) ["']? \s* [:=] \s*
    (?: "((?:[^"\\]|\\.)*)"? | '([^']*)'? | ([^\s,}\]][^,}\]]*) )""",
)
_SECRET_FLAG: Final = re.compile(
    r"""(?ix) --[\w-]* (?:key|token|secret|password|passwd) ["']? (?: \s*,\s* | [ ]+ ) ["']? ([^\s,"'}\]]+)"""
)
"""A flag in a command, with its value behind it."""
_BREAK: Final = re.compile("\r\n|[\r\n\x85\u2028\u2029]")

_MAX_SAID: Final = 10
"""So many errors are in the text of ``ConfigErrors``, one a line."""


class Edit(Struct, frozen=True, kw_only=True):
    """One piece of a text, and what stands there instead; lines and columns count from 1, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


class Fix(Struct, frozen=True, kw_only=True):
    """What ``agentkit check --fix`` writes into the file."""

    title: str
    """What it does: ``write `instructions```."""
    edits: tuple[Edit, ...]
    """In the order of the text; they do not overlap."""
    of: str | None = None
    """The ``fingerprint`` of the text that they are for; in another one they would hit the wrong place."""


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
    fix: Fix | None = None
    """How it is mended without a choice; None where the user has to decide."""

    @property
    def place(self) -> str:
        """``file:line:column``, as far as known."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


def _in_one_line(each: Diagnostic) -> str:
    hint = f" ({each.hint})" if each.hint else ""
    return " ".join(f"{each.place}: {each.message}{hint}".split())


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
        errors = [each for each in self.diagnostics if each.severity == "error"]
        more = len(errors) - _MAX_SAID
        lines = [_in_one_line(each) for each in errors[:_MAX_SAID]]
        return "\n".join([*lines, *([f"and {more} more error{'s' * (more > 1)}"] if more > 0 else [])])

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
        fix: Fix | None = None,
    ) -> None:
        """Note one problem at a place; a fix counts only where the text is the user's own."""
        mendable = fix is not None and at.source.own and at.source.located and at.line is not None
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
            fix=structs.replace(fix, of=_print_of(at.source)) if fix is not None and mendable else None,
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
        excerpts = _Excerpts(self._secrets)
        for diagnostic, place in self._found:
            files.setdefault(diagnostic.file, len(files))
            # A part that an alias repeats is checked at each use, and is still one mistake.
            identity = (diagnostic.code, diagnostic.place, diagnostic.message)
            if identity not in kept:
                kept[identity] = _covered(diagnostic, excerpts.of(place))
        return tuple(
            sorted(
                kept.values(),
                key=lambda each: (files[each.file], each.line or 0, each.column or 0, each.code),
            )
        )


class _Excerpts:
    """The lines that stand beside problems, each masked once."""

    def __init__(self, secrets: Iterable[Place]) -> None:
        self._secrets: dict[Source, dict[int, list[Place]]] = {}
        for secret in dict.fromkeys(secrets, None):
            if secret.line is not None:
                lines = self._secrets.setdefault(secret.source, {})
                for number in range(secret.line, (secret.end_line or secret.line) + 1):
                    lines.setdefault(number, []).append(secret)
        self._masked: dict[tuple[Source, int], str] = {}

    def of(self, place: Place) -> tuple[tuple[int, str], ...]:
        """Return the line of a place and the one above it, with their numbers."""
        if place.line is None or not place.source.located:
            return ()
        lines = _lines_of(place.source)
        if place.line > len(lines):
            return ()
        numbers = [place.line - 1] if place.line > 1 and lines[place.line - 2].strip() else []
        return tuple((number, self._line(lines, number, place.source)) for number in [*numbers, place.line])

    def _line(self, lines: list[str], number: int, source: Source) -> str:
        known = self._masked.get((source, number))
        if known is not None:
            return known
        line = lines[number - 1]
        for secret in self._secrets.get(source, {}).get(number, ()):
            start = (secret.column or 1) - 1 if number == secret.line else 0
            last = number == (secret.end_line or secret.line)
            line = _cover(line, start, (secret.end_column or 1) - 1 if last else len(line))
        # What is not read yet can stand beside a problem, so what is called a secret is covered by sight.
        for pattern in (_SECRET_LINE, _SECRET_FLAG):
            line = pattern.sub(_value_covered, line)
        line = cover(line)
        self._masked[source, number] = line
        return line


def _covered(each: Diagnostic, excerpt: tuple[tuple[int, str], ...]) -> Diagnostic:
    """Return a problem with its excerpt, and with what looks like a key covered in all that it says."""
    fix = each.fix
    return structs.replace(
        each,
        message=cover(each.message),
        key=cover(each.key) if each.key else None,
        hint=cover(each.hint) if each.hint else None,
        notes=tuple(map(cover, each.notes)),
        excerpt=excerpt,
        fix=None if fix is None else structs.replace(fix, title=cover(fix.title)),
    )


def _value_covered(match: re.Match[str]) -> str:
    group = match.lastindex or 0
    if "${" in match[group]:
        return match[0]
    start, end = match.start(group) - match.start(), match.end(group) - match.start()
    return _cover(match[0], start, end)


def split_lines(text: str) -> list[str]:
    """Split where YAML's reader counts a new line, so that its line numbers fit."""
    return _BREAK.split(text)


def line_breaks(text: str) -> list[str]:
    """Return what ends each line but the last."""
    return _BREAK.findall(text)


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
    fixable = sum(each.fix is not None for each in diagnostics)
    more = f" ({fixable} fixable)" if fixable else ""
    return f"Found {' and '.join(counts)} in {files} file{'s' * (files > 1)}{more}"


@functools.lru_cache(maxsize=8)
def _lines_of(source: Source) -> list[str]:
    return split_lines(source.text)


@functools.lru_cache(maxsize=8)
def _print_of(source: Source) -> str:
    return fingerprint(source.text)


def fingerprint(text: str) -> str:
    """Return what tells a text from any other."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _cover(line: str, start: int, end: int) -> str:
    return line[:start] + "*" * max(0, min(end, len(line)) - start) + line[max(start, end) :]
