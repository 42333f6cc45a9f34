"""How frames travel: the interfaces, a pair in memory, and WebSockets."""

import importlib
from typing import TYPE_CHECKING, Final

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


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            value: object = getattr(importlib.import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
