"""An MCP server that keeps notes for as long as it runs; it stands for any MCP server of yours."""

from mcp.server import MCPServer

server = MCPServer("notes")
notes: list[str] = []


@server.tool()
def add_note(text: str) -> str:
    """Keep a note."""
    notes.append(text)
    return f"note {len(notes)} is kept"


@server.tool()
def list_notes() -> str:
    """List the notes."""
    return "\n".join(notes) or "there are no notes"


if __name__ == "__main__":
    server.run()
