"""The base classes of everything that can be said.

Rule: a wire event's class is its wire name in CamelCase (``response.output_audio.delta`` is
``ResponseOutputAudioDelta``); the one exception is the wire's ``error``, which is ``ErrorEvent``.
"""

from collections.abc import Callable
from typing import ClassVar

import msgspec
from msgspec.structs import force_setattr


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Anything that passes the middleware."""

    wire_type: ClassVar[str] = ""
    """The event's name on the wire; for session events, the name used in logs."""


class ClientEvent(Event, frozen=True, kw_only=True, omit_defaults=True):
    """An event that goes to the server."""

    event_id: str | None = None
    """Chosen by the client; the server repeats it only in an ``error`` that the event caused."""


class ServerEvent(Event, frozen=True, kw_only=True):
    """An event that comes from the server."""

    event_id: str | None = None


class SessionEvent(Event, frozen=True, kw_only=True):
    """An event that the engine makes for the application; it never touches the wire."""


class ResponseEvent(ServerEvent, frozen=True, kw_only=True):
    """A server event about one response; ``@on(ResponseEvent)`` takes the family."""


def name_on_wire(cls: type[Event]) -> None:
    """Set ``wire_type`` from the tag of a wire event's class.

    A tagged Struct keeps its tag in the class's configuration only, where nobody would look for it.
    """
    cls.wire_type = str(cls.__struct_config__.tag)


def settle(struct: msgspec.Struct, name: str, decode: Callable[[msgspec.Raw], object]) -> None:
    """Decode a field that msgspec has left raw; a value that a caller has given is left as it is.

    msgspec knows no union with a fallback for an unknown tag, and no class with two shapes. So a field that
    needs one of them is ``Raw`` for msgspec and has its true type for the type checker; ``__post_init__``
    calls this, and nobody ever sees the raw value.
    """
    value: object = getattr(struct, name)
    if type(value) is msgspec.Raw:
        force_setattr(struct, name, decode(value))


def fill(struct: msgspec.Struct, name: str, empty: object) -> None:
    """Put the empty value into a field that arrived as ``null``."""
    if getattr(struct, name) is None:
        force_setattr(struct, name, empty)


def settle_each(struct: msgspec.Struct, name: str, decode: Callable[[msgspec.Raw], object]) -> None:
    """Do the same to each element of a tuple."""
    values: object = getattr(struct, name)
    if isinstance(values, tuple) and any(type(value) is msgspec.Raw for value in values):
        decoded = (decode(value) if type(value) is msgspec.Raw else value for value in values)
        force_setattr(struct, name, tuple(decoded))
