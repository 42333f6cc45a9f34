"""Looks up every name of one configuration, and makes one of everything, to find what is wrong.

Rule: names are looked up here and nowhere else, so the session needs neither YAML nor plugins.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct

from agentkit.config.diagnostics import Diagnostic
from agentkit.config.guardrails import cited, with_beside
from agentkit.config.loaded import Loaded
from agentkit.config.names import in_order, softened
from agentkit.config.nodes import Block, KeyPath, MapNode
from agentkit.config.packages import install_hint
from agentkit.config.parts import AnyTool, LayerSource, ToolsetSource, ToolSource
from agentkit.config.policies import Unfit, options_of, unfit, unknown_secrets
from agentkit.config.python_tools import PythonToolError, load_python_tool
from agentkit.config.schema import Guardrail, HostedMcp, HostedTool, Layer, McpTool, PluginTool, PythonTool, ToolItem
from agentkit.errors import PluginError, UnknownNameError
from agentkit.middleware import Middleware
from agentkit.plugins import Plugins
from agentkit.providers.local import Local, LocalConfig
from agentkit.registry import Factory, Kind
from agentkit.tools import Tool, Toolset
from agentkit.transports.base import Provider

T = TypeVar("T")

_WRONG: Final = object()


class Parts(Struct, frozen=True, kw_only=True):
    """What an agent is made of."""

    provider: Provider
    tools: tuple[ToolSource, ...]
    toolsets: tuple[ToolsetSource, ...]
    hosted: tuple[HostedMcp, ...]
    layers: tuple[LayerSource, ...]
    guards: tuple[LayerSource, ...]


class Builder:
    """Builds the parts of one configuration, and collects what is wrong."""

    def __init__(self, loaded: Loaded, plugins: Plugins, diagnostics: list[Diagnostic]) -> None:
        self._loaded = loaded
        self._plugins = plugins
        self._diagnostics = diagnostics

    def build(self) -> tuple[Parts | None, tuple[Diagnostic, ...]]:
        """Return the parts, or None where there are errors, and every problem in the order of the text."""
        config = self._loaded.config
        provider = self._provider()
        hosted = tuple(item.hosted_mcp for item in config.tools if isinstance(item, HostedTool) and item.when)
        found = [
            self._tool(item, index)
            for index, item in enumerate(config.tools)
            if item.when and not isinstance(item, HostedTool)
        ]
        tools = tuple(source for source in found if isinstance(source, ToolSource))
        toolsets = tuple(source for source in found if isinstance(source, ToolsetSource))
        layers = self._layers("middleware", config.middleware)
        guards = self._layers("guardrails", config.guardrails)
        self._check_names(tools)
        self._check_hosted()
        diagnostics = in_order(self._diagnostics)
        if provider is None or any(each.severity == "error" for each in diagnostics):
            return None, diagnostics
        parts = Parts(provider=provider, tools=tools, toolsets=toolsets, hosted=hosted, layers=layers, guards=guards)
        return parts, diagnostics

    # Providers

    def _provider(self) -> Provider | None:
        said = self._loaded.config.provider
        factory = self._get("providers", said.use, ("provider", "use"))
        if factory is None:
            return None
        options = self._options(factory, said.options)
        if options is _WRONG:
            return None
        if isinstance(options, LocalConfig):
            return self._local(options)
        return self._made(factory, options, ("provider", "use"))

    def _local(self, options: LocalConfig) -> Provider | None:
        factory = self._get("responders", options.responder, ("provider", "with", "responder"))
        if factory is None:
            return None
        own = self._options(factory, self._block("provider", "with", "with"))
        if own is _WRONG:
            return None
        return Local.configured(options, lambda: factory.make(own))

    # Tools

    def _tool(self, item: ToolItem, index: int) -> ToolSource | ToolsetSource | None:
        before = len(self._diagnostics)
        found: ToolSource | ToolsetSource | None = None
        match item:
            case PluginTool():
                found = self._plugin_tool(item, index, item.use, item.options, "use")
            case McpTool():
                found = self._plugin_tool(item, index, "mcp", item.mcp, "mcp")
            case PythonTool():
                found = self._python_tool(item, index)
        if found is None and item.optional:
            self._diagnostics[before:] = [softened(each) for each in self._diagnostics[before:]]
        return found

    def _plugin_tool(
        self, item: ToolItem, index: int, name: str, block: Block, key: str
    ) -> ToolSource | ToolsetSource | None:
        entry = self._get("tools", name, ("tools", index, key), on_key=key == "mcp")
        if entry is None:
            return None
        owner = self._plugins.owner("tools", name)
        label = f"{owner.plugin}:{entry.name} ({owner.distribution} {owner.version})"
        if isinstance(entry, Tool):
            wrong = self._loaded.refuse_options(block, name)
            self._diagnostics += wrong
            return None if wrong else self._source(lambda: entry, item, index, label, name)
        options = self._options(entry, block)
        if options is _WRONG:
            return None
        return self._source(lambda: entry.make(options), item, index, label, name)

    def _python_tool(self, item: PythonTool, index: int) -> ToolSource | ToolsetSource | None:
        path = ("tools", index, "python")
        try:
            found = load_python_tool(item.python, self._loaded.folders_of(*path))
        except PythonToolError as exc:
            self._diagnostics.append(self._loaded.problem("AK207", str(exc), *path, hint=exc.hint))
            return None
        build = found if isinstance(found, type) else lambda: found
        return self._source(build, item, index, item.python, item.python)

    def _source(
        self, build: Callable[[], AnyTool | Toolset], item: ToolItem, index: int, source: str, name: str
    ) -> ToolSource | ToolsetSource | None:
        path = ("tools", index)
        product: object = self._made_by(build, path)
        if product is None:
            return None
        given = item.name
        if isinstance(product, Toolset):
            if given is not None:
                message = f"`{name}` gives several tools, so they cannot have one name"
                hint = "write `prefix:`, which is put before each of their names"
                self._diagnostics.append(self._loaded.problem("AK401", message, *path, "name", hint=hint, on_key=True))
                return None
            place = self._loaded.place(*path)
            make: Any = build
            return ToolsetSource(name=product.name, source=source, place=place, item=item, make=make)
        if not isinstance(product, Tool):
            self._diagnostics.append(self._loaded.problem("AK203", f"`{name}` gives no tool", *path))
            return None
        problems = [*unfit(item, product.policy), *unknown_secrets(item, product)]
        self._diagnostics += [self._unfit(each, path) for each in problems]
        if problems:
            return None
        options = options_of(item)

        def finished() -> AnyTool:
            tool: Any = build()
            called = (item.prefix or "") + (given or tool.name)
            tool = tool.renamed(called) if called != tool.name else tool
            return tool.with_(**options) if options else tool  # type: ignore[no-any-return]  # build gave a tool

        tool = self._made_by(finished, path)
        if tool is None:
            return None
        return ToolSource(tool=tool, source=source, place=self._loaded.place(*path), build=finished)

    def _unfit(self, each: Unfit, path: KeyPath) -> Diagnostic:
        where = (*path, each.key, *each.inner)
        return self._loaded.problem("AK405", each.message, *where, hint=each.hint, on_key=not each.inner)

    def _check_names(self, tools: Sequence[ToolSource]) -> None:
        seen: dict[str, ToolSource] = {}
        for source in tools:
            first = seen.setdefault(source.tool.name, source)
            if first is not source:
                place = source.place
                self._diagnostics.append(
                    Diagnostic(
                        code="AK404",
                        severity="error",
                        message=f"two tools are called `{source.tool.name}`",
                        file=place.file,
                        line=place.line,
                        column=place.column,
                        end_line=place.end_line,
                        end_column=place.end_column,
                        hint="give one of them another `name:` or a `prefix:`",
                        notes=(f"the other one is at {first.place}",),
                    )
                )

    def _check_hosted(self) -> None:
        """Find what is wrong with servers that are not called from here."""
        labels: dict[str, int] = {}
        for index, item in enumerate(self._loaded.config.tools):
            if not isinstance(item, HostedTool) or not item.when:
                continue
            path = ("tools", index, "hosted_mcp")
            said = item.hosted_mcp
            if (said.url is None) == (said.connector is None):
                message = f"`hosted_mcp` of {said.label} needs either `url` or `connector`"
                self._diagnostics.append(self._loaded.problem("AK401", message, *path, on_key=True))
            first = labels.setdefault(said.label, index)
            if first != index:
                message = f"two servers have the label `{said.label}`"
                note = f"the other one is at {self._loaded.place('tools', first)}"
                self._diagnostics.append(self._loaded.problem("AK404", message, *path, "label", notes=(note,)))

    # Layers

    def _layers(self, key: str, items: Sequence[Layer | Guardrail]) -> tuple[LayerSource, ...]:
        found = [self._layer(item, (key, index)) for index, item in enumerate(items) if item.when]
        return tuple(layer for layer in found if layer is not None)

    def _layer(self, item: Layer | Guardrail, place: tuple[str, int]) -> LayerSource | None:
        path = (*place, "use")
        factory = self._get("middleware", item.use, path)
        if factory is None:
            return None
        is_guard = isinstance(item, Guardrail)
        if is_guard:
            options = self._guard_options(factory, item.options, place)
        else:
            options = self._options(factory, item.options)
        if options is _WRONG:
            return None
        owner = self._plugins.owner("middleware", item.use)
        layer = self._made(factory, options, path)
        if layer is None:
            return None
        if not isinstance(layer, Middleware) or not layer.hooks():
            problem = f"`{item.use}` of {owner} gives no middleware with a hook that could fire"
            self._diagnostics.append(self._loaded.problem("AK203", problem, *path))
            return None
        if is_guard and not layer.critical:
            problem = f"`{item.use}` cannot be a guardrail: where it fails, what it looks at passes all the same"
            hint = "write it under `middleware:`; a guardrail's class says `critical = True`"
            self._diagnostics.append(self._loaded.problem("AK406", problem, *path, hint=hint))
            return None
        return LayerSource(
            name=item.use,
            source=str(owner),
            place=self._loaded.place(*path),
            build=lambda: factory.make(options),
            guard=is_guard,
        )

    def _guard_options(self, factory: Factory[Any], block: Block, path: KeyPath) -> Any:
        block, problems = with_beside(self._loaded, path, block, factory.config)
        before = len(self._diagnostics)
        options = self._options(factory, block)
        self._diagnostics[before:] = cited(self._diagnostics[before:], path)
        self._diagnostics += problems
        return _WRONG if problems else options

    # What they share

    def _get(self, kind: Any, name: str, path: KeyPath, *, on_key: bool = False) -> Any:
        """Look up a name; None where there is a diagnostic instead."""
        try:
            return self._plugins.get(kind, name)
        except PluginError as exc:
            kind_of_name: Kind = kind
            hint = install_hint(exc, kind_of_name, self._plugins) if isinstance(exc, UnknownNameError) else None
            self._diagnostics.append(self._loaded.plugin_problem(exc, *path, hint=hint, on_key=on_key))
            return None

    def _options(self, factory: Factory[Any], block: Block) -> Any:
        """Convert a ``with:``; ``_WRONG`` where there is a diagnostic instead."""
        if factory.config is None:
            wrong = self._loaded.refuse_options(block, factory.name)
            self._diagnostics += wrong
            return _WRONG if wrong else None
        options, problems = self._loaded.convert(block, factory.config)
        self._diagnostics += problems
        return _WRONG if options is None else options

    def _made(self, factory: Factory[T], options: Any, path: KeyPath) -> T | None:
        return self._made_by(lambda: factory.make(options), path)

    def _made_by(self, make: Callable[[], T], path: KeyPath) -> T | None:
        """Build something of a plugin's; None where it refused its options."""
        try:
            return make()
        except PluginError as exc:
            self._diagnostics.append(self._loaded.plugin_problem(exc, *path))
            return None
        except (ValueError, TypeError, OSError) as exc:
            self._diagnostics.append(self._loaded.problem("AK208", f"{exc}", *path))
            return None

    def _block(self, *path: str) -> Block:
        node: object = self._loaded.root
        for part in path:
            node = node.get(part) if isinstance(node, MapNode) else None
        if isinstance(node, MapNode):
            return Block(node, path, True)
        return Block(MapNode(entries={}, place=self._loaded.place(*path)), path, False)
