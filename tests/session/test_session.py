"""The session through its public face, against a scripted server."""

import base64

import anyio
import pytest

import agentkit
from agentkit.events import (
    Dialect,
    ErrorOccurred,
    Interrupted,
    ItemCompleted,
    Notice,
    ResponseDone,
    ResponseOutputTextDelta,
    ServerEvent,
    SessionEnded,
    TurnCompleted,
)
from agentkit.testing import SESSION, FakeServer

pytestmark = pytest.mark.anyio


async def test_ask_returns_the_whole_turn() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def serve() -> None:
            item = (await server.next("conversation.item.create"))["item"]
            assert item["content"] == [{"type": "input_text", "text": "hello"}]
            await server.next("response.create")
            await server.says("r1", "Good day.")

        tasks.start_soon(serve)
        turn = await session.ask("hello", timeout=5)
        assert (turn.text, turn.status, turn.responses, turn.tools) == ("Good day.", "completed", 1, ())
        assert turn.first_output_seconds is not None
        assert 0 <= turn.first_output_seconds <= turn.seconds
        assert [item.text for item in session.history.items()] == ["Good day."]  # type: ignore[union-attr]  # messages


async def test_a_message_during_a_response_is_sent_at_once_and_its_create_after_the_response() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        await server.emit("response.created", response={"id": "r1"})
        await session.wait_for(agentkit.events.ResponseCreated, timeout=5)
        await session.send_text("x")
        await server.next("conversation.item.create")
        await server.emit("response.done", response={"id": "r1", "status": "completed"})
        await server.next("response.create")
        await session.send_text("y", reply=False)
        await server.next("conversation.item.create")


async def test_wait_for_times_out_and_leaves_no_listener() -> None:
    async with agentkit.open(FakeServer()) as session:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await session.wait_for(ResponseDone, timeout=0.01)
        assert not session._fanout.wanted(ResponseDone)


async def test_every_waiter_ends_when_the_connection_is_lost() -> None:
    server, errors = FakeServer(), []
    async with agentkit.open(server) as session:
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                with pytest.raises(agentkit.ConnectionLostError) as caught:
                    await session.wait_for(ResponseDone)
                errors.append(caught.value)

            async def ask() -> None:
                with pytest.raises(agentkit.ConnectionLostError) as caught:
                    await session.ask("hello")
                errors.append(caught.value)

            async def listen() -> None:
                with pytest.raises(agentkit.ConnectionLostError) as caught:
                    async for _ in session:
                        pass
                errors.append(caught.value)

            for each in (wait, ask, listen):
                tasks.start_soon(each)
            await server.next("conversation.item.create")
            await server.next("response.create")
            await server.close(1011, "broken")
        assert [error.close_code for error in errors] == [1011, 1011, 1011]
        assert isinstance(session.ended, SessionEnded)
        with pytest.raises(agentkit.ConnectionLostError):
            await session.send_text("x")
        await session.append_audio(b"\0" * 480)
        assert session.dropped_input == 480


async def test_every_waiter_ends_when_the_session_is_closed() -> None:
    async with anyio.create_task_group() as tasks:

        async def wait(session: agentkit.Session) -> None:
            with pytest.raises(agentkit.SessionClosedError):
                await session.wait_for(ResponseDone)

        async with agentkit.open(FakeServer()) as session:
            tasks.start_soon(wait, session)
            events = session.subscribe(SessionEnded)
            await anyio.wait_all_tasks_blocked()
        assert [event async for event in events] == [SessionEnded(cause="closed")]
        with pytest.raises(agentkit.SessionClosedError):
            await session.send_text("x")


async def test_a_refused_create_fails_its_waiter_at_once() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:

        async def refuse() -> None:
            await server.next("conversation.item.create")
            event_id = (await server.next("response.create"))["event_id"]
            error = {"type": "invalid_request_error", "code": "invalid_value", "message": "no", "event_id": event_id}
            await server.emit("error", error=error)

        tasks.start_soon(refuse)
        with pytest.raises(agentkit.ServerError) as caught:
            await session.ask("hello")
        assert caught.value.code == "invalid_value"


