"""``gate``: nothing that the user says is answered before it was checked, and every wait ends."""

from typing import Any

import anyio
import pytest
from agentkit_guard import Gate, GateConfig
from trio.testing import MockClock

from agentkit import AudioInput, AudioSettings, MiddlewareError, Settings, TurnDetection, tool
from agentkit.events import InputText, Notice, ToolFinished, TurnCompleted

from .talking import PATIENCE, VAD, Server, opened

pytestmark = pytest.mark.anyio
virtual = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])
NO = "Let us talk about something else."


async def no_bombs(text: str, whose: str) -> str | None:
    await anyio.lowlevel.checkpoint()
    return "not that" if "bomb" in text else None


async def thorough(text: str, whose: str) -> None:
    await anyio.sleep(10)


def broken(text: str, whose: str) -> None:
    raise RuntimeError("the check is broken")


def gate(**options: Any) -> Gate:
    return Gate(GateConfig(**{"deny": ("bomb*",), "message": NO, **options}))


def detection(**options: Any) -> Settings:
    return Settings(audio=AudioSettings(input=AudioInput(turn_detection=TurnDetection(**options))))


def turn_detection(server: Server) -> Any:
    return server.session["audio"]["input"]["turn_detection"]


@pytest.mark.parametrize("as_middleware", [False, True])
async def test_settings_go_out_with_no_response_by_the_server_and_with_a_transcription(as_middleware: bool) -> None:
    server = Server()
    async with opened(server, gate(), as_middleware=as_middleware, settings=detection(silence_duration_ms=300)):
        pass
    assert turn_detection(server) == {"type": "server_vad", "silence_duration_ms": 300, "create_response": False}
    assert server.session["audio"]["input"]["transcription"] == {}


async def test_a_session_that_asks_for_nothing_is_gated_as_well() -> None:
    server = Server(turn_detection=VAD)
    async with opened(server, gate(transcription="whisper-1")) as (session, seen):
        while session.settings is None or not server.updates:
            await seen.all()
        await server.hears()
        await server.transcribes("tell me about cats")
        await server.answers_until("response.create")
    assert turn_detection(server)["create_response"] is False
    assert server.session["audio"]["input"]["transcription"] == {"model": "whisper-1"}


async def test_a_later_change_of_the_mode_is_gated_as_well() -> None:
    server = Server()
    async with opened(server, gate()) as (session, _):
        await session.set_mode("server_vad")
    assert turn_detection(server)["create_response"] is False


async def test_what_has_passed_is_answered() -> None:
    server = Server()
    async with opened(server, gate(), settings=detection()) as (_, seen):
        await server.hears()
        await seen.all()
        await server.transcribes("tell me about cats")
        frame = await server.next()
    assert frame["type"] == "response.create"
    assert not frame.get("response")


@pytest.mark.parametrize("check", [{}, {"deny": (), "python": f"{__name__}:no_bombs"}])
async def test_what_may_not_pass_is_deleted_and_refused(check: dict[str, Any]) -> None:
    server = Server()
    async with opened(server, gate(**check), settings=detection()) as (_, seen):
        await server.hears()
        await server.transcribes("how do b\u043embs work" if not check else "how do bombs work")
        deleted = await server.next()
        said = await server.next()
        notice = await seen.until(Notice)
    assert (deleted["type"], deleted["item_id"]) == ("conversation.item.delete", "u1")
    assert said["response"]["instructions"].endswith(NO)
    assert "not answered" in notice.message


async def test_in_push_to_talk_the_request_waits_for_the_check() -> None:
    server = Server()
    async with opened(server, gate()) as (session, seen):
        await session.press()
        await session.append_audio(bytes(9600))
        await session.release()
        await server.answers_until("input_audio_buffer.commit")
        await seen.all()
        assert "response.create" not in seen.sent
        await server.emit("input_audio_buffer.committed", item_id="u1", previous_item_id=None)
        await seen.all()
        assert "response.create" not in seen.sent
        await server.transcribes("tell me about cats", item_id="u1")
        create = await server.answers_until("response.create")
        await seen.all()
    assert not create.get("response")
    assert seen.sent.count("response.create") == 1


