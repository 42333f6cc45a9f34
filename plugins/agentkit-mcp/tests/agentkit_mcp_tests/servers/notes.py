"""A server that works: all kinds of results, hints, names, resources."""

import os
import sys

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)

server = MCPServer("notes")


@server.tool()
async def add(a: int, b: int, ctx: Context) -> int:
    """Add two numbers."""
    await ctx.report_progress(1, 4, "adding")
    return a + b


@server.tool()
def greet(name: str, context: str = "here") -> str:
    """Greet somebody."""
    return f"hello, {name} ({context})"


@server.tool()
def fail() -> str:
    """Fail."""
    raise ToolError("the notebook is full")


@server.tool()
def show() -> CallToolResult:
    """Answer with everything that is not text."""
    return CallToolResult(
        content=[
            TextContent(text="two files:"),
            ImageContent(data="QUJD" * 1000, mime_type="image/png"),
            AudioContent(data="QUJD", mime_type="audio/wav"),
            ResourceLink(name="plan", uri="note://plan", description="what is next"),
            EmbeddedResource(resource=TextResourceContents(uri="note://a", text="buy milk")),
            EmbeddedResource(resource=BlobResourceContents(uri="note://b", blob="QUJD", mime_type="image/gif")),
        ]
    )


@server.tool()
def nothing() -> CallToolResult:
    """Answer with nothing."""
    return CallToolResult(content=[])


@server.tool()
def variables() -> dict[str, str]:
    """Tell the environment."""
    return dict(os.environ)


@server.tool()
async def wait() -> str:
    """Never answer."""
    await anyio.sleep_forever()
    return "never"


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def burn() -> str:
    """Burn all notes."""
    return "burnt"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def look() -> str:
    """Look."""
    return "a page"


@server.tool(name="book.open")
def open_book() -> str:
    """Open a book."""
    return "open"


@server.resource("note://today", title="Today", description="What is on today", mime_type="text/plain")
def today() -> str:
    """Tell what is on today."""
    return "buy milk"


@server.resource("note://picture", mime_type="image/png")
def picture() -> bytes:
    """Show a picture."""
    return b"123456"


@server.resource("note://day/{day}")
def day(day: str) -> str:
    """Tell what is on a day."""
    return f"nothing on {day}"


if __name__ == "__main__":
    sys.stderr.write(f"the token is {os.environ.get('NOTES_TOKEN')}\n")
    server.run()
