"""Stage select: rank the candidates in MLflow by validation macro-F1, and record the winner and the reason.

The leader wins, unless a cheaper candidate is shown to be no worse: if the 95% interval of their difference, by a paired
bootstrap, rules out that it loses `select.margin` or more (non-inferiority, as in Piaggio et al. 2012, CONSORT). The
cheapest of these wins. A difference that is not significant is no proof of equality. The test part is not used.
"""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import mlflow
from mlflow.tracking import MlflowClient

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import atomic_folder, write_json
from commentwise.training.candidate import Predictions, read_metrics, read_predictions
from commentwise.training.data.sources import source_name
from commentwise.training.project import Project
from commentwise.training.provenance import data_facts
from commentwise.training.registry.tracking import EXPERIMENT, connect, record_candidate
from commentwise.training.scores import paired_bootstrap
from commentwise.training.settings import Settings, load_settings


@dataclass(frozen=True)
class Ranked:
    """A candidate in the ranking."""

    family: str
    macro_f1: float
    operations: int
    """Multiply-adds per comment."""


def main() -> None:
    """Select the winner of the project's candidates."""
    project = Project()
    settings = load_settings(project.params)
    drop_left_out(project, settings.candidates)
    ranking = rank(connect(project), project, settings)
    predictions = {
        ranked.family: read_predictions(project.candidate(ranked.family), "validation", settings.labels)
        for ranked in ranking
    }
    selection = choose(ranking, predictions, settings)
    winner = selection["winner"]
    with atomic_folder(project.winner) as folder:
        shutil.copytree(project.candidate(winner), folder, dirs_exist_ok=True)
        shutil.copyfile(project.evaluated(winner), folder / "evaluation.json")
    write_json(project.selection, selection)
    print(f"select: {selection['reason']}")


def drop_left_out(project: Project, candidates: Collection[str]) -> None:
    """Delete the candidates and evaluations of other families, which an earlier run with more families left.

    DVC keeps outputs of stages that no longer exist, and would count them among this stage's dependencies. They stay in its
    cache.
    """
    for folder in (*project.candidates.glob("*/"), *project.evaluation.glob("*/")):
        if folder.name not in candidates:
            shutil.rmtree(folder)


def rank(client: MlflowClient, project: Project, settings: Settings) -> list[Ranked]:
    """Record the candidates in MLflow and rank them, best first, by validation macro-F1 on the project's data.

    Raises CommentwiseError when MLflow does not answer, or does not return every candidate.
    """
    families = settings.candidates
    model_ids = {record_candidate(client, project, family, settings): family for family in families}
    digest = data_facts(project, source_name(settings.data))["prepared_md5"]
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    models = mlflow.search_logged_models(
        experiment_ids=[experiment.experiment_id],
        datasets=[{"dataset_name": "validation", "dataset_digest": digest}],
        order_by=[
            {
                "field_name": "metrics.macro_f1",
                "ascending": False,
                "dataset_name": "validation",
                "dataset_digest": digest,
            }
        ],
        output_format="list",
    )
    ranking = [
        Ranked(
            model_ids[model.model_id],
            _validation_score(model, digest),
            read_metrics(project.candidate(model_ids[model.model_id]))["operations"],
        )
        for model in models
        if model.model_id in model_ids
    ]
    if len(ranking) != len(families):
        raise CommentwiseError(
            f"MLflow has {len(ranking)} of the {len(families)} candidates on data {digest}: run `dvc repro --force select`"
        )
    return ranking


def _validation_score(model: Any, digest: str) -> float:
    return next(
        float(metric.value)
        for metric in model.metrics
        if metric.key == "macro_f1" and metric.dataset_name == "validation" and metric.dataset_digest == digest
    )


def choose(ranking: list[Ranked], predictions: dict[str, Predictions], settings: Settings) -> dict[str, Any]:
    """Choose the winner from a ranking, best first, and every family's predictions for the same validation rows.

    Returns the content of selection.json. Raises CommentwiseError if the rows differ between the families.
    """
    leader = ranking[0]
    comparisons = {
        ranked.family: _compare(predictions[leader.family], predictions[ranked.family], settings)
        for ranked in ranking[1:]
    }
    proven = [
        ranked
        for ranked in ranking[1:]
        if ranked.operations < leader.operations and comparisons[ranked.family]["high"] < settings.select.margin
    ]
    winner = min([leader, *proven], key=lambda ranked: (ranked.operations, -ranked.macro_f1))
    return {
        "winner": winner.family,
        "reason": _reason(leader, winner, ranking, comparisons, settings.select.margin),
        "metric": "macro_f1",
        "part": "validation",
        "comments": len(predictions[leader.family].targets),
        "ranking": [
            {"family": ranked.family, "macro_f1": ranked.macro_f1, "operations": ranked.operations}
            for ranked in ranking
        ],
        "lead_over": comparisons,
    }


def _compare(leader: Predictions, other: Predictions, settings: Settings) -> dict[str, float]:
    if leader.comment_ids != other.comment_ids:
        raise CommentwiseError(
            "the candidates were measured on different validation rows: run `dvc repro` so that all train on the same split"
        )
    difference, (low, high) = paired_bootstrap(
        leader.targets,
        leader.predicted,
        other.predicted,
        len(settings.labels),
        settings.evaluate.resamples,
        settings.seed,
    )
    return {"difference": difference, "low": low, "high": high}


def _reason(
    leader: Ranked, winner: Ranked, ranking: list[Ranked], comparisons: dict[str, dict[str, float]], margin: float
) -> str:
    def loss(family: str) -> str:
        facts = comparisons[family]
        return f"{100 * facts['difference']:.1f} points (95% interval {100 * facts['low']:.1f} to {100 * facts['high']:.1f})"

    allowed = f"{100 * margin:.1f} points (select.margin)"
    leads = f"{leader.family} leads with {leader.macro_f1:.3f} validation macro-F1"
    if winner != leader:
        return (
            f"{winner.family} wins: {leads}, but {winner.family} needs {winner.operations:,} operations per comment instead of "
            f"{leader.operations:,} and loses {loss(winner.family)}, shown to be less than {allowed}"
        )
    if len(ranking) == 1:
        return f"{leader.family} wins with {leader.macro_f1:.3f} validation macro-F1: it is the only candidate"
    cheaper = [ranked for ranked in ranking[1:] if ranked.operations < leader.operations]
    if not cheaper:
        return f"{leader.family} wins: it {leads.removeprefix(leader.family + ' ')}, and no candidate is cheaper"
    return (
        f"{leader.family} wins: it {leads.removeprefix(leader.family + ' ')}; {cheaper[0].family} is cheaper, but loses "
        f"{loss(cheaper[0].family)}, and is not shown to lose less than {allowed}"
    )


if __name__ == "__main__":
    run_command(main)
