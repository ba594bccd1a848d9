"""Times of comments, in the forms in which sources write them."""

import re
from collections.abc import Sequence
from datetime import date, datetime

import pandas as pd

NAMED_FORMATS = ("auto", "iso", "epoch_s", "epoch_ms")
_PER_SECOND = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}
_PLAUSIBLE = (631_152_000, 4_102_444_800)
"""1990 and 2100 in epoch seconds. `auto` takes a number for an epoch time only between these, so that units cannot be
confused: their ranges do not overlap."""
_POSSIBLE = (-62_135_596_800, 253_402_300_800)
"""The years 1 to 9999 in epoch seconds."""
_ISO = r"\s*\d{4}-\d\d|\s*\d{8}\s*(T|$)"
"""The start of an ISO 8601 time. Without it, pandas also reads `now`, years BC and other words as times."""
_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE]\+?\d+)?")


def check_time_format(name: str) -> None:
    """Raise ValueError unless `name` is one of NAMED_FORMATS or a strptime pattern."""
    problem = "no such format"
    if name in NAMED_FORMATS:
        return
    if "%" in name:
        try:
            datetime.strptime("", name)
        except ValueError as error:
            problem = str(error)
            if "does not match format" in problem:
                return
        else:
            return
    raise ValueError(f"{name!r} ({problem}): use {', '.join(NAMED_FORMATS)} or a pattern like '%m/%d/%Y %H:%M'")


def parse_times(values: Sequence[object], time_format: str) -> pd.Series:
    """Texts and dates as datetime64[us, UTC]; NaT for null and for values that are not times in this format.

    `time_format` is one of NAMED_FORMATS or a strptime pattern. `auto` reads ISO 8601 and numbers of seconds, milli-,
    micro- or nanoseconds since 1970. Times without a zone are UTC.

    >>> parse_times(["1612137600", "1612137600000", "2021-02-01T01:00+01:00"], "auto").nunique()
    1
    """
    texts = pd.Series([None if value is None else str(value) for value in values], dtype="object")
    typed = pd.Series([isinstance(value, date) for value in values], dtype="bool")  # of Parquet, in any format
    iso = texts.where(typed | (texts.str.match(_ISO, na=False) & (time_format in ("auto", "iso"))))
    times = _utc(pd.to_datetime(iso, utc=True, format="ISO8601", errors="coerce"))
    other = texts.where(~typed)
    if time_format in ("auto", "epoch_s", "epoch_ms"):
        epochs = [_epoch(text, time_format) for text in other]
        return _utc(pd.to_datetime(pd.Series(epochs, dtype="Int64"), unit="us", utc=True)).fillna(times)
    if time_format == "iso":
        return times
    return _utc(pd.to_datetime(other, format=time_format, utc=True, errors="coerce")).fillna(times)


def _utc(times: pd.Series) -> pd.Series:
    return times.astype(pd.DatetimeTZDtype("us", "UTC"))


def _epoch(text: object, time_format: str) -> int | None:
    """Microseconds since 1970."""
    if not isinstance(text, str) or not _NUMBER.fullmatch(text.strip()):
        return None
    value = float(text)
    units = _PER_SECOND if time_format == "auto" else {time_format: _PER_SECOND[time_format]}
    first, last = _PLAUSIBLE if time_format == "auto" else _POSSIBLE
    for per_second in units.values():
        if first <= value / per_second < last:
            return round(value / per_second * 10**6)
    return None
