"""agentkit: agents that talk in real time and use tools.

Every public name is loaded on first use, so importing one costs no more than it needs.
"""

from typing import TYPE_CHECKING, Final

from agentkit.lazy import names_from as _names_from

if TYPE_CHECKING:
    from agentkit.client import RealtimeClient
    from agentkit.config.build import Agent, load
    from agentkit.errors import (
        AgentkitError,
        ConfigError,
        ConnectError,
        ConnectionLostError,
        DuplicateNameError,
        LocalProtocolError,
        MiddlewareError,
        PluginError,
        PluginLoadError,
        ProtocolError,
        RemoteProtocolError,
        ServerError,
        SessionClosedError,
        SlowConsumerError,
        ToolArgumentsError,
        ToolError,
        ToolTimeoutError,
        TransportError,
        UnknownNameError,
    )
    from agentkit.events import (
        ApprovalDecided,
        ApprovalRequested,
        AudioInput,
        AudioOutput,
        AudioSettings,
        FunctionTool,
        HandedOver,
        ResponseSettings,
        Settings,
        ToolFinished,
        ToolProgress,
        TranscriptionSettings,
        TurnDetection,
    )
    from agentkit.hookspecs import hookimpl
    from agentkit.local import Responder
    from agentkit.middleware import Middleware, Next, NextCall, on
    from agentkit.middleware.logger import Logger
    from agentkit.presets import Preset
    from agentkit.providers import Compatible, Local, OpenAI
    from agentkit.registry import Factory, LazyCommand
    from agentkit.session import HandoffAgent, Reconnect, Session, SessionLimits, Subscription, Turn, open
    from agentkit.session.cost import Rates
    from agentkit.session.snapshot import Snapshot
    from agentkit.tools import Approval, Policy, Tool, ToolCall, ToolContext, ToolResult, Toolset, tool
    from agentkit.transports.base import Provider, Transport
    from agentkit.values import Duration, Secret, Size, Timeout

_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "client": ("RealtimeClient",),
    "config.build": ("Agent", "load"),
    "values": ("Duration", "Secret", "Size", "Timeout"),
    "errors": (
        "AgentkitError",
        "ConfigError",
        "ConnectError",
        "ConnectionLostError",
        "DuplicateNameError",
        "LocalProtocolError",
        "MiddlewareError",
        "PluginError",
        "PluginLoadError",
        "ProtocolError",
        "RemoteProtocolError",
        "ServerError",
        "SessionClosedError",
        "SlowConsumerError",
        "ToolArgumentsError",
        "ToolError",
        "ToolTimeoutError",
        "TransportError",
        "UnknownNameError",
    ),
    "events": (
        "ApprovalDecided",
        "ApprovalRequested",
        "AudioInput",
        "AudioOutput",
        "AudioSettings",
        "FunctionTool",
        "HandedOver",
        "ResponseSettings",
        "Settings",
        "ToolFinished",
        "ToolProgress",
        "TranscriptionSettings",
        "TurnDetection",
    ),
    "hookspecs": ("hookimpl",),
    "local": ("Responder",),
    "middleware": ("Middleware", "Next", "NextCall", "on"),
    "middleware.logger": ("Logger",),
    "presets": ("Preset",),
    "providers": ("Compatible", "Local", "OpenAI"),
    "registry": ("Factory", "LazyCommand"),
    "session": ("HandoffAgent", "Reconnect", "Session", "SessionLimits", "Subscription", "Turn", "open"),
    "session.cost": ("Rates",),
    "session.snapshot": ("Snapshot",),
    "tools": ("Approval", "Policy", "Tool", "ToolCall", "ToolContext", "ToolResult", "Toolset", "tool"),
    "transports.base": ("Provider", "Transport"),
}

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentkitError",
    "Approval",
    "ApprovalDecided",
    "ApprovalRequested",
    "AudioInput",
    "AudioOutput",
    "AudioSettings",
    "Compatible",
    "ConfigError",
    "ConnectError",
    "ConnectionLostError",
    "DuplicateNameError",
    "Duration",
    "Factory",
    "FunctionTool",
    "HandedOver",
    "HandoffAgent",
    "LazyCommand",
    "Local",
    "LocalProtocolError",
    "Logger",
    "Middleware",
    "MiddlewareError",
    "Next",
    "NextCall",
    "OpenAI",
    "PluginError",
    "PluginLoadError",
    "Policy",
    "Preset",
    "ProtocolError",
    "Provider",
    "Rates",
    "RealtimeClient",
    "Reconnect",
    "RemoteProtocolError",
    "Responder",
    "ResponseSettings",
    "Secret",
    "ServerError",
    "Session",
    "SessionClosedError",
    "SessionLimits",
    "Settings",
    "Size",
    "SlowConsumerError",
    "Snapshot",
    "Subscription",
    "Timeout",
    "Tool",
    "ToolArgumentsError",
    "ToolCall",
    "ToolContext",
    "ToolError",
    "ToolFinished",
    "ToolProgress",
    "ToolResult",
    "ToolTimeoutError",
    "Toolset",
    "TranscriptionSettings",
    "Transport",
    "TransportError",
    "Turn",
    "TurnDetection",
    "UnknownNameError",
    "hookimpl",
    "load",
    "on",
    "open",
    "tool",
]

__getattr__, __dir__ = _names_from(__name__, _HOMES)
