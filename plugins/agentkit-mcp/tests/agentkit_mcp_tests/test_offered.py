"""Which tools are offered, under which names, and what they are taken to do."""

import re

import pytest
from agentkit_mcp.offered import effects_of, fit_name, offer
from hypothesis import given
from hypothesis import strategies as st
from mcp.types import Tool, ToolAnnotations

NAMES = st.text(min_size=1, max_size=130)


def listed(*names: str) -> list[Tool]:
    return [Tool(name=name, input_schema={"type": "object"}) for name in names]


def offered(*names: str, include: tuple[str, ...] = ("*",), exclude: tuple[str, ...] = ()) -> list[str]:
    return [tool.name for tool in offer(listed(*names), include=include, exclude=exclude).tools.values()]


def hinting(**hints: bool) -> Tool:
    return Tool(name="x", input_schema={"type": "object"}, annotations=ToolAnnotations(**hints))  # type: ignore[arg-type]


@given(NAMES)
def test_every_name_becomes_one_that_the_protocol_allows(name: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", fit_name(name))


@given(st.sets(NAMES, max_size=30))
def test_different_names_stay_different(names: set[str]) -> None:
    assert len({fit_name(name) for name in names}) == len(names)


@given(st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True))
def test_a_fit_name_stays_as_it_is(name: str) -> None:
    assert fit_name(name) == name


@given(st.lists(NAMES, unique=True, max_size=10), st.randoms())
def test_a_tool_is_called_the_same_whatever_the_others_are(names: list[str], random: object) -> None:
    together = offer(listed(*names), include=["*"], exclude=[]).tools
    for name in names:
        [alone] = offer(listed(name), include=["*"], exclude=[]).tools
        assert together[alone].name == name


def test_names_that_differ_only_in_what_is_not_allowed_do_not_meet() -> None:
    assert len(offer(listed("a.b", "a/b", "a_b"), include=["*"], exclude=[]).tools) == 3


def test_a_changed_name_is_told() -> None:
    assert offer(listed("a.b", "c"), include=["*"], exclude=[]).renamed == {"a.b": fit_name("a.b")}


def test_of_two_tools_of_one_name_the_first_is_taken() -> None:
    first, second = listed("a", "a")
    chosen = offer([first, second], include=["*"], exclude=[])
    assert chosen.tools["a"] is first
    assert chosen.doubled == ["a"]


def test_patterns_choose_by_the_servers_own_names() -> None:
    assert offered("fs.read", "fs.write", "db.read", include=("fs.*",), exclude=("*.write",)) == ["fs.read"]


def test_case_counts_in_patterns() -> None:
    assert offered("Read", "read", include=("read",)) == ["read"]


def test_a_pattern_that_fits_nothing_is_told() -> None:
    assert offer(listed("read"), include=["raed"], exclude=["write"]).unmatched == ["raed", "write"]


@pytest.mark.parametrize("trusted", [True, False])
def test_a_tool_that_says_it_destroys_is_dangerous(trusted: bool) -> None:
    assert effects_of(hinting(destructive_hint=True), trusted=trusted) == "dangerous"
    assert effects_of(hinting(destructive_hint=True, read_only_hint=True), trusted=trusted) == "dangerous"


def test_a_tool_that_says_it_only_reads_is_believed_of_a_trusted_server_alone() -> None:
    assert effects_of(hinting(read_only_hint=True), trusted=True) == "reads"
    assert effects_of(hinting(read_only_hint=True), trusted=False) == "writes"


def test_a_tool_that_says_nothing_writes() -> None:
    assert effects_of(*listed("x"), trusted=True) == "writes"
    assert effects_of(hinting(), trusted=True) == "writes"
