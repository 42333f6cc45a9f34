"""The status bar: what the session does now, how fast it is, and what it has cost; and the numbers behind it."""

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from agentkit.cli.records import (
    AnyRecord,
    EndRecord,
    SessionRecord,
    StateRecord,
    ToolRecord,
    TurnRecord,
)
from agentkit.cli.terminal import Look, cells, one_line
from agentkit.cli.transcript import clock, count, dollars, duration, latencies, of_budget, percentile

SLOW_MS: Final = 1000
"""A latency from which on it is marked: a conversation feels it."""
TOO_SLOW_MS: Final = 2500
"""A latency from which on it is red."""
PATIENCE_SECONDS: Final = 5
"""After so long it is said how to stop what is waited for."""
_PERCENTILES_FROM: Final = 100
_COST_FROM: Final = 80
_WIDE_FROM: Final = 60
_MAX_LATENCIES: Final = 1000
_MAX_NAME: Final = 30
_MIN_STATE: Final = 24
"""Cells that the state has at least, whatever else has to go."""
_WORDS: Final = {"hearing": "hearing you", "asking": "waiting for your answer"}
_WAITING: Final = ("connecting", "thinking", "tool", "reconnecting")
_WAYS_OUT: Final = {
    "connecting": "Ctrl-C gives up",
    "reconnecting": "Ctrl-C ends the session",
    "thinking": "Esc stops it",
    "tool": "Esc stops it",
}
_TONES: Final = {
    "hearing": "cyan",
    "thinking": "yellow",
    "tool": "yellow",
    "asking": "yellow",
    "speaking": "green",
    "reconnecting": "red",
    "connecting": "yellow",
}


class Running:
    """A call that runs."""

    def __init__(self, name: str, since: float, *, background: bool) -> None:
        self.name = name
        self.since = since
        self.background = background
        self.progress = ""


class Tally:
    """Counts what happens in a session."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin to count.

        Args:
            now: A clock, in seconds.
        """
        self._now = now
        self.state = "connecting"
        self.detail: str | None = None
        self.since = now()
        """When the state began."""
        self.began: float | None = None
        """When the session was ready."""
        self.turns = 0
        self.continues = False
        """Whether the turns come after those of a conversation that was kept."""
        self.latencies: deque[float] = deque(maxlen=_MAX_LATENCIES)
        self.tokens = [0, 0]
        self.cost: float | None = None
        self.reconnects = 0
        self.running: dict[str, Running] = {}
        self.calls: Counter[str] = Counter()
        """Ended calls, by tool."""
        self.failures: Counter[str] = Counter()

    def take(self, record: AnyRecord) -> None:
        """Count a record."""
        match record:
            case SessionRecord(continues=continues):
                self.began, self.continues = self._now(), continues is not None
                self._state("listening", None)
            case StateRecord(state=state, detail=detail):
                self.reconnects += state == "reconnecting" and self.state != "reconnecting"
                self._state(state, detail)
            case ToolRecord(event="start", call_id=call_id, name=name, background=background):
                self.running[call_id] = Running(one_line(name), self._now(), background=background)
            case ToolRecord(event="progress", call_id=call_id) if call_id in self.running:
                parts = [] if record.done is None else [f"{record.done:.0%}"]
                self.running[call_id].progress = " ".join([*parts, one_line(record.message or record.partial or "")])
            case ToolRecord(event="end", call_id=call_id, name=name, ok=ok):
                self.running.pop(call_id, None)
                self.calls[name] += 1
                self.failures[name] += not ok
            case TurnRecord():
                self.turns += 1
                if record.latency_ms is not None:
                    self.latencies.append(record.latency_ms)
                self.tokens[0] += record.input_tokens or 0
                self.tokens[1] += record.output_tokens or 0
                if record.cost_usd is not None:
                    self.cost = (self.cost or 0.0) + record.cost_usd
            case EndRecord(cost_usd=float(cost)):
                self.cost = cost
            case _:
                pass

    def _state(self, state: str, detail: str | None) -> None:
        if state != self.state:
            self.since = self._now()
        self.state, self.detail = state, detail

    @property
    def seconds(self) -> float:
        """How long the session lasts."""
        return 0.0 if self.began is None else self._now() - self.began

    @property
    def waited(self) -> float:
        """How long the state lasts, in seconds."""
        return self._now() - self.since

    @property
    def waits(self) -> bool:
        """Whether something is waited for, so that its time is shown."""
        return self.state in _WAITING or bool(self.running)

    def told(self) -> str:
        """Return the numbers as lines."""
        rows = [("session", clock(self.seconds)), ("new turns" if self.continues else "turns", str(self.turns))]
        if self.latencies:
            rows.append(("first reply", f"{latencies(list(self.latencies))}, last {duration(self.latencies[-1])}"))
        if any(self.tokens):
            rows.append(("tokens", f"{count(self.tokens[0])} in / {count(self.tokens[1])} out"))
        if self.calls:
            each = (
                f"{one_line(name)} {number}" + (f" ({self.failures[name]} failed)" if self.failures[name] else "")
                for name, number in self.calls.most_common()
            )
            rows.append(("tools", ", ".join(each)))
        rows.append(("cost", "n/a: no limits.rates are given" if self.cost is None else dollars(self.cost)))
        rows.append(("reconnects", str(self.reconnects)))
        return "\n".join(f"{name:<12} {value}" for name, value in rows)


