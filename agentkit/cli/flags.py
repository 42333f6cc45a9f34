"""The flags that every command has, before or after the verb, and the command class that gives them.

Rule: every flag can be set by a variable too: ``AGENTKIT_`` and its name in capitals; a flag of the command line wins.
"""

import copy
import os
import sys
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any, Final

import click

from agentkit.cli.terminal import ColorChoice, Look

if TYPE_CHECKING:
    from agentkit.plugins import Plugins

_ACTS: Final = ("--version", "--help")
"""What prints and ends; no setting."""
LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical", "none")


class Flags:
    """What the global flags say; one object a run."""

    def __init__(self) -> None:
        self.verbose = 0
        """How often ``-v`` is said."""
        self.quiet = 0
        """How often ``-q`` is said."""
        self.log_level: str | None = None
        self.log_file: str | None = None
        self.color: ColorChoice = "auto"
        self.plugins: str | None = None
        """``none`` or ``a,b``; None for all that are installed."""
        self.strict_plugins = False
        """Whether a plugin that cannot be loaded ends the command."""
        self.no_input = False
        self._said: set[str] = set()
        self._added: list[str] = []

    @property
    def verbosity(self) -> int:
        """How much is said beside the answer: ``-v`` adds one, ``-q`` takes one away."""
        return self.verbose - self.quiet

    def take(self, name: str, value: Any, *, said: bool) -> None:
        """Take the value of a flag.

        Args:
            name: The attribute that it sets, or ``env_file``.
            value: What is said.
            said: Whether the command line says it; what a variable says does not count beside that.

        Raises:
            Problem: It names a file of variables that cannot be used.
        """
        count = name in ("verbose", "quiet")
        key = "verbosity" if count else name
        if not said and key in self._said:
            return
        if said and count and key not in self._said:
            self.verbose = self.quiet = 0
        if said:
            self._said.add(key)
        if name == "env_file":
            self._read_variables(value)
        else:
            setattr(self, name, value + getattr(self, name) if said and count else value)

    def _read_variables(self, paths: Iterable[str]) -> None:
        from agentkit.cli.envfile import add_variables, read_env_file

        found: dict[str, str] = {}
        for path in paths:
            found |= read_env_file(path)
        self._added += add_variables(found)

    def forget_variables(self) -> None:
        """Take the variables of ``--env-file`` away again: they are the run's."""
        for name in self._added:
            os.environ.pop(name, None)

    def look(self, stream: IO[str] | None = None) -> Look:
        """Return how a stream is written; stderr where none is given."""
        return Look(stream if stream is not None else sys.stderr, color=self.color)

    def start_logging(self, default: str) -> None:
        """Set logging up.

        Raises:
            Problem: The log file cannot be written.
        """
        from agentkit.cli.logs import level_of, set_up

        level, others = (level_of(self.log_level, self.verbosity, each) for each in (default, "warning"))
        set_up(level, self.look(), others=others, file=self.log_file, tracebacks=self.verbosity > 1)

    def load_plugins(self) -> "Plugins":
        """Find the installed plugins that the flags allow.

        Raises:
            Problem: One cannot be loaded, and ``--strict-plugins`` is said.
        """
        from agentkit.cli.exits import Problem
        from agentkit.plugins import load_plugins

        plugins = load_plugins(self.plugins)
        failed = [row for row in plugins.report() if row.state == "failed"] if self.strict_plugins else []
        if failed:
            raise Problem(failed[0].problem or f"plugin {failed[0].name} cannot be loaded", hint=failed[0].hint)
        return plugins

    def environ(self) -> Mapping[str, str]:
        """Return the variables of the process."""
        return os.environ


def flags_of(context: click.Context) -> Flags:
    """Return the global flags of a run."""
    flags = context.find_root().ensure_object(Flags)
    assert isinstance(flags, Flags)
    return flags


def _remember(context: click.Context, param: click.Parameter, value: Any) -> None:
    source = context.get_parameter_source(param.name or "")
    if source not in (None, click.core.ParameterSource.DEFAULT) and param.name and not context.resilient_parsing:
        flags_of(context).take(param.name, value, said=source is click.core.ParameterSource.COMMANDLINE)


