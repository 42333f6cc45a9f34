"""The composition root: turns a checked configuration and the installed plugins into an agent.

Rule: every problem is found before anything connects, and cites its place in the file. The engine is imported when a
session is opened, not when a file is read.
"""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from agentkit.config.agents import UNNAMED
from agentkit.config.builder import Builder, Parts
from agentkit.config.diagnostics import ConfigErrors, Diagnostic
from agentkit.config.draft import Draft
from agentkit.config.loaded import Loaded, draft
from agentkit.config.looking import check_python
from agentkit.config.names import check_names, in_order
from agentkit.config.needs import check_needs
from agentkit.config.nodes import ListNode, Place, ScalarNode
from agentkit.config.parts import AnyTool
from agentkit.config.schema import Config
from agentkit.config.settings import hosted_of, settings_of
from agentkit.errors import PluginError
from agentkit.events import OutputText, Settings
from agentkit.middleware import Chain, Middleware
from agentkit.plugins import Plugins, load_plugins
from agentkit.presets import Preset
from agentkit.session.cost import Rates
from agentkit.session.limits import SessionLimits
from agentkit.session.members import HandoffAgent, tool_name
from agentkit.tools import Toolset

if TYPE_CHECKING:
    from agentkit.session import Reconnect, Session

S = TypeVar("S", bound=msgspec.Struct)


