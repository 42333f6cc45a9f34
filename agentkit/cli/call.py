"""``agentkit call``: one tool, run as a session would run it, without a provider."""

import logging
import shlex
import sys
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentkit.cli.exits import Exit, Problem, say
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.output import Out
from agentkit.cli.terminal import clean, is_tty, one_line
from agentkit.errors import PluginError, ToolArgumentsError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    import anyio.abc

    from agentkit.cli.approvals import Choice
    from agentkit.config.build import Agent
    from agentkit.config.parts import ToolSource
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
@click.option("--trust", is_flag=True, help="Let a configuration from stdin name code with python:.")
@click.pass_context
def command(
    context: click.Context,
    tool: str,
    arguments: tuple[str, ...],
    config: str | None,
    given: str | None,
    approve: "Choice | None",
    as_json: bool,
    trust: bool,
) -> int:
    """Run TOOL once, through the middleware, and print what the model would be told.

    It is a tool of the configuration, or, where that names none of this name, one that an installed plugin brings.
    Secret arguments are shown as ***.
    """
    from agentkit.cli.signals import run_to_end

    flags = flags_of(context)
    if config == given == "-":
        raise Problem("stdin cannot be both the configuration and the arguments", hint="give the arguments NAME=VALUE")
    agent = _agent(flags, config, tool, trust=trust)
    if config is None and not agent.toolsets and tool not in (known := _single(agent)):
        try:
            agent = _without_config(flags, tool)
        except PluginError as exc:
            raise _unknown(tool, list(known), config) from exc
    stdout, sys.stdout = sys.stdout, sys.stderr  # what the tool prints is not its result
    try:
        with _told_once(flags):
            result, ms, reason = run_to_end(_call, agent, flags, tool, arguments, given, approve, config)
    finally:
        sys.stdout = stdout
    out = Out()
    if as_json:
        told = {"v": 1, "tool": tool, "ok": result.ok, "status": result.status, "ms": ms, "output": result.output}
        out.json(told)
    elif result.ok:
        out.line(clean(result.output).rstrip("\n"))
    elif reason is not None:
        say(sys.stderr, flags.look(), f"{tool} failed: {one_line(reason)}", hint="-vv shows the traceback")
    else:
        subject = "" if result.output.startswith(f"{tool} ") else f"{tool}: "
        say(sys.stderr, flags.look(), f"{subject}{result.output}")
    if result.ok:
        return Exit.DONE
    return Exit.USAGE if result.status == "invalid" else Exit.NO


@contextmanager
def _told_once(flags: Flags) -> "Iterator[None]":
    """Keep back what is logged of a call, which the error says, unless logging is asked for."""
    logger = logging.getLogger("agentkit.tools")
    if flags.verbosity <= 1 and flags.log_level is None and flags.log_file is None:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(logging.NOTSET)


def _agent(flags: Flags, config: str | None, tool: str, *, trust: bool) -> "Agent":
    from agentkit.cli.source import DEFAULT, load_agent

    if config is not None or Path(DEFAULT).exists():
        return load_agent(flags, config, trust=trust)
    try:
        return _without_config(flags, tool)
    except UnknownNameError as exc:
        raise Problem(str(exc), hint=_not_listed(tool, config) or exc.hint) from exc


def _single(agent: "Agent") -> "dict[str, ToolSource]":
    """Return the tools that are known without opening anything, also those of the agents it hands over to."""
    every = [*agent.tools, *(source for further in agent.agents for source in further.tools)]
    return {source.tool.name: source for source in reversed(every)}


def _without_config(flags: Flags, tool: str) -> "Agent":
    import msgspec

    from agentkit.config.build import load

    plugins = flags.load_plugins()
    plugins.get("tools", tool)
    used = msgspec.json.encode(tool).decode()
    text = f"agent: {{}}\nprovider: {{use: local}}\ntools: [{{use: {used}}}]\n"
    return load("<call>", text=text, plugins=plugins)


def _unknown(tool: str, names: "Sequence[str]", config: str | None) -> Problem:
    import difflib

    if (hint := _not_listed(tool, config)) is not None:
        return Problem(f"no tool is called {tool}", hint=hint)
    near = difflib.get_close_matches(tool, names, 1, 0.6)
    known = f"the tools are {', '.join(names)}" if names else "the configuration names no tools"
    return Problem(f"no tool is called {tool}", hint=f"did you mean {near[0]}?" if near else known)


