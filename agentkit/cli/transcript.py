"""What a terminal's transcript says: records as rows, and rows as lines of a width.

Rule: nothing that others wrote reaches a row uncleaned, and every mark is also a word.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from agentkit.cli.before import Before
from agentkit.cli.records import (
    AnyRecord,
    ApprovalRecord,
    EndRecord,
    ErrorRecord,
    EventRecord,
    HandoffRecord,
    NoticeRecord,
    SessionRecord,
    ToolRecord,
)
from agentkit.cli.terminal import Flow, Look, cells, clean, head_of, one_line

_WHO: Final = 5
"""Cells of the column that says who."""
_NARROW: Final = 60
"""Below so many columns no time is shown."""
_MAX_REASON: Final = 240
_MAX_NAME: Final = 24
_MAX_EVENT: Final = 400
_MIN_WAIT_MS: Final = 100
"""A wait for approval that is shorter is not told."""
_TONES: Final = {"you": "cyan", "agent": "bold", "error": "red", "warn": "yellow"}


class Row(NamedTuple):
    """One thing that happened."""

    who: str
    """``you``, ``agent``, ``tool``, ``warn``, ``error``, ``event``, ``note``; empty where nobody has to be named."""
    text: str
    tone: str = ""
    end: str = ""
    """What stands behind the text in a tone of its own."""
    end_tone: str = "dim"
    hint: str = ""
    """What to do, on lines of its own."""
    at: str = ""
    """The time of day."""


def time_of_day() -> str:
    """Return the time as it is shown."""
    return datetime.now().astimezone().strftime("%H:%M:%S")


def head_cells(width: int | None) -> int:
    """How many cells stand before what is said."""
    return _WHO + 2 + (0 if width is not None and width < _NARROW else 10)


def lay_out(row: Row, look: Look, width: int | None, *, hard: bool = False) -> list[str]:
    """Return a row's lines, none wider than ``width`` but for a word that is; None breaks nothing.

    Args:
        row: What is laid out.
        look: Its colours.
        width: Cells of a line.
        hard: Break such words too.
    """
    indent = head_cells(width)
    time = f"{row.at:<8}  " if indent > _WHO + 2 else ""
    head = look.paint(time, "dim") + look.paint(f"{row.who:<{_WHO}}", _TONES.get(row.who, "dim")) + "  "
    body = row.text if not row.end else f"{row.text} {row.end}" if row.text else row.end
    inner = None if width is None else max(width - indent, 10)
    lines = [
        *_painted(broken(body, inner, hard=hard), sum(not char.isspace() for char in row.text), row, look),
        *(look.paint(line, "dim") for line in broken(row.hint, inner) if row.hint),
    ]
    return [head + lines[0], *((" " * indent + line) if line else "" for line in lines[1:])]


def _painted(lines: list[str], first: int, row: Row, look: Look) -> list[str]:
    """Paint the first so many characters that are seen in the row's tone, and the others in that of its end."""
    painted = []
    for line in lines:
        split = 0
        while split < len(line) and first > 0:
            first -= not line[split].isspace()
            split += 1
        before, behind = line[:split], line[split:]
        painted.append((look.paint(before, row.tone) if row.tone else before) + look.paint(behind, row.end_tone))
    return painted


def broken(text: str, width: int | None, *, hard: bool = False) -> list[str]:
    """Break a text between words into lines; ``hard`` breaks words too that are longer than a line."""
    if width is None or (cells(text) <= width and "\n" not in text):
        return text.split("\n")
    flow = Flow(width)
    lines = (flow.feed(text) + flow.end()).split("\n")
    return [part for line in lines for part in _pieces(line, width)] if hard else lines


def _pieces(line: str, width: int) -> list[str]:
    pieces = []
    while cells(line) > width:
        piece = head_of(line, width)
        pieces.append(piece)
        line = line[len(piece) :]
    return [*pieces, line]


