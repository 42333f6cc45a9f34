"""Which events the handlers are told of, under which names, and with what payload.

Rule: what a handler may write to is made anew for each of them.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from agentkit.client.handlers import EventHandlers
from agentkit.client.items import Delta, Item
from agentkit.client.payloads import Appended, Closed, Failure, Interruption, Noticed, RealtimeEvent, Updated
from agentkit.client.plain import PlainDict, plain
from agentkit.client.realtime import RealtimeAPI
from agentkit.errors import AgentkitError, ConnectionLostError, ServerError
from agentkit.events import (
    OTHER_NAMES,
    AppEvent,
    ConversationUpdated,
    ErrorOccurred,
    Event,
    Interrupted,
    ItemAppended,
    ItemCompleted,
    ItemDelta,
    ItemView,
    Notice,
    SessionEnded,
    ToolFinished,
)
from agentkit.middleware.base import Direction

logger = logging.getLogger("agentkit.client")

SOURCES = {"in": "server", "out": "client"}


class Frame(msgspec.Struct, frozen=True):
    """A frame as it went over the wire."""

    direction: Direction
    raw: bytes
    wire_type: str

    @property
    def holds_audio(self) -> bool:
        """Whether it is the agent's audio, of which some may be dropped where handlers are slow."""
        return self.direction == "in" and self.wire_type in ("response.output_audio.delta", "response.audio.delta")


class Teller:
    """Tells the handlers of a client, and of its low level, what happened."""

    def __init__(self, client: EventHandlers, realtime: RealtimeAPI) -> None:
        self._client = client
        self._realtime = realtime

    def wants(self, direction: Direction, wire_type: str) -> bool:
        """Tell whether anybody listens to frames of this direction and type."""
        realtime = self._realtime
        return (
            realtime.debug
            or self._client.listened("realtime.event")
            or realtime.listened(*_names(direction, wire_type))
        )

    async def tell(self, event: "Event | Frame") -> None:
        """Call the handlers of an event, one after the other."""
        match event:
            case Frame():
                await self._frame(event)
            case ConversationUpdated(item=view, delta=delta, deleted=deleted):
                await self._say("conversation.updated", partial(_updated, view, delta, deleted=deleted))
            case ItemAppended(item=view):
                await self._item("conversation.item.appended", view)
            case ItemCompleted(item=view):
                if view.status == "completed":
                    await self._item("conversation.item.completed", view)
            case Interrupted(item_id=item_id, heard_ms=heard_ms, heard_text=text, by_speech=True):
                told = Interruption(item_id=item_id, heard_ms=heard_ms, heard_text=text)
                await self._say("conversation.interrupted", lambda: told)
            case ErrorOccurred(error=error, command=command):
                await self._error(error, command)
            case ToolFinished(error=BaseException() as fault, name=name):
                message = f"the tool {name} failed: {type(fault).__name__}: {fault}"
                await self._say("error", partial(Failure, error=fault, message=message, code="tool_failed"))
            case AppEvent(name=name, data=data):
                await self._dispatch(self._realtime, f"client.{name}", payload=lambda: plain({"type": name, **data}))
            case Notice(level=level, code=code, message=message, hint=hint):
                await self._say("notice", partial(Noticed, level=level, code=code, message=message, hint=hint))
            case SessionEnded(cause=cause, error=ended):
                await self._closed(cause, ended)
            case _:
                pass

    def begin(self) -> int:
        """A connection begins; return its number."""
        self._realtime.begin_waiting()
        return self._client.begin_waiting()

    def end(self, error: AgentkitError | None, generation: int) -> None:
        """Let everybody go on who waits since that connection, or longer: nothing more will come of it."""
        self._client.end_waiting(error, generation)
        self._realtime.end_waiting(error, generation)

    async def _frame(self, frame: Frame) -> None:
        try:
            event = msgspec.json.decode(frame.raw)
        except (msgspec.DecodeError, ValueError, RecursionError):
            event = {"type": frame.wire_type, "raw": frame.raw.decode("utf-8", "backslashreplace")}
        if not isinstance(event, dict):
            event = {"type": frame.wire_type, "raw": event}
        self._realtime.log(frame.direction, frame.wire_type, event)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        await self._dispatch(self._realtime, *_names(frame.direction, frame.wire_type), payload=lambda: plain(event))
        source = SOURCES[frame.direction]
        await self._say("realtime.event", lambda: RealtimeEvent(time=now, source=source, event=PlainDict(plain(event))))

    async def _item(self, name: str, view: ItemView) -> None:
        await self._say(name, lambda: Appended(item=Item(view)))

    async def _closed(self, cause: str, error: BaseException | None) -> None:
        lost = error if isinstance(error, ConnectionLostError) else None
        if error is not None:
            await self._error(error)
        code = lost.close_code if lost is not None else None
        reason = str(error) if error is not None else None
        await self._say("close", partial(Closed, error=error is not None, cause=cause, code=code, reason=reason))

    async def _error(self, error: BaseException, command: Any = None) -> None:
        told = Failure(error=error, message=str(error), command=command)
        if isinstance(error, ServerError):
            told = msgspec.structs.replace(told, code=error.code, param=error.param, event_id=error.event_id)
        elif isinstance(error, ConnectionLostError):
            told = msgspec.structs.replace(told, code="connection_lost")
        if not self._client.listened("error"):
            logger.warning("%s", told.message)
        await self._say("error", lambda: told)

    async def _say(self, name: str, payload: Callable[[], Any]) -> None:
        await self._dispatch(self._client, name, payload=payload)

    async def _dispatch(self, handlers: EventHandlers, *names: str, payload: Callable[[], Any]) -> None:
        for fault in await handlers.dispatch(*names, payload=payload):
            told = names[0] != "error" and self._client.listened("error")
            logger.log(logging.DEBUG if told else logging.ERROR, "a handler of %s failed", names[0], exc_info=fault)
            if names[0] != "error":  # a handler of errors that fails is only logged
                message = f"a handler of {names[0]} failed: {type(fault).__name__}: {fault}"
                await self._say("error", partial(Failure, error=fault, message=message, code="handler_failed"))


def _updated(view: ItemView, delta: ItemDelta | None, *, deleted: bool) -> Updated:
    change = Delta.of(delta, view) if delta is not None else None
    return Updated(item=Item(view), delta=change, deleted=deleted)


def _names(direction: Direction, wire_type: str) -> tuple[str, ...]:
    """Return an event's names, that of the other dialect as well."""
    source = SOURCES[direction]
    other = OTHER_NAMES.get(wire_type) if direction == "in" else None
    return (f"{source}.{wire_type}",) if other is None else (f"{source}.{wire_type}", f"{source}.{other}")
