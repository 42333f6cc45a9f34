"""Keeping a conversation while it is held, and taking one up again."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio.to_thread
from msgspec.structs import replace

from agentkit.cli.approvals import Notice
from agentkit.cli.exits import Problem
from agentkit.cli.saving import masked_snapshot
from agentkit.cli.store import DAY, KEEP_COUNT, KEEP_DAYS, Kept, Meta, Store, config_name, digest_of
from agentkit.events import AnyPart, InputAudio, InputImage, MessageItem, OutputAudio
from agentkit.masking import WireMasker
from agentkit.session.snapshot import Snapshot

if TYPE_CHECKING:
    from agentkit.config.build import Agent
    from agentkit.config.parts import AgentSource
    from agentkit.session import Session
    from agentkit.session.entries import Entry

_MAX_FIRST: Final = 80
_SETTLE_SECONDS: Final = 5.0
_Told: TypeAlias = "tuple[str, str, str | None]"
"""A notice: its code, what it says, and a hint."""


class Keeper:
    """Writes a session's conversation down after each turn, so that a process which is killed loses one at most."""

    def __init__(
        self, agent: "Agent", source: str, store: Store, continued: Kept | None = None, *, keep: bool = True
    ) -> None:
        """Make it.

        Args:
            agent: Whom the conversation is with.
            source: The configuration, as it was named.
            store: Where it is kept.
            continued: The conversation that is taken up; it is kept under its own id.
            keep: Write at all.
        """
        self._agent = agent
        self._config = config_name(source)
        self._store = store
        self.continued = continued
        """The conversation that is taken up."""
        self._mark = continued.mark if continued is not None else None
        self._id = continued.meta.id if continued is not None else None
        self._began = store.now()
        self._turns = 0
        self._items = 0
        """Items that are written, on their way to be, or need not be."""
        self._asked = self._written = 0
        """How often the conversation was to be written, and which of these times was the last that was."""
        self._off = not keep
        self._beside = 0
        """Turns that are being written."""
        self._wrote = anyio.Event()
        self._writing = threading.Lock()
        self._session: Session
        self._notice: Notice
        self._secrets: Mapping[str, frozenset[str]] = {}
        """The secret arguments by tool, as they were when the conversation was looked at: a thread reads them."""
        self._masker = WireMasker(lambda: self._secrets)

    async def attach(self, session: "Session", notice: Notice) -> None:
        """Take the session, and give it the conversation that is taken up.

        Raises:
            Problem: What was kept cannot be read.
            ServerError: The server refused a part of it.
            RemoteProtocolError: The server did not confirm it in time.
        """
        self._session, self._notice = session, notice
        if self.continued is None:
            return
        meta = self.continued.meta
        if (meta.config, meta.agent) != (self._config, self._agent.name):
            message = f"session {meta.id} was held with {meta.agent} of {meta.config or 'stdin'}"
            notice("warning", "another_agent", f"{message}; it goes on with {self._agent.name}")
        elif meta.digest != self._digest():
            message = f"the agent's instructions or tools have changed since session {meta.id}; today's are in force"
            notice("info", "agent_changed", message)
        left_out = await session.resume(self.continued.snapshot(), settings=False)
        if left_out:
            some = "1 part" if len(left_out) == 1 else f"{len(left_out)} parts"
            notice("info", "resumed_in_part", f"{some} of session {meta.id} could not be taken up: {left_out[0][1]}")
        self._items = len(session.history)

    def turn(self) -> None:
        """Write, after a turn; it is done in a thread, for a long conversation takes a while."""
        self._turns += 1
        self._beside += 1
        self._session.start_soon(self._write_beside)

    async def settled(self) -> None:
        """Wait until each turn that has ended is written, but not for long."""
        with anyio.move_on_after(_SETTLE_SECONDS):
            while self._beside:
                await self._wrote.wait()

    def finish(self) -> None:
        """Write what was not written yet, and what came after the last turn, as of one that was broken off."""
        with self._writing:
            behind = self._written < self._asked
        more = len(self._session.history) > self._items and (self._turns or self._was_spoken_to())
        if behind or more:
            self._tell(self._write(*self._now()))

    def _was_spoken_to(self) -> bool:
        return any(isinstance(item, MessageItem) and item.role == "user" for item in self._session.history.items())

    async def _write_beside(self) -> None:
        try:
            self._tell(await anyio.to_thread.run_sync(self._write, *self._now()))
        finally:
            self._beside -= 1
            self._wrote.set()
            self._wrote = anyio.Event()

    def _now(self) -> tuple[Meta, Snapshot, int]:
        """Return the conversation as it is, with what is told of it but for its words, and a number that grows."""
        session, now = self._session, self._store.now()
        old = self.continued.meta if self.continued is not None else None
        costs = [cost for cost in (session.cost, old.cost_usd if old is not None else None) if cost is not None]
        meta = Meta(
            id=session.id,
            agent=self._agent.name,
            config=self._config,
            provider=self._agent.provider.name,
            model=session.provider.model,
            started=old.started if old is not None else self._began,
            updated=now,
            turns=self._turns + (old.turns if old is not None else 0),
            seconds=round(max(now - self._began, 0.0) + (old.seconds if old is not None else 0.0), 3),
            cost_usd=sum(costs) if costs else None,
            digest=self._digest(),
        )
        self._asked += 1
        self._secrets = session.secret_arguments
        self._items = len(session.history)
        return meta, session.snapshot(), self._asked

    def _write(self, meta: Meta, snapshot: Snapshot, number: int) -> list[_Told]:
        """Write a conversation, in any thread, and return what a person should be told; an older one is passed over."""
        with self._writing:
            if self._off or number <= self._written:
                return []
            self._written = number
            try:
                return self._put(meta, snapshot)
            except (OSError, Problem) as exc:
                self._off = True
                reason = getattr(exc, "strerror", None) or exc
                hint = "AGENTKIT_STATE_DIR names another folder; --no-keep keeps none"
                return [("not_kept", f"the conversation is not kept: {reason} ({self._store.folder})", hint)]

    def _put(self, meta: Meta, snapshot: Snapshot) -> list[_Told]:
        masked = masked_snapshot(snapshot, self._masker)
        entries = tuple(map(_text_only, masked.entries))
        data = replace(masked, entries=entries).to_json()
        meta = replace(meta, id=self._id or meta.id, first=_first_words(entries)[:_MAX_FIRST])
        told: list[_Told] = []
        mark = self._store.write(meta, data, mark=self._mark)
        if mark is None:  # it was gone on with, or deleted, elsewhere: this one stays beside it
            before, self._id = meta.id, self._session.id
            meta = replace(meta, id=self._session.id)
            mark = self._store.write(meta, data, mark=None)
            message = f"session {before} was changed by another program; this conversation is kept as {meta.id}"
            told.append(("kept_apart", message, None))
        if self._mark is None:
            self._store.prune(older=KEEP_DAYS * DAY, count=KEEP_COUNT)
        self._mark = mark
        return told

    def _tell(self, told: Iterable[_Told]) -> None:
        for code, message, hint in told:
            self._notice("warning", code, message, hint=hint)

    def _digest(self) -> str:
        agent = self._agent
        main = (agent.name, agent.loaded.instructions or "", _tools_of(agent, agent.config.agent.handoff))
        return digest_of(
            [main, *((each.name, each.instructions or "", _tools_of(each, each.handoff)) for each in agent.agents)]
        )


def _tools_of(agent: "Agent | AgentSource", handoff: Sequence[str]) -> list[str]:
    """Return what the configuration calls the tools of an agent, and those that it hands over to."""
    tools = [f"tool {each.tool.name}" for each in agent.tools]
    toolsets = [f"toolset {each.name}" for each in agent.toolsets]
    return [
        *tools,
        *toolsets,
        *(f"hosted {each.label}" for each in agent.hosted),
        *(f"agent {name}" for name in handoff),
    ]


def _text_only(entry: "Entry") -> "Entry":
    """Return an entry without its audio and images."""
    item = entry.item
    if not isinstance(item, MessageItem):
        return entry
    return replace(entry, item=replace(item, content=tuple(map(_without_data, item.content))))


def _without_data(part: AnyPart) -> AnyPart:
    match part:
        case InputAudio() | OutputAudio():
            return replace(part, audio=None)
        case InputImage():
            return replace(part, image_url=None)
        case _:
            return part


def _first_words(entries: "tuple[Entry, ...]") -> str:
    for entry in entries:
        if isinstance(entry.item, MessageItem) and entry.item.role == "user" and entry.item.text.strip():
            return " ".join(entry.item.text.split())
    return ""
