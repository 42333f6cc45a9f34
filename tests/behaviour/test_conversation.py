"""The conversation is the server's: the same in any order, however often it is told, and nothing known is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import agentkit
from agentkit.events import AnyItem, Dialect, FunctionCallItem, ItemAppended, ItemCompleted, MessageItem

if TYPE_CHECKING:
    from tests.behaviour.conftest import Server

pytestmark = pytest.mark.anyio
MakeItem = Callable[..., dict[str, Any]]
TRANSCRIBED = "conversation.item.input_audio_transcription"


def messages(session: agentkit.Session) -> list[MessageItem]:
    return [each for each in session.history.items() if isinstance(each, MessageItem)]


# Transcripts


@pytest.mark.parametrize("item_comes", ["first", "last", "never", "between"])
async def test_rb_04_a_transcript_is_its_items_whichever_comes_first(
    server: Server, item: MakeItem, item_comes: str
) -> None:
    user = item("u1", "user", status="completed", content=[{"type": "input_audio", "transcript": None}])
    async with agentkit.open(server) as session:
        if item_comes == "first":
            await server.emit("conversation.item.added", item=user)
        await server.emit(f"{TRANSCRIBED}.delta", item_id="u1", content_index=0, delta="h")
        if item_comes == "between":
            await server.emit("conversation.item.added", item=user)
        await server.emit(f"{TRANSCRIBED}.completed", item_id="u1", content_index=0, transcript="hi")
        if item_comes == "last":
            await server.emit("conversation.item.added", item=user)
        await server.handled(session)
        assert [(each.id, each.role, each.text) for each in messages(session)] == [("u1", "user", "hi")]


async def test_rb_04_a_transcript_of_an_utterance_that_called_a_tool_may_come_last(server: Server) -> None:
    @agentkit.tool
    async def look() -> str:
        """Look."""
        return "rain"

    async with agentkit.open(server, tools=[look]) as session:
        await server.emit("input_audio_buffer.committed", item_id="u1", previous_item_id=None)
        await server.begins("r1")
        await server.calls_tool("c1", "look")
        await server.ends("r1")
        await server.output()
        await server.expect("response.create")
        await server.emit(f"{TRANSCRIBED}.completed", item_id="u1", content_index=0, transcript="weather?")
        await server.handled(session)
        assert [each.text for each in messages(session)] == ["weather?"]
        assert session.history.items()[0].id == "u1"


async def test_rb_04_a_transcript_of_a_deleted_item_makes_no_ghost(server: Server, item: MakeItem) -> None:
    async with agentkit.open(server) as session:
        await server.emit("conversation.item.added", item=item("u1", "user"))
        await server.emit("conversation.item.deleted", item_id="u1")
        await server.emit(f"{TRANSCRIBED}.completed", item_id="u1", content_index=0, transcript="hi")
        await server.handled(session)
        assert session.history.items() == []


# Names


async def test_rb_24_both_dialects_and_a_mixture_give_the_same_conversation(
    server_type: type[Server], item: MakeItem
) -> None:
    async def told(server: Server) -> list[AnyItem]:
        async with agentkit.open(server) as session:
            at = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
            await server.begins("r1")
            await server.begins_item("i1")
            await server.emit("response.output_audio_transcript.delta", **at, delta="He")
            await server.speaks("i1", 10)
            await server.emit("response.output_audio_transcript.delta", **at, delta="llo")
            await server.emit("response.output_audio.done", **at)
            await server.emit("response.output_audio_transcript.done", **at, transcript="Hello")
            await server.begins_item("i2")
            await server.emit("response.output_text.delta", **{**at, "item_id": "i2"}, delta="ab")
            await server.emit("response.output_text.done", **{**at, "item_id": "i2"}, text="abc")
            done = item("i2", status="completed", content=[{"type": "output_text", "text": "abc"}])
            await server.emit("response.output_item.done", response_id="r1", item=done)
            await server.emit("conversation.item.done", item=done)
            await server.ends("r1")
            await server.handled(session)
            assert session.history.audio_ms("i1") == 10
            return session.history.items()

    ga = await told(server_type(Dialect.GA))
    assert [each.text for each in ga if isinstance(each, MessageItem)] == ["Hello", "abc"]
    assert await told(server_type(Dialect.BETA)) == ga
    assert await told(server_type(Dialect.GA, mixed=True)) == ga


# Order and repetition


async def test_rb_order_is_the_servers_and_not_that_of_arrival(server: Server, item: MakeItem) -> None:
    async with agentkit.open(server) as session:
        for item_id, previous in (("c", "b"), ("b", "a"), ("a", None), ("d", "c")):
            await server.emit("conversation.item.added", item=item(item_id, "user"), previous_item_id=previous)
        await server.handled(session)
        assert [each.id for each in messages(session)] == ["a", "b", "c", "d"]


async def test_rb_an_item_told_over_and_over_is_one_item_announced_and_completed_once(
    server: Server, item: MakeItem
) -> None:
    done = item("i1", status="completed", content=[{"type": "output_text", "text": "hello"}])
    async with agentkit.open(server) as session:
        with session.subscribe(ItemAppended, ItemCompleted) as told:
            await server.begins("r1")
            await server.begins_item("i1")
            for _ in range(2):
                await server.emit("response.output_item.done", response_id="r1", item=done)
                await server.emit("conversation.item.added", item=item("i1"))
                await server.emit("conversation.item.done", item=done)
            await server.ends("r1", output=[done])
            await server.ends("r1", output=[done])
            await server.handled(session)
        assert [type(event) async for event in told] == [ItemAppended, ItemCompleted]
        assert [(each.text, each.status) for each in messages(session)] == [("hello", "completed")]


async def test_rb_an_event_sent_twice_counts_once(server: Server) -> None:
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.begins_item("i1")
        at = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
        for _ in range(2):
            await server.emit("response.output_text.delta", **at, delta="ha", event_id="same")
        await server.emit("response.output_text.delta", **at, delta="ha", event_id="other")
        await server.handled(session)
        assert messages(session)[0].text == "haha"


async def test_rb_a_whole_response_may_come_as_nothing_but_its_done(server: Server, item: MakeItem) -> None:
    done = item("i1", status="completed", content=[{"type": "output_text", "text": "hello"}])
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.expect("conversation.item.create", "response.create")
            await server.ends("r1", output=[done])

        tasks.start_soon(serve)
        assert (await session.ask("hi", timeout=5)).text == "hello"


@pytest.mark.parametrize("deltas", [["AAAA", "", "AAAA"], ["AA==", "AAAA", "AA==", "AAAA"], ["AAAA", "!", "AAAA"]])
async def test_rb_empty_odd_and_broken_audio_leaves_whole_samples(server: Server, deltas: list[str]) -> None:
    sizes = {"": 0, "AA==": 1, "AAAA": 3, "!": 0}
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.begins_item("i1")
        for delta in deltas:
            await server.emit(
                "response.output_audio.delta", response_id="r1", item_id="i1", content_index=0, delta=delta
            )
        await server.says("r2", "next")
        await server.handled(session)
        assert len(session.history.audio("i1")) == sum(sizes[delta] for delta in deltas) // 2 * 2
        assert messages(session)[-1].text == "next"


async def test_rb_what_was_heard_is_not_erased_by_an_event_that_says_less(server: Server, item: MakeItem) -> None:
    at = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.begins_item("i1")
        await server.emit("response.output_audio_transcript.delta", **at, delta="Hello")
        await server.emit("response.output_audio_transcript.done", **at, transcript="")
        bare = item("i1", status="completed", content=[{"type": "output_audio", "transcript": None}])
        await server.emit("response.output_item.done", response_id="r1", item=bare)
        await server.emit("conversation.item.done", item=item("i1", status="completed"))
        await server.emit("conversation.item.added", item=item("i1"))
        await server.ends("r1", output=[item("i1", status="completed")])
        await server.handled(session)
        assert [(each.text, each.status) for each in messages(session)] == [("Hello", "completed")]


async def test_rb_what_is_told_in_the_end_repairs_what_was_lost_before(server: Server, item: MakeItem) -> None:
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.begins_item("i1")
        await server.emit("response.output_text.delta", response_id="r1", item_id="i1", content_index=0, delta="lo wor")
        whole = item("i1", status="completed", content=[{"type": "output_text", "text": "Hello world"}])
        await server.ends("r1", output=[whole])
        await server.emit("response.output_text.delta", response_id="r1", item_id="i1", content_index=0, delta="!")
        await server.handled(session)
        assert [each.text for each in messages(session)] == ["Hello world"]


async def test_rb_a_call_under_two_item_ids_is_one_call(server: Server) -> None:
    runs: list[int] = []

    @agentkit.tool
    async def count() -> int:
        """Count."""
        runs.append(1)
        return len(runs)

    call = {"type": "function_call", "call_id": "c", "name": "count", "arguments": "{}", "status": "completed"}
    async with agentkit.open(server, tools=[count]) as session:
        await server.begins("r1")
        await server.emit("response.output_item.done", response_id="r1", item={"id": "i1", **call})
        await server.ends("r1", output=[{"id": "i2", **call}])
        assert await server.output() == ("c", "1")
        await server.expect("response.create")
        await server.expect_nothing(session)


@pytest.mark.parametrize("begins", [True, False], ids=["created", "not-created"])
async def test_rb_a_call_that_only_the_end_of_its_response_tells_is_run(server: Server, begins: bool) -> None:
    @agentkit.tool
    async def look() -> str:
        """Look."""
        return "rain"

    call = {"id": "i", "type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
    async with agentkit.open(server, tools=[look]) as session:
        if begins:
            await server.begins("r1")
        await server.ends("r1", output=[{**call, "status": "completed"}])
        assert await server.output() == ("c", "rain")
        await server.expect("response.create")
        assert [each.call_id for each in session.history.items() if isinstance(each, FunctionCallItem)] == ["c"]


async def test_rb_a_call_of_a_response_whose_beginning_was_lost_is_answered_and_spoken_of(server: Server) -> None:
    @agentkit.tool
    async def look() -> str:
        """Look."""
        return "rain"

    async with agentkit.open(server, tools=[look]):
        await server.calls_tool("c", "look")
        assert await server.output() == ("c", "rain")
        await server.ends("r1")
        await server.expect("response.create")


async def test_rb_a_server_that_gives_responses_no_ids_is_understood(server: Server, item: MakeItem) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def serve() -> None:
            for text in ("one", "two"):
                await server.expect("conversation.item.create", "response.create")
                await server.emit("response.created", response={"status": "in_progress"})
                content = [{"type": "output_text", "text": text}]
                await server.emit("response.output_item.done", item=item(text, status="completed", content=content))
                await server.emit("response.done", response={"status": "completed"})

        tasks.start_soon(serve)
        assert (await session.ask("1", timeout=5)).text == "one"
        assert (await session.ask("2", timeout=5)).text == "two"
