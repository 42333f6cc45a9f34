"""The events of the wire that ``--events`` asks for."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase

import msgspec

from agentkit.cli.records import EventRecord
from agentkit.events import Event, MalformedEvent
from agentkit.masking import WireMasker
from agentkit.middleware.base import Direction, Middleware
from agentkit.middleware.frames import without_audio
from agentkit.middleware.secrets import wire_masker


class WireTap(Middleware):
    """Shows the frames whose event types fit one of some patterns; secrets are masked."""

    def __init__(
        self, show: Callable[[EventRecord], None], patterns: Iterable[str] = (), *, audio: bool = False
    ) -> None:
        """Make the layer.

        Args:
            show: Takes the records.
            patterns: As of file names: ``response.*``.
            audio: Leave audio in; otherwise its length stands in for it.
        """
        self.patterns = tuple(patterns)
        """What is shown; may be changed at any time."""
        self._show = show
        self._audio = audio
        self._masker: WireMasker

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Learn what is secret."""
        self._masker = wire_masker(self.session)
        yield

    def on_wire(self, direction: Direction, raw: bytes, event: Event) -> None:
        """Show one frame."""
        if not self.patterns:
            return
        masked = self._masker.frame(raw if self._audio else without_audio(raw, event))
        names = {event.wire_type, _type_of(raw)}
        if any(fnmatchcase(name, pattern) for name in names for pattern in self.patterns):
            body = (
                msgspec.json.encode(masked.decode("utf-8", "replace")) if isinstance(event, MalformedEvent) else masked
            )
            self._show(EventRecord(direction=direction, event=msgspec.Raw(body)))


class _Head(msgspec.Struct):
    type: str = ""


def _type_of(raw: bytes) -> str:
    """Return the type that a frame says, which the beta dialect spells differently."""
    try:
        return msgspec.json.decode(raw, type=_Head).type
    except (msgspec.DecodeError, ValueError):
        return ""
