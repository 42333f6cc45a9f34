"""``check``: a function of yours or a model decides on what is said, asked and done."""

from typing import ClassVar

import msgspec
from msgspec.structs import replace

from agentkit import Middleware, Next, NextCall, Timeout, ToolCall, ToolResult, on
from agentkit.events import (
    ConversationItemCreate,
    ConversationItemInputAudioTranscriptionCompleted,
    InputText,
    MessageItem,
    ResponseCreate,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputTextDone,
)
from agentkit_guard.arguments import canonical, parse
from agentkit_guard.judging import ChecksConfig, Judge, ModelConfig, Verdict, load_check
from agentkit_guard.places import Where, as_tuple
from agentkit_guard.reacting import Action, Remembered, Speaker, is_beside, is_saying, refusal
from agentkit_guard.topic import MESSAGE


class CheckConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the ``check`` guard."""

    python: str | None = None
    """A function of yours, ``package.module:function``: gets the text and whose it is, returns None or why not."""
    model: ModelConfig | None = None
    """A model that decides."""
    timeout: Timeout = 5.0
    """How long a check may take; after that the text does not pass."""
    at: Where | tuple[Where, ...] = ("input", "output")
    """Whose texts: the user's, the agent's, arguments of calls and results of tools; ``instructions`` are refused."""
    action: Action = "interrupt"
    """``interrupt``: stop it and say ``message``; ``warn``: only tell; ``replace``, at ``input`` and ``tool_output``
    alone: put ``placeholder`` there."""
    message: str | None = MESSAGE
    """What is said instead."""
    placeholder: str = "[removed]"
    """What stands in the place of a typed message or of a tool's result."""

    def __post_init__(self) -> None:
        if not (self.python or self.model):
            raise ValueError("say what decides: python: package.module:function, or model: {url: ..., model: ...}")
        at = as_tuple(self.at)
        if "instructions" in at:
            raise ValueError("at: instructions are yours, and are not checked")
        if self.action == "replace" and at & {"output", "tool_arguments"}:
            raise ValueError("action: replace works at input and tool_output; for output, use `hold` or interrupt")
        if self.python is not None:
            load_check(self.python)


class Check(Middleware):
    """Ask a function or a model about each text, once it is whole."""

    critical: ClassVar[bool] = True

    def __init__(self, config: CheckConfig) -> None:
        """Make the layer.

        Raises:
            ValueError: The function cannot be found.
        """
        self._config = config
        self._at = as_tuple(config.at)
        self._judge = Judge(ChecksConfig(python=config.python, model=config.model, check_timeout=config.timeout))
        self._speaker = Speaker(self, config.message)
        self._seen = Remembered()
        self._refused: str | None = None

    def _tell(self, where: Where, verdict: Verdict) -> None:
        done = "was let through" if self._config.action == "warn" else "was stopped"
        self.session.notice("guard", f"{self.name}: the {where.replace('_', ' ')} {done}: {verdict.reason}")

    # What the user says

    @on(ConversationItemCreate)
    async def item_out(self, event: ConversationItemCreate, call_next: Next[ConversationItemCreate]) -> None:
        """A message that the user has typed; it waits for its check."""
        item = event.item
        if "input" in self._at and isinstance(item, MessageItem) and item.role == "user":
            self._refused = None
            typed = " ".join(part.text for part in item.content if isinstance(part, InputText))
            verdict = await self._judge.verdict(typed, "input") if typed.strip() else None
            if verdict is not None:
                self._tell("input", verdict)
                if self._config.action != "warn":
                    event = replace(event, item=replace(item, content=(InputText(text=self._config.placeholder),)))
                if self._config.action == "interrupt":
                    self._refused = verdict.message or self._config.message
        await call_next(event)

    @on(ResponseCreate)
    async def create_out(self, event: ResponseCreate, call_next: Next[ResponseCreate]) -> None:
        """A request for a response; the answer to a message that was stopped is the guard's own."""
        if not is_beside(event):
            refused, self._refused = self._refused, None
            if refused is not None and not is_saying(event, refused):
                event = refusal(event, refused)
        await call_next(event)

    @on(ConversationItemInputAudioTranscriptionCompleted)
    async def user_said(
        self,
        event: ConversationItemInputAudioTranscriptionCompleted,
        call_next: Next[ConversationItemInputAudioTranscriptionCompleted],
    ) -> None:
        """What the user said; the agent may be answering it already, which ``gate`` is for."""
        if "input" in self._at and self._seen.note(f"input {event.item_id}"):
            self.session.start_soon(self._look, "input", event.item_id, event.transcript)
        await call_next(event)

    # What the agent says

    @on(ResponseOutputTextDone, ResponseOutputAudioTranscriptDone)
    async def agent_said(
        self,
        event: ResponseOutputTextDone | ResponseOutputAudioTranscriptDone,
        call_next: Next[ResponseOutputTextDone | ResponseOutputAudioTranscriptDone],
    ) -> None:
        """What the agent has said, or is still being played; ``hold`` is for what must not be heard at all."""
        text = event.text if isinstance(event, ResponseOutputTextDone) else event.transcript
        if "output" in self._at and self._seen.note(f"output {event.item_id} {event.content_index}"):
            self.session.start_soon(self._look, "output", event.item_id, text, self._speaker.is_speaking)
        await call_next(event)

    async def _look(self, where: Where, item_id: str, text: str, is_refusal: bool = False) -> None:
        verdict = await self._judge.verdict(text, where)
        if verdict is None:
            return
        self._tell(where, verdict)
        if self._config.action == "warn" or is_refusal:
            return
        await self.session.interrupt()
        await self.session.delete_item(item_id)
        await self._speaker.say(verdict.message)

    # What tools are given, and give

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        """Ask about a call's arguments, and about its result."""
        if "tool_arguments" in self._at:
            try:
                written = canonical(parse(call.raw_arguments))
            except ValueError as error:
                return ToolResult.refused(f"the arguments could not be checked: {error}")
            verdict = await self._judge.verdict(f"{call.name} {written}", "tool_arguments")
            if verdict is not None:
                self._tell("tool_arguments", verdict)
                if self._config.action != "warn":
                    return ToolResult.refused(verdict.message or "a guard does not let these arguments through")
            call = replace(call, raw_arguments=written)
        result = await call_next(call)
        if "tool_output" in self._at and (verdict := await self._judge.verdict(result.output, "tool_output")):
            self._tell("tool_output", verdict)
            if self._config.action == "replace":
                return ToolResult.failed(self._config.placeholder)
            if self._config.action == "interrupt":
                return ToolResult.failed(verdict.message or "the result was withheld by a guard")
        return result
