"""Loading plugins: each is imported on first use, and a broken one is named while the others work.

Rule: there is no module-level set of plugins; ``load_plugins`` makes one and its owner passes it on.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, overload

import msgspec

from agentkit.discovery import (
    BUILTIN,
    Discovery,
    Record,
    Source,
    builtin_source,
    cache_file,
    discover,
    read_index,
    write_index,
)
from agentkit.errors import PluginError, PluginLoadError, UnknownNameError
from agentkit.isolation import Loaded, run_plugin
from agentkit.registry import KINDS, SINGULAR, Factory, Kind, LazyCommand, Owner, Registry, nearest

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from agentkit.local.responder import Responder
    from agentkit.middleware import Middleware
    from agentkit.presets import Preset
    from agentkit.tools import Tool, Toolset
    from agentkit.transports.base import Provider


State: TypeAlias = Literal["loaded", "not imported", "disabled", "failed"]
"""Where a plugin is."""

SLOW_MS: Final = 500.0
"""An import that takes longer is said: it delays every command that needs the plugin."""

_SWITCHES: Final = "AGENTKIT_PLUGINS or --plugins"
_log = logging.getLogger(__name__)


class PluginInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``agentkit plugins``."""

    name: str
    distribution: str
    version: str
    state: State
    registers: dict[Kind, tuple[str, ...]]
    """The names by kind; empty where they are not known."""
    import_ms: float | None = None
    """How long the import took, now or when the index was made."""
    problem: str | None = None
    """Why it failed, in one line."""
    hint: str | None = None
    """What to do about it, or how to go on without it."""
    origin: str = ""
    """Where its distribution was installed from, in words; empty where nothing says so."""
    notices: tuple[str, ...] = ()
    """What is not wrong and not good either: names that are agentkit's own, a slow import."""


class _Limit(msgspec.Struct, frozen=True):
    """A list of the plugins that may be used."""

    plugins: frozenset[str]
    where: str
    """Where the list stands, as messages say it."""


