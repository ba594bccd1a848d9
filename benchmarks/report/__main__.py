"""The benchmarks' report, from the result files that are there.

  python -m benchmarks.report [--mlflow]

Writes benchmarks/results/report/index.html, one file that needs no network; report.md with its pictures, light and dark; the
headline figures as CSV for `dvc plots`; and the sections between two comments in README.md and docs/scale.md. Every figure
in them comes from the result files; what was not measured is named.
"""

import argparse
import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import growth, quality, servers, speed
from benchmarks.report.compare import baseline, changes, unlike
from benchmarks.report.document import replace_section
from benchmarks.report.figures import DATASETS, REPORT, RESULTS, figures, read_results
from benchmarks.report.overview import changed, not_measured, overview_chart, tiles
from benchmarks.report.pages import Report, write_html, write_markdown, write_readme
from benchmarks.report.section import Answer, Section
from benchmarks.scale import capacity
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_text

README = Path("README.md")
PLOTS = {"speeds.csv": ("comments/s", "requests/s"), "ratios.csv": ("×",)}
"""The files that dvc.yaml plots, and the units in each: one axis has one unit."""

QUESTIONS: tuple[tuple[str, str, tuple[str, ...], Callable[[dict[str, Any]], Answer]], ...] = (
    ("engines", "How fast is it?", ("engines",), lambda found: speed.how_fast(found["engines"])),
    ("servers", "What do people use today, and how much faster is this?", ("serving",), lambda found: servers.peers(found["serving"])),
    ("overload", "When does it fall over?", ("serving",), lambda found: servers.overload(found["serving"])),
    ("limit", "How far is the physical limit?", ("engines",), lambda found: speed.limit(found["engines"])),
    ("int8", "What does int8 cost?", ("engines", "int8"), quality.int8_cost),
    ("models", "Is a smaller model enough?", ("engines",), lambda found: quality.smaller_models(found["engines"])),
    ("datasets", "How good is it on real comments?", DATASETS, quality.real_comments),
    ("training", "How fast does it train?", ("training",), lambda found: growth.training(found["training"])),
    ("scale", "What happens as work grows?", ("scale",), lambda found: growth.scale(found["scale"])),
    ("footprint", "What does it take to start and install?", ("footprint",), lambda found: growth.footprint(found["footprint"])),
)  # fmt: skip
"""Of each section: its name, its question, the results of which at least one answers it, and how."""


def main() -> None:
    """Write the report of the results that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FOLDER", help="result files (default: %(default)s)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=REPORT,
        metavar="FOLDER",
        help="where the report goes (default: %(default)s; README.md and docs/scale.md are rewritten for this one only)",
    )
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="results to compare with (default: what git has)")
    parser.add_argument(
        "--mlflow", action="store_true", help="record figures, results and report as an MLflow run, once"
    )
    options = parser.parse_args()  # fmt: skip
    results = read_results(options.results)
    if not results:
        raise CommentwiseError(f"there are no result files in {options.results}: `make bench` writes them")
    label, before = ("the run before", read_results(options.before)) if options.before else baseline(options.results)
    report = write(results, label, before, options.out)
    if options.out == REPORT:
        write_readme(README, report, options.out, results)
        if "serving" in results:
            replace_section(capacity.DOCUMENT, capacity.START, capacity.END, capacity.section(results["serving"]))
    print(f"report: {options.out / 'index.html'}")
    if options.mlflow:
        from benchmarks.report.record import record

        print(record(options.results, options.out))


def write(results: dict[str, Any], label: str, before: dict[str, Any], folder: Path) -> Report:
    """Write the report of these results into a folder, compared with those before."""
    report = Report(tiles(results), overview_chart(results), sections(results, label, before))
    write_html(report, folder / "index.html")
    write_markdown(report, folder)
    found = figures(results).values()
    _write_csv(folder / "figures.csv", [[f.name, f.value, f.low, f.high, f.unit] for f in found])
    for name, units in PLOTS.items():
        _write_csv(folder / name, [[f.name, f.value, f.low, f.high, f.unit] for f in found if f.unit in units])
    return report


def sections(results: dict[str, Any], label: str, before: dict[str, Any]) -> list[Section]:
    """Every question of the report, answered or named as not measured."""
    found = [
        Section(name, question, answer(results) if any(need in results for need in needs) else not_measured(needs))
        for name, question, needs, answer in QUESTIONS
    ]
    compared = changed(label, changes(before, results) if before else [], unlike(before, results))
    return [*found, Section("changes", "What changed?", compared)]


def _write_csv(path: Path, rows: list[list[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([["figure", "value", "low", "high", "unit"], *rows])
    write_text(path, text.getvalue())


if __name__ == "__main__":
    run_command(main)
