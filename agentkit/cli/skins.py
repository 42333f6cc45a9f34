"""The skins of a pipe: the answer as plain text, or every record as NDJSON."""

from typing import IO, Final

from agentkit.cli.exits import say
from agentkit.cli.output import Out
from agentkit.cli.records import (
    AgentRecord,
    AnyRecord,
    ApprovalRecord,
    EndRecord,
    ErrorRecord,
    EventRecord,
    HandoffRecord,
    NoticeRecord,
    StateRecord,
    ToolRecord,
    TurnRecord,
)
from agentkit.cli.terminal import Face, Look, clean, one_line

_FAILED: Final = frozenset({"error", "timeout", "unknown", "invalid"})
"""The ends of a call that nobody has wanted; a refusal is somebody's will, and told where it is not the user's."""
_MAX_OUTPUT: Final = 300


class JsonSkin:
    """Every record on a line of its own."""

    def __init__(self, out: Out) -> None:
        self._out = out

    def show(self, record: AnyRecord) -> None:
        """Write a record."""
        self._out.json(record)


class Progress:
    """One line about what is waited for, on a terminal beside the answer; nothing in a pipe."""

    def __init__(self, stream: IO[str], look: Look, *, on: bool) -> None:
        self._stream = stream
        self._look = look
        self._on = on and look.color and look.width is not None
        self._held = False
        self._text = ""
        self._drawn = ""

    def tell(self, text: str) -> None:
        """Put a text in the place of the line; none takes it away."""
        self._text = text
        self.draw()

    def hold(self, held: bool) -> None:
        """Leave the terminal to somebody else, or take it back."""
        self.clear()
        self._held = held

    def clear(self) -> None:
        """Take the line away for as long as something else is written, which ``draw`` ends."""
        self._draw("")

    def draw(self) -> None:
        """Write the line, where it is not there."""
        if not self._held:
            self._draw(self._text)

    def _draw(self, text: str) -> None:
        if not self._on or text == self._drawn:
            return
        line = self._look.cut(text, (self._look.width or 0) - 1) if text else ""
        self._stream.write("\r\x1b[K" + self._look.paint(line, "dim"))
        self._stream.flush()
        self._drawn = text

    def state(self, record: StateRecord) -> None:
        """Tell a state that is waited for."""
        match record.state:
            case "thinking":
                self.tell("thinking (Ctrl-C stops it)")
            case "tool":
                self.tell(f"tool {one_line(record.detail or '')} runs (Ctrl-C stops it)")
            case "reconnecting":
                self.tell(f"reconnecting, try {record.detail}")
            case _:
                self.tell("")


class Above(Face):
    """Takes what tools print, and writes it above the line about what is waited for."""

    def __init__(self, stream: IO[str], progress: Progress) -> None:
        super().__init__(stream)
        self._progress = progress

    def write(self, text: str) -> int:
        """Write a text."""
        self._progress.clear()
        written = self._stream.write(text)
        if text.endswith("\n"):
            self._progress.draw()
        return written


class PlainSkin:
    """The answers on stdout, one after the other with a blank line between; what is wrong on stderr."""

    def __init__(self, out: Out, errors: IO[str], look: Look, *, verbosity: int = 0) -> None:
        """Make the skin.

        Args:
            verbosity: From 1 on tools, turns and information are told on stderr; below 0 warnings are not.
        """
        self._out = out
        self._errors = errors
        self._look = look
        self._verbosity = verbosity
        self._answered = False
        self._blank_due = False
        self.progress = Progress(errors, look, on=verbosity >= 0)
        """Tells what is waited for."""

    def show(self, record: AnyRecord) -> None:
        """Show what a pipe gets of a record."""
        if isinstance(record, StateRecord):
            self.progress.state(record)
            return
        if isinstance(record, ApprovalRecord):
            self.progress.hold(record.event == "request")
        self.progress.clear()
        self._show(record)
        self.progress.draw()

    def _show(self, record: AnyRecord) -> None:
        match record:
            case AgentRecord(event="final", text=text):
                self._answer(text)
            case TurnRecord():
                self._turn(record)
            case ToolRecord(event="end"):
                self._tool(record)
            case ToolRecord(event="progress") if self._verbosity > 0:
                done = "" if record.done is None else f" {record.done:.0%}"
                self._tell(one_line(f"tool {record.name}:{done} {record.message or record.partial or ''}"))
            case ApprovalRecord(event="decision") if self._verbosity > 0:
                said = "approved" if record.approved else "refused"
                self._tell(f"approval of {record.name}: {said} by {record.by}")
            case ErrorRecord():
                say(self._errors, self._look, record.message, hint=record.hint)
            case NoticeRecord(level=level):
                usual = level == "warning" or record.code == "recording"
                if level == "error" or (usual and self._verbosity >= 0) or self._verbosity > 0:
                    say(self._errors, self._look, record.message, hint=record.hint, level=level)
            case EventRecord(direction=direction, event=event):
                self._tell(f"{'<-' if direction == 'in' else '->'} {bytes(event).decode('utf-8', 'replace')}")
            case HandoffRecord(agent=agent) if self._verbosity > 0:
                self._tell(f"handed over to {agent}")
            case EndRecord(reason=str(reason)):
                say(self._errors, self._look, reason, level="ended" if record.cause == "limit" else "error")
            case _:
                pass

    def _tool(self, record: ToolRecord) -> None:
        if self._verbosity > 0:
            self._tell(f"tool {record.name}: {record.status}, {record.ms:g} ms")
        if record.status not in _FAILED or self._verbosity < 0:
            return
        if record.reason is not None:
            message = f"tool {record.name} failed: {one_line(record.reason)}"
            say(self._errors, self._look, message, hint="-vv shows the traceback", level="warning")
            return
        output = one_line(record.output or "")[:_MAX_OUTPUT]
        subject = "" if output.startswith(f"{record.name} ") else f"{record.name}: "
        where = f" ({record.where})" if record.where is not None else ""
        say(self._errors, self._look, f"tool {subject}{output}{where}", level="warning")

    def _turn(self, record: TurnRecord) -> None:
        self._blank_due = self._blank_due or self._answered
        if record.status == "incomplete":
            say(self._errors, self._look, "the answer was cut off: it was too long for its limit", level="warning")
        elif not (self._answered or record.text.strip() or record.background) and record.status == "completed":
            say(self._errors, self._look, "the agent gave no answer")
        self._answered = False
        if self._verbosity > 0:
            latency = "no output" if record.latency_ms is None else f"first text {record.latency_ms:g} ms"
            self._tell(f"turn {record.number}: {record.status}, {latency}, {record.ms:g} ms in all")

    def _answer(self, text: str) -> None:
        text = clean(text).rstrip("\n")
        if not text.strip():
            return
        self._out.write(("\n" if self._blank_due else "") + text + "\n")
        self._answered = True
        self._blank_due = False

    def _tell(self, line: str) -> None:
        self._errors.write(self._look.paint(clean(line), "dim") + "\n")
        self._errors.flush()
