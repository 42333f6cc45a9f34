"""Wherever a secret stands in an event, it is not in what is recorded of it."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from agentkit_observe.redacting import Redactor
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CARD, MAIL = "4111 1111 1111 1111", "ada@example.org"
DIGITS = "4111111111111111"
AUDIO, IMAGE = "UklGRiQAAABXQVZF", "data:image/png;base64,iVBORw0KGgo="

MESSAGE = {
    "id": "item_1",
    "object": "realtime.item",
    "type": "message",
    "status": "completed",
    "role": "user",
    "content": [
        {"type": "input_text", "text": "hello"},
        {"type": "input_audio", "audio": AUDIO, "transcript": "hello"},
        {"type": "input_image", "image_url": IMAGE, "detail": "auto"},
    ],
}
CALL = {"id": "item_2", "type": "function_call", "call_id": "call_2", "name": "charge", "arguments": '{"a": 1}'}
OUTPUT = {"id": "item_3", "type": "function_call_output", "call_id": "call_2", "output": '{"a": [1]}'}
EVENTS: list[dict[str, Any]] = [
    {"type": "conversation.item.added", "event_id": "event_1", "previous_item_id": "item_0", "item": MESSAGE},
    {"type": "conversation.item.done", "event_id": "event_1", "item": CALL},
    {"type": "conversation.item.create", "event_id": "event_1", "item": OUTPUT},
    {"type": "error", "error": {"type": "x", "code": "y", "message": "z", "param": "p", "event_id": "event_1"}},
    {"type": "input_audio_buffer.dtmf_event_received", "event": "1", "received_at": 1_767_225_600_000},
    {"type": "response.function_call_arguments.done", "item_id": "item_2", "call_id": "call_2", "arguments": "{}"},
    {
        "type": "response.create",
        "response": {
            "instructions": "be kind",
            "metadata": {"customer_id": "c1", "id": "1", "model": "m", "note": "n"},
            "input": [MESSAGE, {"type": "item_reference", "id": "item_1"}],
        },
    },
    {
        "type": "response.done",
        "response": {
            "id": "resp_1",
            "status": "completed",
            "output": [MESSAGE, CALL],
            "conversation_id": "conv_1",
            "metadata": {"user_id": "u1"},
            "usage": {"total_tokens": 12},
        },
    },
    {
        "type": "session.update",
        "session": {
            "model": "gpt-realtime",
            "prompt": {"id": "pmpt_1", "version": "1", "variables": {"user_id": "u", "role": "r"}},
            "audio": {"output": {"voice": {"id": "voice_1"}, "format": {"type": "audio/pcm", "rate": 24000}}},
            "tools": [{"type": "function", "name": "f", "parameters": {"properties": {"id": {"pattern": "a+"}}}}],
            "tracing": {"group_id": "g", "metadata": {"id": "i"}},
        },
    },
    {"type": "some.later.event", "data": {"user_id": "u", "item": {"id": "i", "url": "https://example.org"}}},
]


def masked(event: dict[str, Any]) -> str:
    """Return an event as it is recorded, with nothing written by escapes."""
    return json.dumps(json.loads(Redactor().frame(json.dumps(event).encode())), ensure_ascii=False)


def places(value: object) -> Iterator[tuple[Any, Any]]:
    """Find every place of a value: what holds it, and under which key."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield value, key
        yield from places(below)


SECRETS: list[object] = [
    CARD, MAIL, DIGITS, "4111-1111-1111-1111", "4111.1111.1111.1111", f"call {MAIL} now", f"customer-{DIGITS}",
    int(DIGITS), float(DIGITS), -int(DIGITS), 4111111111111111.5, [MAIL], {"id": MAIL}, {"user_id": {"audio": CARD}},
    {MAIL: 1}, {CARD: {DIGITS: None}}, f"https://example.org/?mail={MAIL}", "https://example.org/?mail=ada%40example.org",
    f"https://example.org/{DIGITS}/a.png", f"data:text/plain,{MAIL}", f"data:image/png;base64,{DIGITS}",
    f"data:image/png;base64,iVBORw0KGgo=#{MAIL}",
    json.dumps({"card": CARD}), json.dumps({"card": float(DIGITS)}), json.dumps({MAIL: [int(DIGITS)]}),
    json.dumps(json.dumps({"to": MAIL})), '{"to": "ada\\u0040example.org"}', '["\\u0034111 1111 1111 1111"]',
    json.dumps({"body": '{"to": "ada\\u0040example.org"}'}), '"ada\\u0040example.org"', DIGITS + ".0",
]  # fmt: skip


