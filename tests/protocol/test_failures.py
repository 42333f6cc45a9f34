"""What went wrong at the server, as our errors."""

import pytest

from agentkit.events import ErrorDetails, Response, StatusDetails
from agentkit.events.settings import StatusError
from agentkit.protocol.failures import error_of, failure_of, is_busy


def failed(**fields: str) -> Response:
    return Response(status="failed", status_details=StatusDetails(error=StatusError(**fields)))


@pytest.mark.parametrize(
    "code, type_, retryable",
    [
        ("server_error", None, True),
        (None, "server_error", True),
        ("rate_limit_exceeded", "requests", True),
        ("insufficient_quota", "server_error", False),
        ("invalid_value", "invalid_request_error", False),
    ],
)
def test_f50_what_may_pass_by_itself_is_retryable(code: str | None, type_: str | None, retryable: bool) -> None:
    assert error_of(ErrorDetails(message="m", code=code, type=type_)).retryable is retryable


def test_f50_what_no_retry_helps_says_what_to_do() -> None:
    assert "billing" in str(error_of(ErrorDetails(code="insufficient_quota")).hint)


def test_an_error_without_words_is_named_by_its_code() -> None:
    assert str(error_of(ErrorDetails(code="odd"))) == "odd"
    assert "without saying which" in str(error_of(ErrorDetails()))


def test_a_failed_response_says_why() -> None:
    assert str(failure_of(failed(message="broken", code="x"))) == "broken"
    assert str(failure_of(failed(type="server_error"))) == "the response failed: server_error"
    assert "gives no reason" in str(failure_of(failed()))


def test_a_failure_without_a_reason_may_pass() -> None:
    assert failure_of(Response(status="failed")).retryable
    assert failure_of(Response(status="failed", status_details=StatusDetails())).retryable


def test_older_servers_say_that_they_are_busy_in_words() -> None:
    assert is_busy(ErrorDetails(code="response_already_active"))
    assert is_busy(ErrorDetails(message="Conversation already has an active response"))
    assert not is_busy(ErrorDetails(code="other", message="active response"))


def test_a_failure_without_a_code_is_known_by_its_type() -> None:
    assert failure_of(failed(type="server_error")).code == "server_error"
    assert failure_of(failed(type="server_error", code="odd")).code == "odd"
