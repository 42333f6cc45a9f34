"""Configurations in tests: a text with every problem in it, and sessions of it with a fake server."""

import os
import textwrap
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from agentkit.config import Diagnostic
from agentkit.config.build import Agent, examine, load
from agentkit.events import AnySettings, FunctionTool
from agentkit.middleware import Middleware
from agentkit.plugins import Plugins
from agentkit.session import Session, SessionLimits
from agentkit.session import open as open_session
from agentkit.tools import Tool, Toolset
from agentkit.transports.base import Provider

Modules: TypeAlias = Mapping[str, ModuleType | object]
"""Plugins that need not be installed: modules, or objects with hooks, by plugin name."""


def load_config(
    text: str,
    *,
    plugins: Modules | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[Agent | None, tuple[Diagnostic, ...]]:
    """Load an agent from YAML text, and return every problem with it; the agent is None where one is an error.

    Args:
        text: The configuration; what indents all of it, and an empty first line, are taken off.
        plugins: What names are looked up in beside the core's own, by plugin name; the installed plugins where None.
        environ: The variables for ``${NAME}``; the process's own where it is None.

    Returns:
        The agent (``agent.config`` is what the text says), and the diagnostics.
    """
    variables = os.environ if environ is None else environ
    shown = textwrap.dedent(text).removeprefix("\n")
    return examine("<text>", text=shown, environ=variables, plugins=known_plugins(plugins))


def known_plugins(modules: Modules | None) -> Plugins | None:
    """Return these as plugins; None for those that are installed."""
    return None if modules is None else Plugins.from_modules(modules)


@asynccontextmanager
async def connect(
    provider: Provider,
    config: str | os.PathLike[str] | None = None,
    *,
    tools: "Sequence[Tool[..., object] | FunctionTool | Toolset]" = (),
    middleware: Sequence[Middleware] = (),
    guards: Sequence[Middleware] = (),
    settings: AnySettings | None = None,
    limits: SessionLimits | None = None,
    context: object = None,
    plugins: Modules | None = None,
) -> AsyncIterator[Session]:
    """Open a session with a provider of the test's, of a configuration or of parts.

    Args:
        provider: Where to connect: a ``FakeServer``, or ``Local()``.
        config: A configuration file, whose own provider is left out.
        tools: What the agent may call; with ``config``, besides the file's tools.
        middleware: Layers; not with ``config``, which names its own.
        guards: Layers that have the last word; not with ``config``.
        settings: What is asked of the server; not with ``config``.
        limits: What the session may do at most; not with ``config``.
        context: Reaches the tools that ask for a ``ToolContext``, as its ``data``.
        plugins: What names are looked up in beside the core's own, by plugin name; the installed plugins where None.

    Raises:
        ConfigErrors: The configuration cannot be used.
        TypeError: Parts were given that the configuration names itself.
    """
    if config is None:
        async with open_session(
            provider,
            tools=tools,
            middleware=middleware,
            guards=guards,
            settings=settings,
            limits=limits,
            context=context,
        ) as session:
            yield session
        return
    given = {"middleware": middleware, "guards": guards, "settings": settings, "limits": limits}
    if named := [name for name, value in given.items() if value]:
        raise TypeError(f"a configuration names its own {', '.join(named)}: write them in {Path(config).name}")
    agent = load(Path(config), demo=True, plugins=known_plugins(plugins))
    agent.provider = provider
    async with agent.open(context=context, greet=False) as session:
        for tool in tools:
            if isinstance(tool, Toolset):
                raise TypeError("a toolset cannot be added to a configuration's tools: write it in the file")
            await session.add_tool(tool)
        yield session
