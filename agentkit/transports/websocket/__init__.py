"""The WebSocket transport, over the client of websockets for the running backend.

Rules: one dial is one try; no exception of websockets leaves this package; no secret enters a message.
"""

from agentkit.transports.websocket.opening import open_websocket

__all__ = ["open_websocket"]
