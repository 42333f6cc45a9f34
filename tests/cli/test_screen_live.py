"""What the inline interface makes of records: rows for the scrollback, lines that are drawn again, and the bar."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from agentkit.cli.bar import Bar, Tally
from agentkit.cli.live import Live
from agentkit.cli.records import (
    AgentRecord,
    AnyRecord,
    ApprovalRecord,
    EndRecord,
    EventRecord,
    HandoffRecord,
    NoticeRecord,
    SessionRecord,
    StateRecord,
    ToolRecord,
    TurnRecord,
    UserRecord,
)
from agentkit.cli.terminal import Look, cells

READY = SessionRecord(id="sess_7f3a", agent="concierge", provider="openai", model="gpt-realtime", tools=("a", "b"))
VOICE = SessionRecord(id="s", agent="concierge", provider="openai", model=None, tools=(), output="audio")

END = EndRecord(
    cause="closed",
    reason=None,
    exit_code=0,
    turns=4,
    seconds=134,
    tool_calls=3,
    tool_failures=1,
    input_tokens=1900,
    output_tokens=2300,
    latencies_ms=(590.0, 910.0),
    cost_usd=0.021,
)


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


class Seen:
    """A skin with everything that it has finished."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, columns: int = 100, budget: float | None = None) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        self.clock = Clock()
        self.look = Look(Tty(), color="never", environ={})
        self.tally = Tally(self.clock)
        self.live = Live(self.look, self.tally, now=lambda: "12:04:01", clock=self.clock)
        self.bar = Bar(self.tally, self.look, self.clock, budget=budget, priced=budget is not None)
        self.columns = columns

    def show(self, *records: AnyRecord) -> "Seen":
        for record in records:
            self.live.show(record)
        return self

    def drawn(self, rows: int = 20) -> list[str]:
        return self.live.lines(self.columns, rows)

    def rows(self) -> list[str]:
        return self.live.take()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    return Seen(monkeypatch)


def delta(text: str, item_id: str = "i") -> AgentRecord:
    return AgentRecord(event="delta", item_id=item_id, text=text)


def final(text: str, item_id: str = "i") -> AgentRecord:
    return AgentRecord(event="final", item_id=item_id, text=text, status="completed")


def turn(status: str = "completed", text: str = "", latency_ms: float | None = 640.0, **more: float) -> TurnRecord:
    return TurnRecord(
        number=1,
        status=status,
        text=text,
        latency_ms=latency_ms,
        ms=900,
        tool_calls=0,
        responses=1,
        input_tokens=10,
        output_tokens=5,
        cost_usd=more.get("cost_usd"),
    )


def tool(event: str, call_id: str = "c", **fields: object) -> ToolRecord:
    return ToolRecord(event=event, call_id=call_id, name="opening_hours", where="agent.yaml:31", **fields)  # type: ignore[arg-type]  # as the record has them


def test_a_session_says_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = Seen(monkeypatch, columns=120).show(READY).rows()
    assert "concierge (text) · gpt-realtime · 2 tools · session sess_7f3a · recording off" in line
    assert line.endswith("/help")
    assert cells(line) <= 120


@pytest.mark.parametrize("columns", [20, 30, 40, 60, 80, 120])
def test_a_recording_is_told_at_every_width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    (line,) = Seen(monkeypatch, columns=columns).show(replace(READY, recording=True)).rows()
    assert "recording" in line
    assert cells(line) <= columns


def test_a_recording_is_named_when_it_begins_and_at_the_end(seen: Seen) -> None:
    seen.show(replace(READY, recording=True)).rows()
    notice = NoticeRecord(level="info", code="recording", message="this session is recorded: /r/events.jsonl")
    assert seen.show(notice).rows() == ["12:04:01  note   this session is recorded: /r/events.jsonl"]
    assert seen.show(END).rows()[-1] == "this session was recorded: /r/events.jsonl"


def test_turns_of_a_conversation_that_goes_on_are_new(seen: Seen) -> None:
    seen.show(replace(READY, continues="sess_1"), delta("yes"), final("yes"), turn())
    assert "1 new turn" in seen.bar.line(100)
    assert "2 new turns" in "\n".join(seen.show(replace(END, turns=2)).rows())


def test_a_call_that_waited_for_approval_is_timed_without_it(seen: Seen) -> None:
    asked = ApprovalRecord(event="request", call_id="c", name="opening_hours", where=None)
    decided = ApprovalRecord(event="decision", call_id="c", name="opening_hours", where=None, approved=True)
    seen.show(tool("start"), asked)
    seen.clock.time += 4
    seen.show(decided)
    assert seen.show(tool("end", ok=True, status="ok", ms=4200.0)).rows()[-1].endswith("✓ 200 ms + 4.0 s approval")


