"""The skin of a terminal: the agent's words on stdout as they come, everything around them on stderr, dimmed."""

import sys
from typing import IO, TYPE_CHECKING, Final

import msgspec

from agentkit.cli.exits import say
from agentkit.cli.records import (
    AgentRecord,
    AnyRecord,
    ApprovalRecord,
    EndRecord,
    ErrorRecord,
    NoticeRecord,
    SessionRecord,
    ToolRecord,
    TurnRecord,
    UserRecord,
)
from agentkit.cli.terminal import Face, Flow, Look, cells, clean, is_tty, one_line

if TYPE_CHECKING:
    from agentkit.cli.output import Out

_MAX_REASON: Final = 120
_MAX_NAME: Final = 24


class Screen:
    """Shows records in a terminal that scrolls; nothing that was written is changed, but a status line."""

    def __init__(self, out: "Out", errors: IO[str], look: Look, *, verbosity: int = 0) -> None:
        """Make the skin.

        Args:
            out: Takes the agent's words.
            errors: Takes everything else.
            look: How ``errors`` is written.
            verbosity: Below 0 no header, no summary and no warnings; from 1 on information too.
        """
        self._out = out
        self._errors = errors
        self._look = look
        self._verbosity = verbosity
        self._item: str | None = None
        """The message whose line is not ended."""
        self._written = ""
        self._flow = Flow(None)
        self._status = ""
        self._calls: dict[str, str] = {}
        self._progress: dict[str, str] = {}
        """What was shown of each call's progress last."""
        self.prompting = False
        """Whether a prompt is on the screen: no status line then, and whole lines only."""

    def show(self, record: AnyRecord) -> None:
        """Show a record."""
        match record:
            case SessionRecord():
                self._header(record)
            case UserRecord(event="final") if not self.prompting:
                self.status("thinking")
            case AgentRecord(event="delta", item_id=item_id, text=text):
                self._say(item_id, clean(text))
            case AgentRecord(event="final"):
                self._finish(record)
            case ToolRecord(event="start"):
                self._tool_starts(record)
            case ApprovalRecord(event="decision", edited=True, name=name, arguments=arguments):
                self._calls[record.call_id] = f"{one_line(name)}({_arguments(arguments)}), edited"
            case ToolRecord(event="progress"):
                self._tool_progress(record)
            case ToolRecord():
                self._tool_ends(record)
            case TurnRecord():
                self._turn(record)
            case ErrorRecord():
                self._problem(record.message, record.hint, "error")
            case NoticeRecord(level=level):
                wanted = {"error": True, "warning": self._verbosity >= 0}.get(level, self._verbosity > 0)
                if wanted:
                    self._problem(record.message, record.hint, level)
            case EndRecord():
                self._end(record)
            case _:
                pass

    # The agent's words

    def _say(self, item_id: str, text: str) -> None:
        self.status("")
        if self._item != item_id:
            self._end_line()
            self._item, self._written = item_id, ""
            self._flow = Flow(self._look.width if is_tty(self._out.stream) else None)
            text = text.lstrip("\n")
        self._written += text
        if not self.prompting:
            self._out.write(self._flow.feed(text))

    def _finish(self, record: AgentRecord) -> None:
        """Show what the pieces have not shown; where they were something else, the whole message stands below."""
        text = clean(record.text).lstrip("\n")
        if not text.strip():
            return
        shown = self._written if self._item == record.item_id else ""
        if record.status == "incomplete" and shown.startswith(text):
            return
        if not text.startswith(shown):
            self._end_line()
            shown = ""
        if self.prompting:
            self._item, self._written = None, ""
            flow = Flow(self._look.width)
            lines = flow.feed(text.rstrip("\n")) + flow.end() + "\n"
            if is_tty(self._out.stream):
                sys.stdout.write(lines)
                sys.stdout.flush()
            else:
                self._out.write(lines)
        else:
            self._say(record.item_id, text[len(shown) :])

    def _end_line(self, suffix: str = "") -> None:
        if self._item is None:
            return
        self._out.write(self._flow.end())
        if suffix and not self._written.endswith("\n") and is_tty(self._out.stream):
            width = self._look.width or 0
            if self._flow.column + cells(suffix) + 3 < width:
                self._error(f"   {self._look.paint(suffix, 'dim')}")
                suffix = ""
        if not self._written.endswith("\n"):
            self._out.write("\n")
        if suffix:
            self._line(f"  {suffix}")
        self._item, self._written = None, ""

    # Around them

    def _header(self, record: SessionRecord) -> None:
        if self._verbosity < 0:
            return
        import agentkit

        served = record.provider if record.model is None else f"{record.provider}/{record.model}"
        count = len(record.tools)
        parts = [
            f"agentkit {agentkit.__version__}",
            self._look.cut(record.agent, _MAX_NAME),
            served,
            f"{count} tool{'s' * (count != 1)}",
            "/help",
        ]
        self._row([one_line(part) for part in parts])

    def _tool_starts(self, record: ToolRecord) -> None:
        call = f"{one_line(record.name)}({_arguments(record.arguments)})"
        self._calls[record.call_id] = call
        self._end_line()
        self.status(f"tool {call}")

    def _tool_progress(self, record: ToolRecord) -> None:
        """Show progress in the status line, or, where there is none, as a line for each new word or tenth part."""
        parts = [] if record.done is None else [f"{record.done:.0%}"]
        said = one_line(record.message or record.partial or "")
        parts += [said] if said else []
        name = one_line(record.name)
        if not parts:
            return
        if self._look.color and self._look.width is not None and not self.prompting:
            self._end_line()
            self.status(f"tool {name}: {' '.join(parts)}")
            return
        shown = f"{said} {int((record.done or 0) * 10)}"
        if self._progress.get(record.call_id) != shown:
            self._progress[record.call_id] = shown
            self._end_line()
            self._line(self._look.cut(f"  tool  {name}: {' '.join(parts)}"))

    def _tool_ends(self, record: ToolRecord) -> None:
        self._end_line()
        self._progress.pop(record.call_id, None)
        call = self._calls.pop(record.call_id, f"{one_line(record.name)}()")
        mark = self._look.glyph("ok" if record.ok else "failed")
        end = f"  {mark} {_time(record.ms or 0)}"
        if not record.ok:
            reason = one_line(record.reason or record.output or "")
            said = f"{record.status}: "
            end += f" {record.status}" if record.status != "error" and not reason.startswith(said) else ""
            end += f"{' ' if reason.startswith(said) else ': '}{reason[:_MAX_REASON]}" if reason else ""
            end += f"  ({record.where})" if record.where else ""
        head = "  tool  "
        if record.ok and self._look.width is not None:
            call = self._look.cut(call, max(self._look.width - len(head) - cells(end), 8))
        self._line(f"{head}{call}{end}", tone="dim" if record.ok else "red")

    def _turn(self, record: TurnRecord) -> None:
        self.status("")
        if record.status == "cancelled":
            self._end_line()
            self._line(f"  {self._look.glyph('stopped')} stopped" if not self._look.ascii else "  stopped")
        elif self._item is None:
            if record.status == "completed" and not record.text.strip() and not record.background:
                self._line("  (the agent gave no answer)")
        elif record.latency_ms is not None and self._verbosity >= 0:
            self._end_line(f"{_time(record.latency_ms)}")
        self._end_line()
        if record.status == "incomplete":
            self._line("  (cut off: the answer was too long for its limit)")

    def _problem(self, message: str, hint: str | None, level: str) -> None:
        self.status("")
        self._end_line()
        say(self._stream, self._look, message, hint=hint, level=level)

    def _end(self, record: EndRecord) -> None:
        self.status("")
        self._end_line()
        if record.reason:
            say(self._stream, self._look, record.reason, level="ended" if record.cause == "limit" else "error")
        if self._verbosity < 0 or record.turns == 0:
            return
        parts = [f"{record.turns} turn{'s' * (record.turns != 1)}", _clock(record.seconds)]
        if record.latencies_ms:
            ordered = sorted(record.latencies_ms)
            half, most = _percentile(ordered, 0.5), _percentile(ordered, 0.95)
            parts.append(f"first text {_time(half)}" if len(ordered) == 1 else f"p50 {_time(half)} p95 {_time(most)}")
        if record.tool_calls:
            failed = f" ({record.tool_failures} failed)" if record.tool_failures else ""
            parts.append(f"{record.tool_calls} tool call{'s' * (record.tool_calls != 1)}{failed}")
        if record.input_tokens or record.output_tokens:
            parts.append(f"{_count(record.input_tokens)} in / {_count(record.output_tokens)} out tokens")
        self._row(parts)

    # Writing

    def status(self, text: str) -> None:
        """Show what is waited for on a line that goes away again; an empty text takes it away."""
        if not self._look.color or self._look.width is None or self.prompting or text == self._status:
            return
        if self._status:
            self._error("\r\x1b[K")
        self._status = text
        if text:
            self._error(self._look.paint(self._look.cut(f"  {text}{self._look.glyph('more')}"), "dim"))

    def settle(self) -> None:
        """End what is open, so that a prompt can follow."""
        self.status("")
        self._end_line()

    def _row(self, parts: list[str]) -> None:
        """Show as many parts on one line as fit, the first ones first."""
        dot = f" {self._look.glyph('dot')} "
        width = self._look.width
        while len(parts) > 1 and width is not None and cells(dot.join(parts)) > width:
            parts = parts[:-1]
        self._line(dot.join(parts))

    def tell(self, text: str) -> None:
        """Show lines of our own."""
        for line in text.splitlines():
            self._line(line)

    @property
    def _stream(self) -> IO[str]:
        # While a prompt is up, the streams of `sys` lead above it.
        return sys.stderr if self.prompting else self._errors

    def _line(self, text: str, *, tone: str = "dim") -> None:
        self.status("")
        for line in self._look.wrapped(text, indent=len(text) - len(text.lstrip(" "))):
            self._error(self._look.paint(line, tone) + "\n")

    def _error(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Aside(Face):
    """What code that is not ours prints while a conversation is on the screen."""

    def __init__(self, screen: Screen, stream: IO[str]) -> None:
        super().__init__(stream)
        self._screen = screen

    def write(self, text: str) -> int:
        """Write, on a line of its own where a status line is up."""
        self._screen.status("")
        return self._stream.write(text)


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


def _time(ms: float) -> str:
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def _count(number: int) -> str:
    return str(number) if number < 1000 else f"{number / 1000:.1f} k"


def _percentile(ordered: list[float], part: float) -> float:
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]
