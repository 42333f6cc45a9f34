"""The session engine: tasks, layers, core and transport of one session, on asyncio and on trio.

Each name loads on first use, so that reading a configuration does not import the engine.
"""

from typing import TYPE_CHECKING

from agentkit.lazy import names_from as _names_from

if TYPE_CHECKING:
    from agentkit.session.fanout import Subscription
    from agentkit.session.history import History
    from agentkit.session.limits import SessionLimits
    from agentkit.session.members import HandoffAgent
    from agentkit.session.opening import open
    from agentkit.session.reconnecting import Reconnect
    from agentkit.session.session import Session
    from agentkit.session.turns import Turn

_MODULES = {
    "fanout": ("Subscription",),
    "history": ("History",),
    "limits": ("SessionLimits",),
    "members": ("HandoffAgent",),
    "opening": ("open",),
    "reconnecting": ("Reconnect",),
    "session": ("Session",),
    "turns": ("Turn",),
}

__all__ = ["HandoffAgent", "History", "Reconnect", "Session", "SessionLimits", "Subscription", "Turn", "open"]

__getattr__, __dir__ = _names_from(__name__, _MODULES)
