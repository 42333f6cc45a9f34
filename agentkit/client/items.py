"""Items as the reference client has them: the protocol's fields, and ``formatted``, what people want of them."""

from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any

import msgspec

from agentkit.client.plain import Plain, PlainDict, PlainStruct, plain
from agentkit.events import (
    FunctionCallItem,
    FunctionCallOutputItem,
    ItemDelta,
    ItemView,
    MessageItem,
    UnknownItem,
)
from agentkit.events.items import written

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class FormattedTool(PlainStruct, frozen=True, kw_only=True):
    """The call that an item is."""

    type: str = "function"
    name: str
    call_id: str | None
    arguments: str
    """JSON, as far as it has come."""


class Formatted(Plain):
    """What people want of an item; each field is made when it is first read."""

    def __init__(self, view: ItemView) -> None:
        self._view = view

    def _names(self) -> tuple[str, ...]:
        return ("audio", "text", "transcript", "tool", "output", "file")

    def __repr__(self) -> str:
        return f"Formatted(text={self.text!r}, transcript={self.transcript!r}, tool={self.tool!r})"

    @cached_property
    def audio(self) -> "npt.NDArray[np.int16]":
        """The audio so far as 16-bit samples at the session's rate; G.711 is decoded. Empty where there is none.

        What retention has dropped is not in it: ``keep_audio_bytes`` of the client says how much is kept.
        """
        from agentkit.audio import as_samples, decode

        audio = self._view.audio
        return as_samples(b"") if audio is None else decode(audio.read(), audio.format)

    @cached_property
    def text(self) -> str:
        """The written text so far."""
        return self._view.text

    @cached_property
    def transcript(self) -> str:
        """What is said in the item, so far."""
        return self._view.transcript

    @cached_property
    def tool(self) -> FormattedTool | None:
        """The call, where the item is one."""
        item = self._view.item
        if not isinstance(item, FunctionCallItem):
            return None
        return FormattedTool(name=item.name, call_id=item.call_id, arguments=item.arguments)

    @cached_property
    def output(self) -> str | None:
        """The output, where the item is that of a call."""
        item = self._view.item
        return item.output if isinstance(item, FunctionCallOutputItem) else None

    @cached_property
    def file(self) -> bytes | None:
        """The audio as a WAV file; None where there is none."""
        from agentkit.audio import write_wav

        view = self._view.audio
        if view is None or not len(self.audio):
            return None
        file = BytesIO()
        rate = view.format.rate
        write_wav(file, self.audio, rate=rate if isinstance(rate, int) else 24000)
        return file.getvalue()


class Item(Plain):
    """An item at one moment; later events do not change it."""

    def __init__(self, view: ItemView) -> None:
        self._view = view
        self.id = view.id
        self.status = view.status
        """``in_progress``, ``completed`` or ``incomplete``."""
        self.formatted = Formatted(view)

    def _names(self) -> tuple[str, ...]:
        fields = ("id", "object", "type", "role", "status", "content", "formatted", "previous_item_id")
        return (*fields, "name", "call_id", "arguments", "output", "interrupted", "heard_ms", "heard_text")

    def __repr__(self) -> str:
        return f"Item(id={self.id!r}, type={self.type!r}, role={self.role!r}, status={self.status!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item) and other._view == self._view

    def __hash__(self) -> int:
        return hash(self.id)

    @cached_property
    def _wire(self) -> dict[str, Any]:
        item = self._view.item
        if isinstance(item, UnknownItem):
            return dict(item.data)
        data: dict[str, Any] = msgspec.to_builtins(item, enc_hook=written)
        return data

    @property
    def object(self) -> str:
        """``realtime.item``."""
        return "realtime.item"

    @property
    def type(self) -> str:
        """``message``, ``function_call``, ``function_call_output``, or another of the protocol's."""
        return str(self._wire.get("type", ""))

    @property
    def role(self) -> str | None:
        """``user``, ``assistant`` or ``system``, of a message."""
        item = self._view.item
        return item.role if isinstance(item, MessageItem) else None

    @cached_property
    def content(self) -> list[PlainDict]:
        """The content parts of a message, in the protocol's shape."""
        return list(plain(self._wire.get("content") or []))

    @property
    def previous_item_id(self) -> str | None:
        """The item before it."""
        return self._view.previous_item_id

    @property
    def name(self) -> str | None:
        """The tool's name, of a call."""
        return self._wire.get("name")

    @property
    def call_id(self) -> str | None:
        """Of a call and of its output."""
        return self._wire.get("call_id")

    @property
    def arguments(self) -> str | None:
        """JSON as far as it has come, of a call."""
        return self._wire.get("arguments")

    @property
    def output(self) -> str | None:
        """Of the output of a call."""
        return self._wire.get("output")

    @property
    def interrupted(self) -> bool:
        """Whether the agent was stopped while it made the item, or cut off while it was played."""
        return self._view.interrupted or self._view.heard_ms is not None

    @property
    def heard_ms(self) -> int | None:
        """Milliseconds after which the agent was cut off; None where it was not."""
        return self._view.heard_ms

    @property
    def heard_text(self) -> str | None:
        """What was heard of an item that was cut off: an estimate; None where it was not."""
        return self._view.heard_text


class Delta(PlainStruct, frozen=True, kw_only=True):
    """What one event added to an item; exactly the field of the kind that came is set."""

    text: str | None = None
    transcript: str | None = None
    audio: Any = None
    """16-bit samples, as ``formatted.audio``."""
    arguments: str | None = None

    @classmethod
    def of(cls, delta: ItemDelta, view: ItemView) -> "Delta":
        """Make it of the session's delta."""
        audio = None
        if delta.audio is not None:
            from agentkit.audio import as_samples, decode

            audio = as_samples(delta.audio) if view.audio is None else decode(delta.audio, view.audio.format)
        return cls(text=delta.text, transcript=delta.transcript, audio=audio, arguments=delta.arguments)
