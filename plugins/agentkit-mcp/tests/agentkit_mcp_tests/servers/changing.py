"""A server that gets another tool while it runs; with "old" it speaks only the protocol before 2026."""

import sys

import anyio
from mcp.server import MCPServer, Server
from mcp.server.mcpserver import Context
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server

OLD = "old" in sys.argv

server = MCPServer("changing")


def second() -> str:
    """Be the second tool."""
    return "second"


@server.tool()
async def grow(ctx: Context) -> str:
    """Get another tool."""
    server.add_tool(second)
    if OLD:
        await ctx.session.send_tool_list_changed()
    else:
        await ctx.notify_tools_changed()
    return "grown"


async def serve_old(inner: Server) -> None:
    async with stdio_server() as (read, write), inner.lifespan(inner) as state:
        await serve_loop(inner, read, write, lifespan_state=state, init_options=inner.create_initialization_options())


if OLD:
    anyio.run(serve_old, server._lowlevel_server)
else:
    server.run()
