"""What a distribution requires, and which versions its specifiers admit; packaging is what they are compared with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from agentkit.discovery import Requirement, admits, read_requirement

NUMBERS = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
SUFFIXES = st.sampled_from(["", "", "", "a1", "b2", "rc1", ".post1", ".dev1"])
VERSIONS = st.builds("{}{}".format, NUMBERS, SUFFIXES)
CLAUSES = st.one_of(
    st.builds("{}{}".format, st.sampled_from(["==", "!=", "<=", ">=", "<", ">"]), VERSIONS),
    st.builds("{}{}.*".format, st.sampled_from(["==", "!="]), NUMBERS),
    st.builds("~={}.{}{}".format, st.integers(0, 3), NUMBERS, SUFFIXES),
)


@given(st.lists(CLAUSES, max_size=3), VERSIONS)
def test_a_version_is_admitted_as_the_installer_would(clauses: list[str], version: str) -> None:
    specifier = ",".join(clauses)
    assert admits(specifier, version) is SpecifierSet(specifier).contains(Version(version), prereleases=True)


@pytest.mark.parametrize(
    "one, other", [("1.0", "1"), ("1.0rc1", "1.0.c1"), ("1.0-alpha", "1.0a0"), ("v1.0", "1.0"), ("1.0-1", "1.0.post1")]
)
def test_two_spellings_of_one_version_are_equal(one: str, other: str) -> None:
    assert admits(f"=={one}", other) is True


def test_an_epoch_outweighs_every_number() -> None:
    assert admits(">=2.0", "1!1.0") is True


@pytest.mark.parametrize("specifier, version", [("=>1", "1.0"), ("===1", "1"), (">=x", "1.0"), (">=1", "unknown")])
def test_what_cannot_be_read_is_neither_admitted_nor_refused(specifier: str, version: str) -> None:
    assert admits(specifier, version) is None


def test_one_clause_that_refuses_outweighs_one_that_cannot_be_read() -> None:
    assert admits("===1,>=9", "1.0") is False


@pytest.mark.parametrize(
    "line, expected",
    [
        ("Agentkit_Realtime", Requirement(name="agentkit-realtime", specifier="", extra="", marker="")),
        ("a.b (>=1,<2)", Requirement(name="a-b", specifier=">=1,<2", extra="", marker="")),
        ("a[x,y]>=1", Requirement(name="a", specifier=">=1", extra="", marker="")),
        (
            "soxr >=0.3 ; extra == 'audio'",
            Requirement(name="soxr", specifier=">=0.3", extra="audio", marker="extra == 'audio'"),
        ),
        (
            'a; python_version < "3.12" and extra == "x"',
            Requirement(name="a", specifier="", extra="x", marker='python_version < "3.12" and extra == "x"'),
        ),
        ("a @ https://example.org/a.whl", None),
        ("", None),
    ],
)
def test_a_line_of_requirements_is_read(line: str, expected: Requirement | None) -> None:
    assert read_requirement(line) == expected
