"""Secrets do not appear in what is written for people."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.masking import MASK, MAX_LEARNT, Masker, WireMasker, cover

SECRET = {"unlock": frozenset({"pin"})}


def wire(secret: dict[str, frozenset[str]] | None = None, masker: Masker | None = None) -> WireMasker:
    known = SECRET if secret is None else secret
    return WireMasker(lambda: known, masker if masker is not None else Masker(environ={}))


def masked(masker: WireMasker, **event: Any) -> dict[str, Any]:
    frame = json.loads(masker.frame(json.dumps(event).encode()))
    assert isinstance(frame, dict)
    return frame


def call(arguments: str, name: str = "unlock", **fields: Any) -> dict[str, Any]:
    return {"id": "f1", "type": "function_call", "call_id": "c1", "name": name, "arguments": arguments, **fields}


def output(text: str, call_id: str = "c1") -> dict[str, Any]:
    return {"id": "o1", "type": "function_call_output", "call_id": call_id, "output": text}


@pytest.mark.parametrize(
    "text",
    [
        "sk-abcdefghijklmnop123",
        "ek_0123456789abcdef",
        "Bearer abcdefgh12345678",
        "ghp_abcdefghijklmnopqrst1234",
        "AKIAABCDEFGHIJKLMNOP",
    ],
)
def test_well_known_keys_are_masked(text: str) -> None:
    assert Masker(environ={}).text(f"it is {text}, keep it") == "it is ***, keep it"


def test_values_of_variables_that_hold_secrets_are_masked() -> None:
    masker = Masker(environ={"SERVICE_TOKEN": 'a"b\\c-longer', "HOME": "/home/ada", "PIN_KEY": "1234"})
    assert masker.text('x a"b\\c-longer /home/ada 1234') == "x *** /home/ada 1234"
    assert json.loads(masker.bytes(json.dumps({"a": 'a"b\\c-longer'}).encode())) == {"a": "***"}


def test_given_secrets_are_masked_the_longest_first() -> None:
    assert Masker(["secret-part", "secret-part-two"], environ={}).text("secret-part-two secret-part") == "*** ***"


def test_fields_that_hold_a_secret_are_masked_and_the_text_stays_json() -> None:
    data = b'{"authorization": "Basic \\"x\\"", "api_key":"abc", "name": "n", "Password" : "p"}'
    assert json.loads(Masker(environ={}).bytes(data)) == {
        "authorization": "***",
        "api_key": "***",
        "name": "n",
        "Password": "***",
    }


def test_ordinary_text_is_left_alone() -> None:
    text = "the basket-weaver asks: is sk-8 a size? risk-averse monkeys"
    assert Masker(environ={"USER": "ada"}).text(text) == text


def test_a_number_that_holds_a_secret_stays_a_number() -> None:
    masker = Masker(["12345678"], environ={})
    assert json.loads(masker.bytes(b'{"expires_at":1712345678,"pin":"12345678"}')) == {
        "expires_at": 1712345678,
        "pin": "***",
    }


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_secret_is_found_however_json_writes_it(ascii_only: bool) -> None:
    secret = 'pässwört\n"123"'
    data = json.dumps({"said": f"it is {secret}."}, ensure_ascii=ascii_only).encode()
    assert json.loads(Masker([secret], environ={}).bytes(data)) == {"said": "it is ***."}


def test_a_secret_after_an_escape_is_found_and_the_text_stays_json() -> None:
    masker = Masker(["nabcdefgh"], environ={})
    assert json.loads(masker.bytes(b'{"a":"\\nabcdefgh","b":"\\nnabcdefgh"}')) == {"a": "\nabcdefgh", "b": "\n***"}
    assert json.loads(masker.bytes(b'{"a":"line\\nsk-abcdefghijklmnop123"}')) == {"a": "line\n***"}


def test_a_secret_is_found_in_escapes_that_nobody_needs() -> None:
    assert Masker(["swordfish"], environ={}).bytes(b'{"a":"sword\\u0066ish"}') == b'{"a":"***"}'


def test_what_is_no_json_is_masked_all_the_same() -> None:
    assert Masker(["swordfish"], environ={}).bytes(b'x "\\q swordfish" \xff') == b'x "\\q ***" \xff'


def test_a_secret_can_be_learnt_later_unless_it_is_too_short() -> None:
    masker = Masker(environ={})
    masker.add("4711")
    masker.add("no")
    assert masker.text("4711 is no 47") == "*** is no 47"


def test_the_oldest_of_too_many_learnt_secrets_is_forgotten_and_those_that_were_given_are_not() -> None:
    masker = Masker(["swordfish"], environ={})
    for number in range(MAX_LEARNT + 1):
        masker.add(f"learnt-{number:05}")
    assert masker.text("swordfish learnt-00000 learnt-00001") == "*** learnt-00000 ***"


@given(st.text(min_size=8, max_size=20), st.text(max_size=10), st.booleans(), st.booleans())
def test_a_secret_within_json_within_json_is_found(secret: str, around: str, inner: bool, outer: bool) -> None:
    text = json.dumps({"output": json.dumps({"a": around + secret + around}, ensure_ascii=inner)}, ensure_ascii=outer)
    found = json.loads(Masker([secret], environ={}).bytes(text.encode("utf-8", "surrogatepass")))
    assert MASK in found["output"]
    if secret not in '{"a": "*"}' + around * 2:
        assert secret not in found["output"]


# What a session says


def test_the_secret_argument_of_a_call_is_masked_and_the_others_are_not() -> None:
    [item] = masked(wire(), type="response.done", response={"output": [call('{"door":"front","pin":"secret"}')]})[
        "response"
    ]["output"]
    assert json.loads(item["arguments"]) == {"door": "front", "pin": "***"}


def test_a_call_of_a_tool_without_secrets_is_left_as_it_is() -> None:
    frame = json.dumps({"type": "response.output_item.done", "item": call('{"pin": "1"}', "other")}).encode()
    assert wire().frame(frame) == frame
    assert wire({}).frame(frame) == frame


def test_deltas_are_masked_where_the_call_is_one_of_a_tool_with_secrets_or_of_nobody_knows_which() -> None:
    masker = wire()
    masked(masker, type="response.output_item.added", item=call("", status="in_progress"))
    masked(masker, type="response.output_item.added", item=call("", "other", id="f2", call_id="c2"))
    kind = "response.function_call_arguments.delta"
    deltas = [masked(masker, type=kind, item_id=each, delta='{"pi')["delta"] for each in ("f1", "f2", "f3")]
    assert deltas == ["***", '{"pi', "***"]


def test_the_end_of_the_arguments_is_masked_by_the_name_that_it_has_or_that_was_told_before() -> None:
    kind, arguments = "response.function_call_arguments.done", '{"pin":"secret"}'
    masker = wire()
    assert masked(masker, type=kind, item_id="f0", arguments=arguments, name="unlock")["arguments"] == '{"pin":"***"}'
    assert masked(masker, type=kind, item_id="f1", arguments=arguments)["arguments"] == "***"
    masked(masker, type="response.output_item.added", item=call(""))
    assert masked(masker, type=kind, item_id="f1", call_id="c1", arguments=arguments)["arguments"] == '{"pin":"***"}'


@pytest.mark.parametrize("arguments", ['{"pin":"sec', '["secret"]', '{"pin":"secret","pin":"x"}', "[" * 100_000])
def test_arguments_that_cannot_be_told_apart_are_masked_whole_and_so_is_what_came_of_them(arguments: str) -> None:
    masker = wire()
    item = masked(masker, type="conversation.item.done", item=call(arguments))["item"]
    assert item["arguments"] == "***"
    item = masked(masker, type="conversation.item.create", item=output("not valid: 'sec"))["item"]
    assert item["output"] == "***"


def test_what_says_that_arguments_are_invalid_may_quote_a_part_and_is_masked_whole() -> None:
    masker = wire()
    masked(masker, type="conversation.item.done", item=call('{"pin":"' + "secret" * 20 + '"}'))
    assert masker.output("c1", "invalid arguments: pin: expected int, got str 'secretsec…") == "***"
    assert masker.output("c2", "invalid arguments: door: missing") == "invalid arguments: door: missing"


@pytest.mark.parametrize(
    "value, repeated",
    [
        ('"hunter2-secret"', "it was hunter2-secret"),
        ("471123", "code 471123 opens"),
        ('["first-one", {"a": "second-one"}]', "first-one second-one"),
        ('"quo\\"te-secret"', json.dumps({"pin": 'quo"te-secret'})),
    ],
)
def test_an_output_that_repeats_a_secret_argument_is_masked(value: str, repeated: str) -> None:
    masker = wire()
    masked(masker, type="conversation.item.done", item=call(f'{{"pin":{value}}}'))
    said = masked(masker, type="conversation.item.create", item=output(repeated))["item"]["output"]
    for part in ("hunter2", "471123", "first-one", "second-one", "te-secret"):
        assert part not in said
    assert "***" in said


def test_a_truth_value_is_not_looked_for_elsewhere() -> None:
    masker = wire()
    assert masker.arguments("unlock", '{"pin":true}', call_id="c1") == '{"pin":"***"}'
    assert masker.text("true, True") == "true, True"


def test_a_tool_that_was_taken_away_keeps_its_secrets() -> None:
    tools = dict(SECRET)
    masker = WireMasker(lambda: tools, Masker(environ={}))
    masked(masker, type="response.output_item.added", item=call(""))
    tools.clear()
    assert masker.arguments("unlock", '{"pin":"secret"}', call_id="c1") == '{"pin":"***"}'


def test_a_tool_that_is_replaced_keeps_the_secrets_that_it_had() -> None:
    tools = dict(SECRET)
    masker = WireMasker(lambda: tools, Masker(environ={}))
    masked(masker, type="response.output_item.added", item=call(""))
    tools["unlock"] = frozenset({"code"})
    assert (
        masker.arguments("unlock", '{"pin":1,"code":2,"door":3}', call_id="c1") == '{"pin":"***","code":"***","door":3}'
    )


def test_a_type_that_is_written_with_escapes_is_read() -> None:
    frame = json.dumps({"type": "made.up", "item": call('{"pin":"secret"}')}).replace(
        "function_call", "function\\u005fcall"
    )
    assert b"secret" not in wire().frame(frame.encode())


def test_a_frame_that_is_no_json_is_masked_whole_where_it_may_hold_a_call() -> None:
    assert wire().frame(b'{"type":"function_call","arguments":"{\\"pin\\": 12') == b"***"
    assert wire().frame(b'{"type":"made.up", sk-abc \\u0041') == b'{"type":"made.up", sk-abc \\u0041'


def test_what_the_masker_knows_is_masked_as_well() -> None:
    masker = wire(masker=Masker(["swordfish"], environ={}))
    assert masked(masker, type="made.up", text="swordfish")["text"] == "***"
    assert masker.text("swordfish") == "***"


@pytest.mark.parametrize(
    "text, shown",
    [
        ("at https://me:hunter2@host/x", "at https://**********@host/x"),
        ("sk-proj-abcdefABCDEF0123", "************************"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "******************************"),
        ("https://${USER}:${PASSWORD}@host", "https://${USER}:${PASSWORD}@host"),
        ("the sk_learn_compatible_name", "the sk_learn_compatible_name"),
        ("a bearer certificate", "a bearer certificate"),
        ("http://host:80/a@b", "http://host:80/a@b"),
    ],
)
def test_what_looks_like_a_key_is_covered_and_words_are_not(text: str, shown: str) -> None:
    assert cover(text) == shown
