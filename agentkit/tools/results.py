"""What a call of a tool came to: the text for the model, and for the application the value or the error."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from agentkit.errors import ToolArgumentsError, ToolError, ToolTimeoutError
from agentkit.tools.output import MAX_OUTPUT_BYTES, OutputError, to_text, to_wire

Status = Literal["ok", "error", "timeout", "refused", "cancelled", "unknown", "invalid"]

_MAX_NAME = 64
_MAX_KNOWN = 20


class ToolResult(Struct, frozen=True, kw_only=True):
    """The one answer to a call."""

    output: str
    """What goes on the wire."""
    status: Status = "ok"
    value: object = None
    """All of what the body returned; None unless it returned."""
    error: BaseException | None = None

    @property
    def ok(self) -> bool:
        """Whether the body ran and its value could be sent."""
        return self.status == "ok"

    @classmethod
    def of(cls, value: object, *, max_bytes: int = MAX_OUTPUT_BYTES) -> "ToolResult":
        """Make the result of what a body returned; a ToolResult stays as it is.

        Args:
            value: Anything; agentkit.tools.output says what becomes of it. What has no JSON form gives an
            error result. max_bytes: How much UTF-8 of the output is sent; a marker follows what is cut.
        """
        if isinstance(value, ToolResult):
            return value
        try:
            text = to_text(value)
        except OutputError as error:
            return cls(output=to_wire(str(error), max_bytes=max_bytes), status="error", value=value, error=error)
        return cls(output=to_wire(text, max_bytes=max_bytes), value=value)

    @classmethod
    def failed(
        cls, message: str, *, error: BaseException | None = None, max_bytes: int = MAX_OUTPUT_BYTES
    ) -> "ToolResult":
        """Make the result of a body that failed; the message goes to the model as it is."""
        output = to_wire(message, max_bytes=max_bytes)
        return cls(output=output, status="error", error=ToolError(message) if error is None else error)

    @classmethod
    def refused(cls, reason: str) -> "ToolResult":
        """Make the result of a call that was not let through; the body did not run."""
        return cls(output=to_wire(f"refused: {reason}"), status="refused", error=ToolError(reason))

    @classmethod
    def cancelled(cls, reason: str = "") -> "ToolResult":
        """Make the result of a call that was given up."""
        output = f"cancelled: {reason}" if reason else "cancelled"
        return cls(output=to_wire(output), status="cancelled", error=ToolError(output))

    @classmethod
    def timed_out(cls, name: str, seconds: float) -> "ToolResult":
        """Make the result of a body that did not finish in its time."""
        error = ToolTimeoutError(f"{name} timed out after {seconds:g} s", seconds=seconds)
        return cls(output=to_wire(str(error)), status="timeout", error=error)

    @classmethod
    def invalid(cls, error: ToolArgumentsError) -> "ToolResult":
        """Make the result of a call whose arguments do not fit; the body did not run."""
        return cls(output=to_wire(str(error)), status="invalid", error=error)

    @classmethod
    def unknown(cls, name: str, known: Iterable[str] = ()) -> "ToolResult":
        """Make the result of a call of no known tool, with the nearest names or, failing that, all."""
        import difflib

        names = sorted(known)
        near = difflib.get_close_matches(name[:_MAX_NAME], names, n=3, cutoff=0.6)
        advice = ""
        if near:
            advice = f"; did you mean {' or '.join(near)}?"
        elif names:
            more = ", …" if len(names) > _MAX_KNOWN else ""
            advice = f"; the tools are {', '.join(names[:_MAX_KNOWN])}{more}"
        error = ToolError(f"unknown tool {to_wire(name[:_MAX_NAME])!r}{advice}")
        return cls(output=to_wire(str(error)), status="unknown", error=error)
