"""The resources of a server, as a list that a model can choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mcp.shared.exceptions import MCPError
from mcp.types import METHOD_NOT_FOUND

if TYPE_CHECKING:
    from mcp.client import Client
    from mcp.types import Resource, ResourceTemplate

MAX_RESOURCES: Final = 200
"""Resources that are listed; a model could not choose among more."""


async def list_resources(client: Client) -> list[dict[str, str]]:
    """Return what a model has to know of the resources, and of the patterns of addresses of more.

    Raises:
        MCPError: The server refused.
    """
    found: list[dict[str, str]] = []
    cursor: str | None = None
    while len(found) < MAX_RESOURCES:
        page = await client.list_resources(cursor=cursor)
        found += [_described(each, each.uri) for each in page.resources]
        cursor = page.next_cursor
        if cursor is None or not page.resources:
            break
    try:
        templates = await client.list_resource_templates()
    except MCPError as error:
        if error.code != METHOD_NOT_FOUND:
            raise
    else:
        found += [_described(each, each.uri_template) for each in templates.resource_templates]
    return found[:MAX_RESOURCES]


def _described(resource: Resource | ResourceTemplate, address: str) -> dict[str, str]:
    facts = {
        "uri": address,
        "name": resource.title or resource.name,
        "description": resource.description,
        "type": resource.mime_type,
    }
    return {name: fact for name, fact in facts.items() if fact}
