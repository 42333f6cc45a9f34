"""Tools: functions that a model may call, their JSON Schema, and the checking and running of a call."""

from agentkit.tools.context import SessionHandle, ToolCall, ToolContext
from agentkit.tools.output import MAX_OUTPUT_BYTES
from agentkit.tools.results import ToolResult
from agentkit.tools.tool import DEFAULT_TIMEOUT, Tool, tool

__all__ = [
    "DEFAULT_TIMEOUT",
    "MAX_OUTPUT_BYTES",
    "SessionHandle",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolResult",
    "tool",
]