NAMES = ["id", "item", "user_id", "audio", "content", "output", "image_url", "metadata", "x", MAIL, CARD]


def shows(text: str) -> bool:
    return any(
        secret in text for secret in (MAIL, "ada@", "ada%40", "ada\\u0040", "1111 1111", "1111-1111", "11111111")
    )


@given(st.sampled_from(EVENTS), st.sampled_from(SECRETS), st.data())
def test_a_secret_at_any_place_is_gone(event: dict[str, Any], secret: object, data: st.DataObject) -> None:
    event = copy.deepcopy(event)
    found = [place for place in places(event) if place[1] != "logprobs"]
    holder, key = found[data.draw(st.integers(0, len(found) - 1))]
    if isinstance(holder, dict) and isinstance(secret, str) and data.draw(st.booleans()):
        holder[secret] = holder.pop(key)
    else:
        holder[key] = secret
    assert not shows(masked(event))


@given(
    st.recursive(
        st.sampled_from(SECRETS), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner)
    )
)
def test_a_secret_is_gone_however_deep_it_is(inner: object) -> None:
    for event in ({"type": "x", "item": inner}, {"type": "x", "response": {"output": inner}}, {"metadata": inner}):
        assert not shows(masked(event))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event["type"])
def test_an_event_without_secrets_says_what_it_said(event: dict[str, Any]) -> None:
    def readable(value: object) -> object:
        if isinstance(value, dict):
            return {
                key: json.loads(inner) if key in ("arguments", "output") and isinstance(inner, str) else readable(inner)
                for key, inner in value.items()
            }
        return [readable(inner) for inner in value] if isinstance(value, list) else value

    assert readable(json.loads(masked(event))) == readable(event)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: {"metadata": {"id": text}},
        lambda text: {"prompt": {"variables": {"id": text}}},
        lambda text: {"output": json.dumps({"id": text})},
        lambda text: {"arguments": json.dumps({"audio": text})},
    ],
)
def test_what_an_application_calls_an_id_is_a_text(wrap: Callable[[str], dict[str, Any]]) -> None:
    assert "sk-" not in masked({"type": "x", "response": wrap("sk-abcdefghijklmnopqrstuvwx")})


def test_names_that_are_secret_both_stay_two() -> None:
    found = json.loads(masked({"type": "x", "metadata": {CARD: "a", DIGITS: "b", MAIL: "c"}}))
    assert found["metadata"] == {"[card]": "a", "[card] 2": "b", "[email]": "c"}


def test_of_a_number_with_a_fraction_the_whole_part_says_whether_it_is_a_card() -> None:
    said = {"at": 48.856614000000001, "card": 4111111111111111.5, "far": -0.30000000000000004}
    found = json.loads(json.loads(masked({"type": "x", "output": json.dumps(said)}))["output"])
    assert found == {**said, "card": "[card]"}


@given(st.lists(st.integers(0, 60), max_size=8), st.sampled_from(["response.function_call_arguments", "response.text"]))
def test_json_in_pieces_shows_nothing_more_from_its_first_escape_on(cuts: list[int], kind: str) -> None:
    text = ' {"a": "b", "to": "ada\\u0040example.org", "card": "\\u0034111 1111 1111 1111"}'
    redactor, shown = Redactor(), ""
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(text)], strict=True):
        event = {"type": f"{kind}.delta", "item_id": "i", "delta": text[begin:end]}
        shown += json.loads(redactor.frame(json.dumps(event).encode()))["delta"]
    assert ' {"a": "b", "to": "ada'.startswith(shown)


def test_a_piece_whose_item_has_no_proper_id_is_masked_too() -> None:
    event = {"type": "x.delta", "item_id": ["a"], "delta": f"{MAIL} is mine"}
    assert not shows(masked(event))
