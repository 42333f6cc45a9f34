"""The composition root: turns a checked configuration and the installed plugins into an agent.

Rule: every problem is found before anything connects, and cites its place in the file.
"""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from agentkit.config.builder import Builder, Parts
from agentkit.config.diagnostics import ConfigErrors, Diagnostic
from agentkit.config.draft import Draft
from agentkit.config.loaded import Loaded, draft
from agentkit.config.names import check_names, in_order
from agentkit.config.nodes import ListNode, ScalarNode
from agentkit.config.schema import Config
from agentkit.config.settings import hosted_of, settings_of
from agentkit.errors import PluginError
from agentkit.events import OutputText, Settings
from agentkit.middleware import Chain
from agentkit.plugins import Plugins, load_plugins
from agentkit.presets import Preset
from agentkit.session import Reconnect, Session, SessionLimits
from agentkit.session import open as open_session
from agentkit.tools import Toolset

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
        self.layers = parts.layers
        self.guards = parts.guards
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
        core = _changed(
            SessionLimits().core,
            tool_calls_per_turn=said.tool_calls_per_turn,
            tool_calls_per_session=said.tool_calls_per_session,
            same_calls_per_turn=said.same_calls_per_turn,
        )
        limits = SessionLimits(turns=said.turns, session_time=said.session_time, core=core)
        return _changed(limits, tool_calls_at_once=said.tool_calls_at_once)

    @property
    def reconnect(self) -> Reconnect | None:
        """How a session goes on when its connection is lost; None for the provider's own ways."""
        said = self.config.provider.reconnect
        if said is None:
            return None
        return Reconnect(attempts=said.attempts, first_wait=said.first_wait, max_wait=said.max_wait)

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
            ConfigError: A layer could not start, as the logger with a path that cannot be written, or a toolset could
                not.
        """
        async with open_session(
            self.provider,
            tools=[
                *(source.build() for source in self.tools),
                *self.make_toolsets(),
                *(hosted_of(server) for server in self.hosted),
            ]
            if tools
            else [],
            middleware=[layer.build() for layer in self.layers],
            guards=[guard.build() for guard in self.guards],
            settings=self.settings,
            limits=self.limits,
            context=context,
            reconnect=self.reconnect,
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
        return None, in_order([*diagnostics, *more])
    parts, found = Builder(loaded, allowed.plugins, list(diagnostics)).build()
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
