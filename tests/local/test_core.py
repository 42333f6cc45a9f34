"""The server core: given events, then what it says; session, errors, conversation."""

from typing import Any

import pytest

from agentkit.events import Dialect

Bench = Any
CALL = {"type": "function_call", "call_id": "c1", "name": "now", "arguments": "{}"}


# the session


def test_the_first_event_tells_the_whole_effective_session(make_bench: Any) -> None:
    session = make_bench().begun[0].session
    assert session.id == "sess_1"
    assert session.model == "rules"
    assert session.output_modalities == ("text",)
    assert session.audio.input.turn_detection.type == "server_vad"
    assert session.audio.input.format.rate == 24000
    assert session.tools == ()


def test_every_event_has_an_id_of_its_own(bench: Bench) -> None:
    effects = bench.user("hi")
    ids = [effect.event_id for effect in effects]
    assert len(set(ids)) == len(ids) == 2


def test_an_update_changes_only_what_it_says(bench: Bench) -> None:
    bench.update(instructions="Be brief.")
    [updated] = bench.update(audio={"output": {"speed": 1.2}})
    assert updated.session.instructions == "Be brief."
    assert updated.session.audio.output.speed == 1.2
    assert updated.session.audio.output.voice == "marin"
    assert updated.session.audio.input.turn_detection is None


def test_null_and_empty_values_clear(bench: Bench) -> None:
    bench.update(instructions="x", tools=[{"type": "function", "name": "now"}], max_output_tokens=5)
    [updated] = bench.update(instructions="", tools=[], max_output_tokens=None)
    assert (updated.session.instructions, updated.session.tools) == ("", ())
    assert updated.session.max_output_tokens == "inf"


def test_turn_detection_that_is_given_starts_from_its_defaults(bench: Bench) -> None:
    [updated] = bench.update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}})
    turns = updated.session.audio.input.turn_detection
    assert (turns.threshold, turns.prefix_padding_ms, turns.silence_duration_ms) == (0.7, 300, 500)
    assert turns.create_response
    assert turns.interrupt_response


def test_asking_for_audio_where_nobody_speaks_is_confirmed_as_text(bench: Bench) -> None:
    [updated] = bench.update(output_modalities=["audio"])
    assert updated.session.output_modalities == ("text",)


def test_a_transcription_that_nobody_makes_is_confirmed_as_off(bench: Bench) -> None:
    [updated] = bench.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    assert updated.session.audio.input.transcription is None


@pytest.mark.parametrize(
    "settings,code,param",
    [
        ({"voice": "alloy"}, "unknown_parameter", "session.voice"),
        ({"audio": {"input": {"foo": 1}}}, "unknown_parameter", "session.audio.input.foo"),
        ({"temperature": 0.8}, "unknown_parameter", "session.temperature"),
        ({"model": "other"}, "invalid_value", "session.model"),
        ({"output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
        ({"max_output_tokens": 5000}, "invalid_value", "session.max_output_tokens"),
        ({"max_output_tokens": []}, "invalid_value", "session.max_output_tokens"),
        ({"instructions": 5}, "invalid_value", "session.instructions"),
        ({"tool_choice": "sometimes"}, "invalid_value", "session.tool_choice"),
        ({"tool_choice": {"type": "function", "name": "none"}}, "invalid_value", "session.tool_choice"),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "invalid_value", "session.tools[0].name"),
        ({"tools": [{"type": "function", "name": "a", "foo": 1}]}, "unknown_parameter", "session.tools[0].foo"),
        ({"tools": [{"type": "function", "name": "a"}] * 2}, "invalid_value", "session.tools[1].name"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "invalid_value", "session.tools[0].type"),
        ({"tools": [{"type": "other", "name": "x"}]}, "invalid_value", "session.tools[0].type"),
        ({"audio": {"output": {"speed": 9}}}, "invalid_value", "session.audio.output.speed"),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "none"}}}},
            "invalid_value",
            "session.audio.input.turn_detection.type",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 7}}}},
            "invalid_value",
            "session.audio.input.turn_detection.threshold",
        ),
    ],
)
def test_a_bad_setting_is_refused_by_code_and_field(bench: Bench, settings: Any, code: str, param: str) -> None:
    assert bench.refused(bench.update(**settings)) == (code, param)


def test_a_refused_update_changes_nothing(bench: Bench) -> None:
    bench.update(instructions="new", max_output_tokens=0)
    [updated] = bench.update()
    assert updated.session.instructions == ""


def test_an_update_without_a_type_is_refused_in_the_ga_dialect(bench: Bench) -> None:
    refused = bench.refused(bench.send("session.update", session={"voice": "alloy"}))
    assert refused == ("missing_required_parameter", "session.type")


