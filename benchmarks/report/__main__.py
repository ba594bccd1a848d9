"""Write the report of the benchmarks from their result files.

  python -m benchmarks.report [--mlflow]

Writes benchmarks/results/report/index.html, a single file that needs no network; report.md with its pictures, light and
dark; the headline figures as CSV for `dvc plots`; docs/int8.md and docs/results.md; and the sections between two comments
in README.md and docs/scale.md. Every figure comes from the result files; missing measurements are named.
"""

import argparse
import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.datasets import NAMES, DatasetResult, read_datasets
from benchmarks.document import replace_section
from benchmarks.report import int8_page, results_page
from benchmarks.report.chapters import growth, in_process, over_http, quality
from benchmarks.report.chapters.overview import changed, not_measured, overview_chart, tiles
from benchmarks.report.compare import baseline, changes, incomparable
from benchmarks.report.figures import Figure, figures
from benchmarks.report.pages import Report, write_html, write_markdown, write_readme
from benchmarks.report.result_files import REPORT, RESULTS, ResultName, Results, read_results
from benchmarks.report.section import Answer, Section
from benchmarks.result import OURS
from benchmarks.scale import capacity
from benchmarks.servers.result import measured_servers
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_text

README = Path("README.md")
INT8_PAGE = Path("docs/int8.md")
PLOTS = {"speeds.csv": ("comments/s", "requests/s"), "ratios.csv": ("×",)}
"""The files that dvc.yaml plots, with the units in each, since an axis has one unit."""


@dataclass(frozen=True)
class Question:
    """A question of the report."""

    name: str
    """Of its section."""
    text: str
    needs: tuple[ResultName, ...]
    """The results that answer it; one is enough."""
    answer: Callable[[Results], Answer]


QUESTIONS = (
    Question("engines", "How fast is it?", ("engines",), lambda found: in_process.how_fast(found["engines"])),
    Question("servers", "How much faster is it than common alternatives?", ("serving",), lambda found: over_http.peers(found["serving"])),
    Question("overload", "How does it behave under overload?", ("serving",), lambda found: over_http.overload(found["serving"])),
    Question("limit", "How close is it to the physical limit?", ("engines",), lambda found: in_process.limit(found["engines"])),
    Question("int8", "What does int8 cost?", ("engines", "int8"), quality.int8_cost),
    Question("models", "Is a smaller model enough?", ("engines",), lambda found: quality.smaller_models(found["engines"])),
    Question("datasets", "How good is it on real comments?", NAMES, quality.real_comments),
    Question("training", "How fast does it train?", ("training",), lambda found: growth.training(found["training"])),
    Question("scale", "How does the cost grow with the work?", ("scale",), lambda found: growth.scale(found["scale"])),
    Question("footprint", "How long does it take to start, and how large is it?", ("footprint",), lambda found: growth.footprint(found["footprint"])),
)  # fmt: skip
"""To add a question: write the function that answers it in a module of chapters/, and add it here."""


def main() -> None:
    """Write the report of a folder of results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        metavar="FOLDER",
        help="folder of the result files (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=REPORT,
        metavar="FOLDER",
        help="folder to write to (default: %(default)s; README.md and docs/ are rewritten for the default only)",
    )
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="results to compare with (default: those in git)")
    parser.add_argument(
        "--mlflow",
        action="store_true",
        help="record figures, results and report as an MLflow run, once per set of results",
    )
    options = parser.parse_args()  # fmt: skip
    results = read_results(options.results)
    if not results:
        raise CommentwiseError(f"no result files in {options.results}: run `make bench` to write them")
    label, before = ("the previous run", read_results(options.before)) if options.before else baseline(options.results)
    report = write(results, label, before, options.out)
    if options.out == REPORT:
        write_readme(README, report, options.out, results)
        _write_documents(results)
    print(f"report: {options.out / 'index.html'}")
    if options.mlflow:
        from benchmarks.report.record import record

        print(record(options.results, options.out))


def write(results: Results, label: str, before: Results, folder: Path) -> Report:
    """Write the report of these results into a folder, compared with those of `before`, which `label` names."""
    report = Report(tiles(results), overview_chart(results), sections(results, label, before))
    write_html(report, folder / "index.html")
    write_markdown(report, folder)
    found = figures(results).values()
    _write_csv(folder / "figures.csv", found)
    for name, units in PLOTS.items():
        _write_csv(folder / name, [figure for figure in found if figure.unit in units])
    return report


def sections(results: Results, label: str, before: Results) -> list[Section]:
    """Every question of the report, answered or reported as not measured."""
    answered = [
        Section(
            question.name,
            question.text,
            question.answer(results) if any(need in results for need in question.needs) else not_measured(question.needs),
        )
        for question in QUESTIONS
    ]  # fmt: skip
    compared = changed(label, changes(before, results) if before else [], incomparable(before, results))
    return [*answered, Section("changes", "What changed?", compared)]


def _write_documents(results: Results) -> None:
    """Rewrite docs/int8.md, docs/results.md and the section of docs/scale.md, as far as there are results for them."""
    if "int8" in results:
        write_text(INT8_PAGE, int8_page.render(results["int8"]))
    datasets: dict[str, DatasetResult] = {name: results[name] for name in NAMES if name in results}
    if datasets:
        write_text(results_page.PAGE, results_page.render(datasets, read_datasets()))
    if "serving" in results and OURS in measured_servers(results["serving"]["servers"]):
        replace_section(capacity.DOCUMENT, capacity.START, capacity.END, capacity.section(results["serving"]))


def _write_csv(path: Path, rows: Iterable[Figure]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["figure", "value", "low", "high", "unit"])
    writer.writerows([row.name, row.value, row.low, row.high, row.unit] for row in rows)
    write_text(path, text.getvalue())


if __name__ == "__main__":
    run_command(main)
