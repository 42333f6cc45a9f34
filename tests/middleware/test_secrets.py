"""Secret arguments are those of the tools that a session has."""

from types import SimpleNamespace

from agentkit import FunctionTool, tool
from agentkit.masking import Masker
from agentkit.middleware.secrets import wire_masker


@tool(secret=("pin",))
def unlock(pin: str, door: str = "front") -> str:
    """Unlock a door."""
    return door


@tool
def lock(pin: str) -> str:
    """Lock a door."""
    return pin


def test_secrets_are_those_that_the_tools_policies_name() -> None:
    session = SimpleNamespace(tools={"unlock": unlock, "lock": lock, "theirs": FunctionTool(name="theirs")})
    masker = wire_masker(session, Masker(environ={}))
    said = '{"pin":"12345678"}'
    shown = [masker.arguments(name, said, call_id=name) for name in ("lock", "theirs", "unlock")]
    assert shown == [said, said, '{"pin":"***"}']


def test_tools_that_come_later_count_as_well() -> None:
    session = SimpleNamespace(tools={})
    masker = wire_masker(session, Masker(environ={}))
    session.tools = {"unlock": unlock}
    assert masker.arguments("unlock", '{"pin":"12345678"}', call_id="c1") == '{"pin":"***"}'
