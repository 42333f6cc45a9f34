"""What the tests of the server core share."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from agentkit.events import Dialect, ErrorEvent, ServerEvent
from agentkit.local import ServerCore, StartResponse
from agentkit.local.effects import Effect


class Bench:
    """A server core on the bench: plain dicts in, effects out."""

    def __init__(self, *, dialect: Dialect = Dialect.GA, speaks: bool = False, hears: bool = False) -> None:
        self._ids: Counter[str] = Counter()
        self.core = ServerCore(self.new_id, "rules", dialect=dialect, speaks=speaks, hears=hears)
        self.begun = self.core.begin()

    def new_id(self, kind: str) -> str:
        """Count the ids of each kind."""
        self._ids[kind] += 1
        return f"{kind}_{self._ids[kind]}"

    def send(self, wire_type: str, **fields: Any) -> list[Effect]:
        """Give an event to the core as a frame."""
        return self.core.receive_frame(msgspec.json.encode({"type": wire_type, **fields}))

    def update(self, **settings: Any) -> list[Effect]:
        """Change the session in the GA dialect."""
        return self.send("session.update", session={"type": "realtime", **settings})

    def user(self, text: str, **fields: Any) -> list[Effect]:
        """Add a user's message."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **fields}
        return self.send("conversation.item.create", item=item)

    def create(self, **settings: Any) -> list[Effect]:
        """Ask for a response."""
        return self.send("response.create", response=settings) if settings else self.send("response.create")

    def started(self, **settings: Any) -> StartResponse:
        """Ask for a response, and return what the responder is asked."""
        return self.start_of(self.create(**settings))

    @staticmethod
    def start_of(effects: Sequence[Effect]) -> StartResponse:
        """Return the one response that begins."""
        [start] = [effect for effect in effects if isinstance(effect, StartResponse)]
        return start

    @staticmethod
    def names(effects: Sequence[Effect]) -> list[str]:
        """Return the wire names of the events, and the class names of the instructions."""
        return [effect.wire_type if isinstance(effect, ServerEvent) else type(effect).__name__ for effect in effects]

    @staticmethod
    def only(effects: Sequence[Effect], wire_type: str) -> Any:
        """Return the one event of a type."""
        [event] = [each for each in effects if isinstance(each, ServerEvent) and each.wire_type == wire_type]
        return event

    @staticmethod
    def refused(effects: Sequence[Effect]) -> tuple[str | None, str | None]:
        """Return the code and the field of the only event, an error."""
        [event] = effects
        assert isinstance(event, ErrorEvent)
        return event.error.code, event.error.param


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    """Make cores with other abilities or another dialect."""
    return Bench


@pytest.fixture
def bench() -> Bench:
    """A core whose responder makes text, under push to talk."""
    made = Bench()
    made.update(audio={"input": {"turn_detection": None}})
    return made
