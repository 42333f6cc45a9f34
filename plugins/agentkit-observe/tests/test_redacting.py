"""What is secret by its form is not in recorded events, however a text was cut into pieces."""

from __future__ import annotations

import itertools
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from agentkit_observe.configs import RecorderConfig
from agentkit_observe.recorder import Recorder
from agentkit_observe.redacting import HIDDEN, STREAMS, Redactor
from hypothesis import given
from hypothesis import strategies as st

from agentkit import tool

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Open

CARD, MAIL, IBAN = "4111 1111 1111 1111", "ada@example.org", "DE89 3704 0044 0532 0130 00"
TEXT = f"My card is {CARD}, my mail {MAIL}, and the account {IBAN} is mine."
MASKED = "My card is [card], my mail [email], and the account [iban] is mine."


def masked(event: dict[str, Any], redactor: Redactor | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads((redactor or Redactor()).frame(json.dumps(event).encode()))
    return shown


def delta(piece: str, item_id: str = "i", kind: str = "response.output_text") -> dict[str, Any]:
    return {"type": f"{kind}.delta", "item_id": item_id, "output_index": 0, "content_index": 0, "delta": piece}


def test_every_text_of_an_event_is_masked_and_its_ids_are_not() -> None:
    item = {"id": "item_4111111111111111a", "type": "message", "content": [{"type": "input_text", "text": TEXT}]}
    event = {"type": "conversation.item.created", "event_id": "0a4111111111111111", "item": item}
    content = [{"type": "input_text", "text": MASKED}]
    assert masked(event) == {**event, "item": {**item, "content": content}}


@given(st.lists(st.integers(0, len(TEXT)), max_size=12))
def test_a_text_in_pieces_shows_no_more_than_the_whole_text(cuts: list[int]) -> None:
    redactor, shown = Redactor(), ""
    places = [0, *sorted(cuts), len(TEXT)]
    for begin, end in itertools.pairwise(places):
        shown += masked(delta(TEXT[begin:end]), redactor)["delta"]
    assert MASKED.startswith(shown)
    done = {"type": "response.output_text.done", "item_id": "i", "output_index": 0, "content_index": 0, "text": TEXT}
    assert masked(done, redactor)["text"] == MASKED


def test_texts_that_come_at_once_are_told_apart() -> None:
    redactor = Redactor()
    assert masked(delta("4111 1111 ", "a"), redactor)["delta"] == ""
    assert masked(delta("1111 1111 is no card.", "b"), redactor)["delta"].startswith("1111 1111 is no")
    assert masked(delta("1111 1111 is one.", "a"), redactor)["delta"].startswith("[card] is")


def test_of_too_many_texts_the_oldest_shows_nothing_more() -> None:
    redactor = Redactor()
    masked(delta("4111 1111 ", "a"), redactor)
    for number in range(STREAMS):
        masked(delta("hello", f"i{number}"), redactor)
    assert "4111" not in masked(delta("and so on.", "a"), redactor)["delta"]


@pytest.mark.parametrize(
    "said, shown",
    [
        ({"card": CARD, "left": 3, "ok": True}, {"card": "[card]", "left": 3, "ok": True}),
        ({"card": 4111111111111111}, {"card": "[card]"}),
        ({"to": [{MAIL: None}]}, {"to": [{"[email]": None}]}),
    ],
)
def test_json_of_tools_stays_json(said: object, shown: object) -> None:
    event = {"type": "x", "arguments": json.dumps(said), "item": {"output": json.dumps(said)}}
    found = masked(event)
    assert json.loads(found["arguments"]) == json.loads(found["item"]["output"]) == shown


def test_output_that_is_no_json_is_a_text() -> None:
    assert masked({"type": "x", "output": TEXT})["output"] == MASKED


def test_the_tokens_of_a_text_are_not_written() -> None:
    tokens = [{"token": each, "logprob": -0.1} for each in CARD.split()]
    assert masked({"type": "x.completed", "transcript": TEXT, "logprobs": tokens})["logprobs"] is None


@pytest.mark.parametrize("frame", [b"\xff", b"4111 1111 1111 1111", b"{", b"[" * 5000])
def test_what_cannot_be_read_is_not_shown(frame: bytes) -> None:
    assert json.loads(Redactor().frame(frame)) == HIDDEN


def test_without_the_package_that_knows_the_forms_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agentkit_guard.kinds", None)
    with pytest.raises(ValueError, match="pip install agentkit-realtime-guard, or write redact: false"):
        Recorder(RecorderConfig(redact=True))


@pytest.mark.anyio
async def test_a_recording_has_nothing_secret_in_it(opened: Open, tmp_path: Path) -> None:
    @tool
    async def charge(card: str) -> str:
        """Charge."""
        return f"charged {card}, and told {MAIL}"

    recorder = Recorder(RecorderConfig(path=str(tmp_path / "r"), redact=True))
    async with opened(recorder, tools=(charge,)) as it:
        await it.session.send_text(TEXT, reply=False)
        await it.server.types("u", TEXT)
        await it.server.begins()
        await it.server.speaks(TEXT[:20], TEXT[20:50], TEXT[50:])
        await it.server.ends(TEXT)
        await it.server.calls("r2", c=("charge", json.dumps({"card": CARD})))
        await it.server.next("conversation.item.create")
        await it.server.next("conversation.item.create")
        await it.server.emit_raw(f'{{"type": "x", {CARD}'.encode())
        await it.handled()
    written = (tmp_path / "r.jsonl").read_text()
    assert not [secret for secret in ("1111 1111", MAIL, "0044 0532") if secret in written]
    assert written.count(MASKED) >= 4
    events = [json.loads(line) for line in written.splitlines()]
    assert [line["raw"] for line in events if "raw" in line] == [HIDDEN]
    spoken = "".join(
        line["event"]["delta"] for line in events if "transcript.delta" in line.get("event", {}).get("type", "")
    )
    assert MASKED.startswith(spoken)
    assert spoken