def _not_listed(tool: str, config: str | None) -> str | None:
    """Return a hint where the tools.py beside a configuration has a function that it does not list."""
    from agentkit.cli.new.python_file import SourceFile, read_source
    from agentkit.cli.source import DEFAULT

    used = Path(config or DEFAULT)
    file = used.parent / "tools.py"
    try:
        text = read_source(file)
        line = SourceFile(file, text).function_line(tool) if text is not None else None
    except Problem:
        return None
    if line is None:
        return None
    found = f"{file}:{line} has a function of that name"
    if not used.is_file():
        return f"{found}; name it in a configuration: - python: ./tools.py:{tool}"
    way = f"agentkit new tool {tool} --config {shlex.quote(str(used))}"
    return f"{found}, and {used} does not list it: {way}"


async def _call(
    agent: "Agent",
    flags: Flags,
    name: str,
    pairs: "tuple[str, ...]",
    given: str | None,
    approve: "Choice | None",
    config: str | None,
) -> "tuple[ToolResult, float, str | None]":
    """Find the tool, open what it needs, and run the call.

    Returns:
        The result, how many milliseconds it took, and what the body raised, where it was no ``ToolError``.

    Raises:
        Problem: There is no such tool, or the arguments are none.
    """
    import msgspec
    from msgspec.structs import replace

    from agentkit.cli.arguments import arguments_of
    from agentkit.cli.calls import reason_of
    from agentkit.cli.opened import opened
    from agentkit.cli.tools import Notices
    from agentkit.masking import Masker
    from agentkit.tools.secrets import hidden, secret_values

    single = _single(agent)
    async with AsyncExitStack() as stack:
        if name in single:
            tools = {each: source.build() for each, source in single.items()}
        else:
            listed, missing = await stack.enter_async_context(opened(agent, Notices(flags)))
            tools = {each.tool.name: each.tool for each in reversed(listed)}  # the main agent's before others'
            if name not in tools:
                for lost in missing:
                    say(sys.stderr, flags.look(), f"{lost.place}: {lost.error}", hint=lost.error.hint)
                raise _unknown(name, list(tools), config)
        tool = tools[name]
        raw = msgspec.json.encode(arguments_of(tool.parameters, pairs, given)).decode()
        result, ms = await _run(agent, tools, tool, raw, Desk(flags, approve, raw))
    secrets = secret_values(raw, tool.policy.secret)
    reason = reason_of(result.error)
    shown = replace(result, output=hidden(result.output, secrets))
    return shown, ms, reason and Masker().text(hidden(reason, secrets))


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
            layer.session = NoSession(tasks, tools, desk.flags)
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
        self.flags = flags
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
        from agentkit.cli.terminal import TerminalState
        from agentkit.tools.secrets import masked

        kind = "dangerous tool" if tool.policy.effects == "dangerous" else "tool"
        shown = shown_arguments(masked(call.raw_arguments, tool.policy.secret))
        reader = LineReader()
        terminal = TerminalState()
        while True:
            terminal.forget_typed()  # what was typed before cannot answer a question that was not seen yet
            sys.stderr.write(f"{kind} {one_line(tool.name)}({shown}) needs approval [y]es [n]o > ")
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
    agent: str | None = None

    def __init__(
        self, tasks: "anyio.abc.TaskGroup", tools: "Mapping[str, Tool[..., object] | FunctionTool]", flags: Flags
    ) -> None:
        self._tasks = tasks
        self._flags = flags
        self.tools = tools

    @property
    def secret_arguments(self) -> "dict[str, frozenset[str]]":
        """The arguments that are secret by the names of the tools that have such."""
        from agentkit.tools import Tool

        return {
            name: tool.policy.secret
            for name, tool in self.tools.items()
            if isinstance(tool, Tool) and tool.policy.secret
        }

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
        if level == "error" or self._flags.verbosity >= 0:
            say(sys.stderr, self._flags.look(), message, hint=hint, level=level)