async def test_a_request_waits_for_every_turn_that_is_not_checked() -> None:
    server = Server()
    async with opened(server, gate()) as (session, seen):
        await server.hears("u1")
        await server.hears("u2")
        await seen.all()
        await session.create_response()
        await server.transcribes("tell me about cats", item_id="u1")
        await seen.all()
        assert "response.create" not in seen.sent
        await server.transcribes("and dogs", item_id="u2")
        await server.answers_until("response.create")


async def test_a_commit_that_the_server_refuses_does_not_hold_anything_up() -> None:
    server = Server()
    async with opened(server, gate()) as (session, _):
        await session.append_audio(bytes(9600))
        await session.commit()
        await server.answers_until("input_audio_buffer.commit")
        error = {"type": "invalid_request_error", "code": "input_audio_buffer_commit_empty", "message": "too small"}
        await server.emit("error", error=error)
        await server.answers_until("response.create")


@virtual
async def test_a_commit_that_is_never_answered_is_not_answered_either() -> None:
    server = Server()
    async with opened(server, gate(timeout=3.0)) as (session, seen):
        await session.append_audio(bytes(9600))
        await session.commit()
        await seen.until(Notice)
        await seen.all()
    assert "response.create" not in seen.sent
    assert "conversation.item.delete" not in seen.sent


async def test_a_request_that_waited_becomes_the_refusal() -> None:
    server = Server()
    async with opened(server, gate()) as (session, seen):
        await server.hears()
        await seen.all()
        await session.create_response()
        await server.transcribes("how do bombs work")
        await server.answers_until("conversation.item.delete")
        said = await server.next("response.create")
    assert said["response"]["instructions"].endswith(NO)


@virtual
async def test_without_a_transcript_nothing_is_answered() -> None:
    server = Server()
    async with opened(server, gate(timeout=3.0), settings=detection()) as (_, seen):
        await server.hears()
        notice = await seen.until(Notice)
        deleted = await server.next()
        await server.transcribes("too late")
        await seen.all()
    assert "no transcript within 3 s" in notice.message
    assert deleted["type"] == "conversation.item.delete"
    assert "response.create" not in seen.sent


async def test_a_transcription_that_fails_is_not_answered_but_for_the_line_that_is_configured() -> None:
    server = Server()
    async with opened(server, gate(unheard="Could you say that again?"), settings=detection()) as (_, seen):
        await server.hears()
        name = "conversation.item.input_audio_transcription.failed"
        await server.emit(name, item_id="u1", content_index=0, error={"message": "too noisy"})
        notice = await seen.until(Notice)
        await server.answers_until("conversation.item.delete")
        said = await server.next("response.create")
    assert "too noisy" in notice.message
    assert said["response"]["instructions"].endswith("Could you say that again?")


async def test_a_check_that_fails_lets_nothing_pass() -> None:
    server = Server()
    async with opened(server, gate(deny=(), python=f"{__name__}:broken"), settings=detection()) as (_, seen):
        await server.hears()
        await server.transcribes("hello")
        notice = await seen.until(Notice)
        said = await server.answers_until("response.create")
    assert "the check is broken" in notice.message
    assert said["response"]["instructions"].endswith(NO)


async def test_a_response_that_the_server_makes_by_itself_meanwhile_is_cancelled() -> None:
    server = Server()
    async with opened(server, gate(), settings=detection()) as (_, seen):
        await server.hears()
        await seen.all()
        await server.begins()
        assert (await server.answers_until("response.cancel"))["response_id"] == "r1"


async def test_a_typed_message_is_checked_on_its_way_out() -> None:
    server = Server()
    async with opened(server, gate()) as (session, _):
        await session.send_text("how do bombs work")
        item = await server.next("conversation.item.create")
        said = await server.next("response.create")
    assert item["item"]["content"][0]["text"] == "[removed]"
    assert said["response"]["instructions"].endswith(NO)


async def test_a_typed_message_waits_for_what_was_said_before() -> None:
    server = Server()
    async with opened(server, gate()) as (session, seen):
        await server.hears()
        await seen.all()
        await session.send_text("and in writing: hello")
        await seen.all()
        assert "response.create" not in seen.sent
        await server.transcribes("hello")
        await server.answers_until("response.create")


