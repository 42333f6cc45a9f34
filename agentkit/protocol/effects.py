"""What the core asks the engine to do, as values."""

from typing import TypeAlias

import msgspec

from agentkit.events import ClientEvent, SessionEvent
from agentkit.protocol.turns import TurnState


class Propose(msgspec.Struct, frozen=True):
    """Hand a client event to the top of the layers."""

    event: ClientEvent


class Transmit(msgspec.Struct, frozen=True):
    """Write a client event; it has passed the layers."""

    event: ClientEvent


class Emit(msgspec.Struct, frozen=True):
    """Hand a session event to the layers and the application."""

    event: SessionEvent


class StartTool(msgspec.Struct, frozen=True):
    """Run a tool, and tell the core its output by ``finish_call``."""

    call_id: str
    name: str
    arguments: str
    item_id: str | None
    response_id: str | None


class CancelTool(msgspec.Struct, frozen=True):
    """Tell a running tool that its turn was interrupted; the tool's own policy decides what it does."""

    call_id: str


class AskForServer(msgspec.Struct, frozen=True):
    """The server asks whether it may run a tool; the answer goes to ``core.decided``."""

    item_id: str
    server_label: str
    name: str
    arguments: str


class ServerCallBegan(msgspec.Struct, frozen=True):
    """The server runs a tool."""

    item_id: str
    name: str
    arguments: str


class ServerCallEnded(msgspec.Struct, frozen=True):
    """A tool that the server runs has ended."""

    item_id: str
    name: str
    output: str
    error: str | None


class StartTimer(msgspec.Struct, frozen=True):
    """Call ``core.timer(name)`` after some seconds."""

    name: str
    seconds: float


class ItemBegan(msgspec.Struct, frozen=True):
    """An item entered the conversation, or the user began to say it; its clock starts."""

    item_id: str


class TurnBegan(msgspec.Struct, frozen=True):
    """A turn's input is complete; its clock starts."""

    turn: TurnState


class TurnOutput(msgspec.Struct, frozen=True):
    """A turn's first text, transcript or audio came."""

    turn: TurnState


class TurnEnded(msgspec.Struct, frozen=True):
    """A turn is over; who waits for it can go on."""

    turn: TurnState


class UpdateEnded(msgspec.Struct, frozen=True):
    """A ``session.update`` was confirmed, or refused."""

    event_id: str
    error: BaseException | None


class Suppress(msgspec.Struct, frozen=True):
    """Do not hand the server event that was just received to anyone: it is a duplicate, or late."""

    reason: str


Effect: TypeAlias = (
    Propose
    | Transmit
    | Emit
    | StartTool
    | CancelTool
    | AskForServer
    | ServerCallBegan
    | ServerCallEnded
    | StartTimer
    | ItemBegan
    | TurnBegan
    | TurnOutput
    | TurnEnded
    | UpdateEnded
    | Suppress
)
