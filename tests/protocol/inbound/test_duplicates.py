"""An event that was sent twice: same id, and the same said."""

import pytest

from agentkit.events import ConversationItemDeleted, ResponseTextDelta
from agentkit.protocol.inbound.duplicates import WINDOW, Window

DELETED = ConversationItemDeleted(item_id="a")


def test_the_same_under_the_same_id_is_a_duplicate() -> None:
    window = Window()
    assert not window.has("e", DELETED)
    assert window.has("e", ConversationItemDeleted(item_id="a"))
    assert window.has("e", DELETED)


def test_something_else_under_the_same_id_is_not() -> None:
    window = Window()
    window.has("e", DELETED)
    assert not window.has("e", ConversationItemDeleted(item_id="b"))
    assert not window.has("e", (ResponseTextDelta, "a", "x"))
    assert not window.has("e", (ResponseTextDelta, "a", "y"))


def test_the_same_under_another_id_is_not() -> None:
    window = Window()
    window.has("e", DELETED)
    assert not window.has("f", DELETED)


@pytest.mark.parametrize("between, doubled", [(WINDOW - 1, True), (WINDOW, True), (3 * WINDOW, False)])
def test_the_window_is_bounded(between: int, doubled: bool) -> None:
    window = Window()
    window.has("e", DELETED)
    for number in range(between):
        window.has(f"e{number}", DELETED)
    assert window.has("e", DELETED) is doubled
