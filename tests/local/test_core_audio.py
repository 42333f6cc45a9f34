"""The server core: audio in and out, turns of the user, truncation."""

import base64
from typing import Any

import numpy as np
import pytest

from agentkit.events import AudioFormat
from agentkit.local import AudioDelta, CancelResponse, TextDelta, Transcribe
from agentkit.local.responder import NO_TRANSCRIBER
from agentkit.local.samples import to_samples

Bench = Any
SILENCE_100 = bytes(4800)
TONE_100 = (np.sin(np.arange(2400) / 5) * 12000).astype("<i2").tobytes()


def _append(bench: Bench, audio: bytes, times: int = 1) -> list[Any]:
    effects: list[Any] = []
    for _ in range(times):
        effects += bench.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())
    return effects


@pytest.fixture
def voice(make_bench: Any) -> Bench:
    """A core with ears and a voice, under the server's voice detection."""
    return make_bench(speaks=True, hears=True)


# push to talk


def test_a_commit_makes_a_user_item(bench: Bench) -> None:
    assert _append(bench, TONE_100, 2) == []
    effects = bench.send("input_audio_buffer.commit")
    assert bench.names(effects)[:3] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert effects[0].item_id == effects[1].item.id
    [found] = bench.send("conversation.item.retrieve", item_id=effects[0].item_id)
    assert base64.b64decode(found.item.content[0].audio) == TONE_100 * 2


def test_less_than_100_ms_cannot_be_committed(bench: Bench) -> None:
    _append(bench, TONE_100[:-2])
    [error] = bench.send("input_audio_buffer.commit")
    assert error.error.code == "input_audio_buffer_commit_empty"
    assert "99.00ms" in error.error.message
    _append(bench, bytes(2))
    assert bench.names(bench.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"


def test_clearing_drops_the_audio(bench: Bench) -> None:
    _append(bench, TONE_100, 3)
    assert bench.names(bench.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert bench.refused(bench.send("input_audio_buffer.commit"))[0] == "input_audio_buffer_commit_empty"


def test_audio_without_a_transcriber_names_the_plugin_once(bench: Bench) -> None:
    _append(bench, TONE_100, 2)
    error = bench.only(bench.send("input_audio_buffer.commit"), "error").error
    assert (error.code, error.message) == ("transcriber_missing", NO_TRANSCRIBER)
    assert "agentkit-realtime-local-voice" in error.message
    _append(bench, TONE_100, 2)
    assert "error" not in bench.names(bench.send("input_audio_buffer.commit"))


def test_a_response_to_audio_that_nobody_understood_fails_and_the_next_works(bench: Bench) -> None:
    _append(bench, TONE_100, 2)
    bench.send("input_audio_buffer.commit")
    effects = bench.create()
    assert bench.names(effects) == ["response.created", "response.done", "rate_limits.updated"]
    assert effects[1].response.status_details.error.code == "transcriber_missing"
    bench.user("hello")
    assert bench.started()


def test_audio_in_an_item_is_kept_apart_from_its_events(bench: Bench) -> None:
    audio = base64.b64encode(TONE_100).decode()
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}], "id": "a"}
    effects = bench.send("conversation.item.create", item=item)
    assert effects[0].item.content[0].audio is None
    [found] = bench.send("conversation.item.retrieve", item_id="a")
    assert found.item.content[0].audio == audio


def test_a_committed_turn_is_transcribed_before_it_is_answered(make_bench: Any) -> None:
    bench = make_bench(hears=True)
    bench.update(audio={"input": {"turn_detection": None}})
    _append(bench, TONE_100, 2)
    effects = bench.send("input_audio_buffer.commit")
    [wanted] = [effect for effect in effects if isinstance(effect, Transcribe)]
    assert wanted.audio == TONE_100 * 2
    assert bench.names(bench.create()) == ["response.created"]
    told = bench.core.transcribed(wanted.item_id, 0, "what time is it?")
    assert bench.names(told) == [
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "StartResponse",
    ]
    assert told[-1].request.last_user_text == "what time is it?"


