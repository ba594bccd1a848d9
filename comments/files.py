"""Sources of comments: files and standard input, opened by their content.

  with Source("comments.csv").opened() as table:
      for row in table.rows: ...

CSV and its relatives, JSON lines, arrays and dumps, and Parquet, plain or compressed. A row that cannot be read is
yielded too, with the reason.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from commentwise.comments.formats.compression import PIPE_BYTES, SUFFIXES, decompressed, reading
from commentwise.comments.formats.delimited import read_delimited
from commentwise.comments.formats.dialect import first_newline
from commentwise.comments.formats.dumps import DUMPS
from commentwise.comments.formats.encodings import check_controls, decoding, encoding_of, text_stream
from commentwise.comments.formats.json_values import read_json
from commentwise.comments.formats.parquet import MAGIC, parquet_table, uncompressed
from commentwise.comments.formats.rows import Row, Table, renamed
from commentwise.errors import CommentwiseError

STANDARD_STREAM = "-"
ENDINGS = {"csv": "csv", "tsv": "tsv", "jsonl": "jsonl", "ndjson": "jsonl", "json": "json", "parquet": "parquet"}
FORMATS = ("csv", "tsv", "jsonl", "json", "parquet", *DUMPS)


@dataclass(frozen=True)
class Options:
    """How a source is read. What is None is told by its name and content."""

    format: str | None = None
    """One of FORMATS."""
    encoding: str | None = None
    delimiter: str | None = None
    quotes: str | None = None
    """How a quote within a cell of CSV is written: one of dialect.QUOTES."""
    columns: tuple[str, ...] | None = None
    """Names of the columns of a CSV file without a header."""


def format_by_name(name: str) -> str | None:
    """The format by the ending of a file name, which compression may follow; None if it is none of ENDINGS.

    >>> format_by_name("a.ndjson.zst")
    'jsonl'
    """
    path = Path(name.lower())
    return ENDINGS.get((path.with_suffix("") if path.suffix in SUFFIXES else path).suffix[1:])


@dataclass
class Source:
    """A file of comments, or standard input, which can be read once."""

    name: str
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        """Raises CommentwiseError if the format is not known."""
        if self.options.format not in (None, *FORMATS):
            raise CommentwiseError(f"{self.options.format!r} is no format: name one of {', '.join(FORMATS)}")
        form = self.options.format or format_by_name(self.name)
        if form is None:
            raise CommentwiseError(
                f"{self.name!r} does not end in .{', .'.join(ENDINGS)} (or these with {', '.join(SUFFIXES)}): "
                "name its format with --format or data.format"
            )
        self.format = form

    @cached_property
    def size(self) -> int:
        """Bytes of the file, 0 for standard input. Raises CommentwiseError if the file does not exist."""
        with reading(self.name):
            return 0 if self.name == STANDARD_STREAM else Path(self.name).stat().st_size

    def opened(self) -> AbstractContextManager[Table]:
        """A context manager for the table. Entering it, or reading, raises CommentwiseError if the source cannot be read."""
        if self.name == STANDARD_STREAM:
            return nullcontext(self._standard_input)
        return self._opened_file()

    @cached_property
    def _standard_input(self) -> Table:
        head, stream = decompressed(sys.stdin.buffer, self.name, PIPE_BYTES)
        return self._text_table(head, stream, lambda: 0)

    @contextmanager
    def _opened_file(self) -> Iterator[Table]:
        path = Path(self.name)
        if path.exists() and not path.is_file():  # a pipe cannot be read twice, and columns are read first
            raise CommentwiseError(f"{path} is not a regular file: name one, or pipe it into - (standard input)")
        with reading(self.name), open(self.name, "rb") as file:
            head, stream = decompressed(file, self.name)
            if head.startswith(b"PK\x03\x04"):
                raise CommentwiseError(f"{self.name} is a zip file, as Excel's are: save it as CSV UTF-8, or unpack it")
            if self.format != "parquet" and not head.startswith(MAGIC):
                yield self._text_table(head, stream, file.tell)
                return
            reached = file.tell()
            file.seek(0)
            plain_file = file.read(len(MAGIC)) == MAGIC
            file.seek(reached)  # `stream` goes on from there
            if plain_file or not head.startswith(MAGIC):
                with parquet_table(self.name, self.name, self.size) as table:
                    yield table
                return
            with uncompressed(stream) as plain, parquet_table(plain, self.name, self.size) as table:
                yield table

    def _text_table(self, head: bytes, stream: BinaryIO, position: Callable[[], int]) -> Table:
        encoding = encoding_of(head, self.options.encoding, self.name)
        start = head.decode(encoding, "replace")

        def check(text: str) -> None:
            check_controls(text, encoding, self.name)

        if self.format in ("csv", "tsv"):
            delimiter = self.options.delimiter or ("\t" if self.format == "tsv" else None)
            text = text_stream(stream, encoding, first_newline(start))
            with decoding(self.name, encoding):
                table = read_delimited(
                    text,
                    self.name,
                    position,
                    start,
                    delimiter,
                    self.options.quotes,
                    self.options.columns,
                    check,
                    self.name == STANDARD_STREAM,
                )
        else:
            check(start)
            text = text_stream(stream, encoding, "\n")
            # A format that was named is taken at its word; only endings leave open whether it is a dump.
            form = self.options.format
            with decoding(self.name, encoding):
                table = read_json(text, self.name, position, form)
        table.rows = self._decoded(table.rows, encoding)
        return table

    def _decoded(self, rows: Iterator[Row], encoding: str) -> Iterator[Row]:
        with decoding(self.name, encoding):
            yield from rows


class Rows:
    """The rows of several sources, one after the other."""

    def __init__(self, sources: Sequence[Source], renamed: Mapping[str, str] | None = None) -> None:
        """`renamed` gives columns of the sources another name."""
        self._sources = sources
        self._renamed = renamed or {}
        self._before = 0
        self._table: Table | None = None

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._before + (self._table.position() if self._table else 0)

    def __iter__(self) -> Iterator[Row]:
        for source in self._sources:
            with source.opened() as self._table:
                for row in self._table.rows:
                    if self._renamed:
                        row.values = renamed(row.values, self._renamed)
                    yield row
            self._table = None
            self._before += source.size
