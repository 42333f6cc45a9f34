"""Cutting a byte stream into frames, checked against the parser of websockets."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, Protocol

from agentkit.transports.websocket.splitter import FrameSplitter


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


def text(data: bytes) -> bytes:
    return frame(Opcode.TEXT, data)


class Sorted:
    """A splitter and what it gave, in order."""

    def __init__(self, *, max_size: int = 2**20, goes_on: bool = True) -> None:
        self.given: list[tuple[str, bytes]] = []
        self.goes_on = goes_on
        self.splitter = FrameSplitter(lambda data: self.given.append(("text", data)), self._other, max_size=max_size)

    def _other(self, data: bytes) -> bool:
        self.given.append(("other", data))
        return self.goes_on

    def feed(self, *chunks: bytes) -> list[tuple[str, bytes]]:
        for chunk in chunks:
            self.splitter.feed(chunk)
        return self.given


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_a_whole_text_frame_of_any_length_gives_its_payload(length: int) -> None:
    assert Sorted().feed(text(b"x" * length)) == [("text", b"x" * length)]


def test_frames_that_come_together_are_told_apart() -> None:
    assert Sorted().feed(text(b"a") + text(b"b" * 200)) == [("text", b"a"), ("text", b"b" * 200)]


@pytest.mark.parametrize("length", [3, 200, 70000])
def test_a_frame_may_come_byte_by_byte(length: int) -> None:
    stream = text(b"y" * length)
    head = [stream[i : i + 1] for i in range(20)]
    assert Sorted().feed(*head, stream[20:]) == [("text", b"y" * length)]


def test_other_frames_are_handed_on_byte_for_byte_and_in_order() -> None:
    ping, close = frame(Opcode.PING, b"p"), frame(Opcode.CLOSE, b"\x03\xe8")
    assert Sorted().feed(text(b"a") + ping + text(b"b") + close) == [
        ("text", b"a"), ("other", ping), ("text", b"b"), ("other", close),
    ]  # fmt: skip


def test_fragments_are_handed_on_and_whole_messages_after_them_are_not() -> None:
    first, last = frame(Opcode.TEXT, b"a", fin=False), frame(Opcode.CONT, b"b")
    assert Sorted().feed(first + last + text(b"c")) == [("other", first), ("other", last), ("text", b"c")]


def test_a_text_frame_between_fragments_is_left_to_the_parser_to_refuse() -> None:
    first = frame(Opcode.TEXT, b"a", fin=False)
    assert Sorted().feed(first + text(b"b"))[1] == ("other", text(b"b"))


def test_a_compressed_frame_is_handed_on() -> None:
    compressed = b"\xc1\x03abc"
    assert Sorted().feed(compressed + text(b"a")) == [("other", compressed), ("text", b"a")]


def test_a_masked_frame_and_all_after_it_are_handed_over() -> None:
    masked = Frame(Opcode.TEXT, b"a").serialize(mask=True)
    assert Sorted().feed(masked + text(b"b"), b"c") == [("other", masked + text(b"b")), ("other", b"c")]


def test_a_frame_that_is_too_long_is_handed_over_at_its_header() -> None:
    header = text(b"x" * 70000)[:10]
    assert Sorted(max_size=60000).feed(header, b"x") == [("other", header), ("other", b"x")]


def test_all_that_follows_a_last_frame_is_handed_over() -> None:
    close = frame(Opcode.CLOSE, b"")
    assert Sorted(goes_on=False).feed(close + text(b"a"), text(b"b")) == [
        ("other", close), ("other", text(b"a")), ("other", text(b"b")),
    ]  # fmt: skip


def test_nothing_is_handed_over_after_a_last_frame_that_ends_the_data() -> None:
    close = frame(Opcode.CLOSE, b"")
    assert Sorted(goes_on=False).feed(close) == [("other", close)]


def test_a_stopped_splitter_hands_over_everything() -> None:
    sorted_ = Sorted()
    sorted_.splitter.stop()
    assert sorted_.feed(text(b"a")) == [("other", text(b"a"))]


_frames = st.lists(
    st.one_of(
        st.binary(max_size=300).map(lambda data: [text(data)]),
        st.binary(max_size=100).map(lambda data: [frame(Opcode.PING, data)]),
        st.binary(max_size=300).map(lambda data: [frame(Opcode.BINARY, data)]),
        st.lists(st.binary(max_size=50), min_size=2, max_size=4).map(
            lambda parts: [
                frame(Opcode.TEXT if index == 0 else Opcode.CONT, part, fin=index == len(parts) - 1)
                for index, part in enumerate(parts)
            ]
        ),
        st.binary(max_size=20).map(lambda garbage: [garbage]),
    ),
    max_size=8,
).map(lambda groups: b"".join(part for group in groups for part in group))


def messages(events: Sequence[object]) -> list[tuple[Opcode, bytes]]:
    return [(event.opcode, bytes(event.data)) for event in events if isinstance(event, Frame)]


@given(stream=_frames, cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_any_stream_cut_anywhere_gives_what_the_parser_alone_gives(stream: bytes, cuts: list[int]) -> None:
    alone = Protocol(CLIENT, max_size=2**20)
    alone.receive_data(stream)
    expected = messages(alone.events_received())

    behind = Protocol(CLIENT, max_size=2**20)
    got: list[tuple[Opcode, bytes]] = []

    def other(data: bytes) -> bool:
        behind.receive_data(data)
        got.extend(messages(behind.events_received()))
        return behind.state.name == "OPEN"

    splitter = FrameSplitter(lambda data: got.append((Opcode.TEXT, data)), other, max_size=2**20)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for start, stop in itertools.pairwise(edges):
        splitter.feed(stream[start:stop])

    assert got == expected
    assert (behind.close_rcvd, behind.close_sent) == (alone.close_rcvd, alone.close_sent)