def test_a_failed_transcription_fails_the_response_that_waits(make_bench: Any) -> None:
    bench = make_bench(hears=True)
    bench.update(audio={"input": {"turn_detection": None}})
    _append(bench, TONE_100, 2)
    item_id = bench.send("input_audio_buffer.commit")[0].item_id
    bench.create()
    told = bench.core.transcription_failed(item_id, 0, "too noisy", code="noise")
    assert bench.names(told)[:2] == ["conversation.item.input_audio_transcription.failed", "response.done"]
    assert told[0].error.code == "noise"
    assert told[1].response.status == "failed"


def test_a_response_that_waits_for_a_transcript_can_be_cancelled(make_bench: Any) -> None:
    bench = make_bench(hears=True)
    bench.update(audio={"input": {"turn_detection": None}})
    _append(bench, TONE_100, 2)
    item_id = bench.send("input_audio_buffer.commit")[0].item_id
    bench.create()
    assert bench.names(bench.send("response.cancel")) == ["response.done", "rate_limits.updated"]
    assert "StartResponse" not in bench.names(bench.core.transcribed(item_id, 0, "hi"))


def test_one_append_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentkit.local.listening.MAX_APPEND_BYTES", 4000)
    assert bench.refused(_append(bench, SILENCE_100)) == ("invalid_value", "audio")


def test_the_buffer_is_bounded_under_push_to_talk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentkit.local.listening.MAX_BUFFER_BYTES", 10_000)
    _append(bench, SILENCE_100, 2)
    assert bench.refused(_append(bench, SILENCE_100)) == ("invalid_value", "audio")
    assert bench.names(bench.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"


def test_endless_speech_keeps_its_last_part(voice: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentkit.local.listening.MAX_BUFFER_BYTES", 48 * 1000)
    effects = _append(voice, TONE_100, 50) + _append(voice, SILENCE_100, 5)
    [wanted] = [effect for effect in effects if isinstance(effect, Transcribe)]
    assert len(wanted.audio) <= 48 * (1000 + 100)
    assert effects[1].audio_end_ms == 5500


def test_another_format_empties_the_buffer_and_keeps_the_clock(bench: Bench) -> None:
    _append(bench, SILENCE_100, 5)
    bench.update(audio={"input": {"format": {"type": "audio/pcma"}}})
    assert bench.refused(bench.send("input_audio_buffer.commit"))[0] == "input_audio_buffer_commit_empty"
    _append(bench, bytes(800))
    assert bench.names(bench.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"


# the server's voice detection


def test_a_spoken_turn_has_the_protocol_s_order(voice: Bench) -> None:
    effects = _append(voice, SILENCE_100, 10) + _append(voice, TONE_100, 5) + _append(voice, SILENCE_100, 6)
    assert voice.names(effects) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "Transcribe",
        "response.created",
    ]
    started, stopped, committed = effects[:3]
    assert started.audio_start_ms == 700
    assert stopped.audio_end_ms == 2000
    assert started.item_id == stopped.item_id == committed.item_id
    assert len(effects[5].audio) == 1300 * 48


def test_the_clock_is_the_audio_s_also_for_g711(voice: Bench) -> None:
    voice.update(audio={"input": {"format": {"type": "audio/pcmu"}}})
    loud, quiet = b"\x80\x00" * 400, b"\xff" * 800
    effects = _append(voice, quiet, 5) + _append(voice, loud, 5) + _append(voice, quiet, 6)
    assert effects[0].audio_start_ms == 200
    assert effects[1].audio_end_ms == 1500


def test_silence_and_clicks_are_no_turn_and_are_not_kept(voice: Bench) -> None:
    click = TONE_100[: 48 * 40] + bytes(48 * 60)
    assert _append(voice, SILENCE_100, 300) == []
    assert _append(voice, click, 5) == []
    [wanted] = [each for each in voice.send("input_audio_buffer.commit") if isinstance(each, Transcribe)]
    assert len(wanted.audio) == 1300 * 48


def test_without_create_response_the_client_asks(voice: Bench) -> None:
    voice.update(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    effects = _append(voice, TONE_100, 5) + _append(voice, SILENCE_100, 6)
    assert "response.created" not in voice.names(effects)


def test_a_shorter_silence_ends_a_turn_sooner(voice: Bench) -> None:
    voice.update(audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 200}}})
    effects = _append(voice, TONE_100, 3) + _append(voice, SILENCE_100, 2)
    assert effects[1].audio_end_ms == 500


