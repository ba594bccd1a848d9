"""Rows of CSV and its relatives, whatever the delimiter. A row that is not well-formed is yielded with the reason.

Quotes follow RFC 4180: a cell in quotes may hold delimiters and line ends, and a quote in it is doubled. A quote that is
never closed costs its own line; reading goes on with the next.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import TextIO

from commentwise.comments.encodings import advice, likeliest
from commentwise.comments.rows import Row, Table, check_names, is_unicode, legible
from commentwise.errors import CommentwiseError

csv.field_size_limit(2**31 - 1)  # Python's default of 131,072 would end a long cell, and make up rows of its rest

DELIMITERS = (",", ";", "\t", "|")
SAMPLED_ROWS = 100
BLOCK_CHARACTERS = 2**19
"""Characters read and parsed at once."""
MAX_RECORD = 2**24
"""Characters of a row. A quote is regarded as never closed if it is not closed within as many."""
HEAD_LINES = 1000
HEADER_LINES = 100
LIKE_ROWS = 5
"""A cell with as many inner lines, each with as many cells as the header, has swallowed rows."""
FEW = 5
_RETURN = "\udfff"
"""Stands for a carriage return within a line while it is parsed, since csv would end the row there. No text has it."""
_SEP = re.compile(r'"?sep=(.)"?\s*')


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


def read_delimited(
    stream: TextIO,
    name: str,
    position: Callable[[], int],
    head: str,
    delimiter: str | None = None,
    columns: Sequence[str] | None = None,
    check: Callable[[str], None] = lambda _: None,
) -> Table:
    """The table in a stream of text that begins with `head` and keeps its line ends.

    The delimiter is detected unless given. `columns` names the columns of a file without a header. Blank lines and a
    line `sep=;` before the header are skipped. `check` is called with each block of text and may raise. Raises
    CommentwiseError if there is no valid header.
    """
    lines = split_lines(head.removeprefix("\ufeff"), first_newline(head))[:HEAD_LINES]
    before = _blank(lines, 0)
    if before < len(lines) and (sep := _SEP.fullmatch(lines[before])):
        delimiter = delimiter or sep[1]
        before = _blank(lines, before + 1)
    dialect = _Dialect(delimiter or detect_delimiter(lines[before:]))
    for _ in range(before):
        stream.readline()
    first = stream.readline().removeprefix("\ufeff")
    check(first)
    if columns is None:
        header, used = _header(first, stream, name, dialect.delimiter)
        kept = []
    else:
        header, used, kept = list(columns), 0, [first] * bool(first)
    check_names(name, header)
    reader = _Reader(stream, name, dialect, header, check)
    reader.push(kept, before + used)
    return Table(header, reader.rows(), position, dict.fromkeys(header, "string"))


def _blank(lines: Sequence[str], start: int) -> int:
    """The first line from `start` that is not blank. Spreadsheets write an empty row as delimiters alone."""
    while start < len(lines) and not lines[start].strip(" ,;\t|\r\n"):
        start += 1
    return start


def _header(first: str, stream: TextIO, name: str, delimiter: str) -> tuple[list[str], int]:
    """The names of the columns, and the number of lines they take."""
    reader = csv.reader(chain([first], islice(stream, HEADER_LINES)), delimiter=delimiter, strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
    except csv.Error as error:
        raise CommentwiseError(f"{name} has no valid CSV header ({error}): fix its first line") from None
    if not any(header):
        raise CommentwiseError(f"{name} has no CSV header: its first line must name the columns")
    if not is_unicode(first):
        likely = likeliest(first.encode("utf-8", "surrogateescape"))
        raise CommentwiseError(f"{name} is not UTF-8: {advice(likely)}")
    while not header[-1]:  # delimiters at the end of the line
        header.pop()
    return header, reader.line_num


def _without_returns(line: str) -> str:
    body = line.rstrip("\r\n")
    return body.replace("\r", _RETURN) + line[len(body) :] if "\r" in body else line


class _SkippedError(Exception):
    """Lines were skipped; the next row is to be parsed from there."""


class _Reader:
    """Reads rows block by block; whatever is not a plain row of one line is examined."""

    def __init__(self, stream: TextIO, name: str, dialect: "_Dialect", header: list[str], check: Callable[[str], None]):
        self._stream = stream
        self._name = name
        self._dialect = dialect
        self._header = header
        self._check = check
        self._lines: list[str] = []
        self._start = 0
        """The first of `_lines` that is not consumed."""
        self._before = 0
        """Lines of the file before `_lines`."""
        self._number = 0
        self._clean = True
        """False if `_lines` hold undecodable bytes, or a backslash before a quote."""

    def push(self, lines: Sequence[str], before: int) -> None:
        """Add lines that were read from the stream already, after `before` others."""
        self._lines += lines
        self._before = before

    def rows(self) -> Iterator[Row]:
        """Yield all rows, good and bad."""
        name, header, width, delimiter = self._name, self._header, len(self._header), self._dialect.delimiter
        size, more, ended = BLOCK_CHARACTERS, True, False
        while True:
            if more and not ended:
                ended = self._fill(size)
            lines, base = self._lines, self._start
            if base >= len(lines):
                if ended:
                    return
                more = True
                continue
            reader = csv.reader(lines[base:], delimiter=delimiter, strict=True)
            try:
                for cells in reader:
                    first, self._start = self._start, base + reader.line_num
                    if len(cells) == width and self._start - first == 1 and self._clean and cells[0] != header[0]:
                        self._number += 1
                        values = dict(zip(header, cells, strict=True))
                        yield Row(name, self._number, lines[first].rstrip("\r\n"), values)
                    else:
                        yield from self._examined(first, cells)
                more, size = True, BLOCK_CHARACTERS
            except _SkippedError:
                more = False
            except csv.Error as error:
                end = base + reader.line_num
                unclosed = str(error).startswith("unexpected end")
                pending = sum(map(len, lines[self._start :] if unclosed else lines[end:]))
                # A fault is told apart from a row that goes on by what follows it.
                more = not ended and pending < (MAX_RECORD if unclosed else BLOCK_CHARACTERS // 2)
                if more:
                    size = max(size, pending)
                else:
                    yield from self._malformed(end, "" if unclosed else str(error))

    def _fill(self, size: int) -> bool:
        """Read more lines; return True at the end of the file."""
        del self._lines[: self._start]
        self._before += self._start
        self._start = 0
        more = self._stream.readlines(size)
        text = "".join(more)
        self._check(text)
        returns = "\r" in text.replace("\r\n", "")
        if returns and more[0].endswith("\n"):
            more = [_without_returns(line) for line in more]
        self._clean = (self._clean or not self._lines) and is_unicode(text) and '\\"' not in text and not returns
        self._lines += more
        return not more

    def _row(self, first: int, end: int, reason: str, values: dict[str, str] | None = None) -> Row:
        self._number += 1
        raw = legible("".join(self._lines[first:end]).replace(_RETURN, "\r").rstrip("\r\n"))
        return Row(self._name, self._number, raw, values or {}, reason)

    def _place(self, first: int, end: int) -> str:
        """The numbers of lines in the file."""
        numbers = self._before + first + 1, self._before + end
        return f"line {numbers[0]}" if numbers[0] == numbers[1] else f"lines {numbers[0]} to {numbers[1]}"

    def _examined(self, first: int, cells: list[str]) -> Iterator[Row]:
        """Yield the row of the lines from `first`. Raises csv.Error if its quotes are in doubt."""
        end = self._start
        raw = "".join(self._lines[first:end])
        if _RETURN in raw:
            raw = raw.replace(_RETURN, "\r")
            cells = [cell.replace(_RETURN, "\r") for cell in cells]
        width = len(self._header)
        if not raw.strip() and (width > 1 or not cells):
            return  # a blank line
        if not is_unicode(raw):
            written = raw.encode("utf-8", "surrogateescape")
            yield self._row(first, end, f"not UTF-8: perhaps {likeliest(written)} ({self._place(first, end)})")
            return
        fits = len(cells) == width or (len(cells) == width + 1 and not cells[-1])
        if not fits and self._dialect.is_doubtful(self._lines[first:end]):
            self._start = first
            raise csv.Error("a quote closes at the start of a cell")
        if self._dialect.is_escaped(raw):
            # In files that escape quotes so, the cell goes on.
            self._start = self._agreed_end(first, end)
            reason = (
                f"invalid CSV: a backslash before a quote ({self._place(first, self._start)}); write a quote as two"
            )
            yield self._row(first, self._start, reason)
            if self._start != end:
                raise _SkippedError
            return
        inner = self._lines[first + 1 : end - 1]
        if len(inner) >= LIKE_ROWS and width > 1 and all(self._dialect.count(line) == width for line in inner):
            reason = f"invalid CSV: a quote opens in line {self._before + first + 1} and closes in line {self._before + end}, and the lines between look like rows"
            yield from (self._row(line, line + 1, reason) for line in range(first, end))
        elif not fits:
            reason = f"wrong number of cells: {len(cells)}, and the header has {width} ({self._place(first, end)})"
            yield self._row(first, end, reason, dict(zip(self._header, cells, strict=False)))
        elif cells[:width] == self._header:
            yield self._row(first, end, f"the header again: {self._place(first, end)}")
        else:
            yield self._row(first, end, "", dict(zip(self._header, cells, strict=False)))

    def _malformed(self, end: int, fault: str) -> Iterator[Row]:
        """Yield the bad row that begins at the first line not consumed, and go on after it.

        `fault` was noticed before line `end`; it is empty if a quote is never closed.
        """
        first, lines = self._start, self._lines
        opening = self._dialect.opening_line(lines[first:end]) + first
        last = self._escaped_end(first)
        if not last:
            last = opening + 1
            if self._dialect.is_open(lines[opening]):
                last += self._continued(last)
        where = f"the quote that opens in line {self._before + opening + 1}"
        reason = f"invalid CSV: {fault} ({where})" if fault else f"invalid CSV: {where} is never closed"
        self._start = last
        yield self._row(first, last, reason)
        rest = lines[last:end]
        if not fault and len(rest) < FEW and any(self._dialect.count(line) != len(self._header) for line in rest):
            # The end of a file that was cut short within a row, rather than rows.
            self._start = end
            yield from (self._row(line, line + 1, reason) for line in range(last, end))

    def _escaped_end(self, first: int) -> int:
        """The end of the row from line `first` if it is well-formed where a backslash escapes quotes, otherwise 0."""
        lines = self._lines[first : first + HEAD_LINES]
        if '\\"' not in "".join(lines[:FEW]):
            return 0
        reader = csv.reader(lines, delimiter=self._dialect.delimiter, doublequote=False, escapechar="\\", strict=True)
        try:
            cells = next(reader, [])
        except csv.Error:
            return 0
        return first + reader.line_num if len(cells) == len(self._header) else 0

    def _agreed_end(self, first: int, end: int) -> int:
        """The end of the rows from line `first` on which both ways of escaping quotes agree.

        The one where quotes are doubled has a row that ends at `end`. If one of them fails, it is that of the other.
        """
        width, delimiter = len(self._header), self._dialect.delimiter
        readers = (
            csv.reader(self._lines[end : end + HEAD_LINES], delimiter=delimiter, strict=True),
            csv.reader(
                self._lines[first : first + HEAD_LINES],
                delimiter=delimiter,
                doublequote=False,
                escapechar="\\",
                strict=True,
            ),
        )
        ends = [end, first]
        while ends[0] != ends[1]:
            behind = int(ends[1] < ends[0])
            try:
                fits = len(next(readers[behind])) in (0, width)
            except (csv.Error, StopIteration):
                fits = False
            if not fits:
                return max(end, ends[1]) if behind == 0 else end
            ends[behind] = (end, first)[behind] + readers[behind].line_num
        return ends[0]

    def _continued(self, first: int) -> int:
        """The number of lines from `first` that belong to a row with a fault: up to a quote that closes a cell."""
        for number in range(first, len(self._lines)):
            verdict = self._dialect.closes(self._lines[number])
            if verdict is not None:
                inside = self._lines[first:number]
                rows = len(inside) >= LIKE_ROWS and all(
                    self._dialect.count(line) == len(self._header) for line in inside
                )
                return number + 1 - first if verdict and not rows else 0
        return 0


class _Dialect:
    """What quotes in a line can mean, by their neighbours."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
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
