"""A conversation as a text for people and programs: plain text, Markdown, JSON or WebVTT.

Rule: nothing that was said can be more than text in any form: no control characters, no markup, no cue of its own, no
second line that looks like another speaker's. Every item has an output in every form, or is left out of it on purpose:
captions hold what was said, so neither tools nor the system's messages.
"""

import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

import msgspec

from agentkit.cleaning import clean, escaped_json
from agentkit.events import (
    AnyPart,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    InputImage,
    InputText,
    McpCallItem,
    MessageItem,
    OutputAudio,
    OutputText,
)
from agentkit.session.entries import Entry

VERSION: Final = 1
"""Of the JSON form."""
NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {"user": "you", "assistant": "agent", "system": "system", "tool": "tool"}
)
"""What each role is called."""
CHARACTERS_A_SECOND: Final = 15
"""How quickly captions can be read, where nothing tells how long a message was to be seen."""
SHORTEST_MS: Final = 1000
"""What a caption of unknown length is shown for at least."""
LONGEST_SECONDS: Final = 1e9
"""A time beyond it is none."""


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a call."""

    id: str | None
    """Of its item; None where it is no item of its own."""
    at: float | None
    text: str


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool, with its output where there is one."""

    call_id: str | None
    server: str | None
    """The label of the MCP server that was called; None for a tool of ours."""
    name: str | None
    """None where only the output is in the conversation."""
    arguments: str | None
    """JSON as the model wrote it."""
    output: Output | None
    error: str | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the JSON form; all of its keys are always there."""

    type: str
    id: str | None
    status: str | None
    role: str | None
    """Whose message it is; None for other items."""
    text: str | None
    """The whole text of a message, also where less was heard."""
    parts: tuple[str, ...]
    """The types of a message's content parts."""
    at: float | None
    """Seconds from the beginning of the session."""
    seconds: float | None
    heard_ms: int | None
    heard_text: str | None
    call: Call | None


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON form; ``msgspec.json.schema(Transcript)`` is its schema."""

    v: int
    entries: tuple[Line, ...]


class Row(NamedTuple):
    """What is told at one place; a call has its output with it."""

    entry: Entry
    call: Call | None


_Writer: TypeAlias = Callable[[Sequence[Row], Mapping[str, str]], str]


def export(entries: Iterable[Entry], form: str, *, names: Mapping[str, str] = NAMES) -> str:
    """Write a conversation.

    Args:
        entries: The conversation, in order.
        form: ``text`` (a line for each message), ``markdown``, ``json`` (a ``Transcript``) or ``vtt`` (captions).
        names: What roles are called: ``user``, ``assistant``, ``system``, ``tool``; those left out keep their names.

    Raises:
        ValueError: There is no such form.
    """
    write = _FORMS.get(form)
    if write is None:
        raise ValueError(f"there is no form {form!r}; known: {', '.join(_FORMS)}")
    return write(_rows(list(entries)), {**NAMES, **names})


def _rows(entries: Sequence[Entry]) -> list[Row]:
    """Put each output to its call; one whose call is not there stays where it is."""
    outputs: dict[str, deque[int]] = {}
    for index, entry in enumerate(entries):
        if isinstance(entry.item, FunctionCallOutputItem):
            outputs.setdefault(entry.item.call_id, deque()).append(index)
    answers: dict[int, Entry] = {}
    taken: set[int] = set()
    for index, entry in enumerate(entries):
        waiting = outputs.get(entry.item.call_id or "") if isinstance(entry.item, FunctionCallItem) else None
        if waiting:
            taken.add(waiting[0])
            answers[index] = entries[waiting.popleft()]
    return [
        Row(entry, _call(entry, answers.get(index, entry))) for index, entry in enumerate(entries) if index not in taken
    ]


def _call(entry: Entry, answer: Entry) -> Call | None:
    item, output = entry.item, None
    if isinstance(answer.item, FunctionCallOutputItem):
        output = Output(id=answer.item.id, at=answer.at, text=answer.item.output)
    if isinstance(item, FunctionCallItem):
        return Call(
            call_id=item.call_id, server=None, name=item.name, arguments=item.arguments, output=output, error=None
        )
    if isinstance(item, FunctionCallOutputItem):
        return Call(call_id=item.call_id, server=None, name=None, arguments=None, output=output, error=None)
    if isinstance(item, McpCallItem):
        error = item.error
        if isinstance(error, dict):
            error = msgspec.json.encode(_all_encodable(error)).decode()
        return Call(
            call_id=None,
            server=item.server_label,
            name=item.name,
            arguments=item.arguments,
            output=Output(id=None, at=None, text=item.output) if item.output is not None else None,
            error=error,
        )
    return None


# What is shown of an item, before any form escapes it

_LINE_ENDS: Final = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_MARKS: Final = {"in_progress": "in progress", "incomplete": "incomplete"}


def _encodable(text: str) -> str:
    """Return a text without lone surrogates, which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()


