"""What a close code means: the one table from codes to ``ConnectionLostError``."""

from __future__ import annotations

from agentkit.errors import ConnectionLostError
from agentkit.transports.redact import clean

MAX_REASON_BYTES = 123
"""A control frame holds 125 bytes, two of them for the code."""

# Code: (what it means, whether another try may help, what to do).
_CODES: dict[int, tuple[str, bool, str | None]] = {
    1000: ("normal end", True, None),
    1001: ("going away", True, None),
    1002: (
        "protocol error",
        True,
        "This may be a bug of agentkit: please report it with the log of the session.",
    ),
    1003: (
        "unsupported data",
        True,
        "This may be a bug of agentkit: please report it with the log of the session.",
    ),
    1005: ("no code given", True, None),
    1006: ("no close frame", True, None),
    1007: (
        "invalid text",
        True,
        "This may be a bug of agentkit: please report it with the log of the session.",
    ),
    1008: (
        "policy violation",
        False,
        "Check the API key, its access to the model, and the origin allowed there.",
    ),
    1009: ("message too big", False, "Send smaller events, or ask for less in one item."),
    1010: ("missing extension", False, None),
    1011: ("internal error", True, None),
    1012: ("service restart", True, None),
    1013: ("try again later", True, None),
    1014: ("bad gateway", True, None),
    1015: ("TLS failure", True, None),
    3000: ("unauthorized", False, "Check the API key."),
    3003: ("forbidden", False, "Check the API key and its access to the model."),
    3008: ("timeout", True, None),
    4000: ("refused", False, "Check the model, the intent and the dialect of the provider's configuration."),
}


def lost(
    code: int | None, reason: str = "", *, by_us: bool = False, secrets: tuple[str, ...] = ()
) -> ConnectionLostError:
    """Build the error for a connection which ended with this code.

    Args:
        code: The close code, or None where no close frame came.
        reason: The reason that came with it.
        by_us: This side failed the connection, because of what the peer sent or did not send.
        secrets: Texts that must not appear in the message.
    """
    meaning, retryable, hint = _CODES.get(code or 1006, ("unknown code", False, None))
    if reason.endswith("beta_api_shape_disabled"):
        hint = "The server no longer speaks the beta dialect: set the provider's dialect to ga."
    if code is None:
        text = "the connection was lost without a close frame"
    elif by_us:
        text = f"the connection was given up with code {code} ({meaning})"
    else:
        text = f"the server closed the connection with code {code} ({meaning})"
    shown = clean(reason, secrets=secrets)
    if shown:
        text = f"{text}: {shown}"
    return ConnectionLostError(text, close_code=code, close_reason=reason, retryable=retryable, hint=hint)


def cut_reason(reason: str) -> str:
    """Shorten a close reason to what a close frame holds, never inside a character."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


def check_code(code: int) -> None:
    """Refuse a close code that may not be sent.

    Raises:
        ValueError: The code is reserved or out of range.
    """
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        msg = f"{code} is not a close code that may be sent: use 1000, 1001 or 3000 to 4999"
        raise ValueError(msg)
