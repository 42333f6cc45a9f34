"""The address that is dialled."""

import pytest

from agentkit.providers.addresses import check_url, query_value, websocket_url


@pytest.mark.parametrize(
    "url, address",
    [
        ("wss://h/p", "wss://h/p"),
        ("ws://h:8000/p", "ws://h:8000/p"),
        ("https://h/p", "wss://h/p"),
        ("http://h/p", "ws://h/p"),
        ("HTTPS://h/p", "wss://h/p"),
        ("  wss://h/p\n", "wss://h/p"),
        ("wss://h", "wss://h/"),
        ("wss://[::1]:1/p", "wss://[::1]:1/p"),
        ("wss://h/ü", "wss://h/%C3%BC"),
        ("wss://h/a%20b", "wss://h/a%20b"),
    ],
)
def test_an_address_is_kept_but_for_its_scheme(url: str, address: str) -> None:
    assert websocket_url(url) == address


def test_a_query_keeps_its_keys_and_gets_no_second_question_mark() -> None:
    assert (
        websocket_url("ws://h/p?deployment=d&api-version=v", {"model": "m"})
        == "ws://h/p?deployment=d&api-version=v&model=m"
    )


def test_a_key_that_the_url_has_keeps_the_urls_value() -> None:
    assert websocket_url("ws://h/p?model=mine", {"model": "other"}) == "ws://h/p?model=mine"


def test_an_empty_value_in_the_url_counts_as_given() -> None:
    assert websocket_url("ws://h/p?model=", {"model": "other"}) == "ws://h/p?model="


def test_what_is_added_is_encoded() -> None:
    assert websocket_url("ws://h/", {"model": "a b&c=d?/é"}) == "ws://h/?model=a%20b%26c%3Dd%3F%2F%C3%A9"


def test_what_is_encoded_already_stays_as_it_is() -> None:
    assert websocket_url("ws://h/?a=1%262&b=ü") == "ws://h/?a=1%262&b=%C3%BC"


def test_nothing_is_added_for_a_value_of_none() -> None:
    assert websocket_url("ws://h/", {"model": None}) == "ws://h/"


@pytest.mark.parametrize(
    "url, problem",
    [
        ("localhost:8000/v1", "must begin with"),
        ("h/p", "must begin with"),
        ("ftp://h/p", "must begin with"),
        ("wss:h/p", "must begin with"),
        ("", "must begin with"),
        ("wss:///p", "has no host"),
        ("wss://h:99999/", "is not valid"),
        ("wss://h:port/", "is not valid"),
        ("wss://[h/", "is not valid"),
        ("wss://h/a b", "holds a space"),
        ("wss://h/a\nb", "holds a space"),
        ("wss://user:hunter22@h/", "must not hold a user name"),
        ("wss://h/#part", "after #"),
    ],
)
def test_an_address_that_cannot_be_dialled_says_why(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        check_url(url)
    assert "hunter22" not in str(caught.value)


def test_a_secret_in_an_address_that_cannot_be_dialled_is_not_shown() -> None:
    with pytest.raises(ValueError, match=r"api_key=\*\*\*"):
        check_url("ftp://h/?api_key=canary")


def test_one_value_of_a_query_can_be_read() -> None:
    assert query_value("ws://h/?model=a%20b&x=1", "model") == "a b"
    assert query_value("ws://h/", "model") is None
