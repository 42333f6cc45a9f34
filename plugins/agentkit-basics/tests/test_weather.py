"""weather: against a service on loopback that speaks as open-meteo does."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Literal, NoReturn
from urllib.parse import parse_qs, urlsplit

import pytest
from agentkit_basics.weather import WEATHER, WeatherConfig

from agentkit import ToolError

if TYPE_CHECKING:
    from conftest import Web

PLACES = {"results": [{"name": "Turin", "country": "Italy", "latitude": 45.07, "longitude": 7.69}]}
FORECAST = {
    "current": {
        "temperature_2m": 12.4,
        "apparent_temperature": 11.0,
        "relative_humidity_2m": 60,
        "weather_code": 61,
        "wind_speed_10m": 5.2,
    },
    "daily": {
        "time": ["2025-05-01", "2025-05-02"],
        "weather_code": [61, 0],
        "temperature_2m_max": [14.0, 20.5],
        "temperature_2m_min": [8.0, 9.0],
        "precipitation_probability_max": [80, None],
    },
}


def ask(
    web: Web,
    city: str = "Turin",
    days: int = 1,
    *,
    places: object = PLACES,
    forecast: object = FORECAST,
    units: Literal["metric", "imperial"] = "metric",
) -> dict[str, object]:
    web.serve("/search", json.dumps(places), content_type="application/json")
    web.serve("/forecast", json.dumps(forecast), content_type="application/json")
    config = WeatherConfig(geocoding_url=web.url("/search"), forecast_url=web.url("/forecast"), units=units)
    answer = WEATHER.make(config)(city, days)
    assert isinstance(answer, dict)
    return answer


def test_the_weather_now_is_a_sentence_and_its_parts(web: Web) -> None:
    answer = ask(web)
    assert answer["text"] == "In Turin, Italy it is 12 °C with light rain, wind 5 km/h."
    assert (answer["place"], answer["sky"], answer["temperature"]) == ("Turin, Italy", "light rain", 12.4)


def test_the_forecast_has_a_row_a_day(web: Web) -> None:
    assert ask(web, days=2)["days"] == [
        {"date": "2025-05-01", "sky": "light rain", "high": 14.0, "low": 8.0, "rain_percent": 80},
        {"date": "2025-05-02", "sky": "clear sky", "high": 20.5, "low": 9.0, "rain_percent": None},
    ]


def test_the_service_is_asked_for_the_place_that_was_found(web: Web) -> None:
    ask(web, "Turin, Italy", days=3)
    first, second = (parse_qs(urlsplit(path).query) for path in web.asked)
    assert first["name"] == ["Turin"]
    assert (second["latitude"], second["longitude"], second["forecast_days"]) == (["45.07"], ["7.69"], ["3"])


def test_imperial_units_are_asked_for_and_said(web: Web) -> None:
    assert "12 °F with light rain, wind 5 mph" in str(ask(web, units="imperial")["text"])
    assert "temperature_unit=fahrenheit" in web.asked[1]


def test_what_the_service_leaves_out_is_left_out(web: Web) -> None:
    sparse = {"current": {"temperature_2m": 1.0}}
    answer = ask(web, places={"results": [PLACES["results"][0] | {"country": ""}]}, forecast=sparse)
    assert answer["text"] == "In Turin it is 1 °C with unknown sky."
    assert answer["days"] == []


@pytest.mark.parametrize("places", [{}, {"results": []}])
def test_an_unknown_place_is_said(web: Web, places: dict[str, object]) -> None:
    with pytest.raises(ToolError, match="no place called 'Nowhere' is known"):
        ask(web, "Nowhere", places=places)


def test_no_city_is_said(web: Web) -> None:
    with pytest.raises(ToolError, match="name a city"):
        ask(web, "  ")


def test_an_answer_that_is_no_weather_is_said(web: Web) -> None:
    with pytest.raises(ToolError, match="answered something that is no weather"):
        ask(web, forecast={"error": True})


def test_a_service_in_trouble_is_said(web: Web) -> None:
    config = WeatherConfig(geocoding_url=web.url("/gone"))
    with pytest.raises(ToolError, match=r"the weather service 127.0.0.1 answered 404; try again later"):
        WEATHER.make(config)("Turin")


def test_a_service_that_redirects_elsewhere_is_not_followed(web: Web) -> None:
    web.serve("/search", status=302, Location="http://example.org/")
    config = WeatherConfig(geocoding_url=web.url("/search"))
    with pytest.raises(ToolError, match="redirects more than 0 times"):
        WEATHER.make(config)("Turin")


def test_no_connection_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        config = WeatherConfig(geocoding_url=f"http://127.0.0.1:{port}/search")
        with pytest.raises(ToolError, match=r"127.0.0.1 cannot be reached: .*; is this machine offline\?"):
            WEATHER.make(config)("Turin")


def test_no_name_service_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> NoReturn:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ToolError, match=r"geocoding-api.open-meteo.com cannot be found; is this machine offline\?"):
        WEATHER.make()("Turin")


def test_a_service_that_never_answers_is_left_after_the_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/search"
        with pytest.raises(ToolError, match=r"did not answer within 0.05 s"):
            WEATHER.make(WeatherConfig(geocoding_url=url, timeout=0.05))("Turin")
