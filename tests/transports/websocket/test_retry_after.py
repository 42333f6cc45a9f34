"""How long a server asks to wait."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from websockets.datastructures import Headers

from agentkit.transports.websocket.retry_after import retry_after


@pytest.mark.parametrize(
    "value, seconds",
    [("3", 3.0), ("0.5", 0.5), (" 7 ", 7.0), ("-5", 0.0), ("99999999", 120.0), ("inf", 120.0), ("1e400", 120.0)],
)
def test_a_number_is_seconds_between_0_and_120(value: str, seconds: float) -> None:
    assert retry_after(Headers({"Retry-After": value})) == seconds


@pytest.mark.parametrize("value", ["", "soon", "nan", "2026-13-45"])
def test_what_cannot_be_read_is_as_if_missing(value: str) -> None:
    assert retry_after(Headers({"Retry-After": value})) is None


def test_a_missing_header_gives_nothing() -> None:
    assert retry_after(Headers()) is None


@pytest.mark.parametrize("ahead, seconds", [(30, 30.0), (-30, 0.0), (86400, 120.0)])
def test_a_date_is_taken_against_the_date_of_the_answer(ahead: int, seconds: float) -> None:
    now = datetime(2001, 2, 3, tzinfo=UTC)
    headers = Headers(
        {
            "Date": format_datetime(now, usegmt=True),
            "Retry-After": format_datetime(now + timedelta(seconds=ahead), usegmt=True),
        }
    )
    assert retry_after(headers) == seconds


def test_a_date_without_the_date_of_the_answer_is_taken_against_the_clock() -> None:
    assert retry_after(Headers({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})) == 0.0


def test_a_date_without_a_zone_is_read_as_utc() -> None:
    assert retry_after(Headers({"Retry-After": "Wed, 21 Oct 2015 07:28:00 -0000"})) == 0.0


def test_the_first_value_that_can_be_read_counts() -> None:
    assert retry_after(Headers([("Retry-After", "soon"), ("Retry-After", "4")])) == 4.0
