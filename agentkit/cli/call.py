"""``agentkit call``: one tool, run as a session would run it, without a provider."""

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentkit.cli.exits import Exit, Problem, say
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.output import Out
from agentkit.cli.terminal import clean
from agentkit.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import anyio.abc

    from agentkit.config.build import Agent
    from agentkit.events import ClientEvent
    from agentkit.tools import ToolResult


@click.command("call", cls=Command)
@click.argument("tool")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE...]")
@click.option("--config", metavar="F", help="The agent whose tool it is; agent.yaml where there is one.")
@click.option("--args", "given", metavar="JSON", help="All the arguments as a JSON object; - reads it from stdin.")
@click.option("--json", "as_json", is_flag=True, help="The whole result as one JSON document.")
@click.pass_context
def command(
    context: click.Context,
    tool: str,
    arguments: tuple[str, ...],
    config: str | None,
    given: str | None,
    as_json: bool,
) -> int:
    """Run TOOL once, through the middleware, and print what the model would be told.

    It is a tool of the configuration, or, where that names none of this name, one that an installed plugin brings.
    """
    import anyio
    import msgspec

    from agentkit.cli.arguments import arguments_of

    flags = flags_of(context)
    agent = _agent(flags, config, tool)
    source = next((each for each in agent.tools if each.tool.name == tool), None)
    if source is None and config is None:
        try:
            agent = _without_config(flags, tool)
        except PluginError as exc:
            raise _unknown(tool, agent) from exc
        source = agent.tools[0]
    if source is None:
        raise _unknown(tool, agent)
    raw = msgspec.json.encode(arguments_of(source.tool.parameters, arguments, given)).decode()
    stdout, sys.stdout = sys.stdout, sys.stderr  # what the tool prints is not its result
    try:
        result, ms = anyio.run(_run, agent, tool, raw)
    finally:
        sys.stdout = stdout
    out = Out()
    if as_json:
        told = {"v": 1, "tool": tool, "ok": result.ok, "status": result.status, "ms": ms, "output": result.output}
        out.json(told)
    elif result.ok:
        out.line(clean(result.output).rstrip("\n"))
    else:
        say(sys.stderr, flags.look(), f"{tool}: {result.output}")
    if result.ok:
        return Exit.DONE
    return Exit.USAGE if result.status == "invalid" else Exit.NO


def _agent(flags: Flags, config: str | None, tool: str) -> "Agent":
    from agentkit.cli.source import DEFAULT, load_agent

    if config is not None or Path(DEFAULT).exists():
        return load_agent(flags, config)
    return _without_config(flags, tool)


def _without_config(flags: Flags, tool: str) -> "Agent":
    import msgspec

    from agentkit.config.build import load

    plugins = flags.load_plugins()
    plugins.get("tools", tool)
    used = msgspec.json.encode(tool).decode()
    text = f"agent: {{}}\nprovider: {{use: local}}\ntools: [{{use: {used}}}]\n"
    return load("<call>", text=text, plugins=plugins)


def _unknown(tool: str, agent: "Agent") -> Problem:
    import difflib

    names = [each.tool.name for each in agent.tools]
    near = difflib.get_close_matches(tool, names, 1, 0.6)
    known = f"the tools are {', '.join(names)}" if names else "the configuration names no tools"
    return Problem(f"no tool is called {tool}", hint=f"did you mean {near[0]}?" if near else known)


async def _run(agent: "Agent", tool: str, raw: str) -> "tuple[ToolResult, float]":
    """Run a call through the layers; those around tool calls are started, the others are not."""
    import anyio

    from agentkit.tools import ToolCall, ToolContext

    source = next(each for each in agent.tools if each.tool.name == tool)
    limits = agent.limits
    chain = agent.chain()
    call = ToolCall(call_id="call_cli", name=tool, raw_arguments=raw)

    async def body(passed: ToolCall) -> "ToolResult":
        context = ToolContext(call=passed)
        return await source.build().run(passed, context, default_timeout=limits.tool_timeout)

    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(anyio.create_task_group())
        for layer in chain.order_of_calls():
            layer.session = NoSession(tasks)
            await stack.enter_async_context(layer.running())
        began = anyio.current_time()
        result = await chain.around_call(body)(call)
        ms = round((anyio.current_time() - began) * 1000, 1)
        tasks.cancel_scope.cancel()
    return result, ms


async def _awaited(function: "Callable[..., Awaitable[object]]", args: tuple[object, ...]) -> None:
    await function(*args)


class NoSession:
    """What a layer has for its session where there is none."""

    id = "call"

    def __init__(self, tasks: "anyio.abc.TaskGroup") -> None:
        self._tasks = tasks

    async def send(self, event: "ClientEvent") -> None:
        """Refuse: there is nobody to send to."""
        from agentkit.errors import SessionClosedError

        raise SessionClosedError(f"there is no session to send {event.wire_type} to: agentkit call has no provider")

    def start_soon(self, function: "Callable[..., Awaitable[object]]", *args: object) -> None:
        """Start a task that ends with the call at the latest."""
        self._tasks.start_soon(_awaited, function, args)

    def notice(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        """Say it on stderr."""
        say(sys.stderr, Flags().look(), message, hint=hint, level=level)
