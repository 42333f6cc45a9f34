"""Events of a response."""

import pytest

from agentkit.events import ResponseAudioDelta, ResponseDone, ResponseOutputAudioDelta, UnknownItem, decode_server


def test_audio_is_decoded_once() -> None:
    event = ResponseOutputAudioDelta(item_id="i", delta="AAEC")
    assert event.audio == b"\x00\x01\x02"
    assert event.audio is event.audio


@pytest.mark.parametrize("delta", ["A", "AA=A", "\N{SNOWMAN}", "AAA*"])
def test_invalid_base64_is_none(delta: str) -> None:
    assert ResponseAudioDelta(item_id="i", delta=delta).audio is None


def test_an_item_that_does_not_fit_does_not_hide_the_end_of_a_response() -> None:
    event = decode_server(
        b'{"type":"response.done","response":{"id":"r","status":"completed","output":[{"type":"message"},5,{"type":"x"}]}}'
    )
    assert isinstance(event, ResponseDone)
    assert event.response.status == "completed"
    assert event.response.output == (UnknownItem({"type": "message"}), UnknownItem({"type": "x"}))


@pytest.mark.parametrize("output", [b"null", b"5", b'"x"', b"[]"])
def test_an_odd_output_is_no_output(output: bytes) -> None:
    event = decode_server(b'{"type":"response.done","response":{"id":"r","output":' + output + b"}}")
    assert isinstance(event, ResponseDone)
    assert (event.response.id, event.response.output) == ("r", ())


def test_fields_that_some_servers_leave_out_have_defaults() -> None:
    event = decode_server(b'{"type":"response.audio.delta","item_id":"i","delta":""}')
    assert event == ResponseAudioDelta(item_id="i", delta="", response_id=None, output_index=0, content_index=0)
