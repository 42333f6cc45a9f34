"""What a plugin's author wants to know before anybody else does: names, schemas, docstrings, options, import.

Rule: the plugin's code runs, as loading it does; nothing connects. How long its import takes is not measured here,
since it is imported already: ``agentkit plugins --time`` tells.
"""

import importlib
import inspect
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Final

import msgspec
from msgspec import NODEFAULT, Struct

from agentkit.config.describe import field_docs
from agentkit.errors import PluginLoadError
from agentkit.hookspecs import collect
from agentkit.middleware import Middleware
from agentkit.plugins import Plugins
from agentkit.presets import Preset
from agentkit.registry import SINGULAR, Factory, Kind, LazyCommand
from agentkit.testing.configs import load_config
from agentkit.tools import Tool

_NAME: Final = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_BUILTIN: Final = "agentkit.builtin"
_IMPORT_SECONDS: Final = 30.0
_ENVIRONMENT: Final = frozenset({"AK103", "AK201", "AK301"})
"""What a preset alone may lack: a provider, other plugins, variables."""
_BUILT: Final[frozenset[Kind]] = frozenset({"tools", "middleware", "responders"})
"""What is made here with its defaults; a provider may need a key."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing of a plugin that is not as it should be."""

    what: str
    """One of ``hooks name schema docs defaults options build preset command import``."""
    where: str
    """What it is about: ``tool high_tide``, ``middleware deny, option tools``, or the module."""
    message: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def check_plugin(module: ModuleType | object) -> list[Finding]:
    """Check a plugin as its author would like it checked; an empty list says that all is well.

    Args:
        module: The module that the entry point names, or any object with hooks; only a module is imported again, in a
            process of its own, to see whether its import writes anything.
    """
    where = module.__name__ if isinstance(module, ModuleType) else type(module).__name__
    try:
        registered = collect(module)
    except PluginLoadError as error:
        return [Finding(what="hooks", where=where, message=str(error))]
    except Exception as error:  # noqa: BLE001  # isolation boundary of plugin imports: a hook is the plugin's code
        return [Finding(what="hooks", where=where, message=f"a hook raised {type(error).__name__}: {error}")]
    found = [*_import(module)] if isinstance(module, ModuleType) else []
    own = Plugins.from_modules({})
    for kind, items in registered.items():
        for name, item in items.items():
            if name in own.names(kind) and where != _BUILTIN:
                message = "agentkit has one of this name, which wins: people would have to write `plugin:name`"
                found.append(Finding(what="name", where=f"{SINGULAR[kind]} {name}", message=message))
            found += _item(kind, name, item)
    found += _presets(module, registered["presets"].values())
    return found


def _item(kind: Kind, name: str, item: object) -> Iterator[Finding]:
    where = f"{SINGULAR[kind]} {name}"
    if _NAME.fullmatch(name) is None:
        message = f"`{name}` is no name that people expect: small letters and digits, with - or _ between words"
        yield Finding(what="name", where=where, message=message)
    match item:
        case Tool():
            yield from _tool(item, where)
        case Factory():
            yield from _factory(kind, item, where)
        case LazyCommand():
            yield from _command(item, where)
        case Preset() if not item.description:
            yield Finding(what="docs", where=where, message="it has no description: one line for lists")


def _tool(tool: "Tool[..., object]", where: str) -> Iterator[Finding]:
    silent = inspect.isroutine(tool.function) and not tool.function.__doc__ and tool.given_description is None
    if silent or not tool.description:
        yield Finding(what="docs", where=where, message="it has no docstring, so the model is told nothing of it")
    try:
        parameters = tool.parameters
        msgspec.json.encode(parameters)
    except (TypeError, ValueError) as error:
        yield Finding(what="schema", where=where, message=f"its parameters are no JSON Schema: {error}")
        return
    properties = parameters.get("properties")
    for name, schema in (properties if isinstance(properties, Mapping) else {}).items():
        if not isinstance(schema, Mapping) or not schema.get("description"):
            message = f"the model is told nothing of `{name}`: add it to the docstring's Args"
            yield Finding(what="docs", where=where, message=message)
    yield from _tool_defaults(tool, where)