async def test_an_error_reaches_the_listener_with_its_command() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        with session.subscribe(ErrorOccurred) as errors:
            await session.delete_item("nothing")
            event_id = (await server.next("conversation.item.delete"))["event_id"]
            await server.emit("error", error={"type": "x", "code": "y", "message": "z", "event_id": event_id})
            error = await anext(errors)
        assert isinstance(error, ErrorOccurred)
        assert error.error.code == "y"
        assert error.command is not None
        assert error.command.wire_type == "conversation.item.delete"


async def test_nothing_that_arrives_ends_the_session() -> None:
    server = FakeServer()
    frames = [
        b"",
        b"{",
        b"[]",
        b'{"type": 5}',
        b'{"type":"made.up"}',
        b'{"type":"response.done"}',
        b"\xff\xfe",
        b"[" * 5000,
    ]
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        with session.subscribe(Notice) as notices:
            for frame in frames:
                await server.emit_raw(frame)

            async def serve() -> None:
                await server.next("conversation.item.create")
                await server.next("response.create")
                await server.says("r1", "still here")

            tasks.start_soon(serve)
            assert (await session.ask("hello", timeout=5)).text == "still here"
            assert isinstance(await anext(notices), Notice)


async def test_settings_are_asked_once_with_the_tools_and_only_what_was_said() -> None:
    server = FakeServer()
    settings = agentkit.Settings(instructions="Be brief.")
    async with agentkit.open(server, settings=settings) as session:
        assert server.updates[0]["session"] == {"type": "realtime", "instructions": "Be brief."}
        await session.update(agentkit.Settings(instructions="Be brief."))
        assert len(server.updates) == 1
        await session.update(agentkit.Settings(instructions="Be long."))
        assert server.updates[1]["session"] == {"type": "realtime", "instructions": "Be long."}
        assert session.settings is not None
        assert session.settings.instructions == "Be long."  # type: ignore[union-attr]  # a conversation session


async def test_beta_settings_are_flat() -> None:
    server = FakeServer(dialect=Dialect.BETA)
    audio = agentkit.AudioSettings(output=agentkit.AudioOutput(voice="verse"))
    async with agentkit.open(server, settings=agentkit.Settings(output_modalities=("text",), audio=audio)):
        assert server.updates[0]["session"] == {"modalities": ["text"], "voice": "verse"}


async def test_a_server_that_says_nothing_is_given_up() -> None:
    with pytest.raises(agentkit.RemoteProtocolError, match=r"session\.created"):
        async with agentkit.open(FakeServer(handshake=False), ready_timeout=0.05):
            raise AssertionError("not reached")


async def test_an_exception_of_the_body_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with agentkit.open(FakeServer()):
            raise KeyError("mine")


async def test_interrupting_flushes_truncates_cancels_and_then_sends_the_message() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        await server.emit("response.created", response={"id": "r1"})
        item = {"id": "i", "type": "message", "role": "assistant", "content": []}
        await server.emit("response.output_item.added", response_id="r1", item=item)
        audio = base64.b64encode(bytes(48 * 2000)).decode()
        with session.subscribe(agentkit.events.ResponseOutputAudioDelta, Interrupted) as events:
            await server.emit("response.output_audio.delta", response_id="r1", item_id="i", delta=audio)
            await anext(events)
            session.playback.played("i", 700)
            await session.send_text("stop", interrupt=True)
            assert await anext(events) == Interrupted(item_id="i", heard_ms=700, heard_text="")
            truncate = await server.next("conversation.item.truncate")
            assert (truncate["item_id"], truncate["content_index"], truncate["audio_end_ms"]) == ("i", 0, 700)
            assert (await server.next("response.cancel"))["response_id"] == "r1"
            await server.next("conversation.item.create")
            await server.emit("response.output_audio.delta", response_id="r1", item_id="i", delta=audio)
            await server.emit("response.done", response={"id": "r1", "status": "cancelled"})
            await server.next("response.create")
        assert [event async for event in events] == []


async def test_push_to_talk_commits_what_is_long_enough_and_drops_what_is_not() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        await session.append_audio(bytes(48 * 200))
        await session.commit()
        assert [(await server.next())["type"] for _ in range(3)] == [
            "input_audio_buffer.append",
            "input_audio_buffer.commit",
            "response.create",
        ]
        await server.says("r1", "yes")
        with session.subscribe(Notice) as notices:
            await session.append_audio(bytes(48 * 40))
            await session.commit(reply=False)
            assert (await anext(notices)).code == "input_too_short"
        assert [(await server.next())["type"] for _ in range(2)] == [
            "input_audio_buffer.append",
            "input_audio_buffer.clear",
        ]


