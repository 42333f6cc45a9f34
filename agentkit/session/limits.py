"""What a session may do at most."""

import msgspec

from agentkit.protocol import Limits


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one session; None is no limit."""

    turns: int | None = None
    """Turns after which the session ends."""
    session_time: float | None = None
    """Seconds after which the session ends."""
    tool_timeout: float = 30.0
    """Seconds that a tool without a timeout of its own may take."""
    tool_calls_at_once: int = 32
    """Bodies of tools that may run at once; further calls wait."""
    core: Limits = Limits()
