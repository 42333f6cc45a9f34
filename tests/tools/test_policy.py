"""Policies: what a tool may say of itself, and what it may not."""

import inspect
import math
from typing import Any, get_type_hints

import pytest

from agentkit.tools import Approval, Policy, PolicyOptions, Tool, tool


@tool
def look(place: str, pin: str = "") -> str:
    """Look at a place."""
    return place


def test_every_field_of_a_policy_can_be_given_to_a_tool() -> None:
    assert set(get_type_hints(PolicyOptions)) == set(Policy.__struct_fields__)


def test_a_tool_says_nothing_of_its_policy_unless_it_is_asked() -> None:
    assert look.policy == Policy()
    assert look.policy.approval is None
    assert not look.policy.repeatable


def test_a_policy_is_changed_field_by_field() -> None:
    slow = look.with_(timeout=5, on_interrupt="cancel")
    assert slow.with_(on_interrupt="finish_silently").policy == Policy(timeout=5, on_interrupt="finish_silently")
    assert slow.with_(timeout=None).policy == Policy(on_interrupt="cancel")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"timeout": 0}, "timeout is 0, and must be above 0 seconds"),
        ({"timeout": math.nan}, "timeout is nan"),
        ({"retries": -1}, "retries is -1, and must be 0 or more"),
        ({"retries": 1}, 'retries need a tool that may run twice: say effects="reads" or idempotent=True'),
        ({"concurrency": 0}, "concurrency is 0, and must be 1 or more"),
        ({"max_result_bytes": 0}, "max_result_bytes is 0"),
        ({"effects": "deletes"}, "effects is 'deletes', and must be one of reads, writes, dangerous"),
        ({"on_interrupt": "stop"}, "on_interrupt is 'stop', and must be one of finish, cancel, finish_silently"),
        ({"reply": "loud"}, "reply is 'loud', and must be one of wait, speak, silent"),
        ({"progress": "all"}, "progress is 'all', and must be one of events, context"),
        ({"approve": "maybe"}, "approve is 'maybe', and must be one of never, ask, always_ask_once"),
        ({"effects": "dangerous", "approve": "never"}, "a dangerous tool is asked for before each call"),
        ({"effects": "dangerous", "approve": "always_ask_once"}, "a dangerous tool is asked for before each call"),
        (
            {"effects": "dangerous", "approve": Approval(otherwise="approve")},
            "a dangerous tool never runs because nobody answered",
        ),
        ({"secret": "pin"}, "secret must be several names, not one str"),
        ({"secret": ["pins"]}, "it has no parameter pins that could be secret"),
        ({"tiemout": 5}, "a tool has no tiemout; known: timeout, retries"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_when_the_tool_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        look.with_(**options)
    assert message in str(caught.value)
    assert "look" in str(caught.value)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"otherwise": "wait"}, {"mode": "often"}])
def test_an_approval_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="must be"):
        Approval(**options)


@pytest.mark.parametrize("options", [{"effects": "reads"}, {"idempotent": True}])
def test_what_may_run_twice_may_be_retried(options: PolicyOptions) -> None:
    assert Policy().changed({**options, "retries": 2}).repeatable


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, None),
        ({"approve": "never"}, None),
        ({"approve": "ask"}, Approval()),
        ({"approve": "always_ask_once"}, Approval(mode="always_ask_once")),
        ({"approve": Approval(timeout=3)}, Approval(timeout=3)),
        ({"effects": "dangerous"}, Approval()),
    ],
)
def test_who_is_asked_follows_from_the_policy(options: PolicyOptions, expected: Approval | None) -> None:
    assert look.with_(**options).policy.approval == expected


def test_a_definitions_tool_has_a_policy_too() -> None:
    made = Tool.from_definition({"name": "wipe"}, print, effects="dangerous", timeout=2)
    assert (made.policy.effects, made.policy.timeout) == ("dangerous", 2)
    with pytest.raises(TypeError, match="a tool has no speed"):
        Tool.from_definition({"name": "wipe"}, print, speed=1)  # type: ignore[call-arg]  # what a caller may write


def test_every_option_of_a_policy_is_named_where_tools_are_made() -> None:
    assert [name for name in Policy.__struct_fields__ if f"``{name}``" not in (inspect.getdoc(tool) or "")] == []
