"""Events of a response, under their GA names and, where they differ, their beta names.

Rule: where beta has another name for an event, a subclass of the GA class carries it, so both are accepted,
and ``@on(ResponseOutputAudioDelta)`` sees both. Fields that some servers leave out have safe defaults.
"""

import binascii
from functools import cached_property

import pybase64

from agentkit.events.base import ResponseEvent, settle
from agentkit.events.items import ItemField, PartField, decode_item, decode_part
from agentkit.events.reading import response_from_wire
from agentkit.events.settings import ResponseField


class ResponseCreated(ResponseEvent, frozen=True, kw_only=True, tag="response.created"):
    """A response's first event."""

    response: ResponseField

    def __post_init__(self) -> None:
        settle(self, "response", response_from_wire)


class ResponseDone(ResponseEvent, frozen=True, kw_only=True, tag="response.done"):
    """A response's last event, whatever its final status."""

    response: ResponseField

    def __post_init__(self) -> None:
        settle(self, "response", response_from_wire)


class OutputItemEvent(ResponseEvent, frozen=True, kw_only=True):
    """A response event that carries a whole item."""

    response_id: str | None = None
    output_index: int = 0
    item: ItemField

    def __post_init__(self) -> None:
        settle(self, "item", decode_item)


class ResponseOutputItemAdded(OutputItemEvent, frozen=True, kw_only=True, tag="response.output_item.added"):
    """A response begins an item."""


class ResponseOutputItemDone(OutputItemEvent, frozen=True, kw_only=True, tag="response.output_item.done"):
    """A response's item is final."""


class OutputEvent(ResponseEvent, frozen=True, kw_only=True):
    """A response event about one item."""

    response_id: str | None = None
    item_id: str
    output_index: int = 0


class PartEvent(OutputEvent, frozen=True, kw_only=True):
    """A response event about one content part."""

    content_index: int = 0


class ContentPartEvent(PartEvent, frozen=True, kw_only=True):
    """A response event that carries a whole content part."""

    part: PartField

    def __post_init__(self) -> None:
        settle(self, "part", decode_part)


class ResponseContentPartAdded(ContentPartEvent, frozen=True, kw_only=True, tag="response.content_part.added"):
    """A response begins a content part."""


class ResponseContentPartDone(ContentPartEvent, frozen=True, kw_only=True, tag="response.content_part.done"):
    """A response's content part is final."""


class ResponseOutputTextDelta(PartEvent, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """More text."""

    delta: str


class ResponseTextDelta(ResponseOutputTextDelta, frozen=True, kw_only=True, tag="response.text.delta"):
    """``response.output_text.delta`` in the beta dialect."""


class ResponseOutputTextDone(PartEvent, frozen=True, kw_only=True, tag="response.output_text.done"):
    """The whole text."""

    text: str


class ResponseTextDone(ResponseOutputTextDone, frozen=True, kw_only=True, tag="response.text.done"):
    """``response.output_text.done`` in the beta dialect."""


class ResponseOutputAudioDelta(PartEvent, frozen=True, kw_only=True, dict=True, tag="response.output_audio.delta"):
    """More audio."""

    delta: str
    """Base64."""

    @cached_property
    def audio(self) -> bytes | None:
        """The samples in the session's output format, decoded once; ``None`` where the base64 is invalid."""
        try:
            return pybase64.b64decode(self.delta, validate=True)
        except (binascii.Error, ValueError):
            return None


class ResponseAudioDelta(ResponseOutputAudioDelta, frozen=True, kw_only=True, dict=True, tag="response.audio.delta"):
    """``response.output_audio.delta`` in the beta dialect."""


class ResponseOutputAudioDone(PartEvent, frozen=True, kw_only=True, tag="response.output_audio.done"):
    """No more audio will come for the part; it carries none itself."""


class ResponseAudioDone(ResponseOutputAudioDone, frozen=True, kw_only=True, tag="response.audio.done"):
    """``response.output_audio.done`` in the beta dialect."""


class ResponseOutputAudioTranscriptDelta(
    PartEvent, frozen=True, kw_only=True, tag="response.output_audio_transcript.delta"
):
    """More of the transcript of the agent's audio."""

    delta: str


class ResponseAudioTranscriptDelta(
    ResponseOutputAudioTranscriptDelta, frozen=True, kw_only=True, tag="response.audio_transcript.delta"
):
    """``response.output_audio_transcript.delta`` in the beta dialect."""


class ResponseOutputAudioTranscriptDone(
    PartEvent, frozen=True, kw_only=True, tag="response.output_audio_transcript.done"
):
    """The whole transcript of the agent's audio."""

    transcript: str


class ResponseAudioTranscriptDone(
    ResponseOutputAudioTranscriptDone, frozen=True, kw_only=True, tag="response.audio_transcript.done"
):
    """``response.output_audio_transcript.done`` in the beta dialect."""


class ResponseFunctionCallArgumentsDelta(
    OutputEvent, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"
):
    """More of a call's arguments."""

    call_id: str | None = None
    delta: str


class ResponseFunctionCallArgumentsDone(
    OutputEvent, frozen=True, kw_only=True, tag="response.function_call_arguments.done"
):
    """All of a call's arguments; also sent where the call was cut short, so it does not announce a call."""

    call_id: str | None = None
    arguments: str
    name: str | None = None
    """Only in the GA dialect."""


class ResponseMcpCallArgumentsDelta(OutputEvent, frozen=True, kw_only=True, tag="response.mcp_call_arguments.delta"):
    """More of the arguments of a call that the server makes itself."""

    delta: str
    obfuscation: str | None = None


class ResponseMcpCallArgumentsDone(OutputEvent, frozen=True, kw_only=True, tag="response.mcp_call_arguments.done"):
    """All of the arguments of a call that the server makes itself."""

    arguments: str


class McpCallEvent(ResponseEvent, frozen=True, kw_only=True):
    """Progress of a call that the server makes itself; it may come after ``response.done``."""

    item_id: str
    output_index: int = 0


class ResponseMcpCallInProgress(McpCallEvent, frozen=True, kw_only=True, tag="response.mcp_call.in_progress"):
    """The call runs."""


class ResponseMcpCallCompleted(McpCallEvent, frozen=True, kw_only=True, tag="response.mcp_call.completed"):
    """The call has its result."""


class ResponseMcpCallFailed(McpCallEvent, frozen=True, kw_only=True, tag="response.mcp_call.failed"):
    """The call failed."""
