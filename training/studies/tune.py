"""Search for better settings of the encoder with Optuna, by macro-F1 on the validation part.

  commentwise tune --trials 12

The settings of params.yaml are tried first, and the best trial is compared with them. The search space is the section
tune of params.yaml. Each trial is an MLflow run nested in that of the search. An interrupted search continues.
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
from commentwise.training.project import Project
from commentwise.training.registry.tracking import study_run
from commentwise.training.scores import paired_bootstrap
from commentwise.training.settings import Range, Settings, parse_settings, read_params
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
    parser.add_argument("--trials", type=int, default=12, help="settings to try, earlier ones included (default: 12)")
    count = parser.parse_args().trials
    if count < 1:
        raise CommentwiseError(f"--trials is {count}: ask for 1 or more")
    project = Project()
    params = read_params(project.params)
    settings = parse_settings(params, project.params)
    distributions = search_space(params, settings)
    key = study_key(project, settings, "tune", settings.tune.model_dump())
    with study_run(project, "bert-tune", key) as run:
        print("tune: the settings of params.yaml", flush=True)
        present = run_trial(project, params, run.run_id)
        study = open_study(project.build / "tune.db", key, settings)
        while (done := len(study.get_trials(states=[TrialState.COMPLETE, TrialState.FAIL]))) < count:
            trial = study.ask(distributions)
            print(f"tune: trial {done + 1} of {count}, {_named(trial.params)}", flush=True)
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
    """The distribution of each setting. Raises CommentwiseError when a value is not allowed in families.bert."""
    space: dict[str, BaseDistribution] = {}
    for name, choices in settings.tune.space.items():
        ends = [choices.low, choices.high] if isinstance(choices, Range) else choices
        for value in ends:
            parse_settings(with_changes(params, {name: value}), Path("params.yaml, tune.space"))
        space[name] = (
            FloatDistribution(choices.low, choices.high, log=True)
            if isinstance(choices, Range)
            else CategoricalDistribution(choices)
        )
    return space


def open_study(store: Path, key: str, settings: Settings) -> optuna.Study:
    """The search with this key in the database `store`, with its earlier trials; an interrupted trial runs next."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    store.parent.mkdir(exist_ok=True)
    study = optuna.create_study(study_name=key, storage=f"sqlite:///{store}", direction="maximize", load_if_exists=True)
    # The same seed after a restart would draw the same settings again.
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + len(study.trials))
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.enqueue_trial(trial.params)
        study.tell(trial.number, state=TrialState.PRUNED)
    return study


def summary(study: optuna.Study, present: Path, settings: Settings) -> dict[str, Any]:
    """All trials, best first, and the lead of the best over the present settings on the same validation comments."""
    trials = [
        {**trial.params, SCORE: trial.value} for trial in study.get_trials(states=[TrialState.COMPLETE], deepcopy=False)
    ]
    if not trials:
        raise CommentwiseError("no trial finished: see their messages above, and correct tune.space in params.yaml")
    before = _predictions(present, settings)
    after = _predictions(Path(study.best_trial.user_attrs[FOLDER]), settings)
    lead, (low, high) = paired_bootstrap(
        before.targets,
        after.predicted,
        before.predicted,
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


def _named(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "null" if value is None else str(value)


def _show(report: dict[str, Any]) -> None:
    names = [name for name in report["best"] if name != SCORE]
    table = Table("", *names, "validation macro-F1")
    for place, trial in enumerate(report["trials"][:10], start=1):
        table.add_row(str(place), *(_short(trial[name]) for name in names), f"{trial[SCORE]:.3f}")
    table.add_section()
    table.add_row(
        "params.yaml", *(_short(report["present"][name]) for name in names), f"{report['present'][SCORE]:.3f}"
    )
    Console().print(table)
    lead = report["lead"]
    verdict = "" if lead["low"] > 0 else ", which may be chance"
    print(
        f"The best leads params.yaml by {100 * lead['difference']:.1f} points of validation macro-F1 "
        f"(95% interval {100 * lead['low']:.1f} to {100 * lead['high']:.1f}{verdict}); chosen among "
        f"{len(report['trials'])}, its lead is overestimated by that choice. To train with it:\n"
    )
    changes = " ".join(f"-S families.bert.{name}={json.dumps(report['best'][name])}" for name in names)
    print(f"  dvc exp run {changes}")


if __name__ == "__main__":
    run_command(main)
