"""Any order of events that the protocol permits, any repetition, and any loss that later events make good, give the
same conversation, and the same calls.
"""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.events import (
    AnyItem,
    ConversationItemCreate,
    FunctionCallOutputItem,
    ResponseCreate,
    ResponseSettings,
    ServerEvent,
    decode_server,
)
from agentkit.protocol import Core, Effect, Propose, StartTool, Transmit

USER = {"id": "u", "type": "message", "role": "user", "status": "completed"}
SPOKEN = {"id": "m", "type": "message", "role": "assistant"}
CALL = {"id": "c", "type": "function_call", "name": "tool", "call_id": "x"}
OPEN = {"status": "in_progress"}
SPOKEN_DONE = SPOKEN | {"status": "completed", "content": [{"type": "output_audio", "transcript": "hello"}]}
CALL_DONE = CALL | {"status": "completed", "arguments": '{"a": 1}', "object": "realtime.item"}
M: dict[str, object] = {"response_id": "r", "item_id": "m"}
C: dict[str, object] = {"response_id": "r", "item_id": "c", "call_id": "x"}
RESPONSE: list[tuple[str, dict[str, object]]] = [
    ("response.created", {"response": {"id": "r", "status": "in_progress"}}),
    ("response.output_item.added", {"response_id": "r", "item": SPOKEN | OPEN | {"content": []}}),
    ("response.content_part.added", M | {"part": {"type": "audio", "transcript": ""}}),
    ("response.output_audio_transcript.delta", M | {"delta": "hel"}),
    ("response.output_audio_transcript.delta", M | {"delta": "lo"}),
    ("response.output_audio_transcript.done", M | {"transcript": "hello"}),
    ("response.content_part.done", M | {"part": {"type": "audio", "transcript": "hello"}}),
    ("response.output_item.done", {"response_id": "r", "item": SPOKEN_DONE}),
    ("response.output_item.added", {"response_id": "r", "item": CALL | OPEN | {"arguments": ""}}),
    ("response.function_call_arguments.delta", C | {"delta": '{"a"'}),
    ("response.function_call_arguments.delta", C | {"delta": ": 1}"}),
    ("response.function_call_arguments.done", C | {"arguments": '{"a": 1}'}),
    ("response.output_item.done", {"response_id": "r", "item": CALL_DONE}),
    ("response.done", {"response": {"id": "r", "status": "completed", "output": [SPOKEN_DONE, CALL_DONE]}}),
]
ITEMS: list[tuple[str, dict[str, object]]] = [
    ("input_audio_buffer.committed", {"item_id": "u", "previous_item_id": "root"}),
    ("conversation.item.added", {"item": USER | {"content": [{"type": "input_audio"}]}}),
    ("conversation.item.done", {"item": USER | {"content": [{"type": "input_audio"}]}}),
    ("conversation.item.added", {"item": SPOKEN | OPEN | {"content": []}, "previous_item_id": "u"}),
    ("conversation.item.done", {"item": SPOKEN_DONE, "previous_item_id": "u"}),
    ("conversation.item.added", {"item": CALL | OPEN, "previous_item_id": "m"}),
    ("conversation.item.done", {"item": CALL_DONE, "previous_item_id": "m"}),
]
TRANSCRIPTS: list[tuple[str, dict[str, object]]] = [
    ("conversation.item.input_audio_transcription.delta", {"item_id": "u", "delta": "h"}),
    ("conversation.item.input_audio_transcription.delta", {"item_id": "u", "delta": "i"}),
    ("conversation.item.input_audio_transcription.completed", {"item_id": "u", "transcript": "hi"}),
]
AUDIO: list[tuple[str, dict[str, object]]] = [
    ("response.output_audio.delta", M | {"delta": "AAEC"}),
    ("response.output_audio.delta", M | {"delta": "AwQF"}),
    ("response.output_audio.done", M),
]
"""Anywhere between the beginning of its response and the end of its part."""
ASIDE = {"id": "a", "type": "message", "role": "assistant", "status": "completed"}
A: dict[str, object] = {"response_id": "b", "item_id": "a"}
B = {"id": "b", "conversation_id": None, "metadata": {"agentkit_id": "aside"}}
BESIDE: list[tuple[str, dict[str, object]]] = [
    ("response.created", {"response": B | {"status": "in_progress"}}),
    ("response.output_item.added", {"response_id": "b", "item": ASIDE | OPEN | {"content": []}}),
    ("response.output_text.delta", A | {"delta": "aside"}),
    ("response.output_audio.delta", A | {"delta": "BgcI"}),
    ("response.output_item.done", {"response_id": "b", "item": ASIDE | {"content": []}}),
    ("response.done", {"response": B | {"status": "completed", "output": []}}),
]
CHAINS = (RESPONSE, ITEMS, TRANSCRIPTS, BESIDE, AUDIO)
PART_DONE = 6
"""Where the spoken part of the response ends."""
MADE_GOOD = (
    "text.delta",
    "transcript.delta",
    "arguments.delta",
    "transcription.delta",
    "audio.done",
    ".added",
    "content_part.done",
    "transcript.done",
    "arguments.done",
    "output_item.done",
    "committed",
)


