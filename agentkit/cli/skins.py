"""The skins of a pipe: the answer as plain text, or every record as NDJSON."""

from typing import IO

from agentkit.cli.exits import say
from agentkit.cli.output import Out
from agentkit.cli.records import (
    AgentRecord,
    AnyRecord,
    ApprovalRecord,
    EndRecord,
    ErrorRecord,
    NoticeRecord,
    ToolRecord,
    TurnRecord,
)
from agentkit.cli.terminal import Look, clean, one_line


class JsonSkin:
    """Every record on a line of its own."""

    def __init__(self, out: Out) -> None:
        self._out = out

    def show(self, record: AnyRecord) -> None:
        """Write a record."""
        self._out.json(record)


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

    def show(self, record: AnyRecord) -> None:
        """Show what a pipe gets of a record."""
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
                if level == "error" or (level == "warning" and self._verbosity >= 0) or self._verbosity > 0:
                    say(self._errors, self._look, record.message, hint=record.hint, level=level)
            case EndRecord(reason=str(reason)):
                say(self._errors, self._look, reason, level="ended" if record.cause == "limit" else "error")
            case _:
                pass

    def _tool(self, record: ToolRecord) -> None:
        if self._verbosity > 0:
            self._tell(f"tool {record.name}: {record.status}, {record.ms:g} ms")
        if record.reason is not None and self._verbosity >= 0:
            message = f"tool {record.name} failed: {one_line(record.reason)}"
            say(self._errors, self._look, message, hint="-vv shows the traceback", level="warning")

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