class Reply:
    """Something that the agent says, as far as it has come."""

    def __init__(self, item_id: str, at: str) -> None:
        self.item_id = item_id
        self.at = at
        self.raw = ""
        """What was said, as it came."""
        self.shown = ""
        """The beginning of it that is in the transcript already."""
        self.done = False
        """Whether nothing more will come."""
        self.mark = ""
        """How it was interrupted."""
        self.latency: str = ""

    @property
    def text(self) -> str:
        """What may be written."""
        return clean(self.raw).lstrip("\n").expandtabs(4)

    def row(self) -> Row:
        """Return what is not in the transcript yet."""
        whole = self.text
        if not whole.startswith(self.shown):
            self.shown = ""  # it was not what is said now
        rest = whole[len(self.shown) :].rstrip()
        end = " ".join(part for part in (self.mark, f"  {self.latency}" if self.latency else "") if part)
        return Row("" if self.shown else "agent", rest, end=end, at="" if self.shown else self.at)

    def finish(self, lines: list[str]) -> Row:
        """Return a row of its next lines, which are in the transcript from now on."""
        whole, end = self.text, len(self.shown)
        head = self.row()._replace(text="\n".join(lines), end="")
        for line in lines:
            end = whole.index(line, end) + len(line)
        while end < len(whole) and whole[end] == " ":
            end += 1
        self.shown = whole[: end + 1] if whole[end : end + 1] == "\n" else whole[:end]
        return head

    def interrupted(self, look: Look, text: str, heard_ms: int | None, heard_text: str | None) -> None:
        """Note how much was heard of it."""
        self.done = True
        if len(text) > len(self.raw):
            self.raw = text
        sign = look.glyph("stopped")
        if heard_ms is None and heard_text is None:
            self.mark = f"{sign} stopped"
            return
        time = "" if heard_ms is None else f" {heard_ms / 1000:.1f} s"
        whole, heard = self.text, clean(heard_text or "").lstrip("\n").expandtabs(4).rstrip()
        if not heard.strip() and not heard_ms:
            self.mark = f"{sign} stopped, none of it was heard"
        elif not whole.startswith(heard) or not whole[len(heard) :].strip():
            self.mark = f"{sign} heard{time}" + (f' of it: "{one_line(heard)}"' if not whole.startswith(heard) else "")
        elif len(heard) < len(self.shown):
            self.mark = f'{sign} heard{time}, up to "{one_line(heard)[-40:]}"'
        else:
            self.mark = f'{sign} heard{time}, not heard: "{one_line(whole[len(heard) :])}"'
            self.raw = heard


