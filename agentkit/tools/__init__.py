"""Tools: functions that a model may call, their JSON Schema, and the checking and running of a call."""

from agentkit.tools.context import Progress, Reporter, SessionHandle, ToolCall, ToolContext
from agentkit.tools.output import MAX_OUTPUT_BYTES
from agentkit.tools.policy import Approval, Policy, PolicyOptions
from agentkit.tools.results import ToolResult
from agentkit.tools.tool import DEFAULT_TIMEOUT, Tool, tool
from agentkit.tools.toolset import Toolset, ToolsetUser

__all__ = [
    "DEFAULT_TIMEOUT",
    "MAX_OUTPUT_BYTES",
    "Approval",
    "Policy",
    "PolicyOptions",
    "Progress",
    "Reporter",
    "SessionHandle",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolResult",
    "Toolset",
    "ToolsetUser",
    "tool",
]