def _print_version(context: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        import agentkit

        click.echo(f"agentkit {agentkit.__version__}")
        context.exit()


def _option(*names: str, variable: bool, **settings: Any) -> click.Option:
    option = click.Option(names, expose_value=False, callback=_remember, **settings)
    _set_words([option])
    if variable:
        set_variables([option])
    return option


def global_options(*, hidden: bool, variables: bool) -> list[click.Option]:
    """Make the options that every command has.

    Args:
        hidden: Leave them out of the help.
        variables: Let variables set them.
    """
    shared: dict[str, Any] = {"hidden": hidden, "variable": variables}
    version = click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        hidden=hidden,
        help="Print the version.",
    )
    return [
        _option("-v", "--verbose", count=True, help="Say more on stderr; -vv says most.", **shared),
        _option("-q", "--quiet", count=True, help="Say less on stderr; -qq says only errors.", **shared),
        _option(
            "--log-level",
            type=click.Choice(LOG_LEVELS),
            help="What is logged on stderr, by agentkit and by your tools.",
            **shared,
        ),
        _option("--log-file", metavar="F", help="Log to a file instead.", **shared),
        _option("--color", type=click.Choice(["auto", "always", "never"]), help="Colour the output.", **shared),
        _option("--no-input", is_flag=True, default=False, help="Never ask on the terminal.", **shared),
        _option(
            "--env-file",
            metavar="F",
            multiple=True,
            is_eager=True,
            help="Set the variables of a file, NAME=value a line, that are not set yet.",
            **shared,
        ),
        _option("--plugins", metavar="none|a,b", is_eager=True, help="Use only these plugins.", **shared),
        _option(
            "--strict-plugins",
            is_flag=True,
            default=False,
            help="End where an installed plugin cannot be loaded.",
            **shared,
        ),
        version,
    ]


def variables_of(option: click.Option) -> dict[str, str]:
    """Return the variables that set an option, each with the name that it is for; none for what prints and ends."""
    longs = [name for name in (*option.opts, *option.secondary_opts) if name.startswith("--")]
    return {f"AGENTKIT_{long[2:].upper().replace('-', '_')}": long for long in longs if long not in _ACTS}


def set_variables(params: Iterable[click.Parameter]) -> None:
    """Let variables set options; one that may be given several times takes one value a line of its variable."""
    for param in params:
        if not isinstance(param, click.Option) or param.envvar is not None:
            continue
        names = [name for name, long in variables_of(param).items() if long in param.opts]
        param.envvar = names or None
        if param.multiple:
            param.type = copy.copy(param.type)
            param.type.envvar_list_splitter = "\n"  # type: ignore[misc]  # of this copy alone


_WORDS: Final = {
    "config": "yaml",
    "paths": "yaml",
    "tool": "tools",
    "preset": "presets",
    "responder": "responders",
    "select": "codes",
    "ignore": "codes",
    "explain": "codes",
    "plugins": "plugins",
    "session_id": "sessions",
    "resume": "sessions",
}
"""What completes a parameter, by its name."""
_PATHS: Final = {"F": "file", "FILE": "file", "DIR": "dir"}
"""The same by its metavar."""


def _set_words(params: Iterable[click.Parameter]) -> None:
    """Let the shell complete what it can."""
    for param in params:
        kind = _WORDS.get(param.name or "") or _PATHS.get((param.metavar or "").strip("[].").upper())
        if kind is not None and param.type is click.STRING:
            from agentkit.cli.completing import Words

            param.type = Words(kind)


def _negated(params: Iterable[click.Parameter], environ: Mapping[str, str]) -> dict[str, bool]:
    """Return the values that variables give by an option's other name, as AGENTKIT_VOICE does for --text/--voice."""
    found: dict[str, bool] = {}
    for param in params:
        if isinstance(param, click.Option) and param.name and param.secondary_opts:
            for name, long in variables_of(param).items():
                if long in param.secondary_opts and environ.get(name):
                    found[param.name] = not click.BOOL.convert(environ[name], param, None)
    return found


class Command(click.Command):
    """A command with the global flags; logging runs before it does."""

    def __init__(self, *args: Any, log_default: str = "warning", **settings: Any) -> None:
        """Make it; ``log_default`` is the level that is logged where no flag says otherwise."""
        super().__init__(*args, **settings)
        self.log_default = log_default
        self.params = with_global_options(self.params)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the flags and arguments."""
        ctx.default_map = {**(ctx.default_map or {}), **_negated(self.params, os.environ)}
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        flags_of(ctx).start_logging(self.log_default)
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name the flags that are not listed."""
        super().format_epilog(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text("The flags of `agentkit -h` work here too. AGENTKIT_<FLAG> sets any flag.")


def with_global_options(params: list[click.Parameter]) -> list[click.Parameter]:
    """Return a command's parameters and the global ones, but for names that it has itself; variables set them all."""
    _set_words(params)
    set_variables(params)
    own = {name for param in params for name in (*param.opts, *param.secondary_opts)}
    return [*params, *(each for each in global_options(hidden=True, variables=True) if own.isdisjoint(each.opts))]


def adopted(command: click.Command) -> click.Command:
    """Return the command of a plugin with the global flags, and with logging before it runs."""
    if isinstance(command, Command):
        return command
    taken = copy.copy(command)
    taken.params = with_global_options(command.params)

    def invoke(context: click.Context) -> Any:
        flags_of(context).start_logging("warning")
        return command.invoke(context)

    taken.invoke = invoke  # type: ignore[assignment, method-assign]  # of this copy alone
    return taken
