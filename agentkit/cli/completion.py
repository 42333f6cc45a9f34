"""``agentkit completion``: the script that makes a shell complete commands and flags."""

from agentkit.cli.flags import Command
from agentkit.cli.output import Out

import click  # isort: skip


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script of a shell; `source` it, or put it where the shell looks for it."""
    from click.shell_completion import get_completion_class

    from agentkit.cli.main import cli

    found = get_completion_class(shell)
    assert found is not None
    Out().write(found(cli, {}, "agentkit", "_AGENTKIT_COMPLETE").source())
    return 0
