"""``agentkit call``: one tool, run as a session would run it, without a provider."""

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentkit.cli.exits import Exit, Problem, say
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.output import Out
from agentkit.cli.terminal import clean, is_tty, one_line
from agentkit.errors import PluginError, ToolArgumentsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import anyio.abc

    from agentkit.cli.approvals import Choice
    from agentkit.config.build import Agent
    from agentkit.events import AnySettings, ClientEvent, FunctionTool
    from agentkit.tools import Progress, Tool, ToolCall, ToolResult

    AnyTool = Tool[..., object]


@click.command("call", cls=Command)
@click.argument("tool")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE...]")
@click.option("--config", metavar="F", help="The agent whose tool it is; agent.yaml where there is one.")
@click.option("--args", "given", metavar="JSON", help="All the arguments as a JSON object; - reads it from stdin.")
@click.option(
    "--approve",
    type=click.Choice(["ask", "all", "none"]),
    help="Where the tool needs approval: ask at the terminal, approve the arguments given here, or refuse.",
)
@click.option("--json", "as_json", is_flag=True, help="The whole result as one JSON document.")
@click.pass_context
def command(
    context: click.Context,
    tool: str,
    arguments: tuple[str, ...],
    config: str | None,
    given: str | None,
    approve: "Choice | None",
    as_json: bool,
) -> int:
    """Run TOOL once, through the middleware, and print what the model would be told.

    It is a tool of the configuration, or, where that names none of this name, one that an installed plugin brings.
    Secret arguments are shown as ***.
    """
    import anyio

    flags = flags_of(context)
    agent = _agent(flags, config, tool)
    if config is None and not agent.toolsets and all(each.tool.name != tool for each in agent.tools):
        try:
            agent = _without_config(flags, tool)
        except PluginError as exc:
            raise _unknown(tool, [each.tool.name for each in agent.tools]) from exc
    stdout, sys.stdout = sys.stdout, sys.stderr  # what the tool prints is not its result
    try:
        result, ms = anyio.run(_call, agent, flags, tool, arguments, given, approve)
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


def _unknown(tool: str, names: "Sequence[str]") -> Problem:
    import difflib

    near = difflib.get_close_matches(tool, names, 1, 0.6)
    known = f"the tools are {', '.join(names)}" if names else "the configuration names no tools"
    return Problem(f"no tool is called {tool}", hint=f"did you mean {near[0]}?" if near else known)


async def _call(
    agent: "Agent",
    flags: Flags,
    name: str,
    pairs: "tuple[str, ...]",
    given: str | None,
    approve: "Choice | None",
) -> "tuple[ToolResult, float]":
    """Find the tool, open what it needs, and run the call.

    Raises:
        Problem: There is no such tool, or the arguments are none.
    """
    import msgspec
    from msgspec.structs import replace

    from agentkit.cli.arguments import arguments_of
    from agentkit.cli.opened import opened
    from agentkit.cli.tools import Notices
    from agentkit.tools.secrets import hidden, secret_values

    single = {source.tool.name: source for source in agent.tools}
    async with AsyncExitStack() as stack:
        if name in single:
            tools = {each: source.build() for each, source in single.items()}
        else:
            listed, missing = await stack.enter_async_context(opened(agent, Notices(flags)))
            tools = {each.tool.name: each.tool for each in listed}
            if name not in tools:
                for lost in missing:
                    say(sys.stderr, flags.look(), f"{lost.place}: {lost.error}", hint=lost.error.hint)
                raise _unknown(name, list(tools))
        tool = tools[name]
        raw = msgspec.json.encode(arguments_of(tool.parameters, pairs, given)).decode()
        result, ms = await _run(agent, tools, tool, raw, Desk(flags, approve, raw))
    return replace(result, output=hidden(result.output, secret_values(raw, tool.policy.secret))), ms


async def _run(
    agent: "Agent", tools: "Mapping[str, AnyTool]", tool: "AnyTool", raw: str, desk: "Desk"
) -> "tuple[ToolResult, float]":
    """Run a call through the layers; those around tool calls are started, the others are not."""
    import anyio
    from anyio.lowlevel import current_token

    from agentkit.tools import Reporter, ToolCall, ToolContext, ToolResult

    limits = agent.limits
    chain = agent.chain()
    call = ToolCall(call_id="call_cli", name=tool.name, raw_arguments=raw)

    async def body(passed: ToolCall) -> ToolResult:
        found = tools.get(passed.name)
        if found is None:
            return ToolResult.unknown(passed.name, tools)
        refused = await desk.refusal(passed, found)
        if refused is not None:
            return ToolResult.refused(refused)
        reporter = Reporter(lambda progress: desk.progress(found, passed, progress), current_token())
        context = ToolContext(call=passed, reporter=reporter)
        return await found.run(passed, context, default_timeout=limits.tool_timeout)

    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(anyio.create_task_group())
        for layer in chain.order_of_calls():
            layer.session = NoSession(tasks, tools)
            await stack.enter_async_context(layer.running())
        began = anyio.current_time()
        result = await chain.around_call(body)(call)
        ms = round((anyio.current_time() - began) * 1000, 1)
        tasks.cancel_scope.cancel()
    return result, ms


