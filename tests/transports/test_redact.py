"""Text from outside: no secrets, no control characters, bounded."""

import pytest

from agentkit.transports.endpoint import Endpoint
from agentkit.transports.redact import clean, key_tail, safe_url, scrub, secrets_of, without_markup

KEY = "sk-proj-canary0123456789"


@pytest.mark.parametrize("name", ["api_key", "api-key", "key", "token", "access_token", "sig", "SECRET"])
def test_a_secret_in_a_query_is_masked(name: str) -> None:
    assert safe_url(f"wss://h/p?model=m&{name}=abc") == f"wss://h/p?model=m&{name}=***"


def test_an_encoded_name_does_not_hide_a_secret_from_the_mask() -> None:
    assert "abc" not in safe_url("wss://h/p?api%5Fkey=abc")


def test_a_user_and_password_are_left_out_of_an_address() -> None:
    assert safe_url("wss://user:pass@h:1/p#frag") == "wss://h:1/p"


def test_an_address_that_cannot_be_parsed_is_still_shown_without_secrets() -> None:
    assert safe_url(f"wss://[h/{KEY}") == "wss://[h/***"


def test_secrets_are_found_in_headers_and_query_also_without_their_scheme_and_encoded() -> None:
    found = secrets_of("wss://h/?api_key=a%2Fb%20cd", {"Authorization": "Bearer abcdef", "OpenAI-Project": "proj"})
    assert {"Bearer abcdef", "abcdef", "a/b cd", "a%2Fb%20cd"} <= set(found)
    assert "proj" not in found


def test_longer_secrets_are_masked_first() -> None:
    assert scrub("abcdef abcd", secrets_of("", {"a-token": "abcd", "b-token": "abcdef"})) == "*** ***"


def test_what_has_the_shape_of_a_key_is_masked() -> None:
    assert scrub("Incorrect API key provided: sk-proj-****abcd.", ()) == "Incorrect API key provided: ***"


def test_text_is_one_printable_line_and_bounded() -> None:
    assert clean("a\x1b[0m\n\tb\x00" + "c" * 300, limit=8) == "a [0m b ..."


def test_markup_scripts_and_comments_are_left_out() -> None:
    html = "<html><script>var x = '<b>';</script><!-- no --><h1>Sign in</h1></html>"
    assert clean(without_markup(html)) == "Sign in"


def test_only_a_long_key_shows_its_tail() -> None:
    assert (key_tail(KEY), key_tail("short-key")) == (" ending in 6789", "")


def test_the_repr_of_an_endpoint_shows_no_secret() -> None:
    endpoint = Endpoint(url=f"wss://h/?api_key={KEY}", headers={"Authorization": f"Bearer {KEY}"})
    assert KEY not in repr(endpoint)
    assert "wss://h/" in repr(endpoint)
