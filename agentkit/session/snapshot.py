"""A session that can be taken up again: its settings and its conversation, as JSON and as items to send.

Rule: what is read is what was written, to the field. So items and settings are written in their own (GA) shape and read
strictly: the wire's own reading renames parts, and leaves out what does not fit.
"""

import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET
from msgspec.structs import force_setattr, replace

from agentkit.events import (
    ITEMS,
    PARTS,
    AnyItem,
    AnyPart,
    AnySettings,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    InputImage,
    InputText,
    MessageItem,
    OutputAudio,
    OutputText,
    Settings,
    TranscriptionSettings,
    Unknown,
    UnknownItem,
    UnknownPart,
    merge_settings,
)
from agentkit.events.items import written
from agentkit.session.entries import Entry

VERSION: Final = 1
NO_OUTCOME: Final = (
    '{"error": "The outcome of this call is not known: the session ended before it came. '
    'Do not assume that it was done, nor that it was not."}'
)
"""The output of a call that has none."""
_ESCAPED: Final = "agentkit.unknown"
"""The type under which an unknown object is written whose own type would make it a known one."""
_NUMBER_CUT: Final = re.compile(rb"[:,\[]-?[\d.]*(?:[eE][-+]?)?\Z")
_CUT_SHORT: Final = "the snapshot is cut short: its end is missing"
_T = TypeVar("_T")

Sendable: TypeAlias = MessageItem | FunctionCallItem | FunctionCallOutputItem
"""What a client may put into a conversation."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What a session can be taken up from."""

    v: int = VERSION
    settings: AnySettings | None = None
    """The settings in force; never with tools, which belong to the program, nor with what only a server can say."""
    entries: tuple[Entry, ...] = ()
    agent: str | None = None
    """The name of the agent that the conversation was with; None where the session had no agents."""

    def __post_init__(self) -> None:
        if self.settings is not None:
            force_setattr(self, "settings", _own(self.settings))

    def to_json(self) -> bytes:
        """Write the snapshot.

        Raises:
            ValueError: It holds what JSON cannot.
        """
        try:
            return msgspec.json.encode(self, enc_hook=_written)
        except (TypeError, ValueError, OverflowError, RecursionError) as exc:
            raise ValueError(f"the snapshot holds what JSON cannot: {exc}") from exc

    @staticmethod
    def from_json(data: bytes | str) -> "Snapshot":
        """Read a snapshot.

        Raises:
            ValueError: It is none, it is cut short, or a later version of agentkit has written it.
        """
        raw = _utf8(data)
        v = _decoded(raw, _Head).v
        if v > VERSION:
            raise ValueError(f"the snapshot is of version {v}, and this agentkit reads version {VERSION}: update it")
        if v < 1:
            raise ValueError(f"this is no snapshot: there is no version {v}")
        body = _decoded(raw, _Body)
        entries = tuple(restored(_decoded(entry, Entry, f"entries[{i}]: ")) for i, entry in enumerate(body.entries))
        return Snapshot(v=v, settings=body.settings, entries=entries, agent=body.agent)

    @staticmethod
    def from_journal(path: str | os.PathLike[str]) -> "Snapshot":
        """Read what a session has left in its journal, whether or not its process came to an end.

        A call without an outcome may have run: ``Session.resume`` tells the model and the user so, and it does not run.

        Raises:
            OSError: It cannot be read.
            ValueError: It is none, or a later version of agentkit has written it.
        """
        from agentkit.session.journaled import read

        found = read(path)
        entries = tuple(map(restored, found.conversation()))
        return Snapshot(settings=found.settings, entries=entries, agent=found.agent)


class _Head(msgspec.Struct):
    v: int


class _Body(msgspec.Struct):
    settings: Settings | TranscriptionSettings | None
    entries: list[msgspec.Raw]
    agent: str | None = None


def _own(settings: AnySettings) -> AnySettings:
    """Return settings as a client may ask for them, without tools."""
    if isinstance(settings, TranscriptionSettings):
        return merge_settings(TranscriptionSettings(), settings)
    return replace(merge_settings(Settings(), settings), tools=UNSET)


