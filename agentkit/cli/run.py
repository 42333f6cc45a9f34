"""``agentkit run``: talk to an agent, in the terminal or from a pipe."""

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from agentkit.cli.exits import Exit, Problem
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.output import Out
from agentkit.cli.terminal import TerminalState, is_tty
from agentkit.distributions import AUDIO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agentkit.cli.approvals import Approver, Choice
    from agentkit.cli.inputs import LineReader
    from agentkit.cli.talk import Extras
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
@click.option("--input", "source", metavar="F", help="Say this: a WAV file, pcm:FILE, or pcm:- for stdin.")
@click.option("--output", "target", metavar="F", help="Write the agent's voice: F.wav, pcm:FILE, or pcm:- for stdout.")
@click.option("--text/--voice", "text", default=None, help="Let the agent write, or speak.")
@click.option("--input-device", metavar="N|NAME", help="The microphone, as `agentkit devices` calls it.")
@click.option("--output-device", metavar="N|NAME", help="The speaker.")
@click.option("--ptt", is_flag=True, help="Push to talk: all of --input is one turn.")
@click.option("--json", "as_json", is_flag=True, help="Print everything that happens as NDJSON.")
@click.option("--json-audio", is_flag=True, help="The same, with the agent's audio in it.")
@click.option("--events", metavar="GLOB", multiple=True, help="Show events of the wire too: 'response.*'.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a key of the configuration.")
@click.option("--preset", metavar="P", help="Start from this preset instead of the file's.")
@click.option("--demo", is_flag=True, help="Use the embedded server, whatever the file says: no key, no network.")
@click.option("--no-tools", is_flag=True, help="Offer no tools.")
@click.option("--trust", is_flag=True, help="Let a configuration from stdin name code with python:.")
@click.option(
    "--approve",
    type=click.Choice(["ask", "all", "none"]),
    help="Who approves the calls that need it: you at the terminal (ask, where there is one); all of them, except those"
    " of dangerous tools, which are refused; or none.",
)
@click.option("--max-turns", type=click.IntRange(min=1), metavar="N", help="End after so many turns.")
@click.option("--max-time", metavar="D", callback=_duration, help="End after this time: 90s, 15m.")
@click.option("--max-cost", type=click.FloatRange(min=0, min_open=True), metavar="USD", help="End at this cost.")
@click.option("--record", is_flag=True, help="Record events and audio of both sides.")
@click.option("--record-to", metavar="DIR", help="Record into this directory.")
@click.option("-c", "--continue", "last", is_flag=True, help="Go on with the last conversation with this agent.")
@click.option("--resume", metavar="ID", help="Go on with a kept conversation; agentkit sessions lists them.")
@click.option("--no-keep", is_flag=True, help="Do not keep this conversation.")
@click.option("--save", metavar="F", help="Write the conversation at the end: F.md, .txt, .json or .vtt.")
@click.pass_context
def command(context: click.Context, /, **given: Any) -> int:
    """Talk to the agent of CONFIG (agent.yaml where none is named).

    In a terminal it is a conversation; with -p, or from a pipe, the answer goes to stdout and nothing else does.

    Conversations are kept as text in a folder that only you can read, so that -c can go on with one; --no-keep keeps
    none, and `agentkit sessions path` names the folder.
    """
    asked = Asked(**given)
    asked.check(stdin=is_tty(sys.stdin))
    flags = flags_of(context)
    out = Out()
    # What tools print is not the answer.
    stdout, sys.stdout = sys.stdout, sys.stderr
    terminal = TerminalState()
    try:
        return _run(asked, flags, out, terminal)
    finally:
        terminal.restore()
        sys.stdout = stdout


class Asked(msgspec.Struct, kw_only=True):
    """What the command line says, by the names of its options."""

    config: str | None
    prompt: str | None
    lines: bool
    source: str | None
    target: str | None
    text: bool | None
    input_device: str | None
    output_device: str | None
    ptt: bool
    as_json: bool
    json_audio: bool
    events: tuple[str, ...]
    overrides: tuple[str, ...]
    preset: str | None
    demo: bool
    no_tools: bool
    trust: bool
    approve: "Choice | None"
    max_turns: int | None
    max_time: str | None
    max_cost: float | None
    record: bool
    record_to: str | None
    last: bool
    resume: str | None
    no_keep: bool
    save: str | None

    @property
    def output(self) -> str | None:
        """What the agent answers with, where that is said."""
        if self.text is None:
            return "audio" if self.target is not None else None
        return "text" if self.text else "audio"

    @property
    def json(self) -> bool:
        """Whether records are printed."""
        return self.as_json or self.json_audio

    @property
    def streams(self) -> bool:
        """Whether stdout is for audio."""
        return self.target in ("-", "pcm:-")

    def check(self, *, stdin: bool) -> None:
        """Refuse what does not go together.

        Args:
            stdin: Whether stdin is a terminal.

        Raises:
            Problem: Something does not.
        """
        if self.config == "-" and self.prompt is None and self.source in (None, "-", "pcm:-"):
            raise Problem("the configuration comes from stdin, so the question has to be in -p", hint="-p TEXT")
        if self.lines and self.prompt is not None:
            raise Problem("--lines and -p exclude each other", hint="put the text on the first line of stdin")
        if self.source is not None and (self.lines or self.prompt is not None):
            raise Problem("--input is all that is said, so it excludes -p and --lines")
        if self.target is not None and self.text:
            raise Problem("--text has no voice for --output", hint="leave one of them out")
        if self.streams and self.json:
            raise Problem("stdout cannot take both audio and --json", hint="--output reply.wav")
        if self.last and self.resume is not None:
            raise Problem("--continue and --resume exclude each other", hint="--resume ID")
        device = self.input_device is not None or self.output_device is not None
        if not device and (self.source is not None or not stdin):
            if self.ptt and self.source is None:
                raise Problem("--ptt is about speech, and there is none", hint="--input F.wav")
            return
        if device or self.ptt or (self.output == "audio" and self.is_conversation):
            raise Problem(
                f"a microphone and a speaker need the package {AUDIO}, which is not installed",
                hint=f"pip install {AUDIO}; files need nothing: --input F.wav --output reply.wav",
                code=Exit.AUDIO,
            )
        if self.target is not None and self.is_conversation:
            raise Problem("--output needs something that is said: -p, --lines or --input", hint="-p TEXT")

    @property
    def is_conversation(self) -> bool:
        """Whether somebody at a terminal is asked what to say, where stdin is one."""
        return self.source is None and self.prompt is None and not self.lines and not self.json

    def changes(self) -> tuple[str, ...]:
        """Return what the options override in the configuration."""
        recorded = self.record or self.record_to is not None
        said = {
            "limits.turns": self.max_turns,
            "limits.session_time": self.max_time,
            "limits.cost_usd": self.max_cost,
            "session.output": self.output,
            "recording.mode": "events_and_audio" if recorded else None,
            "recording.path": str(Path(self.record_to, "{date}-{session}")) if self.record_to else None,
        }
        more = (f"{key}={_written(value)}" for key, value in said.items() if value is not None)
        return (*self.overrides, *more)


