"""A server that dies at its second call, with a word on stderr."""

import os
import sys

from mcp.server import MCPServer

server = MCPServer("dying")
calls = 0


@server.tool()
def count() -> int:
    """Count the calls."""
    global calls
    calls += 1
    if calls == 2:
        sys.stderr.write("out of ink\n")
        os._exit(3)
    return calls


server.run()