def _utf8(data: bytes | str) -> bytes:
    """Return the document as bytes; msgspec itself does not look into strings that it skips."""
    try:
        raw = data.encode() if isinstance(data, str) else data
        raw.decode()
    except UnicodeDecodeError as exc:
        if exc.end == len(raw) and exc.reason == "unexpected end of data":
            raise ValueError(_CUT_SHORT) from exc
        raise ValueError(f"this is no snapshot: {exc}") from exc
    except UnicodeEncodeError as exc:
        raise ValueError(f"this is no snapshot: {exc}") from exc
    return raw


def _decoded(raw: bytes | msgspec.Raw, cls: type[_T], place: str = "") -> _T:
    try:
        return msgspec.json.decode(raw, type=cls)
    except msgspec.ValidationError as exc:
        raise ValueError(f"this is no snapshot: {place}{exc}") from exc
    except msgspec.DecodeError as exc:
        # Cut inside a number, a document ends in what is no number: msgspec tells that, and not that it ends there.
        if "truncated" in str(exc) or _NUMBER_CUT.search(raw):
            raise ValueError(_CUT_SHORT) from exc
        raise ValueError(f"this is no snapshot: {exc}") from exc
    except RecursionError as exc:
        raise ValueError("this is no snapshot: it is nested too deeply") from exc


def _written(value: object) -> object:
    """Write an unknown object so that it is read as one again (an ``enc_hook`` of msgspec)."""
    known = ITEMS if isinstance(value, UnknownItem) else PARTS
    if isinstance(value, Unknown) and (value.wire_type in known or value.wire_type == _ESCAPED):
        return {"type": _ESCAPED, "data": value.data}
    return written(value)


def encode_entry(entry: Entry) -> bytes:
    """Write an entry as a snapshot does.

    Raises:
        ValueError: It holds what JSON cannot.
    """
    return msgspec.json.encode(entry, enc_hook=_written)


def restored(entry: Entry) -> Entry:
    """Return an entry that was read, with its unknown items and parts as they were."""
    item = entry.item
    if isinstance(item, UnknownItem):
        return replace(entry, item=UnknownItem(_data(item)))
    if isinstance(item, MessageItem):
        content = tuple(UnknownPart(_data(part)) if isinstance(part, UnknownPart) else part for part in item.content)
        return replace(entry, item=replace(item, content=content))
    return entry


def _data(unknown: Unknown) -> dict[str, object]:
    inner = unknown.data.get("data")
    return inner if unknown.wire_type == _ESCAPED and isinstance(inner, dict) else unknown.data


# Taking the conversation up again


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What tells a new session what was said before."""

    items: tuple[Sendable, ...]
    """To be sent in this order, each by a ``conversation.item.create``."""
    left_out: tuple[tuple[str, str], ...]
    """Pairs of an item's id (empty where it has none) and why it, or a part of it, is not among the items."""
    unknown: tuple[FunctionCallItem, ...] = ()
    """The calls whose outcome is not known."""


def replay(
    snapshot: Snapshot,
    *,
    outputs: Mapping[str, FunctionCallOutputItem] = MappingProxyType({}),
    pending: Container[str] = (),
) -> Replay:
    """Return the items that give a new, empty session the conversation of a snapshot.

    Messages are as they were where a server accepts that: what the user said is sent as its transcript unless its audio
    is in the item, and of the agent only what was heard, as text. Each call is followed by one output; where none is
    known, by one that says so. What a server makes by itself is left out.

    Args:
        snapshot: The conversation.
        outputs: Outputs of calls that are not in it, by call id.
        pending: Ids of calls whose outputs are still to come, and so are not among the items.
    """
    entries = snapshot.entries
    answers = _first(
        (item.call_id, index) for index, item in _numbered(entries) if isinstance(item, FunctionCallOutputItem)
    )
    calls = _first(
        (item.call_id, index)
        for index, item in _numbered(entries)
        if isinstance(item, FunctionCallItem) and item.call_id and _is_whole(item, answered=item.call_id in answers)
    )
    items: list[Sendable] = []
    left_out: list[tuple[str, str]] = []
    unknown: list[FunctionCallItem] = []
    for index, item in _numbered(entries):
        made, reasons = _sendable(index, item, entries, calls, answers)
        items += made
        left_out += [(item.id or "", reason) for reason in reasons]
        if made and isinstance(item, FunctionCallItem) and item.call_id not in answers:
            assert item.call_id is not None
            if item.call_id in outputs:
                items.append(_output(outputs[item.call_id]))
            elif item.call_id not in pending:
                items.append(FunctionCallOutputItem(call_id=item.call_id, output=NO_OUTCOME))
                unknown.append(item)
    return Replay(items=tuple(_with_unique_ids(items)), left_out=tuple(left_out), unknown=tuple(unknown))


