"""The skin of a terminal without escapes: the agent's words on stdout as they come, everything else on stderr."""

from typing import IO, TYPE_CHECKING

from agentkit.cli.bar import PATIENCE_SECONDS, Tally
from agentkit.cli.before import Before
from agentkit.cli.records import (
    AgentRecord,
    AnyRecord,
    EndRecord,
    SessionRecord,
    ToolRecord,
    TurnRecord,
)
from agentkit.cli.terminal import Face, Flow, Look, cells, clean, is_tty, one_line
from agentkit.cli.transcript import Reply, Row, Transcript, broken, duration, head_cells, lay_out, time_of_day

if TYPE_CHECKING:
    from agentkit.cli.output import Out


class Screen:
    """Shows records in a terminal that scrolls; nothing that was written is changed."""

    def __init__(self, out: "Out", errors: IO[str], look: Look, tally: Tally, *, verbosity: int = 0) -> None:
        """Make the skin.

        Args:
            out: Takes the agent's words.
            errors: Takes everything else.
            look: How ``errors`` is written.
            tally: Counts the records.
            verbosity: Below 0 no header, no summary and no warnings; from 1 on information too.
        """
        self._out = out
        self._errors = errors
        self._look = look
        self._tally = tally
        self._verbosity = verbosity
        self._transcript = Transcript(look, verbosity=verbosity)
        self._named = is_tty(out.stream)
        """Whether the words share the terminal with everything else, so that they say whose they are."""
        self._reply: Reply | None = None
        """The message whose line is not ended."""
        self._written = ""
        self._flow = Flow(None)
        self._progress: dict[str, str] = {}
        """What was shown of each call's progress last."""
        self._reminded = ""
        self.before: Before | None = None
        """The conversation that is gone on with."""
        self.above: Face | None = None
        """Takes whole lines, while a prompt is on the screen."""

    def show(self, record: AnyRecord) -> None:
        """Show a record."""
        self._tally.take(record)
        match record:
            case SessionRecord():
                self._put(self._transcript.begin(record, self.before))
            case AgentRecord(event="delta", item_id=item_id, text=text):
                self._say(item_id, clean(text))
            case AgentRecord(event="final"):
                self._finish(record)
            case AgentRecord(event="interrupted", item_id=item_id, text=text):
                reply = Reply(item_id, "")
                reply.interrupted(self._look, text, record.heard_ms, record.heard_text)
                self._end_line()
                self._row(Row("agent", "", end=reply.mark, at=time_of_day()))
            case ToolRecord(event="progress"):
                self._tool_progress(record)
            case TurnRecord():
                self._turn(record)
            case EndRecord():
                self._end_line()
                self._put(self._transcript.end(record))
            case _:
                rows = self._transcript.rows(record)
                if rows or isinstance(record, ToolRecord):
                    self._end_line()
                for row in rows:
                    self._row(row)

    def _put(self, lines: "list[Row | str]") -> None:
        for line in lines:
            if isinstance(line, Row):
                self._row(line)
            else:
                self.tell(line)

    def remind(self) -> None:
        """Say what is waited for, once it takes long."""
        tally = self._tally
        long = tally.state in ("thinking", "tool", "reconnecting") and tally.waited >= PATIENCE_SECONDS
        waits = f"{tally.state} {tally.detail or ''} {tally.since}" if long else ""
        if waits and waits != self._reminded and self.above is None:
            self._end_line()
            what = " ".join(filter(None, (tally.state, one_line(tally.detail or ""))))
            self._row(Row("note", f"{what}: {tally.waited:.0f} s so far; Ctrl-C stops it", "dim", at=time_of_day()))
        self._reminded = waits

    # The agent's words

    def _say(self, item_id: str, text: str) -> None:
        if self._reply is None or self._reply.item_id != item_id:
            self._end_line()
            self._reply, self._written = Reply(item_id, time_of_day()), ""
            width = self._look.width if self._named else None
            self._flow = Flow(None if width is None else max(width - head_cells(width), 10))
            text = text.lstrip("\n")
            if self._named and self.above is None:
                self._error(lay_out(Row("agent", "", at=self._reply.at), self._look, width)[0])
        self._written += text
        if self.above is None:
            self._out.write(self._indented(self._flow.feed(text)))

    def _indented(self, text: str) -> str:
        return text.replace("\n", "\n" + " " * head_cells(self._look.width)) if self._named else text

    def _finish(self, record: AgentRecord) -> None:
        """Show what the pieces have not shown; where they were something else, the whole message stands below."""
        text = clean(record.text).lstrip("\n").rstrip()
        if not text:
            return
        shown = self._written if self._reply is not None and self._reply.item_id == record.item_id else ""
        if record.status == "incomplete" and shown.startswith(text):
            return
        if not text.startswith(shown):
            self._end_line()
            shown = ""
        if self.above is not None:
            self._reply, self._written = None, ""
            if self._named:
                lines = lay_out(Row("agent", text, at=time_of_day()), self._look, self._look.width)
                self._error("".join(line + "\n" for line in lines))
            else:
                self._out.write("\n".join(broken(text, None)) + "\n")
        else:
            self._say(record.item_id, text[len(shown) :])

    def _end_line(self, suffix: str = "") -> None:
        if self._reply is None:
            return
        self._out.write(self._indented(self._flow.end()))
        suffix = suffix if self._named else ""
        if suffix and not self._written.endswith("\n"):
            width = self._look.width or 0
            if head_cells(width) + self._flow.column + cells(suffix) + 3 < width:
                self._error(f"   {self._look.paint(suffix, 'dim')}")
                suffix = ""
        if not self._written.endswith("\n") or self._named:
            self._out.write("\n")
        if suffix:
            self._row(Row("", "", end=suffix))
        self._reply, self._written = None, ""

    # Around them

    def _tool_progress(self, record: ToolRecord) -> None:
        """Show progress as a line for each new word or tenth part."""
        parts = [] if record.done is None else [f"{record.done:.0%}"]
        said = one_line(record.message or record.partial or "")
        parts += [said] if said else []
        shown = f"{said} {int((record.done or 0) * 10)}"
        if parts and self._progress.get(record.call_id) != shown:
            self._progress[record.call_id] = shown
            self._end_line()
            self._row(Row("tool", f"{one_line(record.name)}: {' '.join(parts)}", "dim", at=time_of_day()))

    def _turn(self, record: TurnRecord) -> None:
        if record.status == "cancelled":
            self._end_line()
            self._row(Row("agent", "", end=f"{self._look.glyph('stopped')} stopped", at=time_of_day()))
        elif self._reply is None:
            if record.status == "completed" and not record.text.strip() and not record.background:
                self._row(Row("agent", "", end="(no answer)", at=time_of_day()))
        elif record.latency_ms is not None and self._verbosity >= 0:
            self._end_line(duration(record.latency_ms))
        self._end_line()
        if record.status == "incomplete":
            self._row(Row("note", "cut off: the answer was too long for its limit", at=time_of_day()))

    # Writing

    def settle(self) -> None:
        """End what is open, so that a prompt can follow."""
        self._end_line()

    def tell(self, text: str) -> None:
        """Show lines of our own."""
        self._end_line()
        for line in text.split("\n"):
            for part in self._look.hanging(line):
                self._error(self._look.paint(part, "dim") + "\n")

    def aside(self, lines: list[str]) -> None:
        """Show what somebody else has printed."""
        self._end_line()
        self._error("".join(f"{self._look.paint(line, 'dim')}\n" for line in lines))

    def _row(self, row: Row) -> None:
        for line in lay_out(row, self._look, self._look.width):
            self._error(line + "\n")

    def _error(self, text: str) -> None:
        stream: IO[str] | Face = self.above if self.above is not None else self._errors
        stream.write(text)
        stream.flush()
