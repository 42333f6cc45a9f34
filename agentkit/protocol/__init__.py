"""The sans-I/O core: what may be said when, and what the conversation is.

Rule: no clock, no random, no await, no I/O. Events and commands go in, effects (values) come out.
"""

from agentkit.protocol.core import Core, Limits
from agentkit.protocol.effects import (
    CancelTool,
    Effect,
    Emit,
    ItemBegan,
    Propose,
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
    "CancelTool",
    "Core",
    "Effect",
    "Emit",
    "ItemBegan",
    "Limits",
    "Propose",
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
