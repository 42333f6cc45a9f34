"""Secrets do not appear in what is written for people."""

import json

import pytest

from agentkit.masking import Masker


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
