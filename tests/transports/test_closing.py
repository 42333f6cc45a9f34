"""Close codes and what they mean to who reconnects."""

import pytest

from agentkit.transports.closing import check_code, cut_reason, lost


@pytest.mark.parametrize("code", [None, 1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015])
def test_codes_after_which_another_try_may_help(code: int | None) -> None:
    error = lost(code)
    assert error.retryable
    assert error.close_code == code


@pytest.mark.parametrize("code", [1002, 1003, 1007])
def test_codes_that_speak_of_a_bug_here_ask_for_a_report(code: int) -> None:
    error = lost(code)
    assert error.retryable
    assert error.hint is not None
    assert "report" in error.hint


@pytest.mark.parametrize("code", [1008, 1009, 1010, 3000, 3003, 4000, 4001, 4999, 2999])
def test_codes_after_which_another_try_cannot_help(code: int) -> None:
    assert not lost(code).retryable


def test_a_policy_violation_names_the_likely_causes() -> None:
    hint = lost(1008).hint
    assert hint is not None
    assert all(cause in hint for cause in ("key", "model", "origin"))


def test_the_end_of_the_beta_dialect_is_explained() -> None:
    hint = lost(4000, "invalid_request_error.beta_api_shape_disabled").hint
    assert hint is not None
    assert "ga" in hint


def test_the_message_names_code_meaning_and_reason() -> None:
    assert str(lost(1012, "restarting")) == (
        "the server closed the connection with code 1012 (service restart): restarting"
    )


def test_the_message_says_when_we_gave_up() -> None:
    assert str(lost(1011, "keepalive ping timeout", by_us=True)) == (
        "the connection was given up with code 1011 (internal error): keepalive ping timeout"
    )


def test_the_message_of_a_silent_end_names_no_code() -> None:
    error = lost(None)
    assert str(error) == "the connection was lost without a close frame"
    assert error.close_code is None


def test_a_reason_is_shown_without_control_characters_and_secrets() -> None:
    assert str(lost(1008, "no\x1b[31m\nkey abcd1234", secrets=("abcd1234",))).endswith(": no [31m key ***")


def test_a_reason_is_kept_as_it_came() -> None:
    assert lost(1008, "a\nb").close_reason == "a\nb"


def test_a_short_reason_is_not_cut() -> None:
    assert cut_reason("bye") == "bye"


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 2000, 5000])
def test_reserved_codes_may_not_be_sent(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        check_code(code)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_other_codes_may_be_sent(code: int) -> None:
    check_code(code)
