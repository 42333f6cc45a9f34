"""A server whose list has two pages, a name twice, a tool that takes no object, and one called as our own."""

import sys
from typing import Any

import anyio
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)

OBJECT: dict[str, Any] = {"type": "object"}
PAGES = {
    "": [Tool(name="twice", input_schema=OBJECT, title="The first"), Tool(name="list_resources", input_schema=OBJECT)],
    "2": [
        Tool(name="twice", input_schema=OBJECT, title="The second"),
        Tool(name="shapeless", input_schema={"type": "object", "properties": ["a"]}),
    ],
}
Context = ServerRequestContext[Any, Any]


async def list_tools(ctx: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
    page = params.cursor if params is not None and params.cursor else ""
    return ListToolsResult(tools=PAGES[page], next_cursor=None if page else "2")


async def call_tool(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=f"the server's own {params.name}")])


async def list_resources(ctx: Context, params: PaginatedRequestParams | None) -> ListResourcesResult:
    return ListResourcesResult(resources=[])


server = Server(
    "odd",
    on_list_tools=list_tools,
    on_call_tool=call_tool,
    on_list_resources=list_resources if "resources" in sys.argv else None,
)


async def main() -> None:
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


anyio.run(main)
