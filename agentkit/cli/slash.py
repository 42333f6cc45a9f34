"""The slash commands of a conversation."""

import difflib
from typing import TYPE_CHECKING, Final

from agentkit.cli.approvals import shown_arguments
from agentkit.cli.prompts import Surface
from agentkit.cli.terminal import one_line
from agentkit.errors import LocalProtocolError

if TYPE_CHECKING:
    from agentkit.session import Session
    from agentkit.session.called import RunningCall

COMMANDS: Final = {
    "/help": "show this",
    "/tools": "what the agent can do, and which calls run",
    "/cancel": "give a running call up: /cancel, or /cancel 2 of several",
    "/quit": "end the session (Ctrl-D too)",
}
_KEYS: Final = "Ctrl-C stops the reply, again it ends the session; Up brings back what you said"


def obey(line: str, session: "Session", surface: Surface, *, tools: bool) -> bool:
    """Do what a slash command says; tell whether the conversation goes on."""
    command, *arguments = line.split()
    match command:
        case "/quit":
            return False
        case "/help":
            rows = [f"{name:<8} {what}" for name, what in COMMANDS.items()]
            surface.tell("\n".join([*rows, _KEYS]))
        case "/tools":
            surface.tell(_tools(session, offered=tools))
        case "/cancel":
            surface.tell(_cancel(session, arguments))
        case _:
            near = difflib.get_close_matches(command, COMMANDS, 1, 0.5)
            surface.tell(f"there is no {command}; {f'did you mean {near[0]}?' if near else '/help lists them'}")
    return True


def _tools(session: "Session", *, offered: bool) -> str:
    if not offered:
        return "--no-tools: none are offered"
    tools = session.tools
    if not tools:
        return "this agent has no tools"
    width = max(len(name) for name in tools)
    rows = [f"{name:<{width}}  {one_line(each.description or '')}" for name, each in tools.items()]
    running = session.calls.running
    if running:
        rows += ["running:", *(f"  {index} {_call(each)}" for index, each in enumerate(running, start=1))]
    return "\n".join(rows)


def _cancel(session: "Session", arguments: list[str]) -> str:
    running = session.calls.running
    if not running:
        return "no call is running"
    if not arguments and len(running) > 1:
        rows = [f"  {index} {_call(each)}" for index, each in enumerate(running, start=1)]
        return "\n".join(["which one?", *rows])
    wanted = arguments[0] if arguments else "1"
    if not (wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= len(running)):
        return f"there is no call {one_line(wanted)}; /tools lists them"
    chosen = running[int(wanted) - 1]
    try:
        session.calls.cancel(chosen.call_id, "the user gave it up")
    except LocalProtocolError:
        return f"{chosen.name} has just ended"
    return f"{chosen.name} is given up"


def _call(call: "RunningCall") -> str:
    text = f"{call.name}({shown_arguments(call.arguments)}), {call.seconds:.0f} s"
    if call.awaits_approval:
        return f"{text}, waits for approval"
    if call.progress is not None and call.progress.done is not None:
        text += f", {call.progress.done:.0%}"
    return f"{text}, in the background" if call.background else text
