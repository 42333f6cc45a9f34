"""Middleware: typed layers around every live event and every tool call.

``application | middleware | core | transport``: client events and tool calls go down the list; server events, session
events and results come back up. First listed is nearest the application.
"""

from agentkit.middleware.base import Middleware, Next, NextCall, SessionHandle, on
from agentkit.middleware.chain import Chain

__all__ = ["Chain", "Middleware", "Next", "NextCall", "SessionHandle", "on"]
