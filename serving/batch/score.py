"""Score files of comments with a bundle.

  commentwise score comments.csv -o scored.csv --column Comment

Reads .csv, .tsv, .jsonl, .json, saved answers of the YouTube API, yt-dlp and youtube-comment-downloader, and .parquet,
plain or compressed, several files at once, or standard input (-). The output has the columns of the input, and label,
confidence, a probability per label and the bundle. Rows that cannot be scored go to a reject file with the reason. Run
the same command again to continue a run that was interrupted or killed.
"""

import argparse
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from commentwise.comments.files import STANDARD_STREAM, Rows, Source
from commentwise.comments.formats.parquet import common_type
from commentwise.comments.formats.rows import by_reason, check_names
from commentwise.errors import CommentwiseError, run_command
from commentwise.models.bundle import MANIFEST, Classifier, Manifest, bundle_id
from commentwise.models.names import bundle_folder
from commentwise.serving.batch.arguments import (
    check_paths,
    default_rejects,
    device_of,
    new_names,
    options_work,
    parser,
    reading_options,
)
from commentwise.serving.batch.chunks import (
    CHUNK_ROWS,
    CHUNKS_AT_ONCE,
    Scorer,
    answer_columns,
    chunks,
    in_order,
    replacing,
    was_scored,
)
from commentwise.serving.batch.outputs import PartialFile, StandardOutput, Totals
from commentwise.serving.batch.writers import Format, ParquetFormat, RowFormat, TextFormat, format_of


def main() -> None:
    """Score the inputs on the command line; print a summary on standard error."""
    arguments = parser(__doc__ or "").parse_args()
    if arguments.engine == "ray":
        _score_on_cluster(arguments)
        return
    resumable = STANDARD_STREAM not in (*arguments.inputs, arguments.output)
    with _stoppable(resumable):
        rejects = arguments.rejects or default_rejects(arguments.output)
        check_paths(arguments.inputs, arguments.output, rejects, arguments.overwrite)
        options = reading_options(arguments)
        inputs = [Source(name, options) for name in arguments.inputs]
        names = new_names(arguments.rename)
        model = bundle_folder(arguments.model)
        manifest = Manifest.from_json(model / MANIFEST)
        answers = answer_columns(manifest.labels)
        target = format_of(arguments.output, arguments.output_format)
        columns, before = survey(inputs, arguments.column, answers, names, typed=target.kind == "parquet")
        if arguments.bom and target.kind != "csv":
            raise CommentwiseError(f"--bom marks CSV and the output is {target.kind}: leave it out")
        if before:
            print(replacing(before, answers), file=sys.stderr)
        form, only = _row_format(arguments.output, target, columns, answers, arguments.bom)
        classifier = Classifier(model, device_of(arguments.device, manifest), cascade=arguments.cascade)
        work = work_of(inputs, arguments.column, classifier) | options_work(arguments)
        sink: PartialFile | StandardOutput = (
            StandardOutput(rejects)
            if arguments.output == STANDARD_STREAM
            else PartialFile(Path(arguments.output), rejects, form, work, arguments.restart or not resumable)
        )
        earlier = sink.totals.rows
        seconds = run(inputs, Scorer(classifier, arguments.column, only, form, before), sink, names)
        print(_summary(sink.totals, earlier, seconds, manifest.labels, rejects, arguments.output), file=sys.stderr)
        _check_scored(sink.totals, rejects)


def _score_on_cluster(arguments: argparse.Namespace) -> None:
    from commentwise.serving.batch.cluster import score  # needs pyarrow and Ray

    for flag in ("rejects", "format", "output_format", "encoding", "delimiter", "quotes", "columns", "bom"):
        if getattr(arguments, flag):
            raise CommentwiseError(
                f"--{flag.replace('_', '-')} does not go with --engine ray, which writes a folder of Parquet files: leave it out"
            )
    with _stoppable(True):
        model = bundle_folder(arguments.model)
        manifest = Manifest.from_json(model / MANIFEST)
        device = device_of(arguments.device, manifest)
        totals, earlier, seconds = score(
            arguments.inputs,
            arguments.output,
            model,
            arguments.column,
            device,
            arguments.cascade,
            arguments.ray_address,
            arguments.overwrite,
            arguments.restart,
            new_names(arguments.rename),
        )
    rejects = f"{arguments.output.rstrip('/')}/_rejects"
    print(_summary(totals, earlier, seconds, manifest.labels, rejects, arguments.output), file=sys.stderr)
    _check_scored(totals, rejects)


def _check_scored(totals: Totals, rejects: Path | str) -> None:
    if totals.rejected and not totals.rows:
        raise CommentwiseError(
            f"none of the {totals.rejected:,} rows could be scored ({by_reason(totals.reasons)}): see {rejects}"
        )


