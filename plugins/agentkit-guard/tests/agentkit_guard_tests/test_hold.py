"""``hold``: nothing of what the agent says is heard or seen before its text has passed."""

from itertools import pairwise
from typing import Any

import anyio
import pytest
from agentkit_guard import Hold, HoldConfig, Redact, RedactConfig, Topic, TopicConfig
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.events import (
    ConversationUpdated,
    Event,
    Interrupted,
    ResponseDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    TurnCompleted,
)

from .talking import PATIENCE, Seen, Server, opened

pytestmark = pytest.mark.anyio
NO = "Let us talk about something else."
asked: list[str] = []
"""Texts that the check was asked about."""


async def no_bombs(text: str, whose: str) -> str | None:
    asked.append(text)
    await anyio.lowlevel.checkpoint()
    return "not that" if "bomb" in text else None


def broken(text: str, whose: str) -> None:
    raise RuntimeError("the check is broken")


def hold(**options: Any) -> Hold:
    return Hold(HoldConfig(**{"deny": ("bomb*",), "message": NO, **options}))


async def test_text_is_held_until_its_sentence_is_whole() -> None:
    server = Server()
    async with opened(server, hold()) as (_, seen):
        await server.begins()
        await server.writes("Good", " morning")
        await seen.all()
        assert seen.written == ""
        await server.writes(". ", "How")
        await seen.all()
        assert seen.written == "Good morning. "
        await server.ends("Good morning. How")
        await seen.all()
    assert seen.written == seen.updates == "Good morning. How"


async def test_audio_is_held_until_a_stretch_of_the_transcript_has_passed_that_came_after_it() -> None:
    server = Server()
    async with opened(server, hold()) as (_, seen):
        await server.begins()
        await server.speaks(2)
        await server.tells("Good morning")
        await seen.all()
        assert seen.audio == 0
        await server.tells(". ")
        await server.speaks(2)
        await seen.all()
        assert seen.audio == 2
        await server.tells("How are you?")
        await seen.all()
        assert seen.audio == 4
        await server.ends("Good morning. How are you?", spoken=True)
        await seen.all()
    assert seen.told == "Good morning. How are you?"


async def test_what_the_wait_costs_is_one_sentence_or_the_whole_response() -> None:
    held = {}
    for unit in ("sentence", "response"):
        server = Server()
        async with opened(server, hold(unit=unit)) as (_, seen):
            await server.begins()
            most = sent = 0
            for piece in ["One", " two", ".", " Three", " four", ".", " Five", "."]:
                await server.tells(piece)
                await server.speaks()
                sent += 1
                await seen.all()
                most = max(most, sent - seen.audio)
            await server.ends("One two. Three four. Five.", spoken=True)
            await seen.all()
            held[unit] = most
            assert seen.audio == sent
    assert held == {"sentence": 3, "response": 8}


async def test_events_come_out_in_the_order_in_which_they_came() -> None:
    plain, held = Server(), Server()
    orders = []
    for server, guards in ((plain, []), (held, [hold()])):
        async with opened(server, *guards) as (_, seen):
            await server.begins()
            await server.tells("One. ", "Two")
            await server.speaks(2)
            await server.tells(". Three.")
            await server.ends("One. Two. Three.", spoken=True)
            await seen.until(TurnCompleted)
            orders.append([type(event).__name__ for event in seen.events])
    assert orders[0] == orders[1]


@pytest.mark.parametrize("unit", ["sentence", "response"])
@pytest.mark.parametrize("by", ["rules", "function"])
async def test_what_may_not_pass_is_dropped_and_something_else_is_said(unit: str, by: str) -> None:
    check = {"deny": (), "python": f"{__name__}:no_bombs"} if by == "function" else {}
    server = Server()
    async with opened(server, hold(unit=unit, **check)) as (_, seen):
        await server.begins()
        await server.tells("All is well. ", "Now a bomb")
        await server.speaks(3)
        await server.tells(" goes off.")
        await server.ends("All is well. Now a bomb goes off.", spoken=True)
        said = await server.answers_until("response.create")
        await seen.all()
    assert said["response"]["instructions"].endswith(NO)
    assert seen.audio == 0
    assert "bomb" not in seen.words()
    assert seen.told == ("All is well. " if unit == "sentence" else "")
    assert seen.of(ResponseDone)
    assert seen.of(ResponseOutputAudioTranscriptDone)[0].transcript == seen.told
    assert seen.of(TurnCompleted)[0].text == (seen.told or NO)


