"""A server that writes to stdout what is no message, before it starts and in each call."""

import os

from mcp.server import MCPServer

server = MCPServer("garbage")
OUTPUT = os.dup(1)  # the library turns what is printed away from it


@server.tool()
def fine() -> str:
    """Answer, in spite of all."""
    os.write(OUTPUT, b"\xff\xfe{ not json\n[1, 2\n")
    return "fine"


os.write(OUTPUT, b"Starting the server...\n")
server.run()
