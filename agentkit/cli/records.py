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


class UserRecord(Record, frozen=True, kw_only=True, tag="user"):
    """Something the user said."""

    event: str
    """``partial`` (a piece of a transcript) or ``final``."""
    item_id: str
    text: str


class AgentRecord(Record, frozen=True, kw_only=True, tag="agent"):
    """Something the agent said."""

    event: str
    """``delta`` (the next piece) or ``final`` (the whole message)."""
    item_id: str
    text: str
    status: str | None = None
    """Of a final: ``completed``, or ``incomplete`` where it was cut off."""


class ToolRecord(Record, frozen=True, kw_only=True, tag="tool"):
    """A tool starts or has ended."""

    event: str
    """``start`` or ``end``."""
    call_id: str
    name: str
    where: str | None
    """Where the configuration names the tool."""
    arguments: Raw | str | None = None
    """Of a start: as JSON, or the text that the model wrote where it is none."""
    ok: bool | None = None
    status: str | None = None
    """Of an end: ``ok``, ``error``, ``timeout``, ``refused``, ``cancelled``, ``unknown`` or ``invalid``."""
    ms: float | None = None
    output: str | None = None
    """Of an end: what the model is told."""
    reason: str | None = None
    """Of a body that raised: what, and where; the model is not told."""


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


AnyRecord: TypeAlias = (
    SessionRecord | UserRecord | AgentRecord | ToolRecord | TurnRecord | ErrorRecord | NoticeRecord | EndRecord
)