async def test_a_response_that_goes_on_is_cancelled() -> None:
    server = Server()
    async with opened(server, hold()) as (_, seen):
        await server.begins()
        await server.writes("All is well. Now a bomb goes off.")
        assert (await server.answers_until("response.cancel"))["response_id"] == "r1"
        await server.writes(" And more.")
        await server.emit("response.done", response={"id": "r1", "status": "cancelled", "output": []})
        await seen.until(TurnCompleted)
    assert "bomb" not in seen.words()
    assert "more" not in seen.words()


@given(cuts=st.lists(st.integers(0, 60), max_size=8), audio=st.lists(st.integers(0, 8), max_size=4), data=st.data())
@settings(max_examples=40)
async def test_whatever_the_order_of_text_and_audio_nothing_leaks_and_everything_ends(
    cuts: list[int], audio: list[int], data: st.DataObject
) -> None:
    unit = data.draw(st.sampled_from(["sentence", "response"]))
    bad = data.draw(st.booleans())
    text = "One is fine. Two is a b\u043emb indeed. Three." if bad else "One is fine. Two is 3.14 fine. Three"
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    server = Server()
    async with opened(server, hold(unit=unit)) as (_, seen):
        await server.begins()
        for index, (begin, end) in enumerate(pairwise(places)):
            await server.tells(text[begin:end])
            await server.speaks(audio.count(index))
        await server.ends(text, spoken=True)
        await seen.until(TurnCompleted)
    assert seen.of(ResponseDone)
    if bad:
        assert "mb" not in seen.words()
    else:
        assert seen.told == seen.updates == text
        assert seen.audio == sum(index < len(places) - 1 for index in audio)


async def test_a_function_gets_each_sentence_with_what_was_said_before() -> None:
    asked.clear()
    server = Server()
    async with opened(server, hold(deny=(), python=f"{__name__}:no_bombs")) as (_, seen):
        await server.begins()
        await server.writes("One is fine. ")
        await _written(seen, "One is fine. ")
        await server.writes("Two as well.")
        await server.ends("One is fine. Two as well.")
        await seen.until(TurnCompleted)
    assert asked == ["One is fine. ", "One is fine. Two as well."]


async def _written(seen: Seen, text: str) -> None:
    with anyio.fail_after(PATIENCE):
        while seen.written != text:
            await seen.all()


async def test_a_check_that_fails_lets_nothing_pass() -> None:
    server = Server()
    async with opened(server, hold(deny=(), python=f"{__name__}:broken")) as (_, seen):
        await server.begins()
        await server.writes("Hello there. ")
        await server.ends("Hello there. ")
        await seen.until(TurnCompleted)
    assert seen.written == ""
    assert seen.of(TurnCompleted)[0].text == NO


async def test_audio_without_a_transcript_is_not_heard() -> None:
    server = Server()
    async with opened(server, hold()) as (_, seen):
        await server.begins()
        await server.speaks(3)
        await server.emit("response.done", response={"id": "r1", "status": "completed", "output": []})
        await seen.until(TurnCompleted)
    assert seen.audio == 0


async def test_what_waits_is_not_played_once_the_user_has_interrupted() -> None:
    server = Server()
    async with opened(server, hold()) as (session, seen):
        await server.begins()
        await server.tells("Good morning. ", "How are")
        await server.speaks(2)
        await seen.all()
        await session.interrupt()
        await seen.until(Interrupted)
        await server.ends("Good morning. How are you?", spoken=True)
        await seen.until(TurnCompleted)
    assert seen.audio == 0


async def test_what_does_not_come_from_the_agent_is_not_held() -> None:
    server = Server()
    async with opened(server, hold()) as (_, seen):
        await server.begins()
        await server.writes("Good")
        await server.emit("error", error={"type": "invalid_request_error", "code": "odd", "message": "odd"})
        await seen.all()
    assert any(event.wire_type == "error" for event in seen.events)
    assert seen.written == ""


