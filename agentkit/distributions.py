"""The names under which agentkit's own packages are installed."""

from typing import Final

AUDIO: Final = "agentkit-realtime-audio"
BASICS: Final = "agentkit-realtime-basics"
GUARD: Final = "agentkit-realtime-guard"
MCP: Final = "agentkit-realtime-mcp"
OBSERVE: Final = "agentkit-realtime-observe"
SERVE: Final = "agentkit-realtime-serve"