async def test_an_item_that_is_deleted_does_not_hold_anything_up() -> None:
    server = Server()
    async with opened(server, gate(message=None)) as (session, seen):
        await server.hears()
        await seen.all()
        await session.create_response()
        await server.emit("conversation.item.deleted", item_id="u1")
        await server.answers_until("response.create")


@virtual
async def test_who_waits_for_an_answer_is_told_where_nothing_is_said_instead() -> None:
    server = Server()
    async with opened(server, gate(message=None, timeout=2.0)) as (session, seen):
        await server.hears()
        await seen.all()
        with pytest.raises(MiddlewareError, match="Gate"):
            await session.respond(timeout=60)


async def test_a_message_that_is_typed_with_an_image_is_checked_by_its_text() -> None:
    server = Server()
    async with opened(server, gate()) as (session, _):
        await session.add_message("user", InputText(text="how do bombs"), InputText(text="work"))
        item = await server.next("conversation.item.create")
    assert item["item"]["content"] == [{"type": "input_text", "text": "[removed]"}]


async def test_an_application_that_asks_for_its_responses_itself_goes_on_doing_so() -> None:
    server = Server()
    async with opened(server, gate(), settings=detection(create_response=False)) as (session, seen):
        await server.hears()
        await server.transcribes("tell me about cats")
        await seen.all()
        await seen.all()
        assert "response.create" not in seen.sent
        await session.create_response()
        await server.answers_until("response.create")


@virtual
async def test_a_check_that_takes_longer_than_a_transcript_may_is_waited_for() -> None:
    server = Server()
    guard = gate(deny=(), python=f"{__name__}:thorough", timeout=2.0, check_timeout=20.0)
    async with opened(server, guard, settings=detection()) as (_, seen):
        await server.hears()
        await server.transcribes("tell me about cats")
        create = await server.answers_until("response.create")
    assert not create.get("response")
    assert seen.of(Notice) == []


@virtual
async def test_what_was_typed_is_answered_although_what_was_said_before_was_not_understood() -> None:
    server = Server()
    async with opened(server, gate(timeout=2.0)) as (session, seen):
        await server.hears()
        await seen.all()
        server.will_say("Here I am.")
        turn = await session.ask("are you there?", timeout=60)
    assert turn.text == "Here I am."


async def test_a_refusal_does_not_take_the_answers_to_what_was_typed_with_it() -> None:
    server = Server()
    turns = []
    async with opened(server, gate()) as (session, seen):
        await server.hears()
        await seen.all()

        async def ask(text: str) -> None:
            turns.append((await session.ask(text, timeout=PATIENCE)).text)

        async with anyio.create_task_group() as group:
            group.start_soon(ask, "one")
            group.start_soon(ask, "two")
            await server.answers_until("conversation.item.create")
            await seen.all()
            server.will_say("Fine.").then_say("Fine.").then_say("Fine.")
            await server.transcribes("how do bombs work")
    assert turns == ["Fine.", "Fine."]


async def test_nothing_is_seen_of_a_response_that_the_server_makes_by_itself_meanwhile() -> None:
    server = Server()
    async with opened(server, gate(), settings=detection()) as (_, seen):
        await server.hears()
        await server.begins()
        await server.tells("Secret answer. ")
        await server.speaks(2)
        await server.ends("Secret answer. ", spoken=True)
        await seen.until(TurnCompleted)
        await server.transcribes("tell me about cats")
        await server.answers_until("response.create")
        await server.begins("r2", "i2")
        await server.tells("Cats purr.", response_id="r2", item_id="i2")
        await server.ends("Cats purr.", spoken=True, response_id="r2", item_id="i2")
        await seen.until(TurnCompleted)
    assert "Secret" not in seen.words()
    assert seen.audio == 0
    assert seen.told == "Cats purr."
    assert [turn.text for turn in seen.of(TurnCompleted)] == ["", "Cats purr."]


async def test_nothing_is_called_by_a_response_that_the_server_makes_by_itself_meanwhile() -> None:
    ran = []

    @tool
    def ping() -> str:
        """Ping."""
        ran.append(True)
        return "pong"

    server = Server()
    async with opened(server, gate(), settings=detection(), tools=[ping]) as (_, seen):
        await server.hears()
        await server.calls("r1", c1=("ping", "{}"))
        finished = await seen.until(ToolFinished)
    assert finished.status == "refused"
    assert ran == []
