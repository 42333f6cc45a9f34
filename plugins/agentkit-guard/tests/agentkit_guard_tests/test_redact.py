"""``redact``: what is secret by its form is seen nowhere, however it comes."""

import base64
import json
from itertools import pairwise

import pytest
from agentkit_guard import Redact, RedactConfig
from agentkit_guard.places import Where
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentkit import Settings, ToolContext, tool
from agentkit.events import (
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionDelta,
    ConversationUpdated,
    Interrupted,
    ItemCompleted,
    MessageItem,
    Notice,
    ResponseDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseOutputItemDone,
    ResponseOutputTextDone,
    ToolFinished,
    ToolStarted,
    TurnCompleted,
)

from .talking import Server, opened

pytestmark = pytest.mark.anyio
CARD = "4111 1111 1111 1111"
TEXT = f"Your card {CARD} is on file."
SEEN = "Your card [card] is on file."


def redact(*at: Where, **options: object) -> Redact:
    given = {"kinds": ("card",), **({"at": at} if at else {}), **options}
    return Redact(RedactConfig(**given))  # type: ignore[arg-type]  # options by name


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[begin:end] for begin, end in pairwise(places)]


@pytest.mark.parametrize("as_middleware", [False, True])
async def test_a_card_split_over_deltas_does_not_leak(as_middleware: bool) -> None:
    server = Server()
    async with opened(server, redact(), as_middleware=as_middleware) as (_, seen):
        await server.begins()
        await server.writes("Your card 41", "11 1111 1", "111 11", "11 is", " on file.")
        await server.ends(TEXT)
        await seen.all()
    assert "1111" not in seen.words()
    assert seen.written == seen.updates == SEEN


async def test_every_event_that_tells_the_text_agrees() -> None:
    server = Server()
    async with opened(server, redact()) as (_, seen):
        await server.begins()
        await server.writes(TEXT[:20], TEXT[20:])
        await server.ends(TEXT)
        await seen.all()
    [done], [item], [completed], [turn], [response] = (
        seen.of(ResponseOutputTextDone),
        seen.of(ResponseOutputItemDone),
        seen.of(ItemCompleted),
        seen.of(TurnCompleted),
        seen.of(ResponseDone),
    )
    assert isinstance(item.item, MessageItem)
    assert isinstance(response.response.output[0], MessageItem)
    told = [done.text, item.item.text, completed.item.text, turn.text, response.response.output[0].text]
    assert told == [SEEN] * 5


async def test_what_is_spoken_is_redacted_in_its_transcript() -> None:
    server = Server()
    async with opened(server, redact()) as (_, seen):
        await server.begins()
        await server.tells("Your card 4111", " 1111 1111 ", "1111 is on file.")
        await server.speaks()
        await server.ends(TEXT, spoken=True)
        await seen.all()
    assert "1111" not in seen.words()
    assert seen.told == seen.updates == SEEN
    assert seen.audio == 1


@given(cuts=st.lists(st.integers(0, 60), max_size=10), spoken=st.booleans())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_split_of_any_deltas_leaks(cuts: list[int], spoken: bool) -> None:
    server = Server()
    async with opened(server, redact()) as (_, seen):
        await server.begins()
        await (server.tells if spoken else server.writes)(*pieces(TEXT, cuts))
        await server.ends(TEXT, spoken=spoken)
        await seen.all()
    assert "1111" not in seen.words()
    assert (seen.told if spoken else seen.written) == seen.updates == SEEN


@pytest.mark.parametrize(
    "card",
    [
        "4\u200b1\u200b1\u200b1 1111 1111 1111",
        "\uff14\uff11\uff11\uff11 1111 1111 1111",
        "\u0664\u0661\u0661\u0661 1111 1111 1111",
        "4111\u00ad1111\u20111111\u20031111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "id14111111111111111",
        "\U0001d7d2111-1111-1111-1111",
        "4\u0336".join(["", "1\u03361\u03361 1111 1111 1111"]),
    ],
)
async def test_a_card_in_disguise_is_found(card: str) -> None:
    server = Server()
    text = f"It is {card}."
    async with opened(server, redact()) as (_, seen):
        await server.begins()
        await server.writes(*text)
        await server.ends(text)
        await seen.all()
    assert "[card]" in seen.written
    assert "111" not in seen.words()


