"""Dialects of CSV: line ends, delimiters and the ways to write a quote."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

DELIMITERS = (",", ";", "\t", "|")
SAMPLED_ROWS = 100
QUOTES = ("doubled", "backslash", "none")
"""How a quote within a cell is written: twice (RFC 4180), after a backslash (Spark), or as it is, as no cell is quoted."""


@dataclass(frozen=True)
class Dialect:
    """How cells are separated and quoted. `quotes` is one of QUOTES; None if it was not said."""

    delimiter: str
    quotes: str | None = None

    def parse(self, lines: Iterable[str]) -> Any:
        """A strict csv.reader of lines, in which no backslash escapes a quote."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            strict=True,
            quoting=csv.QUOTE_NONE if self.quotes == "none" else csv.QUOTE_MINIMAL,
        )


def first_newline(head: str) -> str:
    """The line end of a file: "\\r" of old Macs, or "\\n", which also ends lines with "\\r\\n".

    >>> first_newline("a,b\\r1,2\\r")
    '\\r'
    """
    found = re.search("\r\n|\n|\r", head)
    return "\r" if found and found[0] == "\r" else "\n"


def split_lines(text: str, newline: str) -> list[str]:
    """The lines of a text with their ends."""
    *lines, last = text.split(newline)
    return [line + newline for line in lines] + [last] * bool(last)


def detect_delimiter(lines: Sequence[str]) -> str:
    """The delimiter by which most of the first rows have as many cells as the header, and the header several.

    >>> detect_delimiter(["id;Comment\\n", "1;nice, really\\n"])
    ';'
    """
    best, best_fit = DELIMITERS[0], (0.5, 1)
    for delimiter in DELIMITERS:
        widths = _widths(lines, Dialect(delimiter))
        if widths and widths[0] > 1:
            fit = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
            if fit > best_fit:
                best, best_fit = delimiter, fit
    return best


def _widths(lines: Sequence[str], dialect: Dialect) -> list[int]:
    """The number of cells of each of the first rows."""
    widths: list[int] = []
    start = 0
    while start < len(lines) and len(widths) < SAMPLED_ROWS:
        reader = dialect.parse(lines[start:])
        done = start
        try:
            for cells in islice(reader, SAMPLED_ROWS):
                done = start + reader.line_num
                widths += [len(cells)] if any(cells) else []
            break
        except csv.Error:
            start = done + 1  # go on after the line with the fault
    return widths[:SAMPLED_ROWS]