def _written(value: object) -> str:
    """Write a value as YAML in which nothing stands for something else."""
    return json.dumps(value).replace("$", "$$")


def _descriptor(out: Out) -> int:
    """Return the descriptor of stdout.

    Raises:
        Problem: It is closed.
    """
    try:
        return out.stream.fileno()
    except (OSError, ValueError) as exc:
        raise Problem("stdout is closed, and the agent's voice should go there") from exc


def _run(asked: Asked, flags: Flags, out: Out, terminal: TerminalState) -> int:
    import anyio

    from agentkit.cli.kept import keeper_of
    from agentkit.cli.talk import Extras

    extras = Extras(events=asked.events, audio=asked.json_audio, spoken=asked.text is False)
    if asked.save is not None:
        from agentkit.cli.saving import check_path

        extras.save = Path(asked.save)
        check_path(extras.save)
    if asked.source is not None or asked.target is not None:
        from agentkit.cli.audio_files import Source, Target
        from agentkit.cli.speech import Voice

        target = Target(asked.target, _descriptor(out)) if asked.target is not None else None
        extras.voice = Voice(Source(asked.source) if asked.source is not None else None, target, whole=asked.ptt)
    agent, extras.keeper = keeper_of(
        flags,
        asked.config,
        overrides=asked.changes(),
        preset=asked.preset,
        demo=asked.demo,
        trust=asked.trust,
        last=asked.last,
        resume=asked.resume,
        keep=not asked.no_keep,
    )
    approve = _approval(flags, asked.approve)
    if is_tty(sys.stdin) and asked.is_conversation:
        if flags.no_input:
            raise Problem("there is nothing to say, and --no-input forbids to ask", hint="-p TEXT")
        from agentkit.cli.interactive import converse

        return anyio.run(converse, agent, flags, out, terminal, not asked.no_tools, approve, extras)
    from agentkit.cli.inputs import LineReader, nothing

    reader = LineReader()
    by_line = asked.lines or (asked.json and is_tty(sys.stdin))
    if asked.source is not None:
        inputs = nothing()
    else:
        inputs = _inputs(flags, asked.prompt, reader, by_line=by_line, config=asked.config)

    def approver() -> "Approver":
        return _approver(approve, flags, terminal, reader, chosen=asked.approve is not None)

    return anyio.run(_answer, agent, flags, out, terminal, inputs, asked, extras, approver)


def _approval(flags: Flags, asked: "Choice | None") -> "Choice":
    """Return who approves calls.

    Raises:
        Problem: A person was to be asked, and there is no terminal to ask on.
    """
    can_ask = is_tty(sys.stdin) and is_tty(sys.stderr) and not flags.no_input
    if asked == "ask" and not can_ask:
        raise Problem("--approve ask needs a terminal to ask on", hint="--approve all, or --approve none")
    return asked or ("ask" if can_ask else "none")


def _approver(
    approve: "Choice", flags: Flags, terminal: TerminalState, reader: "LineReader", *, chosen: bool
) -> "Approver":
    from agentkit.cli.approvals import Asking, Everything, Nobody

    if approve == "all":
        return Everything()
    if approve == "none":
        return Nobody(chosen=chosen)
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

        piped = read_whole(waiting).removesuffix("\n").removesuffix("\r")
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
    asked: Asked,
    extras: "Extras",
    approver: "Callable[[], Approver]",
) -> int:
    from agentkit.cli.skins import Above, JsonSkin, PlainSkin
    from agentkit.cli.talk import Talk

    if asked.streams:
        out = Out(sys.stderr if flags.verbosity > 0 else io.StringIO())
    plain = PlainSkin(out, sys.stderr, flags.look(), verbosity=-1 if asked.json else flags.verbosity)
    talk = Talk(agent, JsonSkin(out) if asked.json else plain, terminal, tools=not asked.no_tools, extras=extras)
    talk.approver = approver()
    sys.stdout = Above(sys.stderr, plain.progress)
    plain.progress.tell(f"connecting to {agent.provider.name}")
    try:
        return await talk.run(inputs)
    finally:
        plain.progress.tell("")