async def test_the_engines_own_updates_wait_as_well() -> None:
    server = Server()
    async with opened(server, hold()) as (_, seen):
        await server.begins()
        await server.tells("Good mor")
        await server.speaks()
        await seen.all()
        shown: list[Event] = [*seen.of(ConversationUpdated), *seen.of(ResponseOutputAudioTranscriptDelta)]
        assert "Good" not in seen.words()
        assert all(event.delta is None for event in shown if isinstance(event, ConversationUpdated))
        assert seen.of(ResponseOutputAudioDelta) == []


async def test_another_message_of_the_same_response_is_dropped_with_it() -> None:
    server = Server()
    async with opened(server, hold()) as (_, seen):
        await server.begins()
        await server.writes("All is")
        item = {"id": "i2", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        await server.emit("response.output_item.added", response_id="r1", output_index=1, item=item)
        await server.writes("A bomb. ", item_id="i2")
        await server.writes(" well. ")
        await server.ends("All is well. ")
        await seen.until(TurnCompleted)
    assert "well" not in seen.words()


async def test_with_the_response_as_the_unit_nothing_comes_before_its_end() -> None:
    server = Server()
    item = {"id": "i1", "type": "message", "role": "assistant", "status": "completed"}
    item |= {"content": [{"type": "output_text", "text": "One. Two."}]}  # type: ignore[dict-item]  # plain data
    async with opened(server, hold(unit="response")) as (_, seen):
        await server.begins()
        await server.writes("One. ", "Two.")
        place = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
        await server.emit("response.output_text.done", **place, text="One. Two.")
        await server.emit("response.output_item.done", response_id="r1", output_index=0, item=item)
        await seen.all()
        assert seen.written == ""
        await server.emit("response.done", response={"id": "r1", "status": "completed", "output": [item]})
        await seen.all()
        assert seen.written == "One. Two."


@pytest.mark.parametrize("check", [{}, {"deny": (), "python": f"{__name__}:no_bombs"}])
async def test_a_whole_text_that_differs_from_its_pieces_is_checked_again(check: dict[str, Any]) -> None:
    server = Server()
    async with opened(server, hold(**check)) as (_, seen):
        await server.begins()
        await server.writes("All is well. ")
        await _written(seen, "All is well. ")
        await server.ends("All bombs.")
        await seen.until(TurnCompleted)
    assert "bombs" not in seen.words()


async def test_a_refusal_that_does_not_pass_either_is_not_followed_by_another() -> None:
    server = Server()
    async with opened(server, hold(deny=(), python=f"{__name__}:broken")) as (_, seen):
        await server.begins()
        await server.ends("Hello there.")
        await server.answers_until("response.create")
        await server.begins("r2", "i2")
        await server.ends(NO, response_id="r2", item_id="i2")
        await seen.until(TurnCompleted)
        await seen.until(TurnCompleted)
        await seen.all()
    assert seen.written == ""
    assert seen.sent.count("response.create") == 1


@pytest.mark.parametrize("check", [{}, {"deny": (), "python": f"{__name__}:no_bombs"}])
async def test_the_answer_that_a_program_asks_for_is_what_has_passed(check: dict[str, Any]) -> None:
    server = Server()
    server.will_say("All is well. A bomb goes off.").then_say(NO)
    async with opened(server, hold(**check)) as (session, _):
        turn = await session.ask("how is it?", timeout=5)
    assert turn.text == NO


async def test_guards_work_beside_each_other() -> None:
    text = "Your card is 4111 1111 1111 1111. It is cheap. Buy a bomb now."
    server = Server()
    guards = (
        Redact(RedactConfig(kinds=("card",))),
        Topic(TopicConfig(deny=("cheap",), action="replace")),
        hold(),
    )
    async with opened(server, *guards) as (_, seen):
        await server.begins()
        await server.tells(*text)
        await server.speaks(2)
        await server.ends(text, spoken=True)
        await seen.until(TurnCompleted)
    assert seen.told == seen.updates == seen.of(TurnCompleted)[0].text == "Your card is [card]. It is [removed]. "
    assert seen.audio == 0
    assert not any(word in seen.words() for word in ("1111", "cheap", "bomb"))