class Plugins:
    """The plugins of one program, each imported when one of its names is first used."""

    def __init__(
        self, discovery: Discovery, *, only: frozenset[str] | None = None, index_file: Path | None = None
    ) -> None:
        """Take what was discovered; ``load_plugins`` and ``from_modules`` are the usual ways in.

        Args:
            discovery: The plugins that exist.
            only: The plugins that may be used besides the built-in one; None for all.
            index_file: Where the index of names is kept between runs; None to keep none.
        """
        self._discovery = discovery
        self._limits = () if only is None else (_Limit(only, _SWITCHES),)
        self._index_file = index_file
        self._loaded: dict[str, Loaded] = {}
        self._failed: dict[str, PluginLoadError] = {}
        self._records: dict[str, Record] = {}
        self._off: dict[str, Record] = {}
        self._notices: dict[str, tuple[str, ...]] = {}
        self._registry: Registry | None = None

    @classmethod
    def from_modules(cls, modules: Mapping[str, ModuleType | object], *, builtin: bool = True) -> Plugins:
        """Use modules (or any objects with hooks) that are already in memory as plugins.

        Args:
            modules: By plugin name.
            builtin: Whether the core's own plugin is there too.
        """
        sources = {
            name: Source(owner=Owner(name), target="", load=partial(_given, module)) for name, module in modules.items()
        }
        if builtin:
            sources.setdefault(BUILTIN, builtin_source())
        return cls(Discovery(sources=sources))

    @property
    def fingerprint(self) -> str | None:
        """What is installed, as one text that changes with it; None where that cannot be told."""
        parts = [self._discovery.sources[name].fingerprint for name in sorted(self._enabled_sources())]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest() if all(parts) else None

    @overload
    def get(self, kind: Literal["tools"], name: str) -> Tool[..., object] | Factory[Tool[..., object] | Toolset]: ...
    @overload
    def get(self, kind: Literal["middleware"], name: str) -> Factory[Middleware]: ...
    @overload
    def get(self, kind: Literal["presets"], name: str) -> Preset: ...
    @overload
    def get(self, kind: Literal["providers"], name: str) -> Factory[Provider]: ...
    @overload
    def get(self, kind: Literal["responders"], name: str) -> Factory[Responder]: ...
    @overload
    def get(self, kind: Literal["commands"], name: str) -> LazyCommand: ...
    def get(self, kind: Kind, name: str) -> object:
        """Return what a plain (``now``) or qualified (``basics:now``) name stands for.

        Only the plugin that gives it is imported.

        Raises:
            UnknownNameError: No plugin gives the name; the message has the nearest.
            DuplicateNameError: Several plugins give it; the message has the qualified spellings.
            PluginLoadError: The plugin that gives it cannot be loaded.
        """
        plugin, colon, plain = name.rpartition(":")
        if colon and plugin in self._discovery.sources:
            if not self._enabled(plugin):
                raise self._switched_off(plugin, name)
            loaded = self._load(plugin)
            if plain in loaded.values[kind]:
                return loaded.values[kind][plain]
        try:
            return self._names().get(kind, name).load()
        except UnknownNameError:
            # What a plugin registers may depend on more than its fingerprint: ask all before saying no.
            for other in self._enabled_sources():
                with contextlib.suppress(PluginLoadError):
                    self._load(other)
            self._registry = None
        try:
            return self._names().get(kind, name).load()
        except UnknownNameError as error:
            raise self._explained(error, kind, plugin) from None

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Return every name of a kind, sorted; one of several plugins comes in its qualified spellings."""
        return self._names().names(kind)

    def owner(self, kind: Kind, name: str) -> Owner:
        """Return who brought a name, without importing it.

        Raises:
            UnknownNameError: No plugin gives the name.
            DuplicateNameError: Several plugins give it.
        """
        return self._names().get(kind, name).owner

    @property
    def failures(self) -> tuple[PluginError, ...]:
        """What could not be loaded: an error each, its text one line, its ``hint`` the way on."""
        self._names()
        allowed = [error for error in self._discovery.failures if self._concerns(error)]
        return (*allowed, *self._unknown_plugins(), *(self._failed[name] for name in sorted(self._failed)))

    def report(self) -> tuple[PluginInfo, ...]:
        """Return one row for each plugin, also if disabled or failed, sorted by name, the built-in first."""
        self._names()
        rows = [self._row(name, source) for name, source in self._discovery.sources.items()]
        for error in (*self._discovery.failures, *self._unknown_plugins()):
            name, distribution = error.plugin or "?", error.distribution or ""
            state: State = "failed" if self._concerns(error) else "disabled"
            rows.append(
                PluginInfo(
                    name=name,
                    distribution=distribution,
                    version="",
                    state=state,
                    registers={},
                    problem=str(error),
                    hint=error.hint,
                )
            )
        return tuple(sorted(rows, key=lambda row: (row.name != BUILTIN, row.name)))

    def restrict(self, names: Iterable[str], *, where: str = "`plugins:`") -> Plugins:
        """Return the same plugins with only the named ones, and the built-in one, switched on.

        A restriction narrows: what was switched off before stays off. A name that no plugin has is one of the new
        object's ``failures``; ``check_plugin_name`` says it beforehand.

        Args:
            names: The plugins that may be used.
            where: Where the list stands, as messages say it; a configuration's key by default.
        """
        narrowed = Plugins(self._discovery, index_file=self._index_file)
        narrowed._limits = (*self._limits, _Limit(frozenset(names), where))
        narrowed._loaded = dict(self._loaded)
        narrowed._failed = dict(self._failed)
        narrowed._notices = dict(self._notices)
        return narrowed

    def check_plugin_name(self, plugin: str) -> None:
        """Check that a plugin of this name is installed, switched off or not; it is not imported.

        Raises:
            UnknownNameError: There is none; the message has the nearest.
            PluginError: It is installed and can never be loaded, as one that needs another agentkit.
        """
        if plugin in self._discovery.sources:
            return
        for error in self._discovery.failures:
            if error.plugin == plugin:
                raise error
        raise _unknown_plugin(plugin, self._discovery.sources)

    def load(self, plugin: str) -> Loaded:
        """Import one plugin, and no other, and return everything that it registers.

        Raises:
            UnknownNameError: There is no such plugin, or it is switched off.
            PluginError: It cannot be loaded.
        """
        self.check_plugin_name(plugin)
        if not self._enabled(plugin):
            raise self._switched_off(plugin)
        return self._load(plugin)

    def _enabled(self, plugin: str) -> bool:
        return plugin == BUILTIN or self._excluding(plugin) is None

    def _excluding(self, plugin: str) -> _Limit | None:
        return next((limit for limit in self._limits if plugin not in limit.plugins), None)

    def _enabled_sources(self) -> list[str]:
        return [name for name in self._discovery.sources if self._enabled(name)]

    def _concerns(self, error: PluginError) -> bool:
        return error.plugin is None or self._enabled(error.plugin)

    def _unknown_plugins(self) -> list[UnknownNameError]:
        known = {
            *self._discovery.sources,
            *(error.plugin for error in self._discovery.failures if error.plugin),
        }
        return [
            _unknown_plugin(name, known, hint=f"correct the name in {limit.where}")
            for limit in self._limits
            for name in sorted(limit.plugins - known)
        ]

    def _names(self) -> Registry:
        if self._registry is None:
            self._refresh_records()
            self._registry = registry = Registry()
            own = self._records[BUILTIN].names if BUILTIN in self._records else {}
            for plugin, record in self._records.items():
                taken: list[tuple[Kind, str]] = []
                for kind in KINDS:
                    for name in record.names.get(kind, ()):
                        plain = plugin == BUILTIN or name not in own.get(kind, ())
                        load = partial(self._value, kind, plugin, name)
                        owner = self._discovery.sources[plugin].owner
                        registry.add(kind, name, owner=owner, load=load, plain=plain)
                        taken += [] if plain else [(kind, name)]
                self._notice(plugin, taken)
        return self._registry

    def _notice(self, plugin: str, taken: Sequence[tuple[Kind, str]]) -> None:
        """Say once which names a plugin cannot have, because they are agentkit's own."""
        owner = self._discovery.sources[plugin].owner
        notices = tuple(
            f"the {SINGULAR[kind]} `{name}` stays agentkit's own; the one of plugin {owner} is `{plugin}:{name}`"
            for kind, name in taken
        )
        if plugin not in self._notices:
            for notice in notices:
                _log.warning("%s", notice)
        self._notices[plugin] = notices

    def _refresh_records(self) -> None:
        kept = read_index(self._index_file)
        index = {
            name: record
            for name, record in kept.items()
            if name in self._discovery.sources and record.fingerprint == self._discovery.sources[name].fingerprint
        }
        for name in self._enabled_sources():
            if name not in index and name not in self._loaded and name not in self._failed:
                with contextlib.suppress(PluginLoadError):
                    self._load(name)
        # What this process saw is newer than what was kept. A failure is never kept: a missing package
        # may be there next time, and the plugin's fingerprint would not show it.
        for name, loaded in self._loaded.items():
            index[name] = _record(self._discovery.sources[name].fingerprint, loaded)
        for name in self._failed:
            index.pop(name, None)
        self._records = {name: index[name] for name in self._enabled_sources() if name in index}
        self._off = {name: record for name, record in index.items() if name not in self._records}
        lasting = {name: record for name, record in index.items() if record.fingerprint}
        if lasting != kept:
            write_index(self._index_file, lasting)

    def _value(self, kind: Kind, plugin: str, name: str) -> object:
        if kind == "commands" and plugin not in self._loaded:
            return next(command for command in self._records[plugin].commands if command.name == name)
        values = self._load(plugin).values[kind]
        if name in values:
            return values[name]
        self._registry = None
        return self._names().get(kind, name).load()

    def _load(self, plugin: str) -> Loaded:
        if plugin in self._loaded:
            return self._loaded[plugin]
        if plugin in self._failed:
            raise self._failed[plugin]
        source = self._discovery.sources[plugin]
        try:
            loaded = self._loaded[plugin] = run_plugin(source)
        except PluginLoadError as error:
            error.hint = "; ".join(filter(None, (error.hint, self._without(source))))
            self._failed[plugin] = error
            raise
        return loaded

    def _without(self, source: Source) -> str:
        plugin, distribution = source.owner.plugin, source.owner.distribution
        if plugin == BUILTIN:
            return f"this plugin is agentkit's own: pip install --force-reinstall {distribution}"
        others = sorted(name for name in self._enabled_sources() if name not in {plugin, BUILTIN})
        hint = f"to go on without it: AGENTKIT_PLUGINS={','.join(others) or 'none'}"
        return f"{hint}, or pip uninstall {distribution}" if distribution else hint

    def _switched_off(self, plugin: str, name: str | None = None) -> UnknownNameError:
        limit = self._excluding(plugin)
        where = limit.where if limit is not None else _SWITCHES
        subject = "it cannot be used" if name is None else f"`{name}` cannot be used"
        message = f"plugin `{plugin}` is installed but switched off by {where}, so {subject}"
        return UnknownNameError(message, name=name or plugin, plugin=plugin, hint=f"add {plugin} to {where}")

    def _explained(self, error: UnknownNameError, kind: Kind, plugin: str) -> UnknownNameError:
        giver = next((off for off, record in self._off.items() if error.name in record.names.get(kind, ())), None)
        if giver is not None and not self._enabled(giver):
            return self._switched_off(giver, error.name)
        message, hint = str(error), error.hint
        if plugin and plugin not in self._discovery.sources:
            known = self._enabled_sources()
            found = next((failure for failure in self.failures if failure.plugin == plugin), None)
            message, hint = (str(found), found.hint) if found else (str(_unknown_plugin(plugin, known)), hint)
        elif self.failures:
            broken = ", ".join(f"`{failure.plugin or failure.distribution}`" for failure in self.failures)
            message += f" (names of {broken} are missing: see agentkit plugins)"
        return UnknownNameError(message, name=error.name, known=error.known, plugin=plugin or None, hint=hint)

    def _row(self, name: str, source: Source) -> PluginInfo:
        record, loaded, failed = self._records.get(name), self._loaded.get(name), self._failed.get(name)
        state: State = "not imported"
        if not self._enabled(name):
            state, failed = "disabled", None
        elif failed is not None:
            state = "failed"
        elif loaded is not None:
            state = "loaded"
        return PluginInfo(
            name=name,
            distribution=source.owner.distribution,
            version=source.owner.version,
            state=state,
            registers={kind: record.names[kind] for kind in KINDS if record.names.get(kind)} if record else {},
            import_ms=record.import_ms if record else None,
            problem=str(failed) if failed else None,
            hint=failed.hint if failed else None,
            origin=source.origin,
            notices=(*self._notices.get(name, ()), *_slow(record)),
        )


