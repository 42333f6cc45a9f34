"""A session whose connection is lost: when it tries again, and what goes on over the next connection."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from trio.testing import MockClock

import agentkit
from agentkit import (
    Approval,
    Compatible,
    ConnectError,
    ConnectionLostError,
    Local,
    OpenAI,
    Reconnect,
    ServerError,
    Settings,
)
from agentkit.events import (
    ApprovalRequested,
    ConversationItemInputAudioTranscriptionCompleted,
    Event,
    FlushPlayback,
    MessageItem,
    Notice,
    Reconnected,
    Reconnecting,
    ResponseDone,
    ResponseOutputTextDelta,
    SessionEnded,
    SessionEvent,
    SessionExpiring,
    ToolFinished,
)
from agentkit.local.rules import RulesResponder
from agentkit.local.socket import serve_socket
from agentkit.middleware import Middleware, Next, on
from agentkit.testing import SESSION, FakeServer
from agentkit.transports.base import Transport

pytestmark = pytest.mark.anyio
PATIENCE = 5.0
AT_ONCE = Reconnect(first_wait=0.0)
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])


class Server(FakeServer):
    """A server that begins anew with each connection, and refuses as many as it is told."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.refusals: list[ConnectError] = []
        self.dials = 0
        self.dialled = anyio.Event()
        """Set by the second connection."""

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Transport]:
        self.dials += 1
        if self.refusals:
            raise self.refusals.pop(0)
        expires = {} if "expires_at" not in self.session else {"expires_at": self.session["expires_at"]}
        self.session = {**SESSION, **expires}
        async with super().connect() as transport:
            if self.dials > 1:
                self.dialled.set()
            yield transport

    async def next(self, type_: str | None = None) -> dict[str, Any]:
        with anyio.fail_after(PATIENCE):
            return await super().next(type_)

    async def item(self) -> dict[str, Any]:
        """Return the item of the next frame."""
        item: dict[str, Any] = (await self.next("conversation.item.create"))["item"]
        return item

    async def begins(self, response_id: str, text: str) -> None:
        """Begin a response with a message, and do not end it."""
        item = {"id": f"item_{response_id}", "type": "message", "role": "assistant", "status": "in_progress"}
        where = {"response_id": response_id, "item_id": item["id"], "output_index": 0, "content_index": 0}
        await self.emit("response.created", response={"id": response_id, "status": "in_progress", "output": []})
        await self.emit("response.output_item.added", response_id=response_id, output_index=0, item=item)
        await self.emit("response.output_text.delta", **where, delta=text)


