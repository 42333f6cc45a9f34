"""``agentkit run``: talk to an agent, in the terminal or from a pipe."""

import sys
from typing import TYPE_CHECKING

import click

from agentkit.cli.exits import Problem
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.output import Out
from agentkit.cli.terminal import TerminalState, is_tty

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agentkit.cli.approvals import Approver, Choice
    from agentkit.cli.inputs import LineReader
    from agentkit.config.build import Agent


def _duration(context: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        from agentkit.values import parse_duration

        try:
            if parse_duration(value) <= 0:
                raise ValueError("it has to be above zero")
        except ValueError as exc:
            raise click.BadParameter(f"{value!r}: {exc}") from exc
    return value


@click.command("run", cls=Command, log_default="none")
@click.argument("config", required=False)
@click.option("-p", "--prompt", metavar="TEXT", help="Ask this and end; what stdin has is put after it.")
@click.option("--lines", is_flag=True, help="Each line of stdin is a turn.")
@click.option("--json", "as_json", is_flag=True, help="Print everything that happens as NDJSON.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a key of the configuration.")
@click.option("--preset", metavar="P", help="Start from this preset instead of the file's.")
@click.option("--demo", is_flag=True, help="Use the embedded server, whatever the file says: no key, no network.")
@click.option("--no-tools", is_flag=True, help="Offer no tools.")
@click.option(
    "--approve",
    type=click.Choice(["ask", "all", "none"]),
    help="Who approves the calls that need it: you at the terminal (ask, where there is one); all of them, except those"
    " of dangerous tools, which are refused; or none.",
)
@click.option("--max-turns", type=click.IntRange(min=1), metavar="N", help="End after so many turns.")
@click.option("--max-time", metavar="D", callback=_duration, help="End after this time: 90s, 15m.")
@click.pass_context
def command(
    context: click.Context,
    config: str | None,
    prompt: str | None,
    lines: bool,
    as_json: bool,
    overrides: tuple[str, ...],
    preset: str | None,
    demo: bool,
    no_tools: bool,
    approve: "Choice | None",
    max_turns: int | None,
    max_time: str | None,
) -> int:
    """Talk to the agent of CONFIG (agent.yaml where none is named).

    In a terminal it is a conversation; with -p, or from a pipe, the answer goes to stdout and nothing else does.
    """
    import anyio

    from agentkit.cli.source import load_agent

    flags = flags_of(context)
    if config == "-" and prompt is None:
        raise Problem("the configuration comes from stdin, so the question has to be in -p", hint="-p TEXT")
    if lines and prompt is not None:
        raise Problem("--lines and -p exclude each other", hint="put the text on the first line of stdin")
    if max_turns is not None:
        overrides += (f"limits.turns={max_turns}",)
    if max_time is not None:
        overrides += (f"limits.session_time={max_time}",)
    agent = load_agent(flags, config, overrides=overrides, preset=preset, demo=demo)
    approve = _approval(flags, approve)
    out = Out()
    # What tools print is not the answer.
    stdout, sys.stdout = sys.stdout, sys.stderr
    terminal = TerminalState()
    try:
        if is_tty(sys.stdin) and prompt is None and not lines and not as_json:
            if flags.no_input:
                raise Problem("there is nothing to say, and --no-input forbids to ask", hint="-p TEXT")
            from agentkit.cli.interactive import converse

            return anyio.run(converse, agent, flags, out, terminal, not no_tools, approve)
        from agentkit.cli.inputs import LineReader

        reader = LineReader()
        by_line = lines or (as_json and is_tty(sys.stdin))
        inputs = _inputs(flags, prompt, reader, by_line=by_line, config=config)

        def approver() -> "Approver":
            return _approver(approve, flags, terminal, reader)

        return anyio.run(_answer, agent, flags, out, terminal, inputs, as_json, not no_tools, approver)
    finally:
        terminal.restore()
        sys.stdout = stdout


def _approval(flags: Flags, asked: "Choice | None") -> "Choice":
    """Return who approves calls.

    Raises:
        Problem: A person was to be asked, and there is no terminal to ask on.
    """
    can_ask = is_tty(sys.stdin) and is_tty(sys.stderr) and not flags.no_input
    if asked == "ask" and not can_ask:
        raise Problem("--approve ask needs a terminal to ask on", hint="--approve all, or --approve none")
    return asked or ("ask" if can_ask else "none")


def _approver(approve: "Choice", flags: Flags, terminal: TerminalState, reader: "LineReader") -> "Approver":
    from agentkit.cli.approvals import Asking, Everything, Nobody

    if approve == "all":
        return Everything()
    if approve == "none":
        return Nobody()
    from agentkit.cli.prompts import Bare, PlainPrompt

    surface = Bare(sys.stderr)
    return Asking(PlainPrompt(surface, terminal, reader, sys.stderr), surface.tell, flags.look())


def _inputs(
    flags: Flags, prompt: str | None, reader: "LineReader", *, by_line: bool, config: str | None
) -> "AsyncIterator[str]":
    """Return what is said to the agent.

    Raises:
        Problem: There is nothing.
    """
    from agentkit.cli.exits import say
    from agentkit.cli.inputs import lines, one, read_whole

    if by_line and prompt is None:
        return lines(reader)
    if prompt is not None and (config == "-" or is_tty(sys.stdin)):
        text = prompt
    else:

        def waiting() -> None:
            hint = "close stdin to go on; where it has nothing to say: < /dev/null"
            say(sys.stderr, flags.look(), "waiting for the end of stdin", hint=hint, level="info")

        piped = read_whole(waiting)
        text = "\n\n".join(part for part in (prompt, piped) if part is not None and part.strip())
    if not text.strip():
        where = "stdin is empty" if prompt is None else "-p is empty"
        raise Problem(f"{where}, so there is nothing to ask", hint='agentkit run -p "a question", or pipe one in')
    return one(text)


async def _answer(
    agent: "Agent",
    flags: Flags,
    out: Out,
    terminal: TerminalState,
    inputs: "AsyncIterator[str]",
    as_json: bool,
    tools: bool,
    approver: "Callable[[], Approver]",
) -> int:
    from agentkit.cli.skins import JsonSkin, PlainSkin
    from agentkit.cli.talk import Talk

    skin = JsonSkin(out) if as_json else PlainSkin(out, sys.stderr, flags.look(), verbosity=flags.verbosity)
    talk = Talk(agent, skin, terminal, tools=tools)
    talk.approver = approver()
    return await talk.run(inputs)
