"""The slash commands of a conversation."""

import difflib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from agentkit.cli.approvals import Choice, shown_arguments
from agentkit.cli.exits import Problem
from agentkit.cli.terminal import one_line
from agentkit.distributions import AUDIO
from agentkit.errors import LocalProtocolError

if TYPE_CHECKING:
    from agentkit.cli.approvals import Switch
    from agentkit.cli.bar import Tally
    from agentkit.cli.wire import WireTap
    from agentkit.events import FunctionTool
    from agentkit.session import Session, Turn
    from agentkit.session.called import RunningCall
    from agentkit.tools import Tool

COMMANDS: Final = {
    "/help": "show this, and the keys",
    "/tools": "what the agent can do, and which calls run",
    "/cancel": "give a running call up: /cancel, or /cancel 2 of several",
    "/approve": "who approves calls: /approve ask, all or none",
    "/say": "let the agent say a text: /say Good evening.",
    "/image": "show the agent a PNG or JPEG: /image cat.png what is this?",
    "/retry": "ask the last question again",
    "/events": "watch the wire: /events response.*, and /events to stop",
    "/stats": "latency, tokens, tools, cost and reconnects",
    "/save": "write the conversation down: /save talk.md (.json, .txt, .vtt)",
    "/mute": "switch the microphone off and on",
    "/device": "choose the microphone and the speaker",
    "/quit": "end the session (Ctrl-D too)",
}
KEYS: Final = (
    "Esc stops the reply; Ctrl-C clears what is typed, or else stops the reply, and again it ends the session;"
    " Ctrl-D on an empty line ends it; Up brings back what you said;"
    " Tab completes commands; Alt-Enter begins a new line; Ctrl-Z puts agentkit to sleep"
)
PLAIN_KEYS: Final = (
    "Ctrl-C stops the reply, again it ends the session; Ctrl-D on an empty line ends it; lines are plain, without"
    " editing, as no escapes may be written (NO_COLOR, TERM=dumb or --color never)"
)
NO_VOICE: Final = f"this is a session in text; voice needs: pip install {AUDIO}"
MAX_IMAGE: Final = 10 << 20
_IMAGES: Final = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
_NEAR: Final = 0.7
"""How much alike a command has to be that is suggested."""
_CHOICES: Final[dict[str, Choice]] = {"ask": "ask", "all": "all", "none": "none"}


class Turned(NamedTuple):
    """What takes a turn."""

    shown: str
    """As the transcript shows it."""
    text: str | None
    """What the user says in it, as the server will tell it again; None where the user says nothing."""
    ask: "str | Callable[[Session], Coroutine[object, object, Turn]]"