class Desk:
    """Where a call is approved, and its progress shown."""

    def __init__(self, flags: Flags, approve: "Choice | None", given: str) -> None:
        """Make it.

        Args:
            flags: How things are shown.
            approve: What ``--approve`` says.
            given: The arguments of the command line: those that it can approve.
        """
        can_ask = is_tty(sys.stdin) and is_tty(sys.stderr) and not flags.no_input
        if approve == "ask" and not can_ask:
            raise Problem("--approve ask needs a terminal to ask on", hint="--approve all, or --approve none")
        self._approve = approve or ("ask" if can_ask else "none")
        self._look = flags.look()
        self._given = given

    async def refusal(self, call: "ToolCall", tool: "AnyTool") -> str | None:
        """Return why a call may not run; None where it may."""
        from agentkit.tools.secrets import canonical

        try:
            tool.bind(call.raw_arguments)
        except ToolArgumentsError:
            return None  # the call itself says so
        if tool.policy.approval is None:
            return None
        if self._approve == "ask":
            return await self._ask(call, tool)
        if self._approve == "none":
            return "it needs approval: --approve all approves these arguments"
        changed = canonical(call.raw_arguments) != canonical(self._given)
        if changed and tool.policy.effects == "dangerous":
            return "a layer has changed the arguments, and --approve all approves those of the command line only"
        return None

    async def _ask(self, call: "ToolCall", tool: "AnyTool") -> str | None:
        from agentkit.cli.approvals import shown_arguments
        from agentkit.cli.inputs import LineReader
        from agentkit.tools.secrets import masked

        kind = "dangerous tool" if tool.policy.effects == "dangerous" else "tool"
        shown = shown_arguments(masked(call.raw_arguments, tool.policy.secret))
        reader = LineReader()
        while True:
            sys.stderr.write(f"{kind} {tool.name}({shown}) needs approval [y]es [n]o > ")
            sys.stderr.flush()
            answer = await reader.line()
            if answer is None or answer.strip().lower() in ("n", "no"):
                return "you have refused it"
            if answer.strip().lower() in ("y", "yes"):
                return None

    def progress(self, tool: "AnyTool", call: "ToolCall", progress: "Progress") -> None:
        """Show how far a call has come, as a line on stderr."""
        from agentkit.tools import ToolResult
        from agentkit.tools.secrets import hidden, secret_values

        parts = [] if progress.done is None else [f"{progress.done:.0%}"]
        said = progress.message or ("" if progress.partial is None else ToolResult.of(progress.partial).output)
        parts.append(hidden(said, secret_values(call.raw_arguments, tool.policy.secret)))
        sys.stderr.write(self._look.paint(self._look.cut(one_line(f"{tool.name}: {' '.join(parts)}")), "dim") + "\n")
        sys.stderr.flush()


async def _awaited(function: "Callable[..., Awaitable[object]]", args: tuple[object, ...]) -> None:
    await function(*args)


class NoSession:
    """What a layer has for its session where there is none."""

    id = "call"
    settings = None

    def __init__(self, tasks: "anyio.abc.TaskGroup", tools: "Mapping[str, Tool[..., object] | FunctionTool]") -> None:
        self._tasks = tasks
        self.tools = tools

    async def send(self, event: "ClientEvent") -> None:
        """Refuse: there is nobody to send to."""
        from agentkit.errors import SessionClosedError

        raise SessionClosedError(f"there is no session to send {event.wire_type} to: agentkit call has no provider")

    async def say(self, text: str) -> None:
        """Say it on stderr: there is nobody else to say it."""
        self.notice("say", text, level="info")

    async def create_response(self) -> None:
        """Do nothing: nobody answers."""

    async def interrupt(self, heard_ms: int | None = None) -> None:
        """Do nothing: nobody speaks."""

    async def update(self, settings: "AnySettings") -> None:
        """Do nothing: there is nobody to tell."""

    async def delete_item(self, item_id: str) -> None:
        """Do nothing: there is no conversation."""

    async def end(self, reason: str = "", *, limit: bool = False) -> None:
        """Do nothing: it ends with the call."""

    def start_soon(self, function: "Callable[..., Awaitable[object]]", *args: object) -> None:
        """Start a task that ends with the call at the latest."""
        self._tasks.start_soon(_awaited, function, args)

    def notice(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        """Say it on stderr."""
        say(sys.stderr, Flags().look(), message, hint=hint, level=level)
