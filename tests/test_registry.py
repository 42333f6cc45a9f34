"""Names, their owners, and what may stand behind them."""

from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import DuplicateNameError, PluginLoadError, UnknownNameError
from agentkit.local import RulesResponder
from agentkit.middleware import Middleware
from agentkit.providers import Local
from agentkit.registry import Factory, Kind, LazyCommand, Owner, Registry, check_items, check_product
from agentkit.tools import Toolset, tool

BASICS = Owner("basics", "agentkit-realtime-basics", "0.1")
CLOCKS = Owner("clocks", "agentkit-clocks", "2.0")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    size: int = 3


class Required(msgspec.Struct, frozen=True, kw_only=True):
    size: int


def registry(*entries: tuple[str, Owner]) -> Registry:
    filled = Registry()
    for name, owner in entries:
        filled.add("tools", name, owner=owner, load=partial("{}'s {}".format, owner.plugin, name))
    return filled


@tool
def hello() -> str:
    """Say hello."""
    return "hello"


def test_a_name_leads_to_its_entry() -> None:
    entry = registry(("now", BASICS)).get("tools", "now")
    assert (entry.load(), entry.owner, entry.qualified) == ("basics's now", BASICS, "basics:now")


def test_a_qualified_name_leads_to_the_same_entry() -> None:
    names = registry(("now", BASICS))
    assert names.get("tools", "basics:now") == names.get("tools", "now")


def test_a_name_of_two_plugins_is_refused_and_names_both() -> None:
    with pytest.raises(DuplicateNameError) as caught:
        registry(("now", BASICS), ("now", CLOCKS)).get("tools", "now")
    assert str(caught.value) == (
        "the tool `now` is given by several plugins: basics (agentkit-realtime-basics 0.1) and "
        "clocks (agentkit-clocks 2.0); write `basics:now` or `clocks:now`"
    )


def test_a_qualified_name_settles_a_duplicate() -> None:
    assert registry(("now", BASICS), ("now", CLOCKS)).get("tools", "clocks:now").owner == CLOCKS


def test_duplicates_are_listed_in_their_qualified_spellings() -> None:
    names = registry(("now", CLOCKS), ("now", BASICS), ("add", BASICS)).names("tools")
    assert names == ("add", "basics:now", "clocks:now")


def test_one_plugin_cannot_give_a_name_twice() -> None:
    with pytest.raises(DuplicateNameError, match="gives the tool `now` twice"):
        registry(("now", BASICS), ("now", BASICS))


def test_kinds_do_not_share_names() -> None:
    names = registry(("now", BASICS))
    assert names.find("middleware", "now") is None
    assert names.names("presets") == ()


def test_an_unknown_name_gets_the_nearest_and_its_distribution() -> None:
    with pytest.raises(UnknownNameError) as caught:
        registry(("weather", BASICS), ("now", BASICS)).get("tools", "Wether")
    assert str(caught.value) == (
        "no tool is called `Wether`; did you mean `weather` (from agentkit-realtime-basics 0.1)?"
    )
    assert (caught.value.name, caught.value.known) == ("Wether", ("now", "weather"))


def test_an_unknown_name_without_a_near_one_gets_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="known: now, weather"):
        registry(("weather", BASICS), ("now", BASICS)).get("tools", "zzz")


def test_an_unknown_name_among_none_says_only_that() -> None:
    with pytest.raises(UnknownNameError, match=r"^no tool is called `now`$"):
        Registry().get("tools", "now")


def test_an_unknown_qualified_name_gets_the_nearest_of_that_plugin() -> None:
    with pytest.raises(UnknownNameError, match=r"plugin `basics` gives no tool called `nwo`; .*`basics:now`"):
        registry(("now", BASICS), ("nwo", CLOCKS)).get("tools", "basics:nwo")


def test_the_nearest_of_several_owners_is_given_in_a_spelling_that_works() -> None:
    with pytest.raises(UnknownNameError, match="did you mean `basics:clock`"):
        registry(("clock", BASICS), ("clock", CLOCKS)).get("tools", "basics:clok")


