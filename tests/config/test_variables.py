"""The environment's variables go into values after parsing, once, and are never shown."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.config import Diagnostic, Loaded, diagnose, render_full

BASE = "agent: {}\nprovider: {use: local}\n"


def load(text: str, environ: Mapping[str, str]) -> Loaded:
    loaded, found = diagnose(BASE + text, environ=environ)
    assert loaded is not None, found
    return loaded


def errors(text: str, environ: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    loaded, found = diagnose(BASE + text, environ=environ)
    assert loaded is None
    return found


@pytest.mark.parametrize(
    "written, value",
    [
        ("${A}", "one"),
        ("x${A}y${A}", "xoneyone"),
        ("${A:-two}", "one"),
        ("${A:?gone}", "one"),
        ("${B:-two}", "two"),
        ("${EMPTY:-two}", "two"),
        ("${B:-}z", "z"),
        ("${B:-a:b-c}", "a:b-c"),
        ("a$$b", "a$b"),
        ("$${A}", "${A}"),
        ("$5 and $A", "$5 and $A"),
    ],
)
def test_a_variable_is_put_in(written: str, value: str) -> None:
    assert load(f"session: {{voice: '{written}'}}", {"A": "one", "EMPTY": ""}).config.session.voice == value


def test_a_set_and_empty_variable_is_empty() -> None:
    config = load("session: {transcription: {prompt: '${A}'}}", {"A": ""}).config
    assert config.session.transcription is not None
    assert config.session.transcription.prompt == ""


@pytest.mark.parametrize("written", ["${A}", '"${A}"', "'${A}'", "${B:-8}"])
def test_a_whole_variable_is_typed_by_its_field(written: str) -> None:
    assert load(f"limits:\n  turns: {written}\n", {"A": "8"}).config.limits.turns == 8


def test_a_whole_variable_can_be_a_truth_value_a_number_or_a_duration() -> None:
    text = "session: {temperature: '${T}'}\nlimits: {session_time: '${D}'}\nmiddleware: [{use: x, when: '${W:-false}'}]"
    config = load(text, {"T": "0.5", "D": "5s"}).config
    assert (config.session.temperature, config.limits.session_time, config.middleware[0].when) == (0.5, 5, False)


def test_a_whole_variable_that_looks_like_a_number_is_a_text_where_a_text_belongs() -> None:
    assert load("session: {voice: '${A}'}", {"A": "1.10"}).config.session.voice == "1.10"


def test_a_part_of_a_text_does_not_become_a_number() -> None:
    (found,) = errors("limits: {turns: '1${A}'}", {"A": "8"})
    assert found.code == "AK102"


def test_every_missing_variable_is_reported_with_its_place() -> None:
    found = errors("session:\n  voice: ${A}\n  speed: ${B}\nlimits: {turns: '${C:?set C, please}'}\n", {})
    assert [(each.code, each.line, each.column) for each in found] == [
        ("AK301", 4, 10),
        ("AK301", 5, 10),
        ("AK301", 6, 17),
    ]
    assert found[2].hint == "set C, please"


@pytest.mark.parametrize("written", ["${}", "${1A}", "${A", "${A-x}", "${A:x}", "${A:-${B}}", "${ A }"])
def test_a_variable_that_is_not_written_right_is_an_error(written: str) -> None:
    found = errors(f"session: {{voice: '{written}'}}", {"A": "a", "B": "b"})
    assert {each.code for each in found} == {"AK303"}


def test_keys_hold_no_variables() -> None:
    (found,) = errors("'${A}': 1", {"A": "session"})
    assert found.code == "AK101"


def test_what_a_variable_holds_is_not_expanded_again() -> None:
    assert load("session: {voice: '${A}'}", {"A": "${B} $$ {{c}}"}).config.session.voice == "${B} $$ {{c}}"


def test_a_variable_that_is_no_utf_8_text_is_an_error() -> None:
    (found,) = errors("session: {voice: '${A}'}", {"A": "\udcff"})
    assert found.code == "AK303"


def test_no_message_shows_what_a_variable_holds() -> None:
    text = "session: {output: '${A}', speed: '${A}', input_format: '${A}'}\nlimits: {session_time: '${A}'}\n"
    found = errors(text, {"A": "canary"})
    assert len(found) == 4
    assert "canary" not in render_full(found)
    assert "canary" not in repr(found)


def test_a_switched_off_item_needs_none_of_its_variables() -> None:
    text = "middleware: [{use: otel, when: '${OTEL:-false}', with: {key: '${KEY}'}}]"
    assert load(text, {}).config.middleware[0].when is False


def test_a_switched_on_item_needs_its_variables() -> None:
    text = "middleware: [{use: otel, when: '${OTEL:-false}', with: {key: '${KEY}'}}]"
    assert [each.code for each in errors(text, {"OTEL": "true"})] == ["AK301"]


def test_a_provider_of_the_file_needs_no_variable_of_the_one_it_replaces() -> None:
    text = "provider: {use: openai, with: {api_key: '${NOT_SET}'}}\nagent: {}\n"
    loaded, found = diagnose(text, environ={}, overrides=["provider.use=local"])
    assert loaded is not None, found


# Text that UTF-8 can hold, as an environment does; NUL cannot be in one.
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)


@given(VALUES)
def test_any_value_arrives_as_it_is_in_a_text_field(value: str) -> None:
    loaded, found = diagnose(BASE + "session:\n  voice: x${A}\n", environ={"A": value})
    if loaded is None:
        assert {each.code for each in found} == {"AK105"}
    else:
        assert loaded.config.session.voice == "x" + value
        assert loaded.config.agent.instructions is None


@given(VALUES)
def test_no_value_of_a_variable_can_change_the_shape(value: str) -> None:
    loaded, found = diagnose(BASE + "limits:\n  turns: ${A}\n", environ={"A": value})
    assert {each.code for each in found} <= {"AK102", "AK105"}
    if loaded is not None:
        assert isinstance(loaded.config.limits.turns, int)
    else:
        assert {(each.line, each.column) for each in found} == {(4, 10)}
