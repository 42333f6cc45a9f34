"""Who listens: subscriptions with bounded buffers, and one-shot waiters.

Rule: the reader never waits for a consumer. Audio is dropped oldest-first with a counter; no other event is ever
dropped silently: a subscriber that falls too far behind is ended with an error. Every waiter ends with the session.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import anyio

from agentkit.errors import AgentkitError, SlowConsumerError
from agentkit.events import ConversationUpdated, Event, ResponseOutputAudioDelta

E = TypeVar("E", bound=Event)
MAX_EVENTS = 10_000
"""Events other than audio that a subscriber may be behind."""
MAX_AUDIO_BYTES = 8 << 20
"""Base64 characters of audio that a subscriber may be behind."""


class Receiver(Protocol):
    """What takes events, without waiting."""

    def wants(self, event_class: type[Event]) -> bool:
        """Tell whether events of this class are wanted."""

    def push(self, event: Any) -> None:
        """Take an event."""

    def end(self, error: AgentkitError | None) -> None:
        """Take the end of the session; ``error`` where it was not asked for."""


class FanOut:
    """The receivers of one session, by event class."""

    def __init__(self) -> None:
        self._receivers: list[Receiver] = []
        self._by_class: dict[type[Event], tuple[Receiver, ...]] = {}
        self._end: tuple[AgentkitError | None] | None = None

    def add(self, receiver: Receiver) -> None:
        """Let a receiver have every event from now on; one added after the end is ended at once."""
        if self._end is not None:
            receiver.end(self._end[0])
            return
        self._receivers.append(receiver)
        self._by_class.clear()

    def remove(self, receiver: Receiver) -> None:
        """Take a receiver out."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)
            self._by_class.clear()

    def wanted(self, event_class: type[Event]) -> bool:
        """Tell whether anybody wants events of this class."""
        return bool(self._targets(event_class))

    def deliver(self, event: Event) -> None:
        """Hand an event to everybody who wants it."""
        targets = self._by_class.get(type(event))
        for receiver in self._targets(type(event)) if targets is None else targets:
            receiver.push(event)

    def _targets(self, event_class: type[Event]) -> tuple[Receiver, ...]:
        targets = self._by_class.get(event_class)
        if targets is None:
            targets = tuple(receiver for receiver in self._receivers if receiver.wants(event_class))
            self._by_class[event_class] = targets
        return targets

    def end(self, error: AgentkitError | None) -> None:
        """End every receiver."""
        self._end = (error,)
        receivers, self._receivers = self._receivers, []
        self._by_class.clear()
        for receiver in receivers:
            receiver.end(error)


class Subscription(Generic[E]):
    """Events as an async iterator; it ends when the session does.

    Iterating raises ``ConnectionLostError`` where the connection was lost, and ``SlowConsumerError`` where too many
    events were waiting.
    """

    def __init__(
        self, fanout: FanOut, classes: tuple[type[Event], ...], audio_size: Callable[[Any], int] | None = None
    ) -> None:
        """Begin to listen.

        Args:
            fanout: Where events come from.
            classes: Which events.
            audio_size: Tells how much audio something holds, and so that it may be dropped; 0 for what may not be.
        """
        self._fanout = fanout
        self._classes = classes
        self._size_of = audio_size or audio_size_of
        self._events: deque[Any] = deque()
        self._audio_size = 0
        self._control = 0
        self._waiting: anyio.Event | None = None
        self._ended = False
        self._error: AgentkitError | None = None
        self.dropped_audio = 0
        """Audio deltas dropped because nobody took them in time."""
        fanout.add(self)

    def wants(self, event_class: type[Event]) -> bool:
        """Tell whether events of this class are wanted."""
        return issubclass(event_class, self._classes)

    def push(self, event: Any) -> None:
        """Take an event."""
        if size := self._size_of(event):
            self._audio_size += size
            self._events.append(event)
            while self._audio_size > MAX_AUDIO_BYTES:
                self._drop_oldest_audio()
        elif self._control >= MAX_EVENTS:
            self._fanout.remove(self)
            self.end(
                SlowConsumerError(
                    f"{MAX_EVENTS} events were waiting to be read, so this subscription was ended; read faster, "
                    "or subscribe to fewer event classes"
                )
            )
        else:
            self._control += 1
            self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()
            self._waiting = None

    def _drop_oldest_audio(self) -> None:
        for index, event in enumerate(self._events):
            if size := self._size_of(event):
                del self._events[index]
                self._audio_size -= size
                self.dropped_audio += 1
                return

    def end(self, error: AgentkitError | None) -> None:
        """Take the end of the session; what is buffered can still be read."""
        self._ended = True
        self._error = error
        self._wake()

    def close(self) -> None:
        """Stop listening; what is buffered can still be read."""
        self._fanout.remove(self)
        self.end(None)

    def __enter__(self) -> "Subscription[E]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> "Subscription[E]":
        return self

    async def __anext__(self) -> E:
        while not self._events:
            if self._ended:
                if self._error is not None:
                    error, self._error = self._error, None
                    raise error.with_traceback(None)
                raise StopAsyncIteration
            if self._waiting is None:
                self._waiting = anyio.Event()
            await self._waiting.wait()
        event: E = self._events.popleft()
        if size := self._size_of(event):
            self._audio_size -= size
        else:
            self._control -= 1
        return event


def audio_size_of(event: Any) -> int:
    """Return how much audio an event holds, by which it may be dropped."""
    if isinstance(event, ResponseOutputAudioDelta):
        return len(event.delta)
    if isinstance(event, ConversationUpdated) and event.delta is not None and event.delta.audio is not None:
        return len(event.delta.audio)
    return 0


class Waiter(Generic[E]):
    """One event that somebody waits for."""

    def __init__(self, event_class: type[E], where: Callable[[E], bool] | None, closed: AgentkitError) -> None:
        self._class = event_class
        self._where = where
        self._closed = closed
        self._done = anyio.Event()
        self._event: E | None = None
        self._error: BaseException | None = None

    def wants(self, event_class: type[Event]) -> bool:
        """Tell whether events of this class are wanted."""
        return issubclass(event_class, self._class)

    def push(self, event: E) -> None:
        """Take an event."""
        if self._done.is_set():
            return
        try:
            fits = self._where is None or self._where(event)
        except Exception as exc:  # noqa: BLE001  # isolation boundary: a listener's fault is its own, not the reader's
            self._error = exc
            self._done.set()
        else:
            if fits:
                self._event = event
                self._done.set()

    def end(self, error: AgentkitError | None) -> None:
        """Take the end of the session."""
        if not self._done.is_set():
            self._error = error or self._closed
            self._done.set()

    async def wait(self) -> E:
        """Wait for the event."""
        await self._done.wait()
        if self._error is not None:
            raise self._error
        assert self._event is not None
        return self._event