ENTRIES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.booleans()), unique_by=lambda entry: entry[:2]
)


@given(ENTRIES)
def test_every_listed_name_is_found_and_every_entry_is_found_by_its_qualified_name(
    entries: list[tuple[str, str, bool]],
) -> None:
    names = Registry()
    for name, plugin, plain in entries:
        names.add("tools", name, owner=Owner(plugin), load=partial("{}:{}".format, plugin, name), plain=plain)
    listed = names.names("tools")
    assert len(listed) == len(entries)
    assert {names.get("tools", name).load() for name in listed} == {f"{plugin}:{name}" for name, plugin, _ in entries}
    for name, plugin, _ in entries:
        assert names.get("tools", f"{plugin}:{name}").owner.plugin == plugin


@given(ENTRIES, st.sampled_from("abc"))
def test_a_plain_name_is_found_where_exactly_one_plugin_may_mean_it(
    entries: list[tuple[str, str, bool]], asked: str
) -> None:
    names = Registry()
    for name, plugin, plain in entries:
        names.add("tools", name, owner=Owner(plugin), load=partial("{}:{}".format, plugin, name), plain=plain)
    meant = [plugin for name, plugin, plain in entries if name == asked and plain]
    if len(meant) > 1:
        with pytest.raises(DuplicateNameError):
            names.find("tools", asked)
    else:
        entry = names.find("tools", asked)
        assert [entry.owner.plugin] == meant if entry is not None else not meant


@pytest.mark.parametrize("name", ["", "a b", "a:b", "x" * 65])
def test_a_name_that_cannot_be_written_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a name"):
        registry((name, BASICS))


def test_an_owner_given_in_code_is_only_its_plugin() -> None:
    assert str(Owner("mine")) == "mine"


def test_a_factory_builds_with_its_options() -> None:
    assert Factory("n", lambda options: options.size, Options).make(Options(size=5)) == 5


def test_a_factory_builds_with_the_defaults_of_its_options() -> None:
    assert Factory("n", lambda options: options.size, Options).make() == 3


def test_a_factory_without_options_builds_from_nothing() -> None:
    assert Factory("n", lambda: 7).make() == 7


def test_a_factory_refuses_options_it_does_not_take() -> None:
    with pytest.raises(TypeError, match="takes no options"):
        Factory("n", lambda: 7).make(Options())


def test_a_factory_refuses_options_of_another_class() -> None:
    with pytest.raises(TypeError, match="takes Required, not Options"):
        Factory("n", lambda options: 7, Required).make(Options())