def test_an_interruption_says_what_was_heard_and_what_was_not(seen: Seen) -> None:
    text = "Yes, the museum opens at ten and closes at six."
    seen.show(VOICE, StateRecord(state="speaking"), delta(text), final(text), turn()).rows()
    seen.show(
        StateRecord(state="hearing"),
        AgentRecord(
            event="interrupted", item_id="i", text=text, heard_ms=2400, heard_text="Yes, the museum opens at ten and"
        ),
        UserRecord(event="final", item_id="u", text="and is it free?"),
    )
    assert " ".join(" ".join(seen.rows()).split()) == (
        '12:04:01 agent Yes, the museum opens at ten and ⏸ heard 2.4 s, not heard: "closes at six."'
        " first audio 640 ms 12:04:01 you and is it free?"
    )


def test_an_interruption_of_which_nothing_was_heard(seen: Seen) -> None:
    seen.show(VOICE, delta("Yes."), AgentRecord(event="interrupted", item_id="i", text="Yes.", heard_ms=0))
    assert (
        seen.show(turn("cancelled")).rows()[-1].split(maxsplit=2)[2].startswith("Yes. ⏸ stopped, none of it was heard")
    )


def test_an_interruption_that_comes_after_its_row_has_a_row_of_its_own(seen: Seen) -> None:
    seen.show(READY, delta("Yes, at ten."), final("Yes, at ten."), turn()).rows()
    late = AgentRecord(event="interrupted", item_id="i", text="Yes, at ten.", heard_ms=500, heard_text="Yes,")
    assert seen.show(late).rows() == ['12:04:01  agent  ⏸ heard 0.5 s, not heard: "at ten."']


def test_speech_is_drawn_until_it_is_heard_and_the_users_words_stand_above_it(seen: Seen) -> None:
    seen.show(VOICE, StateRecord(state="speaking"), delta("Yes."), final("Yes."), turn())
    seen.rows()
    assert seen.drawn() == ["12:04:01  agent  Yes.   first audio 640 ms"]
    assert seen.show(StateRecord(state="listening")).rows() == ["12:04:01  agent  Yes.   first audio 640 ms"]
    assert seen.drawn() == []


def test_the_users_speech_is_drawn_as_it_is_understood(seen: Seen) -> None:
    seen.show(READY, UserRecord(event="partial", item_id="u", text="is it "))
    seen.show(UserRecord(event="partial", item_id="u", text="open"))
    assert seen.drawn() == ["           you    is it open▌".replace("           ", "          ", 1)]
    seen.rows()
    assert seen.show(UserRecord(event="final", item_id="u", text="is it open?")).rows() == [
        "12:04:01  you    is it open?"
    ]
    assert seen.drawn() == []


def test_what_was_typed_is_shown_once(seen: Seen) -> None:
    seen.live.said("hello", "hello")
    seen.show(UserRecord(event="final", item_id="u", text="hello"), UserRecord(event="final", item_id="v", text="ho"))
    assert seen.rows() == ["12:04:01  you    hello", "12:04:01  you    ho"]


def test_a_failed_call_says_why_and_where(seen: Seen) -> None:
    start = tool("start", arguments=Raw(b'{"place": "museum", "day": "mon"}'))
    end = tool("end", ok=False, status="timeout", ms=5000.0, output="it took more than 5 s")
    (line, more) = seen.show(start, end).rows()
    assert line == '12:04:01  tool   opening_hours(place="museum", day="mon")  ✗ 5.0 s timeout: it took more than 5 s'
    assert more.strip() == "(agent.yaml:31)"


def test_a_call_that_is_too_long_is_cut_where_it_went_well(seen: Seen) -> None:
    start = tool("start", arguments=Raw(b'{"place": "' + b"x" * 300 + b'"}'))
    (line,) = seen.show(start, tool("end", ok=True, status="ok", ms=212.0)).rows()
    assert line.endswith("✓ 212 ms")
    assert cells(line) <= 100


def test_notices_errors_handoffs_and_events_are_rows(seen: Seen) -> None:
    seen.show(
        NoticeRecord(level="warning", code="slow", message="it is slow", hint="make it faster"),
        NoticeRecord(level="info", code="quiet", message="not shown"),
        HandoffRecord(agent="billing", previous="concierge"),
        EventRecord(direction="in", event=Raw(b'{"type":"response.done","event_id":"e"}')),
    )
    assert seen.rows() == [
        "12:04:01  warn   it is slow",
        "                 make it faster",
        "12:04:01  agent  billing takes over from concierge",
        '          event  ← response.done {"type":"response.done","event_id":"e"}',
    ]


def test_the_end_sums_up(seen: Seen) -> None:
    seen.show(READY).rows()
    assert seen.show(END).rows() == [
        "4 turns · 2:14 · first text p50 910 ms p95 910 ms · 3 tool calls (1 failed)",
        "1.9 k in / 2.3 k out tokens · $0.021",
    ]


