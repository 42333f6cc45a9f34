"""Everything a plugin can register: six hooks, each a plain function that takes nothing and returns values.

Rule: hooks only register. They are called once, after the plugin's import, and never while a session runs. A
plugin is a module named by an entry point of the group ``agentkit``; it implements the hooks it needs::

    [project.entry-points.agentkit]
    clock = "agentkit_clock"
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Final

import pluggy

from agentkit.errors import PluginLoadError
from agentkit.registry import KINDS, Factory, Kind, LazyCommand, check_items, nearest

if TYPE_CHECKING:
    from agentkit.local.responder import Responder
    from agentkit.middleware import Middleware
    from agentkit.presets import Preset
    from agentkit.tools import Tool, Toolset
    from agentkit.transports.base import Provider

hookspec = pluggy.HookspecMarker("agentkit")
"""Marks the hooks of this file."""

hookimpl = pluggy.HookimplMarker("agentkit")
"""Marks a plugin's function as its implementation of the hook of the same name."""


@hookspec
def register_tools() -> Iterable[Tool[..., object] | Factory[Tool[..., object] | Toolset]]:
    """Return the tools of this plugin.

    A ``Tool`` (what ``@tool`` makes) is the same in every session. A ``Factory`` makes one for each
    session, from options (``with:``) that are checked against its config class; or a ``Toolset``: several tools
    that share a state, as a connection. What needs an extra of the distribution is imported in ``build``, and
    ``Factory(..., extra="name")`` says which: where it is missing, only this tool is off.

    Takes no arguments. Returns an iterable of ``Tool`` and ``Factory[Tool | Toolset]``::

        @tool
        def now(zone: str = "UTC") -> str:
            \"""Tell the current time in a time zone.\"""
            return datetime.now(ZoneInfo(zone)).isoformat(timespec="seconds")


        @hookimpl
        def register_tools():
            return [now]
    """
    return ()


@hookspec
def register_middleware() -> Iterable[Factory[Middleware]]:
    """Return the middleware of this plugin; each session gets its own instance.

    Takes no arguments. Returns an iterable of ``Factory[Middleware]``::

        class RedactConfig(Struct, frozen=True, kw_only=True):
            pattern: str


        @hookimpl
        def register_middleware():
            return [Factory("redact", Redact, RedactConfig)]
    """
    return ()


@hookspec
def register_presets() -> Iterable[Preset]:
    """Return the presets of this plugin: named partial configurations that a file's ``preset:`` starts from.

    Takes no arguments. Returns an iterable of ``Preset``::

        @hookimpl
        def register_presets():
            return [Preset("phone", {"session": {"input_format": "g711_ulaw@8000"}})]
    """
    return ()


@hookspec
def register_providers() -> Iterable[Factory[Provider]]:
    """Return the providers of this plugin: the ways to reach a Realtime server.

    Takes no arguments. Returns an iterable of ``Factory[Provider]``::

        @hookimpl
        def register_providers():
            return [Factory("acme", AcmeProvider, AcmeConfig)]
    """
    return ()


@hookspec
def register_responders() -> Iterable[Factory[Responder]]:
    """Return the responders of this plugin: what answers in the embedded server.

    Takes no arguments. Returns an iterable of ``Factory[Responder]``::

        @hookimpl
        def register_responders():
            return [Factory("parrot", Parrot)]
    """
    return ()


@hookspec
def register_commands() -> Iterable[LazyCommand]:
    """Return the commands that this plugin adds to ``agentkit``; each is imported only when it runs.

    The target is a ``click.Command``. A verb of agentkit's own wins over a plugin's.

    Takes no arguments. Returns an iterable of ``LazyCommand``::

        @hookimpl
        def register_commands():
            return [LazyCommand("tides", "Print the tide table.", "agentkit_tides.cli:tides")]
    """
    return ()


HOOKS: Final[Mapping[str, Kind]] = {f"register_{kind}": kind for kind in KINDS}
"""The kind that each hook registers."""


