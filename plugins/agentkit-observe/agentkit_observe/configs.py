"""The options of every middleware of this package, as a configuration's ``with:`` gives them, and its version."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from agentkit import Duration, Size, Timeout

__version__ = "0.1.0"

NonEmpty = Annotated[str, Meta(min_length=1)]


class TranscriptConfig(Struct, frozen=True, kw_only=True):
    """The options of ``transcript``."""

    path: NonEmpty = "transcripts/{date}-{session}.md"
    """Where to write; ``{session}`` and ``{date}`` are filled in. No file is overwritten: a new one gets a number."""
    form: Literal["text", "markdown", "json", "vtt", "jsonl"] | None = None
    """How to write it; left out, the path's ending says so (.txt, .md, .json, .vtt, .jsonl)."""
    tools: bool = False
    """Write tool calls and their results too; captions (vtt) never have them."""


class RecorderConfig(Struct, frozen=True, kw_only=True):
    """The options of ``recorder``."""

    path: NonEmpty = "recordings/{date}-{session}"
    """Where to write, without ``.jsonl`` and ``.wav``; ``{session}`` and ``{date}`` are filled in."""
    audio: bool = True
    """Write the WAV file: the user on the left, the agent on the right."""
    events: bool = True
    """Write the events."""
    audio_in_events: bool = False
    """Leave the base64 audio in the events; otherwise its length stands in for it."""
    max_size: Size = 1 << 30
    """How much both files may hold together; the recording stops there, and the session goes on."""
    notice: bool = True
    """Tell by a notice that the session is recorded, and where."""
    keep: Timeout | None = None
    """How long recordings are kept, counted from their last write; older ones of this path go when a session begins."""
    redact: bool = False
    """Mask card numbers, addresses and the like in the events, by agentkit-realtime-guard; never in the audio."""


class OtelConfig(Struct, frozen=True, kw_only=True):
    """The options of ``otel``."""

    payloads: bool = False
    """Put what is said, tools' arguments and results into the spans, secrets masked; a notice says so."""
    provider: str | None = None
    """What ``gen_ai.provider.name`` says, such as ``azure.ai.openai``; left out, the provider's own name."""


class WatchdogConfig(Struct, frozen=True, kw_only=True):
    """The options of ``watchdog``; null switches a watch off."""

    no_reply: Timeout | None = 5.0
    """How long there may be no output after the end of the user's turn, or a request for a response."""
    slow_tool: Timeout | None = 5.0
    """How long a tool may run."""
    loop_lag: Timeout | None = 0.25
    """How long the event loop may be blocked."""
    every: Duration = 10.0
    """The event loop's blocks in one place are told of no more often than this."""
