"""The session engine: tasks, layers, core and transport of one session, on asyncio and on trio."""

from agentkit.session.fanout import Subscription
from agentkit.session.history import History
from agentkit.session.limits import SessionLimits
from agentkit.session.opening import open
from agentkit.session.reconnecting import Reconnect
from agentkit.session.session import Session
from agentkit.session.turns import Turn

__all__ = ["History", "Reconnect", "Session", "SessionLimits", "Subscription", "Turn", "open"]