def test_the_type_of_a_session_cannot_be_switched(bench: Bench) -> None:
    refused = bench.refused(bench.send("session.update", session={"type": "transcription"}))
    assert refused == ("invalid_value", "session.type")


def test_the_beta_dialect_has_flat_fields(make_bench: Any) -> None:
    bench = make_bench(dialect=Dialect.BETA)
    flat = {"voice": "alloy", "temperature": 0.9, "modalities": ["text"], "turn_detection": None}
    [updated] = bench.send("session.update", session=flat)
    assert updated.session.audio.output.voice == "alloy"
    assert updated.session.audio.input.turn_detection is None
    assert bench.refused(bench.send("session.update", session={"output_modalities": ["text"]})) == (
        "unknown_parameter",
        "session.output_modalities",
    )
    assert bench.refused(bench.send("session.update", session={"temperature": "hot"})) == (
        "invalid_value",
        "session.temperature",
    )


def test_a_response_s_own_voice_is_only_its_own(make_bench: Any) -> None:
    bench = make_bench(speaks=True)
    own = {"output": {"voice": "alloy", "format": {"type": "audio/pcmu"}}}
    request = bench.started(conversation="none", audio=own, output_modalities=["audio"]).request
    assert (request.voice, request.output_format.type, request.output_modalities) == ("alloy", "audio/pcmu", ("audio",))
    assert bench.started().request.voice == "marin"


@pytest.mark.parametrize(
    "turns,field",
    [
        ({"type": "server_vad", "silence_duration_ms": -1}, "silence_duration_ms"),
        ({"type": "semantic_vad", "eagerness": "very"}, "eagerness"),
    ],
)
def test_a_bad_turn_detection_is_refused(bench: Bench, turns: Any, field: str) -> None:
    refused = bench.refused(bench.update(audio={"input": {"turn_detection": turns}}))
    assert refused == ("invalid_value", f"session.audio.input.turn_detection.{field}")


@pytest.mark.parametrize("way", ["input", "output"])
def test_an_unknown_audio_format_is_refused(bench: Bench, way: str) -> None:
    refused = bench.refused(bench.update(audio={way: {"format": {"type": "audio/mp3"}}}))
    assert refused == ("invalid_value", f"session.audio.{way}.format.type")


def test_a_beta_temperature_out_of_its_range_is_refused(make_bench: Any) -> None:
    bench = make_bench(dialect=Dialect.BETA)
    assert bench.refused(bench.send("session.update", session={"temperature": 2})) == (
        "invalid_value",
        "session.temperature",
    )
    assert bench.refused(bench.send("response.create", response={"temperature": 2}))[0] == "invalid_value"


def test_a_tool_s_parameters_are_a_schema(bench: Bench) -> None:
    tool = {"type": "function", "name": "a", "parameters": []}
    assert bench.refused(bench.update(tools=[tool])) == ("invalid_value", "session.tools[0].parameters")


def test_settings_that_are_no_object_are_refused(bench: Bench) -> None:
    assert bench.refused(bench.send("session.update", session=5)) == ("invalid_value", "session")
    assert bench.refused(bench.send("response.create", response=5)) == ("invalid_value", "response")


def test_a_chosen_tool_may_be_named(bench: Bench) -> None:
    choice = {"type": "function", "name": "now"}
    [updated] = bench.update(tools=[{"type": "function", "name": "now"}], tool_choice=choice)
    assert updated.session.tool_choice.name == "now"
    assert bench.refused(bench.update(tool_choice={**choice, "foo": 1})) == (
        "unknown_parameter",
        "session.tool_choice.foo",
    )


# errors


def test_an_unknown_event_type_is_refused_with_its_event_id(bench: Bench) -> None:
    [error] = bench.send("made.up", event_id="e1")
    assert (error.error.code, error.error.param, error.error.event_id) == ("invalid_value", "type", "e1")
    assert "session.update" in error.error.message


@pytest.mark.parametrize("frame", [b"", b"[]", b"{", b'{"a": 1}', b'{"type": 5}', b"\xff", b"[" * 5000])
def test_what_is_no_event_is_refused(bench: Bench, frame: bytes) -> None:
    assert bench.refused(bench.core.receive_frame(frame))[0] == "invalid_value"


def test_a_missing_field_is_named(bench: Bench) -> None:
    refused = bench.refused(bench.send("conversation.item.delete"))
    assert refused == ("missing_required_parameter", "item_id")


def test_an_unknown_field_of_an_event_is_named(bench: Bench) -> None:
    assert bench.refused(bench.send("response.cancel", foo=1)) == ("unknown_parameter", "foo")


def test_a_wrong_type_is_named(bench: Bench) -> None:
    assert bench.refused(bench.send("conversation.item.delete", item_id=5)) == ("invalid_value", "item_id")


def test_the_error_of_a_refused_event_repeats_its_id(bench: Bench) -> None:
    [error] = bench.send("conversation.item.delete", item_id="no", event_id="mine")
    assert error.error.event_id == "mine"


