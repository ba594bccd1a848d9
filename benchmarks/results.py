"""Run the whole pipeline on real data sets and write docs/results.md.

  python -m benchmarks.results [youtube] [semeval2017] [youtube_after_semeval]

Each data set of benchmarks/datasets.yaml runs in a clone of the repository under build/, at the commit checked out. An
interrupted run continues with the stage that was interrupted. The figures are kept as JSON in benchmarks/results/.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.datasets import DATASETS, NAMES, DatasetResult, Family, Lead, read_datasets
from benchmarks.report.charts import draw_quality
from benchmarks.report.result_files import RESULTS, read_results
from benchmarks.report.results_page import PAGE, PICTURE, render
from benchmarks.run_facts import commit_facts, environment, machine_facts
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json, write_text
from commentwise.training.candidate import read_predictions
from commentwise.training.project import (
    CANDIDATES,
    DATA_REPORT,
    EVALUATION,
    EXPORT_REPORT,
    FAMILIES,
    REFERENCE,
    SELECTION,
)
from commentwise.training.scores import paired_bootstrap
from commentwise.training.settings import load_settings

LINEAR = ("logreg", "svm")
PATHS = ("data.path", "families.bert.checkpoint")
"""Parameters whose values are paths from the repository's root."""


def main() -> None:
    """Run the data sets named on the command line, by default all that exist, and write the page."""
    datasets = read_datasets()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"data sets to run (default: {' '.join(datasets)})")
    names = parser.parse_args().names or list(datasets)
    for name in names:
        if name not in datasets:
            raise CommentwiseError(f"no data set {name!r} in {DATASETS}: choose from {', '.join(datasets)}")
        path = Path(str(datasets[name]["params"]["data.path"]))
        if not path.exists():
            print(f"{name}: skipped, since {path} is missing (expected: {datasets[name]['source']})")
            continue
        write_json(RESULTS / f"{name}.json", run(name, datasets[name]["params"]))
    results = read_results(RESULTS)
    present: dict[str, DatasetResult] = {name: results[name] for name in NAMES if name in results}
    if present:
        draw_quality(present, {name: datasets[name]["title"] for name in present}, PICTURE)
    write_text(PAGE, render(present, datasets))
    print(f"results: {', '.join(present) or 'none'} in {PAGE}")


def run(name: str, params: dict[str, str | int | float]) -> DatasetResult:
    """Run the pipeline with these parameters in a clone, and collect its figures."""
    root, clone = Path.cwd(), Path("build/results") / name
    if not clone.exists():
        _call(["git", "clone", "--quiet", str(root), str(clone)], root)
    _call(["git", "fetch", "--quiet"], clone)
    _call(["git", "checkout", "--quiet", "--force", str(commit_facts()["commit"])], clone)
    overrides = [f"{key}={(root / str(value)).resolve() if key in PATHS else value}" for key, value in params.items()]
    command = ["exp", "run", *(part for override in overrides for part in ("--set-param", override))]
    _call([sys.executable, "-m", "dvc", *command], clone)
    return collect(clone, params)


def collect(clone: Path, params: dict[str, str | int | float]) -> DatasetResult:
    """The figures of a pipeline that ran in a clone with these parameters."""
    return {
        "command": "dvc exp run " + " ".join(f"-S {key}={value}" for key, value in params.items()),
        "machine": machine_facts(),
        "environment": environment(),
        "git": commit_facts(clone),
        "data": read_json(clone / DATA_REPORT.with_suffix(".json")),
        "selection": read_json(clone / SELECTION),
        "reference": read_json(clone / REFERENCE),
        "families": {family: _family(clone, family) for family in FAMILIES},
        "bert_lead_on_test": {family: _lead_on_test(clone, family) for family in LINEAR},
        "export": read_json(clone / EXPORT_REPORT),
    }


def _family(clone: Path, family: str) -> Family:
    metrics: Family = read_json(clone / EVALUATION / family / "metrics.json")
    metrics["resources"] = read_json(clone / CANDIDATES / family / "resources.json")
    return metrics


def _lead_on_test(clone: Path, family: str) -> Lead:
    """Macro-F1 of bert minus that of `family` on the test part, with its 95% interval."""
    settings = load_settings(clone / "params.yaml")
    ours = read_predictions("bert", "test", settings.labels, clone / CANDIDATES)
    theirs = read_predictions(family, "test", settings.labels, clone / CANDIDATES)
    lead, (low, high) = paired_bootstrap(
        ours.true, ours.predicted, theirs.predicted, len(settings.labels), settings.evaluate.resamples, settings.seed
    )
    return {"difference": lead, "low": low, "high": high}


def _call(command: list[str], folder: Path) -> None:
    variables = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if subprocess.run(command, cwd=folder, env=variables, check=False).returncode:
        raise CommentwiseError(f"`{' '.join(command)}` failed in {folder}: fix the error above")


if __name__ == "__main__":
    run_command(main)
