"""The options of plugins in words, and the tables of READMEs that are made of them."""

import enum
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct, field

from agentkit import Duration, Factory, Secret, Size, Timeout, hookimpl
from agentkit.config import load_config
from agentkit.config.describe import (
    Option,
    default_in_words,
    field_docs,
    fill_options,
    json_value,
    options_by_name,
    options_of,
    options_table,
    options_tables,
    type_in_words,
    unclear_options,
    written,
)
from agentkit.errors import PluginLoadError
from agentkit.values import AudioFormat


class Colour(enum.Enum):
    RED = "red"
    DEEP_BLUE = "deep blue"


class Retry(Struct, frozen=True, kw_only=True):
    count: int = 3
    """How often."""
    wait: Duration = 0.25
    """How long
    between two tries."""


class Rule(Struct, frozen=True, kw_only=True):
    name: str
    """What it is called."""
    under: "tuple[Rule, ...]" = ()
    """Rules below it."""


class Plain(Struct, frozen=True, kw_only=True):
    """The options of something."""

    path: Path | None = None
    """Where to write ``{name}``."""
    undescribed: bool = False
    mode: Literal["a", "b"] = "a"
    """One of two: a | b."""
    key: Annotated[Secret, Meta(description="Said in the type.")] = Secret("")
    with_: str = field(name="with", default="x")
    """Renamed in the file."""
    retry: Retry = field(default_factory=Retry)
    """What to do again."""
    rules: tuple[Rule, ...] = ()
    """What holds."""
    by_name: dict[str, Retry] = field(default_factory=dict)
    """One for each name."""


class Heir(Plain, frozen=True, kw_only=True):
    size: Size
    """How much."""
    undescribed: bool = True
    """Described at last."""


def names(config: type[Struct]) -> list[str]:
    return [option.name for option in options_of(config)]


def option(config: type[Struct], name: str) -> Option:
    return next(option for option in options_of(config) if option.name == name)


def test_the_description_is_the_string_below_the_field_on_one_line() -> None:
    assert option(Plain, "retry.wait").description == "How long between two tries."


def test_code_in_a_description_has_single_backticks() -> None:
    assert option(Plain, "path").description == "Where to write `{name}`."


def test_a_field_without_a_string_has_no_description() -> None:
    assert option(Plain, "undescribed").description == ""


def test_a_description_in_the_type_wins() -> None:
    assert option(Plain, "key").description == "Said in the type."


def test_an_option_has_the_name_that_the_file_uses() -> None:
    assert option(Plain, "with").description == "Renamed in the file."


def test_a_class_has_the_descriptions_of_its_bases_and_overrides_them() -> None:
    assert option(Heir, "mode").description == "One of two: a | b."
    assert option(Heir, "undescribed").description == "Described at last."
    assert option(Heir, "size") == Option(
        name="size", type="a size such as 1MiB", required=True, default=None, description="How much."
    )


def test_a_class_whose_source_cannot_be_read_has_no_descriptions() -> None:
    space: dict[str, type[Struct]] = {}
    exec("import msgspec\nclass C(msgspec.Struct):\n    x: int = 1\n    'text'\n", space)
    assert field_docs(space["C"]) == {}
    assert options_of(space["C"]) == (Option(name="x", type="a whole number", required=False, default="1"),)


def test_the_keys_of_inner_blocks_follow_with_their_paths_and_a_circle_ends() -> None:
    assert names(Plain) == [
        "path",
        "undescribed",
        "mode",
        "key",
        "with",
        "retry",
        "retry.count",
        "retry.wait",
        "rules",
        "rules[].name",
        "rules[].under",
        "by_name",
        "by_name.NAME.count",
        "by_name.NAME.wait",
    ]


