"""A server that starts once, dies at its first call, and never starts again."""

import os
import sys
from pathlib import Path

mark = Path(sys.argv[1])
if mark.exists():
    sys.exit("the disk is gone")
mark.touch()

from mcp.server import MCPServer  # noqa: E402  # only where it is going to start

server = MCPServer("dying for good")


@server.tool()
def die() -> str:
    """Die."""
    os._exit(3)


server.run()
