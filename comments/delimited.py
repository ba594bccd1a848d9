"""Rows of CSV and its relatives, whatever the delimiter. A row that is not well-formed is yielded with the reason.

Quotes follow RFC 4180: a cell in quotes may hold delimiters and line ends, and a quote in it is doubled. A quote that is
never closed costs its own line; reading goes on with the next.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import TextIO

from commentwise.comments.dialect import Dialect, detect_delimiter, first_newline, split_lines
from commentwise.comments.encodings import advice, likeliest
from commentwise.comments.rows import Row, Table, check_names, is_unicode, legible
from commentwise.errors import CommentwiseError

csv.field_size_limit(2**31 - 1)  # Python's default of 131,072 would end a long cell, and make up rows of its rest

BLOCK_CHARACTERS = 2**18
"""Characters read and parsed at once."""
AHEAD = BLOCK_CHARACTERS // 2
"""Characters after a row with a fault, by which is decided where it ends."""
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


def read_delimited(
    stream: TextIO,
    name: str,
    position: Callable[[], int],
    head: str,
    delimiter: str | None = None,
    columns: Sequence[str] | None = None,
    check: Callable[[str], None] = lambda _: None,
    piped: bool = False,
) -> Table:
    """The table in a stream of text that begins with `head` and keeps its line ends.

    The delimiter is detected unless given. `columns` names the columns of a file without a header. Blank lines and a
    line `sep=;` before the header are skipped. `check` is called with each block of text and may raise. If `piped`,
    each row is yielded when it has arrived. Raises CommentwiseError if there is no valid header.
    """
    lines = split_lines(head.removeprefix("\ufeff"), first_newline(head))[:HEAD_LINES]
    before = _blank(lines, 0)
    if before < len(lines) and (sep := _SEP.fullmatch(lines[before])):
        delimiter = delimiter or sep[1]
        before = _blank(lines, before + 1)
    dialect = Dialect(delimiter or detect_delimiter(lines[before:]))
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
    reader = _Reader(stream, name, dialect, header, check, 1 if piped else BLOCK_CHARACTERS)
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


class _DoubtError(csv.Error):
    """A row that csv accepts has quotes that may mean something else."""


class _MoreError(Exception):
    """More lines are needed to decide where a row ends."""


class _Reader:
    """Reads rows block by block; whatever is not a plain row of one line is examined."""

    def __init__(
        self,
        stream: TextIO,
        name: str,
        dialect: Dialect,
        header: list[str],
        check: Callable[[str], None],
        block: int,
    ):
        self._stream = stream
        self._name = name
        self._dialect = dialect
        self._header = header
        self._check = check
        self._block = block
        self._lines: list[str] = []
        self._start = 0
        """The first of `_lines` that is not consumed."""
        self._before = 0
        """Lines of the file before `_lines`."""
        self._number = 0
        self._ended = False
        self._clean = True
        """False if `_lines` hold undecodable bytes, or a backslash before a quote."""

    def push(self, lines: Sequence[str], before: int) -> None:
        """Add lines that were read from the stream already, after `before` others."""
        self._lines += lines
        self._before = before

    def rows(self) -> Iterator[Row]:
        """Yield all rows, good and bad."""
        name, header, width, delimiter = self._name, self._header, len(self._header), self._dialect.delimiter
        dialect = self._dialect.parser
        quick = width > 1  # a blank line is no row, not an empty cell
        size, more = self._block, True
        while True:
            if more and not self._ended:
                self._fill(size)
            lines, base = self._lines, self._start
            if base >= len(lines):
                if self._ended:
                    return
                more = True
                continue
            clean, start, number, taken = self._clean, base, self._number, 0
            rest = iter(lines[base:])
            try:
                for line in rest:
                    # Written out for speed: nearly all rows are of one line and well-formed.
                    if quick and '"' not in line:
                        taken, cells = 1, line.rstrip("\r\n").split(delimiter)
                    else:
                        reader = csv.reader(chain((line,), rest), dialect)
                        cells = next(reader)
                        taken = reader.line_num
                    first, start = start, start + taken
                    if clean and taken == 1 and len(cells) == width and cells[0] != header[0]:
                        number += 1
                        yield Row(name, number, line.rstrip("\r\n"), dict(zip(header, cells)))  # noqa: B905
                    else:
                        self._start, self._number = start, number
                        yield from self._examined(first, cells)
                        number = self._number
                self._start, self._number = start, number
                more, size = True, self._block
            except _SkippedError:
                more = False
            except _MoreError:
                more, size = True, BLOCK_CHARACTERS
            except csv.Error as error:
                if not isinstance(error, _DoubtError):
                    self._start, self._number = start, number
                end = start if isinstance(error, _DoubtError) else start + reader.line_num
                unclosed = str(error).startswith("unexpected end")
                pending = sum(map(len, lines[self._start :] if unclosed else lines[end:]))
                # A fault is told apart from a row that goes on by what follows it.
                more = not self._ended and pending < (MAX_RECORD if unclosed else AHEAD)
                if more:
                    size = max(size, pending)
                else:
                    yield from self._malformed(end, "" if unclosed else str(error))

    def _fill(self, size: int) -> None:
        """Read more lines."""
        del self._lines[: self._start]
        self._before += self._start
        self._start = 0
        more = self._stream.readlines(size)
        text = "".join(more)
        self._check(text)
        returns = text.count("\r") != text.count("\r\n")
        if returns and more[0].endswith("\n"):
            more = [_without_returns(line) for line in more]
        self._clean = (self._clean or not self._lines) and is_unicode(text) and '\\"' not in text and not returns
        self._lines += more
        self._ended = not more

    def _row(self, first: int, end: int, reason: str, values: dict[str, str] | None = None) -> Row:
        self._number += 1
        raw = legible("".join(self._lines[first:end]).replace(_RETURN, "\r").rstrip("\r\n"))
        return Row(self._name, self._number, raw, values or {}, reason)

    def _place(self, first: int, end: int) -> str:
        """The numbers of lines in the file."""
        numbers = self._before + first + 1, self._before + end
        return f"line {numbers[0]}" if numbers[0] == numbers[1] else f"lines {numbers[0]} to {numbers[1]}"

    def _examined(self, first: int, cells: list[str]) -> Iterator[Row]:
        """Yield the row of the lines from `first`. Raises _DoubtError if its quotes are in doubt."""
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
            yield self._row(
                first, end, f"not UTF-8: perhaps {likeliest(written)}; set the encoding ({self._place(first, end)})"
            )
            return
        fits = len(cells) == width or (len(cells) == width + 1 and not cells[-1])
        if not fits and self._dialect.is_doubtful(self._lines[first:end]):
            self._start = first
            raise _DoubtError("a quote closes at the start of a cell")
        if self._dialect.is_escaped(raw):
            # In files that escape quotes so, the cell goes on.
            if not self._ended and sum(map(len, self._lines[end:])) < AHEAD:
                self._start = first
                raise _MoreError
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
                return max(end, ends[1]) if behind == 0 else end + self._continued(end)
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
