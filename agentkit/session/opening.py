"""Opening a session."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain

import anyio
from msgspec.structs import replace

from agentkit.events import AnySettings, FunctionTool, ServerMcpTool, Settings
from agentkit.middleware import Middleware
from agentkit.session.limits import SessionLimits
from agentkit.session.members import HandoffAgent
from agentkit.session.reconnecting import Reconnect
from agentkit.session.session import Session
from agentkit.tools import Tool, Toolset
from agentkit.transports.base import Provider


@asynccontextmanager
async def open(
    provider: Provider,
    *,
    tools: "Sequence[Tool[..., object] | FunctionTool | ServerMcpTool | Toolset]" = (),
    middleware: Sequence[Middleware] = (),
    guards: Sequence[Middleware] = (),
    settings: AnySettings | None = None,
    agents: Sequence[HandoffAgent] = (),
    agent: str | None = None,
    limits: SessionLimits | None = None,
    context: object = None,
    ready_timeout: float = 10.0,
    reconnect: Reconnect | None = None,
    journal: str | os.PathLike[str] | None = None,
) -> AsyncIterator[Session]:
    """Open a session; leaving the context closes it.

    Args:
        provider: Where to connect.
        tools: What the agent may call; a ``FunctionTool`` has no body and is answered by ``session.answer``. A
            ``Toolset`` is opened and closed with the session, unless it is open already; a ``ServerMcpTool`` is an MCP
            server whose tools the Realtime server calls by itself.
        middleware: Layers, the first nearest the application; an instance belongs to one session.
        guards: Layers that have the last word on each way.
        settings: What is asked of the server, tools aside.
        agents: Agents who hand the conversation over to one another, each with instructions, a voice and tools of its
            own; then ``tools`` and ``settings`` are what they have in common.
        agent: The name of the one that begins; the first of them where it is left out.
        limits: What the session may do at most.
        context: Reaches the tools that ask for a ``ToolContext``, as its ``data``.
        ready_timeout: Seconds that the server may take for ``session.created``, and again to confirm the settings.
        reconnect: How the session goes on when its connection is lost; without it as the provider's connections need
            it: by the defaults where they go over a network, not at all where they do not.
        journal: Write down there, before and after each call, what the session can be taken up again from by
            ``Snapshot.from_journal`` after its process was killed. A file that is there goes on.

    Yields:
        The session, ready: the server has confirmed the settings.

    Raises:
        ConnectError: The connection could not be opened.
        ServerError: The server refused the settings.
        RemoteProtocolError: The server did not answer as a Realtime server does.
        AgentkitError: A toolset could not be opened.
        TypeError: Something is no tool, two tools of an agent have one name, or a layer has no hook.
        ValueError: Two agents have one name, one hands over to itself or to nobody, or there is no such first one.
    """
    for each in (*tools, *chain.from_iterable(each.tools for each in agents if isinstance(each, HandoffAgent))):
        if not isinstance(each, Tool | FunctionTool | ServerMcpTool | Toolset):
            raise TypeError(f"{each!r} is no tool; decorate the function with @agentkit.tool")
    if agents and not isinstance(settings, Settings | None):
        raise TypeError("a transcription session has no agents")
    single = [tool for tool in tools if isinstance(tool, Tool | FunctionTool)]
    hosted = [tool for tool in tools if isinstance(tool, ServerMcpTool)]
    if hosted:
        settings = settings if settings is not None else Settings()
        if not isinstance(settings, Settings):
            raise TypeError("a transcription session has no tools")
        settings = replace(settings, tools=(*(settings.tools or ()), *hosted))
    names = [tool.name for tool in single]
    if len(set(names)) < len(names):
        doubled = sorted({str(name) for name in names if names.count(name) > 1})
        raise TypeError(f"two tools have the name {', '.join(doubled)}; rename one with tool.renamed(...)")
    if journal is not None:
        from agentkit.session.journal import Journal  # few sessions have one

        middleware = [*middleware, Journal(journal)]
    session = Session(
        provider,
        session_id=f"ak{os.urandom(4).hex()}",
        tools=single,
        middleware=middleware,
        guards=guards,
        limits=limits or SessionLimits(),
        context=context,
    )
    session.take_agents(agents, tools, agent)
    session.use(reconnect or Reconnect.default(provider))
    failure: Exception | None = None
    async with AsyncExitStack() as layers:
        await session.enter_toolsets(layers, [each for each in tools if isinstance(each, Toolset)])
        await session.enter_layers(layers)
        try:
            async with anyio.create_task_group() as tasks:
                try:
                    await session.run(tasks)
                    await session.make_ready(settings, ready_timeout)
                    yield session
                except Exception as exc:  # noqa: BLE001  # raised again below, outside of the task group, so ungrouped
                    failure = exc
                finally:
                    with anyio.CancelScope(shield=True):
                        await session.shut_down()
                    tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            raise group.exceptions[0] from None
        finally:
            if failure is not None:
                raise failure  # also where the surroundings were cancelled while the session was closing