async def test_a_number_that_is_no_card_stays() -> None:
    server = Server()
    text = "Order 1234567890123456 of 2026-11-28, for 3.14 and 100."
    async with opened(server, redact()) as (_, seen):
        await server.begins()
        await server.writes(*text)
        await server.ends(text)
        await seen.all()
    assert seen.written == text


async def test_text_that_is_no_secret_is_not_kept_waiting() -> None:
    server = Server()
    async with opened(server, redact()) as (_, seen):
        await server.begins()
        await server.writes("Good", " morning.")
        await seen.all()
    assert seen.written == "Good morning."


async def test_an_end_that_may_become_a_card_waits() -> None:
    server = Server()
    async with opened(server, redact()) as (_, seen):
        await server.begins()
        await server.writes("It is 4111 1111 ")
        await seen.all()
        assert "4111" not in seen.words()
        await server.writes("items.")
        await seen.all()
    assert seen.written == "It is 4111 1111 items."


async def test_a_response_that_is_cut_short_lets_its_end_out() -> None:
    server = Server()
    async with opened(server, redact()) as (_, seen):
        await server.begins()
        await server.writes("Number 41")
        await server.emit("response.done", response={"id": "r1", "status": "incomplete", "output": []})
        await seen.all()
    assert seen.written == "Number 41"


async def test_what_was_heard_until_an_interruption_does_not_show_half_a_card() -> None:
    server = Server()
    async with opened(server, redact()) as (session, seen):
        await server.begins()
        await server.tells("My card is 4111 1111 1111 1111.")
        await server.speaks(20)
        await seen.all()
        await session.interrupt(heard_ms=1300)
        interrupted = await seen.until(Interrupted)
        await server.ends("My card is 4111 1111 1111 1111.", spoken=True)
        await seen.all()
    assert interrupted.heard_text is not None
    assert "4111" not in interrupted.heard_text
    views = [event.item for event in seen.of(ConversationUpdated)]
    views += [event.item for event in seen.of(ItemCompleted)]
    heard = [view.heard_text for view in views if view.heard_text]
    assert heard
    assert not any("4111" in text for text in heard)


async def test_what_the_user_types_is_redacted_before_it_leaves() -> None:
    server = Server()
    async with opened(server, redact()) as (session, _):
        await session.send_text(f"take {CARD}", reply=False)
        frame = await server.next("conversation.item.create")
    assert frame["item"]["content"][0]["text"] == "take [card]"


async def test_what_the_user_says_is_redacted_for_the_application() -> None:
    server = Server()
    async with opened(server, redact()) as (_, seen):
        await server.hears()
        await server.transcribes(f"it is {CARD} thanks", "it is 4111 11", "11 1111 1111", " thanks")
        await seen.all()
    assert "1111" not in seen.words()
    deltas = seen.of(ConversationItemInputAudioTranscriptionDelta)
    assert "".join(event.delta or "" for event in deltas) == "it is [card] thanks"
    assert seen.of(ConversationItemInputAudioTranscriptionCompleted)[0].transcript == "it is [card] thanks"
    assert seen.of(ConversationUpdated)[-1].item.transcript == "it is [card] thanks"


