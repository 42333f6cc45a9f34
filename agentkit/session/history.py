"""The conversation of a session, for reading."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from agentkit.events import AnyItem, ItemView
from agentkit.protocol import Core

if TYPE_CHECKING:
    from agentkit.session.entries import Entry

BEGINNINGS = 4096
"""Items beyond those of the conversation whose beginnings are remembered: speech that is not committed yet."""


class History:
    """Items as the server holds them; what is returned does not change with later events."""

    def __init__(self, core: Core, now: Callable[[], float]) -> None:
        self._core = core
        self._now = now
        self._opened = now()
        self._began: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._core.conversation)

    def began(self, item_id: str) -> None:
        """Note that an item begins now; what is known already stays."""
        self._began.setdefault(item_id, self._now() - self._opened)
        if len(self._began) > len(self._core.conversation) + BEGINNINGS:
            del self._began[next(iter(self._began))]

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

    def view(self, item_id: str) -> ItemView | None:
        """Return an item by its id, with its audio and what was heard of it."""
        state = self._core.conversation.get(item_id)
        return self._core.view(state) if state is not None else None

    def views(self) -> list[ItemView]:
        """Return every item, in order, with its audio and what was heard of it."""
        return [self._core.view(state) for state in self._core.conversation]

    def entries(self) -> "list[Entry]":
        """Return every item, in order, with its times and what was heard of it."""
        return [self._entry(view) for view in self.views()]

    def _entry(self, view: ItemView) -> "Entry":
        from agentkit.session.entries import Entry

        return Entry(
            item=view.item,
            at=self._began.get(view.id),
            seconds=view.audio.ms / 1000 if view.audio is not None else None,
            heard_ms=view.heard_ms,
            heard_text=view.heard_text,
        )

    def export(self, form: str = "text", *, names: Mapping[str, str] | None = None) -> str:
        """Write the conversation down.

        Args:
            form: ``text``, ``markdown``, ``json`` or ``vtt`` (WebVTT).
            names: What the roles are called, where not ``you``, ``agent`` and so on.

        Raises:
            ValueError: There is no such form.
        """
        from agentkit.session.export import export  # most sessions are never written down

        return export(self.entries(), form, names=names or {})

    def audio(self, item_id: str) -> bytes:
        """Return the agent's audio of an item that is still kept, in the session's output format."""
        return self._core.output.read(item_id)

    def audio_ms(self, item_id: str) -> int:
        """Return the milliseconds of an item's audio received so far."""
        return self._core.output.received_ms(item_id)
