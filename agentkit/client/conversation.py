"""The conversation as the reference client has it, for reading."""

from collections.abc import Callable

from agentkit.client.items import Item
from agentkit.session import Session


class RealtimeConversation:
    """The items of the current connection; empty where there is none."""

    def __init__(self, session: Callable[[], Session | None]) -> None:
        self._session = session

    @property
    def default_frequency(self) -> int:
        """Samples a second of the agent's audio."""
        session = self._session()
        rate = session.output_format.rate if session is not None else None
        return rate if isinstance(rate, int) else 24000

    def get_item(self, item_id: str) -> Item | None:
        """Return an item by its id; None where there is none.

        Example:
            >>> from agentkit import Local, RealtimeClient
            >>> RealtimeClient(provider=Local()).conversation.get_item("item_1") is None
            True
        """
        session = self._session()
        view = session.history.view(item_id) if session is not None else None
        return Item(view) if view is not None else None

    def get_items(self) -> list[Item]:
        """Return every item, in the order of the conversation.

        Example:
            >>> from agentkit import Local, RealtimeClient
            >>> RealtimeClient(provider=Local()).conversation.get_items()
            []
        """
        session = self._session()
        return [Item(view) for view in session.history.views()] if session is not None else []
