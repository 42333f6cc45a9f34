"""What a configuration comes to, value by value, each with where it comes from.

Rule: secrets never get into a value. What a class marks as one is masked, and so is whatever the masker knows.
"""

import os
import re
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, Union, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, structs

from agentkit.config.describe import json_value
from agentkit.config.guardrails import BESIDE
from agentkit.config.loaded import Loaded
from agentkit.config.nodes import Block, ListNode, MapNode, Node, Place, ScalarNode, core_kind, is_null
from agentkit.config.scalars import ScalarError, is_parsed, is_scalar_type, read_scalar, unwrap
from agentkit.config.schema import Config, Guardrail, Layer, McpTool, PluginTool, Provider, PythonTool, TextFile
from agentkit.config.shape import discriminator, fields_of
from agentkit.config.walk import to_python
from agentkit.masking import MASK, Masker
from agentkit.providers.local import LocalConfig
from agentkit.registry import Kind
from agentkit.transports.redact import is_secret_name, safe_url
from agentkit.values import Secret

ConfigOf: TypeAlias = Callable[[Kind, str], "type[Struct] | None"]
"""Returns the options class of what a name stands for; None where it has none, or there is no such name."""

_LISTS: Final = (list, tuple, set, frozenset)
_NAMED: Final[Mapping[type[Struct], Kind]] = {
    Provider: "providers",
    PluginTool: "tools",
    Layer: "middleware",
    Guardrail: "middleware",
}
_PATHS: Final = ((PythonTool, "python"), (TextFile, "file"))
"""The fields that say a path relative to the file that has them."""
_TAKEN_IN: Final = ("extends", "preset")
"""What the merged configuration no longer needs."""
_VARIABLE: Final = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-)?")


class Origin(Struct, frozen=True, kw_only=True):
    """Where a value comes from."""

    kind: Literal["file", "preset", "set", "default"]
    """A file (or a text on stdin), a preset, an override of the command line, or nobody but the class."""
    place: Place | None = None
    """Where it is written, or where ``null`` puts the default back."""
    variables: tuple[str, ...] = ()
    """The variables of the environment that were put in; one whose default was taken has ``unset`` behind it."""
    flag: str = "--set"
    """The flag of the command line that overrides, where one does."""

    def __str__(self) -> str:
        place = self.where
        if self.kind == "default":
            return f"default (null at {place})" if place else "default"
        if self.variables:
            return f"{' '.join(f'${name}' for name in self.variables)} ({place})"
        return place or self.kind

    @property
    def where(self) -> str | None:
        """``agent.yaml:9``, ``preset voice (agentkit-realtime 0.1.0)`` or ``--set``."""
        if self.place is None:
            return None
        if self.kind == "set":
            return self.flag
        if self.kind == "preset" or self.place.line is None:
            return self.place.file
        return f"{self.place.file}:{self.place.line}"


class Leaf(Struct, frozen=True, kw_only=True):
    """One value: a text, a number, a truth value, nothing."""

    value: str | int | float | bool | None
    origin: Origin
    written: str | None = None
    """How the file writes a number or a truth value; None for texts."""
    secret: bool = False
    """Whether it is hidden whole."""


class Branch(Struct, frozen=True, kw_only=True):
    """A block of keys, or a list."""

    items: "tuple[tuple[str | int, Shown], ...]"
    """The keys, or the positions, with what they hold."""
    origin: Origin
    is_list: bool = False
    known: tuple[str, ...] = ()
    """The keys that there can be; empty where that is not known."""


Shown: TypeAlias = Leaf | Branch
"""A value of the merged configuration."""