def test_a_factory_with_required_options_cannot_do_without_them() -> None:
    with pytest.raises(TypeError, match="size"):
        Factory("n", lambda options: 7, Required).make()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((3, len, None), "name must be a text"),
        (("n", "build", None), "build must be callable"),
        (("n", len, dict), r"config must be a msgspec.Struct class"),
        (("n", len, Options()), r"config must be a msgspec.Struct class"),
    ],
)
def test_a_factory_refuses_what_could_only_fail_later(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Factory(*arguments)  # type: ignore[arg-type]  # wrong on purpose


class Loose(msgspec.Struct):
    size: int = 1


class Truthy(msgspec.Struct, frozen=True):
    switch: bool = msgspec.field(name="On", default=True)


def test_options_that_can_change_are_refused() -> None:
    with pytest.raises(TypeError, match=r"Loose must be frozen: class Loose\(Struct, frozen=True\)"):
        Factory("n", len, Loose)


def test_an_option_that_yaml_takes_for_a_truth_value_is_refused_by_the_name_in_the_file() -> None:
    with pytest.raises(TypeError, match=r"Truthy\.On would be a truth value in YAML"):
        Factory("n", len, Truthy)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--tides", "Print.", "a:b"), "the name must be a verb"),
        (("my tides", "Print.", "a:b"), "the name must be a verb"),
        (("tides", "", "a:b"), "help must be one line"),
        (("tides", "Two\nlines.", "a:b"), "help must be one line"),
        (("tides", "Print.", "a"), "target must be 'module:attribute'"),
        (("tides", "Print.", "a:"), "target must be 'module:attribute'"),
        (("tides", "Print.", "a b:c"), "target must be 'module:attribute'"),
    ],
)
def test_a_command_refuses_what_could_only_fail_when_it_runs(arguments: tuple[str, str, str], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        LazyCommand(*arguments)


@pytest.mark.parametrize(
    "kind, product, wanted",
    [
        ("tools", "now", "a str, and it must return a Tool or a Toolset"),
        ("tools", None, "nothing, and it must return a Tool or a Toolset"),
        ("middleware", hello, "a Tool, and it must return a Middleware"),
        ("providers", object(), "an object, and it must return a Provider"),
        ("responders", len, "the function len, and it must return a Responder"),
    ],
)
def test_what_a_factory_built_of_another_kind_is_told(kind: Kind, product: object, wanted: str) -> None:
    assert check_product(kind, product) == f"its build returned {wanted}"


class Inventory(Toolset):
    pass


class Idle(Middleware):
    pass


@pytest.mark.parametrize(
    "kind, product",
    [
        ("tools", hello),
        ("tools", Inventory()),
        ("middleware", Idle()),
        ("providers", Local()),
        ("responders", RulesResponder()),
    ],
)
def test_what_a_factory_built_of_its_kind_is_fine(kind: Kind, product: object) -> None:
    assert check_product(kind, product) is None


def test_a_name_that_is_not_plain_is_found_only_with_its_plugin() -> None:
    names = registry(("now", BASICS))
    names.add("tools", "now", owner=CLOCKS, load=lambda: "theirs", plain=False)
    assert names.get("tools", "now").owner == BASICS
    assert names.get("tools", "clocks:now").load() == "theirs"
    assert names.names("tools") == ("clocks:now", "now")


def test_items_are_returned_by_name() -> None:
    factory = Factory("count", lambda: hello)
    assert check_items("tools", iter([hello, factory])) == {"hello": hello, "count": factory}


def test_commands_are_lazy_commands() -> None:
    command = LazyCommand("tides", "Print the tides.", "tides.cli:main")
    assert check_items("commands", [command]) == {"tides": command}


async def coroutine() -> list[object]:
    return [hello]


@pytest.mark.parametrize(
    "kind, returned, message",
    [
        ("tools", None, r"register_tools returned None; is a `return` missing\?"),
        ("tools", hello, "register_tools returned a Tool; it must return a list"),
        ("tools", 3, "register_tools returned an int; it must return a list"),
        ("tools", "now", "a str as item 0; each must be a tool"),
        (
            "tools",
            [hello, len],
            r"the function len as item 1; each must be a tool \(a function",
        ),
        ("tools", [hello, hello], "the name `hello` twice"),
        ("middleware", [Options], r"the class Options as item 0; each must be a Factory"),
        ("presets", [{"name": "x"}], "a dict as item 0; each must be a Preset"),
        ("commands", [hello], "a Tool as item 0; each must be a LazyCommand"),
        ("responders", [Factory("a b", len)], "the name 'a b'; a name has 1 to 64 characters"),
    ],
)
def test_a_hook_that_returns_garbage_is_told_what_to_return(kind: str, returned: object, message: str) -> None:
    with pytest.raises(PluginLoadError, match=message):
        check_items(kind, returned)  # type: ignore[arg-type]  # a literal of the table above


def test_an_async_hook_is_refused_without_leaving_a_coroutine_behind() -> None:
    with pytest.raises(PluginLoadError, match="register_tools is async"):
        check_items("tools", coroutine())


def test_an_endless_hook_is_cut_off() -> None:
    names = (Factory(f"n{number}", len) for number in range(10_000))
    with pytest.raises(PluginLoadError, match="more than 1000 items"):
        check_items("tools", names)
