"""What tests of limits share: limits with a goodbye, and what the wire carries of it."""

from typing import Any

import anyio
import pytest

import agentkit
from agentkit.errors import SessionClosedError
from agentkit.testing import FakeServer

WORDS = "That is all. Goodbye."


def limits(*, goodbye: str | None = WORDS, **said: Any) -> agentkit.SessionLimits:
    return agentkit.SessionLimits(on_limit="say_goodbye", goodbye=goodbye, **said)


async def goodbye_asked(server: FakeServer, instructions: str = f"Say exactly: {WORDS}") -> dict[str, Any]:
    """Check that the next response that is asked for is the goodbye; return the event."""
    while (event := await server.next())["type"] != "response.create":
        assert event["type"] in ("input_audio_buffer.clear", "response.cancel", "conversation.item.create"), event
    assert event["response"] == {"instructions": instructions, "tool_choice": "none"}
    return event


async def nothing_more(server: FakeServer, session: agentkit.Session) -> None:
    """Check that the session is over, and that the client wrote nothing else."""
    with anyio.fail_after(60):
        await session.wait_closed()
    with pytest.raises((agentkit.TransportError, SessionClosedError)):
        await server.next()


async def done(server: FakeServer, response_id: str, *output: dict[str, Any], **fields: Any) -> None:
    response = {"id": response_id, "status": "completed", "output": output, **fields}
    await server.emit("response.done", response=response)
