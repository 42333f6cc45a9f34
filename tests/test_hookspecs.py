"""The hooks of one plugin: found, checked and called."""

import inspect
from collections.abc import Callable
from types import ModuleType

import msgspec
import pytest

from agentkit import hookspecs
from agentkit.errors import PluginLoadError
from agentkit.hookspecs import HOOKS, collect, hookimpl, lookalikes
from agentkit.registry import KINDS, Factory
from agentkit.tools import tool


@tool
def hello() -> str:
    """Say hello."""
    return "hello"


def module(**functions: Callable[..., object]) -> ModuleType:
    made = ModuleType("plugin")
    vars(made).update({name: hookimpl(function) for name, function in functions.items()})
    return made


def test_every_kind_has_a_hook_and_every_hook_a_kind() -> None:
    marked = {name for name, value in vars(hookspecs).items() if hasattr(value, "agentkit_spec")}
    assert marked == set(HOOKS) == {f"register_{kind}" for kind in KINDS}


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_every_hook_says_what_it_takes_and_returns_and_shows_an_example(name: str) -> None:
    documented = inspect.getdoc(getattr(hookspecs, name)) or ""
    assert "Takes no arguments. Returns an iterable of" in documented
    assert f"@hookimpl\n    def {name}():" in documented


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_a_hook_that_nobody_implements_registers_nothing(name: str) -> None:
    assert getattr(hookspecs, name)() == ()


def test_what_hooks_return_is_collected_by_kind_and_name() -> None:
    layer = Factory("redact", object)
    registered = collect(module(register_tools=lambda: [hello], register_middleware=lambda: (layer,)))
    assert registered["tools"] == {"hello": hello}
    assert registered["middleware"] == {"redact": layer}
    assert registered["presets"] == {}


def test_an_object_with_marked_methods_is_a_plugin_too() -> None:
    class Plugin:
        @hookimpl
        def register_tools(self) -> list[object]:
            return [hello]

    assert collect(Plugin())["tools"] == {"hello": hello}


def test_a_hook_is_a_plain_function_for_its_own_tests() -> None:
    assert hookimpl(lambda: [hello])() == [hello]


def test_a_misspelt_hook_gets_the_nearest_name() -> None:
    with pytest.raises(PluginLoadError, match="no hook `register_tool`; did you mean `register_tools`"):
        collect(module(register_tool=lambda: [hello]))


def test_a_hook_that_declares_itself_optional_may_be_unknown() -> None:
    plugin = module(register_tools=lambda: [hello])
    vars(plugin)["register_skills"] = hookimpl(optionalhook=True)(lambda: [])
    assert collect(plugin)["tools"] == {"hello": hello}


def test_a_hook_with_arguments_is_refused() -> None:
    with pytest.raises(PluginLoadError, match=r"signature is wrong, hooks take no arguments: .*config"):
        collect(module(register_tools=lambda config: [hello]))


def test_a_wrapper_is_refused() -> None:
    def register_tools():  # type: ignore[no-untyped-def]  # as a plugin may write it
        return (yield)

    plugin = ModuleType("plugin")
    vars(plugin)["register_tools"] = hookimpl(wrapper=True)(register_tools)
    with pytest.raises(PluginLoadError, match="register_tools is marked as a wrapper"):
        collect(plugin)


def test_a_forgotten_marker_is_named() -> None:
    plugin = ModuleType("plugin")
    vars(plugin)["register_tools"] = lambda: [hello]
    with pytest.raises(PluginLoadError, match="register_tools is not marked with @hookimpl"):
        collect(plugin)


def test_a_forgotten_marker_beside_a_marked_hook_is_named() -> None:
    plugin = module(register_tools=lambda: [hello])
    vars(plugin)["register_presets"] = lambda: []
    with pytest.raises(PluginLoadError, match="register_presets is not marked with @hookimpl, so it would never be"):
        collect(plugin)


def test_a_class_in_the_place_of_its_instance_is_named() -> None:
    class Plugin:
        @hookimpl
        def register_tools(self) -> list[object]:
            return [hello]

    with pytest.raises(PluginLoadError, match="the entry point names the class Plugin; name the module or an instance"):
        collect(Plugin)


def test_a_module_whose_hooks_are_methods_is_told_what_to_name() -> None:
    plugin = ModuleType("plugin")
    vars(plugin)["hookimpl"] = hookimpl
    exec("class Tides:\n    @hookimpl\n    def register_tools(self):\n        return []", vars(plugin))
    with pytest.raises(PluginLoadError, match=r"the hooks are methods of the class Tides, .* name it: plugin:NAME"):
        collect(plugin)


def test_two_functions_for_one_hook_are_refused() -> None:
    plugin = module(register_tools=lambda: [hello])
    vars(plugin)["more"] = hookimpl(specname="register_tools")(lambda: [])
    with pytest.raises(PluginLoadError, match="two functions implement register_tools"):
        collect(plugin)


def test_options_whose_types_only_a_checker_knows_are_refused() -> None:
    space: dict[str, type[msgspec.Struct]] = {}
    exec("import msgspec\nclass C(msgspec.Struct, frozen=True):\n    path: 'Path' = None\n", space)
    with pytest.raises(PluginLoadError, match="the options of `x` cannot be read: name 'Path' is not defined"):
        collect(module(register_tools=lambda: [Factory("x", len, space["C"])]))


def test_a_function_that_looks_like_a_hook_is_found() -> None:
    plugin = ModuleType("plugin")
    exec("def register_tool(): ...\ndef register_everything_else_of_mine(): ...\ndef helper(): ...", vars(plugin))
    assert lookalikes(plugin) == [("register_tool", "register_tools")]


def test_an_object_has_no_lookalikes() -> None:
    assert lookalikes(object()) == []


@pytest.mark.parametrize(
    "plugin, what", [(ModuleType("empty"), "the module"), (None, "the object of type NoneType"), (3, "int")]
)
def test_something_without_hooks_is_no_plugin(plugin: object, what: str) -> None:
    with pytest.raises(PluginLoadError, match=rf"{what} registers nothing: no function is marked"):
        collect(plugin)


def test_one_plugin_never_sees_the_hooks_of_another() -> None:
    collect(module(register_tools=lambda: [hello]))
    assert collect(module(register_presets=lambda: []))["tools"] == {}
