"""CSV is read strictly: a row comes back as it was written, or is set aside with its line; none is made up."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commentwise.comments.files import Options, Source
from commentwise.comments.formats.rows import Row
from commentwise.errors import CommentwiseError
from commentwise.training.data.sources import UnreadableRow, read_rows
from tests.training.conftest import settings as training_settings

LINES = [f"comment number {number},neutral" for number in range(200)]


def rows_of(path: Path, options: Options | None = None) -> list[Row]:
    with Source(str(path), options or Options()).opened() as table:
        return list(table.rows)


def read(content: str | bytes, folder: Path, name: str = "in.csv", **options: object) -> list[Row]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return rows_of(path, Options(**options))  # type: ignore[arg-type]


def good(rows: Sequence[Row]) -> list[list[str]]:
    return [list(row.values.values()) for row in rows if not row.reason]


def bad(rows: Sequence[Row]) -> dict[int, str]:
    return {row.number: row.reason for row in rows if row.reason}


def test_a_quote_that_is_never_closed_costs_its_own_line(tmp_path: Path) -> None:
    lines = [*LINES[:50], '"great clip,positive', *LINES[50:]]
    rows = read("text,label\n" + "\n".join(lines) + "\n", tmp_path)
    assert good(rows) == [line.split(",") for line in LINES]
    assert bad(rows) == {51: "invalid CSV: the quote that opens in line 52 is never closed"}
    assert rows[50].raw == '"great clip,positive'


def test_a_quote_that_another_row_would_close_costs_its_own_line(tmp_path: Path) -> None:
    lines = ['"great clip,positive', *LINES[:20], '"quoted, truly",neutral', *LINES[20:], 'he said "no",negative']
    rows = read("text,label\n" + "\n".join(lines) + "\n", tmp_path)
    assert len(good(rows)) == len(LINES) + 2
    assert list(bad(rows)) == [1]
    assert "line 2" in bad(rows)[1]


def test_rows_inside_a_quoted_cell_are_each_set_aside(tmp_path: Path) -> None:
    lines = [
        "label,text",
        'positive,"great clip',
        *("neutral,fine" for _ in range(30)),
        'negative,bad clip"',
        "neutral,last",
    ]
    rows = read("\n".join(lines) + "\n", tmp_path)
    assert good(rows) == [["neutral", "last"]]
    assert len(bad(rows)) == 32
    assert "a quote opens in line 2 and closes in line 33" in bad(rows)[1]


def test_the_lines_of_a_row_with_a_stray_quote_are_no_rows(tmp_path: Path) -> None:
    content = 'text,label\n"line one "quoted" word\nline two",positive\ngood,neutral\n'
    rows = read(content, tmp_path)
    assert good(rows) == [["good", "neutral"]]
    assert [row.raw for row in rows if row.reason] == ['"line one "quoted" word', 'line two",positive']


def test_a_row_cut_off_at_the_end_of_the_file_is_no_row(tmp_path: Path) -> None:
    rows = read('text,label\ngood,neutral\n"a long comment\nin lines, as many', tmp_path)
    assert good(rows) == [["good", "neutral"]]
    assert list(bad(rows)) == [2, 3]


@pytest.mark.parametrize(
    "line",
    ['negative,"she said \\"wow, great\\" and left"', 'negative,"a \\", b"', 'negative,"x\ny \\"quoted\\" z"'],
)
def test_backslashes_before_quotes_are_refused_unless_their_meaning_is_said(line: str, tmp_path: Path) -> None:
    content = f"label,text\npositive,C:\\temp\n{line}\nneutral,fine\n"
    with pytest.raises(
        CommentwiseError, match=r"in\.csv, line 3: a backslash before a quote.* data\.quotes as `backslash`"
    ):
        read(content, tmp_path)
    text = line.partition(",")[2][1:-1].replace('\\"', '"')
    rows = [["positive", "C:\\temp"], ["negative", text], ["neutral", "fine"]]
    assert good(read(content, tmp_path, quotes="backslash")) == rows
    with_doubled = read(content, tmp_path, quotes="doubled")
    assert all(row in rows for row in good(with_doubled))
    assert bad(with_doubled)


def test_a_backslash_that_can_only_be_text_is_text(tmp_path: Path) -> None:
    content = 'label,text\nneutral,"C:\\"\nneutral,"a ""quoted\\"" word"\nneutral,fine\n'
    assert good(read(content, tmp_path)) == [["neutral", "C:\\"], ["neutral", 'a "quoted\\" word'], ["neutral", "fine"]]


def test_quotes_can_be_plain_characters(tmp_path: Path) -> None:
    content = 'text\tlabel\n"wow" she said\tpositive\n"open\tneutral\n'
    rows = read(content, tmp_path, "in.tsv", quotes="none")
    assert good(rows) == [['"wow" she said', "positive"], ['"open', "neutral"]]


@pytest.mark.parametrize(
    "line",
    [
        "negative,not bad, really",
        "negative",
        'negative,"good"y',
        "label,text",
    ],
)
def test_a_malformed_row_is_set_aside_with_its_line(line: str, tmp_path: Path) -> None:
    rows = read(f"label,text\npositive,good\n{line}\nneutral,fine\n", tmp_path)
    assert good(rows) == [["positive", "good"], ["neutral", "fine"]]
    assert list(bad(rows)) == [2]
    assert "line 3" in bad(rows)[2]


SHAPES = {
    "semicolons": "text;label\ngood, really;positive\n",
    "tabs": "text\tlabel\ngood, really\tpositive\n",
    "bars": "text|label\ngood, really|positive\n",
    "byte-order mark": "\ufefftext;label\ngood, really;positive\n",
    "blank first line": '\n\r\ntext,label\n"good, really",positive\n',
    "empty first row": ";\ntext;label\ngood, really;positive\n",
    "sep line": "sep=|\ntext|label\ngood, really|positive\n",
    "quoted sep line and mark": '\ufeff"sep=;"\r\ntext;label\r\ngood, really;positive\r\n',
    "old Mac": '"text","label"\r"good, really","positive"\r',
    "no last line end": 'text,label\n"good, really",positive',
    "trailing delimiter": 'text,label\n"good, really",positive,\n',
    "trailing delimiter in the header": 'text,label,\n"good, really",positive,\n',
    "spaces in the header": 'text, label\n"good, really",positive\n',
}


@pytest.mark.parametrize("content", SHAPES.values(), ids=SHAPES.keys())
def test_shapes(content: str, tmp_path: Path) -> None:
    rows = read(content, tmp_path)
    assert [row.values for row in rows] == [{"text": "good, really", "label": "positive"}]
    assert bad(rows) == {}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(encoding: str, tmp_path: Path) -> None:
    assert good(read("text,label\nschön 🚲,positive\n".encode(encoding), tmp_path)) == [["schön 🚲", "positive"]]


def test_a_file_without_header(tmp_path: Path) -> None:
    rows = read(b'"0","caf\xe9"\n"4","good, really"\n', tmp_path, columns=("label", "text"), encoding="latin-1")
    assert [row.values for row in rows] == [{"label": "0", "text": "café"}, {"label": "4", "text": "good, really"}]


def test_long_cells_make_up_no_rows(tmp_path: Path) -> None:
    page = "line of a page\n" * 60_000
    assert good(read(f'text\ngood\n"{page}"\nbad\n', tmp_path)) == [["good"], [page], ["bad"]]


def test_what_is_not_utf8_is_set_aside_with_the_likeliest_encoding(tmp_path: Path) -> None:
    content = "text,label\ngood,x\ndon’t 20 €,x\n".encode("cp1252")
    rows = read(content, tmp_path)
    assert bad(rows) == {2: "not UTF-8: perhaps cp1252; set the encoding (line 3)"}
    assert good(read(content, tmp_path, encoding="cp1252"))[1] == ["don’t 20 €", "x"]
    with pytest.raises(CommentwiseError, match=r"U\+0092, which is '’' in cp1252"):
        read(content, tmp_path, encoding="latin-1")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match="two columns with the same name 'label'"):
        read("text,label,label\ngood,x,y\n", tmp_path)


def test_a_file_without_any_well_formed_row_ahead_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match=r"opens in line 2 .* no rows follow in the next 1,000 lines: fix it"):
        read("text,label\n" + '"open,neutral\n' * 10_000, tmp_path)


TEXT = st.text(st.sampled_from("ab ,;|\t\"\\\n\r'é\u2028\x85"), max_size=12) | st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=8
)
TABLES = st.integers(2, 4).flatmap(lambda width: st.lists(st.lists(TEXT, min_size=width, max_size=width), max_size=8))


def by_csv(table: list[list[str]]) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(table)
    return stream.getvalue().encode()


def by_pandas(table: list[list[str]]) -> bytes:
    return pd.DataFrame(table[1:], columns=table[0], dtype=object).to_csv(index=False).encode()


def by_excel(table: list[list[str]]) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=";").writerows(table)
    return ("\ufeff" + stream.getvalue()).encode()


def by_excel_of_windows(table: list[list[str]]) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=";").writerows(table)
    return stream.getvalue().encode("cp1252", "replace")


def by_spark(table: list[list[str]]) -> bytes:
    """As Spark 4 does with its default options: in cells in quotes, a backslash stands before quotes and backslashes."""
    lines = []
    for row in table:
        cells = [
            '"' + cell.replace("\\", "\\\\").replace('"', '\\"') + '"'
            if any(c in cell for c in ',"\n\r') or not cell
            else cell
            for cell in row
        ]
        lines.append(",".join(cells) + "\n")
    return "".join(lines).encode()


WRITERS = {"csv": by_csv, "pandas": by_pandas, "excel": by_excel, "windows": by_excel_of_windows, "spark": by_spark}


@pytest.mark.parametrize("quotes", [None, "as written"])
@pytest.mark.parametrize("writer", WRITERS)
@given(table=TABLES)
@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_written_table_comes_back_row_for_row_or_is_refused(
    writer: str, quotes: str | None, table: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    width = len(table[0]) if table else 2
    header = ["text", "label", "c", "d"][:width]
    path = tmp_path_factory.getbasetemp() / f"{writer}.csv"
    path.write_bytes(WRITERS[writer]([header, *table]))
    encoding = "cp1252" if writer == "windows" else "utf-8"
    quotes = quotes and ("backslash" if writer == "spark" else "doubled")
    data = training_settings(data__path=str(path), data__encoding=encoding, data__quotes=quotes).data
    refused = ""
    try:
        rows = rows_of(path, Options(encoding=encoding, quotes=quotes))
    except CommentwiseError as error:
        refused = str(error)
    if refused and quotes is None:
        assert "a backslash before a quote" in refused
        with pytest.raises(CommentwiseError, match="a backslash before a quote"):
            list(read_rows(data))
        return
    written = [[cell.encode(encoding, "replace").decode(encoding) for cell in row] for row in table if row != header]
    assert comparable(good(rows), writer, quotes) == comparable(written, writer, quotes)
    trained = [(list(row.values()), isinstance(row, UnreadableRow)) for row in read_rows(data)]
    assert [cells for cells, unreadable in trained if not unreadable] == good(rows)
    assert len(trained) == len(rows)


def comparable(rows: list[list[str]], writer: str, quotes: str | None) -> list[list[str]]:
    """The rows without what a writer leaves open."""
    if writer in ("pandas", "spark"):  # a carriage return at the end of a row is not in quotes
        rows = [[*row[:-1], row[-1].rstrip("\r")] for row in rows]
    if writer == "spark" and not quotes:  # a backslash is doubled in cells with commas
        rows = [[cell.replace("\\\\", "\\") for cell in row] for row in rows]
    return rows
