"""A conversation's items as the messages of a chat completion."""

from typing import Any

from agentkit.events import (
    FunctionCallItem,
    FunctionCallOutputItem,
    FunctionTool,
    InputImage,
    MessageItem,
    ToolChoice,
)
from agentkit.local.responder import HeldItem, ResponderRequest

UNANSWERED = "There is no result: the call was not answered."

Json = dict[str, Any]
"""A JSON object of the chat API."""


def messages_of(request: ResponderRequest) -> list[Json]:
    """Return the messages, the instructions first.

    The chat API wants each call's result right behind its call, and one for every call: a result that came later in the
    conversation moves there, a missing one is told as missing, and a result without its call is left out.
    """
    outputs = {item.call_id: item for item in request.items if isinstance(item, FunctionCallOutputItem)}
    messages: list[Json] = []
    if request.instructions:
        messages.append({"role": "system", "content": request.instructions})
    run: list[FunctionCallItem] = []
    for item in request.items:
        if isinstance(item, FunctionCallItem):
            # The API wants whole arguments, which a call that was cut short has not.
            if item.status != "incomplete":
                run.append(item)
        elif isinstance(item, MessageItem):
            _close(run, outputs, messages)
            messages.extend(_message(item))
    _close(run, outputs, messages)
    return messages


def tools_of(tools: tuple[FunctionTool, ...]) -> list[Json]:
    """Return the tools in the chat API's shape."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description or "",
                "parameters": _schema(tool.parameters),
            },
        }
        for tool in tools
    ]


def choice_of(choice: str | ToolChoice) -> str | Json:
    """Return the choice among the tools in the chat API's shape."""
    if isinstance(choice, ToolChoice):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _close(run: list[FunctionCallItem], outputs: dict[str, FunctionCallOutputItem], messages: list[Json]) -> None:
    if not run:
        return
    calls = [
        {
            "id": call.call_id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments or "{}"},
        }
        for call in run
    ]
    last = messages[-1] if messages else {}
    if last.get("role") == "assistant" and "tool_calls" not in last:
        last["tool_calls"] = calls
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": calls})
    for call in run:
        output = outputs.get(call.call_id or "")
        messages.append(
            {"role": "tool", "tool_call_id": call.call_id, "content": UNANSWERED if output is None else output.output}
        )
    run.clear()


def _message(item: HeldItem) -> list[Json]:
    if not isinstance(item, MessageItem):
        return []
    images = [part for part in item.content if isinstance(part, InputImage) and part.image_url]
    if not images:
        return [{"role": item.role, "content": item.text}] if item.text else []
    content: list[Json] = [{"type": "text", "text": item.text}] if item.text else []
    content.extend({"type": "image_url", "image_url": {"url": image.image_url}} for image in images)
    return [{"role": item.role, "content": content}]


def _schema(parameters: object) -> object:
    """Leave out the example phrases, which some servers' grammars cannot read."""
    if not isinstance(parameters, dict):
        return {"type": "object", "properties": {}}
    return {key: value for key, value in parameters.items() if key != "examples"}
