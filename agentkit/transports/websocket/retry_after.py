"""How long a server asks to wait (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

LONGEST = 120.0
"""Seconds; whatever asks for more is cut to this."""


class HeaderValues(Protocol):
    """Headers with several values a name."""

    def get_all(self, key: str, /) -> list[str]: ...


def retry_after(headers: HeaderValues) -> float | None:
    """Read ``Retry-After`` as seconds between 0 and 120.

    A date is taken against the server's own ``Date``, so a wrong clock here does no harm.

    Returns:
        None where the header is missing or cannot be read.
    """
    for value in headers.get_all("Retry-After"):
        try:
            seconds = float(value)
        except ValueError:
            date = _date(value)
            if date is None:
                continue
            now = next(filter(None, map(_date, headers.get_all("Date"))), None) or datetime.now(UTC)
            seconds = (date - now).total_seconds()
        if not math.isnan(seconds):
            return min(max(seconds, 0.0), LONGEST)
    return None


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
