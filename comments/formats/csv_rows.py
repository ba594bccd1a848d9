"""Rows of CSV, read strictly: a row comes back as it was written, or is set aside with its line and the reason.

Quotes follow RFC 4180: a cell in quotes may hold delimiters and line ends, and a quote in it is written twice. After a
row that breaks these rules nobody can know for certain where the next one begins. Its lines are set aside up to the
first line from which several rows in sequence are well-formed; where there is none, the file is refused. So is a file
in which backslashes seem to escape quotes, unless it is said that they do.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TextIO

from commentwise.comments.formats.dialect import Dialect
from commentwise.comments.formats.encodings import likeliest
from commentwise.comments.formats.rows import Row, is_unicode, legible
from commentwise.errors import CommentwiseError

csv.field_size_limit(2**31 - 1)  # Python's default of 131,072 would end a long cell, and make up rows of its rest

BLOCK_CHARACTERS = 2**18
"""Characters read at once."""
MAX_RECORD = 2**24
"""Characters of a row. A quote is regarded as never closed if it is not closed within as many."""
AHEAD_CHARACTERS = 2**17
"""Characters of a row that is read to decide something about an earlier one."""
SURE_ROWS = 5
"""As many well-formed rows in sequence are not part of a broken cell; as many lines like rows are no part of a cell."""
MAX_BROKEN_LINES = 1000
_RETURN, _BACKSLASH, _QUOTE = "\udfff", "\udffe", "\udffd"
"""Stand for a carriage return within a line, where csv would end the row, and for an escaped backslash and quote."""
_WRITTEN = str.maketrans({_RETURN: "\r", _BACKSLASH: "\\\\", _QUOTE: '\\"'})
_MEANT = str.maketrans({_RETURN: "\r", _BACKSLASH: "\\", _QUOTE: '"'})
_ESCAPES = re.compile(r'\\([\\"])')


class CsvRows:
    """The rows after the header, good and bad, which can be read once."""

    def __init__(
        self,
        stream: TextIO,
        name: str,
        dialect: Dialect,
        header: list[str],
        check: Callable[[str], None],
        piped: bool,
    ):
        self._stream = stream
        self._name = name
        self._dialect = dialect
        self._header = header
        self._check = check
        self._block = 1 if piped else BLOCK_CHARACTERS
        self._lines: list[str] = []
        self._base = 0
        """Lines of the file before `_lines`."""
        self._at = 0
        """Lines of the file before the next row."""
        self._number = 0
        self._clean = True
        """False if a row in `_lines` needs a closer look, even if csv accepts it."""
        delimiter = re.escape(dialect.delimiter)
        cell = rf'(?:"[^"]*+(?:""[^"]*+)*+"|[^"{delimiter}\r\n]*+)'
        self._cells = re.compile(rf"(?:\A|{delimiter})({cell})")
        self._well_formed = re.compile(rf"{cell}(?:{delimiter}{cell})*+[\r\n]*+")
        plain = rf'(?:"[^"]*+"|[^"{delimiter}\r\n]*+)'
        self._plain_row = re.compile(rf"{plain}(?:{delimiter}{plain}){{{len(header) - 1}}}(?:[\r\n]|\Z)")
        self._closed_cells = re.compile(rf"(?:{cell}{delimiter})*+")

    def push(self, lines: Sequence[str], before: int) -> None:
        """Add lines that were read from the stream already, after `before` others."""
        self._lines += lines
        self._base = self._at = before
        self._clean = False

    def __iter__(self) -> Iterator[Row]:
        """Raises CommentwiseError where it cannot be known how the file goes on."""
        name, header, width, first_name, lines = (
            self._name,
            self._header,
            len(self._header),
            self._header[0],
            self._lines,
        )
        while self._has(self._at):
            first = end = self._at
            parser = self._dialect.parse(chain.from_iterable(self._following(first)))
            try:
                for cells in parser:
                    start, end = end, first + parser.line_num
                    # Written out for speed: nearly all rows are of one line and well-formed.
                    if end - start == 1 and len(cells) == width and cells[0] != first_name and self._clean:
                        self._at = end
                        self._number = number = self._number + 1
                        yield Row(name, number, lines[start - self._base].rstrip("\r\n"), dict(zip(header, cells)))  # noqa: B905
                    else:
                        yield from self._examined(start, end, cells)
                        self._at = end
            except csv.Error as error:
                yield from self._broken(first + parser.line_num, str(error))

    def _following(self, start: int) -> Iterator[list[str]]:
        """Blocks of the lines from `start`, until a row is too long. Forgets those of earlier rows."""
        while self._has(start) and self._size(self._at, start) <= MAX_RECORD:
            done = self._at - self._base
            del self._lines[:done]
            self._base += done
            held = self._lines[start - self._base :]
            start += len(held)
            yield held

    def _ahead(self, start: int) -> Iterator[str]:
        """A limited number of lines from `start`."""
        size = 0
        while size <= AHEAD_CHARACTERS and self._has(start):
            line = self._lines[start - self._base]
            size, start = size + len(line), start + 1
            yield line

    def _has(self, line: int) -> bool:
        """True if the file has a line of this index, which then is in `_lines`."""
        return line < self._base + len(self._lines) or self._fill()

    def _fill(self) -> bool:
        """Read more lines. False at the end of the file."""
        more = self._stream.readlines(self._block)
        text = "".join(more)
        self._check(text)
        returns = text.count("\r") != text.count("\r\n") and more[0].endswith("\n")
        if returns:
            more = [_without_returns(line) for line in more]
        escapes = self._dialect.quotes == "backslash" and bool(_ESCAPES.search(text))
        if escapes:
            more = [_without_escapes(line) for line in more]
        doubts = self._dialect.quotes is None and '\\"' in text
        self._clean = (self._clean or not self._lines) and not (returns or escapes or doubts) and is_unicode(text)
        self._lines += more
        return bool(more)

    def _raw(self, start: int, end: int) -> str:
        return "".join(self._lines[start - self._base : end - self._base])

    def _size(self, start: int, end: int) -> int:
        return sum(map(len, self._lines[start - self._base : end - self._base]))

    def _row(self, start: int, end: int, reason: str, cells: Sequence[str] = ()) -> Row:
        self._number += 1
        raw = self._raw(start, end).rstrip("\r\n")
        if not self._clean:
            raw = legible(raw.translate(_WRITTEN))
        return Row(self._name, self._number, raw, dict(zip(self._header, cells, strict=False)), reason)

    def _meant(self, raw: str, cells: list[str]) -> list[str]:
        """The cells of a row without stand-ins. Spark escapes only in cells in quotes."""
        quoted = (found[1].startswith('"') for found in self._cells.finditer(raw))
        return [cell.translate(_MEANT if within else _WRITTEN) for cell, within in zip(cells, quoted, strict=False)]

    def _examined(self, start: int, end: int, cells: list[str]) -> Iterator[Row]:
        """Yield the row of the lines from `start` to `end`. Raises csv.Error if it has quotes out of place."""
        width = len(self._header)
        raw = self._raw(start, end)
        if not raw.strip() and (width > 1 or not cells):
            return  # a blank line
        place = _place(start, end)
        if not self._clean:
            if not is_unicode(written := raw.translate(_WRITTEN)):
                likely = likeliest(written.encode("utf-8", "surrogateescape"))
                yield self._row(start, end, f"not UTF-8: perhaps {likely}; set the encoding ({place})")
                return
            if self._dialect.quotes is None and '\\"' in raw and self._is_escaped(start):
                self._refuse_escapes(start)
            if written != raw:
                cells = self._meant(raw, cells)
        # csv itself accepts quotes in a cell without quotes. In a single line they do no harm.
        if end - start > 1 and not self._well_formed.fullmatch(raw):
            raise csv.Error("a quote in a cell without quotes")
        inner = raw.splitlines()[1:-1] if end - start > SURE_ROWS else []
        if inner and width > 1 and all(line.count(self._dialect.delimiter) == width - 1 for line in inner):
            reason = f"invalid CSV: a quote opens in line {start + 1} and closes in line {end}, and the lines between look like rows"
            yield from (self._row(line, line + 1, reason) for line in range(start, end))
        elif len(cells) != width and not (len(cells) == width + 1 > 2 and not cells[-1]):
            reason = f"wrong number of cells: {len(cells)}, and the header has {width} ({place})"
            yield self._row(start, end, reason, cells)
        elif cells[:width] == self._header:
            yield self._row(start, end, f"the header again: {place}")
        else:
            yield self._row(start, end, "", cells)

    def _is_escaped(self, start: int) -> bool:
        """True if the row from line `start` is also well-formed where a backslash escapes quotes."""
        return bool(self._plain_row.match("".join(map(_without_escapes, self._ahead(start)))))

    def _refuse_escapes(self, start: int) -> None:
        raise CommentwiseError(
            f"{self._name}, line {start + 1}: a backslash before a quote: say whether it escapes the quote, with --quotes or data.quotes "
            "as `backslash` (as Spark writes CSV) or `doubled` (as all others do)"
        )

    def _broken(self, noticed: int, fault: str) -> Iterator[Row]:
        """Yield the lines of a malformed row as bad rows, up to the line where rows are well-formed again.

        The fault was noticed in the line before `noticed`.
        """
        start = self._at
        raw = self._raw(start, noticed)
        cell = self._closed_cells.match(raw).end()  # type: ignore[union-attr]  # it always matches
        opening = start + raw.count("\n", 0, cell)
        unclosed = fault.startswith("unexpected end")
        if self._dialect.quotes is None and '\\"' in (raw[: raw.find('"', cell + 1) + 1] if unclosed else raw):
            self._refuse_escapes(opening)
        problem = "is never closed" if unclosed else f"is not closed correctly ({fault})"
        reason = f"invalid CSV: the quote that opens in line {opening + 1} {problem}"
        end = self._next_row(opening + 1, unclosed, reason)
        for line in range(start, end):
            yield self._row(line, line + 1, reason)
        self._at = end

    def _next_row(self, start: int, unclosed: bool, reason: str) -> int:
        """The first line from `start` that begins a sequence of well-formed rows, or the end of the file."""
        for line in range(start, start + MAX_BROKEN_LINES):
            if not self._has(line):
                return line
            rows, ended = self._well_formed_rows(line)
            # The end of a file that was cut within a row could look like a row.
            if rows == SURE_ROWS or (rows and ended and not unclosed):
                return line
        raise CommentwiseError(
            f"{self._name}: {reason.removeprefix('invalid CSV: ')}, and no rows follow in the next {MAX_BROKEN_LINES:,} lines: fix it"
        )

    def _well_formed_rows(self, start: int) -> tuple[int, bool]:
        """How many of the first SURE_ROWS rows from line `start` are well-formed; True if the file ends after them."""
        rows, line = 0, start
        parser = self._dialect.parse(self._ahead(start))
        try:
            for cells in parser:
                end = start + parser.line_num
                if cells and (len(cells) != len(self._header) or not self._well_formed.fullmatch(self._raw(line, end))):
                    return rows, False
                rows, line = rows + bool(cells), end
                if rows == SURE_ROWS:
                    return rows, False
        except csv.Error:
            return rows, False
        return rows, True


def _without_returns(line: str) -> str:
    body = line.rstrip("\r\n")
    return body.replace("\r", _RETURN) + line[len(body) :] if "\r" in body else line


def _without_escapes(line: str) -> str:
    return _ESCAPES.sub(lambda found: _QUOTE if found[1] == '"' else _BACKSLASH, line)


def _place(start: int, end: int) -> str:
    """The numbers of lines in the file."""
    return f"line {end}" if end - start == 1 else f"lines {start + 1} to {end}"
