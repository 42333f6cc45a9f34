"""The composition root: turns a checked configuration and the installed plugins into an agent.

Rule: names are looked up here and nowhere else, so the session needs neither YAML nor plugins. Every problem is found
before anything connects, and cites its place in the file.
"""

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from agentkit.config.diagnostics import ConfigErrors, Diagnostic
from agentkit.config.loaded import Loaded, draft
from agentkit.config.names import check_names, in_order
from agentkit.config.nodes import Block, MapNode, Place
from agentkit.config.python_tools import PythonToolError, load_python_tool
from agentkit.config.schema import Config, PluginTool, PythonTool
from agentkit.config.settings import settings_of
from agentkit.errors import PluginError
from agentkit.events import OutputText, Settings
from agentkit.middleware import Chain, Middleware
from agentkit.plugins import Plugins, load_plugins
from agentkit.presets import Preset
from agentkit.providers.local import Local, LocalConfig
from agentkit.registry import Factory, Kind
from agentkit.session import Session, SessionLimits
from agentkit.session import open as open_session
from agentkit.tools import Tool
from agentkit.transports.base import Provider

T = TypeVar("T")
AnyTool = Tool[..., object]


class ToolSource(msgspec.Struct, frozen=True, kw_only=True):
    """One tool of an agent, with where it comes from."""

    tool: AnyTool
    """One instance, for looking at; each session gets its own."""
    source: str
    """``basics:now (agentkit-realtime-basics 0.1.0)``, or the function of a file."""
    place: Place
    """Where the configuration names it."""
    build: Callable[[], AnyTool]
    """Makes one instance for one session."""


class LayerSource(msgspec.Struct, frozen=True, kw_only=True):
    """One middleware of an agent, with where it comes from."""

    name: str
    """As the configuration names it."""
    source: str
    place: Place
    build: Callable[[], Middleware]
    """Makes one instance for one session."""


class Agent:
    """A configuration that is ready to run; ``open`` gives a session of it, any number of times."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        provider: Provider,
        tools: Sequence[ToolSource],
        layers: Sequence[LayerSource],
        warnings: Sequence[Diagnostic],
    ) -> None:
        self.config: Config = loaded.config
        """What the file says."""
        self.loaded = loaded
        """The file with the places of its values."""
        self.provider = provider
        self.tools = tuple(tools)
        self.layers = tuple(layers)
        self.warnings = tuple(warnings)
        """What is not wrong and not good either."""
        self.greeting = loaded.greeting
        """What the agent says first."""

    @property
    def name(self) -> str:
        """The agent's name; ``agent`` where the file gives none."""
        return self.config.agent.name or "agent"

    @property
    def settings(self) -> Settings:
        """What is asked of the server, tools aside."""
        return settings_of(self.config, self.loaded.instructions)

    @property
    def limits(self) -> SessionLimits:
        """What one session may do at most."""
        said = self.config.limits
        limits = SessionLimits(turns=said.turns, session_time=said.session_time)
        if said.tool_calls_per_turn is not None:
            core = msgspec.structs.replace(limits.core, tool_calls_per_turn=said.tool_calls_per_turn)
            limits = msgspec.structs.replace(limits, core=core)
        return limits

    def chain(self) -> Chain:
        """Return the layers, linked but without a session, for looking at their order."""
        return Chain([layer.build() for layer in self.layers], inbound=_nowhere, outbound=_nowhere, report=_nothing)

    @asynccontextmanager
    async def open(self, *, context: object = None, tools: bool = True, greet: bool = True) -> AsyncIterator[Session]:
        """Open a session; leaving the context closes it.

        Args:
            context: Reaches the tools that ask for a ``ToolContext``, as its ``data``.
            tools: Offer the agent's tools; without them it can only talk.
            greet: Let the agent say its greeting first.

        Raises:
            ConnectError: The connection could not be opened.
            ServerError: The server refused the settings.
            ConfigError: A layer could not start, as the logger with a path that cannot be written.
        """
        async with open_session(
            self.provider,
            tools=[source.build() for source in self.tools] if tools else [],
            middleware=[layer.build() for layer in self.layers],
            settings=self.settings,
            limits=self.limits,
            context=context,
        ) as session:
            if greet and self.greeting:
                await self._greet(session, self.greeting)
            yield session

    async def _greet(self, session: Session, greeting: str) -> None:
        if self.config.session.output == "audio":
            session.start_soon(session.say, greeting)
        else:
            await session.add_message("assistant", OutputText(text=greeting))


