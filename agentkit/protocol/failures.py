"""What went wrong at the server, as our errors: whether it may pass, and what the user can do."""

from agentkit.errors import ServerError
from agentkit.events import ErrorDetails, Response

RETRYABLE = ("server_error", "rate_limit_exceeded", "overloaded")
"""Codes and types of faults that may pass by themselves."""
HINTS = {
    "insufficient_quota": "the account has no credit left: check its plan and billing",
    "billing_hard_limit_reached": "the account's spending limit is reached: raise it, or wait for the next period",
    "invalid_api_key": "check the API key",
    "account_deactivated": "the account is deactivated: ask the provider",
    "session_expired": "the session reached the server's time limit: open a new one",
    "beta_api_shape_disabled": "this server speaks the GA dialect only",
}
"""Codes that no retry will help, with what to do."""
BUSY = "conversation_already_has_active_response"
BUSY_CODES = (BUSY, "response_already_active")


def error_of(details: ErrorDetails) -> ServerError:
    """Return an ``error`` event's content as an error."""
    return _error(
        details.message or details.code or "the server reported an error without saying which",
        code=details.code,
        type=details.type,
        param=details.param,
        event_id=details.event_id,
    )


def failure_of(response: Response) -> ServerError:
    """Return why a response failed; one that gives no reason may do better next time."""
    details = response.status_details.error if response.status_details is not None else None
    if details is None:
        return ServerError("the response failed; the server gives no reason", retryable=True)
    reason = details.message or f"the response failed: {details.code or details.type or 'the server gives no reason'}"
    return _error(reason, code=details.code or details.type, type=details.type)


def is_busy(details: ErrorDetails) -> bool:
    """Tell whether a create was refused because another response is active; older servers say so only in words."""
    return details.code in BUSY_CODES or (details.code is None and "active response" in details.message)


def _error(
    message: str, *, code: str | None, type: str | None, param: str | None = None, event_id: str | None = None
) -> ServerError:
    hint = next((HINTS[word] for word in (code, type) if word in HINTS), None)
    retryable = hint is None and (code in RETRYABLE or type in RETRYABLE)
    return ServerError(message, code=code, type=type, param=param, event_id=event_id, retryable=retryable, hint=hint)
