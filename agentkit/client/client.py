"""``RealtimeClient``: connect, talk, listen, as in the reference client.

Names are JavaScript's in Python's writing; methods that send are async; times are seconds.
"""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import pybase64

from agentkit.audio import Pcm16, encode
from agentkit.client.connected import ConnectedClient
from agentkit.client.items import Item
from agentkit.client.payloads import Appended
from agentkit.client.plain import PlainDict
from agentkit.errors import LocalProtocolError
from agentkit.events import AnyPart, AudioFormat, InputText, decode_part

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "input_text": ("type", "text"),
    "input_audio": ("type", "audio", "transcript"),
    "input_image": ("type", "image_url", "detail"),
}
"""What a user's message is made of, with the fields of each."""


class RealtimeClient(ConnectedClient):
    """A client of the Realtime API with the reference client's surface.

    Events, by ``on``: ``realtime.event``, ``conversation.updated``, ``conversation.item.appended``,
    ``conversation.item.completed``, ``conversation.interrupted``, ``error`` and ``close``. What handlers are given does
    not change with later events.

    Example:
        >>> import anyio
        >>> from agentkit import Local, RealtimeClient
        >>> async def main():
        ...     client = RealtimeClient(provider=Local())
        ...     client.on("conversation.item.completed", lambda event: print(event.item.role))
        ...     await client.connect()
        ...     await client.send_user_message_content([{"type": "input_text", "text": "Hello!"}])
        ...     await client.wait_for_next_completed_item()
        ...     await client.wait_for_next_completed_item()
        ...     await client.disconnect()
        >>> anyio.run(main)
        user
        assistant
    """

    # Sending

    async def send_user_message_content(
        self, content: "str | Mapping[str, Any] | Sequence[str | Mapping[str, Any] | AnyPart]" = ()
    ) -> None:
        """Send a message of the user's and ask for a response; without content, only ask for one.

        Audio that was appended and is not committed is left alone: it is no part of what is typed.

        Args:
            content: Parts: ``input_text`` (or a plain string), ``input_audio`` with ``audio`` as bytes in the session's
                format, as an array of 16-bit numbers, or as base64, and ``input_image``. One alone need be in no list.

        Raises:
            LocalProtocolError: The client is not connected.
            ValueError: A part is none that a user can send.
            TypeError: The audio of a part is none.

        Example:
            >>> async def ask(client):
            ...     await client.send_user_message_content([{"type": "input_text", "text": "How are you?"}])
        """
        session = self.session
        if not content:
            await self.create_response()
            return
        parts = content if not isinstance(content, str | Mapping) else [content]
        if not isinstance(parts, list | tuple):
            raise TypeError(f"content is a list of parts, not {type(content).__name__}")
        message = [_part(each, session.input_format) for each in parts]
        await session.add_message("user", *message, reply=True)

    async def append_input_audio(self, audio: Pcm16) -> None:
        """Add to the user's audio. Without a connection it is dropped and counted in ``dropped_input``.

        Args:
            audio: Bytes in the session's input format, or an array of 16-bit numbers, brought into that format.

        Raises:
            TypeError: It is neither.

        Example:
            >>> async def speak(client, microphone):
            ...     async for chunk in microphone:
            ...         await client.append_input_audio(chunk)
        """
        session = self._session
        data = _in_format(audio, session.input_format if session is not None else AudioFormat(rate=24000))
        if session is None:
            self.dropped_input += len(data)
        elif data:
            dropped = session.dropped_input
            await session.append_audio(data)
            self.dropped_input += session.dropped_input - dropped

    async def create_response(self) -> None:
        """Ask for a response, after committing the user's audio where the client ends the turns.

        Where the server ends them (turn detection is on), nothing is committed; and while it is about to answer what
        the user says, that answer serves this call as well.

        Raises:
            LocalProtocolError: The client is not connected.

        Example:
            >>> async def answer(client):
            ...     await client.create_response()
        """
        await self.session.create_response()

    async def cancel_response(self, id: str | None = None, sample_count: float = 0) -> PlainDict:
        """Stop the response, and forget what was not heard of a message.

        Args:
            id: The message that is playing; without it the response is stopped, and nothing is cut.
            sample_count: Samples of it that were heard, at the rate of the agent's audio.

        Returns:
            ``item``: that message.

        Raises:
            LocalProtocolError: The client is not connected, or this is no message of the agent's with audio.
            ValueError: ``sample_count`` is no number of samples.

        Example:
            >>> async def stop(client, item, heard):
            ...     await client.cancel_response(item.id, heard)
        """
        session = self.session
        if not id:
            await session.cancel()
            return PlainDict(item=None)
        _samples(sample_count)
        view = session.history.view(id)
        if view is None:
            raise LocalProtocolError(f"there is no item {id!r}")
        item = Item(view)
        if item.type != "message" or item.role != "assistant":
            raise LocalProtocolError(f"the item {id!r} is no message of the agent's, so it cannot be cut")
        if view.audio is None:
            raise LocalProtocolError(f"the item {id!r} has no audio that could be cut")
        rate = view.audio.format.rate
        heard = _samples(sample_count) * 1000 // (rate if isinstance(rate, int) else 24000)
        await session.interrupt(heard, item_id=id)
        return PlainDict(item=item)

    async def delete_item(self, id: str) -> None:
        """Remove an item from the conversation.

        Raises:
            LocalProtocolError: The client is not connected.

        Example:
            >>> async def forget(client, item):
            ...     await client.delete_item(item.id)
        """
        await self.session.delete_item(id)

    # Waiting

    async def wait_for_next_item(self, timeout: float | None = None) -> Appended:
        """Wait for the next item of the conversation, and return ``{item}``; it may not be complete yet.

        Raises:
            TimeoutError: None came in time.
            SessionClosedError: The connection was closed first; ``ConnectionLostError`` where it was lost.

        Example:
            >>> async def next_role(client):
            ...     return (await client.wait_for_next_item(timeout=10)).item.role
        """
        told: Appended = await self.wait_for_next("conversation.item.appended", timeout)
        return told

    async def wait_for_next_completed_item(self, timeout: float | None = None) -> Appended:
        """Wait for the next item that is complete, and return ``{item}``.

        Raises:
            TimeoutError: None came in time.
            SessionClosedError: The connection was closed first; ``ConnectionLostError`` where it was lost.

        Example:
            >>> async def next_text(client):
            ...     return (await client.wait_for_next_completed_item()).item.formatted.text
        """
        told: Appended = await self.wait_for_next("conversation.item.completed", timeout)
        return told


