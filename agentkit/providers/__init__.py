"""The ways to reach a Realtime server; each is imported on first use."""

from typing import TYPE_CHECKING, Final

from agentkit.lazy import names_from as _names_from

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

__getattr__, __dir__ = _names_from(__name__, _HOMES)