def _numbered(entries: Sequence[Entry]) -> Iterator[tuple[int, AnyItem]]:
    for index, entry in enumerate(entries):
        yield index, entry.item


def _first(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, index in pairs:
        found.setdefault(key, index)
    return found


def _is_whole(call: FunctionCallItem, *, answered: bool) -> bool:
    """Tell whether the model had finished a call: by its status, or by its looks where no status was told."""
    if call.status is not None:
        return call.status == "completed"
    if answered:
        return True
    try:
        msgspec.json.decode(call.arguments)
    except (ValueError, RecursionError):
        return False
    return True


def _sendable(
    index: int, item: AnyItem, entries: Sequence[Entry], calls: dict[str, int], outputs: dict[str, int]
) -> tuple[list[Sendable], list[str]]:
    """Return what is sent in the place of an item, and why what is not sent is not."""
    match item:
        case MessageItem():
            return _message(entries[index], item)
        case FunctionCallItem(call_id=call_id):
            if not call_id:
                return [], ["the call has no call_id"]
            if (first := calls.get(call_id)) != index:
                return [], ["the call was not finished" if first is None else "another call has its call_id"]
            call = FunctionCallItem(id=item.id, name=item.name, arguments=item.arguments, call_id=call_id)
            place = outputs.get(call_id)
            if place is None:
                return [call], []
            # An output cannot stand before its call.
            return [call, *([_output(entries[place].item)] if place < index else [])], []
        case FunctionCallOutputItem(call_id=call_id):
            if call_id not in calls:
                return [], ["its call is not sent"]
            if outputs[call_id] != index:
                return [], ["its call has another output"]
            return [_output(item)] if calls[call_id] < index else [], []
        case UnknownItem():
            return [], [f"items of type {item.wire_type!r} are not known here"]
        case _:
            return [], [f"items of type {item.wire_type!r} cannot be sent"]


def _output(item: AnyItem) -> FunctionCallOutputItem:
    assert isinstance(item, FunctionCallOutputItem)
    return FunctionCallOutputItem(id=item.id, call_id=item.call_id, output=item.output)


def _message(entry: Entry, item: MessageItem) -> tuple[list[Sendable], list[str]]:
    if item.role not in ("user", "assistant", "system"):
        return [], [f"messages of the role {item.role!r} cannot be sent"]
    content: list[AnyPart] = []
    reasons: list[str] = []
    if item.role == "assistant" and entry.cut_off:
        content = [OutputText(text=entry.said)]
    else:
        for part in item.content:
            sent = _part(part, item.role)
            if isinstance(sent, str):
                reasons.append(sent)
            else:
                content.append(sent)
    if all(isinstance(part, InputText | OutputText) and not part.text.strip() for part in content):
        if item.role == "assistant" and entry.cut_off:
            return [], ["nothing of it was heard"]
        return [], reasons or ["it says nothing"]
    return [MessageItem(id=item.id, role=item.role, content=tuple(content))], [f"a part: {why}" for why in reasons]


def _part(part: AnyPart, role: str) -> AnyPart | str:
    """Return a content part as a client may send it in a message of that role, or why it cannot."""
    match part:
        case InputAudio(audio=str(audio)) if audio and role == "user":
            return InputAudio(audio=audio, transcript=part.transcript)
        case InputAudio() | OutputAudio():
            text = part.transcript or ""
            if not text:
                return "its audio is not kept, and it has no transcript"
        case InputText() | OutputText():
            text = part.text
        case InputImage() if role == "user" and part.image_url:
            return InputImage(image_url=part.image_url, detail=part.detail)
        case InputImage() if role == "user":
            return "its image is not kept"
        case UnknownPart():
            return f"content of type {part.wire_type!r} is not known here"
        case _:
            return f"content of type {part.wire_type!r} cannot be sent in a message of the {role}"
    return OutputText(text=text) if role == "assistant" else InputText(text=text)


def _with_unique_ids(items: Iterable[Sendable]) -> Iterator[Sendable]:
    """Keep each id once: a server refuses an item whose id is taken, and gives one to an item that has none."""
    taken: set[str] = set()
    for item in items:
        yield item if item.id and item.id not in taken else replace(item, id=None)
        taken.add(item.id or "")