@pytest.mark.parametrize(
    "expected, words",
    [
        (str, "a text"),
        (Path | None, "a path"),
        (bool, "true or false"),
        (Timeout, "a duration such as 5s"),
        (Size, "a size such as 1MiB"),
        (Secret, "a text (a secret)"),
        (Annotated[int, Meta(ge=1, le=9)], "a whole number, at least 1 and at most 9"),
        (Annotated[float, Meta(gt=0.5)], "a number, above 0.5"),
        (Annotated[str, Meta(min_length=1)] | None, "a text, not empty"),
        (Annotated[list[str], Meta(min_length=2)], "a list, at least 2 long; each a text"),
        (Literal["a", "b"], "`a` or `b`"),
        (Literal["inf"] | int, "`inf` or a whole number"),
        (Colour, "`red` or `deep blue`"),
        (tuple[Colour, ...], "a list; each `red` or `deep blue`"),
        (frozenset[int], "a list; each a whole number"),
        (list, "a list"),
        (dict[str, int], "a block of keys; each a whole number"),
        (dict[str, object], "a block of keys"),
        (Retry, "a block of keys"),
        (AudioFormat, "a text"),
        (object, "anything"),
        (str | tuple[str, ...], "a text or a list; each a text"),
    ],
)
def test_a_type_is_said_in_words(expected: object, words: str) -> None:
    assert type_in_words(expected) == words


@pytest.mark.parametrize(
    "value, expected, text",
    [
        ("plain", str, "plain"),
        ("logs/{session}.jsonl", str, "logs/{session}.jsonl"),
        ("{a}", str, '"{a}"'),
        ("@a", str, '"@a"'),
        ("", str, '""'),
        ("yes: no", str, '"yes: no"'),
        ("12", str, '"12"'),
        ("true", str, '"true"'),
        ("# none", str, '"# none"'),
        ("ends ", str, '"ends "'),
        (True, bool, "true"),
        (3, int, "3"),
        (0.5, float, "0.5"),
        (10.0, Timeout, "10s"),
        (0.25, Timeout, "250ms"),
        (90.0, Duration, "90s"),
        (120.0, Duration, "2m"),
        (7200.0, Duration | None, "2h"),
        (86400.0, Duration, "1d"),
        (0.0, Duration, "0s"),
        (1.5, Duration, "1.5s"),
        (65_536, Size, "64KiB"),
        (1_000, Size, "1000B"),
        (0, Size, "0B"),
        (Secret("hush"), Secret, "***"),
        (Colour.DEEP_BLUE, Colour, "deep blue"),
        (Path("a/b"), Path, "a/b"),
        (("a", "b"), tuple[str, ...], "[a, b]"),
        ((1.0, 60.0), tuple[Timeout, ...], "[1s, 1m]"),
        (frozenset({"b", "a"}), frozenset[str], "[a, b]"),
        ({"k": 1.0}, dict[str, Timeout], "{k: 1s}"),
        (Retry(count=5), Retry, "{count: 5}"),
        (AudioFormat(encoding="pcm16", rate=24_000), AudioFormat, "pcm16@24000"),
        (None, object, "null"),
    ],
)
def test_a_default_is_written_as_a_file_would_say_it(value: object, expected: object, text: str) -> None:
    assert written(value, expected) == text


@given(st.text(st.characters(exclude_categories=["C"], exclude_characters="${}"), min_size=1))
def test_a_text_comes_back_from_a_file_as_it_was_written(text: str) -> None:
    file = f"agent:\n  name: a\n  greeting: {written(text)}\nprovider: {{use: local}}\n"
    assert load_config(file, environ={}).config.agent.greeting == text


def test_a_secret_that_is_not_set_and_a_null_have_no_default() -> None:
    assert [default_in_words(option(Plain, name)) for name in ("key", "path")] == ["none", "none"]


def test_a_block_whose_keys_have_defaults_has_none_of_its_own() -> None:
    assert default_in_words(option(Plain, "retry")) == ""


def test_what_is_required_and_may_be_null_is_unclear() -> None:
    class Unclear(Struct, frozen=True):
        a: str | None
        b: str
        c: str | None = None

    assert unclear_options(Unclear) == ["a"]


