"""What becomes of a session's events: which records, and in which order."""

from typing import Any

import anyio
import msgspec
import pytest

import agentkit
from agentkit import Local, Settings
from agentkit.cli.feed import CLASSES, Feed
from agentkit.cli.records import AgentRecord, AnyRecord, StateRecord
from agentkit.errors import ServerError
from agentkit.events import (
    ConversationItemInputAudioTranscriptionCompleted,
    ErrorOccurred,
    Event,
    HandedOver,
    InputAudio,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    Interrupted,
    ItemCompleted,
    ItemView,
    MessageItem,
    OutputAudio,
    Reconnected,
    Reconnecting,
    Response,
    ResponseCreated,
    ResponseDone,
    ResponseOutputAudioTranscriptDelta,
    ToolFinished,
    ToolStarted,
    TurnCompleted,
    Usage,
)

pytestmark = pytest.mark.anyio


class Shown:
    """A skin that remembers."""

    def __init__(self) -> None:
        self.records: list[AnyRecord] = []

    def show(self, record: AnyRecord) -> None:
        self.records.append(record)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [
            each
            for record in self.records
            if (each := msgspec.json.decode(msgspec.json.encode(record)))["type"] == kind
        ]

    @property
    def states(self) -> list[str]:
        return [f"{each['state']} {each['detail'] or ''}".strip() for each in self.of("state")]


def told(*events: Event, **given: Any) -> Shown:
    shown = Shown()
    feed = Feed(shown, **given)
    feed.states.begin()
    for event in events:
        feed.take(event)
    return shown


def begun(response_id: str = "r1") -> Event:
    return ResponseCreated(response=Response(id=response_id))


def done(response_id: str = "r1") -> Event:
    return ResponseDone(response=Response(id=response_id, status="completed"))


def said(text: str, item_id: str = "i1") -> Event:
    return ResponseOutputAudioTranscriptDelta(item_id=item_id, delta=text)


def turn(text: str = "", **given: Any) -> Event:
    return TurnCompleted(status="completed", text=text, responses=1, tool_calls=0, seconds=1.0, usage=Usage(), **given)


def started(name: str, *, background: bool = False) -> Event:
    return ToolStarted(call_id=name, name=name, arguments="{}", background=background)


def finished(name: str) -> Event:
    return ToolFinished(call_id=name, name=name, output="", status="ok", seconds=0.1)


def whole(text: str, item_id: str = "i1", status: str = "completed") -> Event:
    item = MessageItem(id=item_id, role="assistant", status=status, content=(OutputAudio(transcript=text),))
    return ItemCompleted(item=ItemView.of(item))


SPEECH = InputAudioBufferSpeechStarted(item_id="u1")
SILENCE = InputAudioBufferSpeechStopped(item_id="u1")


@pytest.mark.parametrize(
    "events, states",
    [
        ([], []),
        ([SPEECH, SILENCE, begun(), said("a"), done(), turn()], ["hearing", "thinking", "speaking", "listening"]),
        ([begun(), said("a"), said("b"), SPEECH], ["thinking", "speaking", "hearing"]),
        ([begun(), done(), started("look"), finished("look")], ["thinking", "tool look", "thinking"]),
        ([begun(), started("a"), started("b"), finished("b")], ["thinking", "tool a", "tool b", "tool a"]),
        ([begun(), started("slow", background=True), said("a")], ["thinking", "speaking"]),
        ([begun(), said("a"), done(), started("look")], ["thinking", "speaking", "tool look"]),
        ([begun(), said("a"), done(), begun("r2")], ["thinking", "speaking", "thinking"]),
        (
            [
                begun(),
                said("a"),
                Reconnecting(attempt=2, of=5, seconds=1.0),
                Reconnected(restored=True),
                turn(),
            ],
            ["thinking", "speaking", "reconnecting 2/5", "thinking", "listening"],
        ),
    ],
)
async def test_each_change_of_what_goes_on_is_a_state(
    anyio_backend: str, events: list[Event], states: list[str]
) -> None:
    assert told(*events).states == ["listening", *states]


