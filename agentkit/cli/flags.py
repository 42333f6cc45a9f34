"""The flags that every command has, before or after the verb, and the command class that gives them.

Rule: every flag can be set by a variable too: ``AGENTKIT_`` and its name in capitals.
"""

import os
import sys
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, Final

import click

from agentkit.cli.terminal import ColorChoice, Look

if TYPE_CHECKING:
    from agentkit.plugins import Plugins

LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical", "none")


class Flags:
    """What the global flags say; one object a run."""

    def __init__(self) -> None:
        self.verbosity = 0
        """``-v`` adds one, ``-q`` takes one away."""
        self.log_level: str | None = None
        self.log_file: str | None = None
        self.color: ColorChoice = "auto"
        self.plugins: str | None = None
        """``none`` or ``a,b``; None for all that are installed."""
        self.no_input = False

    def look(self, stream: IO[str] | None = None) -> Look:
        """Return how a stream is written; stderr where none is given."""
        return Look(stream if stream is not None else sys.stderr, color=self.color)

    def start_logging(self, default: str) -> None:
        """Set logging up.

        Raises:
            Problem: The log file cannot be written.
        """
        from agentkit.cli.logs import level_of, set_up

        level = level_of(self.log_level, self.verbosity, default)
        set_up(level, self.look(), file=self.log_file, tracebacks=self.verbosity > 1)

    def load_plugins(self) -> "Plugins":
        """Find the installed plugins that the flags allow."""
        from agentkit.plugins import load_plugins

        return load_plugins(self.plugins)

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
    if source in (None, click.core.ParameterSource.DEFAULT):
        return
    flags = flags_of(context)
    match param.name:
        case "verbose":
            flags.verbosity += value
        case "quiet":
            flags.verbosity -= value
        case name if name is not None:
            setattr(flags, name, value)


def _option(*names: str, variable: bool, **settings: Any) -> click.Option:
    option = click.Option(names, expose_value=False, callback=_remember, **settings)
    if variable:
        option.envvar = variable_of(option)
    return option


def global_options(*, hidden: bool, variables: bool) -> list[click.Option]:
    """Make the options that every command has.

    Args:
        hidden: Leave them out of the help.
        variables: Let variables set them; once a run is enough.
    """
    shared: dict[str, Any] = {"hidden": hidden, "variable": variables}
    return [
        _option("-v", "--verbose", count=True, help="Say more on stderr; -vv says most.", **shared),
        _option("-q", "--quiet", count=True, help="Say less on stderr; -qq says only errors.", **shared),
        _option("--log-level", type=click.Choice(LOG_LEVELS), help="What is logged on stderr.", **shared),
        _option("--log-file", metavar="F", help="Log to a file instead.", **shared),
        _option("--color", type=click.Choice(["auto", "always", "never"]), help="Colour the output.", **shared),
        _option("--plugins", metavar="none|a,b", is_eager=True, help="Use only these plugins.", **shared),
        _option("--no-input", is_flag=True, default=False, help="Never ask on the terminal.", **shared),
    ]


def variable_of(option: click.Option) -> str | None:
    """Return the variable that sets an option; None for one without a long name."""
    long = next((name for name in option.opts if name.startswith("--")), None)
    return f"AGENTKIT_{long[2:].upper().replace('-', '_')}" if long else None


class Command(click.Command):
    """A command with the global flags; logging runs before it does."""

    def __init__(self, *args: Any, log_default: str = "warning", **settings: Any) -> None:
        """Make it; ``log_default`` is the level that is logged where no flag says otherwise."""
        super().__init__(*args, **settings)
        self.log_default = log_default
        for param in self.params:
            if isinstance(param, click.Option) and param.envvar is None:
                param.envvar = variable_of(param)
        self.params += global_options(hidden=True, variables=False)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        flags_of(ctx).start_logging(self.log_default)
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name the flags that are not listed."""
        super().format_epilog(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text("The flags of `agentkit -h` work here too. AGENTKIT_<FLAG> sets any flag.")
