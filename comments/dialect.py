"""Dialects of CSV: how the delimiter is told, and what a quote in a line can mean."""

import csv
import re
from collections.abc import Sequence
from itertools import islice

DELIMITERS = (",", ";", "\t", "|")
SAMPLED_ROWS = 100


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
        widths = _widths(lines, delimiter)
        if widths and widths[0] > 1:
            fit = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
            if fit > best_fit:
                best, best_fit = delimiter, fit
    return best


def _widths(lines: Sequence[str], delimiter: str) -> list[int]:
    """The number of cells of each of the first rows."""
    widths: list[int] = []
    start = 0
    while start < len(lines) and len(widths) < SAMPLED_ROWS:
        reader = csv.reader(lines[start:], delimiter=delimiter, strict=True)
        done = start
        try:
            for cells in islice(reader, SAMPLED_ROWS):
                done = start + reader.line_num
                widths += [len(cells)] if any(cells) else []
            break
        except csv.Error:
            start = done + 1  # go on after the line with the fault
    return widths[:SAMPLED_ROWS]


class Dialect:
    """What quotes in a line can mean, by their neighbours."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        self.parser = csv.reader([], delimiter=delimiter, strict=True).dialect
        separator = f"[{re.escape(delimiter)}\r\n]"
        end = rf"(?={separator}|\Z)"
        self._cell = re.compile(rf'"[^"]*(?:""[^"]*)*"{end}|(?!")[^{re.escape(delimiter)}\r\n]*{end}')
        self._closing = re.compile(rf'(?<!\\)"{end}')
        self._escaped = re.compile(rf'\\"{{1,2}}{end}')
        self._first_quote = re.compile(r'(?<!\\)"')
        self._doubtful = re.compile(rf'(?:{separator}|\A)"{end}')

    def count(self, line: str) -> int:
        """The number of cells of a line, quotes aside."""
        return line.count(self.delimiter) + 1

    def is_open(self, line: str) -> bool:
        """True if a cell seems to go on after the line: its last quote closes none."""
        last = line.rfind('"')
        return last >= 0 and (not self._closing.match(line, last) or last == 0 or line[last - 1] == self.delimiter)

    def closes(self, line: str) -> bool | None:
        """True if the first quote of a line closes a cell, False if not, None if there is none."""
        found = self._first_quote.search(line)
        if not found:
            return None
        at = found.start()
        return bool(self._closing.match(line, at)) and at > 0 and line[at - 1] != self.delimiter

    def is_escaped(self, raw: str) -> bool:
        """True if a cell seems to end where quotes are doubled, and to go on where they are escaped by a backslash, or the reverse."""
        return bool(self._escaped.search(raw))

    def is_doubtful(self, lines: Sequence[str]) -> bool:
        """True if a cell of several lines ends with a quote that may as well open another one."""
        return len(lines) > 1 and any(self._doubtful.search(line) for line in lines[1:])

    def opening_line(self, lines: Sequence[str]) -> int:
        """The line with the quote of the first cell that is not well-formed, or of the first with several lines."""
        raw = "".join(lines)
        at = 0
        while at < len(raw):
            cell = self._cell.match(raw, at)
            if not cell or "\n" in cell[0]:
                return raw.count("\n", 0, at)
            if raw[cell.end() : cell.end() + 1] != self.delimiter:
                return 0
            at = cell.end() + 1
        return 0
