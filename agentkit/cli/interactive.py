"""The conversation at a terminal: the prompt, its keys and its slash commands.

Rule: a terminal that takes no escapes (TERM=dumb, NO_COLOR, --color never) gets plain lines and no line editor.
"""

import difflib
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, Protocol

from agentkit.cli.flags import Flags
from agentkit.cli.inputs import LineReader
from agentkit.cli.output import Out
from agentkit.cli.screen import Aside, Screen
from agentkit.cli.talk import Talk
from agentkit.cli.terminal import Look, TerminalState, is_tty, one_line

if TYPE_CHECKING:
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.output import Output

    from agentkit.config.build import Agent

COMMANDS: Final = {
    "/help": "show this",
    "/tools": "what the agent can do",
    "/quit": "end the session (Ctrl-D too)",
}
_KEYS: Final = "Ctrl-C stops the reply, again it ends the session; Up brings back what you said"
_AGAIN: Final = "(Ctrl-C again ends the session, and so does Ctrl-D)"
_PROMPT: Final = "> "


class Prompt(Protocol):
    """Asks for one line."""

    async def ask(self) -> str | None:
        """Return what was typed; None at the end."""


async def converse(agent: "Agent", flags: Flags, out: Out, terminal: TerminalState, tools: bool) -> int:
    """Hold a conversation, and return the exit code."""
    look = Look(sys.stderr, color=flags.color)
    screen = Screen(out, sys.stderr, look, verbosity=flags.verbosity)
    talk = Talk(agent, screen, terminal, tools=tools, interactive=True)
    talk.during_reply = terminal.without_echo
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = Aside(screen, stderr)
    try:
        prompt = _prompt(talk, screen, out, look)
        return await talk.run(_inputs(prompt, screen, agent, tools=tools))
    finally:
        sys.stdout, sys.stderr = stdout, stderr


async def _inputs(prompt: Prompt, screen: Screen, agent: "Agent", *, tools: bool) -> AsyncIterator[str]:
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
        elif text == "/quit":
            return
        elif text == "/help":
            screen.tell("\n".join(f"{name:<8} {what}" for name, what in COMMANDS.items()) + f"\n{_KEYS}")
        elif text == "/tools":
            screen.tell(_tools(agent) if tools else "--no-tools: none are offered")
        else:
            near = difflib.get_close_matches(text.split()[0], COMMANDS, 1, 0.5)
            screen.tell(f"there is no {text.split()[0]}; {f'did you mean {near[0]}?' if near else '/help lists them'}")


def _tools(agent: "Agent") -> str:
    if not agent.tools:
        return "this agent has no tools"
    width = max(len(source.tool.name) for source in agent.tools)
    return "\n".join(f"{each.tool.name:<{width}}  {one_line(each.tool.description)}" for each in agent.tools)


def _prompt(talk: Talk, screen: Screen, out: Out, look: Look) -> Prompt:
    if look.color and is_tty(out.stream):
        return EditedPrompt(talk, screen, out)
    return PlainPrompt(talk)


def _output(out: Out) -> "Output":
    if sys.platform == "win32":
        from prompt_toolkit.output import create_output

        return create_output(stdout=out.stream)
    import os
    import shutil

    from prompt_toolkit.data_structures import Size
    from prompt_toolkit.output.vt100 import Vt100_Output

    def size() -> Size:
        found = shutil.get_terminal_size()
        return Size(rows=found.lines, columns=found.columns)

    # Without asking for the cursor's position: a late answer would end up in the shell after us.
    return Vt100_Output(out.stream, size, term=os.environ.get("TERM"), enable_cpr=False)


class PlainPrompt:
    """Reads lines as the terminal gives them."""

    def __init__(self, talk: Talk) -> None:
        self._reader = LineReader()
        talk.on_idle_interrupt = self._hint

    def _hint(self) -> None:
        sys.stderr.write(f"\n{_AGAIN}\n{_PROMPT}")
        sys.stderr.flush()

    async def ask(self) -> str | None:
        """Return what was typed; None at the end."""
        sys.stderr.write(_PROMPT)
        sys.stderr.flush()
        line = None
        try:
            line = await self._reader.line()
        finally:
            if line is None:
                sys.stderr.write("\n")
        return line


class EditedPrompt:
    """Reads lines with history and editing; what is written meanwhile appears above."""

    def __init__(self, talk: Talk, screen: Screen, out: Out) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.history import InMemoryHistory
        from prompt_toolkit.input import create_input
        from prompt_toolkit.shortcuts import CompleteStyle

        self._talk = talk
        self._screen = screen
        self._session: PromptSession[str | None] = PromptSession(
            history=InMemoryHistory(),
            key_bindings=self._keys(),
            completer=WordCompleter(list(COMMANDS), sentence=True),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            reserve_space_for_menu=0,
            input=create_input(sys.stdin),
            output=_output(out),
        )
        talk.on_idle_interrupt = lambda: screen.tell(_AGAIN)

    def _keys(self) -> "KeyBindings":
        from prompt_toolkit.key_binding import KeyBindings

        keys = KeyBindings()

        @keys.add("c-c")
        def interrupted(event: "KeyPressEvent") -> None:
            buffer = event.current_buffer
            if buffer.text:
                buffer.reset()
            else:
                self._talk.interrupt()

        @keys.add("c-d")
        def ended(event: "KeyPressEvent") -> None:
            if event.current_buffer.text:
                event.current_buffer.delete()
            else:
                event.app.exit(result=None)

        return keys

    async def ask(self) -> str | None:
        """Return what was typed; None at the end."""
        from prompt_toolkit.patch_stdout import patch_stdout

        with patch_stdout(raw=True):
            self._screen.prompting = True
            try:
                return await self._session.prompt_async(_PROMPT, handle_sigint=False)
            finally:
                self._screen.prompting = False
