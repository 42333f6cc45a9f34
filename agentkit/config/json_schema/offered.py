"""What the plugins bring, as rules: which names there are, and which options go with each.

Rule: ``if`` a block says this name, ``then`` its options are these, so an editor speaks of the one that was chosen.
An item that is switched off is not looked up, and one that a variable switches may name what is not installed.
"""

from collections.abc import Iterator
from typing import Final, TypeVar

from msgspec import Struct

from agentkit.config.guardrails import BESIDE
from agentkit.config.json_schema.needed import Needed
from agentkit.config.json_schema.rules import tool_rules
from agentkit.config.json_schema.scalars import VARIABLE, Schema, known, ref
from agentkit.config.json_schema.shapes import Shapes, required_keys
from agentkit.config.schema import Config, Guardrail, Layer, McpTool, PluginTool, Provider
from agentkit.config.shape import fields_of
from agentkit.discovery import BUILTIN
from agentkit.errors import PluginError
from agentkit.plugins import Plugins
from agentkit.providers.local import LocalConfig
from agentkit.registry import Factory, Kind
from agentkit.tools import Tool

S = TypeVar("S", bound=Struct)

NOT_OFF: Final[Schema] = {"when": {"not": {"const": False}}}
"""Holds where an item is not switched off."""
ON: Final[Schema] = {"when": {"enum": [True, None]}}
"""Holds where it is on for certain."""
NOT_OPTIONAL: Final[Schema] = {"optional": {"enum": [False, None]}}
NO_OPTIONS: Final[Schema] = {"type": ["object", "null"], "maxProperties": 0}


class Item(Struct, frozen=True, kw_only=True):
    """One thing that a plugin brings."""

    names: tuple[str, ...]
    """Every spelling."""
    config: type[Struct] | None
    """What its options are; None where it has none."""
    value: object