def _lines(text: str) -> list[str]:
    """Return the lines of a text that hold anything, without what a terminal would obey."""
    plain = clean(_LINE_ENDS.sub("\n", _encodable(text)))
    return [line for part in plain.split("\n") if (line := " ".join(part.split()))]


def _one_line(text: str) -> str:
    return " ".join(_lines(text))


def _part(part: AnyPart) -> str:
    """Return what is shown of a content part: its words, or in brackets what it is."""
    if isinstance(part, InputText | OutputText):
        return part.text
    if isinstance(part, InputAudio | OutputAudio):
        return part.transcript or "[audio]"
    return "[image]" if isinstance(part, InputImage) else f"[{part.wire_type or 'part'}]"


def _message(entry: Entry, item: MessageItem) -> tuple[list[str], str]:
    """Return the lines of a message, and what has to be known about it."""
    if entry.cut_off:
        lines = _lines(entry.said)
        if not lines:
            return [], "cut off before any of it was heard"
        if entry.heard_ms is None:
            return lines, "cut off"
        tenths = max(entry.heard_ms, 0) // 100
        return lines, f"cut off after {tenths // 10}.{tenths % 10} s"
    lines = _lines("\n".join(map(_part, item.content)))
    return lines, _MARKS.get(item.status or "", "" if lines else "no text")


def _called(call: Call, status: str | None) -> tuple[str, str | None, str]:
    """Return a call, what came of it where anything did, and what has to be known about it."""
    if call.name is None:
        head = f"[call {_one_line(call.call_id or '')}]"
    else:
        name = call.name if call.server is None else f"{call.server}.{call.name}"
        head = f"{_one_line(name)}({_one_line(call.arguments or '')})"
    if call.error is not None:
        return head, _one_line(call.error), "error"
    if call.output is not None:
        return head, _one_line(call.output.text), ""
    return head, None, _MARKS.get(status or "", "no output")


def _name(role: str, names: Mapping[str, str]) -> str:
    return _one_line(names.get(role, role)) or _one_line(role) or "somebody"


# The forms


def _text(rows: Sequence[Row], names: Mapping[str, str]) -> str:
    written: list[str] = []
    for entry, call in rows:
        item = entry.item
        if isinstance(item, MessageItem):
            lines, mark = _message(entry, item)
            words = [f"{_name(item.role, names)}:", *lines]
        elif call is not None:
            head, output, mark = _called(call, item.status)
            words = [f"{_name('tool', names)}:", head, *([] if output is None else ["->", output])]
        else:
            words, mark = [], _one_line(item.wire_type) or "item"
        written.append(" ".join([*filter(None, words), *([f"[{mark}]"] if mark else [])]) + "\n")
    return "".join(written)


_MARKUP: Final = re.compile(r"[\\`*_\[\]{}#|~$^@&<>]|(?<=www)\.|:(?=//)", re.IGNORECASE)
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_BLOCK: Final = re.compile(r"^(\d*)([-+=:.)])")


def _escaped(line: str) -> str:
    """Return a line that Markdown shows as it is: HTML by entities, which every viewer knows, the rest by backslash."""
    line = _MARKUP.sub(lambda match: _ENTITIES.get(match[0], "\\" + match[0]), line)
    return _BLOCK.sub(r"\1\\\2", line)


