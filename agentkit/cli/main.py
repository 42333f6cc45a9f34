"""The entry point: finds the command, runs it, and turns every end into an exit code.

Rule: a command's module is imported only when the command runs; help, version and completion import no engine and no
plugin.
"""

import difflib
import importlib
import os
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from agentkit.cli.exits import OutputClosed, Problem, first_error, report
from agentkit.cli.flags import Flags, flags_of, global_options
from agentkit.cli.output import finish_streams, make_streams_safe
from agentkit.distributions import SERVE

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: Final = {
    "run": "Talk to an agent: in the terminal, or from a pipe.",
    "check": "Find every mistake in configuration files.",
    "show": "Show what a configuration comes to.",
    "tools": "List an agent's tools.",
    "call": "Run one tool, through the middleware, without a provider.",
    "plugins": "List the installed plugins and what they bring.",
    "schema": "Write the JSON Schema that editors complete configurations with.",
    "new": "Write the beginning of an agent, a plugin or a tool.",
    "emulate": "Serve the Realtime protocol to any client.",
    "sessions": "List, show and export kept conversations.",
    "devices": "List microphones and speakers, and try them.",
    "doctor": "Find what would stop a first run, and how to mend it.",
    "completion": "Print the completion script of a shell.",
}
"""Every command of the core with its line of help; the module of the same name has it as ``command``."""

STAND_INS: Final = frozenset({"devices"})
"""The commands that only say which package brings them: a plugin's command of the same name takes their place."""

_PACKAGES: Final = {"serve": SERVE}
"""The packages of first-party commands, for who has not installed them."""
_MEANT: Final = {
    "validate": "check",
    "lint": "check",
    "verify": "check",
    "chat": "run",
    "start": "run",
    "ask": "run",
    "invoke": "call",
    "plugin": "plugins",
    "tool": "tools",
    "config": "show",
    "server": "emulate",
    "mock": "emulate",
    "init": "new",
    "create": "new",
    "session": "sessions",
    "history": "sessions",
    "diagnose": "doctor",
    "health": "doctor",
    "microphones": "devices",
    "help": "--help",
    "version": "--version",
}
_THREAD_SECONDS: Final = 0.2
"""How long a thread may take to end after the command has."""
_CODES: Final = (
    ("0", "done"),
    ("1", "it ran, and the answer is no: findings, a tool's error, an empty answer"),
    ("2", "bad usage, or a configuration that cannot be used"),
    ("3", "provider, network or sign-in"),
    ("4", "audio device"),
    ("5", "a limit stopped it"),
    ("70", "a fault of agentkit's own; the report file is named"),
    ("130, 143", "Ctrl-C, SIGTERM"),
)


class LazyGroup(click.Group):
    """The commands, each imported when it is asked for, and those of plugins."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the flags before the verb.

        Raises:
            OutputClosed: Nobody reads the help any more; click would end with another code.
        """
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError:
            raise OutputClosed from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; raises as ``make_context`` does."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise OutputClosed from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the core's commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command of the core."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"agentkit.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a verb, also among the plugins'.

        Raises:
            Problem: There is none.
        """
        verb = args[0]
        if ctx.resilient_parsing:  # a completion: no plugin is imported for it
            return verb, self.get_command(ctx, verb), args[1:]
        command = self._of_plugins(ctx, verb) if verb in STAND_INS else None
        command = command or self.get_command(ctx, verb)
        if command is None and not verb.startswith("-"):
            from agentkit.cli.extra import find_command

            command, known = find_command(flags_of(ctx), verb)
            if command is None:
                raise Problem(f'there is no command "{verb}"', hint=_advice(verb, known))
        if command is None:
            return super().resolve_command(ctx, args)
        return verb, command, args[1:]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Return the verbs and flags that a word may become, without importing a command."""
        from click.shell_completion import CompletionItem

        from agentkit.cli.extra import listed_commands

        verbs = {**listed_commands(flags_of(ctx)), **COMMANDS}
        found = [CompletionItem(name, help=said) for name, said in verbs.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def _of_plugins(self, ctx: click.Context, verb: str) -> click.Command | None:
        from agentkit.cli.extra import find_command

        return find_command(flags_of(ctx), verb)[0]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        from agentkit.cli.extra import listed_commands

        extra = listed_commands(flags_of(ctx))
        with formatter.section("Commands"):
            formatter.write_dl([row for row in COMMANDS.items() if row[0] not in STAND_INS or row[0] not in extra])
        rows = [(name, said) for name, said in extra.items() if name not in COMMANDS or name in STAND_INS]
        if rows:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl(list(_CODES))
        formatter.write_paragraph()
        formatter.write_text(
            "AGENTKIT_<FLAG> sets any flag: AGENTKIT_LOG_LEVEL=debug. Flags go before or after the verb."
        )


def _advice(verb: str, known: Sequence[str]) -> str:
    """Say what to type instead of a verb that there is not."""
    if verb in _PACKAGES:
        return f"pip install {_PACKAGES[verb]}"
    verbs = [*COMMANDS, *known]
    near = _MEANT.get(verb) or next(iter(difflib.get_close_matches(verb, verbs, 1, 0.6)), "")
    return f'did you mean "{near}"?' if near else f"the commands are {', '.join(verbs)}"


cli = LazyGroup(
    name="agentkit",
    help="Agents that talk in real time and use tools. Try one without a key: agentkit run --demo",
    invoke_without_command=True,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=list(global_options(hidden=False, variables=True)),
)


@click.pass_context
def _no_verb(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


cli.callback = _no_verb


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        arguments: Without the program's name; those of the process where they are None.
    """
    make_streams_safe()
    flags = Flags()
    try:
        result = cli.main(
            None if arguments is None else list(arguments), prog_name="agentkit", standalone_mode=False, obj=flags
        )
        code = result if isinstance(result, int) else 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException as exc:  # noqa: BLE001  # the last resort: whatever ends a command becomes an exit code
        code = report(first_error(exc), flags.look(), stream=sys.stderr, verbose=flags.verbosity > 1)
    finally:
        flags.forget_variables()
    failed = finish_streams()
    code = int(failed if failed is not None and code == 0 else code)
    if arguments is None:
        _leave_threads(code)
    return code


def _leave_threads(code: int) -> None:
    """End the process now where a tool's thread would keep the interpreter waiting for it."""
    threads = [each for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
    for each in threads:
        each.join(_THREAD_SECONDS)
    if any(each.is_alive() for each in threads):
        import logging

        logging.shutdown()
        os._exit(code)