async def test_a_tool_gets_arguments_without_the_card_and_nobody_sees_it() -> None:
    given: list[str] = []

    @tool
    def pay(card: str) -> str:
        """Pay."""
        given.append(card)
        return "paid"

    server = Server()
    arguments = json.dumps({"card": CARD}).replace("4111", "\\u0034111")
    async with opened(server, redact(), tools=[pay]) as (_, seen):
        place = {"response_id": "r1", "item_id": "item_c1", "output_index": 0, "call_id": "c1"}
        await server.emit("response.created", response={"id": "r1", "status": "in_progress", "output": []})
        for piece in pieces(arguments, [5, 20]):
            await server.emit("response.function_call_arguments.delta", **place, delta=piece)
        await server.emit("response.function_call_arguments.done", **place, arguments=arguments, name="pay")
        item = {"id": "item_c1", "type": "function_call", "call_id": "c1", "name": "pay", "arguments": arguments}
        await server.emit("response.output_item.done", response_id="r1", item={**item, "status": "completed"})
        await server.emit("response.done", response={"id": "r1", "status": "completed", "output": [item]})
        await server.next("conversation.item.create")
        await seen.all()
    assert given == ["[card]"]
    assert "1111" not in seen.words()
    assert "".join(event.delta for event in seen.of(ResponseFunctionCallArgumentsDelta)) == '{"card": "[card]"}'
    assert seen.of(ResponseFunctionCallArgumentsDone)[0].arguments == '{"card": "[card]"}'
    assert seen.of(ToolStarted)[0].arguments == '{"card": "[card]"}'


@pytest.mark.parametrize(
    "hidden, expected",
    [
        ("%34111%201111%201111%201111", []),
        ("NDExMSAxMTExIDExMTEgMTExMQ==", []),
        ("&#52;111 1111 1111 1111", []),
        ('{"n": "4111111111111111"}', ['{"n": "[card]"}']),
    ],
)
async def test_a_card_in_another_encoding_does_not_reach_a_tool(hidden: str, expected: list[str]) -> None:
    given: list[str] = []

    @tool
    def pay(card: str) -> None:
        """Pay."""
        given.append(card)

    server = Server()
    async with opened(server, redact(), tools=[pay]) as (_, seen):
        await server.calls("r1", c1=("pay", json.dumps({"card": hidden})))
        await server.next("conversation.item.create")
        finished = await seen.until(ToolFinished)
    assert given == expected
    assert finished.status == ("ok" if expected else "refused")


async def test_the_result_of_a_tool_is_redacted_for_the_model_and_the_application() -> None:
    @tool
    def customer(context: ToolContext) -> dict[str, str]:
        """Tell about the customer."""
        return {"name": "Ada", "card": CARD}

    server = Server()
    async with opened(server, redact(), tools=[customer]) as (_, seen):
        await server.calls("r1", c1=("customer", "{}"))
        frame = await server.next("conversation.item.create")
        finished = await seen.until(ToolFinished)
    assert json.loads(frame["item"]["output"]) == {"name": "Ada", "card": "[card]"}
    assert "1111" not in f"{finished!r}"


async def test_instructions_are_looked_at_where_that_is_asked_for() -> None:
    server = Server()
    config = RedactConfig(pattern=r"hunter\d", at="instructions")
    async with opened(server, Redact(config)) as (session, _):
        await session.update(Settings(instructions="The password is hunter2."))
    assert server.updates[-1]["session"]["instructions"] == "The password is [removed]."


async def test_at_says_where_a_guard_looks() -> None:
    server = Server()
    async with opened(server, redact("input")) as (_, seen):
        await server.begins()
        await server.writes(TEXT)
        await server.ends(TEXT)
        await seen.all()
    assert seen.written == TEXT


async def test_a_warning_lets_it_through_and_tells_once() -> None:
    server = Server()
    async with opened(server, redact("output", action="warn")) as (_, seen):
        await server.begins()
        await server.writes(*pieces(TEXT, [12, 20]))
        await server.ends(TEXT)
        await seen.until(Notice)
        await seen.all()
    assert seen.written == TEXT
    [notice] = seen.of(Notice)
    assert "card" in notice.message
    assert CARD not in notice.message


