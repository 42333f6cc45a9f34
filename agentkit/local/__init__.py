"""The embedded Realtime server: a sans-I/O core, its drivers in process and on a socket, and what answers (responders).

Each name loads on first use, so that a responder's author does not import a WebSocket server.
"""

from typing import TYPE_CHECKING

from agentkit.lazy import names_from as _names_from

if TYPE_CHECKING:
    from agentkit.local.chat import ChatConfig, ChatResponder
    from agentkit.local.core import ServerCore
    from agentkit.local.effects import CancelResponse, Effect, StartResponse, Transcribe
    from agentkit.local.responder import (
        AudioDelta,
        Finished,
        FunctionCall,
        HeldItem,
        Responder,
        ResponderError,
        ResponderOutput,
        ResponderRequest,
        TextDelta,
    )
    from agentkit.local.rules import SAY_EXACTLY, RulesResponder
    from agentkit.local.server import serve_session
    from agentkit.local.socket import serve_socket
    from agentkit.local.tones import Tones, decode_tones, encode_tones
    from agentkit.local.vad import Detector, DetectorFactory, EnergyDetector, SpeechStarted, SpeechStopped

_MODULES = {
    "chat": ("ChatConfig", "ChatResponder"),
    "core": ("ServerCore",),
    "effects": ("CancelResponse", "Effect", "StartResponse", "Transcribe"),
    "responder": (
        "AudioDelta",
        "Finished",
        "FunctionCall",
        "HeldItem",
        "Responder",
        "ResponderError",
        "ResponderOutput",
        "ResponderRequest",
        "TextDelta",
    ),
    "rules": ("SAY_EXACTLY", "RulesResponder"),
    "server": ("serve_session",),
    "socket": ("serve_socket",),
    "tones": ("Tones", "decode_tones", "encode_tones"),
    "vad": ("Detector", "DetectorFactory", "EnergyDetector", "SpeechStarted", "SpeechStopped"),
}

__all__ = [
    "SAY_EXACTLY",
    "AudioDelta",
    "CancelResponse",
    "ChatConfig",
    "ChatResponder",
    "Detector",
    "DetectorFactory",
    "Effect",
    "EnergyDetector",
    "Finished",
    "FunctionCall",
    "HeldItem",
    "Responder",
    "ResponderError",
    "ResponderOutput",
    "ResponderRequest",
    "RulesResponder",
    "ServerCore",
    "SpeechStarted",
    "SpeechStopped",
    "StartResponse",
    "TextDelta",
    "Tones",
    "Transcribe",
    "decode_tones",
    "encode_tones",
    "serve_session",
    "serve_socket",
]

__getattr__, __dir__ = _names_from(__name__, _MODULES)
