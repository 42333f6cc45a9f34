"""Opening a session."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

from agentkit.events import AnySettings, FunctionTool
from agentkit.middleware import Middleware
from agentkit.session.limits import SessionLimits
from agentkit.session.session import Session
from agentkit.tools import Tool
from agentkit.transports.base import Provider


@asynccontextmanager
async def open(
    provider: Provider,
    *,
    tools: "Sequence[Tool[..., object] | FunctionTool]" = (),
    middleware: Sequence[Middleware] = (),
    guards: Sequence[Middleware] = (),
    settings: AnySettings | None = None,
    limits: SessionLimits | None = None,
    context: object = None,
    ready_timeout: float = 10.0,
) -> AsyncIterator[Session]:
    """Open a session; leaving the context closes it.

    Args:
        provider: Where to connect.
        tools: What the agent may call; a ``FunctionTool`` has no body and is answered by ``session.answer``.
        middleware: Layers, the first nearest the application; an instance belongs to one session.
        guards: Layers that have the last word on each way.
        settings: What is asked of the server, tools aside.
        limits: What the session may do at most.
        context: Reaches the tools that ask for a ``ToolContext``, as its ``data``.
        ready_timeout: Seconds that the server may take for ``session.created``, and again to confirm the settings.

    Yields:
        The session, ready: the server has confirmed the settings.

    Raises:
        ConnectError: The connection could not be opened.
        ServerError: The server refused the settings.
        RemoteProtocolError: The server did not answer as a Realtime server does.
        TypeError: Something is no tool, two tools have one name, or a layer has no hook.
    """
    for each in tools:
        if not isinstance(each, Tool | FunctionTool):
            raise TypeError(f"{each!r} is no tool; decorate the function with @agentkit.tool")
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        doubled = sorted({str(name) for name in names if names.count(name) > 1})
        raise TypeError(f"two tools have the name {', '.join(doubled)}; rename one with tool.renamed(...)")
    session = Session(
        provider,
        session_id=f"ak{os.urandom(4).hex()}",
        tools=tools,
        middleware=middleware,
        guards=guards,
        limits=limits or SessionLimits(),
        context=context,
    )
    failure: Exception | None = None
    async with AsyncExitStack() as layers:
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
