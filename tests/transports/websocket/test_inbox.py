"""The queue between the socket and the receiver."""

from agentkit.transports.websocket.inbox import HIGH_WATER, LOW_WATER, Inbox


class Reading:
    """Counts how often reading was stopped and went on."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.inbox = Inbox(pause=lambda: self.log.append("pause"), resume=lambda: self.log.append("resume"))


def test_a_whole_message_is_taken_as_it_came() -> None:
    inbox = Reading().inbox
    inbox.add_fragment(b"a", final=True)
    assert inbox.take() == b"a"


def test_fragments_become_one_message() -> None:
    inbox = Reading().inbox
    for part, final in ((b"a", False), (b"", False), (b"b", True), (b"c", True)):
        inbox.add_fragment(part, final=final)
    assert list(inbox.messages) == [b"ab", b"c"]


def test_a_waiting_task_is_woken_once() -> None:
    inbox = Reading().inbox
    woken: list[int] = []
    inbox.wake = lambda: woken.append(1)
    inbox.notify()
    inbox.notify()
    assert woken == [1]


def test_reading_stops_above_the_high_water_and_goes_on_at_the_low() -> None:
    reading = Reading()
    for _ in range(HIGH_WATER):
        reading.inbox.add_fragment(b"", final=True)
        reading.inbox.notify()
    assert reading.log == []
    for _ in range(2):
        reading.inbox.add_fragment(b"", final=True)
        reading.inbox.notify()
    assert reading.log == ["pause"]
    while len(reading.inbox.messages) > LOW_WATER + 1:
        reading.inbox.take()
    assert reading.log == ["pause"]
    reading.inbox.take()
    reading.inbox.take()
    assert reading.log == ["pause", "resume"]


def test_a_closed_inbox_lets_the_reading_go_on_and_keeps_nothing() -> None:
    reading = Reading()
    for _ in range(HIGH_WATER + 1):
        reading.inbox.add_fragment(b"", final=True)
    reading.inbox.notify()
    reading.inbox.close()
    assert reading.log == ["pause", "resume"]
    for _ in range(HIGH_WATER + 1):
        reading.inbox.add_fragment(b"", final=True)
        reading.inbox.notify()
    assert reading.log == ["pause", "resume"]
    assert not reading.inbox.messages


def test_closing_an_inbox_wakes_the_waiting_task() -> None:
    inbox = Reading().inbox
    woken: list[int] = []
    inbox.wake = lambda: woken.append(1)
    inbox.close()
    assert woken == [1]