def load(
    source: Path | str,
    *,
    text: str | None = None,
    overrides: Sequence[str] = (),
    preset: str | None = None,
    environ: Mapping[str, str] | None = None,
    plugins: Plugins | None = None,
    demo: bool = False,
) -> Agent:
    """Load an agent from a configuration file.

    Args:
        source: The file; with ``text``, only what messages call it.
        text: The configuration itself, where it is in no file.
        overrides: ``key.path=value`` each, on top of the file.
        preset: A preset to take in place of the file's own.
        environ: The variables for ``${NAME}``; the process's own where it is None.
        plugins: Where names are looked up; the installed ones where it is None.
        demo: Use the embedded server, whatever the file says.

    Raises:
        ConfigErrors: The configuration cannot be used; carries every problem, with its place.
    """
    agent, diagnostics = examine(
        source, text=text, overrides=overrides, preset=preset, environ=environ, plugins=plugins, demo=demo
    )
    if agent is None:
        raise ConfigErrors(diagnostics)
    return agent


def examine(
    source: Path | str,
    *,
    text: str | None = None,
    overrides: Sequence[str] = (),
    preset: str | None = None,
    environ: Mapping[str, str] | None = None,
    plugins: Plugins | None = None,
    demo: bool = False,
) -> tuple[Agent | None, tuple[Diagnostic, ...]]:
    """Load an agent as ``load`` does, and return every problem with it; it is None where one of them is an error."""
    variables = os.environ if environ is None else environ
    found = plugins if plugins is not None else load_plugins(environ=variables)
    extra = [f"preset={preset}"] if preset is not None else []
    if demo:
        extra.append("provider={use: local}")
    loaded, read, diagnostics = draft(
        text if text is not None else Path(source),
        name=str(source),
        overrides=[*overrides, *extra],
        environ=variables,
        presets=lambda name: _preset(found, name),
    )
    if loaded is None:
        return None, in_order([*diagnostics, *(check_names(read, found) if read is not None else ())])
    return _Builder(loaded, found, list(diagnostics)).build()


def _preset(plugins: Plugins, name: str) -> Preset:
    preset = plugins.get("presets", name)
    return msgspec.structs.replace(preset, owner=_distribution(plugins, "presets", name))


def _distribution(plugins: Plugins, kind: Kind, name: str) -> str:
    owner = plugins.owner(kind, name)
    return f"{owner.distribution} {owner.version}".strip()


