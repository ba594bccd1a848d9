"""Fine-tune the encoder with several seeds, to measure the random variation of its scores.

  commentwise seeds 3

All runs use the split in data/prepared; the order of comments and the dropout differ. Finished seeds are not trained
again, so the command can be interrupted and repeated, and a larger count reuses the runs of a smaller one.
"""

import argparse
import statistics
from typing import Any

from rich.console import Console
from rich.table import Table

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json
from commentwise.training.params import read_params
from commentwise.training.project import HELD_OUT, Project
from commentwise.training.registry.tracking import study_run
from commentwise.training.settings import parse_settings
from commentwise.training.studies.trials import run_trial, study_key


def main() -> None:
    """Train with several seeds, print the scores, and write them to reports/seeds.json."""
    parser = argparse.ArgumentParser(
        prog="commentwise seeds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("count", type=int, help="number of seeds; the first is that of params.yaml")
    count = parser.parse_args().count
    if count < 2:
        raise CommentwiseError(f"{count} seeds have no standard deviation: give 2 or more")
    project = Project()
    params = read_params(project.params)
    settings = parse_settings(params, project.params)
    rows: list[dict[str, Any]] = []
    with study_run(project, "bert-seeds", study_key(project, settings, "seeds")) as run:
        for seed in range(settings.seed, settings.seed + count):
            print(f"seeds: {len(rows) + 1} of {count}, seed {seed}", flush=True)
            metrics = read_json(run_trial(project, {**params, "seed": seed}, run.run_id) / "metrics.json")
            rows.append({"seed": seed, **metrics})
        report = summary(rows)
        run.log({f"{name}.{part}": value for name, facts in report["scores"].items() for part, value in facts.items()})
    write_json(project.seeds_report, report)
    _show(report)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The scores of each seed, and the mean and sample standard deviation (n - 1) of each part's macro-F1."""
    names = [f"{part}_macro_f1" for part in HELD_OUT]
    scores = {name: [float(row[name]) for row in rows] for name in names}
    return {
        "seeds": [
            {"seed": row["seed"], "epoch": row["chosen"]["epoch"], **{name: row[name] for name in names}}
            for row in rows
        ],
        "scores": {
            name: {"mean": statistics.mean(values), "deviation": statistics.stdev(values)}
            for name, values in scores.items()
        },
    }


def _show(report: dict[str, Any]) -> None:
    table = Table("seed", "best epoch", *(f"{part} macro-F1" for part in HELD_OUT))
    for row in report["seeds"]:
        table.add_row(str(row["seed"]), str(row["epoch"]), *(f"{row[f'{part}_macro_f1']:.3f}" for part in HELD_OUT))
    table.add_section()
    facts = [report["scores"][f"{part}_macro_f1"] for part in HELD_OUT]
    table.add_row("mean ± sd", "", *(f"{fact['mean']:.3f} ± {fact['deviation']:.3f}" for fact in facts))
    Console().print(table)


if __name__ == "__main__":
    run_command(main)