def test_a_table_has_a_row_for_each_option_and_escapes_its_bars() -> None:
    assert options_table(Heir).startswith(
        "| option | type | default | meaning |\n"
        "| --- | --- | --- | --- |\n"
        "| `path` | a path | none | Where to write `{name}`. |\n"
        "| `undescribed` | true or false | `true` | Described at last. |\n"
        "| `mode` | `a` or `b` | `a` | One of two: a \\| b. |\n"
    )
    assert "| `size` | a size such as 1MiB | required | How much. |\n" in options_table(Heir)


# Pages


def plugin(*factories: Factory[object]) -> SimpleNamespace:
    return SimpleNamespace(register_responders=hookimpl(lambda: factories))


WHOLE = plugin(Factory("again", Retry, Retry), Factory("once", Retry, Retry), Factory("none", len))
PAGE = f"""# A plugin

<!-- options: again, once -->

{options_table(Retry)}
<!-- /options -->

The end.
"""


def test_a_page_is_filled_where_it_says_so_and_nowhere_else() -> None:
    bare = "# A plugin\n\n<!-- options: again, once -->\nold\n<!-- /options -->\n\nThe end.\n"
    assert fill_options(bare, WHOLE) == PAGE


def test_a_page_that_is_up_to_date_comes_back_as_it_is() -> None:
    assert fill_options(PAGE, WHOLE) == PAGE


def test_a_page_can_be_started_from_all_tables() -> None:
    started = options_tables(WHOLE)
    assert started in PAGE
    assert fill_options(started, WHOLE) == started


@pytest.mark.parametrize(
    "page, problem",
    [
        ("<!-- options: agian -->\n<!-- /options -->", "`agian` has no options; those that have: again, once"),
        ("<!-- options: none -->\n<!-- /options -->", "`none` has no options"),
        ("<!-- options: again -->\n<!-- /options -->", "the options of `once` are on no table"),
        ("<!-- options: again, once -->\n", "has no <!-- /options --> behind it"),
        (
            "<!-- options: again -->\n<!-- options: once -->\n<!-- /options -->",
            "again --> has no <!-- /options --> behind it",
        ),
        ("", "the options of `again` are on no table"),
    ],
)
def test_a_page_that_cannot_be_filled_says_why(page: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        fill_options(page, WHOLE)


def test_what_has_other_options_needs_a_table_of_its_own() -> None:
    two = plugin(Factory("again", Retry, Retry), Factory("rule", Rule, Rule))
    with pytest.raises(ValueError, match="again or rule have different options"):
        fill_options("<!-- options: again, rule -->\n<!-- /options -->", two)


def test_two_kinds_of_one_name_with_other_options_are_refused() -> None:
    two = SimpleNamespace(
        register_responders=hookimpl(lambda: [Factory("again", Retry, Retry)]),
        register_providers=hookimpl(lambda: [Factory("again", Rule, Rule)]),
    )
    with pytest.raises(ValueError, match="`again` is the name of two things"):
        options_by_name(two)


def test_what_is_no_plugin_has_no_options() -> None:
    with pytest.raises(PluginLoadError, match="registers nothing"):
        options_by_name(SimpleNamespace())


@pytest.mark.parametrize(
    "value, expected, data",
    [
        (0.25, Duration, "250ms"),
        (90.0, Timeout, "90s"),
        (1 << 20, Size, "1MiB"),
        (5.0, Timeout | None, "5s"),
        (None, Timeout | None, None),
        (Colour.DEEP_BLUE, Colour, "deep blue"),
        (Path("a/b"), Path, "a/b"),
        (True, bool, True),
        ((1.0, 2.0), tuple[Duration, ...], ["1s", "2s"]),
        (frozenset({"b", "a"}), frozenset[str], ["a", "b"]),
        ({"a": 1.0}, dict[str, Duration], {"a": "1s"}),
        (AudioFormat(encoding="pcm16", rate=24000), AudioFormat, "pcm16@24000"),
        (Secret("hush"), Secret, None),
        (Retry(), Retry, None),
    ],
)
def test_a_value_is_json_as_a_file_would_have_it(value: object, expected: object, data: object) -> None:
    assert json_value(value, expected) == data
