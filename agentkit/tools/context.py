"""One call of a tool, and what its body may know and do beside its arguments."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from anyio.lowlevel import EventLoopToken


class ToolCall(Struct, frozen=True, kw_only=True):
    """A call as the model made it."""

    call_id: str
    name: str
    raw_arguments: str = "{}"
    """The JSON text of the arguments, unchecked."""
    item_id: str | None = None
    response_id: str | None = None

    def __repr__(self) -> str:
        # Without the arguments, some of which may be secret.
        return f"ToolCall(call_id={self.call_id!r}, name={self.name!r})"


class SessionHandle(Protocol):
    """The part of a session that a tool may use.

    A tool in a worker thread calls these by ``anyio.from_thread.run(context.session.say, "One moment.")``.
    """

    async def send_text(self, text: str, *, reply: bool = True, interrupt: bool = False) -> object:
        """Send a message of the user's."""

    async def say(self, text: str) -> object:
        """Let the agent speak a text."""

    async def end(self, reason: str = "") -> None:
        """End the session, once what is being said has been said."""


class Progress(Struct, frozen=True, kw_only=True):
    """How far a call has come."""

    message: str = ""
    done: float | None = None
    """From 0 to 1, where that is known."""
    partial: object = None
    """What an async generator yielded."""


class Reporter:
    """Takes the progress of one call, from the event loop's thread or from any other."""

    def __init__(self, take: Callable[[Progress], None], token: "EventLoopToken") -> None:
        self._take = take
        self._token = token
        self._thread = threading.get_ident()
        self.closed = False
        """Whether the call is over, so that nobody is told of it any more."""

    def tell(self, progress: Progress) -> None:
        """Hand progress on; from another thread it waits until the event loop has taken it."""
        if self.closed:
            return
        if threading.get_ident() == self._thread:
            self._take(progress)
        else:
            from anyio import RunFinishedError, from_thread  # heavy, and here it is there already

            try:
                from_thread.run_sync(self._tell_here, progress, token=self._token)
            except (RuntimeError, RunFinishedError):
                pass  # the event loop is gone, and whoever listened with it

    def _tell_here(self, progress: Progress) -> None:
        if not self.closed:
            self._take(progress)


class ToolContext(Struct, frozen=True, kw_only=True):
    """What the parameter annotated ``ToolContext`` receives; the model does not see that parameter."""

    call: ToolCall
    session: SessionHandle | None = None
    """None where a tool runs without a session, as ``agentkit call`` does."""
    data: object = None
    """What the application gave as its own ``context=``."""
    idempotency_key: str = ""
    """The same for every run of this call, and no other call's: give it to what must not happen twice."""
    attempt: int = 1
    """Above 1 where the policy has the body run again."""
    reporter: Reporter | None = None

    def progress(self, message: str = "", *, done: float | None = None) -> None:
        """Tell how far the call has come, also from a worker thread; ``ToolProgress`` tells the application.

        Args:
            message: In words.
            done: From 0 to 1, where that is known.
        """
        if self.reporter is not None:
            self.reporter.tell(Progress(message=str(message), done=None if done is None else float(done)))

    def tell_partial(self, value: object) -> None:
        """Tell a partial result, as what an async generator yields."""
        if self.reporter is not None:
            self.reporter.tell(Progress(partial=value))
