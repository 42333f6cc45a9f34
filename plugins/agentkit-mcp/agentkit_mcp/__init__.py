"""The tools of MCP servers (Model Context Protocol), as one toolset for each server."""

from collections.abc import Iterable

from agentkit import Factory, Toolset, hookimpl
from agentkit_mcp.config import McpConfig, Restart, Variable
from agentkit_mcp.server import McpServer

__all__ = ["McpConfig", "McpServer", "Restart", "Variable", "register_tools"]


@hookimpl
def register_tools() -> Iterable[Factory[Toolset]]:
    """Return what makes a toolset of an MCP server."""
    return [Factory("mcp", McpServer, McpConfig, "The tools of an MCP server, started or reached by URL.")]
