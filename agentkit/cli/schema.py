"""``agentkit schema``: the JSON Schema of configurations, for editors."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentkit.cli.exits import Exit, Problem, say
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.output import Out

if TYPE_CHECKING:
    from agentkit.plugins import Plugins


class _SchemaCommand(Command):
    """Shows the flag ``--plugins``, which every command has, as its own, with one more choice."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        for param in self.params:
            if isinstance(param, click.Option) and param.name == "plugins":
                param.hidden = False
                param.metavar = "all|none|a,b"
                param.help = "The plugins whose names and options are in it; all that are installed by default."


@click.command("schema", cls=_SchemaCommand)
@click.option("-o", "--out", "path", metavar="F", help="Write it to a file; .agentkit/schema.json is the usual one.")
@click.pass_context
def command(context: click.Context, path: str | None) -> int:
    """Print the JSON Schema of configurations, with the options of every plugin, for completion in editors.

    A configuration whose first line is `# yaml-language-server: $schema=.agentkit/schema.json` is then completed and
    checked while it is written.
    """
    flags = flags_of(context)
    only = None if flags.plugins == "all" else flags.plugins
    plugins = all_plugins()
    for name in [] if only in (None, "none") else only.split(","):
        plugins.check_plugin_name(name.strip())
    from agentkit.config.json_schema import schema_text, write_schema

    if path is None or path == "-":
        Out().write(schema_text(plugins, only=only))
        return Exit.DONE
    target = Path(path)
    if target.is_dir():
        raise Problem(f"{path} is a directory", hint=f"name the file: {target / 'schema.json'}")
    try:
        write_schema(target, plugins, only=only)
    except OSError as exc:
        raise Problem(f"{path} cannot be written: {(exc.strerror or str(exc)).lower()}", code=Exit.NO) from exc
    if flags.verbosity >= 0:
        say(sys.stderr, flags.look(), f"wrote {target.as_posix()}", level="info")
    return Exit.DONE


def tell_stale(flags: Flags, configs: Iterable[str]) -> None:
    """Say on stderr which editor schemas, beside configurations, are out of date.

    Args:
        configs: The paths of the configurations; what is no file has none.
    """
    if flags.verbosity < 0 or flags.plugins is not None:
        return  # with other plugins than the installed ones it would be another schema, and that is no news
    folders = dict.fromkeys(Path(config).parent for config in configs if config != "-")
    if not any((folder / ".agentkit").is_dir() for folder in folders):
        return
    from agentkit.config.json_schema import SCHEMA_FILE, is_stale

    plugins = all_plugins()
    for path in (folder / SCHEMA_FILE for folder in folders):
        if is_stale(path, plugins):
            name = path.as_posix()
            hint = f"agentkit schema --out {name}"
            say(sys.stderr, flags.look(), f"{name} is not of what is installed now", hint=hint, level="info")


def all_plugins() -> "Plugins":
    """Return every plugin that is installed, whatever a flag or a variable says: those are in an editor's schema."""
    from agentkit.plugins import load_plugins

    return load_plugins(environ={name: value for name, value in os.environ.items() if name != "AGENTKIT_PLUGINS"})
