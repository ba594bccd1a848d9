"""Print the comparison of the candidates, the winner, the reason, and the path of the page that has more."""

import argparse
from typing import Any

from rich.console import Console
from rich.table import Table

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json
from commentwise.training.candidate import read_resources
from commentwise.training.project import HELD_OUT, Project

ORDINAL = {"mae": "test MAE, steps", "quadratic_kappa": "test kappa"}
"""Headings of the scores that only ordinal labels have."""


def main() -> None:
    """Print the report of the pipeline's last run."""
    argparse.ArgumentParser(prog="commentwise report", description=__doc__).parse_args()
    show(Project())


def show(project: Project) -> None:
    """Print the comparison as a table. Raises CommentwiseError if the pipeline has not run."""
    if not project.selection.is_file():
        raise CommentwiseError(f"{project.selection} is missing: run `commentwise run`, or get it back with `dvc pull`")
    selection, baselines = read_json(project.selection), read_json(project.baselines)
    metrics = {ranked["family"]: read_json(project.evaluated(ranked["family"])) for ranked in selection["ranking"]}
    ordinal = {
        name: heading for name, heading in ORDINAL.items() if name in metrics[selection["winner"]]["test"]["scores"]
    }
    table = Table(title="The same split for all; 95% intervals")
    for heading in (
        "family",
        "validation macro-F1",
        "test macro-F1",
        "test accuracy",
        *ordinal.values(),
        "ECE",
        "operations",
        "seconds",
    ):
        table.add_column(heading, justify="left" if heading == "family" else "right")
    for ranked in selection["ranking"]:
        family = ranked["family"]
        validation, test = (metrics[family][part] for part in HELD_OUT)
        table.add_row(
            f"[bold]{family}[/] (winner)" if family == selection["winner"] else family,
            _score(validation["scores"]["macro_f1"]),
            _score(test["scores"]["macro_f1"]),
            _score(test["scores"]["accuracy"]),
            *(_score(test["scores"][name]) for name in ordinal),
            f"{test['ece']:.3f}, calibrated {test['ece_calibrated']:.3f}",
            f"{ranked['operations']:,}",
            _seconds(read_resources(project.resources(family), project.candidate(family))),
        )
    console = Console(width=None if Console().is_terminal else 150)
    console.print(table)
    for name, facts in baselines.items():
        test = facts["test"]
        distances = "".join(
            f", {heading.removeprefix('test ')} {test[each]:.3f}" for each, heading in ordinal.items() if each in test
        )
        console.print(
            f"baseline: {name}: test macro-F1 {test['macro_f1']:.3f}, accuracy {test['accuracy']:.3f}{distances}",
            highlight=False,
        )
    console.print(f"\n{selection['reason']}.", highlight=False)
    _print_export(console, read_json(project.export_report))
    if project.report.is_file():
        console.print(f"\nthe page about this run: {project.report}", highlight=False, soft_wrap=True)


def _print_export(console: Console, report: dict[str, Any]) -> None:
    for variant in report["variants"]:
        served = ", ".join(device for device, file in report["devices"].items() if file == variant["file"])
        speed = f"{variant['comments_per_second']:.0f} comments/s, " if variant["comments_per_second"] else ""
        console.print(
            f"{variant['file']}: {variant['size'] / 1e6:.1f} MB, {speed}{variant['agreement']:.2%} of fp32's labels{f' -> serves {served}' if served else ''}",
            highlight=False,
        )


def _seconds(resources: dict[str, Any]) -> str:
    """Training time; unknown for a candidate that was restored from DVC's cache."""
    return f"{resources['seconds']:.0f}" if resources else "–"


def _score(score: dict[str, float]) -> str:
    return f"{score['value']:.3f} ({score['low']:.3f}-{score['high']:.3f})"


if __name__ == "__main__":
    run_command(main)
