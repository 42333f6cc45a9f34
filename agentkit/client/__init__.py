"""The reference client's API in Python, over a ``Session``: for programs that come from JavaScript.

A thin face: what is promised here is kept by the engine below it.
"""

from agentkit.client.client import RealtimeClient
from agentkit.client.conversation import RealtimeConversation
from agentkit.client.handlers import EventHandlers
from agentkit.client.items import Delta, Formatted, FormattedTool, Item
from agentkit.client.realtime import RealtimeAPI

__all__ = [
    "Delta",
    "EventHandlers",
    "Formatted",
    "FormattedTool",
    "Item",
    "RealtimeAPI",
    "RealtimeClient",
    "RealtimeConversation",
]