def test_clearing_output_audio_is_for_webrtc(bench: Bench) -> None:
    assert bench.refused(bench.send("output_audio_buffer.clear")) == ("invalid_value", "type")


# the conversation


def test_a_client_s_item_is_added_and_done(bench: Bench) -> None:
    bench.user("one", id="a")
    effects = bench.user("two", id="b")
    assert bench.names(effects) == ["conversation.item.added", "conversation.item.done"]
    assert [effect.previous_item_id for effect in effects] == ["a", "a"]
    assert effects[1].item.status == "completed"


def test_an_item_goes_where_the_client_says(bench: Bench) -> None:
    bench.user("two", id="b")
    item = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "x"}]}
    first = bench.send("conversation.item.create", item={**item, "id": "a"}, previous_item_id="root")
    bench.send("conversation.item.create", item={**item, "id": "ab"}, previous_item_id="a")
    assert first[0].previous_item_id is None
    assert [item.id for item in bench.started().request.items] == ["a", "ab", "b"]


@pytest.mark.parametrize(
    "item,code,param",
    [
        ({"type": "made_up"}, "invalid_value", "item.type"),
        ({"type": "message", "role": "boss", "content": []}, "invalid_value", "item.role"),
        ({"type": "message", "role": "user", "content": []}, "missing_required_parameter", "item.content"),
        ({"type": "message", "content": []}, "missing_required_parameter", "item.role"),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": "x"}]},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "?"}]},
            "invalid_value",
            "item.content[0].audio",
        ),
        ({"type": "message", "role": "user", "foo": 1}, "unknown_parameter", "item.foo"),
        ({"type": "function_call_output", "call_id": "c9", "output": ""}, "invalid_tool_call_id", None),
        ({"type": "item_reference", "id": "a"}, "invalid_value", "item.type"),
    ],
)
def test_an_item_that_does_not_fit_is_refused(bench: Bench, item: Any, code: str, param: str | None) -> None:
    assert bench.refused(bench.send("conversation.item.create", item=item)) == (code, param)


def test_an_item_id_is_taken_once(bench: Bench) -> None:
    bench.user("one", id="a")
    assert bench.refused(bench.user("two", id="a")) == ("invalid_value", "item.id")


def test_an_unknown_previous_item_is_refused(bench: Bench) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    refused = bench.refused(bench.send("conversation.item.create", item=item, previous_item_id="no"))
    assert refused == ("item_create_invalid_previous_item_id", "previous_item_id")


def test_an_output_belongs_to_a_call_that_is_in_the_conversation(bench: Bench) -> None:
    output = {"type": "function_call_output", "call_id": "c1", "output": "5"}
    bench.send("conversation.item.create", item={**CALL, "id": "call"})
    assert len(bench.send("conversation.item.create", item=output)) == 2
    bench.send("conversation.item.delete", item_id="call")
    assert bench.refused(bench.send("conversation.item.create", item=output)) == ("invalid_tool_call_id", None)


def test_an_item_can_be_retrieved_and_deleted(bench: Bench) -> None:
    bench.user("one", id="a")
    [found] = bench.send("conversation.item.retrieve", item_id="a")
    assert found.item.text == "one"
    bench.send("conversation.item.create", item={**CALL, "id": "call"})
    assert bench.send("conversation.item.retrieve", item_id="call")[0].item.name == "now"
    assert bench.names(bench.send("conversation.item.delete", item_id="a")) == ["conversation.item.deleted"]
    assert bench.refused(bench.send("conversation.item.retrieve", item_id="a"))[0] == "item_retrieve_invalid_item_id"
    assert bench.refused(bench.send("conversation.item.delete", item_id="a"))[0] == "item_delete_invalid_item_id"


def test_an_assistant_s_text_can_be_put_in_under_either_name(bench: Bench) -> None:
    for kind in ("text", "output_text"):
        item = {"type": "message", "role": "assistant", "content": [{"type": kind, "text": "x"}]}
        effects = bench.send("conversation.item.create", item=item)
        assert effects[0].item.content[0].wire_type == "output_text"


def test_a_call_without_an_id_gets_one(bench: Bench) -> None:
    item = {"type": "function_call", "name": "now", "arguments": "{}"}
    assert bench.send("conversation.item.create", item=item)[0].item.call_id == "call_1"


def test_the_items_of_a_conversation_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentkit.local.core.MAX_ITEMS", 1)
    bench.user("one")
    assert bench.refused(bench.user("two")) == ("invalid_value", "item")


def test_an_unknown_part_of_a_response_s_input_is_refused(bench: Bench) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x", "foo": 1}]}
    assert bench.refused(bench.create(input=[item])) == ("unknown_parameter", "response.input[0].content[0].foo")