def collect(plugin: object) -> dict[Kind, dict[str, object]]:
    """Call every hook of one plugin and return what it registers, by kind and name.

    Args:
        plugin: A module, or any object whose methods are marked with ``hookimpl``.

    Raises:
        PluginLoadError: It has no hook, a misspelt one, one with arguments, one that could never be called, or one
            returned what it may not.
        BaseException: Whatever a hook itself raises.
    """
    if inspect.isclass(plugin):
        raise PluginLoadError(f"the entry point names the class {plugin.__name__}; name the module or an instance")
    # One pluggy manager for each plugin, so that none can wrap or see another's hooks.
    manager = pluggy.PluginManager("agentkit")
    manager.add_hookspecs(sys.modules[__name__])
    try:
        manager.register(plugin, "plugin")
    except pluggy.PluginValidationError as error:
        # pluggy's text is several lines; the first two name the hook and the argument.
        reason = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
        raise PluginLoadError(f"a hook's signature is wrong, hooks take no arguments: {reason}") from error
    registered: dict[Kind, dict[str, object]] = {kind: {} for kind in KINDS}
    callers = manager.get_hookcallers(plugin) or []
    if not callers:
        raise PluginLoadError(_no_hooks(plugin))
    for caller in callers:
        for number, implementation in enumerate(caller.get_hookimpls()):
            if caller.name not in HOOKS:
                if implementation.optionalhook:
                    continue
                near = nearest(caller.name, HOOKS) or list(HOOKS)
                raise PluginLoadError(f"there is no hook `{caller.name}`; did you mean `{near[0]}`?")
            if implementation.wrapper or implementation.hookwrapper:
                raise PluginLoadError(f"{caller.name} is marked as a wrapper, but hooks only return values")
            if number:
                raise PluginLoadError(f"two functions implement {caller.name}; one has to return everything")
            kind = HOOKS[caller.name]
            # Called directly: pluggy would hide a None, which is nearly always a forgotten `return`.
            registered[kind] = check_items(kind, implementation.function())
    called = {caller.name for caller in callers}
    for name in _unmarked(plugin):
        if name not in called:
            raise PluginLoadError(f"{name} is not marked with @hookimpl, so it would never be called")
    return registered


def lookalikes(plugin: object) -> list[tuple[str, str]]:
    """Return the functions of a module that look like misspelt hooks and are not marked, each with the hook meant."""
    if not isinstance(plugin, ModuleType):
        return []
    own = [
        name
        for name, value in vars(plugin).items()
        if name.startswith("register_") and inspect.isfunction(value) and value.__module__ == plugin.__name__
    ]
    unmarked = [name for name in own if name not in HOOKS and not hasattr(getattr(plugin, name), "agentkit_impl")]
    return [(name, near[0]) for name in unmarked if (near := nearest(name, HOOKS))]


def _no_hooks(plugin: object) -> str:
    for name in _unmarked(plugin):
        return f"{name} is not marked with @hookimpl"
    if not isinstance(plugin, ModuleType):
        return f"the object of type {type(plugin).__name__} registers nothing: no function is marked with @hookimpl"
    for value in list(vars(plugin).values()):
        if inspect.isclass(value) and value.__module__ == plugin.__name__ and _marked(value):
            return (
                f"the hooks are methods of the class {value.__name__}, which nobody makes an instance of; make one in"
                f" the module, and let the entry point name it: {plugin.__name__}:NAME"
            )
    return "the module registers nothing: no function is marked with @hookimpl"


def _unmarked(plugin: object) -> list[str]:
    """Return the names of hooks that functions of a plugin have without being marked."""
    found = ((name, getattr(plugin, name, None)) for name in HOOKS)
    return [name for name, value in found if callable(value) and not hasattr(value, "agentkit_impl")]


def _marked(owner: type) -> bool:
    return any(hasattr(value, "agentkit_impl") for value in vars(owner).values())
