"""Taking a conversation up again in another session."""

from typing import TYPE_CHECKING

import anyio
from msgspec import UNSET
from msgspec.structs import replace

from agentkit.errors import RemoteProtocolError, SessionClosedError
from agentkit.events import AnySettings, ConversationItemAdded, ConversationItemCreate, ErrorOccurred, Event, Settings
from agentkit.session.snapshot import Replay, Sendable, Snapshot, replay

if TYPE_CHECKING:
    from agentkit.session.session import Session


ANSWERS: tuple[type[Event], ...] = (ConversationItemAdded, ErrorOccurred)


async def resume(session: "Session", snapshot: Snapshot, *, settings: bool, timeout: float) -> Replay:
    """Send a snapshot's conversation, and wait until the server has all of it; see ``Session.resume``."""
    wanted = await _with_agent(session, snapshot)
    if settings and wanted is not None:
        # the model is the connection's
        await session.update(replace(wanted, model=UNSET) if isinstance(wanted, Settings) else wanted)
    sent = replay(snapshot)
    # An item without an id gets one of ours, so that it is known when the server confirms it.
    items = [replace(item, id=item.id or f"{session.id}_resumed_{index}") for index, item in enumerate(sent.items)]
    due = {item.id: item for item in items}
    with session.subscribe(*ANSWERS) as events:
        try:
            with anyio.fail_after(timeout):
                for item in items:
                    await session.send(ConversationItemCreate(item=item))
                while due:
                    _take(await anext(events), due)
        except TimeoutError:
            message = f"the server has not confirmed {len(due)} of {len(items)} items within {timeout:g} s"
            raise RemoteProtocolError(message) from None
        except StopAsyncIteration:
            raise SessionClosedError("the session was closed before the server had the whole conversation") from None
    for call in sent.unknown:
        session.notice(
            "outcome_unknown",
            f"it is not known whether the call of {call.name} (call {call.call_id}) was done: "
            "the session before ended without its outcome. The agent was told so, and it does not run again",
        )
    return sent


async def _with_agent(session: "Session", snapshot: Snapshot) -> AnySettings | None:
    """Hand over to the agent that the conversation was with; return the settings that still fit then."""
    agent, wanted, known = snapshot.agent, snapshot.settings, {each.name for each in session.agents}
    if agent in known or (agent is None and not known):
        if agent is not None:
            await session.hand_over(agent, greet=False)
        return wanted
    if agent is not None:
        message = f"the conversation was with {agent}, an agent that there is not in this session"
        session.notice("agent_missing", message)
    # what the model was told of its task there is of another agent than the one that it is with here
    return replace(wanted, instructions=UNSET) if isinstance(wanted, Settings) else wanted


def _take(event: Event, due: dict[str | None, Sendable]) -> None:
    match event:
        case ConversationItemAdded(item=item):
            due.pop(item.id, None)
        case ErrorOccurred(error=error, command=ConversationItemCreate(item=item)) if item.id in due:
            raise error