class _Builder:
    """Looks up every name of one configuration, and collects what is wrong."""

    def __init__(self, loaded: Loaded, plugins: Plugins, diagnostics: list[Diagnostic]) -> None:
        self._loaded = loaded
        self._plugins = plugins
        self._diagnostics = diagnostics

    def build(self) -> tuple[Agent | None, tuple[Diagnostic, ...]]:
        provider = self._provider()
        tools = [source for index in range(len(self._loaded.config.tools)) if (source := self._tool(index)) is not None]
        layers = [
            layer
            for index, item in enumerate(self._loaded.config.middleware)
            if item.when and (layer := self._layer(index)) is not None
        ]
        self._check_names(tools)
        diagnostics = in_order(self._diagnostics)
        if provider is None or any(each.severity == "error" for each in diagnostics):
            return None, diagnostics
        return Agent(self._loaded, provider=provider, tools=tools, layers=layers, warnings=diagnostics), diagnostics

    # Each kind of name

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
        path = ("provider", "with", "responder")
        factory = self._get("responders", options.responder, path)
        if factory is None:
            return None
        own = self._options(factory, self._block("provider", "with", "with"))
        if own is _WRONG:
            return None
        return Local.configured(options, lambda: factory.make(own))

    def _tool(self, index: int) -> ToolSource | None:
        item = self._loaded.config.tools[index]
        if not item.when:
            return None
        before = len(self._diagnostics)
        found = self._plugin_tool(item, index) if isinstance(item, PluginTool) else self._python_tool(item, index)
        if found is None and item.optional:
            for position in range(before, len(self._diagnostics)):
                self._diagnostics[position] = msgspec.structs.replace(self._diagnostics[position], severity="warning")
        return found

    def _plugin_tool(self, item: PluginTool, index: int) -> ToolSource | None:
        path = ("tools", index, "use")
        entry = self._get("tools", item.use, path)
        if entry is None:
            return None
        owner = self._plugins.owner("tools", item.use)
        if isinstance(entry, Tool):
            wrong = self._loaded.refuse_options(item.options, item.use)
            self._diagnostics += wrong
            if wrong:
                return None
            return self._tool_source(
                lambda: entry, item, index, f"{owner.plugin}:{entry.name} ({owner.distribution} {owner.version})"
            )
        options = self._options(entry, item.options)
        if options is _WRONG:
            return None
        label = f"{owner.plugin}:{entry.name} ({owner.distribution} {owner.version})"
        return self._tool_source(lambda: entry.make(options), item, index, label)

    def _python_tool(self, item: PythonTool, index: int) -> ToolSource | None:
        path = ("tools", index, "python")
        try:
            tool = load_python_tool(item.python, self._loaded.folders_of(*path))
        except PythonToolError as exc:
            self._diagnostics.append(self._loaded.problem("AK207", str(exc), *path, hint=exc.hint))
            return None
        return self._tool_source(lambda: tool, item, index, item.python)

    def _tool_source(
        self, build: Callable[[], AnyTool], item: PluginTool | PythonTool, index: int, source: str
    ) -> ToolSource | None:
        def finished() -> AnyTool:
            tool = build()
            name = (item.prefix or "") + (item.name or tool.name)
            tool = tool.renamed(name) if name != tool.name else tool
            return tool.with_(timeout=item.timeout) if item.timeout is not None else tool

        tool = self._made_by(finished, ("tools", index))
        if tool is None:
            return None
        return ToolSource(tool=tool, source=source, place=self._loaded.place("tools", index), build=finished)

    def _layer(self, index: int) -> LayerSource | None:
        item = self._loaded.config.middleware[index]
        path = ("middleware", index, "use")
        factory = self._get("middleware", item.use, path)
        if factory is None:
            return None
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
        return LayerSource(
            name=item.use,
            source=str(owner),
            place=self._loaded.place(*path),
            build=lambda: factory.make(options),
        )

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

    # What they share

    def _get(self, kind: Any, name: str, path: tuple[str | int, ...]) -> Any:
        """Look up a name; None where there is a diagnostic instead."""
        try:
            return self._plugins.get(kind, name)
        except PluginError as exc:
            self._diagnostics.append(self._loaded.plugin_problem(exc, *path))
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

    def _made(self, factory: Factory[T], options: Any, path: tuple[str | int, ...]) -> T | None:
        return self._made_by(lambda: factory.make(options), path)

    def _made_by(self, make: Callable[[], T], path: tuple[str | int, ...]) -> T | None:
        """Build something of a plugin's; None where it refused its options."""
        try:
            return make()
        except (ValueError, TypeError, OSError, PluginError) as exc:
            self._diagnostics.append(self._loaded.problem("AK208", f"{exc}", *path))
            return None

    def _block(self, *path: str) -> Block:
        node: object = self._loaded.root
        for part in path:
            node = node.get(part) if isinstance(node, MapNode) else None
        if isinstance(node, MapNode):
            return Block(node, path, True)
        return Block(MapNode(entries={}, place=self._loaded.place(*path)), path, False)


_WRONG = object()


async def _nowhere(event: object) -> None:
    """Take an event nowhere."""


def _nothing(*_: object) -> None:
    """Report nothing."""
