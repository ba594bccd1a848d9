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
from benchmarks.families import ENCODER, LINEAR
from benchmarks.report.charts import draw_quality
from benchmarks.report.result_files import RESULTS, read_results
from benchmarks.report.results_page import PAGE, PICTURE, render
from benchmarks.run_facts import commit_facts, environment, machine_facts
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json, write_text
from commentwise.training.candidate import read_predictions, read_resources
from commentwise.training.project import Project
from commentwise.training.scores import paired_bootstrap
from commentwise.training.settings import load_settings

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
        write_json(RESULTS / f"{name}.json", run(Project(), name, datasets[name]["params"]))
    results = read_results(RESULTS)
    present: dict[str, DatasetResult] = {name: results[name] for name in NAMES if name in results}
    if present:
        draw_quality(present, {name: datasets[name]["title"] for name in present}, PICTURE)
    write_text(PAGE, render(present, datasets))
    print(f"results: {', '.join(present) or 'none'} in {PAGE}")


def run(project: Project, name: str, params: dict[str, str | int | float]) -> DatasetResult:
    """Run the pipeline with these parameters in a clone of the project, and collect its figures."""
    clone = project.build / "results" / name
    if not clone.exists():
        _call(["git", "clone", "--quiet", str(project.root.resolve()), str(clone.resolve())], project.root)
    _call(["git", "fetch", "--quiet"], clone)
    _call(["git", "checkout", "--quiet", "--force", str(commit_facts(project.root)["commit"])], clone)
    overrides = [
        f"{key}={(project.root / str(value)).resolve() if key in PATHS else value}" for key, value in params.items()
    ]
    command = ["exp", "run", *(part for override in overrides for part in ("--set-param", override))]
    _call([sys.executable, "-m", "dvc", *command], clone)
    return collect(Project(clone), params)


def collect(project: Project, params: dict[str, str | int | float]) -> DatasetResult:
    """The figures of a project whose pipeline ran with these parameters."""
    candidates = load_settings(project.params).candidates
    return {
        "command": "dvc exp run " + " ".join(f"-S {key}={value}" for key, value in params.items()),
        "machine": machine_facts(),
        "environment": environment(),
        "git": commit_facts(project.root),
        "data": read_json(project.data_report),
        "selection": read_json(project.selection),
        "reference": read_json(project.baselines),
        "families": {family: _family(project, family) for family in candidates},
        "bert_lead_on_test": {
            family: _lead_on_test(project, family) for family in LINEAR if {family, ENCODER} <= set(candidates)
        },
        "export": read_json(project.export_report),
    }


def _family(project: Project, family: str) -> Family:
    metrics: Family = read_json(project.evaluated(family))
    resources = read_resources(project.resources(family), project.candidate(family))
    metrics["resources"] = {"seconds": resources["seconds"], "device": resources["device"]} if resources else {}
    return metrics


def _lead_on_test(project: Project, family: str) -> Lead:
    """Macro-F1 of the encoder minus that of `family` on the test part, with its 95% interval."""
    settings = load_settings(project.params)
    ours = read_predictions(project.candidate(ENCODER), "test", settings.labels)
    theirs = read_predictions(project.candidate(family), "test", settings.labels)
    lead, (low, high) = paired_bootstrap(
        ours.targets, ours.predicted, theirs.predicted, len(settings.labels), settings.evaluate.resamples, settings.seed
    )
    return {"difference": lead, "low": low, "high": high}


def _call(command: list[str], folder: Path) -> None:
    variables = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if subprocess.run(command, cwd=folder, env=variables, check=False).returncode:
        raise CommentwiseError(f"`{' '.join(command)}` failed in {folder}: fix the error above")


if __name__ == "__main__":
    run_command(main)