class Agent:
    """A configuration that is ready to run; ``open`` gives a session of it, any number of times."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        parts: Parts,
        warnings: Sequence[Diagnostic],
    ) -> None:
        self.config: Config = loaded.config
        """What the file says."""
        self.loaded = loaded
        """The file with the places of its values."""
        self.provider = parts.provider
        self.tools = parts.tools
        """Each tool that is known without opening anything."""
        self.toolsets = parts.toolsets
        """What gives tools once it is open, as an MCP server."""
        self.hosted = parts.hosted
        """MCP servers that the Realtime server calls by itself."""
        self.agents = parts.agents
        """The agents that the conversation can be handed over to, with what they take over from this one."""
        self.layers = parts.layers
        self.guards = parts.guards
        self.warnings = tuple(warnings)
        """What is not wrong and not good either."""
        self.greeting = loaded.greeting
        """What the agent says first."""

    def __repr__(self) -> str:
        counts = ((len(self.tools), "tool"), (len(self.toolsets), "toolset"), (len(self.agents), "further agent"))
        said = [f"{count} {what}{'s' * (count != 1)}" for count, what in counts if count or what == "tool"]
        return f"<Agent {self.name}: provider {self.provider.name}, {', '.join(said)}>"

    @property
    def name(self) -> str:
        """The agent's name; ``agent`` where the file gives none."""
        return self.config.agent.name or UNNAMED

    @property
    def settings(self) -> Settings:
        """What is asked of the server, tools aside."""
        return settings_of(self.config, self.loaded.instructions)

    @property
    def limits(self) -> SessionLimits:
        """What one session may do at most."""
        said = self.config.limits
        core = _changed(
            SessionLimits().core,
            tool_calls_per_turn=said.tool_calls_per_turn,
            tool_calls_per_session=said.tool_calls_per_session,
            same_calls_per_turn=said.same_calls_per_turn,
        )
        limits = SessionLimits(
            turns=said.turns,
            session_time=said.session_time,
            idle_time=said.idle_time,
            cost_usd=said.cost_usd,
            rates=None if said.rates is None else Rates(**msgspec.structs.asdict(said.rates)),
            on_limit=said.on_limit,
            goodbye=said.goodbye,
            core=core,
        )
        return _changed(limits, tool_calls_at_once=said.tool_calls_at_once)

    @property
    def reconnect(self) -> "Reconnect | None":
        """How a session goes on when its connection is lost; None for the provider's own ways."""
        said = self.config.provider.reconnect
        if said is None:
            return None
        from agentkit.session import Reconnect

        return Reconnect(attempts=said.attempts, first_wait=said.first_wait, max_wait=said.max_wait)

    def unset_variables(self, environ: Mapping[str, str]) -> tuple[Diagnostic, ...]:
        """Return a warning for what the provider reads from the environment by itself, and cannot connect without."""
        name = self.provider.unset_variable(environ)
        if name is None:
            return ()
        message = f"environment variable {name} is not set; without it `{self.config.provider.use}` cannot connect"
        hint = f"export {name}=...; `agentkit run --demo` needs none"
        return (self.loaded.problem("AK301", message, "provider", "use", hint=hint, severity="warning"),)

    def chain(self) -> Chain:
        """Return the layers and guards, linked but without a session, for looking at their order."""
        return Chain(
            [layer.build() for layer in self.layers],
            [guard.build() for guard in self.guards],
            inbound=_nowhere,
            outbound=_nowhere,
            report=_nothing,
        )

    def make_toolsets(self) -> "list[Toolset]":
        """Return a new instance of each toolset, for one session, with what the configuration says of it."""
        taken = {source.tool.name: source.place for source in self.tools}
        return [source.build(taken) for source in self.toolsets]

    def _make_agents(self) -> list[HandoffAgent]:
        """Return this agent and those that it can hand over to, for one session: what several have is made once."""
        had = {self.name: (self.tools, self.toolsets, self.hosted)}
        had |= {each.name: (each.tools, each.toolsets, each.hosted) for each in self.agents}
        taken = {name: {each.tool.name: each.place for each in tools} for name, (tools, _, _) in had.items()}
        taken[self.name] |= self._ways_to(self.config.agent.handoff, "agent", "handoff")
        for each in self.agents:
            taken[each.name] |= self._ways_to(each.handoff, "agents", each.name, "handoff")
        single = {id(each): each for tools, _, _ in had.values() for each in tools}
        sets = {id(each): each for _, toolsets, _ in had.values() for each in toolsets}
        made: dict[int, AnyTool | Toolset] = {key: source.build() for key, source in single.items()}
        for key, source in sets.items():
            users = [name for name, (_, toolsets, _) in had.items() if any(each is source for each in toolsets)]
            made[key] = source.build(*(taken[name] for name in users))
        given = {
            name: [*(made[id(each)] for each in (*tools, *toolsets)), *map(hosted_of, hosted)]
            for name, (tools, toolsets, hosted) in had.items()
        }
        others = [
            HandoffAgent(
                name=each.name,
                description=each.description,
                instructions=each.instructions,
                voice=each.voice,
                tools=given[each.name],
                greeting=each.greeting,
                handoff=each.handoff,
            )
            for each in self.agents
        ]
        return [HandoffAgent(name=self.name, tools=given[self.name], handoff=self.config.agent.handoff), *others]

    def _ways_to(self, names: Sequence[str], *path: str) -> dict[str, Place]:
        return {tool_name(name): self.loaded.place(*path) for name in names}

    @asynccontextmanager
    async def open(
        self, *, context: object = None, tools: bool = True, greet: bool = True, middleware: Sequence[Middleware] = ()
    ) -> "AsyncIterator[Session]":
        """Open a session; leaving the context closes it.

        Args:
            context: Reaches the tools that ask for a ``ToolContext``, as its ``data``.
            tools: Offer the agent's tools; without them it can only talk.
            greet: Let the agent say its greeting first.
            middleware: Layers of the program's own, below those of the configuration.

        Raises:
            ConnectError: The connection could not be opened.
            ServerError: The server refused the settings.
            ConfigError: A layer could not start, as the logger with a path that cannot be written, or a toolset could
                not.
        """
        from agentkit.session import open as open_session

        agents = self._make_agents() if tools else []
        async with open_session(
            self.provider,
            tools=agents[0].tools if len(agents) == 1 else [],
            agents=agents if len(agents) > 1 else [],
            middleware=[*(layer.build() for layer in self.layers), *middleware],
            guards=[guard.build() for guard in self.guards],
            settings=self.settings,
            limits=self.limits,
            context=context,
            reconnect=self.reconnect,
        ) as session:
            if greet and self.greeting:
                await self._greet(session, self.greeting)
            yield session

    async def _greet(self, session: "Session", greeting: str) -> None:
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
    trust: bool = True,
    embedding: bool = True,
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
        trust: Whether ``python:`` may name code that is run.
        embedding: Ignore ``audio`` and ``serve``, which the command line reads and a program of your own does not need.

    Raises:
        ConfigErrors: The configuration cannot be used; carries every problem, with its place.
    """
    agent, diagnostics = examine(
        source,
        text=text,
        overrides=overrides,
        preset=preset,
        environ=environ,
        plugins=plugins,
        demo=demo,
        trust=trust,
        embedding=embedding,
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
    trust: bool = True,
    offline: bool = False,
    embedding: bool = False,
) -> tuple[Agent | None, tuple[Diagnostic, ...]]:
    """Load an agent as ``load`` does, and return every problem with it; it is None where one of them is an error.

    Args:
        offline: Import nothing that ``python:`` names; those files are only parsed, and the agent lacks the tools.
    """
    variables = os.environ if environ is None else environ
    allowed = _Allowed(plugins if plugins is not None else load_plugins(environ=variables))
    extra = [f"preset={preset}"] if preset is not None else []
    if demo:
        extra.append("provider={use: local}")
    loaded, read, diagnostics = draft(
        text if text is not None else Path(source),
        name=str(source),
        overrides=[*overrides, *extra],
        environ=variables,
        presets=allowed.preset,
        restrict=allowed.restrict,
    )
    if loaded is None or (loaded.config.plugins is not None and allowed.unknown(loaded)):
        more = [] if read is None else [*allowed.unknown(read), *check_names(read, allowed.plugins)]
        more += [] if read is None else check_python(read, trust=trust)
        more += [] if read is None else check_needs(read, allowed.plugins, embedding=embedding)
        return None, in_order([*diagnostics, *more])
    run = trust and not offline
    looked = [] if run else check_python(loaded, trust=trust)
    missing = check_needs(loaded, allowed.plugins, embedding=embedding)
    parts, found = Builder(loaded, allowed.plugins, [*diagnostics, *looked, *missing], run_python=run).build()
    return (None if parts is None else Agent(loaded, parts=parts, warnings=found)), found


class _Allowed:
    """The plugins that a configuration may use, before and after it says which."""

    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins

    def restrict(self, names: Sequence[str]) -> None:
        """Use only these from now on."""
        self.plugins = self.plugins.restrict(names)

    def preset(self, name: str) -> Preset:
        """Find a preset."""
        preset = self.plugins.get("presets", name)
        owner = self.plugins.owner("presets", name)
        return msgspec.structs.replace(preset, owner=f"{owner.distribution} {owner.version}".strip())

    def unknown(self, read: Draft) -> list[Diagnostic]:
        """Return a problem for each name under ``plugins:`` that no plugin has."""
        node = read.root.get("plugins")
        problems = []
        for index, item in enumerate(node.items if isinstance(node, ListNode) else ()):
            if isinstance(item, ScalarNode) and item.kind == "str" and item.text and not item.lost:
                try:
                    self.plugins.check_plugin_name(item.text)
                except PluginError as exc:
                    problems.append(read.plugin_problem(exc, "plugins", index))
        return problems


async def _nowhere(event: object) -> None:
    """Take an event nowhere."""


def _nothing(*_: object) -> None:
    """Report nothing."""


def _changed(limits: S, **said: int | None) -> S:
    """Return limits with what the file says; None leaves the engine's own."""
    return msgspec.structs.replace(limits, **{name: value for name, value in said.items() if value is not None})
