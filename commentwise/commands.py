"""The commands of `commentwise`, by group.

A command's module has a function `main` without arguments, which reads `sys.argv`.
"""

from typing import NamedTuple


class Command(NamedTuple):
    """One command."""

    name: str
    module: str
    """Below `commentwise`."""
    help: str
    extra: str = ""
    """Extras of the package that bring its libraries, separated by commas; empty where the package alone is enough."""


GROUPS = {
    "Project": (
        Command("init", "training.workspace.init", "make a project of your own", "train"),
        Command("train", "training.workspace.train", "find out how a file is written, and train on it", "train"),
        Command("migrate", "training.workspace.migrate", "update a project to the installed version", "train"),
        Command("stage", "training.workspace.stage", "run one stage, as dvc.yaml calls it", "train"),
    ),
    "Pipeline": (
        Command("run", "pipeline", "run the pipeline: train, compare, select and export", "train"),
        Command("report", "training.choice.comparison", "compare the candidates of the last run", "train"),
        Command("collect", "training.data.collect", "download the comments of YouTube videos", "train"),
    ),
    "Registry": (
        Command("publish", "training.registry.publish", "register the bundle; a better one becomes champion", "train"),
        Command("history", "training.registry.history", "show versions, experiments and past champions", "train"),
        Command("compare", "training.compare.command", "say what changed between two versions or experiments", "train"),
        Command("lineage", "training.registry.lineage", "show the code, data and parameters behind a version", "train"),
        Command("reproduce", "training.registry.reproduce", "train a version again and compare the results", "train"),
        Command("rollback", "training.registry.rollback", "make an earlier version champion again", "train"),
        Command("ui", "training.registry.ui", "show MLflow's pages, with every run", "train"),
    ),
    "Experiments": (
        Command("experiments", "training.studies.sweep", "show the experiments of a sweep, the best first", "train"),
        Command("tune", "training.studies.tune", "search for better settings of the encoder", "train"),
        Command("seeds", "training.studies.seeds", "measure how far scores vary with the seed", "train"),
        Command("adapt", "training.studies.adapt", "adapt an encoder to the language of the comments", "train"),
    ),
    "Serving": (
        Command("serve", "serving.__main__", "serve a bundle over HTTP", "serve"),
        Command("score", "serving.batch.score", "score files of comments", "serve"),
        Command("keys", "serving.http.access", "create an API key for the server"),
    ),
    "Monitoring": (
        Command(
            "reference", "monitoring.signals.reference", "record the bundle's answers to held-out comments", "monitor"
        ),
        Command(
            "why",
            "monitoring.report.why",
            "say why accuracy fell: data, parameters, code or production",
            "train,monitor",
        ),
        Command("drift", "monitoring.report.page", "compare recent predictions with the reference", "monitor"),
        Command(
            "watch", "monitoring.actions.watch", "check for drift, alert and retrain, once or regularly", "monitor"
        ),
        Command(
            "retrain", "monitoring.actions.retrain", "train with feedback; a better model is kept", "train,monitor"
        ),
        Command("feedback", "monitoring.actions.export_feedback", "export feedback as labelled comments", "monitor"),
        Command("log", "monitoring.actions.retention", "summarise the prediction log, or delete from it", "monitor"),
    ),
    "Shell": (Command("completion", "completion", "print a completion script for bash, zsh or fish"),),
}

COMMANDS = {command.name: command for commands in GROUPS.values() for command in commands}
