"""The ledger of tool calls: each announced call gets exactly one output, and no body runs twice.

Rule: a call is announced when its item is done with status ``completed``; nothing else announces one. The ledger is
keyed by ``call_id`` for the whole session, so it outlives interruptions and connections. A model that repeats a
``call_id`` in another response gets the recorded output once more there; the body does not run again.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Literal, TypeAlias

from agentkit.events import FunctionCallItem

Reply: TypeAlias = Literal["wait", "speak", "silent"]
"""What follows an output.

``wait``: one response, after the outputs of all calls of the same response; ``speak``: a response at once; ``silent``:
none.
"""


class CallStatus(Enum):
    """Where a call is."""

    RUNNING = "running"
    """Announced; its output is due."""
    DONE = "done"
    """Its output is known and on its way."""
    DELIVERED = "delivered"
    """Its output was written."""
    WITHHELD = "withheld"
    """We give no output: a layer dropped it, its call item is gone, or another client has answered."""


TRANSITIONS: dict[CallStatus, tuple[CallStatus, ...]] = {
    CallStatus.RUNNING: (CallStatus.DONE, CallStatus.WITHHELD),
    CallStatus.DONE: (CallStatus.DELIVERED, CallStatus.WITHHELD),
    CallStatus.DELIVERED: (),
    CallStatus.WITHHELD: (),
}


class Call:
    """One call of the ledger."""

    __slots__ = (
        "arguments",
        "call_id",
        "detached",
        "item_id",
        "item_ids",
        "name",
        "output",
        "repeats",
        "reply",
        "response_id",
        "status",
    )

    def __init__(self, item: FunctionCallItem, response_id: str | None) -> None:
        self.call_id: str = item.call_id or ""
        self.name = item.name
        self.arguments = item.arguments
        self.item_id = item.id
        self.item_ids = {item.id}
        """Every item that is this call: more than one where the model used its ``call_id`` again."""
        self.response_id = response_id
        """The response whose turn waits for the output; None where no event said which."""
        self.repeats: list[str] = []
        """Other responses that made the same call and wait for the recorded output."""
        self.output: str | None = None
        self.reply: Reply = "wait"
        """What follows its output."""
        self.detached = False
        """Whether its turn goes on without its output."""
        self.status = CallStatus.RUNNING

    def move(self, to: CallStatus) -> bool:
        """Change the status where the table allows it, and tell whether it did."""
        if to not in TRANSITIONS[self.status]:
            return False
        self.status = to
        return True

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen to the call."""
        return not TRANSITIONS[self.status] and not self.repeats


class Ledger:
    """All calls of the session."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._orphans: dict[str, set[str]] = {}
        self.duplicates = 0
        """Announcements of calls that were known already."""

    def __len__(self) -> int:
        return len(self._calls)

    def same(self, call: Call, call_ids: Iterable[str]) -> int:
        """Count the responses that made, among these calls, one of the same tool with the same arguments."""
        others = (self._calls.get(call_id) for call_id in call_ids)
        same = (each for each in others if each and (each.name, each.arguments) == (call.name, call.arguments))
        return len({each.response_id for each in same})

    def get(self, call_id: str) -> Call | None:
        """Return a call by its id."""
        return self._calls.get(call_id)

    def announce(self, item: FunctionCallItem, response_id: str | None) -> tuple[Call | None, bool]:
        """Enter a call, once.

        Returns:
            The call (None for one that has no id to answer to), and whether it is new.
        """
        if not item.call_id:
            return None, False
        call = self._calls.get(item.call_id)
        if call is not None:
            self.duplicates += 1
            return call, False
        call = self._calls[item.call_id] = Call(item, response_id)
        return call, True

    def finish(self, call_id: str, output: str) -> Call | None:
        """Record a call's output; return None where the call is unknown or has one already."""
        call = self._calls.get(call_id)
        if call is None or not call.move(CallStatus.DONE):
            return None
        call.output = output
        return call

    def orphan(self, call_id: str, response_id: str) -> None:
        """Remember whose a call is by an event's word, where nothing is known of that response yet."""
        call = self._calls.get(call_id)
        if call is not None and call.response_id is None:
            self._orphans.setdefault(response_id, set()).add(call_id)

    def claimed(self, response_id: str) -> list[Call]:
        """Return the calls that events said were this response's before it was known, once."""
        found = (self._calls[call_id] for call_id in self._orphans.pop(response_id, ()))
        return [call for call in found if call.response_id is None]

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls.values())

    def expects(self, response_id: str) -> bool:
        """Tell whether calls are this response's by an event's word."""
        return bool(self._orphans.get(response_id))

    @property
    def due(self) -> bool:
        """Whether an output that a turn waits for is still to be made or written."""
        return any(
            call.status in (CallStatus.RUNNING, CallStatus.DONE) and not call.detached for call in self._calls.values()
        )

    @property
    def running(self) -> list[Call]:
        """Calls whose output is due."""
        return [call for call in self._calls.values() if call.status is CallStatus.RUNNING]
