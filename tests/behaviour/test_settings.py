"""Settings are asked for once the session exists, confirmed, compared, and never more than what was said."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit.events import (
    ErrorOccurred,
    FunctionTool,
    Notice,
    ResponseDone,
    SessionExpiring,
    SessionUpdated,
    SettingsMismatch,
)
from agentkit.session.snapshot import Snapshot

if TYPE_CHECKING:
    from tests.behaviour.conftest import Server

pytestmark = pytest.mark.anyio
UPDATE, CREATE = "session.update", "response.create"
VIRTUAL = [("trio", {"clock": MockClock(autojump_threshold=0)})]


@agentkit.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def voiced(voice: str, instructions: str | None = None) -> agentkit.Settings:
    audio = agentkit.AudioSettings(output=agentkit.AudioOutput(voice=voice))
    if instructions is None:
        return agentkit.Settings(audio=audio)
    return agentkit.Settings(audio=audio, instructions=instructions)


def detecting(kind: str, **fields: Any) -> agentkit.Settings:
    detection = agentkit.TurnDetection(type=kind, **fields)
    return agentkit.Settings(audio=agentkit.AudioSettings(input=agentkit.AudioInput(turn_detection=detection)))


# The first update


async def test_rb_10_what_the_server_has_set_is_not_overwritten(server: Server) -> None:
    server.session["instructions"] = "A"
    async with agentkit.open(server, settings=voiced("verse")) as session:
        (update,) = server.updates
        typed = {"type": "realtime", "audio": {"output": {"voice": "verse"}}}
        assert update["session"] == server.shape(typed)
        assert session.settings is not None
        assert session.settings.instructions == "A"  # type: ignore[union-attr]  # a conversation session
        await server.expect_nothing(session)


async def test_rb_10_with_nothing_to_ask_for_nothing_is_asked(server: Server) -> None:
    async with agentkit.open(server) as session:
        await server.expect_nothing(session)
    assert server.updates == []


async def test_rb_10_the_update_waits_for_the_session_and_is_sent_once(new_server: Callable[..., Server]) -> None:
    server = new_server(handshake=False)
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.connected.wait()
            await server.emit("conversation.created", conversation={"id": "conv"})
            await anyio.wait_all_tasks_blocked()
            await server.emit("session.created", session=server.session)
            update = await server.next(UPDATE)
            await server.confirm(update)

        tasks.start_soon(serve)
        async with agentkit.open(server, settings=voiced("verse"), tools=[add]) as session:
            await server.expect_nothing(session)
    assert len(server.updates) == 1
    assert "verse" in str(server.updates)


async def test_rb_10_a_second_session_created_asks_for_nothing_again(server: Server) -> None:
    async with agentkit.open(server, settings=voiced("verse")) as session:
        await server.emit("session.created", session=server.session)
        await server.expect_nothing(session)
    assert len(server.updates) == 1


async def test_rb_18_the_first_update_carries_the_tools_and_a_later_one_leaves_them(server: Server) -> None:
    manual = FunctionTool(name="ask_human", parameters={"type": "object"})
    async with agentkit.open(server, tools=[add, manual]) as session:
        assert [each["name"] for each in server.updates[0]["session"]["tools"]] == ["add", "ask_human"]
        await session.update(voiced("verse"))
        assert "tools" not in server.updates[1]["session"]
        assert [each["name"] for each in server.session["tools"]] == ["add", "ask_human"]


async def test_rb_18_what_others_declared_stays_when_a_tool_is_added(server: Server) -> None:
    server.session["tools"] = [{"type": "function", "name": "theirs", "parameters": {"type": "object"}}]
    async with agentkit.open(server) as session:
        await session.add_tool(add)
        assert {each["name"] for each in server.session["tools"]} == {"add", "theirs"}
        await session.remove_tool("add")
        assert {each["name"] for each in server.session["tools"]} == {"theirs"}


async def test_rb_18_what_the_settings_declare_without_a_body_stays_when_a_tool_is_added(server: Server) -> None:
    settings = agentkit.Settings(tools=(FunctionTool(name="ask_human", parameters={"type": "object"}),))
    async with agentkit.open(server, tools=[add], settings=settings) as session:
        await session.add_tool(add.renamed("plus"))
        await session.remove_tool("add")
        names = [{each["name"] for each in update["session"]["tools"]} for update in server.updates]
        assert names == [{"add", "ask_human"}, {"add", "plus", "ask_human"}, {"plus", "ask_human"}]


# The voice


async def test_rb_19_after_audio_the_voice_is_left_out_and_the_rest_applied(server: Server) -> None:
    async with agentkit.open(server) as session:
        notices = session.subscribe(Notice)
        await server.begins("r1")
        await server.speaks("i1", 100)
        await server.ends("r1")
        await server.handled(session)
        await session.update(voiced("verse", "i2"))
        assert server.updates[0]["session"] == server.shape({"type": "realtime", "instructions": "i2"})
        assert (await anext(notices)).code == "voice_fixed"
        assert session.settings is not None
        assert session.settings.audio.output.voice == "alloy"  # type: ignore[union-attr]  # both are set
        assert session.settings.instructions == "i2"  # type: ignore[union-attr]  # a conversation session


@pytest.mark.parametrize("with_id", [True, False], ids=["with-our-id", "without-id"])
async def test_rb_19_a_refused_voice_is_told_and_the_rest_asked_for_again(
    new_server: Callable[..., Server], with_id: bool
) -> None:
    server = new_server(handshake=False)
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.connected.wait()
            await server.emit("session.created", session=server.session)
            update = await server.next(UPDATE)
            await server.refuses("cannot_update_voice", update["event_id"] if with_id else None)
            again = await server.next(UPDATE)
            assert again["session"] == server.shape({"type": "realtime", "instructions": "i2"})
            await server.confirm(again)

        async with open_without_settings(server, tasks, serve) as session:
            errors, updates = session.subscribe(ErrorOccurred), session.subscribe(SessionUpdated)
            with pytest.raises(agentkit.ServerError) as caught:
                await session.update(voiced("verse", "i2"))
            assert caught.value.code == "cannot_update_voice"
            await anext(updates)
            assert (await anext(errors)).command is not None
            await server.expect_nothing(session)
            assert session.settings is not None
            assert session.settings.audio.output.voice == "alloy"
            assert session.settings.instructions == "i2"


def open_without_settings(server: Server, tasks: Any, serve: Callable[..., Any]) -> Any:
    """Open a session with a script on the server's side."""
    tasks.start_soon(serve)
    return agentkit.open(server)


