"""Show the DVC experiments of a sweep, the best first: what was changed, how good the winner is, how long it took.

  dvc exp run -S families.svm.C=[1]       # or: dvc exp run --queue -S …, then dvc queue start
  commentwise experiments

The best has the highest macro-F1 on the validation part; the test part is shown and never chooses.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mlflow.tracking import MlflowClient
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from commentwise.errors import CommentwiseError, run_command
from commentwise.training.compare.facts import differing, shown
from commentwise.training.project import HELD_OUT, Project
from commentwise.training.registry.history_tables import interval
from commentwise.training.registry.tracking import EXPERIMENT, FAMILY_TAG, connect

SECONDS = "resources.seconds"


@dataclass(frozen=True)
class Trial:
    """A DVC experiment."""

    name: str
    revision: str
    baseline: str
    """The commit that it started from."""
    changed: dict[str, Any]
    """The parameters that differ from those of the baseline, by dotted name."""
    winner: str | None
    """The family that selection chose; None if the experiment did not get that far."""
    scores: dict[str, dict[str, float]]
    """Macro-F1 of the winner by part: value, low and high."""
    seconds: float | None
    """Training time of the winner; None if it was taken from DVC's cache."""
    state: str
    """queued, running or failed; empty if it is finished."""

    @property
    def validation(self) -> float:
        """Macro-F1 on the validation part; below any score if there is none."""
        return self.scores["validation"]["value"] if "validation" in self.scores else -1.0


def main() -> None:
    """Print the experiments."""
    parser = argparse.ArgumentParser(
        prog="commentwise experiments", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = trials(Project())
    if arguments.json:
        print(json.dumps([asdict(trial) for trial in found], indent=2, ensure_ascii=False))
    else:
        Console(highlight=False).print(trial_table(found))


def trials(project: Project) -> list[Trial]:
    """Every DVC experiment of the repository, the best first.

    Raises CommentwiseError if there is none, or no DVC repository.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.repo.experiments.utils import exp_refs

    try:
        with Repo(str(project.root)) as repo:
            baselines = sorted({ref.baseline_sha for ref in exp_refs(repo.scm)} | {repo.scm.get_rev()})
            states = repo.experiments.show(revs=baselines, hide_workspace=True)
    except NotDvcRepoError:
        raise CommentwiseError(
            f"{project.root.resolve()} is no DVC repository: run `dvc init`, or go to the project's folder"
        ) from None
    client = connect(project)
    found = [trial for state in states for trial in _trials(client, project, state)]
    if not found:
        raise CommentwiseError("there is no DVC experiment: run one with `commentwise run -S section.key=value`")
    return sorted(found, key=lambda trial: trial.validation, reverse=True)


def _trials(client: MlflowClient, project: Project, baseline: Any) -> Iterator[Trial]:
    """The experiments that started from a commit."""
    start = _file(baseline.data.params, project.params.name) if baseline.data else {}
    for each in baseline.experiments or ():
        tip = each.revs[0]
        params = _file(tip.data.params, project.params.name) if tip.data else {}
        winner, scores = _scores(project, tip.data.metrics if tip.data else {})
        name = each.name or tip.name or tip.rev[:7]
        state = each.executor.state if each.executor else ""
        yield Trial(
            name=name,
            revision=tip.rev,
            baseline=baseline.rev,
            changed={change.name: change.after for change in differing(start, params)} if params else {},
            winner=winner,
            scores=scores,
            seconds=_seconds(client, name, winner) if winner else None,
            state="" if state == "success" else state,
        )


def _file(results: dict[str, Any], path: str) -> dict[str, Any]:
    return dict(results.get(path, {}).get("data") or {})


def _scores(project: Project, metrics: dict[str, Any]) -> tuple[str | None, dict[str, dict[str, float]]]:
    """The winner of an experiment, and its macro-F1 by part."""

    def path(file: Any) -> str:
        return str(file.relative_to(project.root).as_posix())

    winner = _file(metrics, path(project.selection)).get("winner")
    if winner is None:
        return None, {}
    evaluation = _file(metrics, path(project.evaluated(winner)))
    return winner, {part: evaluation[part]["scores"]["macro_f1"] for part in HELD_OUT if part in evaluation}


def _seconds(client: MlflowClient, name: str, winner: str) -> float | None:
    """The training time of the winner, from the run that training recorded in MLflow."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    query = f"tags.`dvc.experiment` = '{name}' and tags.`{FAMILY_TAG}` = '{winner}'"
    runs = client.search_runs([experiment.experiment_id], query)
    known = [run.data.metrics[SECONDS] for run in runs if SECONDS in run.data.metrics]
    return float(known[0]) if known else None


def trial_table(found: list[Trial]) -> Table:
    """The experiments, one each; fits 80 columns."""
    table = Table(
        box=box.HORIZONTALS, padding=(0, 1, 0, 0), pad_edge=False, title="Macro-F1 of the winner, 95% intervals"
    )
    for title in ("name, winner", "changed"):
        table.add_column(title, overflow="fold")
    for part in HELD_OUT:
        table.add_column(part, no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for trial in found:
        changed = "\n".join(f"{name}={shown(value)}" for name, value in trial.changed.items()) or "–"
        scores = [interval(trial.scores[part]) if part in trial.scores else "–" for part in HELD_OUT]
        seconds = f"{trial.seconds:.0f}" if trial.seconds is not None else "cached" if trial.winner else "–"
        name = f"{trial.name}\n{trial.winner or trial.state or 'no winner'}"
        table.add_row(*map(Text, (name, changed, *scores, seconds)))
    return table


if __name__ == "__main__":
    run_command(main)
