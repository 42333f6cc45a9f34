"""Secret arguments are those of the tools that a session has, whichever of its agents has them."""

import anyio
import pytest

import agentkit
from agentkit import FunctionTool, HandoffAgent, tool
from agentkit.masking import Masker
from agentkit.middleware.secrets import wire_masker
from agentkit.testing import FakeServer

pytestmark = pytest.mark.anyio
SAID = '{"pin":"12345678"}'


@tool(secret=("pin",))
def unlock(pin: str, door: str = "front") -> str:
    """Unlock a door."""
    return door


@tool
def lock(pin: str) -> str:
    """Lock a door."""
    return pin


async def test_secrets_are_those_that_the_tools_policies_name() -> None:
    async with agentkit.open(FakeServer(), tools=[unlock, lock, FunctionTool(name="theirs")]) as session:
        masker = wire_masker(session, Masker(environ={}))
        shown = [masker.arguments(name, SAID, call_id=name) for name in ("lock", "theirs", "unlock")]
    assert shown == [SAID, SAID, '{"pin":"***"}']


async def test_tools_that_come_later_count_as_well() -> None:
    async with agentkit.open(FakeServer()) as session:
        masker = wire_masker(session, Masker(environ={}))
        await session.add_tool(unlock)
        await anyio.wait_all_tasks_blocked()
        assert masker.arguments("unlock", SAID, call_id="c1") == '{"pin":"***"}'


async def test_the_tools_of_agents_count_that_the_conversation_is_not_with() -> None:
    agents = [HandoffAgent(name="a", tools=[unlock], handoff=["b"]), HandoffAgent(name="b", tools=[lock])]
    async with agentkit.open(FakeServer(), agents=agents) as session:
        await session.hand_over("b")
        masker = wire_masker(session, Masker(environ={}))  # as a kept conversation has it
        assert masker.arguments("unlock", SAID, call_id="c1") == '{"pin":"***"}'