async def test_rb_19_a_refused_update_changes_nothing_that_is_believed(new_server: Callable[..., Server]) -> None:
    server = new_server(handshake=False)
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.connected.wait()
            await server.emit("session.created", session=server.session)
            update = await server.next(UPDATE)
            await server.refuses("invalid_value", update["event_id"], param="session.tools[0].parameters")
            await server.confirm(await server.next(UPDATE))

        async with open_without_settings(server, tasks, serve) as session:
            before = session.settings
            with pytest.raises(agentkit.ServerError) as caught:
                await session.add_tool(add)
            assert caught.value.param == "session.tools[0].parameters"
            assert session.settings == before
            assert session.tools == {}
            await session.update(voiced("verse"))
            assert "tools" not in server.updates[0]["session"]


async def test_rb_19_the_same_voice_again_is_not_sent(server: Server) -> None:
    async with agentkit.open(server) as session:
        await server.speaks("i1", 100)
        await server.handled(session)
        await session.update(voiced("alloy"))
        await server.expect_nothing(session)
    assert server.updates == []


# In force


class Watch(agentkit.Middleware):
    """Notes what was confirmed differently, also while the session is opened."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    @agentkit.on(SettingsMismatch)
    async def note(self, event: SettingsMismatch, call_next: agentkit.Next[SettingsMismatch]) -> None:
        self.paths += [path for path, _, _ in event.differences]
        await call_next(event)


async def test_rb_62_the_session_is_ready_when_its_settings_are_confirmed_and_a_mismatch_is_told(
    new_server: Callable[..., Server],
) -> None:
    server, watch, order = new_server(handshake=False), Watch(), []
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.connected.wait()
            await server.emit("session.created", session=server.session)
            await server.next(UPDATE)
            await anyio.wait_all_tasks_blocked()
            order.append("confirmed")
            detection = {"type": "server_vad", "silence_duration_ms": 200}
            told = server.shape({"audio": {"input": {"turn_detection": detection}}})
            await server.emit("session.updated", session={**server.session, **told})

        tasks.start_soon(serve)
        settings = detecting("server_vad", silence_duration_ms=900)
        async with agentkit.open(server, settings=settings, middleware=[watch]) as session:
            order.append("ready")
            detection = session.settings.audio.input.turn_detection  # type: ignore[union-attr]  # all are set
            assert detection.silence_duration_ms == 200  # type: ignore[union-attr]  # all are set
    assert order == ["confirmed", "ready"]
    assert watch.paths == ["audio.input.turn_detection.silence_duration_ms"]


async def test_rb_62_what_matches_is_no_mismatch(server: Server) -> None:
    watch = Watch()
    async with agentkit.open(server, settings=detecting("server_vad", threshold=0.5), middleware=[watch]):
        pass
    assert watch.paths == []


async def test_rb_62_a_number_in_the_servers_precision_is_no_mismatch(server: Server) -> None:
    async with agentkit.open(server) as session:
        mismatches = session.subscribe(SettingsMismatch)
        detection = {"type": "server_vad", "threshold": 0.6000000238418579}
        typed = {"audio": {"input": {"turn_detection": detection}}}

        async def single_precision(update: dict[str, Any]) -> None:
            server.updates.append(update)
            await server.emit("session.updated", session={**server.session, **server.shape(typed)})

        server.confirm = single_precision  # type: ignore[method-assign]  # the one thing that differs
        await session.update(detecting("server_vad", threshold=0.6))
        await session.update(detecting("server_vad", threshold=0.6))
        assert len(server.updates) == 1
        mismatches.close()
        assert [event async for event in mismatches] == []


@pytest.mark.parametrize("anyio_backend", VIRTUAL, ids=["trio"])
@pytest.mark.parametrize("greets", [True, False], ids=["never-confirms", "never-greets"])
async def test_rb_62_a_server_that_does_not_confirm_is_given_up_in_its_time(
    new_server: Callable[..., Server], greets: bool
) -> None:
    server = new_server(handshake=False)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.connected.wait()
            if greets:
                await server.emit("session.created", session=server.session)

        tasks.start_soon(serve)
        with pytest.raises(agentkit.RemoteProtocolError, match="updated" if greets else "created"):
            async with agentkit.open(server, settings=voiced("verse"), ready_timeout=7):
                raise AssertionError("not reached")
    assert anyio.current_time() - began == 7


@pytest.mark.parametrize("word", ["none", "disabled"])
async def test_rb_30_words_for_no_turn_detection_are_sent_as_null_and_audio_is_committed(
    listening: Server, word: str
) -> None:
    server = listening
    async with agentkit.open(server, settings=detecting(word)) as session, anyio.create_task_group() as tasks:
        typed = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        assert server.updates[0]["session"] == server.shape(typed)
        await session.append_audio(bytes(48 * 200))
        tasks.start_soon(session.respond)
        await server.expect("input_audio_buffer.append", "input_audio_buffer.commit", CREATE)
        await server.says("r1", "yes")


async def test_rb_30_null_is_asked_for_only_where_it_is_not_so_already(server: Server) -> None:
    async with agentkit.open(server, settings=detecting("none")) as session:
        await server.expect_nothing(session)
    assert server.updates == []


# The end of a session's time


async def test_rb_14_an_expired_session_is_told_with_what_to_do_and_every_waiter_ends(server: Server) -> None:
    server.session["expires_at"] = 1_700_000_000
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        assert session.settings is not None
        assert session.settings.expires_at == 1_700_000_000
        errors = session.subscribe(ErrorOccurred)

        async def ask() -> None:
            with pytest.raises(agentkit.ConnectionLostError) as caught:
                await session.ask("hi")
            assert caught.value.close_code == 1001

        tasks.start_soon(ask)
        await server.expect("conversation.item.create", CREATE)
        await server.refuses("session_expired")
        await server.close(1001)
        error = (await anext(errors)).error
        assert (error.code, error.retryable) == ("session_expired", False)
        assert error.hint
        await session.append_audio(bytes(480))
        await session.wait_closed()
        await session.append_audio(bytes(480))
        assert session.dropped_input >= 480


@pytest.mark.parametrize("anyio_backend", VIRTUAL, ids=["trio"])
async def test_rb_14_the_application_is_told_a_minute_before_the_session_expires(server: Server) -> None:
    server.session["expires_at"] = int(time.time()) + 3600
    async with agentkit.open(server) as session:
        expiring = await session.wait_for(SessionExpiring)
        assert expiring.seconds == 60
        assert session.ended is None


async def test_rb_14_the_conversation_goes_on_in_another_session(server: Server) -> None:
    async with agentkit.open(server) as session:
        await server.says("r1", "The museum opens at ten.")
        await session.wait_for(ResponseDone, timeout=5)
        await server.close(1001)
        await session.wait_closed()
        kept = session.snapshot().to_json()
    following = type(server)(server.dialect)
    async with agentkit.open(following) as session, anyio.create_task_group() as tasks:
        tasks.start_soon(session.resume, Snapshot.from_json(kept))
        item = (await following.next("conversation.item.create"))["item"]
        assert item["content"][0]["text"] == "The museum opens at ten."
        await following.emit("conversation.item.added", item={**item, "status": "completed"})
