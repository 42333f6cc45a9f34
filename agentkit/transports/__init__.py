"""How frames travel: the interfaces, a pair in memory, and WebSockets."""

from typing import TYPE_CHECKING, Final

from agentkit.lazy import names_from as _names_from

if TYPE_CHECKING:
    from agentkit.transports.base import Provider, Transport
    from agentkit.transports.endpoint import ConnectOptions, Endpoint
    from agentkit.transports.memory import MemoryTransport, memory_pair

__all__ = ["ConnectOptions", "Endpoint", "MemoryTransport", "Provider", "Transport", "memory_pair"]

_HOMES: Final = {
    "base": ("Provider", "Transport"),
    "endpoint": ("ConnectOptions", "Endpoint"),
    "memory": ("MemoryTransport", "memory_pair"),
}

__getattr__, __dir__ = _names_from(__name__, _HOMES)
