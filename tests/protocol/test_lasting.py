"""Settings across connections: secrets that no server says back, and updates that nobody wants any more."""

from __future__ import annotations

import pytest

from agentkit.events import FunctionTool, ServerMcpTool, SessionUpdate, Settings, TranscriptionSettings
from tests.protocol.conftest import Drive

DOCS = ServerMcpTool(server_label="docs", server_url="https://example.org/mcp", authorization="canary-token")
LOOK = FunctionTool(name="look")


@pytest.fixture
def drive(new_drive: type[Drive]) -> Drive:
    return new_drive()


def ask(drive: Drive, event_id: str, *tools: FunctionTool | ServerMcpTool) -> None:
    drive.run(drive.core.update(Settings(tools=tools), event_id))


def confirm(drive: Drive, *tools: dict[str, object]) -> None:
    drive.server("session.updated", session={"type": "realtime", "id": "sess", "tools": tools})


def updates(drive: Drive) -> list[str | None]:
    return [event.event_id for event in drive.sent if isinstance(event, SessionUpdate)]


def reconnect(drive: Drive) -> None:
    drive.run(drive.core.recovery.lose())
    drive.session()
    confirm(drive)
    drive.run(drive.core.recovery.resume([]))


def test_a_hosted_tool_is_declared_again_as_it_was_asked_for(drive: Drive) -> None:
    drive.session()
    ask(drive, "u1", DOCS, LOOK)
    other: dict[str, object] = {"type": "mcp", "server_label": "other"}
    confirm(drive, {"type": "mcp", "server_label": "docs"}, {"type": "function", "name": "look"}, other)
    docs, look, theirs = drive.core.settings.tools()
    assert (docs, look) == (DOCS, LOOK)
    assert theirs == ServerMcpTool(server_label="other")


def test_a_session_without_tools_declares_none(drive: Drive) -> None:
    assert drive.core.settings.tools() == ()
    drive.server("session.created", session={"type": "transcription", "id": "sess"})
    drive.run(drive.core.update(TranscriptionSettings(), "u1"))
    assert drive.core.settings.tools() == ()


def test_an_update_that_was_withdrawn_before_the_session_was_there_is_not_sent(drive: Drive) -> None:
    ask(drive, "u1", LOOK)
    drive.core.settings.withdraw("u1")
    drive.session()
    assert updates(drive) == []


def test_an_update_that_was_withdrawn_on_its_way_is_not_sent(drive: Drive) -> None:
    drive.session()
    drive.held = []
    ask(drive, "u1", LOOK)
    drive.core.settings.withdraw("u1")
    (held,) = drive.held
    assert drive.core.outgoing(held) == []


@pytest.mark.parametrize("withdrawn", [True, False])
def test_an_update_that_the_lost_connection_did_not_answer_goes_out_again_where_it_is_wanted(
    drive: Drive, withdrawn: bool
) -> None:
    drive.session()
    ask(drive, "u1", LOOK)
    if withdrawn:
        drive.core.settings.withdraw("u1")
    reconnect(drive)
    assert updates(drive).count("u1") == (1 if withdrawn else 2)


def test_the_answer_to_a_withdrawn_update_is_not_taken_for_one_to_a_later(drive: Drive) -> None:
    drive.session()
    ask(drive, "u1", LOOK)
    drive.core.settings.withdraw("u1")
    ask(drive, "u2", DOCS)
    confirm(drive, {"type": "function", "name": "look"})
    assert [ended.event_id for ended in drive.updates] == ["u1"]
    assert drive.emitted == []