class Slash:
    """Does what commands say; a command that takes a turn returns it."""

    def __init__(
        self,
        session: "Callable[[], Session | None]",
        tell: Callable[[str], None],
        tally: "Tally",
        approver: "Switch",
        tap: "WireTap",
        *,
        tools: bool,
        keys: str,
    ) -> None:
        """Make it.

        Args:
            session: Returns the session, once there is one.
            tell: Shows lines.
            tally: The numbers.
            approver: Who approves calls.
            tap: Shows events of the wire.
            tools: Whether tools are offered.
            keys: What is said of keys.
        """
        self._session = session
        self._tell = tell
        self._tally = tally
        self._approver = approver
        self._tap = tap
        self._tools_offered = tools
        self._keys = keys
        self._written: set[Path] = set()
        self.last: Turned | None = None
        """What the user has asked last."""

    def take(self, text: str) -> Turned | Literal["quit"] | None:
        """Take a line that was typed: what takes a turn is returned."""
        if not text:
            return None
        if text == "?":
            text = "/help"
        done = self.obey(text) if text.startswith("/") else Turned(text, text, text)
        if isinstance(done, Turned) and done.text is not None:
            self.last = done
        return done

    def obey(self, line: str) -> Turned | Literal["quit"] | None:
        """Do what a line says."""
        command, _, rest = line.partition(" ")
        rest = rest.strip()
        session = self._session()
        match command:
            case "/quit":
                return "quit"
            case "/help":
                rows = [f"{name:<9} {what}" for name, what in COMMANDS.items()]
                self._tell("\n".join([*rows, self._keys]))
            case "/stats":
                self._tell(self._tally.told())
            case "/mute" | "/device":
                self._tell(NO_VOICE)
            case _ if command not in COMMANDS:
                near = difflib.get_close_matches(command, COMMANDS, 1, _NEAR)
                hint = f"did you mean {near[0]}?" if near else "/help lists them"
                self._tell(f"there is no {one_line(command)}; {hint}")
            case _ if session is None:
                self._tell(f"{command} has to wait: the session is not open yet")
            case "/tools":
                self._tell(_tools(session, offered=self._tools_offered))
            case "/cancel":
                self._tell(_cancel(session, rest))
            case "/approve":
                self._tell(self._approve(rest))
            case "/events":
                self._tell(self._events(rest))
            case "/save":
                self._tell(self._save(session, rest))
            case "/say":
                return self._say(rest)
            case "/image":
                return self._image(rest)
            case "/retry":
                if self.last is None:
                    self._tell("nothing was asked yet")
                return self.last
            case _:
                pass
        return None

    def _approve(self, wanted: str) -> str:
        if wanted and wanted not in _CHOICES:
            return "write /approve ask, /approve all or /approve none"
        if wanted:
            self._approver.choose(_CHOICES[wanted])
        return self._approver.told_choice()

    def _events(self, pattern: str) -> str:
        if not pattern and self._tap.patterns:
            self._tap.patterns = ()
            return "no events are shown any more"
        self._tap.patterns = tuple(pattern.split()) or ("*",)
        return f"events {one_line(' '.join(self._tap.patterns))} are shown; /events stops it"

    def _say(self, text: str) -> Turned | None:
        if not text:
            self._tell("write what: /say Good evening.")
            return None

        def say(session: "Session") -> "Coroutine[object, object, Turn]":
            return session.say(text)

        return Turned(f"/say {text}", None, say)

    def _image(self, rest: str) -> Turned | None:
        path, text = _path_of(rest)
        if path is None:
            self._tell("write which: /image cat.png what is this?")
            return None
        try:
            if path.stat().st_size > MAX_IMAGE:
                self._tell(f"{one_line(str(path))} has more than {MAX_IMAGE >> 20} MiB, which is too much")
                return None
            data = path.read_bytes()
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else exc
            self._tell(f"{one_line(str(path))} cannot be read: {reason}")
            return None
        kind = next((kind for magic, kind in _IMAGES.items() if data.startswith(magic)), None)
        if kind is None:
            self._tell(f"{one_line(str(path))} is no PNG and no JPEG")
            return None

        async def show(session: "Session") -> "Turn":
            import base64

            from agentkit.events import InputImage

            url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
            await session.add_message("user", *([text] if text else []), InputImage(image_url=url))
            return await session.respond()

        shown = f"[image {path.name}, {max(len(data) // 1024, 1)} kB] {text}".rstrip()
        return Turned(shown, text, show)

    def _save(self, session: "Session", name: str) -> str:
        from agentkit.cli.saving import FORMS, check_path, save

        if not name:
            return f"write where: /save talk.md ({', '.join(FORMS)})"
        path = Path(name).expanduser().absolute()
        shown = one_line(name)
        try:
            check_path(path)
            if path.exists() and path not in self._written:
                return f"{shown} exists, and is left as it is; give another name"
            save(session, path)
        except Problem as exc:
            return f"{one_line(str(exc))}{f'; {exc.hint}' if exc.hint else ''}"
        except (OSError, ValueError) as exc:
            return f"{shown} cannot be written: {exc.strerror if isinstance(exc, OSError) else exc}"
        self._written.add(path)
        count = len(session.history)
        return f"saved {count} item{'s' * (count != 1)} to {shown}"


def _path_of(text: str) -> tuple[Path | None, str]:
    """Split a command's rest into a file and what is behind it; a name with blanks stands in quotes or exists."""
    if text[:1] in ("'", '"') and text[0] in text[1:]:
        name, _, rest = text[1:].partition(text[0])
        return Path(name).expanduser(), rest.strip()
    words = text.split(" ")
    for count in range(len(words), 1, -1):
        path = Path(" ".join(words[:count])).expanduser()
        try:
            if path.is_file():
                return path, " ".join(words[count:]).strip()
        except (OSError, ValueError):
            continue
    return (Path(words[0]).expanduser(), " ".join(words[1:]).strip()) if words[0] else (None, "")


def _tools(session: "Session", *, offered: bool) -> str:
    if not offered:
        return "--no-tools: none are offered"
    tools = session.tools
    if not tools:
        return "this agent has no tools"
    width = max(len(name) for name in tools)
    rows = [f"{name:<{width}}  {one_line(each.description or '')}{_asks(each)}" for name, each in tools.items()]
    running = session.calls.running
    if running:
        rows += ["running:", *(f"  {index} {_call(each)}" for index, each in enumerate(running, start=1))]
    return "\n".join(rows)


def _asks(tool: "Tool[..., object] | FunctionTool") -> str:
    """Say whether a tool needs a person's approval."""
    from agentkit.tools import Tool

    if not isinstance(tool, Tool):
        return ""
    marks = ["dangerous"] if tool.policy.effects == "dangerous" else []
    marks += ["asks"] if tool.policy.approval is not None else []
    return f" ({', '.join(marks)})" if marks else ""


def echoed(line: str) -> bool:
    """Tell whether a command is shown as it was typed: one that speaks is shown as its turn."""
    return line.startswith("/") and not line.startswith("/say ")


def _cancel(session: "Session", wanted: str) -> str:
    running = session.calls.running
    if not running:
        return "no call is running"
    if not wanted and len(running) > 1:
        rows = [f"  {index} {_call(each)}" for index, each in enumerate(running, start=1)]
        return "\n".join(["which one?", *rows])
    wanted = wanted or "1"
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
