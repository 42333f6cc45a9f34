"""The lines of a journal, and what they come to when they are read.

Rule: what was written last counts, and a line that was cut short by the end of its process counts for nothing.
"""

import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from agentkit.events import (
    AnySettings,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    MessageItem,
    Settings,
    TranscriptionSettings,
)
from agentkit.session.entries import Entry

VERSION: Final = 1


class Heard(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much was heard of an item that was cut off."""

    item_id: str
    ms: int | None = None
    text: str | None = None


class Transcript(msgspec.Struct, frozen=True):
    """What the user said in an item, in words."""

    item_id: str
    index: int
    text: str


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a journal; one of its fields is set."""

    v: int | None = None
    """The version: the first line of each session."""
    settings: Settings | TranscriptionSettings | None = None
    entry: msgspec.Raw = msgspec.Raw(b"null")
    """An item that is complete."""
    call: msgspec.Raw = msgspec.Raw(b"null")
    """The item of a call whose body is about to begin."""
    outcome: msgspec.Raw = msgspec.Raw(b"null")
    """The item of what came of it."""
    heard: Heard | None = None
    transcript: Transcript | None = None
    deleted: str | None = None
    agent: str | None = None
    """Whom the conversation is with from there on: who has begun, or whom it was handed over to."""


class Journaled:
    """What was read of a journal so far."""

    def __init__(self) -> None:
        self.settings: AnySettings | None = None
        """The last ones."""
        self.agent: str | None = None
        """Whom the conversation was with last."""
        self.entries: dict[str, Entry] = {}
        self.outcomes: dict[str, FunctionCallOutputItem] = {}

    def take(self, line: Line) -> None:
        """Take a line.

        Raises:
            ValueError: A later version of agentkit has written it.
            msgspec.ValidationError: It holds something else than it should.
        """
        if line.v is not None and line.v > VERSION:
            raise ValueError(f"it is of version {line.v}, and this agentkit reads version {VERSION}: update it")
        self.settings = line.settings or self.settings
        self.agent = line.agent or (self.agent if line.v is None else None)
        if bytes(line.entry) != b"null":
            self._enter(msgspec.json.decode(line.entry, type=Entry))
        if bytes(line.call) != b"null":
            call = msgspec.json.decode(line.call, type=FunctionCallItem)
            self._enter(Entry(item=replace(call, status="completed")))
        if bytes(line.outcome) != b"null":
            outcome = msgspec.json.decode(line.outcome, type=FunctionCallOutputItem)
            self.outcomes[outcome.call_id] = outcome
        if line.heard is not None and (entry := self.entries.get(line.heard.item_id)) is not None:
            heard = line.heard
            text = heard.text if heard.text is not None else entry.heard_text
            self.entries[heard.item_id] = replace(entry, heard_ms=heard.ms, heard_text=text)
        if line.transcript is not None:
            self._transcribe(line.transcript)
        if line.deleted is not None:
            self.entries.pop(line.deleted, None)

    def _enter(self, entry: Entry) -> None:
        key = entry.item.id or f"without id {len(self.entries)}"
        known = self.entries.get(key)
        self.entries[key] = entry if known is None else replace(entry, heard_text=known.heard_text)

    def _transcribe(self, told: Transcript) -> None:
        entry = self.entries.get(told.item_id)
        item = entry.item if entry is not None else MessageItem(id=told.item_id, role="user", content=(InputAudio(),))
        if not isinstance(item, MessageItem):
            return
        content = tuple(
            replace(part, transcript=told.text) if index == told.index and isinstance(part, InputAudio) else part
            for index, part in enumerate(item.content)
        )
        self._enter(Entry(item=replace(item, content=content)))

    def conversation(self) -> tuple[Entry, ...]:
        """Return the items, each output after its call."""
        entries: list[Entry] = []
        answered = {
            entry.item.call_id for entry in self.entries.values() if isinstance(entry.item, FunctionCallOutputItem)
        }
        for entry in self.entries.values():
            entries.append(entry)
            item = entry.item
            if isinstance(item, FunctionCallItem) and item.call_id in self.outcomes and item.call_id not in answered:
                entries.append(Entry(item=self.outcomes[item.call_id]))
        return tuple(entries)


def read(path: str | os.PathLike[str]) -> Journaled:
    """Read a journal.

    Raises:
        OSError: It cannot be read.
        ValueError: It is none, or a later version of agentkit has written it.
    """
    found = Journaled()
    for number, raw in enumerate(Path(path).read_bytes().split(b"\n"), 1):
        try:
            line = msgspec.json.decode(raw, type=Line)
        except msgspec.ValidationError as exc:
            raise ValueError(f"{path}, line {number}: this is no journal: {exc}") from exc
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # the process was killed while it wrote the line
        try:
            found.take(line)
        except ValueError as exc:
            raise ValueError(f"{path}, line {number}: {exc}") from exc
    return found
