"""The clock: what time it is, here or in a city."""

from __future__ import annotations

import difflib
import functools
import re
import unicodedata
import zoneinfo
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final

from msgspec import Struct

from agentkit import Factory, Tool, ToolError, tool

# Cities people ask for that have no time zone of their own name.
_CITIES: Final = {
    "abu dhabi": "Asia/Dubai",
    "atlanta": "America/New_York",
    "austin": "America/Chicago",
    "bangalore": "Asia/Kolkata",
    "barcelona": "Europe/Madrid",
    "beijing": "Asia/Shanghai",
    "boston": "America/New_York",
    "california": "America/Los_Angeles",
    "cape town": "Africa/Johannesburg",
    "cologne": "Europe/Berlin",
    "dallas": "America/Chicago",
    "delhi": "Asia/Kolkata",
    "edinburgh": "Europe/London",
    "florence": "Europe/Rome",
    "frankfurt": "Europe/Berlin",
    "geneva": "Europe/Zurich",
    "hamburg": "Europe/Berlin",
    "hanoi": "Asia/Bangkok",
    "houston": "America/Chicago",
    "kyoto": "Asia/Tokyo",
    "las vegas": "America/Los_Angeles",
    "lyon": "Europe/Paris",
    "manchester": "Europe/London",
    "miami": "America/New_York",
    "milan": "Europe/Rome",
    "montreal": "America/Toronto",
    "mumbai": "Asia/Kolkata",
    "munich": "Europe/Berlin",
    "naples": "Europe/Rome",
    "new delhi": "Asia/Kolkata",
    "nyc": "America/New_York",
    "osaka": "Asia/Tokyo",
    "ottawa": "America/Toronto",
    "philadelphia": "America/New_York",
    "porto": "Europe/Lisbon",
    "rio de janeiro": "America/Sao_Paulo",
    "saint petersburg": "Europe/Moscow",
    "san francisco": "America/Los_Angeles",
    "seattle": "America/Los_Angeles",
    "shenzhen": "Asia/Shanghai",
    "turin": "Europe/Rome",
    "venice": "Europe/Rome",
    "washington": "America/New_York",
}
_HERE: Final = frozenset({"", "local", "here", "local time"})
_OFFSET = re.compile(r"(?:utc|gmt)?\s*([+-])(\d{1,2})(?::?([0-5]\d))?")


class ClockConfig(Struct, frozen=True, kw_only=True):
    """The options of ``now``."""

    zone: str = "local"
    """The zone or city meant when none is named; ``local`` is this machine's."""


def _build(config: ClockConfig) -> Tool[..., object]:
    default_zone(config.zone)

    @tool(
        examples=(
            "what time is it?",
            "what time is it in {zone}?",
            "what is the time in {zone}?",
            "what day is it in {zone}?",
            "what day is it today?",
            "what is the date today?",
        )
    )
    def now(zone: str = "") -> dict[str, str]:
        """Tell the current date and time in a city or a time zone.

        Args:
            zone: A city such as Tokyo, or an IANA time zone such as Asia/Tokyo; leave it out for here.
        """
        asked = config.zone if _folded(zone) in _HERE else zone
        where = find_zone(asked)
        moment = datetime.now().astimezone() if where is None else datetime.now(where)
        name = moment.tzname() or "local" if where is None else str(where)
        day = f"{moment:%A}, {moment.day} {moment:%B %Y}"
        place = "" if where is None else f" in {asked.strip()}"
        return {
            "text": f"It is {moment:%H:%M} on {day}{place}.",
            "zone": name,
            "time": moment.isoformat(timespec="seconds"),
            "weekday": f"{moment:%A}",
        }

    return now


def default_zone(name: str) -> None:
    """Check the configured zone when the tool is built, not in a conversation.

    Raises:
        ValueError: There is no such zone.
    """
    try:
        find_zone(name)
    except ToolError as error:
        raise ValueError(str(error)) from error


def find_zone(name: str) -> tzinfo | None:
    """Return the zone of an IANA name, a city or an offset such as UTC+2; None for this machine's own.

    Raises:
        ToolError: There is no such zone; the message has the nearest names.
    """
    asked = _folded(name)
    if asked in _HERE:
        return None
    offset = _OFFSET.fullmatch(asked)
    if offset is not None and int(offset[2]) <= 14:
        span = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return timezone(-span if offset[1] == "-" else span)
    zones = _zones()
    for spelling in (asked, asked.partition(",")[0].strip(), asked.rpartition("/")[2]):
        if spelling in zones:
            return zoneinfo.ZoneInfo(zones[spelling])
    near = difflib.get_close_matches(asked.partition(",")[0], zones, n=3, cutoff=0.6)
    names = list(dict.fromkeys(zones[match] for match in near))
    advice = f"the nearest are {', '.join(names)}" if names else "name a larger city or an IANA zone"
    raise ToolError(f"no time zone or city is known as {name[:100]!r}; {advice}")


@functools.cache
def _zones() -> dict[str, str]:
    """Make the index of every spelling: whole names, last parts, and cities without a zone of their own."""
    available = sorted(zoneinfo.available_timezones(), key=lambda zone: (zone.count("/"), zone), reverse=True)
    # Offsets under Etc/ have their sign the wrong way round for everyone but POSIX.
    parts = {_folded(zone.rpartition("/")[2]): zone for zone in available if not zone.startswith("Etc/")}
    whole = {_folded(zone): zone for zone in available}
    return {city: zone for city, zone in _CITIES.items() if zone in whole.values()} | parts | whole


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name[:100])
    letters = "".join(char for char in plain if not unicodedata.combining(char))
    return " ".join(letters.replace("_", " ").casefold().rstrip("?.! ").split())


NOW: Final = Factory("now", _build, ClockConfig, "The current date and time in a city or a time zone.")
"""The tool ``now``."""
