"""The skin of the inline interface: finished rows for the scrollback, and what is still being said.

Rule: a reply is finished when nothing can change it any more: its latency is known, it was heard or cut off, or
something else was said. Until then it is drawn again.
"""

import re
import time
from collections.abc import Callable
from typing import Final

from agentkit.cli.bar import Tally
from agentkit.cli.before import Before
from agentkit.cli.records import (
    AgentRecord,
    AnyRecord,
    ApprovalRecord,
    EndRecord,
    SessionRecord,
    StateRecord,
    TurnRecord,
    UserRecord,
)
from agentkit.cli.terminal import Look, clean
from agentkit.cli.transcript import Reply, Row, Transcript, broken, duration, head_cells, lay_out, time_of_day

_JOINED: Final = re.compile("[\u200d\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")
"""What joins or changes pictures: terminals differ in the cells that these take, so they wait for the scrollback."""
_QUIET: Final = ("listening", "thinking", "tool", "reconnecting")
"""States in which nobody is heard, so that what was said has been said."""


class Live:
    """What is on the screen; ``changed`` is called where that is something new."""

    def __init__(
        self,
        look: Look,
        tally: Tally,
        *,
        verbosity: int = 0,
        now: Callable[[], str] = time_of_day,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it.

        Args:
            look: The terminal's glyphs and colours.
            tally: Counts the records.
            verbosity: As of ``Transcript``.
            now: The time of day.
            clock: Tells the time in seconds.
        """
        self.changed: Callable[[], None] = lambda: None
        self._look = look
        self._tally = tally
        self._now = now
        self._verbosity = verbosity
        self._transcript = Transcript(look, verbosity=verbosity, now=now, seconds=clock)
        self._reply: Reply | None = None
        self._answered = False
        """Whether the agent has said something in this turn."""
        self._hearing: dict[str, str] = {}
        """What the user says, by item, as it is understood."""
        self._typed: list[str] = []
        """What was typed, until the server has it."""
        self._pending: list[str] = []
        self.before: Before | None = None
        """The conversation that is gone on with."""
        self.voice = False
        """Whether the agent speaks, so that what it has said may not be heard yet."""

    def show(self, record: AnyRecord) -> None:
        """Take a record."""
        self._tally.take(record)
        match record:
            case SessionRecord():
                self.voice = record.output == "audio"
                self._put(self._transcript.begin(record, self.before))
            case StateRecord(state=state):
                if self._reply is not None and self._reply.done and self._reply.latency and state in _QUIET:
                    self._commit()
            case UserRecord(event="partial", item_id=item_id, text=text):
                self._hearing[item_id] = self._hearing.get(item_id, "") + text
            case UserRecord():
                self._user(record)
            case AgentRecord():
                self._agent(record)
            case ApprovalRecord(event="decision", by="person"):
                self._transcript.rows(record)
                self._row(self._transcript.decided(record))
            case TurnRecord():
                self._turn(record)
            case EndRecord():
                self._commit()
                self._put(self._transcript.end(record))
            case _:
                for row in self._transcript.rows(record):
                    self._row(row)
        self.changed()

    def _put(self, lines: "list[Row | str]") -> None:
        for line in lines:
            if isinstance(line, Row):
                self._row(line)
            else:
                self.tell(line)

    # What is said

    def _user(self, record: UserRecord) -> None:
        self._hearing.pop(record.item_id, None)
        if record.text in self._typed:
            self._typed.remove(record.text)
            return
        text = clean(record.text).strip()
        self._row(Row("you", text or "(speech)", "" if text else "dim", at=self._now()))

    def said(self, shown: str, text: str | None = None) -> None:
        """Show what the user has typed.

        Args:
            shown: As it is shown.
            text: As the server will tell it again; None where it will not.
        """
        self._commit()
        self._row(Row("you", clean(shown), at=self._now()))
        if text is not None:
            self._typed.append(text)

    @property
    def not_taken(self) -> list[str]:
        """What was said and the server has not told again: it does not have it, unless it is on its way."""
        return list(self._typed)

    def typed(self, command: str) -> None:
        """Show a command that was typed."""
        self._row(Row("you", clean(command), "dim", at=self._now()))

    def _agent(self, record: AgentRecord) -> None:
        if record.event == "interrupted":
            late = self._reply is None or self._reply.item_id != record.item_id
            reply = Reply(record.item_id, self._now()) if late or self._reply is None else self._reply
            reply.interrupted(self._look, record.text, record.heard_ms, record.heard_text)
            if late:
                self._row(Row("agent", "", end=reply.mark, at=self._now()))
            return
        if self._reply is None or self._reply.item_id != record.item_id:
            if record.event == "final" and not clean(record.text).strip():
                return
            self._commit()
            self._reply = Reply(record.item_id, self._now())
        reply = self._reply
        self._answered = True
        if record.event == "delta":
            reply.raw += record.text
            return
        reply.done = True
        if not reply.mark and not (record.status == "incomplete" and reply.raw.startswith(record.text)):
            reply.raw = record.text

    def _turn(self, record: TurnRecord) -> None:
        self._typed.clear()
        reply = self._reply
        if record.latency_ms is not None and self._verbosity >= 0 and reply is not None:
            reply.latency = f"first audio {duration(record.latency_ms)}" if self.voice else duration(record.latency_ms)
        if record.status == "cancelled":
            stopped = f"{self._look.glyph('stopped')} stopped"
            if reply is None:
                self._row(Row("agent", "", end=stopped, at=self._now()))
            else:
                reply.mark = reply.mark or stopped
                reply.done = True
        elif record.status == "completed" and not (self._answered or record.text.strip() or record.background):
            self._row(Row("agent", "", end="(no answer)", at=self._now()))
        if reply is not None and (self._tally.state != "speaking" or not self.voice or reply.mark):
            self._commit()
        if record.status == "incomplete":
            self._row(Row("note", "cut off: the answer was too long for its limit", at=self._now()))
        self._answered = False

    def _commit(self) -> None:
        """Finish the reply."""
        reply, self._reply = self._reply, None
        if reply is not None:
            row = reply.row()
            if row.text.strip() or row.end:
                self._pending += lay_out(row, self._look, self._look.width)

    def _row(self, row: Row) -> None:
        """Write a row; a reply that goes on stays below it."""
        if self._reply is not None and self._reply.done:
            self._commit()
        self._pending += lay_out(row, self._look, self._look.width)
        self.changed()

    def tell(self, text: str) -> None:
        """Write lines of our own."""
        for line in clean(text).split("\n"):
            self._pending += [self._look.paint(part, "dim") for part in self._look.hanging(line)]
        self.changed()

    def aside(self, lines: list[str]) -> None:
        """Write what somebody else has printed."""
        self._pending += [self._look.paint(line, "dim") for line in lines]
        self.changed()

    # What is drawn

    def take(self) -> list[str]:
        """Return the finished lines that were not taken yet."""
        lines, self._pending = self._pending, []
        return lines

    def lines(self, width: int, rows: int) -> list[str]:
        """Return the lines of what is being said, none wider than ``width``.

        What is more than ``rows`` is finished from its beginning.
        """
        lines = []
        for text in self._hearing.values():
            lines += lay_out(Row("you", clean(text) + self._look.glyph("cursor")), self._look, width, hard=True)
        if self._reply is not None:
            lines += self._reply_lines(self._reply, width, max(rows - len(lines), 1))
        return [_JOINED.sub("", line) for line in lines[-rows:]]

    def _reply_lines(self, reply: Reply, width: int, rows: int) -> list[str]:
        inner = max(width - head_cells(width), 10)
        body = broken(reply.row().text, inner)
        if len(body) > rows and not reply.mark:
            finished = body[: len(body) - rows]
            self._pending += lay_out(reply.finish(finished), self._look, width)
        row = reply.row()
        if not reply.done:
            row = row._replace(text=row.text + self._look.glyph("cursor"))
        return lay_out(row, self._look, width, hard=True) if row.text or row.end else []

    def queue_lines(self, queued: list[str], more: int) -> list[str]:
        """Return lines for what was typed and waits until the agent has answered, and for so many more."""
        lines = [self._look.cut(f"  waits: {' '.join(clean(text).split())}") for text in queued]
        if more:
            lines.append(f"  and {more} more")
        return [self._look.paint(line, "dim") for line in lines]
