"""The commands that plugins bring: found by the index of names, imported only when they run."""

import importlib
from typing import TYPE_CHECKING

from agentkit.cli.exits import Exit, Problem

if TYPE_CHECKING:
    import click

    from agentkit.cli.flags import Flags


def find_command(flags: "Flags", verb: str) -> "tuple[click.Command | None, tuple[str, ...]]":
    """Return a plugin's command, and the names of all of them.

    Raises:
        Problem: The plugin's command cannot be imported.
        PluginError: Several plugins bring the name, or its plugin cannot be loaded.
    """
    import click

    from agentkit.cli.flags import adopted
    from agentkit.errors import UnknownNameError

    plugins = flags.load_plugins()
    try:
        lazy = plugins.get("commands", verb)
    except UnknownNameError:
        return None, plugins.names("commands")
    owner = plugins.owner("commands", verb)
    module, _, attribute = lazy.target.partition(":")
    try:
        command = getattr(importlib.import_module(module), attribute)
    except Exception as exc:  # isolation boundary of plugin imports
        message = f"the command {verb} of plugin {owner} cannot be loaded: {type(exc).__name__}: {exc}"
        raise Problem(message, hint=f"tell the authors of {owner.distribution or owner.plugin}", code=Exit.NO) from exc
    if not isinstance(command, click.Command):
        raise Problem(f"{lazy.target} of plugin {owner} is no click command", code=Exit.NO)
    return adopted(command), ()


def listed_commands(flags: "Flags") -> dict[str, str]:
    """Return the help of plugins' commands by their names, as far as it is known without importing any plugin."""
    import os

    from agentkit.discovery import cache_file, discover, read_index

    records = read_index(cache_file(os.environ))
    if not any(record.commands for record in records.values()):
        return {}
    allowed = flags.plugins if flags.plugins is not None else os.environ.get("AGENTKIT_PLUGINS") or None
    names = None if allowed is None else {name.strip() for name in allowed.split(",")}
    sources = discover().sources
    return {
        command.name: f"{command.help} ({sources[plugin].owner.distribution})"
        for plugin, record in sorted(records.items())
        if plugin in sources
        and record.fingerprint == sources[plugin].fingerprint
        and (names is None or plugin in names)
        for command in record.commands
    }
