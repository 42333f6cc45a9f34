"""``agentkit new``: writes the beginning of an agent, of a plugin's package, or of a tool, from templates."""

import click

from agentkit.cli.flags import global_options
from agentkit.cli.new.agent import agent
from agentkit.cli.new.plugin import KINDS, names_of, plugin, rendered
from agentkit.cli.new.tool import tool

__all__ = ["KINDS", "command", "names_of", "rendered"]


@click.group(
    "new",
    no_args_is_help=False,
    invoke_without_command=True,
    params=global_options(hidden=True, variables=False),
)
@click.pass_context
def command(context: click.Context) -> None:
    """Write the beginning of an agent, a plugin or a tool."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


command.add_command(agent)
command.add_command(tool)
command.add_command(plugin)
