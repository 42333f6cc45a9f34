"""The responder: what answers in the embedded server, and the interface that plugins implement.

A responder gets a whole request and yields its answer piece by piece; the server turns the pieces into events.
It keeps nothing between requests: all it may know is in the request. ::

    class Parrot(Responder):
        async def respond(self, request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
            said = request.last_user_text or "nothing"
            yield TextDelta(text=f"You said: {said}")

    @hookimpl
    def register_responders():
        return [Factory("parrot", Parrot)]
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import TypeAlias

import msgspec

from agentkit.errors import AgentkitError
from agentkit.events import (
    AudioFormat,
    FunctionCallItem,
    FunctionCallOutputItem,
    FunctionTool,
    MessageItem,
    ToolChoice,
    Usage,
)


class TextDelta(msgspec.Struct, frozen=True, kw_only=True):
    """More text of the current message; opens a message where none is open."""

    text: str


class AudioDelta(msgspec.Struct, frozen=True, kw_only=True):
    """More audio of the current message, with what it says; only from a responder that ``speaks``."""

    audio: bytes
    """Samples in the request's ``output_format``."""
    transcript: str = ""


class FunctionCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of one of the client's tools; ends the current message."""

    name: str
    arguments: str = "{}"
    """JSON."""
    call_id: str | None = None
    """``None``: the server chooses one."""
    complete: bool = True
    """Whether the arguments are whole; a client runs no call whose arguments were cut short."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at the end of an answer; yield it last, or not at all."""

    reason: str | None = None
    """``max_output_tokens`` or ``content_filter`` where the answer is incomplete."""
    usage: Usage | None = None
    """``None``: the server estimates."""


HeldItem: TypeAlias = MessageItem | FunctionCallItem | FunctionCallOutputItem
"""The items that this server's conversations are made of."""
ResponderOutput: TypeAlias = TextDelta | AudioDelta | FunctionCall | Finished


class ResponderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that is asked for; the response's own settings are already laid over the session's."""

    response_id: str
    model: str
    instructions: str = ""
    own_instructions: str | None = None
    """The instructions of this response alone, where ``response.create`` gave some."""
    items: tuple[HeldItem, ...] = ()
    """The conversation that this answer sees, in order; audio items carry a transcript where there is one."""
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: str | ToolChoice = "auto"
    max_output_tokens: int | None = None
    """``None``: no limit."""
    output_modalities: tuple[str, ...] = ("text",)
    output_format: AudioFormat = AudioFormat(rate=24000)
    voice: str = ""
    temperature: float | None = None
    metadata: dict[str, str] = {}

    @property
    def last_user_text(self) -> str | None:
        """The text or transcript of the newest user message, if there is one."""
        for item in reversed(self.items):
            if isinstance(item, MessageItem) and item.role == "user":
                return item.text
        return None


class ResponderError(AgentkitError):
    """A responder cannot answer; the response ends ``failed``, and the session goes on."""

    def __init__(self, message: str, *, code: str, type: str = "server_error", hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.type = type
        """``invalid_request_error`` where asking again cannot help."""
        self.hint = hint


class Responder(ABC):
    """Makes the answers of one session."""

    name: str = "responder"
    """Shown as the session's model where the client names none."""
    speaks: bool = False
    """Whether it yields ``AudioDelta`` when ``output_modalities`` asks for audio."""
    hears: bool = False
    """Whether ``transcribe`` works."""

    @abstractmethod
    def respond(self, request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        """Yield the answer's pieces; the generator is closed to cancel it.

        Raises:
            ResponderError: It cannot answer.
        """

    async def transcribe(self, audio: bytes, format: AudioFormat) -> str:
        """Return what was said.

        Args:
            audio: One turn of the user.
            format: The format of the samples.

        Raises:
            ResponderError: It cannot hear.
        """
        raise ResponderError(NO_TRANSCRIBER, code="transcriber_missing", type="invalid_request_error")

    async def aclose(self) -> None:  # noqa: B027  # most responders hold nothing
        """Release what it holds; called once, when its session ends."""


NO_TRANSCRIBER = (
    "This local server has no speech recognition, so it cannot understand audio. "
    "Install a plugin which brings it (pip install agentkit-realtime-local-voice), or send text."
)
