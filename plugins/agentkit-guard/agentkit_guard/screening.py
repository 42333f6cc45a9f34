"""What ``redact`` and ``topic`` share: every text that passes, on both ways, goes through one screen.

Rule: events that tell the same text agree on it. Deltas hold back an end that could still become something, and let it
out with the part's end at the latest.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, TypeVar, cast

from msgspec.structs import replace

from agentkit import Middleware, Next
from agentkit.events import (
    AnyItem,
    Event,
)
from agentkit_guard.arguments import change_json
from agentkit_guard.places import Where, change_item
from agentkit_guard.reacting import REMEMBERED, Action, Remembered, Speaker
from agentkit_guard.rules import DENIED, Detector, Screen, Stream

E = TypeVar("E", bound=Event)
Rewrite = Callable[[E, str], E]


class _Told:
    """The deltas of one text: its stream, what may be let out, and the event that will carry it."""

    __slots__ = ("event", "pass_on", "ready", "rewrite", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.ready = ""
        self.event: Event | None = None
        self.pass_on: Callable[[Event], Awaitable[None]] | None = None
        self.rewrite: Callable[[Event, str], Event] | None = None


class Screening(Middleware):
    """What may be seen of a text, what is done where something is found, and the deltas that wait."""

    critical: ClassVar[bool] = True

    def __init__(
        self,
        detectors: Sequence[Detector],
        *,
        at: frozenset[Where],
        action: Action,
        message: str | None,
        replacement: str,
    ) -> None:
        """Make the layer.

        Args:
            detectors: What is looked for.
            at: Whose texts.
            action: What happens where something is found.
            message: What is said instead, where the action is to interrupt.
            replacement: What stands in the place of what is found.

        Raises:
            ValueError: The message holds what is looked for, so saying it would be stopped.
        """
        self._masking = Screen(detectors, replacement=replacement)
        self._screen = Screen(detectors, cut=True) if action == "interrupt" else self._masking
        if message and self._masking.finds(message):
            raise ValueError(f"the message {message!r} itself holds what is not let through")
        self._at = at
        self._action: Action = action
        self._speaker = Speaker(self, message)
        self._told: dict[tuple[str, str, int], _Told] = {}
        self._reacted = Remembered()
        self._stopped = Remembered()
        """Responses and items that were cut off."""
        self.settled: dict[str, frozenset[int]] = {}
        """Content parts whose text is whole, by item."""
        self.transcribing = Remembered()
        """Items of the user whose transcript is not whole."""
        self.transcribed = Remembered()
        """Items of the user whose transcript is whole."""

    # What may be seen

    def seen(self, where: Where, text: str, *, final: bool = True) -> str:
        """Return a text as it may be seen."""
        if where not in self._at or self._action == "warn":
            return text
        if where in ("tool_arguments", "tool_output"):
            return change_json(text, self._masking.apply)
        return self._screen.apply(text, final=final)

    def _seen_part(self, where: Where, text: str, index: int) -> str:
        return self.seen(where, text)

    def seen_item(self, item: AnyItem) -> AnyItem:
        """Return an item that is whole as it may be seen."""
        return change_item(item, self._seen_part)

    def react(self, where: Where, subject: str, text: str, response_id: str | None = None) -> None:
        """Do what is to be done where a whole text holds something."""
        if where in self._at and self._action != "replace" and (kind := self._masking.finds(text)) is not None:
            self.found(where, subject, kind, response_id)

    def found(self, where: Where, subject: str, kind: str, response_id: str | None = None) -> None:
        """Do what is to be done, once for each item."""
        if self._action == "replace" or not self._reacted.note(f"{where} {subject}"):
            return
        told = "was stopped" if self._action == "interrupt" else "was let through"
        self.session.notice("guard", f"{self.name}: the {where.replace('_', ' ')} holds {_named(kind)}, and {told}")
        if self._action == "interrupt" and where == "output":
            self._stopped.note_all((subject, response_id))
            self._speaker.cut_off()

    # Deltas

    async def piece(
        self, kind: str, event: E, call_next: Next[E], text: str, rewrite: Rewrite[E], *, item_id: str, index: int = 0
    ) -> None:
        """Let out what may be seen of a text by now; the event waits where an end is held back."""
        where: Where = "input" if kind.startswith("user") else "output"
        if where not in self._at:
            await call_next(event)
            return
        key = (kind, item_id, index)
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = _Told(self._screen.stream())
        before = len(told.stream.found)
        told.ready += told.stream.feed(text)
        if len(told.stream.found) > before:
            self.found(where, item_id, told.stream.found[-1], getattr(event, "response_id", None))
        if self._action == "warn":
            told.ready = ""
            await call_next(event)
        elif told.stream.waiting:
            if told.ready:
                await self._let_out(told)
            told.event, told.rewrite = event, cast("Callable[[Event, str], Event]", rewrite)
            told.pass_on = cast("Callable[[Event], Awaitable[None]]", call_next)
        else:
            told.event = told.pass_on = None
            ready, told.ready = told.ready, ""
            if ready:
                await call_next(event if ready == text else rewrite(event, ready))

    async def _let_out(self, told: _Told) -> None:
        event, pass_on = told.event, told.pass_on
        if event is not None and pass_on is not None and told.rewrite is not None:
            ready, told.ready = told.ready, ""
            told.event = told.pass_on = None
            await pass_on(told.rewrite(event, ready))

    async def arguments_piece(self, kind: str, event: E, call_next: Next[E], item_id: str, rewrite: Rewrite[E]) -> None:
        """Let the first delta of a call's arguments wait for all: JSON can be looked through as a whole only."""
        if "tool_arguments" not in self._at or self._action == "warn":
            await call_next(event)
            return
        told = self._told.setdefault((kind, item_id, 0), _Told(self._masking.stream()))
        if told.event is None:
            told.event, told.rewrite = event, cast("Callable[[Event, str], Event]", rewrite)
            told.pass_on = cast("Callable[[Event], Awaitable[None]]", call_next)

    async def arguments_over(self, item_id: str, arguments: str) -> None:
        """Let the delta that waits out, with all that may be seen of the arguments."""
        for kind in ("arguments", "arguments updated"):
            told = self._told.pop((kind, item_id, 0), None)
            if told is not None:
                told.ready = arguments
                await self._let_out(told)

    async def flush(self, item_id: str, index: int | None = None, *, kinds: Sequence[str]) -> None:
        """Let out the ends of an item's texts, which are whole now.

        Args:
            item_id: The item.
            index: The content part; None means all.
            kinds: Which of its texts: ``agent``, ``user``, and what the engine tells of them.
        """
        for key in [key for key in self._told if key[1] == item_id and key[0] in kinds]:
            if index is None or key[2] == index or key[0].endswith("updated"):
                told = self._told.pop(key)
                if not self.is_stopped(item_id):
                    told.ready += told.stream.feed("", final=True)
                if told.ready:
                    await self._let_out(told)

    def settle(self, item_id: str, index: int) -> None:
        """Note that a content part's text is whole."""
        self.settled[item_id] = self.settled.pop(item_id, frozenset()) | {index}
        if len(self.settled) > REMEMBERED:
            del self.settled[next(iter(self.settled))]

    def is_stopped(self, *names: str | None) -> bool:
        """Tell whether one of these was cut off."""
        return any(name in self._stopped for name in names if name)


def _named(kind: str) -> str:
    """Name a kind in a sentence."""
    return "what is denied" if kind == DENIED else f"what looks like a secret ({kind})"


def with_delta(event: E, text: str) -> E:
    """Return a delta with another text."""
    return replace(event, delta=text)