def effective(
    loaded: Loaded,
    config_of: ConfigOf,
    *,
    environ: Mapping[str, str] | None = None,
    masker: Masker | None = None,
    flags: Mapping[str, str] = MappingProxyType({}),
) -> Branch:
    """Return the merged configuration, with every default that is no ``None``.

    Args:
        loaded: The configuration.
        config_of: Looks up what plugins' options are.
        environ: The variables that were put in; the process's own where it is None.
        masker: Knows what is secret besides; what the environment holds where it is None.
        flags: The flags that stand for overrides, by the override's key.
    """
    variables = os.environ if environ is None else environ
    masker = masker if masker is not None else Masker(environ=variables)
    shower = _Shower(loaded, config_of, variables, masker, flags)
    root = MapNode(
        entries={key: entry for key, entry in loaded.root.entries.items() if key not in _TAKEN_IN},
        place=loaded.root.place,
    )
    shown = shower.block(root, Config, dict.fromkeys(_TAKEN_IN))
    return _masked(shown, masker)


def said(shown: Branch) -> Branch:
    """Return only what somebody said, without the defaults."""
    found = _said(shown)
    return found if isinstance(found, Branch) else structs.replace(shown, items=())


def to_data(shown: Shown) -> object:
    """Return values as JSON data."""
    if isinstance(shown, Leaf):
        return shown.value
    if shown.is_list:
        return [to_data(item) for _, item in shown.items]
    return {key: to_data(item) for key, item in shown.items}


