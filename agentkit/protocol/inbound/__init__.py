"""What each server event does to the core's parts: one module for each family of events, and the table of all."""

from agentkit.protocol.inbound.table import Inbound

__all__ = ["Inbound"]