@pytest.mark.parametrize(
    "kind, text, expected",
    [
        ("email", "Mail ada@example.com today.", "Mail [email] today."),
        ("phone", "Call +49 30 1234567 now.", "Call [phone] now."),
        ("phone", "Call (555) 123-4567 now.", "Call [phone] now."),
        ("iban", "Pay to DE89 3704 0044 0532 0130 00 today.", "Pay to [iban] today."),
        ("key", "Use sk-proj-abcdefghijklmnopqrstuvwx.", "Use [key]."),
        ("key", "Use AKIAIOSFODNN7EXAMPLE12 here", "Use [key] here"),
        ("ssn", "It is 123-45-6789.", "It is [ssn]."),
        ("iban", "Pay to DE89 3704 0044 0532 0130 01 today.", "Pay to DE89 3704 0044 0532 0130 01 today."),
    ],
)
async def test_each_kind_is_known_by_its_form(kind: str, text: str, expected: str) -> None:
    server = Server()
    async with opened(server, redact(kinds=(kind,))) as (_, seen):
        await server.begins()
        await server.writes(*text)
        await server.ends(text)
        await seen.all()
    assert seen.written == seen.updates == expected


def test_a_pattern_that_is_none_is_refused_with_its_text() -> None:
    with pytest.raises(ValueError, match="not a regular expression"):
        RedactConfig(pattern="(")


async def test_an_item_that_is_done_without_its_parts_lets_their_ends_out() -> None:
    server = Server()
    item = {"id": "i1", "type": "message", "role": "assistant", "status": "completed"}
    async with opened(server, redact()) as (_, seen):
        await server.begins()
        await server.writes("It is ", "41")
        part = {"type": "output_text", "text": "It is 41"}
        await server.emit("response.output_item.done", response_id="r1", item={**item, "content": [part]})
        await seen.all()
        assert seen.written == seen.updates == "It is 41"


async def test_the_odds_of_words_do_not_spell_what_was_masked() -> None:
    server = Server()
    name = "conversation.item.input_audio_transcription"
    odds = [{"token": CARD, "logprob": -0.1, "bytes": None}]
    async with opened(server, redact()) as (_, seen):
        await server.hears()
        await server.emit(f"{name}.delta", item_id="u1", content_index=0, delta=CARD, logprobs=odds)
        await server.emit(f"{name}.completed", item_id="u1", content_index=0, transcript=CARD, logprobs=odds)
        await seen.all()
    assert "1111" not in seen.words()


async def test_the_answer_that_a_program_asks_for_is_redacted() -> None:
    server = Server()
    server.will_say(TEXT)
    async with opened(server, redact()) as (session, _):
        turn = await session.ask("which card do you have?", timeout=5)
    assert turn.text == SEEN


def _encoded(count: int) -> str:
    return " ".join(base64.b64encode(b"nothing here %d" % each).decode() for each in range(count))


@pytest.mark.parametrize(
    "note",
    [
        f"{_encoded(6000)} {base64.b64encode(b'4111 1111 1111 1111').decode()}",
        f"{'x' * (1 << 20)} {base64.b64encode(b'4111 1111 1111 1111').decode()}",
        "4111%25252525201111%25252525201111%25252525201111",
    ],
    ids=["many", "long", "deep"],
)
async def test_arguments_that_cannot_be_looked_through_are_refused(note: str) -> None:
    ran = []

    @tool
    def pay(note: str) -> str:
        """Pay."""
        ran.append(note)
        return "paid"

    server = Server()
    async with opened(server, Redact(RedactConfig(kinds=("card",))), tools=[pay]) as (_, seen):
        await server.calls("r1", c1=("pay", json.dumps({"note": note})))
        finished = await seen.until(ToolFinished)
    assert finished.status == "refused"
    assert ran == []


async def test_long_arguments_in_plain_words_pass() -> None:
    text = "The documentation describes everything about international arrangements. " * 3000

    @tool
    def keep(text: str) -> str:
        """Keep a text."""
        return str(len(text))

    server = Server()
    async with opened(server, Redact(RedactConfig(kinds=("card",))), tools=[keep]) as (_, seen):
        await server.calls("r1", c1=("keep", json.dumps({"text": text})))
        finished = await seen.until(ToolFinished)
    assert finished.output == str(len(text))
