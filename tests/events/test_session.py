"""Events that the engine makes for the application."""

import pytest

from agentkit import events
from agentkit.events import SessionEvent, ToolFinished


@pytest.mark.parametrize("status,ok", [("ok", True), ("error", False), ("timeout", False)])
def test_a_tool_finished_well_only_with_status_ok(status: str, ok: bool) -> None:
    event = ToolFinished(call_id="c", name="f", output="", status=status, seconds=0.1)
    assert event.ok is ok


def test_every_session_event_has_a_name_for_logs() -> None:
    classes = [cls for cls in vars(events).values() if isinstance(cls, type) and issubclass(cls, SessionEvent)]
    names = {cls.wire_type for cls in classes if cls not in (SessionEvent, events.ItemDelta)}
    assert "" not in names
    assert len(names) == len(classes) - 2
