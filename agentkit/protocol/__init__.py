"""The sans-I/O core: what may be said when, and what the conversation is.

Rule: no clock, no random, no await, no I/O. Events and commands go in, effects (values) come out.
"""

from agentkit.protocol.calls import Reply
from agentkit.protocol.core import Core, Limits
from agentkit.protocol.effects import (
    AskForServer,
    CancelTool,
    Effect,
    Emit,
    ItemBegan,
    Propose,
    ServerCallBegan,
    ServerCallEnded,
    StartTimer,
    StartTool,
    Suppress,
    Transmit,
    TurnBegan,
    TurnEnded,
    TurnOutput,
    UpdateEnded,
)
from agentkit.protocol.turns import TurnState

__all__ = [
    "AskForServer",
    "CancelTool",
    "Core",
    "Effect",
    "Emit",
    "ItemBegan",
    "Limits",
    "Propose",
    "Reply",
    "ServerCallBegan",
    "ServerCallEnded",
    "StartTimer",
    "StartTool",
    "Suppress",
    "Transmit",
    "TurnBegan",
    "TurnEnded",
    "TurnOutput",
    "TurnState",
    "UpdateEnded",
]