def _markdown(rows: Sequence[Row], names: Mapping[str, str]) -> str:
    written: list[str] = []
    for entry, call in rows:
        item = entry.item
        if isinstance(item, MessageItem):
            lines, mark = _message(entry, item)
            words = [f"**{_escaped(_name(item.role, names))}:**", "  \n".join(map(_escaped, lines))]
        elif call is not None:
            head, output, mark = _called(call, item.status)
            words = [f"**{_escaped(_name('tool', names))}:**", _escaped(head)]
            words += [] if output is None else ["→", _escaped(output)]
        else:
            words, mark = [], _one_line(item.wire_type) or "item"
        written.append(" ".join([*filter(None, words), *([f"*({_escaped(mark)})*"] if mark else [])]) + "\n")
    return "\n".join(written)


def _json(rows: Sequence[Row], names: Mapping[str, str]) -> str:
    # It tells roles, not names, so `names` changes nothing.
    data = msgspec.to_builtins(Transcript(v=VERSION, entries=tuple(_line(row) for row in rows)))
    text = msgspec.json.format(msgspec.json.encode(_all_encodable(data)), indent=2).decode() + "\n"
    return escaped_json(text)


def _line(row: Row) -> Line:
    entry, item = row.entry, row.entry.item
    message = item if isinstance(item, MessageItem) else None
    return Line(
        type=item.wire_type,
        id=item.id,
        status=item.status,
        role=message.role if message else None,
        text=message.text if message else None,
        parts=tuple(part.wire_type for part in message.content) if message else (),
        at=entry.at,
        seconds=entry.seconds,
        heard_ms=entry.heard_ms,
        heard_text=entry.heard_text,
        call=row.call,
    )


def _all_encodable(value: object) -> object:
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, dict):
        return {_all_encodable(key): _all_encodable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_all_encodable(inner) for inner in value]
    return value


class _Cue(NamedTuple):
    entry: Entry
    name: str
    lines: list[str]

    @property
    def at(self) -> int | None:
        return _ms(self.entry.at)


def _vtt(rows: Sequence[Row], names: Mapping[str, str]) -> str:
    cues = [cue for row in rows if (cue := _cue(row.entry, names)) is not None]
    written = ["WEBVTT\n"]
    start = end = 0
    for index, cue in enumerate(cues):
        # Cues begin in order, whatever the clock says of items that a server has put before others.
        start = max(start, cue.at) if cue.at is not None else end
        end = _end(cue, start, cues[index + 1].at if index + 1 < len(cues) else None)
        text = "\n".join(map(_cue_text, cue.lines))
        written.append(f"{_clock(start)} --> {_clock(end)}\n<v {_cue_text(cue.name)}>{text}\n")
    return "\n".join(written)


def _cue(entry: Entry, names: Mapping[str, str]) -> _Cue | None:
    item = entry.item
    if not isinstance(item, MessageItem) or item.role not in ("user", "assistant"):
        return None
    lines, _ = _message(entry, item)
    if not lines:
        return None
    if entry.cut_off:
        lines[-1] += "—"
    return _Cue(entry, _name(item.role, names), lines)


def _end(cue: _Cue, start: int, following: int | None) -> int:
    known, heard = _ms(cue.entry.seconds), cue.entry.heard_ms
    if heard is not None and heard > 0:
        known = min(heard, known or int(LONGEST_SECONDS * 1000))
    if known:
        return start + known
    length = max(sum(map(len, cue.lines)) * 1000 // CHARACTERS_A_SECOND, SHORTEST_MS)
    if following is not None and following > start:
        length = min(length, following - start)
    return start + length


def _ms(seconds: float | None) -> int | None:
    """Return a time in milliseconds; None where there is none, or it is none."""
    if seconds is None or not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_SECONDS:
        return None
    return round(seconds * 1000)


def _clock(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{ms:03}"


def _cue_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_FORMS: Final[Mapping[str, _Writer]] = {"text": _text, "markdown": _markdown, "json": _json, "vtt": _vtt}
