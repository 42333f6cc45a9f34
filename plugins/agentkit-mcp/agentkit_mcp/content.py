"""What a server answers, as text for a model: texts as they are, data as JSON, and a line about everything else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mcp.types import (
        BlobResourceContents,
        CallToolResult,
        ContentBlock,
        ReadResourceResult,
        TextResourceContents,
    )

NOTHING: Final = "done; the server answered without content"


def text_of(result: CallToolResult) -> str:
    """Return the result of a call as text.

    Servers say structured content in text as well, for those who do not know it; it is not said twice.
    """
    parts = [_block(block) for block in result.content]
    structured = result.structured_content
    if structured is not None and not _says(result.content, structured):
        parts.append(json.dumps(structured, ensure_ascii=False))
    return "\n".join(part for part in parts if part) or NOTHING


def text_of_resource(result: ReadResourceResult) -> str:
    """Return the contents of a resource as text."""
    return "\n".join(_contents(each) for each in result.contents) or "the resource is empty"


def _block(block: ContentBlock) -> str:
    match block.type:
        case "text":
            return block.text
        case "image" | "audio":
            return f"[{block.type}, {block.mime_type}, {_size(block.data)}; it cannot be shown here]"
        case "resource_link":
            about = f": {block.description}" if block.description else ""
            return f"[resource {block.title or block.name}, {block.uri}{about}]"
        case "resource":
            return _contents(block.resource)


def _contents(contents: TextResourceContents | BlobResourceContents) -> str:
    text = getattr(contents, "text", None)
    if isinstance(text, str):
        return text
    kind = contents.mime_type or "of an unknown type"
    return f"[resource {contents.uri}, {kind}, {_size(getattr(contents, 'blob', ''))}; it cannot be shown here]"


def _size(encoded: str) -> str:
    """Say how much base64 stands for."""
    count = len(encoded) * 3 // 4
    return f"{count} bytes" if count < 10_000 else f"{count // 1000} kB"


def _says(content: list[ContentBlock], structured: object) -> bool:
    """Whether texts say the same as structured content: as a whole, or as the one value or the list in ``result``."""
    texts = [block.text for block in content if block.type == "text"]
    if not texts:
        return False
    meant = [structured]
    if isinstance(structured, dict) and structured.keys() == {"result"}:
        meant.append(structured["result"])
    values = [_value(text) for text in texts]
    return any(one == each for one in meant for each in (*values, *texts, values, texts))


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