def test_only_an_answer_that_was_none_is_said_to_be_missing(seen: Seen) -> None:
    assert seen.show(turn()).rows() == ["12:04:01  agent  (no answer)"]
    assert seen.show(delta("yes"), final("yes"), turn()).rows() == ["12:04:01  agent  yes   640 ms"]


TEXTS = st.text(st.sampled_from("ab 日é\u0301👍\u200d\x1b[m\n\r\t\u202e\ud800 -"), max_size=400)


@given(st.lists(TEXTS, max_size=6), st.integers(20, 130), st.integers(1, 12))
def test_whatever_is_said_fits_and_none_of_it_is_lost(pieces: list[str], columns: int, rows: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        seen = Seen(patch, columns=columns)
        for piece in pieces:
            drawn = seen.show(delta(piece)).drawn(rows)
            assert len(drawn) <= rows
            assert all(cells(line) <= columns for line in drawn)
        seen.show(turn(latency_ms=None, text="x"))
        shown = "".join(seen.rows())
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202e\ud800]", shown)
    for sign in "日👍":
        assert shown.count(sign) == "".join(pieces).count(sign)


# The bar


def test_a_state_that_lasts_says_how_to_stop_it(seen: Seen) -> None:
    seen.show(READY, StateRecord(state="thinking"))
    assert seen.bar.line(120).startswith("thinking │")
    seen.clock.time += 4
    assert seen.bar.line(120).startswith("thinking 4 s │")
    seen.clock.time += 2
    assert seen.bar.line(120).startswith("thinking 6 s · Esc stops it │")
    seen.show(StateRecord(state="reconnecting", detail="2/5"))
    seen.clock.time += 6
    assert seen.bar.line(120).startswith("reconnecting 2/5 6 s · Ctrl-C ends the session │")


def test_a_running_tool_has_its_time_and_progress(seen: Seen) -> None:
    seen.show(READY, StateRecord(state="tool", detail="opening_hours"), tool("start"))
    seen.clock.time += 1.2
    assert seen.bar.line(80).startswith("tool opening_hours 1.2 s │")
    seen.show(tool("progress", done=0.5, message="half"))
    assert seen.bar.line(100).startswith("tool opening_hours 50% half 1.2 s │")
    seen.show(tool("end", ok=True, status="ok", ms=1200.0), StateRecord(state="speaking"))
    assert seen.bar.line(80).startswith("speaking │")


@pytest.mark.parametrize("latency, shown", [(640.0, "640 ms │"), (1200.0, "1.2 s ! │"), (3000.0, "3.0 s ! │")])
def test_a_latency_beyond_its_limit_is_marked(seen: Seen, latency: float, shown: str) -> None:
    assert shown in seen.show(READY, turn(latency_ms=latency)).bar.line(80)


def test_cost_is_shown_of_its_limit_and_where_it_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch, budget=0.5).show(READY)
    assert "$0.000 of 0.50" in seen.bar.line(80)
    assert "n/a" in seen.show(turn()).bar.line(80)
    assert "$0.021 of 0.50" in seen.show(turn(cost_usd=0.021)).bar.line(80)
    assert "$" not in seen.bar.line(79)


@pytest.mark.parametrize(
    "cost, budget, shown",
    [(0.0003, 0.001, "$0.0003 of 0.001"), (0.00012, 0.0005, "$0.00012 of 0.0005"), (1.25, 2.0, "$1.250 of 2.00")],
)
def test_a_small_limit_has_the_digits_that_it_needs(
    monkeypatch: pytest.MonkeyPatch, cost: float, budget: float, shown: str
) -> None:
    assert shown in Seen(monkeypatch, budget=budget).show(READY, turn(cost_usd=cost)).bar.line(100)


def test_what_is_told_hangs_below_its_column(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch, columns=40)
    seen.live.tell("/approve  who approves calls: /approve ask, all or none")
    assert seen.rows() == ["/approve  who approves calls: /approve", "          ask, all or none"]


@given(
    st.integers(10, 200),
    st.sampled_from(["connecting", "listening", "hearing", "thinking", "tool", "speaking", "reconnecting"]),
    st.text(max_size=60),
    st.floats(0, 90_000),
)
def test_the_bar_is_never_wider_than_the_terminal(columns: int, state: str, detail: str, seconds: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        seen = Seen(patch, budget=1.0).show(READY, turn(latency_ms=5e6, cost_usd=123.0), turn(latency_ms=1.0))
        seen.show(StateRecord(state=state, detail=detail), tool("start"))
        seen.clock.time += seconds
        line = seen.bar.line(columns)
    assert cells(line) <= columns
    assert not re.search("[\x00-\x1f\x7f-\x9f]", line)