def test_a_quiet_voice_needs_a_lower_threshold(voice: Bench) -> None:
    quiet = (np.sin(np.arange(2400) / 5) * 200).astype("<i2").tobytes()
    assert _append(voice, quiet, 5) == []
    voice.update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.1}}})
    assert voice.names(_append(voice, quiet, 5)) == ["input_audio_buffer.speech_started"]


def test_semantic_detection_waits_by_its_eagerness(voice: Bench) -> None:
    voice.update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}})
    effects = _append(voice, TONE_100, 3) + _append(voice, SILENCE_100, 4)
    assert effects[1].audio_end_ms == 700


def test_speech_interrupts_the_conversation_s_response(voice: Bench) -> None:
    voice.user("hi")
    start = voice.started()
    voice.core.output(start.response_id, TextDelta(text="Hel"))
    effects = _append(voice, TONE_100, 2)
    assert effects[0].wire_type == "input_audio_buffer.speech_started"
    assert isinstance(effects[1], CancelResponse)
    done = voice.only(effects, "response.done").response
    assert (done.status, done.status_details.reason) == ("cancelled", "turn_detected")


def test_speech_leaves_responses_beside_the_conversation_alone(voice: Bench) -> None:
    voice.started(conversation="none")
    assert voice.names(_append(voice, TONE_100, 2)) == ["input_audio_buffer.speech_started"]


def test_a_turn_that_may_not_interrupt_is_answered_afterwards(voice: Bench) -> None:
    voice.update(audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}})
    voice.user("hi")
    start = voice.started()
    effects = _append(voice, TONE_100, 5) + _append(voice, SILENCE_100, 6)
    assert "response.created" not in voice.names(effects)
    [wanted] = [effect for effect in effects if isinstance(effect, Transcribe)]
    voice.core.transcribed(wanted.item_id, 0, "and you?")
    effects = voice.core.finish(start.response_id)
    assert voice.names(effects)[-2:] == ["response.created", "StartResponse"]


def test_an_automatic_response_that_nobody_can_make_fails_and_the_session_goes_on(make_bench: Any) -> None:
    deaf = make_bench()
    effects = _append(deaf, TONE_100, 5) + _append(deaf, SILENCE_100, 6)
    assert deaf.names(effects)[5:] == ["error", "response.created", "response.done", "rate_limits.updated"]
    deaf.user("hello")
    assert deaf.started()


# audio out


def _speak(bench: Bench, *, ms: int = 400) -> tuple[str, str, list[Any]]:
    bench.user("hi")
    start = bench.started()
    audio = AudioDelta(audio=bytes(48 * ms), transcript="one two three four")
    effects = bench.core.output(start.response_id, audio)
    item_id = bench.only(effects, "response.output_item.added").item.id
    return start.response_id, item_id, effects


def test_an_audio_response_has_the_protocol_s_order(voice: Bench) -> None:
    response_id, _, effects = _speak(voice)
    effects += voice.core.finish(response_id)
    assert voice.names(effects) == [
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert len(effects[4].audio) == 200 * 48
    assert effects[2].part.wire_type == "audio"
    item = voice.only(effects, "response.done").response.output[0]
    assert (item.content[0].wire_type, item.content[0].transcript) == ("output_audio", "one two three four")
    assert item.content[0].audio is None


def test_text_before_audio_is_a_message_of_its_own(voice: Bench) -> None:
    start = voice.started()
    voice.core.output(start.response_id, TextDelta(text="text"))
    voice.core.output(start.response_id, AudioDelta(audio=bytes(480)))
    voice.core.output(start.response_id, TextDelta(text="said"))
    done = voice.only(voice.core.finish(start.response_id), "response.done").response
    assert [item.text for item in done.output] == ["text", "said"]


def test_the_voice_stays_once_audio_was_heard(voice: Bench) -> None:
    assert voice.update(audio={"output": {"voice": "alloy"}})[0].session.audio.output.voice == "alloy"
    _speak(voice)
    refused = voice.refused(voice.update(audio={"output": {"voice": "marin"}}, instructions="x"))
    assert refused == ("cannot_update_voice", "session.audio.output.voice")
    [updated] = voice.update(audio={"output": {"voice": "alloy"}})
    assert updated.session.instructions == ""


def test_truncating_cuts_audio_and_transcript(voice: Bench) -> None:
    response_id, item_id, _ = _speak(voice)
    voice.core.finish(response_id)
    cut = {"item_id": item_id, "content_index": 0, "audio_end_ms": 200}
    [told] = voice.send("conversation.item.truncate", **cut)
    assert (told.wire_type, told.audio_end_ms) == ("conversation.item.truncated", 200)
    [found] = voice.send("conversation.item.retrieve", item_id=item_id)
    assert len(base64.b64decode(found.item.content[0].audio)) == 200 * 48
    assert found.item.content[0].transcript == "one two"


def test_a_message_can_be_truncated_while_it_is_spoken(voice: Bench) -> None:
    response_id, item_id, _ = _speak(voice)
    cut = {"item_id": item_id, "content_index": 0, "audio_end_ms": 200}
    assert voice.names(voice.send("conversation.item.truncate", **cut)) == ["conversation.item.truncated"]
    voice.send("response.cancel", response_id=response_id)
    [found] = voice.send("conversation.item.retrieve", item_id=item_id)
    assert len(base64.b64decode(found.item.content[0].audio)) == 200 * 48


@pytest.mark.parametrize("finished", [True, False])
def test_truncating_beyond_the_end_is_refused(voice: Bench, *, finished: bool) -> None:
    response_id, item_id, _ = _speak(voice)
    if finished:
        voice.core.finish(response_id)
    [error] = voice.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=900)
    assert (error.error.code, error.error.param) == ("invalid_value", "audio_end_ms")
    assert error.error.message == "Audio content of 400ms is already shorter than 900ms"


