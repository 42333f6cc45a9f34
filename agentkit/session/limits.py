"""What a session may do at most."""

from typing import Literal

import msgspec

from agentkit.protocol import Limits
from agentkit.session.cost import Rates


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one session; None is no limit.

    ``turns``, ``session_time``, ``idle_time`` and ``cost_usd`` end it: a ``Notice`` with the code ``limit`` tells which
    was reached, nothing new is begun from then on, and the cause of ``SessionEnded`` is ``limit``.
    """

    turns: int | None = None
    """Turns after which the session ends."""
    session_time: float | None = None
    """Seconds after which the session ends."""
    idle_time: float | None = None
    """Seconds after which the session ends in which nothing was said or done, by the user or by the agent.

    What counts is speech that the server hears, or audio that is sent where nobody finds the user's turns by itself;
    typed messages; responses, and their audio until it was heard; calls that run or wait for approval. Audio in which
    the server hears no speech does not count. Where the connection was lost it begins anew
    with the next one.
    """
    cost_usd: float | None = None
    """US dollars, by the ``rates``, after which the session ends; a goodbye comes on top."""
    rates: Rates | None = None
    """What the model's tokens cost; without them no cost is known."""
    on_limit: Literal["close", "say_goodbye"] = "close"
    """What follows: the session ends at once, or once the agent has said goodbye, in bounded time."""
    goodbye: str | None = None
    """What the agent says then; None leaves the words to it."""
    tool_timeout: float = 30.0
    """Seconds that a tool without a timeout of its own may take."""
    tool_calls_at_once: int = 32
    """Bodies of tools that may run at once; further calls wait."""
    core: Limits = Limits()

    def __post_init__(self) -> None:
        for name in ("turns", "tool_calls_at_once"):
            count = getattr(self, name)
            if count is not None and not count >= 1:
                raise ValueError(f"{name} is {count}, and must be a number from 1 on")
        for name in ("session_time", "idle_time", "cost_usd", "tool_timeout"):
            amount = getattr(self, name)
            if amount is not None and not amount > 0:  # nor is NaN
                raise ValueError(f"{name} is {amount}, and must be a number above 0")
        if self.cost_usd is not None and self.rates is None:
            raise ValueError("cost_usd needs the rates of the model: Rates(input=..., output=...)")
        if self.on_limit not in ("close", "say_goodbye"):
            raise ValueError(f"on_limit is {self.on_limit!r}, and may be 'close' or 'say_goodbye'")
        if self.goodbye is not None and self.on_limit == "close":
            raise ValueError("a goodbye is only said with on_limit='say_goodbye'")
