"""For tests of tools, middleware and agents: a scripted server, one tool call, virtual time, configurations, sounds.

Nothing here needs pytest; the plugin ``agentkit.pytest_plugin`` makes fixtures of it. Names load on first use.
"""

from typing import TYPE_CHECKING, Final

from agentkit.lazy import names_from as _names_from

if TYPE_CHECKING:
    from agentkit.testing.answers import Answers
    from agentkit.testing.calling import call_tool
    from agentkit.testing.checking import Finding, check_plugin
    from agentkit.testing.clock import FakeClock
    from agentkit.testing.configs import connect, load_config
    from agentkit.testing.script import Script
    from agentkit.testing.server import SESSION, FakeServer
    from agentkit.testing.sounds import noise, silence, speech, tone
    from agentkit.testing.talking import Transcript, say

__all__ = [
    "SESSION",
    "Answers",
    "FakeClock",
    "FakeServer",
    "Finding",
    "Script",
    "Transcript",
    "call_tool",
    "check_plugin",
    "connect",
    "load_config",
    "noise",
    "say",
    "silence",
    "speech",
    "tone",
]

_HOMES: Final = {
    "answers": ("Answers",),
    "calling": ("call_tool",),
    "checking": ("Finding", "check_plugin"),
    "clock": ("FakeClock",),
    "configs": ("connect", "load_config"),
    "script": ("Script",),
    "server": ("SESSION", "FakeServer"),
    "sounds": ("noise", "silence", "speech", "tone"),
    "talking": ("Transcript", "say"),
}

__getattr__, __dir__ = _names_from(__name__, _HOMES)
