"""The weather by open-meteo.com, which needs no key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Meta, Struct

from agentkit import Factory, Timeout, Tool, ToolError, tool

T = TypeVar("T", bound=Struct)

_CURRENT: Final = "temperature_2m,apparent_temperature,relative_humidity_2m,weather_code,wind_speed_10m"
_DAILY: Final = "weather_code,temperature_2m_max,temperature_2m_min,precipitation_probability_max"
# WMO code table 4677, as open-meteo uses it.
_SKY: Final = {
    0: "clear sky",
    1: "mainly clear",
    2: "partly cloudy",
    3: "overcast",
    45: "fog",
    48: "freezing fog",
    51: "light drizzle",
    53: "drizzle",
    55: "heavy drizzle",
    56: "light freezing drizzle",
    57: "freezing drizzle",
    61: "light rain",
    63: "rain",
    65: "heavy rain",
    66: "light freezing rain",
    67: "freezing rain",
    71: "light snow",
    73: "snow",
    75: "heavy snow",
    77: "snow grains",
    80: "light showers",
    81: "showers",
    82: "violent showers",
    85: "light snow showers",
    86: "snow showers",
    95: "thunderstorm",
    96: "thunderstorm with hail",
    99: "thunderstorm with heavy hail",
}


class WeatherConfig(Struct, frozen=True, kw_only=True):
    """The options of ``weather``."""

    units: Literal["metric", "imperial"] = "metric"
    """Celsius and km/h, or Fahrenheit and mph."""
    timeout: Timeout = 10.0
    """How long each of the two questions to the service may take."""
    geocoding_url: str = "https://geocoding-api.open-meteo.com/v1/search"
    """Where a city's place is looked up."""
    forecast_url: str = "https://api.open-meteo.com/v1/forecast"
    """Where its weather is looked up."""


class _Place(Struct):
    name: str
    latitude: float
    longitude: float
    country: str = ""


class _Places(Struct):
    results: list[_Place] = []


class _Current(Struct):
    temperature_2m: float
    apparent_temperature: float | None = None
    relative_humidity_2m: float | None = None
    weather_code: int | None = None
    wind_speed_10m: float | None = None


class _Daily(Struct):
    time: list[str] = []
    weather_code: list[int | None] = []
    temperature_2m_max: list[float | None] = []
    temperature_2m_min: list[float | None] = []
    precipitation_probability_max: list[float | None] = []


class _Forecast(Struct):
    current: _Current
    daily: _Daily = msgspec.field(default_factory=_Daily)


def _build(config: WeatherConfig) -> Tool[..., object]:
    @tool(
        timeout=2 * config.timeout + 5,
        examples=(
            "what is the weather in {city}?",
            "what is the weather like in {city}?",
            "what is the forecast for {city}?",
            "how warm is it in {city}?",
            "will it rain in {city}?",
        ),
    )
    def weather(city: str, days: Annotated[int, Meta(ge=1, le=7)] = 1) -> dict[str, object]:
        """Tell the weather in a city now and its forecast.

        Args:
            city: The name of the city, such as Turin.
            days: How many days of forecast, today included: 1 to 7.
        """
        return _look_up(city, days, config)

    return weather


def _look_up(city: str, days: int, config: WeatherConfig) -> dict[str, object]:
    name = " ".join(city.split())[:100]
    if not name:
        raise ToolError("name a city")
    # The service knows one name a place, so "Turin, Italy" is looked up as "Turin".
    question: dict[str, str | int | float] = {
        "name": name.partition(",")[0],
        "count": 1,
        "language": "en",
        "format": "json",
    }
    places = _ask(config.geocoding_url, question, _Places, config).results
    if not places:
        raise ToolError(f"no place called {name!r} is known; check the spelling or name a larger city")
    place = places[0]
    imperial = config.units == "imperial"
    forecast = _ask(
        config.forecast_url,
        {
            "latitude": place.latitude,
            "longitude": place.longitude,
            "current": _CURRENT,
            "daily": _DAILY,
            "forecast_days": days,
            "timezone": "auto",
            "temperature_unit": "fahrenheit" if imperial else "celsius",
            "wind_speed_unit": "mph" if imperial else "kmh",
        },
        _Forecast,
        config,
    )
    degree, speed = ("°F", "mph") if imperial else ("°C", "km/h")
    now = forecast.current
    where = f"{place.name}, {place.country}" if place.country else place.name
    sky = _sky(now.weather_code)
    wind = "" if now.wind_speed_10m is None else f", wind {now.wind_speed_10m:.0f} {speed}"
    return {
        "text": f"In {where} it is {now.temperature_2m:.0f} {degree} with {sky}{wind}.",
        "place": where,
        "sky": sky,
        "temperature": now.temperature_2m,
        "feels_like": now.apparent_temperature,
        "humidity_percent": now.relative_humidity_2m,
        "wind_speed": now.wind_speed_10m,
        "units": f"{degree}, {speed}",
        "days": _days(forecast.daily),
    }


def _days(daily: _Daily) -> list[dict[str, object]]:
    rows = zip(
        daily.time,
        daily.weather_code,
        daily.temperature_2m_max,
        daily.temperature_2m_min,
        daily.precipitation_probability_max,
        strict=False,
    )
    return [
        {"date": date, "sky": _sky(code), "high": high, "low": low, "rain_percent": rain}
        for date, code, high, low, rain in rows
    ]


def _ask(url: str, question: Mapping[str, str | int | float], answer: type[T], config: WeatherConfig) -> T:
    from agentkit_basics.fetching import Limits, fetch

    # The address is the configuration's own, so a private one is meant; a redirect elsewhere is not.
    parts = urlsplit(url)
    limits = Limits(
        allow=(parts.netloc,), allow_private=True, timeout=config.timeout, max_bytes=500_000, max_redirects=0
    )
    page = fetch(f"{url}{'&' if parts.query else '?'}{urlencode(question)}", limits)
    if page.status != 200:
        raise ToolError(f"the weather service {parts.hostname} answered {page.status}; try again later")
    try:
        return msgspec.json.decode(page.text, type=answer)
    except msgspec.MsgspecError as error:
        raise ToolError(f"the weather service {parts.hostname} answered something that is no weather") from error


def _sky(code: int | None) -> str:
    return _SKY.get(-1 if code is None else code, "unknown sky")


WEATHER: Final = Factory("weather", _build, WeatherConfig, "The weather in a city now and its forecast.")
"""The tool ``weather``."""
