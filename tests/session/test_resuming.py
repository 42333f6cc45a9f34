"""A conversation goes on in another session: as a snapshot, as JSON, and as items that the server confirms."""

import base64
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit.events import FunctionCallItem, InputText, MessageItem, RateLimitsUpdated, TranscriptionSettings
from agentkit.session.entries import Entry
from agentkit.session.snapshot import NO_OUTCOME, Snapshot
from agentkit.testing import FakeServer

pytestmark = pytest.mark.anyio
VIRTUAL = [("trio", {"clock": MockClock(autojump_threshold=0)})]
ITEM = "conversation.item.create"


@agentkit.tool
async def never() -> str:
    """Must not run."""
    raise AssertionError("a tool of a resumed conversation ran")


async def handled(server: FakeServer, session: agentkit.Session) -> None:
    """Wait until the session has handled all that was said so far."""
    with session.subscribe(RateLimitsUpdated) as markers:
        await server.emit("rate_limits.updated", rate_limits=[])
        await anext(markers)


async def confirms(server: FakeServer, count: int) -> list[dict[str, Any]]:
    """Confirm items as they come, and return them; the server gives an id to one that has none."""
    items = []
    for number in range(count):
        item = (await server.next(ITEM))["item"]
        items.append(item)
        await server.emit("conversation.item.added", item={"id": f"given_{number}", "status": "completed", **item})
    return items


def said(*texts: str) -> Snapshot:
    """Return a snapshot of messages of the user's; each has its text as its id."""
    return Snapshot(
        entries=tuple(Entry(item=MessageItem(id=text, role="user", content=(InputText(text=text),))) for text in texts)
    )


