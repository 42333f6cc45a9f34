"""Running one tool as a session does: arguments checked, through the layers, in its time, by its policy."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import msgspec

from agentkit.errors import ConnectionLostError, SessionClosedError
from agentkit.events import ApprovalRequested, ToolFinished
from agentkit.middleware import Middleware
from agentkit.plugins import load_plugins
from agentkit.registry import Factory
from agentkit.session import Session, SessionLimits
from agentkit.testing.configs import Modules, connect, known_plugins
from agentkit.testing.server import FakeServer
from agentkit.tools import Tool
from agentkit.tools import tool as make_tool

CALL_ID = "call_1"
"""The id of the call that ``call_tool`` makes."""


async def call_tool(
    tool: "Tool[..., object] | Factory[Tool[..., object]] | Callable[..., object] | str",
    arguments: Mapping[str, object] | str | None = None,
    /,
    *,
    middleware: Sequence[Middleware] = (),
    guards: Sequence[Middleware] = (),
    config: str | os.PathLike[str] | None = None,
    options: Mapping[str, object] | None = None,
    approve: bool = True,
    context: object = None,
    limits: SessionLimits | None = None,
    plugins: Modules | None = None,
    **named: object,
) -> ToolFinished:
    """Run a tool once, as a model's call in a session runs it.

    A session with a ``FakeServer`` is opened for it, so the arguments are checked against the schema, the layers are
    passed, and its policy holds: time limit, retries, approval.

    Args:
        tool: A tool, a factory of one, a function, or the name of a tool: of the configuration, or of a plugin.
        arguments: The arguments, as a mapping or as the JSON that a model wrote; ``named`` adds to a mapping.
        middleware: Layers around it.
        guards: Layers nearest the tool.
        config: A configuration, whose layers it passes; its tools are known by name.
        options: What a factory's tool is made with, as under ``with:``.
        approve: Whether a person agrees, where the tool asks for it.
        context: Reaches the tool as its ``ToolContext``'s ``data``.
        limits: The session's limits.
        plugins: What names are looked up in beside the core's own, by plugin name; the installed plugins where None.
        named: Arguments by name.

    Returns:
        How the call finished: ``output`` is what the model is told, ``result`` what the tool returned, ``status`` is
        ``ok``, or says what became of it.

    Raises:
        UnknownNameError: No tool of a plugin has this name; a configuration's has the status ``unknown``.
        SessionClosedError: A layer or a limit ended the session meanwhile.
        TypeError: Something is no tool, or arguments are given by name beside JSON.
        msgspec.ValidationError: The options do not fit.
    """
    raw = _raw(arguments, named)
    server = FakeServer()
    made = _tool(tool, options, config, plugins)
    tools = [made] if isinstance(made, Tool) else []
    name = made.name if isinstance(made, Tool) else made
    async with connect(
        server,
        config,
        tools=tools,
        middleware=middleware,
        guards=guards,
        limits=limits,
        context=context,
        plugins=plugins,
    ) as session:
        return await _called(session, server, name, raw, approve=approve)


async def _called(session: Session, server: FakeServer, name: str, raw: str, *, approve: bool) -> ToolFinished:
    finished: ToolFinished | None = None
    with session.subscribe(ToolFinished, ApprovalRequested) as events:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, server)
            await server.calls("resp_1", **{CALL_ID: (name, raw)})
            async for event in events:
                if isinstance(event, ToolFinished):
                    finished = event
                    break
                if isinstance(event, ApprovalRequested):
                    _decide(session, event.call_id, approve)
            tasks.cancel_scope.cancel()
    if finished is None:
        raise SessionClosedError("the session ended before the call finished")
    return finished


def _decide(session: Session, call_id: str, approve: bool) -> None:
    if approve:
        session.approvals.approve(call_id)
    else:
        session.approvals.reject(call_id, "the test says no")


async def _read(server: FakeServer) -> None:
    """Read whatever the session writes, so that it never waits for a reader."""
    try:
        while True:
            await server.next()
    except (ConnectionLostError, SessionClosedError):
        pass  # the session has ended


def _raw(arguments: Mapping[str, object] | str | None, named: Mapping[str, object]) -> str:
    if isinstance(arguments, str):
        if named:
            raise TypeError("arguments are given as JSON and by name: give one of them")
        return arguments
    return msgspec.json.encode({**(arguments or {}), **named}).decode()


def _tool(
    tool: Any,
    options: Mapping[str, object] | None,
    config: object,
    plugins: Modules | None,
) -> "Tool[..., object] | str":
    """Return the tool, or the name of one that the configuration has."""
    if isinstance(tool, str):
        if config is not None:
            return tool
        tool = (known_plugins(plugins) or load_plugins()).get("tools", tool)
    if isinstance(tool, Factory):
        wanted = tool.config
        made: Tool[..., object] = tool.make(None if wanted is None else msgspec.convert(options or {}, wanted))
        return made
    if options:
        raise TypeError(f"{tool!r} takes no options")
    return tool if isinstance(tool, Tool) else make_tool(tool)
