"""The ``rules`` responder: no model, only rules that choose among the session's tools.

It says so plainly, calls a tool only where the user's words fit one, and never makes an answer up. A tool's example
phrases are the ``examples`` of its ``parameters``, beside ``properties``: ``"what time is it in {zone}?"``, where
``{zone}`` stands for the argument of that name. Without them the words of its name and description have to do.
"""

from collections.abc import AsyncGenerator, Iterable
from typing import Final

import msgspec

from agentkit.events import FunctionCallItem, FunctionCallOutputItem, MessageItem, ToolChoice
from agentkit.local.phrases import MAX_TEXT, MAX_WORDS, phrase_of
from agentkit.local.repertoire import MAX_TOOLS, Call, Known, calls_for, known
from agentkit.local.responder import (
    Finished,
    FunctionCall,
    HeldItem,
    Responder,
    ResponderOutput,
    ResponderRequest,
    TextDelta,
)
from agentkit.local.wording import word_output

SAY_EXACTLY: Final = "Say exactly: "
"""A response whose own instructions begin so is answered by the rest of them, word for word."""
_GOODBYE: Final = "say goodbye"
"""A response whose own instructions have this in them is one."""
_SELF: Final = "I am agentkit's rules responder, not a language model"
_DELTA_WORDS: Final = 4


class RulesResponder(Responder):
    """Answers by the session's tools alone."""

    name = "rules"

    async def respond(self, request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        """Yield calls of the tools that fit, the results of those that ran, or what there is to ask for."""
        budget = request.max_output_tokens
        for output in _answer(request):
            if isinstance(output, FunctionCall):
                yield output
                continue
            for piece in _pieces(output.text):
                if budget is not None:
                    # Four bytes a token, as the server estimates its usage.
                    budget -= -(-len(piece.encode()) // 4)
                    if budget < 0:
                        yield Finished(reason="max_output_tokens")
                        return
                yield TextDelta(text=piece)


def _answer(request: ResponderRequest) -> Iterable[TextDelta | FunctionCall]:
    own = request.own_instructions or ""
    if own.startswith(SAY_EXACTLY):
        return [TextDelta(text=own.removeprefix(SAY_EXACTLY))]
    if _GOODBYE in own.casefold():
        return [TextDelta(text="Goodbye.")]
    if results := _results(request.items):
        return [TextDelta(text=results)]
    tools = [known(tool) for tool in request.tools[:MAX_TOOLS] if tool.name]
    said = request.last_user_text
    if said is None:
        return [TextDelta(text=f"Hello. {_SELF}. {_abilities(tools)}")]
    if not said.strip():
        return [TextDelta(text=f"{_SELF}, and can only read text. {_abilities(tools)}")]
    if len(said) > MAX_TEXT or len(said.split()) > MAX_WORDS:
        return [TextDelta(text=f"{_SELF}, and can read at most {MAX_WORDS} words at a time.")]
    choice = request.tool_choice
    allowed = [] if choice == "none" else tools
    if isinstance(choice, ToolChoice):
        allowed = [tool for tool in tools if tool.name == choice.name]
    calls, unmatched = calls_for(said, allowed, forced=choice == "required" or isinstance(choice, ToolChoice))
    if not calls:
        return [TextDelta(text=f"{_SELF}, and no tool of mine fits that. {_abilities(tools)}")]
    outputs: list[TextDelta | FunctionCall] = []
    if unmatched:
        outputs.append(TextDelta(text=f"I have no tool for “{'”, “'.join(unmatched)}”."))
    outputs.extend(_call(call) for call in calls)
    return outputs


def _call(call: Call) -> FunctionCall:
    return FunctionCall(name=call.tool, arguments=msgspec.json.encode(call.arguments).decode())


def _results(items: tuple[HeldItem, ...]) -> str:
    """Return the outputs since the user's last message in words, or nothing where there are none.

    Of these, those that came after the last answer; and where calls are among them that this message has led to, only
    theirs: an earlier question that was stopped is not answered after all.
    """
    calls: dict[str, FunctionCallItem] = {}
    own: set[str] = set()
    said: list[FunctionCallOutputItem] = []
    new: list[FunctionCallOutputItem] = []
    for item in items:
        if isinstance(item, MessageItem) and item.role == "user":
            said, new, own = [], [], set()
        elif isinstance(item, MessageItem) and item.role == "assistant":
            said, new = [*said, *new], []
        elif isinstance(item, FunctionCallItem) and item.call_id is not None:
            calls[item.call_id] = item
            own.add(item.call_id)
        elif isinstance(item, FunctionCallOutputItem):
            new.append(item)
    outputs = new or said
    outputs = [output for output in outputs if output.call_id in own] or outputs
    if len(outputs) == 1:
        return word_output(outputs[0].output)
    lines = []
    for output in outputs:
        words = word_output(output.output)
        call = calls.get(output.call_id)
        # A bare value among several does not say what it is the value of.
        asked = _asked(call) if call is not None and " " not in words else ""
        lines.append(f"{asked}: {words}" if asked else words)
    return "\n".join(lines)


def _asked(call: FunctionCallItem) -> str:
    try:
        arguments = msgspec.json.decode(call.arguments, type=dict[str, object])
    except (msgspec.MsgspecError, ValueError):
        return call.name
    return ", ".join(str(value) for value in arguments.values())[:200] or call.name


def _abilities(tools: list[Known]) -> str:
    if not tools:
        return "This agent has no tools, so there is nothing that I can do; name some under `tools:`."
    lines = []
    for tool in tools:
        what = tool.description.partition(". ")[0].rstrip(".") or tool.name
        example = f", for example “{_plain(tool.phrases[0].text)}”" if tool.phrases else ""
        lines.append(f"- {tool.name}: {what}{example}")
    return "\n".join(["I can use these tools:", *lines])


def _plain(text: str) -> str:
    """Return a phrase with dots in its slots."""
    for part in phrase_of(text).parts:
        if part.startswith("{"):
            text = text.replace(part, "...")
    return text


def _pieces(text: str) -> Iterable[str]:
    """Take a text apart into a few words each, which together are the text."""
    words = text.split(" ")
    for start in range(0, len(words), _DELTA_WORDS):
        piece = " ".join(words[start : start + _DELTA_WORDS])
        yield piece if start + _DELTA_WORDS >= len(words) else f"{piece} "
