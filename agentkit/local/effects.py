"""What the server core asks of its driver, and how it refuses a client's event."""

from typing import TypeAlias

import msgspec

from agentkit.events import AudioFormat, ErrorDetails, ServerEvent
from agentkit.local.responder import ResponderRequest


class StartResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Ask the responder, and feed its output to ``ServerCore.output``."""

    response_id: str
    request: ResponderRequest


class CancelResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Stop the responder; what it still yields is ignored."""

    response_id: str


class Transcribe(msgspec.Struct, frozen=True, kw_only=True):
    """Transcribe the audio, and tell ``ServerCore.transcribed``."""

    item_id: str
    content_index: int
    audio: bytes
    format: AudioFormat


Effect: TypeAlias = ServerEvent | StartResponse | CancelResponse | Transcribe


class RefusedError(Exception):
    """A client's event is refused; it becomes the wire's ``error``, and nothing has changed."""

    def __init__(self, message: str, *, code: str | None, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param

    def details(self, event_id: str | None) -> ErrorDetails:
        """Return the wire's form, which repeats the id of the client's event."""
        return ErrorDetails(
            type="invalid_request_error",
            code=self.code,
            message=str(self),
            param=self.param,
            event_id=event_id,
        )


def invalid(param: str, message: str) -> RefusedError:
    """Return the refusal of a field's value."""
    return RefusedError(f"Invalid value for '{param}': {message}", code="invalid_value", param=param)


def missing(param: str) -> RefusedError:
    """Return the refusal of an event that lacks a field."""
    return RefusedError(f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)
