"""A server that answers nothing any more once it was asked to hang."""

import os
import time

from mcp.server import MCPServer

server = MCPServer("hanging")


@server.tool()
async def hang() -> str:
    """Block everything."""
    time.sleep(60)  # noqa: ASYNC251  # that is the point
    return "late"


@server.tool()
def which() -> int:
    """Tell the process."""
    return os.getpid()


server.run()
