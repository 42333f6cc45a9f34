"""Keeping a conversation while it is held, and taking one up again."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

from msgspec.structs import replace

from agentkit.cli.approvals import Notice
from agentkit.cli.exits import Problem
from agentkit.cli.saving import masked_snapshot
from agentkit.cli.store import KEEP_COUNT, KEEP_DAYS, Kept, Meta, Store, config_name, digest_of
from agentkit.events import AnyPart, InputAudio, InputImage, MessageItem, OutputAudio
from agentkit.masking import WireMasker
from agentkit.middleware.secrets import wire_masker

if TYPE_CHECKING:
    from agentkit.config.build import Agent
    from agentkit.config.parts import AgentSource
    from agentkit.middleware.base import SessionHandle
    from agentkit.session import Session
    from agentkit.session.entries import Entry

_MAX_FIRST: Final = 80
_DAY: Final = 86_400.0


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
        """Items that need not be written."""
        self._off = not keep
        self._session: Session
        self._notice: Notice
        self._masker: WireMasker

    async def attach(self, session: "Session", notice: Notice) -> None:
        """Take the session, and give it the conversation that is taken up.

        Raises:
            Problem: What was kept cannot be read.
            ServerError: The server refused a part of it.
            RemoteProtocolError: The server did not confirm it in time.
        """
        self._session, self._notice = session, notice
        self._masker = wire_masker(cast("SessionHandle", session))
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
        """Write, after a turn."""
        self._turns += 1
        self._write()

    def finish(self) -> None:
        """Write what came after the last turn, as of one that was broken off."""
        if len(self._session.history) > self._items and (self._turns or self._was_spoken_to()):
            self._write()

    def _was_spoken_to(self) -> bool:
        return any(isinstance(item, MessageItem) and item.role == "user" for item in self._session.history.items())

    def _now(self) -> tuple[Meta, bytes]:
        """Return the conversation as it is."""
        session, now = self._session, self._store.now()
        snapshot = masked_snapshot(session, self._masker)
        entries = tuple(map(_text_only, snapshot.entries))
        data = replace(snapshot, entries=entries).to_json()
        old = self.continued.meta if self.continued is not None else None
        costs = [cost for cost in (session.cost, old.cost_usd if old is not None else None) if cost is not None]
        meta = Meta(
            id=self._id or session.id,
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
            first=_first_words(entries)[:_MAX_FIRST],
        )
        return meta, data

    def _write(self) -> None:
        if self._off:
            return
        self._items = len(self._session.history)
        meta, data = self._now()
        try:
            mark = self._store.write(meta, data, mark=self._mark)
            if mark is None:  # it was gone on with, or deleted, elsewhere: this one stays beside it
                before, self._id = meta.id, self._session.id
                meta = replace(meta, id=self._session.id)
                mark = self._store.write(meta, data, mark=None)
                message = f"session {before} was changed by another program; this conversation is kept as {meta.id}"
                self._notice("warning", "kept_apart", message)
            if self._mark is None:
                self._store.prune(older=KEEP_DAYS * _DAY, count=KEEP_COUNT)
            self._mark = mark
        except (OSError, Problem) as exc:
            self._off = True
            message = f"the conversation is not kept: {getattr(exc, 'strerror', None) or exc} ({self._store.folder})"
            hint = "AGENTKIT_STATE_DIR names another folder; --no-keep keeps none"
            self._notice("warning", "not_kept", message, hint=hint)

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
