"""``agentkit devices`` where no installed plugin brings it: says which package does.

Rule: a stand-in. Whatever plugin registers a command ``devices`` takes its place, with all of its flags; the package
that this one names does (see ``STAND_INS`` in ``agentkit.cli.main``).
"""

import click

from agentkit.cli.exits import Exit, Problem
from agentkit.cli.flags import Command
from agentkit.cli.output import Out
from agentkit.distributions import AUDIO


@click.command("devices", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--test", is_flag=True, help="Record three seconds, and play them.")
@click.option("--level", is_flag=True, help="Show the microphone's level until Ctrl-C.")
def command(as_json: bool, test: bool, level: bool) -> int:
    """List the microphones and speakers, and try them; needs the package agentkit-realtime-audio."""
    problem = f"microphones and speakers need the package {AUDIO}, which is not installed"
    if as_json:
        Out().json({"v": 1, "devices": [], "problem": problem, "hint": f"pip install {AUDIO}"})
        return Exit.AUDIO
    raise Problem(problem, hint=f"pip install {AUDIO}", code=Exit.AUDIO)