async def test_a_voice_that_is_played_goes_on_speaking(anyio_backend: str) -> None:
    shown = Shown()
    feed = Feed(shown)
    feed.states.playing(True)
    for event in (begun(), said("a"), done(), turn()):
        feed.take(event)
    assert shown.states == ["speaking"]
    feed.states.playing(False)
    assert shown.states == ["speaking", "listening"]


async def test_an_interruption_tells_all_that_was_said_and_what_was_heard(anyio_backend: str) -> None:
    cut = Interrupted(item_id="i1", heard_ms=900, heard_text="one", by_speech=True)
    (record,) = told(begun(), said("one "), said("two"), cut).of("agent")[2:]
    assert (record["event"], record["text"]) == ("interrupted", "one two")
    assert (record["heard_ms"], record["heard_text"]) == (900, "one")


async def test_what_is_whole_can_be_interrupted_while_it_is_played(anyio_backend: str) -> None:
    cut = Interrupted(item_id="i1", heard_ms=10, heard_text="")
    shown = told(said("one two"), whole("one two"), turn("one two"), cut)
    assert shown.of("agent")[-1]["text"] == "one two"


async def test_an_interruption_before_anything_was_said_is_no_record(anyio_backend: str) -> None:
    assert told(begun(), Interrupted()).of("agent") == []


async def test_a_turns_cost_is_told_where_it_is_known(anyio_backend: str) -> None:
    assert [each["cost_usd"] for each in told(turn(), turn(cost_usd=0.25)).of("turn")] == [None, 0.25]


async def test_a_handoff_is_told(anyio_backend: str) -> None:
    (record,) = told(HandedOver(agent="billing", previous="desk")).of("handoff")
    assert (record["agent"], record["previous"]) == ("billing", "desk")


async def test_an_error_is_told_once_for_what_was_said(anyio_backend: str) -> None:
    def error() -> Event:
        return ErrorOccurred(error=ServerError("it is deaf", code="deaf"))

    assert len(told(error(), error()).of("error")) == 1
    assert len(told(error(), SPEECH, error()).of("error")) == 2


@pytest.mark.parametrize("before", [True, False])
async def test_what_the_user_has_spoken_is_told_in_words_once(anyio_backend: str, before: bool) -> None:
    item = MessageItem(id="u1", role="user", status="completed", content=(InputAudio(),))
    events: list[Event] = [
        ItemCompleted(item=ItemView.of(item)),
        ConversationItemInputAudioTranscriptionCompleted(item_id="u1", content_index=0, transcript="hello"),
    ]
    shown = Shown()
    feed = Feed(shown)
    feed.transcribes = True
    for event in reversed(events) if before else events:
        feed.take(event)
    assert [each["text"] for each in shown.of("user")] == ["hello"]


async def test_what_a_layer_has_hidden_is_not_told(anyio_backend: str) -> None:
    shown = told(whole("secret"), turn("I may not say."), changed=True, whole=True)
    assert [each["text"] for each in shown.of("agent")] == ["I may not say."]
    assert [each["text"] for each in shown.of("turn")] == ["I may not say."]


async def test_every_record_can_be_written_and_has_its_version(anyio_backend: str) -> None:
    for record in told(begun(), said("a"), whole("a"), turn("a"), HandedOver(agent="b", previous="a")).records:
        assert msgspec.json.decode(msgspec.json.encode(record))["v"] == 1


async def test_a_real_session_tells_its_states(anyio_backend: str) -> None:
    shown = Shown()
    async with agentkit.open(Local(), settings=Settings(output_modalities=("text",))) as session:
        feed = Feed(shown)
        with session.subscribe(*CLASSES) as events:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed.run, events)
                feed.asked()
                taken = await session.ask("hello")
                await feed.turn_shown(taken.seconds)
                tasks.cancel_scope.cancel()
    assert [record.state for record in shown.records if isinstance(record, StateRecord)][-3:] == [
        "thinking",
        "speaking",
        "listening",
    ]
    finals = [record for record in shown.records if isinstance(record, AgentRecord) and record.event == "final"]
    assert [record.text for record in finals] == [taken.text]