def test_a_truncated_transcript_ends_with_a_whole_word(voice: Bench) -> None:
    response_id, item_id, _ = _speak(voice)
    voice.core.finish(response_id)
    voice.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=250)
    [found] = voice.send("conversation.item.retrieve", item_id=item_id)
    assert found.item.content[0].transcript == "one two"


def test_a_message_deleted_while_it_is_spoken_leaves_nothing(voice: Bench) -> None:
    response_id, item_id, _ = _speak(voice)
    voice.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
    voice.send("conversation.item.delete", item_id=item_id)
    voice.core.finish(response_id)
    refused = voice.refused(voice.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0))
    assert refused[0] == "item_truncate_invalid_item_id"


def test_a_truncation_is_not_before_the_beginning(voice: Bench) -> None:
    response_id, item_id, _ = _speak(voice)
    voice.core.finish(response_id)
    refused = voice.refused(voice.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=-1))
    assert refused == ("invalid_value", "audio_end_ms")


def test_deleting_an_item_drops_its_audio(voice: Bench) -> None:
    response_id, item_id, _ = _speak(voice)
    voice.core.finish(response_id)
    voice.send("conversation.item.delete", item_id=item_id)
    refused = voice.refused(voice.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0))
    assert refused[0] == "item_truncate_invalid_item_id"


def test_only_the_agent_s_audio_can_be_truncated(voice: Bench) -> None:
    voice.user("hi", id="a")
    refused = voice.refused(voice.send("conversation.item.truncate", item_id="a", content_index=0, audio_end_ms=0))
    assert refused[0] == "unsupported_content_type"
    refused = voice.refused(voice.send("conversation.item.truncate", item_id="b", content_index=0, audio_end_ms=0))
    assert refused[0] == "item_truncate_invalid_item_id"


def test_old_audio_is_forgotten_but_its_length_is_not(voice: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentkit.local.history.MAX_AUDIO_BYTES", 48 * 500)
    first_response, first, _ = _speak(voice)
    voice.core.finish(first_response)
    second_response, _, _ = _speak(voice)
    voice.core.finish(second_response)
    [found] = voice.send("conversation.item.retrieve", item_id=first)
    assert found.item.content[0].audio is None
    cut = {"item_id": first, "content_index": 0, "audio_end_ms": 200}
    assert voice.names(voice.send("conversation.item.truncate", **cut)) == ["conversation.item.truncated"]


def test_g711_is_decoded_by_its_own_tables() -> None:
    ulaw = to_samples(bytes([0x00, 0x80, 0xFF, 0x7F]), AudioFormat(type="audio/pcmu"))
    assert ulaw.tolist() == [-32124, 32124, 0, 0]
    alaw = to_samples(bytes([0xD5, 0x55, 0xAA, 0x2A]), AudioFormat(type="audio/pcma"))
    assert alaw.tolist() == [8, -8, 32256, -32256]
