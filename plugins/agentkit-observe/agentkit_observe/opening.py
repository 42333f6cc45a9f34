"""When a session has begun to be used, so that somebody hears what it is told."""

from typing import Final

from agentkit.events import ConversationCreated, Event, SessionCreated, SessionUpdate, SessionUpdated

_OPENING: Final = (SessionCreated, SessionUpdate, SessionUpdated, ConversationCreated)


def is_opening(event: Event) -> bool:
    """Tell whether a frame only opens the session: nobody listens yet to what would be told."""
    return isinstance(event, _OPENING)
