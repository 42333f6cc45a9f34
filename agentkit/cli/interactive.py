"""The conversation at a terminal."""

import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from agentkit.cli.approvals import Approver, Asking, Choice, Everything, Nobody
from agentkit.cli.flags import Flags
from agentkit.cli.inputs import LineReader
from agentkit.cli.output import Out
from agentkit.cli.prompts import EditedPrompt, PlainPrompt, Prompt
from agentkit.cli.screen import Aside, Screen
from agentkit.cli.slash import COMMANDS, obey
from agentkit.cli.talk import Talk
from agentkit.cli.terminal import Look, TerminalState, is_tty

if TYPE_CHECKING:
    from agentkit.config.build import Agent

_AGAIN: Final = "(Ctrl-C again ends the session, and so does Ctrl-D)"


async def converse(
    agent: "Agent", flags: Flags, out: Out, terminal: TerminalState, tools: bool, approve: Choice
) -> int:
    """Hold a conversation, and return the exit code."""
    look = Look(sys.stderr, color=flags.color)
    screen = Screen(out, sys.stderr, look, verbosity=flags.verbosity)
    talk = Talk(agent, screen, terminal, tools=tools, interactive=True)
    talk.during_reply = terminal.without_echo
    talk.on_idle_interrupt = lambda: screen.tell(_AGAIN)
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = Aside(screen, stderr)
    try:
        prompt: Prompt
        if look.color and is_tty(out.stream):
            prompt = EditedPrompt(screen, terminal, out, commands=list(COMMANDS), interrupt=talk.interrupt)
        else:
            prompt = PlainPrompt(screen, terminal, LineReader(), stderr)
        asking = Asking(prompt, screen.tell, look)
        approvers: dict[Choice, Approver] = {"ask": asking, "all": Everything(), "none": Nobody()}
        talk.approver = approvers[approve]
        return await talk.run(_inputs(prompt, screen, talk, tools=tools))
    finally:
        sys.stdout, sys.stderr = stdout, stderr


async def _inputs(prompt: Prompt, screen: Screen, talk: Talk, *, tools: bool) -> AsyncIterator[str]:
    while True:
        screen.settle()
        line = await prompt.ask()
        if line is None:
            return
        text = line.strip()
        if text == "?":
            text = "/help"
        if not text:
            continue
        if not text.startswith("/"):
            yield text
        elif not obey(text, talk.session, screen, tools=tools):
            return
