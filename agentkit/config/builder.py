"""Looks up every name of one configuration, and makes one of everything, to find what is wrong.

Rule: names are looked up here and nowhere else, so the session needs neither YAML nor plugins.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import Struct

from agentkit.config.agents import main_name, places_of
from agentkit.config.diagnostics import Diagnostic
from agentkit.config.guardrails import cited, with_beside
from agentkit.config.loaded import Loaded
from agentkit.config.names import in_order, softened
from agentkit.config.nodes import Block, KeyPath, MapNode, Place
from agentkit.config.packages import install_hint
from agentkit.config.parts import AgentSource, AnyTool, LayerSource, ToolsetSource, ToolSource
from agentkit.config.policies import Unfit, options_of, unfit, unknown_secrets
from agentkit.config.python_tools import PythonToolError, load_python_tool
from agentkit.config.recording import RECORDER, SOURCE, options_of_recorder
from agentkit.config.schema import (
    AnyToolItem,
    FurtherAgent,
    Guardrail,
    HostedMcp,
    HostedTool,
    Layer,
    McpTool,
    PluginTool,
    PythonTool,
    Recording,
    ToolItem,
)
from agentkit.errors import PluginError, UnknownNameError
from agentkit.middleware import Middleware
from agentkit.plugins import Plugins
from agentkit.providers.local import Local, LocalConfig
from agentkit.registry import Factory, Kind
from agentkit.session.members import tool_name
from agentkit.tools import Tool, Toolset
from agentkit.transports.base import Provider

T = TypeVar("T")

_WRONG: Final = object()

Hosted: TypeAlias = tuple[HostedMcp, KeyPath]
"""A server that is not called from here, with the place of its item."""
Given: TypeAlias = ToolSource | ToolsetSource | Hosted | None
"""What an item of ``tools`` comes to."""


class Parts(Struct, frozen=True, kw_only=True):
    """What an agent is made of."""

    provider: Provider
    tools: tuple[ToolSource, ...]
    toolsets: tuple[ToolsetSource, ...]
    hosted: tuple[HostedMcp, ...]
    layers: tuple[LayerSource, ...]
    guards: tuple[LayerSource, ...]
    agents: tuple[AgentSource, ...]


class Builder:
    """Builds the parts of one configuration, and collects what is wrong."""

    def __init__(
        self, loaded: Loaded, plugins: Plugins, diagnostics: list[Diagnostic], *, run_python: bool = True
    ) -> None:
        """Take what was read; without ``run_python``, nothing of the user's own is imported, and those tools lack."""
        self._run_python = run_python
        self._loaded = loaded
        self._plugins = plugins
        self._diagnostics = diagnostics
        self._doubled: set[tuple[str, Place, Place]] = set()

    def build(self) -> tuple[Parts | None, tuple[Diagnostic, ...]]:
        """Return the parts, or None where there are errors, and every problem in the order of the text."""
        config = self._loaded.config
        provider = self._provider()
        common = [self._given(item, ("tools", index)) for index, item in enumerate(config.tools)]
        agents = tuple(self._agent(name, said, common) for name, said in config.agents.items())
        tools, toolsets, hosted = _sorted(common)
        layers = (*self._recorder(config.recording), *self._layers("middleware", config.middleware))
        guards = self._layers("guardrails", config.guardrails)
        self._check_names(tools, self._ways_to(config.agent.handoff, ("agent", "handoff")))
        self._check_hosted(hosted)
        diagnostics = in_order(self._diagnostics)
        if provider is None or any(each.severity == "error" for each in diagnostics):
            return None, diagnostics
        parts = Parts(
            provider=provider,
            tools=tools,
            toolsets=toolsets,
            hosted=tuple(said for said, _ in hosted),
            layers=layers,
            guards=guards,
            agents=agents,
        )
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

    # Agents

    def _agent(self, name: str, said: FurtherAgent, common: Sequence[Given]) -> AgentSource:
        root, home = self._loaded.root, ("agents", name)
        given = common
        if said.tools is not None:
            shared = places_of(root, name)
            given = [
                common[shared[index]] if index in shared else self._given(item, (*home, "tools", index))
                for index, item in enumerate(said.tools)
            ]
        handoff = (main_name(root),) if said.handoff is None else said.handoff
        tools, toolsets, hosted = _sorted(given)
        self._check_names(tools, self._ways_to(handoff, (*home, "handoff")))
        self._check_hosted(hosted)
        texts = self._loaded.agents[name]
        return AgentSource(
            name=name,
            description=said.description or "",
            instructions=texts.instructions,
            greeting=texts.greeting,
            voice=said.voice,
            tools=tools,
            toolsets=toolsets,
            hosted=tuple(each for each, _ in hosted),
            handoff=handoff,
            place=self._loaded.key_place(*home),
        )

    def _ways_to(self, names: Sequence[str], path: KeyPath) -> dict[str, Place]:
        """Return the names of the tools that hand over to these agents, each with the place that asks for it."""
        ways: dict[str, Place] = {}
        for index, name in enumerate(dict.fromkeys(names)):
            way = tool_name(name)
            if way in ways:
                message = f"two agents are handed over to by one tool, `{way}`"
                note = f"the other one is at {ways[way]}"
                self._diagnostics.append(self._loaded.problem("AK404", message, *path, index, notes=(note,)))
            ways.setdefault(way, self._loaded.place(*path, index))
        return ways

    # Tools

    def _given(self, item: AnyToolItem, path: KeyPath) -> Given:
        """Return what an item gives; None where it is switched off, or there is a diagnostic instead."""
        if not item.when:
            return None
        return (item.hosted_mcp, path) if isinstance(item, HostedTool) else self._tool(item, path)

    def _tool(self, item: ToolItem, path: KeyPath) -> ToolSource | ToolsetSource | None:
        before = len(self._diagnostics)
        found: ToolSource | ToolsetSource | None = None
        match item:
            case PluginTool():
                found = self._plugin_tool(item, path, item.use, item.options, "use")
            case McpTool():
                found = self._plugin_tool(item, path, "mcp", item.mcp, "mcp")
            case PythonTool():
                found = self._python_tool(item, path)
        if found is None and item.optional:
            self._diagnostics[before:] = [softened(each) for each in self._diagnostics[before:]]
        return found

    def _plugin_tool(
        self, item: ToolItem, path: KeyPath, name: str, block: Block, key: str
    ) -> ToolSource | ToolsetSource | None:
        entry = self._get("tools", name, (*path, key), on_key=key == "mcp")
        if entry is None:
            return None
        owner = self._plugins.owner("tools", name)
        label = f"{owner.plugin}:{entry.name} ({owner.distribution} {owner.version})"
        if isinstance(entry, Tool):
            wrong = self._loaded.refuse_options(block, name)
            self._diagnostics += wrong
            return None if wrong else self._source(lambda: entry, item, path, label, name)
        options = self._options(entry, block)
        if options is _WRONG:
            return None
        return self._source(lambda: entry.make(options), item, path, label, name)

    def _python_tool(self, item: PythonTool, path: KeyPath) -> ToolSource | ToolsetSource | None:
        where = (*path, "python")
        if not self._run_python:
            return None
        try:
            found = load_python_tool(item.python, self._loaded.folders_of(*where))
        except PythonToolError as exc:
            self._diagnostics.append(self._loaded.problem("AK207", str(exc), *where, hint=exc.hint))
            return None
        build = found if isinstance(found, type) else lambda: found
        return self._source(build, item, path, item.python, item.python)

    def _source(
        self, build: Callable[[], AnyTool | Toolset], item: ToolItem, path: KeyPath, source: str, name: str
    ) -> ToolSource | ToolsetSource | None:
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

        place = self._loaded.place(*path)

        def finished() -> AnyTool:
            tool: Any = build()
            called = (item.prefix or "") + (given or tool.name)
            return tool.renamed(called).with_(**options).named_at(str(place))  # type: ignore[no-any-return]  # a tool

        tool = self._made_by(finished, path)
        return None if tool is None else ToolSource(tool=tool, source=source, place=place, build=finished)

    def _unfit(self, each: Unfit, path: KeyPath) -> Diagnostic:
        where = (*path, each.key, *each.inner)
        return self._loaded.problem("AK405", each.message, *where, hint=each.hint, on_key=not each.inner)

    def _check_names(self, tools: Sequence[ToolSource], ways: Mapping[str, Place]) -> None:
        """Find tools of one agent with one name, those that hand over among them."""
        seen = dict(ways)
        for source in tools:
            name, place = source.tool.name, source.place
            first = seen.get(name)
            seen.setdefault(name, place)
            if first is None or (name, first, place) in self._doubled:
                continue
            self._doubled.add((name, first, place))
            of_handoff = f"the other one hands over, and is made for what is at {first}"
            self._diagnostics.append(
                Diagnostic(
                    code="AK404",
                    severity="error",
                    message=f"two tools are called `{name}`",
                    file=place.file,
                    line=place.line,
                    column=place.column,
                    end_line=place.end_line,
                    end_column=place.end_column,
                    hint="give one of them another `name:` or a `prefix:`",
                    notes=(of_handoff if name in ways else f"the other one is at {first}",),
                )
            )

    def _check_hosted(self, hosted: Sequence[Hosted]) -> None:
        """Find what is wrong with servers that are not called from here."""
        labels: dict[str, KeyPath] = {}
        for said, item in hosted:
            path = (*item, "hosted_mcp")
            problems = []
            if (said.url is None) == (said.connector is None):
                message = f"`hosted_mcp` of {said.label} needs either `url` or `connector`"
                problems.append(self._loaded.problem("AK401", message, *path, on_key=True))
            first = labels.get(said.label)
            labels.setdefault(said.label, item)
            if first is not None:
                message = f"two servers have the label `{said.label}`"
                note = f"the other one is at {self._loaded.place(*first)}"
                problems.append(self._loaded.problem("AK404", message, *path, "label", notes=(note,)))
            self._diagnostics += [each for each in problems if each not in self._diagnostics]

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
            make=lambda: factory.make(options),
            guard=is_guard,
        )

    def _recorder(self, said: Recording) -> tuple[LayerSource, ...]:
        """Return the recorder, where there is one to be; a package that is missing was told already."""
        if said.mode == "none":
            return ()
        try:
            factory = self._plugins.get("middleware", RECORDER)
            options = options_of_recorder(said, factory)
        except UnknownNameError:
            return ()
        except PluginError as exc:
            self._diagnostics.append(self._loaded.plugin_problem(exc, "recording", on_key=True))
            return ()
        except ValueError as exc:
            self._diagnostics.append(self._loaded.problem("AK208", str(exc), "recording", on_key=True))
            return ()
        if self._made(factory, options, ("recording",)) is None:
            return ()
        place = self._loaded.key_place("recording")
        return (LayerSource(name=RECORDER, source=SOURCE, place=place, make=lambda: factory.make(options)),)

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


def _sorted(given: Sequence[Given]) -> tuple[tuple[ToolSource, ...], tuple[ToolsetSource, ...], tuple[Hosted, ...]]:
    return (
        tuple(each for each in given if isinstance(each, ToolSource)),
        tuple(each for each in given if isinstance(each, ToolsetSource)),
        tuple(each for each in given if isinstance(each, tuple)),
    )