class Offered:
    """The names of every kind, and the rules that they make."""

    def __init__(self, plugins: Plugins, shapes: Shapes, needed: Needed, *, closed: bool) -> None:
        """Take what there is; where it is not all that there can be (``closed``), any other name is right too."""
        self._closed = closed
        self._plugins = plugins
        self._shapes = shapes
        self._needed = needed
        self._loaded = list(_loaded(plugins))

    def add_all(self) -> None:
        """Add every rule to the classes of the configuration."""
        self._provider()
        self._tools()
        for cls in (Layer, Guardrail):
            self._layers(cls)
        self._shapes.add_rules(Config, [rule for plugin, _ in self._loaded for rule in self._unless_allowed(plugin)])

    def _unless_allowed(self, plugin: str) -> Iterator[Schema]:
        """Refuse the names of a plugin where the configuration says which plugins it uses, and this is none of them."""
        if plugin == BUILTIN:
            return
        own = {kind: [name for item in self.items(kind, plugin) for name in item.names] for kind in _NAMED}
        says: Schema = {"anyOf": [{"const": plugin}, {"const": "inherit"}, ref(VARIABLE)]}
        without: Schema = {"type": "array", "not": {"contains": says}}
        refused: Schema = {kind: {"not": _using(names)} for kind, names in own.items() if names}
        then: Schema = {}
        if "tools" in refused:
            used = [_using(own["tools"]), *([_USING_MCP] if "mcp" in own["tools"] else [])]
            tools = {"items": {"not": {"anyOf": used}}}
            then |= {"tools": tools, "agents": {"additionalProperties": {"properties": {"tools": tools}}}}
        if "middleware" in refused:
            then |= {key: {"items": refused["middleware"]} for key in ("middleware", "guardrails")}
        if "providers" in refused:
            then["provider"] = refused["providers"]
        if then:
            yield {"if": {"required": ["plugins"], "properties": {"plugins": without}}, "then": {"properties": then}}

    def names(self, kind: Kind, *, any_other: bool = False) -> Schema:
        """Return the schema of a name of a kind; the plain ones are offered, ``plugin:name`` is taken too."""
        plain = self._plugins.names(kind)
        words = [_words(self._plugins.get(kind, name)) for name in plain]
        qualified = [name for item in self.items(kind) for name in item.names if name not in plain]
        return known(plain, words, qualified, any_other=any_other or not self._closed)

    def items(self, kind: Kind, of: str | None = None) -> list[Item]:
        """Return what there is of a kind, each thing once; all of it, or what one plugin brings."""
        plain = {id(self._plugins.get(kind, name)): name for name in self._plugins.names(kind)}
        found = []
        for plugin, values in self._loaded:
            for name, value in values[kind].items() if of in (None, plugin) else ():
                spellings = dict.fromkeys((plain.get(id(value), f"{plugin}:{name}"), f"{plugin}:{name}"))
                config = value.config if isinstance(value, Factory) else None
                found.append(Item(names=tuple(spellings), config=config, value=value))
        return found

    def plugins(self) -> Schema:
        """Return the schema of a plugin's name."""
        names = []
        for row in self._plugins.report():
            try:
                self._plugins.check_plugin_name(row.name)
            except PluginError:
                continue
            if row.state == "disabled":
                continue
            names.append((row.name, f"{row.distribution} {row.version}".strip()))
        return known([name for name, _ in names], [words for _, words in names], any_other=not self._closed)

    def _provider(self) -> None:
        self._shapes.set_field(Provider, "use", self.names("providers"))
        rules, needed = [], []
        for item in self.items("providers"):
            chosen = {"required": ["use"], "properties": {"use": {"enum": list(item.names)}}}
            if item.config is LocalConfig:
                self._responders()
            options = NO_OPTIONS if item.config is None else self._shapes.of(item.config, part=True, null=True)
            rules.append({"if": chosen, "then": {"properties": {"with": options}}})
            inner = {} if item.config is None else self._needed.of(item.config)
            if "required" in inner:
                then: Schema = {"required": ["with"], "properties": {"with": {"type": "object", **inner}}}
                needed.append({"if": chosen, "then": then})
            elif inner:
                needed.append({"if": chosen, "then": {"properties": {"with": inner}}})
        self._shapes.add_rules(Provider, rules)
        self._needed.add_rules(Provider, needed)

    def _responders(self) -> None:
        """The embedded server has options of its own, and those of what answers in it."""
        self._shapes.set_field(LocalConfig, "responder", self.names("responders"))
        own = str(next(info.default for key, info in fields_of(LocalConfig).items() if key == "responder"))
        rules: list[Schema] = []
        needed: list[Schema] = []
        for item in self.items("responders"):
            chosen: Schema = {"required": ["responder"], "properties": {"responder": {"enum": list(item.names)}}}
            options = NO_OPTIONS if item.config is None else self._shapes.of(item.config, part=True, null=True)
            rules.append({"if": chosen, "then": {"properties": {"with": options}}})
            unsaid: Schema = {"properties": {"responder": {"enum": [None, *item.names]}}}
            when = unsaid if own in item.names else chosen
            inner = {} if item.config is None else self._needed.of(item.config)
            if item.config is None:
                if when is unsaid:
                    needed.append({"if": when, "then": {"properties": {"with": options}}})
            elif "required" in inner:
                then: Schema = {"required": ["with"], "properties": {"with": {"type": "object", **inner}}}
                needed.append({"if": when, "then": then})
            elif inner:
                needed.append({"if": when, "then": {"properties": {"with": inner}}})
        self._shapes.add_rules(LocalConfig, rules)
        self._needed.add_rules(LocalConfig, needed)

    def _tools(self) -> None:
        self._shapes.set_field(PluginTool, "use", self.names("tools", any_other=True))
        there = {"if": {"properties": {**ON, **NOT_OPTIONAL}}, "then": {"properties": {"use": self.names("tools")}}}
        rules: list[Schema] = [there, *tool_rules(None)]
        mcp: list[Schema] = list(tool_rules(None))
        found = False
        for item in self.items("tools"):
            rules.append({"if": _chosen(item, NOT_OFF), "then": self._options(item.config)})
            if isinstance(item.value, Tool) and (own := tool_rules(item.value)):
                rules.append({"if": _chosen(item, NOT_OFF), "then": {"allOf": own}})
            if "mcp" in item.names and item.config is not None:
                found = True
                options = self._shapes.of(item.config, part=False)
                mcp.append({"if": {"properties": NOT_OFF}, "then": {"properties": {"mcp": options, "name": _NULL}}})
        if not found and self._closed:
            mcp.append({"if": {"properties": {**ON, **NOT_OPTIONAL}}, "then": {"properties": {"mcp": False}}})
        self._shapes.add_rules(PluginTool, rules)
        self._shapes.add_rules(McpTool, mcp)

    def _layers(self, cls: type[Struct]) -> None:
        self._shapes.set_field(cls, "use", self.names("middleware", any_other=True))
        rules: list[Schema] = [
            {"if": {"properties": ON}, "then": {"properties": {"use": self.names("middleware")}}},
        ]
        for item in self.items("middleware"):
            then = self._options(item.config)
            if cls is Guardrail:
                then = self._beside(item.config, then)
            rules.append({"if": _chosen(item, NOT_OFF), "then": then})
        self._shapes.add_rules(cls, rules)

    def _options(self, config: type[Struct] | None) -> Schema:
        if config is None:
            return {"properties": {"with": NO_OPTIONS}}
        required = bool(required_keys(config))
        options = {"properties": {"with": self._shapes.of(config, part=False, null=not required)}}
        return {**options, "required": ["with"]} if required else options

    def _beside(self, config: type[Struct] | None, then: Schema) -> Schema:
        """Let a guard's own ``at`` and ``action`` stand beside its ``with``, once."""
        known = fields_of(config) if config is not None else {}
        properties: Schema = dict(then["properties"])
        once: list[Schema] = []
        for key in BESIDE:
            if key not in known:
                properties[key] = _NULL
                continue
            assert config is not None
            properties[key] = self._shapes.of(known[key].type, part=False, null=True)
            said: Schema = {"required": [key], "properties": {key: {"not": _NULL}}}
            once.append({"if": said, "then": {"properties": {"with": {"properties": {key: False}}}}})
        return {**then, "properties": properties, **({"allOf": once} if once else {})}


_NULL: Final[Schema] = {"type": "null"}
_NAMED: Final[tuple[Kind, ...]] = ("tools", "middleware", "providers")
_USING_MCP: Final[Schema] = {"type": "object", "required": ["mcp"], "properties": ON}


def _using(names: list[str]) -> Schema:
    """Hold where an item, which is on, says one of these names."""
    return {"type": "object", "required": ["use"], "properties": {"use": {"enum": names}, **ON}}


def _chosen(item: Item, more: Schema) -> Schema:
    return {"required": ["use"], "properties": {"use": {"enum": list(item.names)}, **more}}


def _words(item: object) -> str:
    said = getattr(item, "description", None) or ""
    return " ".join(str(said).partition("\n\n")[0].split())


def _loaded(plugins: Plugins) -> "Iterator[tuple[str, dict[Kind, dict[str, object]]]]":
    for row in plugins.report():
        try:
            yield row.name, plugins.load(row.name).values
        except PluginError:
            continue  # its names are refused by whoever looks them up