async def conversation() -> bytes:
    """Return the snapshot of a conversation: typed, spoken and cut off, with two calls of which one is open."""
    server = FakeServer()
    async with agentkit.open(server, settings=agentkit.Settings(instructions="Be brief.")) as session:
        typed = {"id": "u1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "typed"}]}
        await server.emit("conversation.item.added", item=typed)
        await server.emit("input_audio_buffer.committed", item_id="u2", previous_item_id="u1")
        heard = {"item_id": "u2", "content_index": 0, "transcript": "spoken"}
        await server.emit("conversation.item.input_audio_transcription.completed", **heard)
        at = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}
        await server.emit("response.created", response={"id": "r1"})
        await server.emit("response.output_audio_transcript.delta", **at, delta="one two three four")
        await server.emit("response.output_audio.delta", **at, delta=base64.b64encode(bytes(96_000)).decode())
        part = {"type": "output_audio", "transcript": "one two three four"}
        item = {"id": "a1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        await server.emit("response.output_item.done", response_id="r1", item=item)
        await server.emit("response.done", response={"id": "r1", "status": "completed"})
        await handled(server, session)
        await session.interrupt(1000, item_id="a1")
        for call_id in ("c1", "c2"):
            call = {"id": f"i_{call_id}", "type": "function_call", "name": "look", "call_id": call_id}
            call |= {"arguments": "{}", "status": "completed"}
            await server.emit("conversation.item.added", item=call)
        output = {"id": "o1", "type": "function_call_output", "call_id": "c1", "output": "rain"}
        await server.emit("conversation.item.added", item=output)
        await handled(server, session)
        return session.snapshot().to_json()


async def test_a_conversation_goes_on_in_another_session() -> None:
    snapshot = Snapshot.from_json(await conversation())
    server, items = FakeServer(), list[dict[str, Any]]()
    async with agentkit.open(server, tools=[never]) as session, anyio.create_task_group() as tasks:

        async def serve() -> None:
            items.extend(await confirms(server, 7))

        tasks.start_soon(serve)
        assert await session.resume(snapshot) == ()
        held = session.history.items()
        assert server.updates[-1]["session"] == {"type": "realtime", "instructions": "Be brief."}
    assert [item.get("role") or item["call_id"] for item in items] == [
        "user",
        "user",
        "assistant",
        "c1",
        "c2",
        "c2",
        "c1",
    ]
    assert [item["id"] for item in items if "call_id" not in item] == ["u1", "u2", "a1"]
    texts = [part["text"] for item in items[:3] for part in item["content"]]
    assert texts == ["typed", "spoken", "one two"]
    outputs = {item["call_id"]: item["output"] for item in items if item["type"] == "function_call_output"}
    assert outputs == {"c1": "rain", "c2": NO_OUTCOME}
    assert [item.id for item in held] == [item["id"] for item in items]


async def test_what_was_resumed_can_be_resumed_again() -> None:
    document = await conversation()
    told: list[list[dict[str, Any]]] = []
    for _ in range(2):
        server = FakeServer()
        async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

            async def serve(server: FakeServer = server) -> None:
                told.append(await confirms(server, 7))

            tasks.start_soon(serve)
            assert await session.resume(Snapshot.from_json(document)) == ()
            document = session.snapshot().to_json()
    assert told[0] == told[1]


async def test_nothing_is_asked_of_the_model_for_what_was_said_before() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        tasks.start_soon(confirms, server, 1)
        await session.resume(said("hello"))
        await session.send_text("and now")
        assert (await server.next(ITEM))["item"]["content"] == [{"type": "input_text", "text": "and now"}]
        await server.next("response.create")


async def test_what_cannot_be_sent_is_told() -> None:
    snapshot = Snapshot(entries=(*said("a").entries, Entry(item=MessageItem(id="b", role="user"))))
    server = FakeServer()
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        tasks.start_soon(confirms, server, 1)
        assert await session.resume(snapshot) == (("b", "it says nothing"),)


async def test_an_item_without_an_id_is_confirmed_as_well() -> None:
    call = FunctionCallItem(id="i1", name="f", call_id="c1", arguments="{}", status="completed")
    server, items = FakeServer(), list[dict[str, Any]]()
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def serve() -> None:
            items.extend(await confirms(server, 2))

        tasks.start_soon(serve)
        assert await session.resume(Snapshot(entries=(Entry(item=call),)), timeout=5) == ()
    assert items[0]["id"] == "i1"
    assert items[1]["id"] not in ("", "i1")


async def test_a_snapshot_of_nothing_is_resumed_at_once() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        assert await session.resume(Snapshot(), timeout=0) == ()
    assert server.written == []


# Settings


async def test_the_settings_are_asked_for_without_the_model_which_is_the_connection_s() -> None:
    settings = agentkit.Settings(model="other", instructions="Be brief.")
    server = FakeServer()
    async with agentkit.open(server) as session:
        await session.resume(Snapshot(settings=settings))
    assert [update["session"] for update in server.updates] == [{"type": "realtime", "instructions": "Be brief."}]


async def test_the_settings_may_be_left_as_they_are() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        await session.resume(Snapshot(settings=agentkit.Settings(instructions="x")), settings=False)
    assert server.updates == []


async def test_the_settings_of_a_transcription_session_are_asked_for_as_they_are() -> None:
    server = FakeServer(session={"type": "transcription", "id": "sess_1"})
    async with agentkit.open(server) as session:
        await session.resume(Snapshot(settings=TranscriptionSettings(include=("x",))))
    assert [update["session"] for update in server.updates] == [{"type": "transcription", "include": ["x"]}]


async def test_a_transcription_session_keeps_its_settings_and_nothing_that_only_a_server_says() -> None:
    said = {"type": "transcription", "id": "sess_1", "include": ["logprobs"]}
    async with agentkit.open(FakeServer(session=said)) as session:
        kept = session.snapshot()
    assert kept == Snapshot(settings=agentkit.TranscriptionSettings(include=("logprobs",)))
    assert Snapshot.from_json(kept.to_json()) == kept


# What goes wrong


async def test_an_item_that_the_server_refuses_is_an_error() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def serve() -> None:
            await confirms(server, 1)
            refused = await server.next(ITEM)
            error = {"type": "invalid_request_error", "code": "invalid_value", "message": "no such role"}
            await server.emit("error", error=error | {"event_id": refused["event_id"]})

        tasks.start_soon(serve)
        with pytest.raises(agentkit.ServerError, match="no such role"):
            await session.resume(said("a", "b"))


async def test_an_error_about_something_else_is_not_the_items() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def serve() -> None:
            await session.add_message("user", "another")
            created = [await server.next(ITEM) for _ in range(2)]
            other = next(event for event in created if event["item"].get("id") != "a")
            error = {"type": "invalid_request_error", "code": "invalid_value", "message": "no"}
            await server.emit("error", error=error | {"event_id": other["event_id"]})
            await server.emit("error", error=error | {"event_id": None})
            mine = next(event for event in created if event is not other)
            await server.emit("conversation.item.added", item=mine["item"])

        tasks.start_soon(serve)
        assert await session.resume(said("a"), timeout=5) == ()


@pytest.mark.parametrize("anyio_backend", VIRTUAL, ids=["trio"])
async def test_a_confirmation_that_does_not_come_is_an_error() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def serve() -> None:
            await confirms(server, 1)
            await server.next(ITEM)
            await server.emit("conversation.item.added", item={"id": "other", "type": "message", "role": "user"})

        tasks.start_soon(serve)
        began = anyio.current_time()
        with pytest.raises(agentkit.RemoteProtocolError, match="has not confirmed 1 of 2 items within 3 s"):
            await session.resume(said("a", "b"), timeout=3)
        assert anyio.current_time() - began == pytest.approx(3)


async def test_a_session_that_is_closed_meanwhile_is_an_error() -> None:
    server, errors = FakeServer(), list[str]()
    async with anyio.create_task_group() as tasks:

        async def resume(session: agentkit.Session) -> None:
            with pytest.raises(agentkit.SessionClosedError) as caught:
                await session.resume(said("a"))
            errors.append(str(caught.value))

        async with agentkit.open(server) as session:
            tasks.start_soon(resume, session)
            await server.next(ITEM)
    assert errors == ["the session was closed before the server had the whole conversation"]


async def test_a_connection_that_is_lost_meanwhile_is_an_error() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.next(ITEM)
            await server.close(1011, "broken")

        tasks.start_soon(serve)
        with pytest.raises(agentkit.ConnectionLostError):
            await session.resume(said("a"))


async def test_resuming_listens_no_longer_than_it_takes() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        tasks.start_soon(confirms, server, 1)
        await session.resume(said("a"))
        for text in ("b", "c"):  # nothing waits for these: no error of theirs is raised here
            await session.add_message("user", text)
            refused = await server.next(ITEM)
            error = {"type": "invalid_request_error", "code": "invalid_value", "message": "no"}
            await server.emit("error", error=error | {"event_id": refused["event_id"]})
        await handled(server, session)
        assert [item.id for item in session.history.items()] == ["a"]


async def test_the_json_of_a_snapshot_is_taken_too_and_what_is_none_is_an_error() -> None:
    async with agentkit.open(FakeServer()) as session:
        data = session.snapshot().to_json()
    async with agentkit.open(FakeServer()) as session:
        assert await session.resume(data, settings=False) == ()
        with pytest.raises(ValueError, match="snapshot"):
            await session.resume(b"{}")