class Held:
    """A tool that returns when it is told to, and counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.begun = anyio.Event()
        self.go_on = anyio.Event()
        self.tool = agentkit.tool(self.held)

    async def held(self) -> str:
        """Wait."""
        self.runs += 1
        self.begun.set()
        await self.go_on.wait()
        return "done"


@pytest.fixture
def server() -> Server:
    return Server()


async def loses(server: Server, session: agentkit.Session) -> None:
    """Lose the connection, and wait for the next."""
    with session.subscribe(Reconnected) as events, anyio.fail_after(PATIENCE):
        await server.drop()
        await anext(events)


async def happens(session: agentkit.Session, cls: type[Event]) -> None:
    await session.wait_for(cls, timeout=PATIENCE)


# Whether, and when


async def test_a_session_in_memory_ends_with_its_connection(server: Server) -> None:
    async with agentkit.open(server) as session:
        await server.drop()
        await session.wait_closed()
        assert session.ended is not None
        assert session.ended.cause == "connection_lost"
    assert server.dials == 1


def test_a_session_over_a_network_goes_on_unless_it_is_told_otherwise() -> None:
    assert Reconnect.default(OpenAI(api_key="k")).attempts == 8
    assert Reconnect.default(Compatible("ws://127.0.0.1:1/")).attempts == 8
    assert Reconnect.default(Local()).attempts == 0


async def test_no_attempts_end_the_session_with_its_connection(server: Server) -> None:
    async with agentkit.open(server, reconnect=Reconnect(attempts=0)) as session:
        await server.drop()
        await session.wait_closed()
    assert server.dials == 1


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 1012, 1013])
@VIRTUAL
async def test_a_connection_that_may_come_back_is_dialled_again(server: Server, code: int) -> None:
    async with agentkit.open(server, reconnect=Reconnect()) as session:
        with session.subscribe(Reconnecting, Reconnected, Notice) as events, anyio.fail_after(100):
            await (server.drop() if code == 1006 else server.close(code))
            told = [await anext(events) for _ in range(4)]
        assert session.ended is None
    reconnecting, reconnected = told[0], [event for event in told if isinstance(event, Reconnected)]
    assert isinstance(reconnecting, Reconnecting)
    assert (reconnecting.attempt, reconnecting.of) == (1, 8)
    assert isinstance(reconnecting.error, ConnectionLostError)
    assert reconnected == [Reconnected(restored=True)]
    assert [event.code for event in told if isinstance(event, Notice)] == ["reconnecting", "reconnected"]
    assert server.dials == 2


@pytest.mark.parametrize("code", [1008, 3000, 4000])
async def test_a_connection_that_was_refused_for_good_is_not_dialled_again(server: Server, code: int) -> None:
    async with agentkit.open(server, reconnect=Reconnect()) as session:
        await server.close(code, "no")
        await session.wait_closed()
        assert session.ended is not None
        assert session.ended.cause == "ended_by_server"
    assert server.dials == 1


@pytest.mark.parametrize("code", [1002, 1003, 1007])
async def test_after_a_fault_of_ours_there_is_one_other_connection(server: Server, code: int) -> None:
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        with session.subscribe(Reconnected) as events, anyio.fail_after(PATIENCE):
            await server.close(code)
            await anext(events)
        await server.close(code)
        await session.wait_closed()
        assert session.ended is not None
        assert session.ended.error is not None
        assert "report it" in (getattr(session.ended.error, "hint", None) or "")
    assert server.dials == 2


async def test_after_an_error_that_no_connection_helps_against_there_is_no_other(server: Server) -> None:
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        error = {"type": "invalid_request_error", "code": "insufficient_quota", "message": "no credit left"}
        await server.emit("error", error=error)
        await server.close(1011)
        await session.wait_closed()
    assert server.dials == 1


@VIRTUAL
async def test_a_session_that_has_expired_goes_on_over_another_connection(server: Server) -> None:
    async with agentkit.open(server, reconnect=Reconnect()) as session:
        with session.subscribe(Reconnected) as events:
            await server.emit("error", error={"type": "x", "code": "session_expired", "message": "60 minutes"})
            await server.close(1001)
            await anext(events)
        assert session.ended is None


@VIRTUAL
async def test_the_waits_are_random_below_a_ceiling_that_doubles(server: Server) -> None:
    waits: list[list[float]] = []
    for seed in range(8):
        server = Server()
        async with agentkit.open(server, reconnect=Reconnect(first_wait=1.0, max_wait=6.0, seed=seed)) as session:
            server.refusals = [ConnectError("down") for _ in range(5)]
            with session.subscribe(Reconnecting) as tries:
                await server.drop()
                waits.append([(await anext(tries)).seconds for _ in range(6)])
    for count, ceiling in enumerate([1, 2, 4, 6, 6, 6]):
        tried = [each[count] for each in waits]
        assert all(0 <= wait <= ceiling for wait in tried)
        assert max(tried) > ceiling / 2
        assert len(set(tried)) == len(tried)


@VIRTUAL
async def test_the_wait_that_a_server_asks_for_is_kept_up_to_two_minutes(server: Server) -> None:
    async with agentkit.open(server, reconnect=Reconnect(first_wait=1.0)) as session:
        server.refusals = [ConnectError("busy", retry_after=each) for each in (30.0, 10_000.0)]
        with session.subscribe(Reconnecting) as tries:
            await server.drop()
            seconds = [(await anext(tries)).seconds for _ in range(3)]
    assert seconds[0] <= 1
    assert 30 <= seconds[1] <= 34
    assert seconds[2] == 120


@VIRTUAL
async def test_a_server_that_is_busy_is_left_alone_for_longer() -> None:
    seconds: dict[int, float] = {}
    for code in (1011, 1013):
        server = Server()
        async with agentkit.open(server, reconnect=Reconnect(seed=5)) as session:
            with session.subscribe(Reconnecting) as events:
                await server.close(code)
                seconds[code] = (await anext(events)).seconds
    assert seconds[1013] == pytest.approx(4 * seconds[1011])


@VIRTUAL
async def test_a_refusal_for_good_stops_the_tries_with_its_reason(server: Server) -> None:
    async with agentkit.open(server, reconnect=Reconnect()) as session:
        server.refusals = [
            ConnectError("down"),
            ConnectError("the key is wrong", retryable=False, hint="check the key"),
        ]
        await server.drop()
        await session.wait_closed()
        assert session.ended is not None
        error = session.ended.error
    assert isinstance(error, ConnectionLostError)
    assert "the key is wrong" in str(error)
    assert error.hint == "check the key"
    assert server.dials == 3


@VIRTUAL
async def test_after_the_last_try_whoever_waits_is_told(server: Server) -> None:
    async with agentkit.open(server, reconnect=Reconnect(attempts=3)) as session:
        server.refusals = [ConnectError("down") for _ in range(3)]
        await server.drop()
        with pytest.raises(ConnectionLostError, match="after 3 tries: down"):
            await session.ask("hello")
        assert session.ended is not None
        assert session.ended.cause == "connection_lost"
    assert server.dials == 4


@VIRTUAL
async def test_connections_that_die_at_once_are_counted_as_tries(server: Server) -> None:
    async with agentkit.open(server, reconnect=Reconnect(attempts=3)) as session:
        for _ in range(3):
            await loses(server, session)
            await anyio.sleep(4)
        await server.drop()
        await session.wait_closed()
    assert server.dials == 4


@VIRTUAL
async def test_a_connection_that_lasts_begins_the_count_anew(server: Server) -> None:
    async with agentkit.open(server, reconnect=Reconnect(attempts=2)) as session:
        for _ in range(6):
            await loses(server, session)
            await anyio.sleep(6)
        assert session.ended is None


@VIRTUAL
async def test_a_server_that_does_not_greet_is_given_up_and_tried_again(server: Server) -> None:
    async with agentkit.open(server, reconnect=Reconnect()) as session:
        with session.subscribe(Reconnecting, Reconnected) as events:
            server._handshake = False
            await server.drop()
            await anext(events)
            second = await anext(events)
            assert isinstance(second, Reconnecting)
            assert "session.updated" in str(second.error)
            server._handshake = True
            assert isinstance(await anext(events), Reconnected)


@pytest.mark.parametrize("how", ["leave", "end"])
@VIRTUAL
async def test_a_session_that_is_closed_while_it_waits_does_not_dial_again(server: Server, how: str) -> None:
    async with agentkit.open(server, reconnect=Reconnect(first_wait=1000, max_wait=1000, seed=1)) as session:
        began = anyio.current_time()
        with session.subscribe(Reconnecting) as events:
            await server.drop()
            await anext(events)
        if how == "end":
            await session.end()
            await session.wait_closed()
    assert anyio.current_time() - began < 100
    assert session.ended == SessionEnded(cause="closed")
    assert server.dials == 1


async def test_the_layers_see_that_the_session_goes_on(server: Server) -> None:
    seen: list[str] = []

    class Layer(Middleware):
        @on(Reconnecting, Reconnected)
        async def see(self, event: SessionEvent, call_next: Next[Any]) -> None:
            seen.append(event.wire_type)
            await call_next(event)

    async with agentkit.open(server, middleware=[Layer()], reconnect=AT_ONCE) as session:
        await loses(server, session)
    assert seen == ["session.reconnecting", "session.reconnected"]


# The settings


async def test_the_first_update_of_a_connection_carries_the_settings_and_the_tools(server: Server) -> None:
    held = Held()
    async with agentkit.open(
        server, tools=[held.tool], settings=Settings(instructions="Be brief."), reconnect=AT_ONCE
    ) as session:
        await session.update(Settings(instructions="Be polite."))
        await loses(server, session)
        again = server.updates[-1]["session"]
        assert isinstance(session.settings, Settings)
        assert session.settings.instructions == "Be polite."
    assert set(again) - {"type"} == {"instructions", "tools"}
    assert again["instructions"] == "Be polite."
    assert [tool["name"] for tool in again["tools"]] == ["held"]


async def test_an_update_whose_answer_was_lost_is_asked_again_and_answered(server: Server) -> None:
    async with agentkit.open(server, reconnect=AT_ONCE) as session, anyio.create_task_group() as tasks:
        server._handshake = False
        tasks.start_soon(session.update, Settings(instructions="Be brief."))
        await server.next("session.update")
        server._handshake = True
        with anyio.fail_after(PATIENCE):
            await loses(server, session)
    assert server.session["instructions"] == "Be brief."


@VIRTUAL
async def test_settings_changed_while_there_is_no_connection_are_in_force_on_the_next(server: Server) -> None:
    async with agentkit.open(server, settings=Settings(instructions="One."), reconnect=Reconnect(seed=1)) as session:
        with session.subscribe(Reconnecting) as events:
            await server.drop()
            await anext(events)
        await session.update(Settings(instructions="Two."))
        assert session.ended is None
        assert server.session["instructions"] == "Two."


async def test_settings_that_are_refused_now_end_the_session_with_the_reason(server: Server) -> None:
    async with agentkit.open(server, settings=Settings(instructions="One."), reconnect=AT_ONCE) as session:
        with session.subscribe(Reconnecting) as events:
            server._handshake = False
            await server.drop()
            await anext(events)
        await server.dialled.wait()
        await server.emit("session.created", session=SESSION)
        update = await server.next("session.update")
        error = {"type": "invalid_request_error", "code": "nope", "message": "no such model", "param": None}
        await server.emit("error", error={**error, "event_id": update["event_id"]})
        with anyio.fail_after(PATIENCE):
            await session.wait_closed()
        assert session.ended is not None
        assert isinstance(session.ended.error, ServerError)


# The conversation


async def test_the_model_is_told_what_was_said_and_the_mirror_stays_one(server: Server) -> None:
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        with session.subscribe(ResponseDone) as done, anyio.fail_after(PATIENCE):
            user = {"id": "u1", "type": "message", "role": "user", "status": "completed"}
            await server.emit("conversation.item.added", item={**user, "content": [{"type": "input_audio"}]})
            said = {"item_id": "u1", "content_index": 0, "transcript": "Is it open?"}
            await server.emit("conversation.item.input_audio_transcription.completed", **said)
            await server.says("r1", "Yes.")
            await anext(done)
        before = session.history.items()
        await loses(server, session)
        first, second = await server.item(), await server.item()
        for item in (first, second):
            await server.emit("conversation.item.added", item={**item, "status": "completed"})
            await server.emit("conversation.item.done", item={**item, "status": "completed"})
        with session.subscribe(ResponseDone) as done, anyio.fail_after(PATIENCE):
            await server.says("r2", "Anything else?")
            await anext(done)
        assert [item.id for item in session.history.items()] == ["u1", "item_r1", "item_r2"]
        assert session.history.items()[:2] == before
    assert first == {
        "id": "u1",
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Is it open?"}],
    }
    assert (second["role"], second["content"]) == ("assistant", [{"type": "output_text", "text": "Yes."}])


async def test_items_to_which_the_server_gives_ids_of_its_own_are_not_doubled(server: Server) -> None:
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        with session.subscribe(ResponseDone) as done, anyio.fail_after(PATIENCE):
            await server.says("r1", "Yes.")
            await anext(done)
            await loses(server, session)
            item = {**await server.item(), "id": "other", "status": "completed"}
            await server.emit("conversation.item.added", item=item)
            await server.emit("conversation.item.done", item=item)
            await server.says("r2", "Anything else?")
            await anext(done)
        assert [each.id for each in session.history.items()] == ["item_r1", "item_r2"]


async def test_what_cannot_be_told_is_named(server: Server) -> None:
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        user = {"id": "u1", "type": "message", "role": "user", "content": [{"type": "input_audio"}]}
        with session.subscribe(Reconnected) as events, anyio.fail_after(PATIENCE):
            await server.emit("conversation.item.added", item=user)
            await server.drop()
            reconnected = await anext(events)
    assert not reconnected.restored
    assert [item_id for item_id, _ in reconnected.left_out] == ["u1"]
    assert "no transcript" in reconnected.left_out[0][1]


async def test_of_what_was_cut_off_the_model_is_told_what_was_heard(server: Server) -> None:
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        server.will_say("It opens at ten and closes at six in the evening.", audio=bytes(96_000))
        with anyio.fail_after(PATIENCE):
            await session.ask("When?")
        await session.interrupt(500)
        heard = session.history.views()[-1].heard_text
        await loses(server, session)
        assert (await server.next())["type"] == "conversation.item.create"
        assert (await server.item())["content"] == [{"type": "output_text", "text": heard}]


async def test_a_message_that_was_not_acknowledged_is_sent_again_once(server: Server) -> None:
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        await session.send_text("hello", reply=False)
        first = await server.item()
        await loses(server, session)
        assert await server.item() == first
        await server.emit("conversation.item.added", item={**first, "status": "completed"})
        await loses(server, session)
        again = await server.item()
        assert (again["id"], again["content"]) == (first["id"], first["content"])
        await session.send_text("bye", reply=False)
        assert (await server.item())["content"][0]["text"] == "bye"


@VIRTUAL
async def test_what_is_sent_while_there_is_no_connection_waits_in_its_order(server: Server) -> None:
    async with agentkit.open(server, reconnect=Reconnect(seed=1)) as session:
        with session.subscribe(Reconnecting) as events:
            await server.drop()
            await anext(events)
        await session.send_text("one", reply=False)
        await session.send_text("two")
        await session.append_audio(bytes(480))
        assert session.dropped_input == 480
        await happens(session, Reconnected)
        assert [(await server.item())["content"][0]["text"] for _ in range(2)] == ["one", "two"]
        await server.next("response.create")


@VIRTUAL
async def test_too_much_that_waits_is_refused(server: Server) -> None:
    async with agentkit.open(server, reconnect=Reconnect(seed=1)) as session:
        with session.subscribe(Reconnecting) as events:
            await server.drop()
            await anext(events)
        for _ in range(1000):
            await session.send_text("more", reply=False)
        with pytest.raises(agentkit.LocalProtocolError, match="1000 events wait"):
            await session.send_text("too much", reply=False)


async def test_an_item_deleted_while_there_is_no_connection_is_not_told(server: Server) -> None:
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        with session.subscribe(ResponseDone, Reconnecting) as events, anyio.fail_after(PATIENCE):
            await server.says("r1", "One.")
            await server.says("r2", "Two.")
            await anext(events)
            await anext(events)
            await session.delete_item("item_r1")  # and the server never answers
            await server.next("conversation.item.delete")
            await loses(server, session)
        assert (await server.item())["id"] == "item_r2"
        assert [item.id for item in session.history.items()] == ["item_r2"]


async def test_late_frames_of_a_connection_that_was_left_reach_nobody(server: Server) -> None:
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        late = server._transport
        assert late is not None
        with session.subscribe(ResponseOutputTextDelta) as deltas, anyio.fail_after(PATIENCE):
            await loses(server, session)
            with pytest.raises(agentkit.AgentkitError):
                await late.send(b'{"type":"response.output_text.delta","delta":"late"}')
            await server.says("r1", "in time")
            assert (await anext(deltas)).delta == "in time"


# Responses


async def test_a_response_of_which_nothing_was_whole_is_asked_for_again(server: Server) -> None:
    turns: list[agentkit.Turn] = []
    async with agentkit.open(server, reconnect=AT_ONCE) as session, anyio.create_task_group() as tasks:

        async def ask() -> None:
            turns.append(await session.ask("When?", timeout=PATIENCE))

        tasks.start_soon(ask)
        await server.item()
        await server.next("response.create")
        with session.subscribe(ResponseOutputTextDelta) as deltas, anyio.fail_after(PATIENCE):
            await server.begins("r1", "It op")
            await anext(deltas)
        await loses(server, session)
        assert (await server.item())["role"] == "user"
        await server.next("response.create")
        await server.says("r2", "It opens at ten.")
    assert [(turn.text, turn.status) for turn in turns] == [("It opens at ten.", "completed")]
    assert [item.id for item in session.history.items()] == ["item_r2"]


async def test_what_is_said_again_is_not_played_twice(server: Server) -> None:
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        await server.begins("r1", "It op")
        at = {"response_id": "r1", "item_id": "item_r1", "output_index": 0, "content_index": 0}
        with session.subscribe(FlushPlayback, Reconnecting) as events, anyio.fail_after(PATIENCE):
            await server.emit("response.output_audio.delta", **at, delta="AAAA")
            await server.drop()
            assert await anext(events) == FlushPlayback(item_id="item_r1")


async def test_a_response_is_not_asked_for_again_for_ever(server: Server) -> None:
    turns: list[agentkit.Turn] = []
    async with agentkit.open(server, reconnect=AT_ONCE) as session, anyio.create_task_group() as tasks:

        async def ask() -> None:
            turns.append(await session.ask("When?", timeout=PATIENCE))

        tasks.start_soon(ask)
        for _ in range(3):
            await server.item()
            await server.next("response.create")
            await loses(server, session)
    assert [turn.status for turn in turns] == ["incomplete"]


async def test_a_message_that_was_whole_ends_its_turn_as_incomplete(server: Server) -> None:
    turns: list[agentkit.Turn] = []
    async with agentkit.open(server, reconnect=AT_ONCE) as session, anyio.create_task_group() as tasks:

        async def ask() -> None:
            turns.append(await session.ask("When?", timeout=PATIENCE))

        tasks.start_soon(ask)
        await server.item()
        await server.next("response.create")
        with session.subscribe(ResponseOutputTextDelta) as deltas, anyio.fail_after(PATIENCE):
            await server.begins("r1", "At ten.")
            item = {"id": "item_r1", "type": "message", "role": "assistant", "status": "completed"}
            item |= {"content": [{"type": "output_text", "text": "At ten."}]}  # type: ignore[dict-item]  # JSON
            await server.emit("response.output_item.done", response_id="r1", output_index=0, item=item)
            await anext(deltas)
        await loses(server, session)
    assert [(turn.text, turn.status) for turn in turns] == [("At ten.", "incomplete")]


async def test_a_response_beside_the_conversation_is_asked_for_again(server: Server) -> None:
    turns: list[agentkit.Turn] = []
    async with agentkit.open(server, reconnect=AT_ONCE) as session, anyio.create_task_group() as tasks:

        async def respond() -> None:
            settings = agentkit.ResponseSettings(conversation="none")
            turns.append(await session.respond(settings, timeout=PATIENCE))

        tasks.start_soon(respond)
        await server.next("response.create")
        await loses(server, session)
        asked = await server.next("response.create")
        response = {"id": "r1", "metadata": asked["response"]["metadata"], "output": []}
        said = {
            "type": "message",
            "id": "i",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Aside."}],
        }
        await server.emit("response.created", response={**response, "status": "in_progress"})
        await server.emit("response.done", response={**response, "status": "completed", "output": [said]})
    assert [turn.text for turn in turns] == ["Aside."]


async def test_a_response_that_was_being_stopped_is_not_asked_for_again(server: Server) -> None:
    turns: list[agentkit.Turn] = []
    async with agentkit.open(server, reconnect=AT_ONCE) as session, anyio.create_task_group() as tasks:

        async def ask() -> None:
            turns.append(await session.ask("When?", timeout=PATIENCE))

        tasks.start_soon(ask)
        await server.item()
        await server.next("response.create")
        with session.subscribe(ResponseOutputTextDelta) as deltas, anyio.fail_after(PATIENCE):
            await server.begins("r1", "It op")
            await anext(deltas)
        await session.cancel()
        await server.next("response.cancel")
        await loses(server, session)
    assert [turn.status for turn in turns] == ["cancelled"]


async def test_a_turn_of_the_users_that_the_server_was_about_to_answer_is_answered(server: Server) -> None:
    vad = {"type": "server_vad", "create_response": True, "interrupt_response": True}
    detects = {**SESSION["audio"], "input": {**SESSION["audio"]["input"], "turn_detection": vad}}
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        await server.emit("session.updated", session={**SESSION, "audio": detects})
        with session.subscribe(ConversationItemInputAudioTranscriptionCompleted) as said, anyio.fail_after(PATIENCE):
            await server.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
            await server.emit("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id="u1")
            await server.emit("input_audio_buffer.committed", item_id="u1", previous_item_id=None)
            words = {"item_id": "u1", "content_index": 0, "transcript": "Is it open?"}
            await server.emit("conversation.item.input_audio_transcription.completed", **words)
            await anext(said)
        await loses(server, session)
        assert (await server.item())["content"][0]["text"] == "Is it open?"
        await server.next("response.create")


# Tools and approvals


async def test_a_call_that_runs_goes_on_and_its_output_follows_its_call(server: Server) -> None:
    held = Held()
    async with agentkit.open(server, tools=[held.tool], reconnect=AT_ONCE) as session:
        await server.calls("r1", c1=("held", "{}"))
        await held.begun.wait()
        await loses(server, session)
        call = await server.item()
        held.go_on.set()
        output = await server.item()
        await server.next("response.create")
        await server.says("r2", "Done.")
        await happens(session, agentkit.events.TurnCompleted)
    assert (call["type"], call["call_id"]) == ("function_call", "c1")
    assert (output["type"], output["call_id"], output["output"]) == ("function_call_output", "c1", "done")
    assert held.runs == 1
    written = [event["type"] for event in server.written]
    assert written.count("response.create") == 1


@VIRTUAL
async def test_row_74_a_result_that_was_ready_meanwhile_follows_the_replay_and_one_response(server: Server) -> None:
    held = Held()
    async with agentkit.open(server, tools=[held.tool], reconnect=Reconnect(seed=1)) as session:
        await server.calls("r1", c1=("held", "{}"), c2=("held", "{}"))
        await held.begun.wait()
        with session.subscribe(Reconnecting, ToolFinished) as events:
            await server.drop()
            await anext(events)
            held.go_on.set()
            await anext(events)
            await anext(events)
        await happens(session, Reconnected)
        replayed = [await server.item() for _ in range(4)]
        await server.next("response.create")
        await server.says("r2", "Done.")
        await happens(session, agentkit.events.TurnCompleted)
    assert [item["type"] for item in replayed] == ["function_call"] * 2 + ["function_call_output"] * 2
    assert held.runs == 2
    assert [event["type"] for event in server.written].count("response.create") == 1


async def test_an_output_that_was_delivered_is_told_with_its_call_and_does_not_run_again(server: Server) -> None:
    held = Held()
    held.go_on.set()
    async with agentkit.open(server, tools=[held.tool], reconnect=AT_ONCE) as session:
        await server.calls("r1", c1=("held", "{}"))
        await server.item()
        await server.next("response.create")
        await loses(server, session)
        call, output = await server.item(), await server.item()
        await server.next("response.create")
        done = {**call, "status": "completed"}
        await server.emit("conversation.item.added", item=done)
        await server.emit("conversation.item.done", item=done)
        await server.says("r2", "Done.")
        await happens(session, agentkit.events.TurnCompleted)
    assert (call["type"], output["type"]) == ("function_call", "function_call_output")
    assert held.runs == 1


async def test_what_a_layer_made_of_an_output_is_what_the_next_connection_is_told(server: Server) -> None:
    held = Held()
    held.go_on.set()

    class Redacts(Middleware):
        @on(agentkit.events.ConversationItemCreate)
        async def redact(self, event: Any, call_next: Next[Any]) -> None:
            item = agentkit.events.FunctionCallOutputItem(call_id="c1", output="[redacted]")
            await call_next(agentkit.events.ConversationItemCreate(event_id=event.event_id, item=item))

    async with agentkit.open(server, tools=[held.tool], middleware=[Redacts()], reconnect=AT_ONCE) as session:
        await server.calls("r1", c1=("held", "{}"))
        assert (await server.item())["output"] == "[redacted]"
        await server.next("response.create")
        await loses(server, session)
        assert (await server.item())["type"] == "function_call"
        assert (await server.item())["output"] == "[redacted]"


async def test_an_approval_stays_open_and_may_be_given_while_there_is_no_connection(server: Server) -> None:
    held = Held()
    held.go_on.set()
    tool = held.tool.with_(approve=Approval())
    async with agentkit.open(server, tools=[tool], reconnect=AT_ONCE) as session:
        with session.subscribe(ApprovalRequested, Reconnecting) as events, anyio.fail_after(PATIENCE):
            await server.calls("r1", c1=("held", "{}"))
            await anext(events)
            await server.drop()
            await anext(events)
        session.approvals.approve("c1")
        call, output = await server.item(), await server.item()
        await server.next("response.create")
    assert (call["type"], output["output"]) == ("function_call", "done")
    assert held.runs == 1


async def test_the_model_is_told_in_words_of_a_call_that_the_server_made_itself(server: Server) -> None:
    call = {"id": "m1", "type": "mcp_call", "server_label": "docs", "name": "find", "arguments": "{}"}
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        with session.subscribe(ToolFinished) as finished, anyio.fail_after(PATIENCE):
            await server.emit("response.created", response={"id": "r1", "status": "in_progress", "output": []})
            done = {**call, "output": "found", "status": "completed"}
            await server.emit("response.output_item.done", response_id="r1", output_index=0, item=done)
            await server.emit("response.mcp_call.in_progress", item_id="m1", output_index=0)
            await anext(finished)
        await loses(server, session)
        told = await server.item()
        await server.next("response.create")
    assert told["role"] == "system"
    assert "docs.find" in told["content"][0]["text"]
    assert "found" in told["content"][0]["text"]


async def test_an_approval_that_the_lost_connection_asked_for_is_not_answered_on_the_next(server: Server) -> None:
    request = {"id": "a1", "type": "mcp_approval_request", "server_label": "docs", "name": "find", "arguments": "{}"}
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        with session.subscribe(ApprovalRequested) as requested, anyio.fail_after(PATIENCE):
            await server.emit("response.created", response={"id": "r1", "status": "in_progress", "output": []})
            await server.emit("response.output_item.done", response_id="r1", output_index=0, item=request)
            await anext(requested)
        await loses(server, session)
        with session.subscribe(Notice) as notices, anyio.fail_after(PATIENCE):
            session.approvals.approve("a1")
            while (await anext(notices)).code != "approval_lost":
                pass
        await server.next("response.create")
        await session.send_text("hello", reply=False)
        assert (await server.item())["role"] == "user"


# Over a socket


async def test_row_28_the_key_is_asked_for_at_every_dial_and_the_conversation_goes_on_over_a_socket() -> None:
    keys: list[str] = []
    urls: list[str] = []
    ready = anyio.Event()

    def key() -> str:
        keys.append(f"key-{len(keys)}")
        return keys[-1]

    def told(url: str) -> None:
        urls.append(url)
        ready.set()

    async def serve(port: int) -> None:
        with scope[-1]:
            await serve_socket("127.0.0.1", port, responder_factory=RulesResponder, on_ready=told)

    scope = [anyio.CancelScope()]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, 0)
        await ready.wait()
        provider = Compatible(urls[0], api_key=key)
        async with agentkit.open(provider, reconnect=Reconnect(first_wait=0.01)) as session:
            await session.ask("first", timeout=PATIENCE)
            with session.subscribe(Reconnected) as events, anyio.fail_after(PATIENCE):
                scope[0].cancel()
                scope.append(anyio.CancelScope())
                tasks.start_soon(serve, urlsplit(urls[0]).port or 0)
                await anext(events)
            await session.ask("second", timeout=PATIENCE)
            assert [item.text for item in session.history.items() if item.role == "user"] == ["first", "second"]  # type: ignore[union-attr]  # all are messages
        scope[1].cancel()
    assert len(keys) >= 2


# Push to talk


async def test_what_the_user_was_saying_is_lost_and_told(server: Server) -> None:
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        await session.press()
        await session.append_audio(bytes(48 * 500))
        with session.subscribe(Notice) as notices, anyio.fail_after(PATIENCE):
            await loses(server, session)
            codes = [(await anext(notices)).code for _ in range(2)]
        assert "speech_lost" in codes
        await session.append_audio(bytes(48 * 200))
        await session.release()
        await server.next("input_audio_buffer.append")
        await server.next("input_audio_buffer.commit")


# Renewal


def expiring(server: Server, seconds: float) -> None:
    server.session["expires_at"] = int(time.time() + seconds)


@VIRTUAL
async def test_a_session_is_renewed_in_a_quiet_moment_before_the_server_ends_it(server: Server) -> None:
    expiring(server, 3600)
    async with agentkit.open(server, reconnect=Reconnect()) as session:
        await server.says("r1", "Hello.")
        began = anyio.current_time()
        with session.subscribe(Reconnecting, Reconnected, SessionExpiring) as events:
            assert await anext(events) == Reconnected(restored=True)
        assert 3298 <= anyio.current_time() - began <= 3302
        assert (await server.item())["content"][0]["text"] == "Hello."
        assert session.ended is None
    assert server.dials == 2


@VIRTUAL
async def test_a_session_is_renewed_as_often_as_it_has_to_be(server: Server) -> None:
    expiring(server, 3600)
    async with agentkit.open(server, reconnect=Reconnect()) as session:
        with session.subscribe(Reconnected) as events:
            for _ in range(3):
                await anext(events)
        assert session.ended is None
    assert server.dials == 4


@VIRTUAL
async def test_a_session_that_is_not_to_be_renewed_is_told_when_it_expires(server: Server) -> None:
    expiring(server, 3600)
    async with agentkit.open(server, reconnect=Reconnect(renew_before=0)) as session:
        with session.subscribe(Reconnected, SessionExpiring) as events:
            assert isinstance(await anext(events), SessionExpiring)
    assert server.dials == 1


def test_a_policy_with_numbers_below_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="below 0"):
        Reconnect(attempts=-1)


@VIRTUAL
async def test_a_renewal_waits_for_a_call_and_carries_it_over_where_it_takes_too_long(server: Server) -> None:
    expiring(server, 3600)
    held = Held()
    async with agentkit.open(server, tools=[held.tool.with_(timeout=10_000)], reconnect=Reconnect()) as session:
        await server.calls("r1", c1=("held", "{}"))
        began = anyio.current_time()
        with session.subscribe(Reconnected) as events:
            await anext(events)
        assert 3565 <= anyio.current_time() - began <= 3572
        assert (await server.item())["type"] == "function_call"
        held.go_on.set()
        assert (await server.item())["output"] == "done"
        await server.next("response.create")
    assert held.runs == 1


@VIRTUAL
async def test_a_renewal_that_cannot_be_dialled_leaves_the_session_as_it_is(server: Server) -> None:
    expiring(server, 3600)
    async with agentkit.open(server, reconnect=Reconnect()) as session:
        server.refusals = [ConnectError("down")]
        with session.subscribe(Notice, SessionExpiring) as events:
            told = [await anext(events) for _ in range(3)]
        assert [getattr(event, "code", "expiring") for event in told] == ["renewing", "not_renewed", "expiring"]
        await session.send_text("still here", reply=False)
        assert (await server.item())["content"][0]["text"] == "still here"


@VIRTUAL
async def test_the_users_audio_is_kept_while_a_session_is_renewed(server: Server) -> None:
    expiring(server, 3600)
    async with agentkit.open(server, reconnect=Reconnect()) as session:
        server._handshake = False
        await server.dialled.wait()
        await anyio.wait_all_tasks_blocked()
        await session.append_audio(b"\1\2" * 240)
        assert session.dropped_input == 0
        await server.emit("session.created", session=SESSION)
        assert (await server.next("input_audio_buffer.append"))["audio"].startswith("AQIB")


async def test_the_mirror_has_one_item_for_each_thing_said(server: Server) -> None:
    async with agentkit.open(server, reconnect=AT_ONCE) as session:
        for count in range(3):
            with session.subscribe(ResponseDone) as done, anyio.fail_after(PATIENCE):
                await server.says(f"r{count}", f"Number {count}.")
                await anext(done)
            await loses(server, session)
        texts = [item.text for item in session.history.items() if isinstance(item, MessageItem)]
    assert texts == ["Number 0.", "Number 1.", "Number 2."]