def _tool_defaults(tool: "Tool[..., object]", where: str) -> Iterator[Finding]:
    try:
        parameters = inspect.signature(tool.function).parameters.values()
    except (TypeError, ValueError):
        return
    for each in parameters:
        if isinstance(each.default, list | dict | set | bytearray):
            kind = type(each.default).__name__
            message = f"the default of `{each.name}` is one {kind} for all calls: take None, or a tuple"
            yield Finding(what="defaults", where=where, message=message)


def _factory(kind: Kind, factory: Factory[object], where: str) -> Iterator[Finding]:
    if not factory.description:
        yield Finding(what="docs", where=where, message="its Factory has no description: one line for lists")
    config = factory.config
    if config is not None:
        yield from _options(config, where)
        if any(field.required for field in msgspec.structs.fields(config)):
            return
    if kind not in _BUILT:
        return
    try:
        given = config() if config is not None else None
    except ValueError:
        return  # it has to be told something, though no single option is required
    except Exception as error:  # noqa: BLE001  # isolation boundary of plugin imports: it is the plugin's code
        yield Finding(what="build", where=where, message=f"its defaults do not fit: {type(error).__name__}: {error}")
        return
    try:
        made = factory.make(given)
    except Exception as error:  # noqa: BLE001  # isolation boundary of plugin imports: it is the plugin's code
        message = f"it cannot be made with its defaults: {type(error).__name__}: {error}"
        yield Finding(what="build", where=where, message=message)
        return
    if isinstance(made, Tool):
        yield from _tool(made, where)
    elif kind == "middleware" and not (isinstance(made, Middleware) and made.hooks()):
        message = "it is no Middleware with a hook: an @on(...) method, wrap_tool_call, on_wire or running"
        yield Finding(what="build", where=where, message=message)


def _options(config: type[Struct], where: str) -> Iterator[Finding]:
    if not config.__struct_config__.frozen:
        message = f"{config.__name__} can be changed by whoever has it: write `Struct, frozen=True, kw_only=True`"
        yield Finding(what="options", where=where, message=message)
    documented = field_docs(config)
    for field in msgspec.structs.fields(config):
        option = f"{where}, option {field.encode_name}"
        if not documented.get(field.name):
            message = "it has no description: write a string below the field"
            yield Finding(what="docs", where=option, message=message)
        default = field.default
        if field.default_factory is not NODEFAULT:
            default = field.default_factory()
        if default is NODEFAULT:
            continue
        try:
            pickle.dumps(default)
        except Exception as error:  # noqa: BLE001  # isolation boundary of plugin imports: `__reduce__` is theirs
            message = f"its default cannot be pickled, so it cannot be handed to another process: {error}"
            yield Finding(what="defaults", where=option, message=message)


def _command(command: LazyCommand, where: str) -> Iterator[Finding]:
    module, _, attribute = command.target.partition(":")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # noqa: BLE001  # isolation boundary of plugin imports
        message = f"`{command.target}` leads nowhere: {type(error).__name__}: {error}"
        yield Finding(what="command", where=where, message=message)
        return
    if not callable(getattr(target, "make_context", None)):
        yield Finding(what="command", where=where, message=f"`{command.target}` is no click command")


def _presets(module: object, presets: Iterable[object]) -> Iterator[Finding]:
    for preset in presets:
        if not isinstance(preset, Preset):
            continue
        text = f"preset: {msgspec.json.encode(f'plugin:{preset.name}').decode()}\nagent: {{}}\n"
        _, diagnostics = load_config(text, plugins={"plugin": module}, environ={})
        for each in diagnostics:
            if each.severity == "error" and each.code not in _ENVIRONMENT:
                message = f"{each.message} ({each.place})"
                yield Finding(what="preset", where=f"preset {preset.name}", message=message)


def _import(module: ModuleType) -> Iterator[Finding]:
    name = module.__name__
    if not module.__doc__:
        yield Finding(what="docs", where=name, message="it has no docstring: say in one line what the plugin brings")
    if name == "__main__":
        return
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUTF8": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"import {name}"],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_IMPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        message = f"its import takes more than {_IMPORT_SECONDS:g} s"
        yield Finding(what="import", where=name, message=message)
        return
    wrote = f"{done.stdout}{done.stderr}".strip()
    if done.returncode:
        last = wrote.splitlines()[-1] if wrote else f"exit code {done.returncode}"
        yield Finding(what="import", where=name, message=f"a new process cannot import it: {last}")
    elif wrote:
        first = wrote.splitlines()[0]
        yield Finding(what="import", where=name, message=f"its import writes to the terminal: {first[:200]}")
