"""Search for better settings of the encoder with Optuna, by macro-F1 on the validation part.

  commentwise tune --trials 12

The search space is the section tune of params.yaml. The best trial is compared with the present settings, which are
trained first. Each trial is an MLflow run, nested in that of the search. Run the same command again to resume an
interrupted search.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState
from rich.console import Console
from rich.table import Table

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json
from commentwise.training.candidate import Predictions, read_predictions
from commentwise.training.families.bert import BERT
from commentwise.training.params import read_params
from commentwise.training.project import Project
from commentwise.training.registry.tracking import study_run
from commentwise.training.scores import paired_bootstrap
from commentwise.training.settings import Range, Settings, parse_settings
from commentwise.training.studies.trials import TrialFailed, run_trial, study_key, with_changes

FOLDER = "folder"
SCORE = "validation_macro_f1"


def main() -> None:
    """Search, print the trials, and write them to reports/tune.json."""
    parser = argparse.ArgumentParser(
        prog="commentwise tune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--trials", type=int, default=12, help="number of trials, including earlier ones (default: 12)")
    count = parser.parse_args().trials
    if count < 1:
        raise CommentwiseError(f"--trials is {count}: give 1 or more")
    project = Project()
    params = read_params(project.params)
    settings = parse_settings(params, project.params)
    distributions = search_space(params, settings)
    key = study_key(project, settings, "tune", settings.tune.model_dump())
    with study_run(project, "bert-tune", key) as run:
        print("tune: the settings of params.yaml", flush=True)
        present = run_trial(project, params, run.run_id)
        study = open_study(project.build / "tune.db", key, settings)
        while (finished := len(study.get_trials(states=[TrialState.COMPLETE, TrialState.FAIL]))) < count:
            trial = study.ask(distributions)
            print(f"tune: trial {finished + 1} of {count}, {_format(trial.params)}", flush=True)
            try:
                folder = run_trial(project, with_changes(params, trial.params), run.run_id)
            except TrialFailed as error:
                print(f"tune: {error}", flush=True)
                study.tell(trial, state=TrialState.FAIL)
            else:
                trial.set_user_attr(FOLDER, str(folder))
                study.tell(trial, read_json(folder / "metrics.json")[SCORE])
        report = summary(study, present, settings)
        run.log({f"best.{SCORE}": report["best"][SCORE], f"present.{SCORE}": report["present"][SCORE]})
    write_json(project.tune_report, report)
    _show(report)


def search_space(params: dict[str, Any], settings: Settings) -> dict[str, BaseDistribution]:
    """The distribution of each setting. Raises CommentwiseError if a value is not valid for families.bert."""
    space: dict[str, BaseDistribution] = {}
    for name, choices in settings.tune.space.items():
        values = [choices.low, choices.high] if isinstance(choices, Range) else choices
        for value in values:
            parse_settings(with_changes(params, {name: value}), Path("params.yaml, tune.space"))
        space[name] = (
            FloatDistribution(choices.low, choices.high, log=True)
            if isinstance(choices, Range)
            else CategoricalDistribution(choices)
        )
    return space


def open_study(store: Path, key: str, settings: Settings) -> optuna.Study:
    """Open the study with this key in the database `store`, or create it. An interrupted trial is queued again."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    store.parent.mkdir(exist_ok=True)
    study = optuna.create_study(study_name=key, storage=f"sqlite:///{store}", direction="maximize", load_if_exists=True)
    # With the same seed, a resumed search would draw the same settings again.
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + len(study.trials))
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.enqueue_trial(trial.params)
        study.tell(trial.number, state=TrialState.PRUNED)
    return study


def summary(study: optuna.Study, present: Path, settings: Settings) -> dict[str, Any]:
    """All trials, best first, and the lead of the best trial over the present settings on the validation part."""
    trials = [
        {**trial.params, SCORE: trial.value} for trial in study.get_trials(states=[TrialState.COMPLETE], deepcopy=False)
    ]
    if not trials:
        raise CommentwiseError("no trial finished: see the messages above, and correct tune.space in params.yaml")
    baseline = _predictions(present, settings)
    best = _predictions(Path(study.best_trial.user_attrs[FOLDER]), settings)
    lead, (low, high) = paired_bootstrap(
        baseline.targets,
        best.predicted,
        baseline.predicted,
        len(settings.labels),
        settings.evaluate.resamples,
        settings.seed,
    )
    return {
        "present": {
            **{name: getattr(settings.of(BERT), name) for name in settings.tune.space},
            SCORE: read_json(present / "metrics.json")[SCORE],
        },
        "best": {**study.best_trial.params, SCORE: study.best_trial.value},
        "lead": {"difference": lead, "low": low, "high": high},
        "trials": sorted(trials, key=lambda trial: -trial[SCORE]),
    }


def _predictions(folder: Path, settings: Settings) -> Predictions:
    return read_predictions(folder, "validation", settings.labels)


def _format(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_format_value(value)}" for name, value in values.items())


def _format_value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "null" if value is None else str(value)


def _show(report: dict[str, Any]) -> None:
    names = [name for name in report["best"] if name != SCORE]
    table = Table("", *names, "validation macro-F1")
    for rank, trial in enumerate(report["trials"][:10], start=1):
        table.add_row(str(rank), *(_format_value(trial[name]) for name in names), f"{trial[SCORE]:.3f}")
    table.add_section()
    table.add_row(
        "params.yaml", *(_format_value(report["present"][name]) for name in names), f"{report['present'][SCORE]:.3f}"
    )
    Console().print(table)
    lead = report["lead"]
    verdict = "" if lead["low"] > 0 else ", not statistically significant"
    print(
        f"The best trial leads params.yaml by {100 * lead['difference']:.1f} points of validation macro-F1 "
        f"(95% interval {100 * lead['low']:.1f} to {100 * lead['high']:.1f}{verdict}). "
        f"This is an overestimate, because it is the best of {len(report['trials'])} trials. To train with its settings:\n"
    )
    changes = " ".join(f"-S families.bert.{name}={json.dumps(report['best'][name])}" for name in names)
    print(f"  dvc exp run {changes}")


if __name__ == "__main__":
    run_command(main)
