"""The conversation of a session, for reading."""

from agentkit.events import AnyItem
from agentkit.protocol import Core


class History:
    """Items as the server holds them; what is returned does not change with later events."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def __len__(self) -> int:
        return len(self._core.conversation)

    def items(self) -> list[AnyItem]:
        """Return every item, in the order of the conversation."""
        return self._core.conversation.snapshot()

    def last(self, count: int) -> list[AnyItem]:
        """Return the last items, oldest first."""
        return self._core.conversation.last(count)

    def get(self, item_id: str) -> AnyItem | None:
        """Return an item by its id."""
        state = self._core.conversation.get(item_id)
        return state.snapshot() if state is not None else None

    def audio(self, item_id: str) -> bytes:
        """Return the agent's audio of an item that is still kept, in the session's output format."""
        return self._core.output.read(item_id)

    def audio_ms(self, item_id: str) -> int:
        """Return the milliseconds of an item's audio received so far."""
        return self._core.output.received_ms(item_id)