class _Shower:
    """Walks nodes beside their classes, as the reader did, and keeps where each value is from."""

    def __init__(
        self,
        loaded: Loaded,
        config_of: ConfigOf,
        environ: Mapping[str, str],
        masker: Masker,
        flags: Mapping[str, str],
    ) -> None:
        self._folder = loaded.folder.path
        self._config_of = config_of
        self._environ = environ
        self._masker = masker
        self._flags = flags

    def block(self, node: MapNode, cls: type[Struct], beside: "Mapping[str, object]") -> Branch:
        """Show a block of keys.

        Args:
            beside: The keys whose defaults are said elsewhere.
        """
        fields = fields_of(cls)
        items: list[tuple[str | int, Shown]] = []
        for key, entry in node.entries.items():
            info = fields.get(key)
            if is_null(entry.value) and info is not None and info.type is not Block:
                default = self._default(info, Origin(kind="default", place=entry.value.place))
                items.append((key, default or Leaf(value=None, origin=self._origin(entry.value), written="null")))
            elif info is None:
                items.append((key, self._of(entry.value, object)))
            elif info.type is Block:
                items.append((key, self._options(entry.value, node, cls, key)))
            elif (cls, key) in _PATHS and isinstance(entry.value, ScalarNode):
                items.append((key, self._path(entry.value)))
            else:
                items.append((key, self._of(entry.value, info.type)))
        for key, info in fields.items():
            if key in node.entries or key in beside:
                continue
            found = (
                self._options(MapNode(entries={}, place=node.place), node, cls, key, given=False)
                if info.type is Block
                else self._default(info, Origin(kind="default"))
            )
            if found is not None and not (isinstance(found, Branch) and not found.items):
                items.append((key, found))
        return Branch(items=tuple(items), origin=self._origin(node), known=tuple(fields))

    def _options(self, value: Node, node: MapNode, cls: type[Struct], key: str, *, given: bool = True) -> Shown:
        """Show the options of a plugin, by its own class."""
        use = node.get("use")
        config: type[Struct] | None = None
        if cls is McpTool:
            config = self._config_of("tools", "mcp")
        elif cls in _NAMED and isinstance(use, ScalarNode):
            config = self._config_of(_NAMED[cls], use.text)
        beside = {each: None for each in BESIDE if cls is Guardrail and each in node.entries}
        return self._configured(value, config, beside, given=given)

    def _configured(
        self, value: Node, config: type[Struct] | None, beside: Mapping[str, object], *, given: bool
    ) -> Shown:
        if is_null(value):
            value = MapNode(entries={}, place=value.place)
        if config is None or not isinstance(value, MapNode):
            return self._of(value, object)
        if config is not LocalConfig:
            shown = self.block(value, config, beside)
        else:
            entry, responder = value.entries.get("with"), value.get("responder")
            name = responder.text if isinstance(responder, ScalarNode) and not is_null(responder) else "rules"
            inner = entry.value if entry is not None else MapNode(entries={}, place=value.place)
            options = self._configured(inner, self._config_of("responders", name), {}, given=entry is not None)
            own = {key: each for key, each in value.entries.items() if key != "with"}
            shown = self.block(structs.replace(value, entries=own), config, {"with": None})
            if entry is not None or (isinstance(options, Branch) and options.items):
                shown = structs.replace(shown, items=(*shown.items, ("with", options)))
        origin = shown.origin if given else Origin(kind="default")
        return structs.replace(shown, origin=origin)

    def _of(self, node: Node, expected: object) -> Shown:
        core, _ = unwrap(expected)
        origin = get_origin(core) or core
        if origin in (Union, types.UnionType):
            return self._of(node, _chosen(node, get_args(core)))
        arguments = get_args(core)
        if isinstance(node, MapNode):
            if isinstance(core, type) and issubclass(core, Struct) and not is_parsed(core):
                return self.block(node, core, {})
            free = origin in (dict, Mapping) or core is object
            item = arguments[1] if origin in (dict, Mapping) and len(arguments) == 2 else object
            entries = tuple(
                (key, self._dynamic(key, entry.value, item) if free else self._of(entry.value, item))
                for key, entry in node.entries.items()
            )
            return Branch(items=entries, origin=self._origin(node))
        if isinstance(node, ListNode):
            item = arguments[0] if origin in _LISTS and arguments else object
            found = tuple((index, self._of(each, item)) for index, each in enumerate(node.items))
            return Branch(items=found, origin=self._origin(node), is_list=True)
        return self._leaf(node, core, expected)

    def _dynamic(self, key: str, node: Node, item: object) -> Shown:
        """Show the value of a key that no class knows; its name may say that it is a secret."""
        shown = self._of(node, item)
        if isinstance(shown, Leaf) and isinstance(shown.value, str) and shown.value and is_secret_name(key):
            self._masker.add(shown.value)
            return structs.replace(shown, secret=True)
        return shown

    def _leaf(self, node: ScalarNode, core: object, expected: object) -> Leaf:
        origin = self._origin(node)
        if isinstance(core, type) and issubclass(core, Secret):
            self._masker.add(node.text)
            return Leaf(value=node.text, origin=origin, secret=bool(node.text))
        if core is object or not is_scalar_type(core):
            value = to_python(node)
            typed = isinstance(value, bool | int | float | None)
        else:
            try:
                read = read_scalar(node, expected, name="value")
            except ScalarError:
                read = node.text
            value = read if core_kind(node.text) != "str" and isinstance(read, bool | int | float) else node.text
            typed = not isinstance(value, str)
        if not typed or not isinstance(value, bool | int | float | None):
            return Leaf(value=node.text, origin=origin)
        return Leaf(value=value, origin=origin, written="null" if value is None else node.text)

    def _path(self, node: ScalarNode) -> Leaf:
        """Show a path as the whole configuration would write it, whichever file of it has it."""
        source, text = node.place.source, node.text
        own = source.directory is None or source.boundary is not None
        if not own and source.directory != self._folder and (text.startswith(".") or "/" in text):
            there = os.path.relpath(Path(source.directory or "", text), self._folder)
            text = there if there.startswith("..") else f"./{Path(there).as_posix()}"
        return Leaf(value=text, origin=self._origin(node))

    def _default(self, info: msgspec.structs.FieldInfo, origin: Origin) -> Shown | None:
        value: Any = info.default
        if info.default_factory is not msgspec.NODEFAULT:
            value = info.default_factory()
        if info.required or value is None or value is msgspec.NODEFAULT:
            return None
        return self._made(value, info.type, origin)

    def _made(self, value: object, expected: object, origin: Origin) -> Shown | None:
        """Show a default."""
        if isinstance(value, Struct) and not is_parsed(type(value)):
            items = [
                (key, shown)
                for key, info in fields_of(type(value)).items()
                if (shown := self._made(getattr(value, info.name), info.type, origin)) is not None
            ]
            return Branch(items=tuple(items), origin=origin, known=tuple(fields_of(type(value)))) if items else None
        return _of_data(json_value(value, expected), origin)

    def _origin(self, node: Node) -> Origin:
        source = node.place.source
        kind: Literal["file", "preset", "set"] = "file"
        if source.name.startswith("--") and not source.located:
            kind = "set"
        elif not source.own or not source.located:
            kind = "preset"
        names: list[str] = []
        if isinstance(node, ScalarNode) and node.written is not None:
            for name, default in _VARIABLE.findall(node.written):
                if name:
                    unset = default and not self._environ.get(name)
                    names.append(f"{name} unset" if unset else name)
        flag = self._flags.get(source.name.removeprefix("--set "), "--set")
        return Origin(kind=kind, place=node.place, variables=tuple(dict.fromkeys(names)), flag=flag)


