"""What a distribution says it requires, and whether a version is one of those that it admits (PEP 440, PEP 508).

Rule: nothing here judges what it cannot read. A condition (``; python_version < "3.12"``) is kept as text and not
evaluated, and a specifier or version of another form is neither admitted nor refused: that is the installer's work.
"""

import re
from typing import Final, TypeAlias

import msgspec

_REQUIREMENT: Final = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(?P<specifier>\([^)]*\)|[^;@]*)(?P<marker>;.*)?"
)
_EXTRA: Final = re.compile(r"""\bextra\s*==\s*(["'])(?P<extra>[^"']+)\1""")
_CLAUSE: Final = re.compile(r"(?P<operator>~=|==|!=|<=|>=|<|>)\s*(?P<version>[^\s,]+)")
_VERSION: Final = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<stage>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<number>\d*))?"
    r"(?P<post>-\d+|[-_.]?(?:post|rev|r)[-_.]?\d*)?"
    r"(?P<dev>[-_.]?dev[-_.]?\d*)?"
    r"(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?",
    re.IGNORECASE | re.ASCII,
)
_STAGES: Final = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}
_RELEASED: Final = 3

_Order: TypeAlias = tuple[int, tuple[int, ...], tuple[int, int], int, float]


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """One line of what a distribution requires."""

    name: str
    """Normal: lower case, with single hyphens."""
    specifier: str
    """The versions, as ``>=1.2,<2``; empty for any."""
    extra: str
    """The extra that it belongs to; empty where it always holds."""
    marker: str
    """The condition under which it holds; empty where it always does."""


def normal_name(name: str) -> str:
    """Return the one spelling of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_requirement(line: str) -> Requirement | None:
    """Read one ``Requires-Dist``; None where it has another form, as one with an address has."""
    match = _REQUIREMENT.fullmatch(line.strip())
    if match is None:
        return None
    marker = (match["marker"] or "").lstrip("; ").strip()
    extra = _EXTRA.search(marker)
    return Requirement(
        name=normal_name(match["name"]),
        specifier=match["specifier"].strip().strip("()").strip(),
        extra=extra["extra"] if extra else "",
        marker=marker,
    )


def admits(specifier: str, version: str) -> bool | None:
    """Tell whether a version is one of a specifier's; None where one of them cannot be read."""
    own = _read(version)
    verdicts = [_admits(clause.strip(), own) for clause in specifier.split(",") if clause.strip()]
    if False in verdicts:
        return False
    return None if None in verdicts or own is None else True


class _Version(msgspec.Struct, frozen=True):
    epoch: int
    release: tuple[int, ...]
    """Without the zeros at its end, which mean nothing."""
    stage: tuple[int, int]
    post: int
    """-1 for none."""
    dev: float
    """Infinite for none: what is being developed comes before what is done."""
    length: int
    """How many numbers of the release were written."""

    @property
    def order(self) -> _Order:
        """What sorts as PEP 440 does; the local part counts for nothing here."""
        # 1.0.dev1 comes before 1.0a1, though it names no stage.
        only_dev = self.stage[0] == _RELEASED and self.post < 0 and self.dev != float("inf")
        return (self.epoch, self.release, (-1, 0) if only_dev else self.stage, self.post, self.dev)

    @property
    def is_pre(self) -> bool:
        """Whether it comes before the release of its number."""
        return self.stage[0] != _RELEASED or self.dev != float("inf")


def _read(text: str) -> _Version | None:
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        return None
    release = [int(number) for number in match["release"].split(".")]
    length = len(release)
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    stage = match["stage"]
    return _Version(
        epoch=int(match["epoch"] or 0),
        release=tuple(release),
        stage=(_STAGES[stage.lower()], int(match["number"] or 0)) if stage else (_RELEASED, 0),
        post=_trailing(match["post"]) if match["post"] else -1,
        dev=_trailing(match["dev"]) if match["dev"] else float("inf"),
        length=length,
    )


def _trailing(text: str) -> int:
    digits = re.search(r"\d+$", text)
    return int(digits[0]) if digits else 0


def _admits(clause: str, own: _Version | None) -> bool | None:
    match = _CLAUSE.fullmatch(clause)
    if match is None or own is None:
        return None
    operator, text = match["operator"], match["version"]
    if operator in ("==", "!=") and text.endswith(".*"):
        wanted = _read(text[:-2])
        return None if wanted is None else _begins(own, wanted, wanted.length) == (operator == "==")
    wanted = _read(text)
    if wanted is None:
        return None
    match operator:
        case "==":
            return own.order == wanted.order
        case "!=":
            return own.order != wanted.order
        case ">=":
            return own.order >= wanted.order
        case "<=":
            return own.order <= wanted.order
        case "~=":
            return own.order >= wanted.order and _begins(own, wanted, wanted.length - 1) if wanted.length > 1 else None
        case "<":
            return own.order < wanted.order and not _comes_before(own, wanted)
        case _:
            return own.order > wanted.order and not _comes_after(own, wanted)


def _comes_before(own: _Version, wanted: _Version) -> bool:
    """Whether it is a pre-release of the other, as 2.0rc1 of 2.0, which ``<2.0`` does not mean."""
    if not own.is_pre or wanted.is_pre or not _same(own, wanted):
        return False
    return wanted.post < 0 or (own.post == wanted.post and own.stage == wanted.stage)


def _comes_after(own: _Version, wanted: _Version) -> bool:
    """Whether it is a post-release of the other, as 2.0.post1 of 2.0, which ``>2.0`` does not mean."""
    if own.post < 0 or wanted.post >= 0 or not _same(own, wanted):
        return False
    return own.stage == wanted.stage and wanted.dev == float("inf")


def _same(one: _Version, other: _Version) -> bool:
    return (one.epoch, one.release) == (other.epoch, other.release)


def _begins(own: _Version, wanted: _Version, length: int) -> bool:
    padded = [(version.release + (0,) * length)[:length] for version in (own, wanted)]
    return own.epoch == wanted.epoch and padded[0] == padded[1]
