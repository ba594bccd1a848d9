"""Run one stage of the pipeline, as dvc.yaml calls it: `commentwise stage ingest`."""

import argparse
import importlib
import sys

from commentwise.training.families import catalog

STAGES = {
    "ingest": "data.ingest",
    "prepare": "data.prepare",
    "baselines": "choice.baselines",
    "train": "train",
    "evaluate": "choice.evaluate",
    "select": "choice.select",
    "export": "choice.export",
    "report": "report.__main__",
}
"""The module of each stage, below commentwise.training."""


def main() -> None:
    """Run the stage on the command line."""
    parser = argparse.ArgumentParser(prog="commentwise stage", description=__doc__)
    parser.add_argument("stage", choices=STAGES, help="the stage; `commentwise run` runs all that are out of date")
    parser.add_argument("family", nargs="?", choices=catalog.names(), help="the family to train or evaluate")
    arguments = parser.parse_args()
    sys.argv = [f"commentwise stage {arguments.stage}", *filter(None, [arguments.family])]
    importlib.import_module(f"commentwise.training.{STAGES[arguments.stage]}").main()