def decoded(index: int, wire_type: str, fields: dict[str, object]) -> ServerEvent:
    return decode_server(json.dumps({"type": wire_type, "event_id": f"e{index}"} | fields))


class Outcome:
    """What a stream comes to."""

    def __init__(self, events: list[ServerEvent]) -> None:
        self.core = Core()
        self.started: list[str] = []
        self.sent: list[str] = []
        self.run(self.core.respond("ask"))
        self.run(self.core.respond("aside", ResponseSettings(conversation="none")))
        for event in events:
            self.run(self.core.receive(event))

    def run(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Propose(event):
                    self.run(self.core.outgoing(event))
                case StartTool(call_id):
                    self.started.append(call_id)
                    self.run(self.core.finish_call(call_id, "5"))
                case Transmit(ResponseCreate()):
                    self.sent.append("create")
                case Transmit(ConversationItemCreate(item=FunctionCallOutputItem())):
                    self.sent.append("output")

    @property
    def audio(self) -> bytes:
        return self.core.output.read("m")

    @property
    def items(self) -> list[AnyItem]:
        return self.core.conversation.snapshot()


EVENTS = [[decoded(100 * chain + index, *told) for index, told in enumerate(CHAINS[chain])] for chain in range(5)]
IN_ORDER = Outcome(
    [
        *EVENTS[1][:3],
        *EVENTS[2],
        EVENTS[0][0],
        *EVENTS[1][3:4],
        *EVENTS[0][1:3],
        *EVENTS[4],
        *EVENTS[0][3:],
        *EVENTS[1][4:],
        *EVENTS[3],
    ]
)


@st.composite
def streams(draw: st.DrawFn) -> list[ServerEvent]:
    """Draw an interleaving of the chains, without some events and with others twice."""
    spoken = list(EVENTS[0])
    places = draw(st.lists(st.integers(1, PART_DONE), min_size=len(AUDIO), max_size=len(AUDIO)).map(sorted))
    for number, place in enumerate(places):
        spoken.insert(place + number, EVENTS[4][number])
    chains = [spoken, *EVENTS[1:4]]
    turns = draw(st.permutations([number for number, chain in enumerate(chains) for _ in chain]))
    left = [iter(events) for events in chains]
    stream = [next(left[chain]) for chain in turns]
    good = [index for index, event in enumerate(stream) if event.wire_type.endswith(MADE_GOOD)]
    lost = draw(st.sets(st.sampled_from(good), max_size=4))
    stream = [event for index, event in enumerate(stream) if index not in lost]
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(stream) - 1))
        stream.insert(draw(st.integers(at + 1, len(stream))), stream[at])
    return stream


def test_the_stream_in_order_is_the_conversation() -> None:
    assert [item.id for item in IN_ORDER.items] == ["u", "m", "c"]
    assert [state.text for state in IN_ORDER.core.conversation] == ["hi", "hello", '{"a": 1}']
    assert IN_ORDER.started == ["x"]
    assert IN_ORDER.sent == ["create", "create", "output", "create"]
    assert IN_ORDER.audio == bytes(range(6))
    assert IN_ORDER.core.conversation.strays == 0


@settings(max_examples=400, deadline=None)
@given(streams())
def test_every_permitted_stream_gives_the_same_conversation_and_the_same_calls(stream: list[ServerEvent]) -> None:
    outcome = Outcome(stream)
    assert outcome.items == IN_ORDER.items
    assert outcome.started == IN_ORDER.started
    assert outcome.sent == IN_ORDER.sent
    assert outcome.audio == IN_ORDER.audio