class Transcript:
    """Makes rows of records, but for what the agent and the user say."""

    def __init__(
        self,
        look: Look,
        *,
        verbosity: int = 0,
        now: Callable[[], str] = time_of_day,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it.

        Args:
            look: Which glyphs there are.
            verbosity: Below 0 no header, no summary and no warnings; from 1 on information too.
            now: The time of day.
            seconds: A clock.
        """
        self._look = look
        self._verbosity = verbosity
        self._now = now
        self._calls: dict[str, str] = {}
        self._clock = seconds
        self._asked: dict[str, float] = {}
        """When approval was asked for, by call."""
        self._approval: dict[str, float] = {}
        """How many seconds a call has waited for approval."""
        self._voice = False
        self._continues = False
        self._recorded = ""
        """What the recording says of itself."""

    def rows(self, record: AnyRecord) -> list[Row]:
        """Return what is to be told of a record."""
        if isinstance(record, ApprovalRecord):
            self._time(record)
        match record:
            case HandoffRecord(agent=agent, previous=previous):
                text = f"{one_line(agent)} takes over from {one_line(previous)}"
                return [Row("agent", text, "dim", at=self._now())]
            case ToolRecord(event="start", call_id=call_id, name=name, arguments=arguments):
                self._calls[call_id] = call_text(name, arguments)
            case ApprovalRecord(event="decision", edited=True, call_id=call_id, name=name, arguments=arguments):
                self._calls[call_id] = f"{call_text(name, arguments)}, edited"
            case ToolRecord(event="end"):
                return [self._tool(record)]
            case ErrorRecord():
                return [self.problem("error", record.message, record.hint)]
            case NoticeRecord(code="recording", level="info", message=message):
                self._recorded = message
                if self._verbosity >= 0:
                    return [self.problem("note", message, record.hint)]
            case NoticeRecord(level=level):
                if {"error": True, "warning": self._verbosity >= 0}.get(level, self._verbosity > 0):
                    return [self.problem(level, record.message, record.hint)]
            case EventRecord():
                return [self._event(record)]
            case _:
                pass
        return []

    def call(self, call_id: str) -> str | None:
        """Return a running call with its arguments."""
        return self._calls.get(call_id)

    def problem(self, level: str, message: str, hint: str | None) -> Row:
        """Return a message of ours."""
        who = {"error": "error", "warning": "warn", "ended": "ended"}.get(level, "note")
        return Row(who, clean(message), "dim" if who == "note" else "", hint=clean(hint or ""), at=self._now())

    def decided(self, record: ApprovalRecord) -> Row:
        """Return what the person has decided about a call."""
        call = self._calls.get(record.call_id) or call_text(record.name, record.arguments)
        word = "approved" if record.approved else "refused"
        return Row("you", f"{word} {call}", "dim", at=self._now())

    def _time(self, record: ApprovalRecord) -> None:
        """Note how long a call waits for approval."""
        if record.event == "request":
            self._asked[record.call_id] = self._clock()
        elif (since := self._asked.pop(record.call_id, None)) is not None:
            self._approval[record.call_id] = self._clock() - since

    def _took(self, record: ToolRecord) -> str:
        """Return how long a call has run, and how long it had waited for approval before."""
        asked = self._approval.pop(record.call_id, 0.0) * 1000
        text = duration(max((record.ms or 0) - asked, 0))
        return f"{text} + {duration(asked)} approval" if asked >= _MIN_WAIT_MS else text

    def _tool(self, record: ToolRecord) -> Row:
        call = self._calls.pop(record.call_id, f"{one_line(record.name)}()")
        end = f" {self._look.glyph('ok' if record.ok else 'failed')} {self._took(record)}"
        if record.ok:
            if (width := self._look.width) is not None:
                call = self._look.cut(call, max(width - head_cells(width) - cells(end) - 1, 8))
            return Row("tool", call, "dim", end, "green", at=self._now())
        reason = one_line(record.reason or record.output or "")
        said = f"{record.status}: "
        end += f" {record.status}" if record.status != "error" and not reason.startswith(said) else ""
        end += f"{' ' if reason.startswith(said) else ': '}{self._look.cut(reason, _MAX_REASON)}" if reason else ""
        end += f"  ({record.where})" if record.where else ""
        return Row("tool", call, "", end, "red", at=self._now())

    def _event(self, record: EventRecord) -> Row:
        raw = bytes(record.event)[:_MAX_EVENT].decode("utf-8", "replace")
        try:
            kind = msgspec.json.decode(record.event, type=_Typed).type
        except msgspec.DecodeError:
            kind = ""
        text = one_line(f"{self._look.glyph(record.direction)} {kind} {raw}")
        width = self._look.width
        return Row("event", text if width is None else self._look.cut(text, width - head_cells(width)), "dim")

    # The first line and the last one

    def begin(self, record: SessionRecord, before: Before | None) -> "list[Row | str]":
        """Return how it begins, lines of our own and rows; nothing where that is not wanted.

        Args:
            record: The session.
            before: The conversation that is gone on with.
        """
        self._voice, self._continues = record.output == "audio", record.continues is not None
        if self._verbosity < 0:
            return []
        header = self._header(record)
        if before is None:
            return [header]
        said = (("you", before.question), ("agent", before.answer))
        rows = [Row(who, clean(text).strip(), "dim") for who, text in said if text.strip()]
        return [header, before.line(self._look.glyph("dot"), self._look.glyph("more")), *rows]

    def _header(self, record: SessionRecord) -> str:
        import agentkit

        program = f"agentkit {agentkit.__version__}"
        agent = f"{self._look.cut(one_line(record.agent), _MAX_NAME)} ({'voice' if self._voice else 'text'})"
        more = [
            one_line(record.provider if record.model is None else record.model),
            f"{len(record.tools)} tool{'s' * (len(record.tools) != 1)}",
            f"session {self._look.cut(one_line(record.id), 14)}",
        ]
        recording = ["recording on"] if record.recording else []
        if not record.recording:
            more.append("recording off")
        help_, width = "/help", self._look.width
        room = None if width is None else width - len(help_) - 3
        dot = f" {self._look.glyph('dot')} "
        forms = [[program, agent, *more[:kept], *recording] for kept in range(len(more), -1, -1)]
        if recording:  # nobody is recorded without a word, however narrow the terminal is
            forms += [[*recording, agent]]
        parts = next((each for each in forms if room is None or cells(dot.join(each)) <= room), forms[-1])
        line = dot.join(parts)
        if room is None:
            return line + dot + help_
        line = self._look.cut(line, room)
        return line + " " * min(room + 2 - cells(line), 8) + help_

    def end(self, record: EndRecord) -> "list[Row | str]":
        """Return why it has ended, where it was not asked for, and the summary, where one is wanted."""
        level = "ended" if record.cause == "limit" else "error"
        why = [self.problem(level, record.reason, None)] if record.reason else []
        if self._verbosity < 0:
            return [*why]
        recorded = [self._recorded.replace("is recorded", "was recorded", 1)] if self._recorded else []
        if record.turns == 0:
            return [*why, *recorded]
        parts = [f"{record.turns} {'new ' * self._continues}turn{'s' * (record.turns != 1)}", clock(record.seconds)]
        if record.latencies_ms:
            first = f"first {'audio' if self._voice else 'text'}"
            parts.append(f"{first} {latencies(record.latencies_ms)}")
        if record.tool_calls:
            failed = f" ({record.tool_failures} failed)" if record.tool_failures else ""
            parts.append(f"{record.tool_calls} tool call{'s' * (record.tool_calls != 1)}{failed}")
        if record.input_tokens or record.output_tokens:
            parts.append(f"{count(record.input_tokens)} in / {count(record.output_tokens)} out tokens")
        if record.cost_usd is not None:
            parts.append(dollars(record.cost_usd))
        return [*why, *joined(parts, self._look), *recorded]


def joined(parts: list[str], look: Look) -> list[str]:
    """Write parts one behind the other, with a new line only between two of them."""
    dot, lines = f" {look.glyph('dot')} ", [parts[0]]
    for part in parts[1:]:
        if look.width is not None and cells(lines[-1] + dot + part) > look.width:
            lines.append(part)
        else:
            lines[-1] += dot + part
    return lines


class _Typed(msgspec.Struct):
    type: str = ""


def call_text(name: str, arguments: msgspec.Raw | str | None) -> str:
    """Write a call as ``name(key=value, ...)``."""
    return f"{one_line(name)}({_arguments(arguments)})"


def _arguments(arguments: msgspec.Raw | str | None) -> str:
    if isinstance(arguments, msgspec.Raw):
        try:
            value = msgspec.json.decode(arguments)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return one_line(bytes(arguments).decode("utf-8", "replace"))
        if isinstance(value, dict):
            shown = (f"{name}={msgspec.json.encode(each).decode()}" for name, each in value.items())
            return one_line(", ".join(shown))
    return one_line(str(arguments or ""))


def duration(ms: float) -> str:
    """Write milliseconds."""
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def clock(seconds: float) -> str:
    """Write seconds as ``2:14``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def count(number: int) -> str:
    """Write a number of tokens."""
    return str(number) if number < 1000 else f"{number / 1000:.1f} k"


def of_budget(cost: float, budget: float) -> str:
    """Write a cost and its limit, with the digits that a small limit needs."""
    digits = len(f"{budget:.10f}".rstrip("0").partition(".")[2])
    return f"${cost:.{max(digits + 1, 3)}f} of {budget:.{max(digits, 2)}f}"


def dollars(amount: float) -> str:
    """Write an amount of money: three digits behind the point, more where it would be nothing."""
    return f"${amount:.3f}" if amount >= 0.001 or amount == 0 else f"${amount:.5f}"


def latencies(values: tuple[float, ...] | list[float]) -> str:
    """Write the half and the most of what was waited, or the only one."""
    if len(values) == 1:
        return duration(values[0])
    return f"p50 {duration(percentile(values, 0.5))} p95 {duration(percentile(values, 0.95))}"


def percentile(values: tuple[float, ...] | list[float], part: float) -> float:
    """Return the value that so large a part of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]