def _chosen(node: Node, members: tuple[object, ...]) -> object:
    """Choose the member of a union that a value was read as."""
    for member in members:
        core, _ = unwrap(member)
        origin = get_origin(core) or core
        if isinstance(node, ScalarNode):
            if is_scalar_type(core):
                try:
                    read_scalar(node, member, name="value")
                except ScalarError:
                    continue
                return member
        elif isinstance(node, ListNode):
            if origin in _LISTS:
                return member
        elif isinstance(core, type) and issubclass(core, Struct):
            blocks = [each for each in members if isinstance(unwrap(each)[0], type) and _is_struct(unwrap(each)[0])]
            if len(blocks) == 1 or discriminator(core) in node.entries:
                return member
        elif origin in (dict, Mapping):
            return member
    return object


def _is_struct(core: object) -> bool:
    return isinstance(core, type) and issubclass(core, Struct)


def _of_data(value: object, origin: Origin) -> Shown | None:
    if isinstance(value, dict):
        items = [(key, shown) for key, each in value.items() if (shown := _of_data(each, origin)) is not None]
        return Branch(items=tuple(items), origin=origin) if items else None
    if isinstance(value, list):
        found = [(index, shown) for index, each in enumerate(value) if (shown := _of_data(each, origin)) is not None]
        return Branch(items=tuple(found), origin=origin, is_list=True) if found else None
    if isinstance(value, bool):
        return Leaf(value=value, origin=origin, written="true" if value else "false")
    if isinstance(value, int | float):
        return Leaf(value=value, origin=origin, written=repr(value))
    return Leaf(value=str(value), origin=origin) if value is not None else None


def _said(shown: Shown) -> Shown | None:
    if isinstance(shown, Leaf):
        return None if shown.origin.kind == "default" else shown
    items = [(key, kept) for key, item in shown.items if (kept := _said(item)) is not None]
    if not items and (shown.items or shown.origin.kind == "default"):
        return None if shown.origin.kind == "default" else structs.replace(shown, items=())
    return structs.replace(shown, items=tuple(items))


def _masked(shown: Branch, masker: Masker) -> Branch:
    items = tuple(
        (key, _masked(item, masker) if isinstance(item, Branch) else _leaf_masked(item, masker))
        for key, item in shown.items
    )
    return structs.replace(shown, items=items)


def _leaf_masked(leaf: Leaf, masker: Masker) -> Leaf:
    if leaf.secret:
        return structs.replace(leaf, value=MASK, written=None)
    if not isinstance(leaf.value, str):
        return leaf
    return structs.replace(leaf, value=_without_credentials(masker.text(leaf.value)))


def _without_credentials(text: str) -> str:
    """Mask what an address says of who may use it."""
    try:
        parts = urlsplit(text) if "://" in text else None
    except ValueError:
        parts = None
    if parts is None:
        return text
    keys = (field.partition("=")[0] for field in parts.query.split("&"))
    if any(map(is_secret_name, keys)):
        return safe_url(text)
    user, at, _ = parts.netloc.rpartition("@")
    return text.replace(user + at, MASK + at, 1) if at else text
