"""The one stream of what happens in a session, as records; the terminal and NDJSON show the same ones.

Rule: a record is what ``--json`` prints, field by field; a field may be added, and never changes its meaning.
"""

from typing import TypeAlias

from msgspec import Raw, Struct


class Record(Struct, frozen=True, kw_only=True, tag_field="type"):
    """One line of NDJSON."""

    v: int = 1
    """The version of this shape."""


class SessionRecord(Record, frozen=True, kw_only=True, tag="session"):
    """The session is ready."""

    id: str
    agent: str
    provider: str
    model: str | None
    tools: tuple[str, ...]
    output: str = "text"
    """What the agent answers with: ``text`` or ``audio``."""
    recording: bool = False
    """Whether the session is recorded."""
    continues: str | None = None
    """The id of the kept conversation that it takes up, and under which it is kept."""


class StateRecord(Record, frozen=True, kw_only=True, tag="state"):
    """What the session does now; one each time that it changes."""

    state: str
    """``listening``, ``hearing`` (the user speaks), ``thinking``, ``tool``, ``speaking`` or ``reconnecting``."""
    detail: str | None = None
    """The tool's name, or which try it is: ``2/5``."""


class HandoffRecord(Record, frozen=True, kw_only=True, tag="handoff"):
    """The conversation has come to another agent."""

    agent: str
    previous: str


class UserRecord(Record, frozen=True, kw_only=True, tag="user"):
    """Something the user said."""

    event: str
    """``partial`` (a piece of a transcript) or ``final``."""
    item_id: str
    text: str


class AgentRecord(Record, frozen=True, kw_only=True, tag="agent"):
    """Something the agent said."""

    event: str
    """``delta`` (the next piece), ``final`` (the whole message) or ``interrupted`` (the user has cut it off)."""
    item_id: str
    text: str
    """The piece, or all of the message that there is."""
    status: str | None = None
    """Of a final: ``completed``, or ``incomplete`` where it was cut off."""
    heard_ms: int | None = None
    """Of an interruption: how much of the item's audio was heard, in milliseconds."""
    heard_text: str | None = None
    """Of an interruption: what of it was heard, in words; an estimate."""


class AudioRecord(Record, frozen=True, kw_only=True, tag="audio"):
    """A piece of the agent's voice; only with ``--json-audio``."""

    item_id: str
    format: str
    """``audio/pcm`` (16 bits, little-endian), ``audio/pcmu`` or ``audio/pcma``; one channel."""
    rate: int
    """Samples a second."""
    data: str
    """Base64."""


class ToolRecord(Record, frozen=True, kw_only=True, tag="tool"):
    """A tool starts, tells how far it has come, or has ended."""

    event: str
    """``start``, ``progress`` or ``end``."""
    call_id: str
    name: str
    where: str | None
    """Where the configuration names the tool."""
    arguments: Raw | str | None = None
    """Of a start: as JSON, or the text that the model wrote where it is none."""
    background: bool = False
    """Whether the turn goes on without it."""
    message: str | None = None
    """Of progress: in words."""
    done: float | None = None
    """Of progress: from 0 to 1, where the tool knows it."""
    partial: str | None = None
    """Of progress: what there is of the result so far."""
    ok: bool | None = None
    status: str | None = None
    """Of an end: ``ok``, ``error``, ``timeout``, ``refused``, ``cancelled``, ``unknown`` or ``invalid``."""
    ms: float | None = None
    output: str | None = None
    """Of an end: what the model is told."""
    reason: str | None = None
    """Of a body that raised: what, and where; the model is not told."""


class ApprovalRecord(Record, frozen=True, kw_only=True, tag="approval"):
    """A call waits for a person's approval, or waits no more."""

    event: str
    """``request`` or ``decision``."""
    call_id: str
    name: str
    where: str | None
    """Where the configuration names the tool."""
    arguments: Raw | str | None = None
    """Of a request: exactly what would run; of a decision: what runs instead, where edited. Secret ones are masked."""
    effects: str | None = None
    """Of a request: ``reads``, ``writes`` or ``dangerous``."""
    seconds: float | None = None
    """Of a request: how long it waits; None is for as long as the session lasts."""
    approved: bool | None = None
    by: str | None = None
    """Of a decision: ``person``, ``timeout``, ``nobody`` or ``cancelled``."""
    reason: str | None = None
    """Of a refusal: why; the model is told."""
    edited: bool | None = None
    """Of a decision: whether the arguments were changed."""


class TurnRecord(Record, frozen=True, kw_only=True, tag="turn"):
    """A turn is over."""

    number: int
    status: str
    text: str
    latency_ms: float | None
    """From the input to the first text or audio."""
    ms: float
    """From the input to the end."""
    tool_calls: int
    responses: int
    input_tokens: int | None
    output_tokens: int | None
    background: int = 0
    """Calls that go on beside the conversation, whose results are told later."""
    cost_usd: float | None = None
    """What it cost in US dollars; None where no ``rates`` are given."""


class ErrorRecord(Record, frozen=True, kw_only=True, tag="error"):
    """Something failed."""

    code: str | None
    message: str
    retryable: bool
    hint: str | None = None


class NoticeRecord(Record, frozen=True, kw_only=True, tag="notice"):
    """Something that a person should know."""

    level: str
    code: str
    message: str
    hint: str | None = None


class EventRecord(Record, frozen=True, kw_only=True, tag="event"):
    """An event of the wire that ``--events`` asked for, as it went."""

    direction: str
    """``in`` or ``out``."""
    event: Raw


class EndRecord(Record, frozen=True, kw_only=True, tag="end"):
    """The session is over; the last line."""

    cause: str
    """``closed``, ``ended_by_server``, ``connection_lost``, ``limit``, ``failed`` or ``interrupted``."""
    reason: str | None
    """Why, where it was not asked for."""
    exit_code: int
    turns: int
    seconds: float
    tool_calls: int
    tool_failures: int
    input_tokens: int
    output_tokens: int
    latencies_ms: tuple[float, ...]
    """Each turn's ``latency_ms``, at most the last thousand."""
    cost_usd: float | None = None
    """What the session cost in US dollars; None where no ``rates`` are given."""


AnyRecord: TypeAlias = (
    SessionRecord
    | StateRecord
    | HandoffRecord
    | UserRecord
    | AgentRecord
    | AudioRecord
    | ToolRecord
    | ApprovalRecord
    | TurnRecord
    | ErrorRecord
    | NoticeRecord
    | EventRecord
    | EndRecord
)
