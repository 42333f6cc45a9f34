"""What a layer did wrong, and how a person is told of it."""

import anyio

from agentkit.events import (
    ConversationItemCreate,
    ErrorEvent,
    Event,
    FunctionCallOutputItem,
    Notice,
    SessionEnded,
)
from agentkit.middleware.base import Middleware
from agentkit.tools import ToolCall
from agentkit.tools.cancellation import is_due


def is_stray(error: BaseException) -> bool:
    """Tell whether an error is a cancellation that nobody asked for, as of an asyncio task that was awaited."""
    return isinstance(error, anyio.get_cancelled_exc_class()) and not is_due()


def as_fault(caught: BaseException) -> Exception:
    """Return what a layer did wrong: its error, or that it let a cancellation out which nobody asked for."""
    if isinstance(caught, Exception):
        return caught
    fault = RuntimeError("a cancellation that nobody asked for came out of it, as of a task that it awaited")
    fault.__cause__ = caught
    return fault


def subject_name(subject: Event | ToolCall) -> str:
    """Return what a layer was busy with, in words."""
    return f"the call of {subject.name}" if isinstance(subject, ToolCall) else subject.wire_type


def seconds_in_words(seconds: float) -> str:
    """Return a time as a person reads it."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def notice_of(what: str, layer: Middleware, subject: Event | ToolCall, error: Exception | None) -> Notice | None:
    """Return what a person is told of a chain's report; None where that is nothing."""
    name = subject_name(subject)
    reason = f"{type(error).__name__}: {error}"
    hint = None
    match what:
        case "failed" if not isinstance(subject, Notice):  # of a notice of that it might fail again, without end
            code, message = "middleware_failed", f"failed on {name}: {reason}"
        case "switched off":
            code, message = "middleware_off", f"was switched off: it failed too often, at last on {name}: {reason}"
            hint = "it is skipped for the rest of the session"
        case "slow":
            code, message = "middleware_slow", f"is slow on {name}: {error}"
            hint = "what comes behind it waits: leave slow work to self.session.start_soon, or raise its event_budget"
        case "spared":
            code, message = "middleware_off", f"was switched off for {name}: it was slow too often, at last {error}"
            hint = "it has all other events: leave slow work to self.session.start_soon, or raise its event_budget"
        case "dropped" if _is_output(subject):
            code, message = "dropped", "dropped the output of a tool call"
        case "dropped" if isinstance(subject, ErrorEvent | SessionEnded):
            code, message = "dropped", f"dropped {name}"
        case _:
            return None
    return Notice(code=code, message=f"middleware {layer.label} {message}", hint=hint)


def _is_output(subject: Event | ToolCall) -> bool:
    return isinstance(subject, ConversationItemCreate) and isinstance(subject.item, FunctionCallOutputItem)