def load_plugins(only: str | Iterable[str] | None = None, *, environ: Mapping[str, str] = os.environ) -> Plugins:
    """Find the installed plugins; none is imported before a name, or the list of names, is asked for.

    Args:
        only: ``"none"``, ``"a,b"`` or names: the plugins to use besides the built-in one. None asks the
            variable ``AGENTKIT_PLUGINS``, which takes the same, and without it uses all.
        environ: Where the variable and the place of the cache are looked up.
    """
    if only is None:
        only = environ.get("AGENTKIT_PLUGINS") or None
    if isinstance(only, str):
        only = [] if only.strip() == "none" else [name.strip() for name in only.split(",") if name.strip()]
    return Plugins(discover(), only=None if only is None else frozenset(only), index_file=cache_file(environ))


def _given(module: object) -> object:
    return module


def _record(fingerprint: str, loaded: Loaded) -> Record:
    commands = loaded.values["commands"].values()
    return Record(
        fingerprint=fingerprint,
        names={kind: tuple(sorted(loaded.values[kind])) for kind in KINDS},
        commands=tuple(command for command in commands if isinstance(command, LazyCommand)),
        import_ms=round(loaded.import_ms, 1),
    )


def _slow(record: Record | None) -> tuple[str, ...]:
    if record is None or record.import_ms < SLOW_MS:
        return ()
    return (f"its import takes {record.import_ms:.0f} ms; it is imported only when one of its names is used",)


def _unknown_plugin(name: str, known: Iterable[str], *, hint: str | None = None) -> UnknownNameError:
    known = sorted(known)
    near = nearest(name, known)
    advice = f"did you mean `{near[0]}`?" if near else f"installed: {', '.join(known)}"
    return UnknownNameError(f"no plugin is called `{name}`; {advice}", name=name, known=known, plugin=name, hint=hint)
