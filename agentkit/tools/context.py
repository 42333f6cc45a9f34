"""One call of a tool, and what its body may know and do beside its arguments."""

from typing import Protocol

from msgspec import Struct


class ToolCall(Struct, frozen=True, kw_only=True):
    """A call as the model made it."""

    call_id: str
    name: str
    raw_arguments: str = "{}"
    """The JSON text of the arguments, unchecked."""
    item_id: str | None = None
    response_id: str | None = None


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


class ToolContext(Struct, frozen=True, kw_only=True):
    """What the parameter annotated ``ToolContext`` receives; the model does not see that parameter."""

    call: ToolCall
    session: SessionHandle | None = None
    """None where a tool runs without a session, as ``agentkit call`` does."""
    data: object = None
    """What the application gave as its own ``context=``."""
