"""What every peer offers the model, and what it calls for each thing that it hands to the user."""

import asyncio

TOOL = {
    "type": "function",
    "name": "noop",
    "description": "does nothing",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
}


class Hooks:
    """Counts what a peer hands to the user."""

    def __init__(self) -> None:
        self.audio_bytes = self.texts = self.responses = 0
        self.target = -1
        self.ready, self.done, self.acknowledged = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def audio(self, size: int, event_id: str | None = None) -> None:
        """Audio came."""
        self.audio_bytes += size

    def text(self, delta: str) -> None:
        """Text came."""
        self.texts += 1

    def response_done(self) -> None:
        """A response is over."""
        self.responses += 1
        if self.responses == self.target:
            self.done.set()

    def session_updated(self) -> None:
        """The session can be used."""
        self.ready.set()

    def cleared(self) -> None:
        """The server has read all audio."""
        self.acknowledged.set()