class Bar:
    """Writes the bar for a width."""

    def __init__(self, tally: Tally, look: Look, now: Callable[[], float], *, budget: float | None, priced: bool):
        """Make it.

        Args:
            tally: The numbers.
            look: Which glyphs and colours there are.
            now: The tally's clock.
            budget: How many US dollars the session may cost, where that is limited.
            priced: Whether ``rates`` are given, so that the cost is known.
        """
        self._tally = tally
        self._look = look
        self._now = now
        self._budget = budget
        self._priced = priced
        self.asking = False
        """Whether a person's answer is waited for."""

    def line(self, width: int) -> str:
        """Return the bar: no wider than ``width``, with escapes where the look has colour."""
        if width < _WIDE_FROM:
            return self._narrow(width)
        tally = self._tally
        if tally.began is None:
            text, tone = self._state(width)
            return self._look.paint(text, tone) if tone else text
        latency, turns = self._latency(percentiles=width >= _PERCENTILES_FROM), self._turns()
        cost = self._cost() if width >= _COST_FROM else ("", "")
        time = clock(tally.seconds), "dim"
        between = f" {self._look.glyph('bar')} "
        for parts in ([latency, turns, cost, time], [latency, cost, time], [latency, time], [time], []):
            shown = [part for part in parts if part[0]]
            room = width - sum(cells(text) + len(between) for text, _ in shown)
            if room >= _MIN_STATE:
                break
        texts = [self._state(room), *shown]
        line = self._look.paint(between, "dim")
        return line.join(self._look.paint(text, tone) if tone else text for text, tone in texts)

    def _narrow(self, width: int) -> str:
        text, tone = self._state(width - 2)
        if self.name == "listening":
            text = self._latency(percentiles=False)[0] or text
        sign = self._look.glyph("state")
        return self._look.paint(sign, tone or "dim") + " " + self._look.cut(text, max(width - cells(sign) - 1, 1))

    @property
    def ticks(self) -> bool:
        """Whether what is shown changes within a second."""
        return self.asking or self._tally.waits

    @property
    def name(self) -> str:
        """The state that is shown."""
        return "asking" if self.asking else self._tally.state

    def _state(self, room: int) -> tuple[str, str]:
        """Say what happens; what is waited for with its time, and how to stop it where it takes long."""
        tally, name = self._tally, self.name
        tone = _TONES.get(name, "")
        if name == "asking" or (not tally.waits and name not in _WAITING):
            return self._look.cut(_WORDS.get(name, name), max(room, 0)), tone
        since, way_out = tally.since, _WAYS_OUT.get(name, "")
        if tally.running and name not in ("connecting", "reconnecting"):
            text, since, way_out = self._tools()
            if name not in ("tool", "thinking"):
                text = f"{_WORDS.get(name, name)} + {text}"
        else:
            text = f"{name} {one_line(tally.detail)}" if tally.detail else name
        seconds = self._now() - since
        tenths = tally.running or name == "tool"
        time = f" {seconds:.1f} s" if tenths and seconds < 60 else f" {seconds:.0f} s" if seconds >= 1 else ""
        out = f" {self._look.glyph('dot')} {way_out}" if way_out and seconds >= PATIENCE_SECONDS else ""
        if cells(text + time + out) > room:
            out = "" if room < cells(time + out) + 12 else out
            text = self._look.cut(text, max(room - cells(time + out), 4))
        return self._look.cut(text + time + out, max(room, 0)), tone or "yellow"

    def _tools(self) -> tuple[str, float, str]:
        """Return the running calls, since when the first one runs, and how to give it up."""
        calls = list(self._tally.running.values())
        call = next((each for each in calls if not each.background), calls[0])
        more = f" +{len(calls) - 1}" if len(calls) > 1 else ""
        progress = f" {call.progress}" if call.progress else ""
        return (
            self._look.cut(f"tool {call.name}{progress}", _MAX_NAME) + more,
            call.since,
            "/cancel gives it up" if call.background else "Esc stops it",
        )

    def _latency(self, *, percentiles: bool) -> tuple[str, str]:
        values = self._tally.latencies
        if not values:
            return "", ""
        last = values[-1]
        text = duration(last) + (" !" if last >= SLOW_MS else "")
        if percentiles and len(values) > 1:
            half, most = percentile(list(values), 0.5), percentile(list(values), 0.95)
            text += f" (p50 {duration(half).removesuffix(' ms')}, p95 {duration(most).removesuffix(' ms')})"
        return text, "red" if last >= TOO_SLOW_MS else "yellow" if last >= SLOW_MS else "green"

    def _turns(self) -> tuple[str, str]:
        turns = self._tally.turns
        return f"{turns} {'new ' * self._tally.continues}turn{'s' * (turns != 1)}", ""

    def _cost(self) -> tuple[str, str]:
        if not self._priced:
            return "cost n/a", "dim"
        cost = self._tally.cost
        if cost is None and self._tally.turns == 0:
            cost = 0.0
        if cost is None:
            return "cost n/a", "dim"
        if self._budget is None:
            return dollars(cost), ""
        tone = "red" if cost >= self._budget else "yellow" if cost >= 0.8 * self._budget else ""
        return of_budget(cost, self._budget), tone
