"""Detects how a file of comments is written: its encoding, columns and labels, with the reason for each."""

import itertools
import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commentwise.comments.files import Options, Source
from commentwise.comments.formats.compression import decompressed, reading
from commentwise.comments.formats.encodings import likeliest
from commentwise.comments.formats.rows import Row, as_text, by_reason, kind_of
from commentwise.comments.labels import folded_label, label_text
from commentwise.comments.language import language_of
from commentwise.comments.normalize import normalize
from commentwise.errors import CommentwiseError
from commentwise.training.data.times import parse_times
from commentwise.training.start.queue import is_queue

SAMPLED_ROWS = 5000
SAMPLED_BYTES = 2**23
SAMPLED_LANGUAGES = 300
MAX_LABELS = 50
FEW = 10
"""A label with fewer comments cannot be learned, or measured."""

NAMES = {
    "text": ("text", "comment", "review", "message", "content", "body", "tweet", "sentence", "post", "feedback"),
    "label": ("label", "sentiment", "rating", "stars", "polarity", "class", "category", "target", "score"),
    "comment_id": ("comment_id", "id", "cid", "uuid", "tweet_id", "review_id"),
    "published_at": ("published_at", "date", "time", "timestamp", "created_at", "created", "published"),
}
"""Words in the names of columns, most telling first."""
OPTIONAL = ("video_id", "part", "language", "parent_id", "like_count", "author", "fetched_at", "source")
"""Optional columns that are recognised by their exact name alone."""
TIME_FORMATS = ("auto", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%Y/%m/%d %H:%M")
SENTIMENT = ("negative", "neutral", "positive")
_WORDS = {word: label for label in SENTIMENT for word in (label, label[:3])}
_SIGNS = {"-1": "negative", "0": "neutral", "1": "positive"}
STARS = {"1": "negative", "2": "negative", "3": "neutral", "4": "positive", "5": "positive"}
SENTIMENT140 = {"0": "negative", "2": "neutral", "4": "positive"}


@dataclass(frozen=True)
class Answers:
    """The user's statements about the file; None: detect it."""

    text: str | None = None
    label: str | None = None
    stars: str | None = None
    """`three` labels or `five`, for ratings from 1 to 5."""
    options: Options = field(default_factory=Options)
    labelled: bool = True
    """False: the file has no labels."""


@dataclass
class Findings:
    """What was found in a file."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Values of params.yaml, by dotted name."""
    lines: list[str] = field(default_factory=list)
    """What was seen, in words."""
    doubts: dict[str, list[str]] = field(default_factory=dict)
    """Flags that would settle a doubt, with the possible values, likeliest first."""

    @property
    def labelled(self) -> bool:
        """True if the file has labels."""
        return "data.columns.label" in self.settings


def detect(path: Path, answers: Answers) -> Findings:
    """Look at the first rows of a file.

    Raises CommentwiseError if it cannot be read, no column can be the text, or it is a label queue without labels.
    """
    encoding = answers.options.encoding or _encoding(path)
    options = answers.options
    options = Options(options.format, encoding, options.delimiter, options.quotes, options.columns)
    source = Source(str(path), options)
    with source.opened() as table:
        columns, rows = table.columns, list(itertools.islice(table.rows, SAMPLED_ROWS))
    good = [row for row in rows if not row.reason]
    if not good:
        raise CommentwiseError(
            f"{path} has no row that can be read{_bad(rows)}: fix it, or say how it is written with --encoding or --delimiter"
        )
    findings = Findings()
    findings.settings |= {
        "data.hub": None,
        "data.hub_config": None,
        "data.format": options.format,
        "data.encoding": encoding,
        "data.delimiter": options.delimiter,
        "data.quotes": options.quotes,
        "data.header": list(options.columns) if options.columns else None,
        "data.splits": {},
    }
    # What an earlier file needed must not stick. Only limits stay: data.max_characters and data.max_rejected.
    findings.settings |= {f"data.columns.{name}": name for name in OPTIONAL}
    findings.lines.append(
        f"{source.format}, {encoding}, columns {', '.join(map(repr, columns))}; looked at {len(rows):,} rows{_bad(rows)}"
    )
    cells = {column: [_cell(row.values.get(column)) for row in good] for column in columns if _is_flat(good, column)}
    _check_header(path, cells)
    text = answers.text or _text_column(cells, findings)
    label = (answers.label or _label_column(path, cells, text, findings)) if answers.labelled else None
    for name, column in (("text", text), ("label", label)):
        if column is None:
            continue
        if column not in columns:
            raise CommentwiseError(
                f"{path} has no column {column!r} (it has {', '.join(map(repr, columns))}): correct --{name}"
            )
        if column not in cells:
            raise CommentwiseError(
                f"column {column!r} of {path} holds lists or objects: name another one with --{name}"
            )
        findings.settings[f"data.columns.{name}"] = column
    _optional_columns(cells, {text, label}, findings)
    findings.settings |= {f"data.columns.{name}": None for name in OPTIONAL if name in (text, label)}
    if label:
        _labels(cells[label], answers.stars, findings)
    _traits([value or "" for value in cells[text]], findings)
    return findings


def _bad(rows: Sequence[Row]) -> str:
    reasons = Counter(kind_of(row.reason) for row in rows if row.reason)
    return f", {sum(reasons.values()):,} of them bad ({by_reason(reasons)})" if reasons else ""


def _encoding(path: Path) -> str:
    """The encoding of the first bytes; utf-8 for what is not text."""
    with reading(str(path)), path.open("rb") as file:
        _, stream = decompressed(file, str(path))
        content = stream.read(SAMPLED_BYTES)
    if content.startswith((b"PAR1", b"\xff\xfe", b"\xfe\xff")):
        return "utf-8"
    try:
        content[: content.rfind(b"\n") + 1].decode()
    except UnicodeDecodeError:
        return likeliest(content)
    return "utf-8"


def _cell(value: Any) -> str | None:
    return label_text(as_text(value) if isinstance(value, bytes) else value)


def _check_header(path: Path, cells: dict[str, list[str | None]]) -> None:
    """Raise CommentwiseError if the first line seems to be a row: a number there is also a value further down."""
    for column, values in cells.items():
        if column.replace(".", "", 1).isdecimal() and column in values:
            raise CommentwiseError(
                f"the first line of {path} looks like a row, since {column!r} is also a value further down: name the columns with --columns"
            )


def _is_flat(rows: Sequence[Row], column: str) -> bool:
    return not any(isinstance(row.values.get(column), dict | list) for row in rows)


def _hint(kind: str, column: str) -> int:
    """How telling the name of a column is; 0 if it is not."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", column).lower())
    plain = "_".join(words)
    ranks = [len(NAMES[kind]) - rank for rank, name in enumerate(NAMES[kind]) if name == plain or name in words]
    return max(ranks, default=0) + (len(NAMES[kind]) if plain in NAMES[kind] else 0)


def _text_column(cells: dict[str, list[str | None]], findings: Findings) -> str:
    """The column of the longest, most varied texts; one with a telling name comes first."""
    lengths = {
        column: statistics.fmean(map(len, present))
        for column, values in cells.items()
        if (present := [value for value in values if value])
        and sum(" " in value for value in present) > 0.3 * len(present)
        and len(set(present)) > 0.3 * len(present)
        and parse_times(present[:100], "auto").isna().mean() > 0.1
    }
    if not lengths:
        raise CommentwiseError("no column holds texts of several words: name it with --text")
    ranked = sorted(lengths, key=lambda column: (_hint("text", column) > 0, lengths[column]), reverse=True)
    best = ranked[0]
    findings.lines.append(f"text: {best!r}, with {lengths[best]:.0f} characters on average{_by_name('text', best)}")
    rivals = [
        column
        for column in ranked[1:]
        if (_hint("text", column) > 0) == (_hint("text", best) > 0) and lengths[column] > lengths[best] / 3
    ]
    if rivals:
        findings.doubts["text"] = [best, *rivals]
    return best


def _label_column(path: Path, cells: dict[str, list[str | None]], text: str, findings: Findings) -> str | None:
    """The column with few different values, each in several rows; one with a telling name comes first. None if there is none.

    Raises CommentwiseError for a label queue with fewer than two different labels.
    """
    if is_queue(list(cells)):
        labels = [value for value in cells["label"] if value]
        if len(set(labels)) < 2:
            raise CommentwiseError(
                f"{path} is a label queue, and its column 'label' has {len(labels)} labels of {len(set(labels))} kinds: fill in more, of two kinds at least"
            )
        findings.lines.append(f"label: 'label', filled in in {len(labels):,} rows of the queue")
        return "label"
    kinds = {
        column: len(different)
        for column, values in cells.items()
        if column != text
        and 2 <= len(different := {value.casefold() for value in values if value}) <= MAX_LABELS
        and len(different) <= max(2, sum(value is not None for value in values) / 5)
    }
    if not kinds:
        findings.lines.append(
            "label: no column has a few values that repeat, as labels do; name it with --label if one does"
        )
        return None
    ranked = sorted(kinds, key=lambda column: (_hint("label", column), -kinds[column]), reverse=True)
    best = ranked[0]
    findings.lines.append(f"label: {best!r}, with {kinds[best]} different values{_by_name('label', best)}")
    if len(ranked) > 1 and _hint("label", best) == 0:
        findings.doubts["label"] = ranked
    return best


def _by_name(kind: str, column: str) -> str:
    return ", and its name says so" if _hint(kind, column) else ""


def _optional_columns(cells: dict[str, list[str | None]], used: set[str | None], findings: Findings) -> None:
    """The columns with ids and times; null where there is none."""
    free = {column: [value for value in values if value] for column, values in cells.items() if column not in used}
    ids = [
        column
        for column, values in free.items()
        if _hint("comment_id", column) and values and len(set(values)) == len(values)
    ]
    chosen = max(ids, key=lambda column: _hint("comment_id", column), default=None)
    findings.settings["data.columns.comment_id"] = chosen
    if chosen:
        findings.lines.append(f"id: {chosen!r}, which is different in every row")
    findings.settings |= {"data.columns.published_at": None, "data.time_format": "auto"}
    for column in sorted(free, key=lambda column: _hint("published_at", column), reverse=True):
        if not _hint("published_at", column) or not free[column]:
            continue
        for form in TIME_FORMATS:
            if parse_times(free[column], form).notna().mean() > 0.9:
                findings.settings |= {"data.columns.published_at": column, "data.time_format": form}
                written = "" if form == "auto" else f", written as {form}"
                findings.lines.append(f"time: {column!r}, e.g. {free[column][0]!r}{written}")
                return


def _labels(values: Sequence[str | None], stars: str | None, findings: Findings) -> None:
    """The labels, and what the values in the file mean. Raises CommentwiseError if there are fewer than two."""
    spellings: dict[str, Counter[str]] = {}
    for value in values:
        if value:
            spellings.setdefault(folded_label(value), Counter())[value] += 1
    if len(spellings) < 2:
        raise CommentwiseError("the label column has fewer than two different values: name another one with --label")
    if len(spellings) > MAX_LABELS:
        raise CommentwiseError(
            f"the label column has {len(spellings)} different values: name one with at most {MAX_LABELS} with --label"
        )
    counts = {folded: sum(found.values()) for folded, found in spellings.items()}
    labels = [
        folded if folded.lstrip("-").isdecimal() else found.most_common(1)[0][0]
        for folded, found in sorted(spellings.items())
    ]
    mapped = _sentiments(set(counts), stars)
    if mapped and set(counts) <= set(STARS) and stars is None:
        findings.doubts["stars"] = ["three", "five"]
    if mapped:
        labels = [label for label in SENTIMENT if label in mapped.values()]
        mapped = {value: label for value, label in mapped.items() if value != label}
    findings.settings |= {"labels": labels, "data.label_map": mapped}
    shown = ", ".join(
        f"{spellings[folded].most_common(1)[0][0]!r} ({count:,})"
        for folded, count in sorted(counts.items(), key=lambda item: -item[1])
    )
    findings.lines.append(f"label values: {shown}")
    meaning = ", ".join(f"{value} -> {label}" for value, label in _meanings(spellings, mapped, labels).items())
    findings.lines.append(f"labels: {', '.join(labels)}{f' ({meaning})' if meaning else ''}")
    if few := [value for value, count in counts.items() if count < FEW]:
        findings.lines.append(
            f"warning: {', '.join(map(repr, few))} in fewer than {FEW} rows: collect more of it, or map it to another label in data.label_map"
        )


def _meanings(
    spellings: Mapping[str, Counter[str]], mapped: Mapping[str, str], labels: Sequence[str]
) -> dict[str, str]:
    """The label of each value that is written in another way, by its most frequent spelling."""
    by_folded = {folded_label(label): label for label in labels}
    meanings = {
        found.most_common(1)[0][0]: mapped.get(folded, by_folded.get(folded)) for folded, found in spellings.items()
    }
    return {value: label for value, label in meanings.items() if label is not None and value != label}


def _sentiments(values: set[str], stars: str | None) -> dict[str, str]:
    """The sentiments that values in lower case stand for; empty if they are labels of their own."""
    if len(values) > 2 and values <= set(STARS):
        return {} if stars == "five" else {value: STARS[value] for value in sorted(values)}
    for known in (_SIGNS, SENTIMENT140):
        if values == set(known) or (known is SENTIMENT140 and values == {"0", "4"}):
            return {value: known[value] for value in sorted(values)}
    if values <= set(_WORDS) and len({_WORDS[value] for value in values}) == len(values):
        return {value: _WORDS[value] for value in sorted(values)}
    return {}


def _traits(texts: Sequence[str], findings: Findings) -> None:
    """Empty rows, copies and languages."""
    empty = sum(not text.strip() for text in texts)
    written = [normalize(text) for text in texts if text.strip()]
    copies = len(written) - len(set(written))
    languages = Counter(language_of(text) for text in written[:SAMPLED_LANGUAGES])
    told = ", ".join(
        f"{name} {count / len(written[:SAMPLED_LANGUAGES]):.0%}" for name, count in languages.most_common(3)
    )
    findings.lines.append(f"{empty:,} rows without text, {copies:,} copies of an earlier text; languages: {told}")
