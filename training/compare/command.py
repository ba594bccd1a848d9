"""Say what changed between two versions, experiments or revisions: data, parameters, code, scores and answers.

  commentwise compare champion                # the champion and the workspace
  commentwise compare 3 5                     # two versions; also aliases, models:/NAME@ALIAS and models:/NAME/3
  commentwise compare muddy-dane workspace    # an experiment of `dvc exp run`, or any git revision

Scores are compared on the test comments that neither side was trained or chosen with, nor with copies of them.
"""

import argparse
import json
from pathlib import Path

from rich.console import Console

from commentwise.errors import run_command
from commentwise.fileio import write_text
from commentwise.training.compare.difference import compare
from commentwise.training.compare.page import page
from commentwise.training.compare.sides import WORKSPACE, opened
from commentwise.training.compare.tables import show
from commentwise.training.project import Project

PAGE = Path("artifacts/compare.html")


def main() -> None:
    """Compare the two sides named on the command line."""
    parser = argparse.ArgumentParser(
        prog="commentwise compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", metavar="A", help="a version's number or alias, an experiment, or a git revision")
    parser.add_argument(
        "after", metavar="B", nargs="?", default=WORKSPACE, help=f"the other side (default: {WORKSPACE})"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON, and write no page")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="FILE", help=f"the page (default: {PAGE})")
    arguments = parser.parse_args()
    project = Project()
    with opened(project, arguments.before) as before, opened(project, arguments.after) as after:
        comparison = compare(project, before, after)
        if arguments.json:
            print(json.dumps(comparison.as_dict(), indent=2, ensure_ascii=False))
            return
        show(Console(highlight=False), comparison)
        write_text(arguments.out, page(comparison))
    print(f"\ncompare: {arguments.out}")


if __name__ == "__main__":
    run_command(main)
