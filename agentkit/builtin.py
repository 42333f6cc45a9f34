"""The core's own plugin: what a configuration can name without installing anything.

It registers by the same hooks as a third party's plugin.
"""

from typing import TYPE_CHECKING

from agentkit.hookspecs import hookimpl
from agentkit.middleware import Middleware
from agentkit.middleware.logger import Logger, LoggerConfig
from agentkit.presets import BUILTIN_PRESETS, Preset
from agentkit.registry import Factory
from agentkit.transports.base import Provider

if TYPE_CHECKING:
    from agentkit.local import Responder
    from agentkit.providers import LocalConfig


@hookimpl
def register_middleware() -> list[Factory[Middleware]]:
    """Give the logger and the journal."""
    from agentkit.session.journal import Journal, JournalConfig

    return [
        Factory("logger", Logger.from_config, LoggerConfig, "Write every wire event to a JSONL file."),
        Factory("journal", Journal.from_config, JournalConfig, "Write down what a session can be taken up again from."),
    ]


@hookimpl
def register_presets() -> list[Preset]:
    """Give ``voice`` and ``text``."""
    return list(BUILTIN_PRESETS)


@hookimpl
def register_providers() -> list[Factory[Provider]]:
    """Give ``openai``, ``compatible`` and ``local``."""
    from agentkit.providers import Compatible, CompatibleConfig, LocalConfig, OpenAI, OpenAIConfig

    return [
        Factory("openai", OpenAI.from_config, OpenAIConfig, "OpenAI's Realtime API."),
        Factory("compatible", Compatible.from_config, CompatibleConfig, "Any server that speaks the protocol."),
        Factory("local", _local, LocalConfig, "A server in this process; needs no key and no network."),
    ]


def _local(config: "LocalConfig") -> Provider:
    """Make the provider with its default responder; whoever knows the plugins looks up another."""
    from agentkit.local import RulesResponder
    from agentkit.providers import Local

    return Local.configured(config, RulesResponder)


@hookimpl
def register_responders() -> "list[Factory[Responder]]":
    """Give ``rules`` and ``chat``."""
    from agentkit.local import ChatConfig, ChatResponder, RulesResponder

    return [
        Factory("rules", RulesResponder, None, "Chooses tools by their example phrases; no language model."),
        Factory("chat", ChatResponder, ChatConfig, "Any OpenAI-compatible chat completions endpoint."),
    ]
