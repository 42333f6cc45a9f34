"""now: zones by IANA name, city and offset."""

from datetime import datetime, timedelta

import pytest
from agentkit_basics.clock import NOW, ClockConfig, find_zone

from agentkit import ToolError


def now(*zone: str, config: ClockConfig | None = None) -> dict[str, str]:
    answer = NOW.make(config)(*zone)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize(
    "asked, zone",
    [
        ("Tokyo", "Asia/Tokyo"),
        ("tokyo", "Asia/Tokyo"),
        (" Tokyo? ", "Asia/Tokyo"),
        ("Asia/Tokyo", "Asia/Tokyo"),
        ("asia/tokyo", "Asia/Tokyo"),
        ("New York", "America/New_York"),
        ("new_york", "America/New_York"),
        ("são paulo", "America/Sao_Paulo"),
        ("Sao Paulo", "America/Sao_Paulo"),
        ("Zürich", "Europe/Zurich"),
        ("Paris, France", "Europe/Paris"),
        ("Turin", "Europe/Rome"),
        ("San Francisco", "America/Los_Angeles"),
        ("Buenos Aires", "America/Buenos_Aires"),
        ("UTC", "UTC"),
        ("gmt", "GMT"),
    ],
)
def test_a_place_is_found_however_it_is_written(asked: str, zone: str) -> None:
    assert str(find_zone(asked)) == zone


@pytest.mark.parametrize("asked, hours", [("UTC+2", 2), ("gmt-5", -5), ("+05:30", 5.5), ("UTC +1", 1), ("-0330", -3.5)])
def test_an_offset_counts_as_people_write_it(asked: str, hours: float) -> None:
    zone = find_zone(asked)
    assert zone is not None
    assert zone.utcoffset(None) == timedelta(hours=hours)


@pytest.mark.parametrize("asked", ["", "  ", "here", "local", "Local time"])
def test_no_place_is_this_machines_own(asked: str) -> None:
    assert find_zone(asked) is None


def test_an_unknown_place_gets_the_nearest_zones() -> None:
    with pytest.raises(ToolError, match=r"no time zone or city is known as 'Tokio'; the nearest are Asia/Tokyo"):
        find_zone("Tokio")


def test_an_unknown_place_with_nothing_near_gets_advice() -> None:
    with pytest.raises(ToolError, match="name a larger city or an IANA zone"):
        find_zone("qqqqqqq")


def test_a_path_as_a_zone_reads_no_file() -> None:
    with pytest.raises(ToolError, match="no time zone"):
        find_zone("../../etc/passwd")


def test_the_time_somewhere_has_that_places_offset() -> None:
    answer = now("Tokyo")
    moment = datetime.fromisoformat(answer["time"])
    assert moment.utcoffset() == timedelta(hours=9)
    assert answer["zone"] == "Asia/Tokyo"
    assert answer["weekday"] == f"{moment:%A}"


def test_the_time_is_now() -> None:
    before = datetime.now().astimezone().replace(microsecond=0)
    moment = datetime.fromisoformat(now("Tokyo")["time"])
    assert before <= moment <= datetime.now().astimezone()


def test_the_answer_has_a_sentence_to_speak() -> None:
    answer = now("New York")
    moment = datetime.fromisoformat(answer["time"])
    assert answer["text"].startswith(f"It is {moment:%H:%M} on {moment:%A}, ")
    assert answer["text"].endswith(" in New York.")


def test_the_local_time_names_no_place() -> None:
    assert " in " not in now()["text"]


def test_the_configured_zone_is_meant_where_none_is_named() -> None:
    config = ClockConfig(zone="Asia/Tokyo")
    assert (now(config=config)["zone"], now("Paris", config=config)["zone"]) == ("Asia/Tokyo", "Europe/Paris")


def test_a_configured_zone_that_does_not_exist_fails_before_any_conversation() -> None:
    with pytest.raises(ValueError, match="Asia/Tokyo"):
        NOW.make(ClockConfig(zone="Asia/Tokio"))