def _samples(count: object) -> int:
    """Return a number of samples; numpy's numbers count, too."""
    number = count if isinstance(count, int | float) else count.item() if hasattr(count, "item") else math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"sample_count is a number of samples, not {count!r}")
    return int(number)


def _part(part: "str | Mapping[str, Any] | AnyPart", audio_format: AudioFormat) -> AnyPart:
    """Return a content part in the protocol's shape."""
    if isinstance(part, str):
        return InputText(text=part)
    if not isinstance(part, Mapping):
        return part
    data = dict(part)
    _check_part(data)
    audio = data.get("audio")
    if data.get("type") == "input_audio" and audio is not None and not isinstance(audio, str):
        data["audio"] = pybase64.b64encode(_in_format(audio, audio_format)).decode()
    try:
        decoded = decode_part(msgspec.json.encode(data))
    except (TypeError, ValueError) as exc:
        raise ValueError(f"a user cannot send {_shown(data)}: {exc}") from exc
    return decoded


def _check_part(data: dict[str, Any]) -> None:
    """Check a part's type and the names of its fields.

    Raises:
        ValueError: It is none that a user sends.
    """
    if "type" not in data:
        raise ValueError(f"a user cannot send {_shown(data)}: it has no type; there are {', '.join(PARTS)}")
    kind = str(data["type"])
    if kind not in PARTS:
        raise ValueError(f"a user cannot send {_shown(data)}: its type {_meant(kind, PARTS)}")
    for name in data:
        if name not in PARTS[kind]:
            raise ValueError(f"a user cannot send {_shown(data)}: its field {name!r} {_meant(name, PARTS[kind])}")


def _meant(given: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(given, list(known), 1, 0.5)
    return f"should be {near[0]}" if near else f"should be one of {', '.join(known)}"


def _shown(data: dict[str, Any]) -> str:
    return repr({name: value if len(str(value)) < 60 else "..." for name, value in data.items()})


def _in_format(audio: Any, audio_format: AudioFormat) -> bytes:
    """Return audio in a format; bytes are in it already."""
    if isinstance(audio, list | tuple | int | float | str | None):
        raise TypeError(f"audio is bytes, or an array of 16-bit numbers, not {type(audio).__name__}")
    of_bytes = isinstance(audio, bytes | bytearray) or (isinstance(audio, memoryview) and audio.itemsize == 1)
    return bytes(audio) if of_bytes else encode(audio, audio_format)
