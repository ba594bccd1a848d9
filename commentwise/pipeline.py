"""Run the pipeline of dvc.yaml, then show how the candidates compare.

  commentwise run                               # every stage whose inputs changed
  commentwise run export                        # a stage and those it needs
  commentwise run -S families.bert.epochs=3     # as an experiment, with other parameters

Stages whose inputs did not change are skipped. An interrupted run is continued by the same command.
"""

import argparse

from commentwise.training.choice import comparison
from commentwise.training.project import Project
from commentwise.training.settings import load_settings
from commentwise.training.workspace.dvc import run_dvc
from commentwise.training.workspace.source import keep

COMPARED = {"select", "export"}
"""Stages after which there is something new to compare."""


def main() -> None:
    """Run the stages on the command line."""
    parser = argparse.ArgumentParser(
        prog="commentwise run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="a stage or an output (default: all)")
    parser.add_argument(
        "-S", "--set-param", action="append", default=[], metavar="KEY=VALUE", help="run as an experiment with this parameter; repeatable"
    )  # fmt: skip
    parser.add_argument("-f", "--force", action="store_true", help="run stages even if their inputs did not change")
    arguments = parser.parse_args()
    project = Project()
    if not arguments.set_param:
        _keep_source(project)
    run_dvc(dvc_arguments(arguments.targets, arguments.set_param, arguments.force))
    if arguments.set_param:  # the run has set it, maybe another file
        _keep_source(project)
    if not arguments.targets or COMPARED & set(arguments.targets):
        print()
        comparison.show(project)


def _keep_source(project: Project) -> None:
    for line in keep(project, load_settings(project.params).data):
        print(f"run: {line}", flush=True)


def dvc_arguments(targets: list[str], params: list[str], force: bool) -> list[str]:
    """The DVC command for these stages: `repro`, or an experiment where parameters are set.

    >>> dvc_arguments(["export"], [], force=True)
    ['repro', '--force', 'export']
    >>> dvc_arguments([], ["seed=2"], force=False)
    ['exp', 'run', '--set-param', 'seed=2']
    """
    command = ["exp", "run"] if params else ["repro"]
    settings = [word for param in params for word in ("--set-param", param)]
    return [*command, *(["--force"] if force else []), *settings, *targets]