def survey(
    inputs: Iterable[Source],
    column: str,
    answers: Collection[str],
    names: Mapping[str, str] | None = None,
    typed: bool = True,
) -> tuple[dict[str, Any], list[str]]:
    """The columns of all inputs in order of appearance, with their common Arrow types if `typed`, or None if unknown.

    Second, the names of the inputs that were scored before; their answers do not count as columns. `names` are new
    names of columns. Raises CommentwiseError if an input cannot be read, lacks `column`, has some columns with the
    names of results, or one of a type that does not go with that of another input.
    """
    names = names or {}
    columns: dict[str, Any] = {}
    origin: dict[str, str] = {}
    before: list[str] = []
    unused = set(names)
    for source in inputs:
        with source.opened() as table:
            unused -= set(table.columns)
            types = {names.get(name, name): table.types.get(name) if typed else None for name in table.columns}
            check_names(source.name, [names.get(name, name) for name in table.columns])
            if was_scored(source.name, types, answers):
                before.append(source.name)
                types = {name: known for name, known in types.items() if name not in answers}
            # JSON lines without a readable row have no columns at all.
            if types and column not in types:
                raise CommentwiseError(
                    f"{source.name} has no column {column!r}, only {', '.join(map(repr, types))}: name one of these with --column, "
                    "or all with --columns if there is no header"
                )
            for name, known in types.items():
                first = origin.setdefault(name, source.name)
                columns[name] = (
                    common_type(name, columns[name], known, first, source.name) if name in columns else known
                )
    if unused:
        raise CommentwiseError(f"no input has a column {min(unused)!r}: correct --rename")
    return columns, before


def _row_format(
    output: str, form: Format, columns: dict[str, Any], answers: dict[str, str], bom: bool
) -> tuple[RowFormat, frozenset[str] | None]:
    """The format of the output, and the columns that rows may have, or None if any."""
    names = [*columns, *answers]
    if form.kind == "parquet":
        return ParquetFormat(output, names, columns | answers), frozenset(columns)
    return TextFormat(form, names, bom), frozenset(columns) if form.kind == "csv" else None


def work_of(inputs: Iterable[Source], column: str, classifier: Classifier) -> dict[str, str]:
    """Everything the output depends on, by names for messages."""
    work = {}
    for number, source in enumerate(inputs, start=1):
        changed = "" if source.name == STANDARD_STREAM else f", changed {_changed(Path(source.name))}"
        path = source.name if source.name == STANDARD_STREAM else Path(source.name).resolve()
        work[f"input {number}"] = f"{path} ({source.format}, {source.size} bytes{changed})"
    return work | {
        "--column": column,
        "the bundle": bundle_id(classifier.folder),
        "the graph": classifier.graph,
        "rows per chunk": str(CHUNK_ROWS),
    }


def _changed(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="microseconds")


def run(
    inputs: Sequence[Source], scorer: Scorer, sink: PartialFile | StandardOutput, names: Mapping[str, str] | None = None
) -> float:
    """Score the rows that the sink does not have yet, with new `names` for columns; return the seconds taken."""
    started = time.monotonic()
    rows = Rows(inputs, names)
    remaining = iter(rows)
    deque(islice(remaining, sink.totals.chunks * CHUNK_ROWS), maxlen=0)  # scored by an earlier run
    with (
        _progress(sum(source.size for source in inputs), rows.position, sink.totals) as show,
        ThreadPoolExecutor(CHUNKS_AT_ONCE) as pool,
        scorer.classifier.engine,  # closed before the pool, so that abandoned comments are dropped
    ):
        for scored in in_order(pool, scorer, chunks(rows, remaining, sink.totals.chunks)):
            sink.add(scored)
            show(scored.position)
    sink.finish()
    return time.monotonic() - started


@contextmanager
def _progress(size: int, position: int, totals: Totals) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal; yield a function that takes the bytes of input done."""
    bar = Progress(
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[done]:,} rows, {task.fields[speed]:,.0f}/s,"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    started, earlier = time.monotonic(), totals.rows
    with bar:
        task = bar.add_task("", total=size or None, completed=position, done=earlier, speed=0.0)

        def show(reached: int) -> None:
            speed = (totals.rows - earlier) / (time.monotonic() - started)
            bar.update(task, completed=reached, done=totals.rows, speed=speed)

        yield show


def _summary(
    totals: Totals, earlier: int, seconds: float, labels: Sequence[str], rejects: Path | str, output: str
) -> str:
    before = f", {earlier:,} of them by an earlier run," if earlier else ""
    counts = ", ".join(f"{label} {totals.labels.get(label, 0):,}" for label in labels)
    set_aside = f"{totals.rejected:,} set aside"
    if totals.rejected:
        set_aside += f" ({by_reason(totals.reasons)}) in {rejects}"
    return (
        f"scored {totals.rows:,} of {totals.rows + totals.rejected:,} rows{before} in {seconds:.1f} s "
        f"({(totals.rows - earlier) / seconds:,.0f} comments/s): {counts}; {set_aside}; "
        f"written to {'standard output' if output == STANDARD_STREAM else output}"
    )


class _Stopped(BaseException):
    """Raised by a signal that asks the process to stop."""


@contextmanager
def _stoppable(resumable: bool) -> Iterator[None]:
    """Stop the block at SIGINT or SIGTERM, print how to continue, and exit with 128 + signal, as shells expect."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, _: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)  # a second signal must not interrupt the shutdown
        raise _Stopped(number)

    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    except _Stopped as stopped:
        verb = "interrupted" if stopped.args[0] == signal.SIGINT else "terminated"
        advice = (
            "run the same command again to continue"
            if resumable
            else "standard input and output cannot be continued: start the command again"
        )
        print(f"{verb}: {advice}", file=sys.stderr)
        sys.exit(128 + stopped.args[0])


if __name__ == "__main__":
    run_command(main)
