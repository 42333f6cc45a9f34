"""The ways to reach a Realtime server; each is imported on first use."""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentkit.providers.compatible import Compatible, CompatibleConfig
    from agentkit.providers.local import Local, LocalConfig
    from agentkit.providers.openai import OpenAI, OpenAIConfig

__all__ = ["Compatible", "CompatibleConfig", "Local", "LocalConfig", "OpenAI", "OpenAIConfig"]

_HOMES: Final = {
    "compatible": ("Compatible", "CompatibleConfig"),
    "local": ("Local", "LocalConfig"),
    "openai": ("OpenAI", "OpenAIConfig"),
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
