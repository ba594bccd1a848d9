"""Run the whole pipeline on real data sets and write what came out to docs/results.md.

  python -m benchmarks.results [youtube] [semeval2017]

Each data set of benchmarks/datasets.yaml runs in a clone of the repository under build/, at the commit checked out; an
interrupted run goes on with the stage it was in. The figures are kept as JSON in benchmarks/results/.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks.report.charts import draw_quality
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json, write_text
from commentwise.models.cores import available_cores
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
from commentwise.training.provenance import environment_facts, git_facts
from commentwise.training.resources import processor_name
from commentwise.training.scores import paired_bootstrap
from commentwise.training.settings import load_settings

DATASETS = Path("benchmarks/datasets.yaml")
RESULTS = Path("benchmarks/results")
PAGE = Path("docs/results.md")
PICTURE = Path("docs/images/quality.png")
LINEAR = ("logreg", "svm")
PATHS = ("data.path", "families.bert.checkpoint")


def main() -> None:
    """Run the data sets named on the command line, or all that are there, and write the page."""
    datasets: dict[str, Any] = yaml.safe_load(DATASETS.read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"data sets to run (default: {' '.join(datasets)})")
    names = parser.parse_args().names or list(datasets)
    for name in names:
        if name not in datasets:
            raise CommentwiseError(f"no data set {name!r} in {DATASETS}: it has {', '.join(datasets)}")
        path = Path(datasets[name]["params"]["data.path"])
        if not path.exists():
            print(f"{name}: left out, since {path} is missing (wanted: {datasets[name]['source']})")
            continue
        write_json(RESULTS / f"{name}.json", run(name, datasets[name]["params"]))
    results = {name: read_json(RESULTS / f"{name}.json") for name in datasets if (RESULTS / f"{name}.json").exists()}
    if results:
        draw_quality(results, {name: datasets[name]["title"] for name in results}, PICTURE)
    write_text(PAGE, render(results, datasets))
    print(f"results: {', '.join(results) or 'none'} in {PAGE}")


def run(name: str, params: dict[str, Any]) -> dict[str, Any]:
    """Run the pipeline with these parameters in a clone, and collect what it measured."""
    root, clone = Path.cwd(), Path("build/results") / name
    if not clone.exists():
        _call(["git", "clone", "--quiet", str(root), str(clone)], root)
    _call(["git", "fetch", "--quiet"], clone)
    _call(["git", "checkout", "--quiet", "--force", str(git_facts()["commit"])], clone)
    overrides = [f"{key}={(root / value).resolve() if key in PATHS else value}" for key, value in params.items()]
    command = ["exp", "run", *(part for override in overrides for part in ("--set-param", override))]
    _call([sys.executable, "-m", "dvc", *command], clone)
    return collect(clone, params)


def collect(clone: Path, params: dict[str, Any]) -> dict[str, Any]:
    """What the pipeline measured in a clone with these parameters."""
    return {
        "command": "dvc exp run " + " ".join(f"-S {key}={value}" for key, value in params.items()),
        "machine": {"processor": processor_name(), "cores": available_cores()},
        "environment": environment_facts(),
        "git": git_facts(clone),
        "data": read_json(clone / DATA_REPORT.with_suffix(".json")),
        "selection": read_json(clone / SELECTION),
        "reference": read_json(clone / REFERENCE),
        "families": {family: _family(clone, family) for family in FAMILIES},
        "bert_lead_on_test": {family: _lead_on_test(clone, family) for family in LINEAR},
        "export": read_json(clone / EXPORT_REPORT),
    }


def _family(clone: Path, family: str) -> dict[str, Any]:
    metrics = read_json(clone / EVALUATION / family / "metrics.json")
    return {**metrics, "resources": read_json(clone / CANDIDATES / family / "resources.json")}


def _lead_on_test(clone: Path, family: str) -> dict[str, float]:
    """Macro-F1 of bert minus that of `family` on the test part, with its 95% interval."""
    settings = load_settings(clone / "params.yaml")
    ours = read_predictions("bert", "test", settings.labels, clone / CANDIDATES)
    theirs = read_predictions(family, "test", settings.labels, clone / CANDIDATES)
    lead, (low, high) = paired_bootstrap(
        ours.true, ours.predicted, theirs.predicted, len(settings.labels), settings.evaluate.resamples, settings.seed
    )
    return {"difference": lead, "low": low, "high": high}


def _call(command: list[str], folder: Path) -> None:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        raise CommentwiseError(f"`{' '.join(command)}` failed in {folder}; its message stands above")


def render(results: dict[str, Any], datasets: dict[str, Any]) -> str:
    """docs/results.md from the collected JSON."""
    lines = [
        "# Results on real comments",
        "",
        "Written by `python -m benchmarks.results`; the figures behind it are in benchmarks/results/.",
        "",
        "![Macro-F1 of each family on each data set](images/quality.png)",
    ]
    for name, result in results.items():
        lines += ["", f"## {datasets[name]['title']}", "", *_section(result, datasets[name])]
    return "\n".join(lines) + "\n"


def _section(result: dict[str, Any], dataset: dict[str, Any]) -> list[str]:
    data, machine, packages = result["data"], result["machine"], result["environment"]["packages"]
    parts = ", ".join(f"{part} {facts['comments']:,}" for part, facts in data["parts"].items())
    set_aside = ", ".join(f"{count:,} ({reason})" for reason, count in data["rejects"].items())
    return [
        f"Data: {dataset['source']}. {data['comments']:,} labelled comments: {parts}"
        + (f"; set aside {set_aside}" if set_aside else "")
        + f"; {data['copies']['exact'] + data['copies']['near']:,} copies, none across parts.",
        "",
        f"Command: `{result['command']}`",
        "",
        f"Machine: {machine['processor']}, {machine['cores']} cores; torch {packages['torch']}, transformers {packages['transformers']}, "
        f"scikit-learn {packages['scikit-learn']}, onnxruntime {packages['onnxruntime']}; {_code(result['git'])}.",
        "",
        "| model | validation macro-F1 | validation macro recall | test macro-F1 | test macro recall | test accuracy | ECE, calibrated | trained in |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(family, facts) for family, facts in result["families"].items()),
        *(
            f"| {family}, words and characters | {facts['validation']['macro_f1']:.3f} | {facts['validation']['macro_recall']:.3f} "
            f"| {facts['test']['macro_f1']:.3f} | {facts['test']['macro_recall']:.3f} | {facts['test']['accuracy']:.3f} | | |"
            for family, facts in result["reference"].items()
        ),
        "",
        *(
            f"On the test part bert leads {family} by {_points(lead['difference'])} points of macro-F1 (95% interval {_points(lead['low'])} to {_points(lead['high'])})."
            for family, lead in result["bert_lead_on_test"].items()
        ),
        "",
        f"Selection, on the validation part: {result['selection']['reason']}.",
        "",
        *_export(result["export"]),
    ]


def _row(family: str, facts: dict[str, Any]) -> str:
    validation, test = facts["validation"]["scores"], facts["test"]["scores"]
    return (
        f"| {family} | {_interval(validation['macro_f1'])} | {_interval(validation['macro_recall'])} | {_interval(test['macro_f1'])} "
        f"| {_interval(test['macro_recall'])} | {_interval(test['accuracy'])} | {facts['test']['ece_calibrated']:.3f} | {facts['resources']['seconds']:,.0f} s on {facts['resources']['device']} |"
    )


def _code(git: dict[str, Any]) -> str:
    changed = f" with later versions of {', '.join(git['dirty'])}" if git["dirty"] else ""
    return f"commit {git['commit'][:12]}{changed}"


def _export(export: dict[str, Any]) -> list[str]:
    torch = export["torch_fp32_comments_per_second"]
    lines = [
        f"Variants of {export['family']} on the {export['test_comments']:,} test comments: one comment per call, one thread, "
        f"{export['machine']['cores']} at a time (fp16: batches of 32, as a GPU serves it)"
        + (f". torch fp32 in the same run, batches of 32, all cores: {torch:.0f} comments/s" if torch else "")
        + ".",
        "",
        "| graph | MB | comments/s | against torch | macro-F1 lost | fp32's labels | refused because | in batches of 32 | serves |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for variant in export["variants"]:
        serves = ", ".join(device for device, file in export["devices"].items() if file == variant["file"])
        batches = variant["in_batches"]
        changed = (
            f"{batches['label_changes']} of {batches['comments']} labels change, probabilities move up to {batches['shift']:.3f}"
            if batches
            else ""
        )
        lines.append(
            f"| {variant['file']} | {variant['size'] / 1e6:.1f} | {_speed(variant)} | {_ratio(variant, torch)} "
            f"| {_points(variant['f1_loss'])} | {variant['agreement']:.2%} | {'; '.join(variant['refused_because'])} | {changed} | {serves} |"
        )
    return lines


def _speed(variant: dict[str, Any]) -> str:
    return f"{variant['comments_per_second']:.0f}" if variant["comments_per_second"] else ""


def _ratio(variant: dict[str, Any], torch: float | None) -> str:
    speed = variant["comments_per_second"]
    return f"{speed / torch:.2f}×" if torch and speed else ""


def _interval(score: dict[str, float]) -> str:
    return f"{score['value']:.3f} ({score['low']:.3f}–{score['high']:.3f})"


def _points(share: float) -> str:
    return f"{100 * share:.2f}"


if __name__ == "__main__":
    run_command(main)
