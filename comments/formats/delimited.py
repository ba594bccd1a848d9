"""Tables of CSV and its relatives, whatever the delimiter: what stands before the rows, and the rows."""

import csv
import re
from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import TextIO

from commentwise.comments.formats.csv_rows import CsvRows
from commentwise.comments.formats.dialect import Dialect, detect_delimiter, first_newline, split_lines
from commentwise.comments.formats.encodings import advice, likeliest
from commentwise.comments.formats.rows import Table, check_names, is_unicode
from commentwise.errors import CommentwiseError

HEAD_LINES = 1000
HEADER_LINES = 100
_SEP = re.compile(r'"?sep=(.)"?\s*')


def read_delimited(
    stream: TextIO,
    name: str,
    position: Callable[[], int],
    head: str,
    delimiter: str | None = None,
    quotes: str | None = None,
    columns: Sequence[str] | None = None,
    check: Callable[[str], None] = lambda _: None,
    piped: bool = False,
) -> Table:
    """The table in a stream of text that begins with `head` and keeps its line ends.

    The delimiter is detected unless given; `quotes` is one of dialect.QUOTES. `columns` names the columns of a file
    without a header. Blank lines and a line `sep=;` before the header are skipped. `check` is called with each block of
    text and may raise. If `piped`, each row is yielded when it has arrived. Raises CommentwiseError if there is no valid
    header.
    """
    lines = split_lines(head.removeprefix("\ufeff"), first_newline(head))[:HEAD_LINES]
    before = _blank(lines, 0)
    if before < len(lines) and (sep := _SEP.fullmatch(lines[before])):
        delimiter = delimiter or sep[1]
        before = _blank(lines, before + 1)
    dialect = Dialect(delimiter or detect_delimiter(lines[before:]), quotes)
    for _ in range(before):
        stream.readline()
    first = stream.readline().removeprefix("\ufeff")
    check(first)
    if columns is None:
        header, used = _header(first, stream, name, dialect)
        kept = []
    else:
        header, used, kept = list(columns), 0, [first] * bool(first)
    check_names(name, header)
    rows = CsvRows(stream, name, dialect, header, check, piped)
    rows.push(kept, before + used)
    return Table(header, iter(rows), position, dict.fromkeys(header, "string"))


def _blank(lines: Sequence[str], start: int) -> int:
    """The first line from `start` that is not blank. Spreadsheets write an empty row as delimiters alone."""
    while start < len(lines) and not lines[start].strip(" ,;\t|\r\n"):
        start += 1
    return start


def _header(first: str, stream: TextIO, name: str, dialect: Dialect) -> tuple[list[str], int]:
    """The names of the columns, and the number of lines they take."""
    parser = dialect.parse(chain([first], islice(stream, HEADER_LINES)))
    try:
        header = [column.strip() for column in next(parser, [])]
    except csv.Error as error:
        raise CommentwiseError(f"{name} has no valid CSV header ({error}): fix its first line") from None
    if not any(header):
        raise CommentwiseError(f"{name} has no CSV header: its first line must name the columns")
    if not is_unicode(first):
        likely = likeliest(first.encode("utf-8", "surrogateescape"))
        raise CommentwiseError(f"{name} is not UTF-8: {advice(likely)}")
    while not header[-1]:  # delimiters at the end of the line
        header.pop()
    return header, parser.line_num
