"""A point in time that a person writes: an ISO date or time, or words such as `last tuesday`."""

from datetime import date, datetime, time

from dateparser.date import DateDataParser

from commentwise.errors import CommentwiseError

EXACT = ("time", "part_of_day")
"""Dateparser's periods of a date with a time of day."""
LAST_SECOND = time(23, 59, 59)


def point_in_time(text: str, now: datetime) -> datetime:
    """The time that `text` means at the local time `now`: of a day without a time, its end, but not after `now`.

    Times without a zone are local. Raises CommentwiseError where the text is not understood, or means the future.
    """
    local = now.astimezone()
    found = _iso(text) or _words(text, local)
    if found is None:
        raise CommentwiseError(
            f"--at {text!r} is no date that is understood: write 2026-11-24, '2026-11-24 15:00', yesterday or 'last tuesday'"
        )
    if isinstance(found, datetime):
        moment, start = found.astimezone(), found.astimezone()
    else:
        moment, start = (datetime.combine(found, of_day).astimezone() for of_day in (LAST_SECOND, time.min))
    if start > local:
        raise CommentwiseError(f"--at {text!r} is {shown(start)}, in the future: name a time until {shown(local)}")
    return min(moment, local)


def shown(moment: datetime) -> str:
    """A time to the minute, in the local time zone."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def zone(moment: datetime) -> str:
    """The local time zone at a time, with its offset from UTC."""
    local = moment.astimezone()
    name, offset = local.tzname(), f"{local:%z}"
    return "UTC" if name == "UTC" else f"{name} (UTC{offset[:3]}:{offset[3:5]})"


def _iso(text: str) -> date | datetime | None:
    for parse in (date.fromisoformat, datetime.fromisoformat):
        try:
            return parse(text.strip())
        except ValueError:
            continue
    return None


def _words(text: str, now: datetime) -> date | datetime | None:
    parser = DateDataParser(
        languages=["en"],
        settings={
            "RELATIVE_BASE": now.replace(tzinfo=None),
            "PREFER_DATES_FROM": "past",
            "PREFER_DAY_OF_MONTH": "last",  # October means its end
            "PREFER_MONTH_OF_YEAR": "last",
            "RETURN_TIME_AS_PERIOD": True,
        },
    )
    data = parser.get_date_data(text)
    found: datetime | None = data.date_obj
    if found is None:
        return None
    return found if data.period in EXACT else found.date()