async def test_no_commit_where_the_server_finds_the_end_of_turns() -> None:
    vad = {**SESSION, "audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
    server = FakeServer(session=vad)
    async with agentkit.open(server) as session:
        await session.append_audio(bytes(48 * 200))
        await session.commit()
        await session.clear_audio()
        assert [(await server.next())["type"] for _ in range(2)] == [
            "input_audio_buffer.append",
            "input_audio_buffer.clear",
        ]


async def test_a_response_beside_the_conversation_runs_next_to_another() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        await server.emit("response.created", response={"id": "r1"})

        async def serve() -> None:
            metadata = (await server.next("response.create"))["response"]["metadata"]
            item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "aside"}]}
            await server.emit("response.created", response={"id": "r2", "metadata": metadata})
            done = {"id": "r2", "status": "completed", "metadata": metadata, "output": [item]}
            await server.emit("response.done", response=done)

        tasks.start_soon(serve)
        settings = agentkit.ResponseSettings(conversation="none", instructions="Judge the talk.")
        assert (await session.respond(settings, timeout=5)).text == "aside"
        assert len(session.history) == 0


async def test_a_turn_of_the_servers_own_is_told_as_well() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        with session.subscribe(TurnCompleted) as turns:
            await server.says("r1", "I began by myself.")
            turn = await anext(turns)
        assert isinstance(turn, TurnCompleted)
        assert turn.text == "I began by myself."


async def test_a_consumer_that_is_too_slow_is_ended_with_an_error_and_nobody_else() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        slow = session.subscribe(ResponseOutputTextDelta)
        await server.emit("response.created", response={"id": "r1"})
        where = {"response_id": "r1", "item_id": "i"}
        with session.subscribe(ItemCompleted) as completed:
            for _ in range(10_001):
                await server.emit("response.output_text.delta", **where, delta="a")
            item = {"id": "i", "type": "message", "role": "assistant", "status": "completed", "content": []}
            await server.emit("response.output_item.done", response_id="r1", item=item)
            assert isinstance(await anext(completed), ItemCompleted)
        with pytest.raises(agentkit.SlowConsumerError):
            async for _ in slow:
                pass


async def test_a_slow_consumer_loses_the_oldest_audio_and_the_count_says_so() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        slow = session.subscribe(ServerEvent)
        await server.emit("response.created", response={"id": "r1"})
        audio = base64.b64encode(bytes(3 << 20)).decode()
        for _ in range(4):
            await server.emit("response.output_audio.delta", response_id="r1", item_id="i", delta=audio)
        await server.emit("response.done", response={"id": "r1", "status": "completed"})
        await session.wait_for(TurnCompleted, timeout=10)
        assert slow.dropped_audio == 2
        slow.close()
        names = [event.wire_type async for event in slow]
    assert names == ["response.created", *["response.output_audio.delta"] * 2, "response.done"]


async def test_a_session_ends_after_its_turns() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=agentkit.SessionLimits(turns=1)) as session:
        await server.says("r1", "done")
        await session.wait_closed()
        assert session.ended is not None
        assert session.ended.cause == "limit"


async def test_ending_waits_for_the_turn() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        await server.emit("response.created", response={"id": "r1"})
        await session.wait_for(agentkit.events.ResponseCreated, timeout=5)
        await session.end()
        before = session.ended
        assert before is None
        await server.emit("response.done", response={"id": "r1", "status": "completed"})
        await session.wait_closed()
        assert session.ended is not None
        assert session.ended.cause == "closed"


async def test_what_a_dialect_cannot_say_is_refused_and_the_next_turn_is_answered() -> None:
    server = FakeServer(dialect=Dialect.BETA)
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        with pytest.raises(agentkit.LocalProtocolError, match="prompt"):
            await session.respond(agentkit.ResponseSettings(prompt={"id": "p"}), timeout=5)

        async def serve() -> None:
            await server.next("conversation.item.create")
            await server.next("response.create")
            await server.says("r1", "hello")

        tasks.start_soon(serve)
        assert (await session.ask("hi", timeout=5)).text == "hello"
