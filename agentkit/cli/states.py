"""What a session does now, in one word: from its events to ``StateRecord``."""

from collections.abc import Callable
from typing import Final

from agentkit.cli.records import StateRecord
from agentkit.events import (
    Event,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    Reconnected,
    Reconnecting,
    ResponseCreated,
    ResponseDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputTextDelta,
    ToolFinished,
    ToolStarted,
    TurnCompleted,
)

CLASSES: Final = (
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    Reconnected,
    Reconnecting,
    ResponseCreated,
    ResponseDone,
)
"""The events that tell a state, besides those that are shown by themselves."""


class States:
    """Shows each change of the state; of what goes on at once, what a person has to know first.

    The order is: reconnecting, hearing the user, a tool that runs, speaking, thinking, listening.
    """

    def __init__(self, show: Callable[[StateRecord], None]) -> None:
        self._show = show
        self._shown: StateRecord | None = None
        self._again: str | None = None
        self._hearing = False
        self._tools: dict[str, str] = {}
        self._responses: set[str] = set()
        self._spoken = False
        """Whether the response that is being made, or was made last, has said something."""
        self._due = False
        """Whether the agent still has to answer."""
        self._playing = False

    def begin(self) -> None:
        """Show the first state."""
        self._change()

    def asked(self) -> None:
        """Something was said that the agent answers."""
        self._due = True
        self._change()

    def unanswered(self) -> None:
        """The answer will not come."""
        self._due = False
        self._change()

    def playing(self, on: bool) -> None:
        """The agent's voice is played, or is not any more."""
        self._playing = on
        self._change()

    def take(self, event: Event) -> None:
        """Take an event before it is shown itself."""
        match event:
            case InputAudioBufferSpeechStarted():
                self._hearing = True
            case InputAudioBufferSpeechStopped() | InputAudioBufferCommitted():
                self._hearing, self._due = False, True
            case ResponseCreated(response=response):
                self._spoken = self._spoken and bool(self._responses)
                self._responses.add(response.id or "")
                self._due = True
            case ResponseOutputTextDelta() | ResponseOutputAudioTranscriptDelta():
                self._spoken = bool(self._responses)
            case ResponseDone(response=response):
                self._responses.discard(response.id or "")
            case ToolStarted(background=False, call_id=call_id, name=name):
                self._tools[call_id] = name
                self._spoken = self._spoken and bool(self._responses)
            case ToolFinished(call_id=call_id):
                self._tools.pop(call_id, None)
            case TurnCompleted():
                self._due = bool(self._responses)
                self._spoken = self._spoken and self._due
            case Reconnecting(attempt=attempt, of=of):
                self._again = f"{attempt}/{of}"
                self._responses.clear()
                self._spoken = self._hearing = False
            case Reconnected():
                self._again = None
            case _:
                return
        self._change()

    def _change(self) -> None:
        state = self._state()
        if state != self._shown:
            self._shown = state
            self._show(state)

    def _state(self) -> StateRecord:
        if self._again is not None:
            return StateRecord(state="reconnecting", detail=self._again)
        if self._hearing:
            return StateRecord(state="hearing")
        if self._tools:
            return StateRecord(state="tool", detail=next(reversed(self._tools.values())))
        if self._spoken or self._playing:
            return StateRecord(state="speaking")
        return StateRecord(state="thinking" if self._due else "listening")
