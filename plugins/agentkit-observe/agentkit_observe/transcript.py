"""The transcript: the conversation as it passed the layers below, in a file that is whole at any time.

Rule: words come from the events that reached this layer, never from the mirror of the conversation, where a layer may
have changed or dropped them; the mirror says only what is said nowhere else, such as what the user typed.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import msgspec
from msgspec.structs import replace

from agentkit import Middleware, Next, on
from agentkit.events import (
    AnyItem,
    AnyPart,
    ConversationItemDeleted,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionFailed,
    ConversationItemTruncated,
    Event,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    InputAudioBufferSpeechStarted,
    InputText,
    Interrupted,
    ItemAppended,
    ItemCompleted,
    ItemView,
    MessageItem,
    OutputAudio,
    OutputText,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    ToolFinished,
    TurnCompleted,
)
from agentkit.events.views import heard_text
from agentkit.masking import WireMasker
from agentkit.middleware.base import Direction
from agentkit.middleware.secrets import wire_masker
from agentkit.session.entries import Entry
from agentkit.session.export import Transcript as Exported
from agentkit.session.export import export
from agentkit_observe.configs import TranscriptConfig
from agentkit_observe.files import check_template, create

EVERY: Final = 1.0
"""Seconds between two writings of a file that is written as a whole."""
_FORMS: Final = {".txt": "text", ".md": "markdown", ".json": "json", ".vtt": "vtt", ".jsonl": "jsonl"}
_WORDS: Final = (
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ConversationItemInputAudioTranscriptionCompleted,
)


class _Item:
    """What is known of one item."""

    __slots__ = ("at", "deltas", "heard_ms", "id", "told", "view", "whole", "written")

    def __init__(self, item_id: str) -> None:
        self.id = item_id
        self.at: float | None = None
        self.view: ItemView | None = None
        """The item, once it is complete."""
        self.deltas: dict[int, list[str]] = {}
        self.whole: dict[int, str] = {}
        """By part: what the event that ends it said."""
        self.told = False
        """Whether the wire has told its words by events of their own."""
        self.heard_ms: int | None = None
        self.written: bytes = b""
        """Its last line."""

    def words(self, index: int, otherwise: str) -> str:
        """Return the words of a part that passed the layers."""
        if index in self.deltas:  # what was shown while it was said, also where a layer has cut it short
            return "".join(self.deltas[index])
        return self.whole.get(index, "" if self.told else otherwise)


class Transcript(Middleware):
    """Write the conversation down; list it first, next to the application, so that it has what every layer made of it.

    Text, Markdown, JSON and captions are written anew within a second of a change and replace the file in one step, so
    it is whole at any time. JSON lines are appended as items complete; a later line with the same id replaces one.
    """

    def __init__(self, config: TranscriptConfig) -> None:
        """Make the layer; the file is made with the session.

        Raises:
            ValueError: The path cannot be used, or says nothing of the form.
        """
        check_template(config.path, "transcript")
        form = config.form or _FORMS.get(Path(config.path).suffix)
        if form is None:
            raise ValueError(
                f"transcript: the ending of {config.path!r} says nothing of the form: end it in {', '.join(_FORMS)},"
                " or give form"
            )
        self._config = config
        self._form = form
        self._items: dict[str, _Item] = {}
        self._order: list[str] = []
        self._scheduled = self._stopped = False
        self._began = 0.0
        self._handle = -1
        self._masker: WireMasker
        self.path: Path | None = None
        """The file that is written, once the session runs."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the file."""
        self._began = anyio.current_time()
        self._masker = wire_masker(self.session)
        files = create(self._config.path, ("",), session_id=self.session.id, who="transcript")
        [self.path], [handle] = files.paths, files.handles
        if self._form == "jsonl":
            self._handle = handle
        else:
            os.close(handle)  # it only keeps the name
        try:
            yield
        finally:
            self._write()
            if self._form == "jsonl":
                os.close(self._handle)
            if not any(item.view for item in self._items.values()):
                self.path.unlink(missing_ok=True)

    def on_wire(self, direction: Direction, raw: bytes, event: Event) -> None:
        """Note whose words are told by events, so that those which a layer drops are not looked for elsewhere."""
        if isinstance(event, _WORDS):
            self._item(event.item_id).told = True

    # What is said

    @on(ResponseOutputTextDelta)
    async def text(self, event: ResponseOutputTextDelta, call_next: Next[ResponseOutputTextDelta]) -> None:
        """Take written words."""
        self._item(event.item_id).deltas.setdefault(event.content_index, []).append(event.delta)
        self._changed_if_complete(event.item_id)
        await call_next(event)

    @on(ResponseOutputAudioTranscriptDelta)
    async def spoken(
        self, event: ResponseOutputAudioTranscriptDelta, call_next: Next[ResponseOutputAudioTranscriptDelta]
    ) -> None:
        """Take spoken words."""
        self._item(event.item_id).deltas.setdefault(event.content_index, []).append(event.delta)
        self._changed_if_complete(event.item_id)
        await call_next(event)

    @on(ResponseOutputTextDone)
    async def whole_text(self, event: ResponseOutputTextDone, call_next: Next[ResponseOutputTextDone]) -> None:
        """Take the whole of written words."""
        self._item(event.item_id).whole[event.content_index] = event.text
        self._changed_if_complete(event.item_id)
        await call_next(event)

    @on(ResponseOutputAudioTranscriptDone)
    async def whole_spoken(
        self, event: ResponseOutputAudioTranscriptDone, call_next: Next[ResponseOutputAudioTranscriptDone]
    ) -> None:
        """Take the whole of spoken words."""
        self._item(event.item_id).whole[event.content_index] = event.transcript
        self._changed_if_complete(event.item_id)
        await call_next(event)

    @on(ConversationItemInputAudioTranscriptionCompleted)
    async def user_spoke(
        self,
        event: ConversationItemInputAudioTranscriptionCompleted,
        call_next: Next[ConversationItemInputAudioTranscriptionCompleted],
    ) -> None:
        """Take what the user said; it may come long after the item."""
        self._item(event.item_id).whole[event.content_index or 0] = event.transcript
        self._changed_if_complete(event.item_id)
        await call_next(event)

    @on(ConversationItemInputAudioTranscriptionFailed)
    async def not_understood(
        self,
        event: ConversationItemInputAudioTranscriptionFailed,
        call_next: Next[ConversationItemInputAudioTranscriptionFailed],
    ) -> None:
        """Wait for the user's words no longer."""
        self._item(event.item_id).told = True
        self._changed_if_complete(event.item_id)
        await call_next(event)

    # Items

    @on(InputAudioBufferSpeechStarted)
    async def speech(
        self, event: InputAudioBufferSpeechStarted, call_next: Next[InputAudioBufferSpeechStarted]
    ) -> None:
        """Note when the user began."""
        if event.item_id is not None:
            self._item(event.item_id)
        await call_next(event)

    @on(ItemAppended)
    async def appended(self, event: ItemAppended, call_next: Next[ItemAppended]) -> None:
        """Note an item's place."""
        if not isinstance(event.item.item, FunctionCallOutputItem):
            self._place(event.item)
        await call_next(event)

    @on(ItemCompleted)
    async def completed(self, event: ItemCompleted, call_next: Next[ItemCompleted]) -> None:
        """Write an item down."""
        view = event.item
        item = view.item
        if not isinstance(item, FunctionCallOutputItem):
            self._place(view)
        if isinstance(item, FunctionCallItem):
            # What it says in secret is learnt, for it is not to be written elsewhere either.
            self._masker.arguments(item.name, item.arguments, call_id=item.call_id)
        if isinstance(item, FunctionCallOutputItem):
            self._output(item.call_id, view)
        elif isinstance(item, MessageItem) or self._config.tools:
            known = self._item(view.id)
            known.view = view
            self._changed(known)
        await call_next(event)

    @on(Interrupted)
    async def interrupted(self, event: Interrupted, call_next: Next[Interrupted]) -> None:
        """Keep only what was heard."""
        if event.item_id is not None and event.heard_ms is not None:
            self._item(event.item_id).heard_ms = event.heard_ms
            self._changed_if_complete(event.item_id)
        await call_next(event)

    @on(ConversationItemTruncated)
    async def truncated(self, event: ConversationItemTruncated, call_next: Next[ConversationItemTruncated]) -> None:
        """Keep only what was not cut."""
        self._item(event.item_id).heard_ms = event.audio_end_ms
        self._changed_if_complete(event.item_id)
        await call_next(event)

    @on(ConversationItemDeleted)
    async def deleted(self, event: ConversationItemDeleted, call_next: Next[ConversationItemDeleted]) -> None:
        """Take an item out again."""
        known = self._items.pop(event.item_id, None)
        if known is not None:
            if event.item_id in self._order:
                self._order.remove(event.item_id)
            if known.written:
                self._append(msgspec.json.encode({"type": "deleted", "id": event.item_id}))
            self._schedule()
        await call_next(event)

    @on(ToolFinished)
    async def tool_finished(self, event: ToolFinished, call_next: Next[ToolFinished]) -> None:
        """Write a result down."""
        self._output(event.call_id, ItemView.of(FunctionCallOutputItem(call_id=event.call_id, output=event.output)))
        await call_next(event)

    @on(TurnCompleted)
    async def turn_completed(self, event: TurnCompleted, call_next: Next[TurnCompleted]) -> None:
        """Wait no longer for words of the user's that have not come."""
        self._write_lines(final=True)
        await call_next(event)

    def _output(self, call_id: str, view: ItemView) -> None:
        """Take what came of a call, which a server need not repeat as an item."""
        key = f"the output of {call_id}"
        if self._config.tools and key not in self._items:
            known = self._item(key)
            known.view = view
            self._order.append(key)
            self._changed(known)

    def _item(self, item_id: str) -> _Item:
        known = self._items.get(item_id)
        if known is None:
            known = self._items[item_id] = _Item(item_id)
            known.at = anyio.current_time() - self._began
        return known

    def _place(self, view: ItemView) -> None:
        self._item(view.id)
        if view.id in self._order[-8:] or view.id in self._order:
            return
        before = view.previous_item_id
        if before is not None and before in self._order and self._order[-1] != before:
            self._order.insert(self._order.index(before) + 1, view.id)
        else:
            self._order.append(view.id)

    # Writing

    def _changed_if_complete(self, item_id: str) -> None:
        known = self._items[item_id]
        if known.view is not None:
            self._changed(known)

    def _changed(self, item: _Item) -> None:
        if self._form != "jsonl":
            self._schedule()
        elif not _waits_for_words(item):
            self._write_line(item)

    def _schedule(self) -> None:
        if not self._scheduled and self._form != "jsonl" and not self._stopped:
            self._scheduled = True
            self.session.start_soon(self._soon)

    async def _soon(self) -> None:
        await anyio.sleep(EVERY)
        self._scheduled = False
        self._write()

    def _write(self) -> None:
        """Bring the file up to date."""
        if self._form == "jsonl":
            self._write_lines(final=True)
            return
        entries = [self._entry(item) for item in self._complete()]
        if not entries or self._stopped or self.path is None:
            return
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            data = export(entries, self._form).encode()
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
            with open(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, self.path)
        except OSError as exc:
            temporary.unlink(missing_ok=True)
            self._stop(exc)

    def _complete(self) -> list[_Item]:
        return [item for item_id in self._order if (item := self._items[item_id]).view is not None]

    def _write_lines(self, *, final: bool) -> None:
        if self._form == "jsonl":
            for item in self._complete():
                if final and not item.written:
                    self._write_line(item)

    def _write_line(self, item: _Item) -> None:
        text = export([self._entry(item)], "json")
        [line] = msgspec.json.decode(text, type=Exported).entries
        written = msgspec.json.encode(line)
        if written != item.written:
            item.written = written
            self._append(written)

    def _append(self, line: bytes) -> None:
        if self._form != "jsonl" or self._stopped:
            return
        try:
            rest = line + b"\n"
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError as exc:
            self._stop(exc)

    def _stop(self, error: OSError) -> None:
        self._stopped = True
        self.session.notice(
            "transcript_stopped",
            f"the transcript ends here: {str(self.path)!r} cannot be written ({error.strerror or error})",
            hint="make room, or give another path; the session goes on",
        )

    def _entry(self, item: _Item) -> Entry:
        view = item.view
        assert view is not None
        said: AnyItem = self._masked(view.item, item)
        seconds = view.audio.ms / 1000 if view.audio is not None else None
        heard = None
        if item.heard_ms is not None and isinstance(said, MessageItem):
            spoken = "".join(part.transcript or "" for part in said.content if isinstance(part, OutputAudio))
            ms = view.audio.ms if view.audio is not None else 0
            heard = heard_text(spoken, item.heard_ms, ms, done=view.status != "incomplete")
        return Entry(item=said, at=item.at, seconds=seconds, heard_ms=item.heard_ms, heard_text=heard)

    def _masked(self, said: AnyItem, item: _Item) -> AnyItem:
        """Return an item with the words that passed the layers, without secrets."""
        if isinstance(said, MessageItem):
            return replace(
                said, content=tuple(self._part(part, index, item) for index, part in enumerate(said.content))
            )
        if isinstance(said, FunctionCallItem):
            return replace(said, arguments=self._masker.arguments(said.name, said.arguments, call_id=said.call_id))
        if isinstance(said, FunctionCallOutputItem):
            return replace(said, output=self._masker.output(said.call_id, said.output))
        return said

    def _part(self, part: AnyPart, index: int, item: _Item) -> AnyPart:
        if isinstance(part, OutputText | InputText):
            return replace(part, text=self._masker.text(item.words(index, part.text)))
        if isinstance(part, OutputAudio | InputAudio):
            words = self._masker.text(item.words(index, part.transcript or ""))
            return replace(part, audio=None, transcript=words or None)
        return part


def _waits_for_words(item: _Item) -> bool:
    """Tell whether an item has audio of the user's whose words have not come."""
    said = item.view.item if item.view is not None else None
    return isinstance(said, MessageItem) and any(
        isinstance(part, InputAudio) and not item.told and not part.transcript for part in said.content
    )
