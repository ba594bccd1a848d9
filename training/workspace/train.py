"""Find out how a file of comments is written, set params.yaml accordingly, and run the pipeline.

  commentwise train reviews.csv
  commentwise train reviews.csv --quick                      # a first look, without the encoder
  commentwise train reviews.csv --family svm                 # one family; repeatable
  commentwise train reviews.csv --dry-run                    # only say what was found
  commentwise train reviews.csv --text Review --label Rating --stars five
  commentwise train reviews.csv --no-labels                  # clusters, and a queue of comments to label

Asks where it is unsure; in a script, the flags answer. A file from elsewhere is copied to data/, and DVC keeps it. All
settings about the file and `candidates` are reset. If the run fails, params.yaml is left as it was.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from commentwise.comments.files import FORMATS, Options
from commentwise.comments.formats.dialect import QUOTES
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_text
from commentwise.training.choice import comparison
from commentwise.training.compare.champion import against_champion
from commentwise.training.families import catalog
from commentwise.training.params import change_params
from commentwise.training.project import Project
from commentwise.training.settings import load_settings
from commentwise.training.start import NONE, SAMPLE, UNLABELLED
from commentwise.training.workspace.detect import Answers, Findings, detect
from commentwise.training.workspace.dvc import run_dvc
from commentwise.training.workspace.live import LINE, stage_table
from commentwise.training.workspace.source import bring, keep, place
from commentwise.training.workspace.template import all_candidates

NEXT = (
    "commentwise publish                                # register the bundle; a better one becomes champion",
    "commentwise serve --model artifacts/bundle         # http://127.0.0.1:8000",
    "commentwise score more.csv -o scored.csv --column '{text}'",
)


def main() -> None:
    """Train on the file named on the command line."""
    arguments = _parser().parse_args()
    project = Project()
    if not project.params.is_file():
        raise CommentwiseError(
            f"no {project.params.name} in {project.root.resolve()}: make a project with `commentwise init`, and run the command in it"
        )
    columns = arguments.columns and tuple(name.strip() for name in arguments.columns.split(","))
    delimiter = arguments.delimiter and arguments.delimiter.replace("\\t", "\t")
    if delimiter is not None and len(delimiter) != 1:
        raise CommentwiseError(f"--delimiter is {delimiter!r}: name one character")
    options = Options(arguments.format, arguments.encoding, delimiter, arguments.quotes, columns)
    answers = Answers(arguments.text, arguments.label, arguments.stars, options, not arguments.no_labels)
    findings = _settled(arguments.file, answers)
    candidates = _candidates(arguments.family, arguments.quick)
    if not findings.labelled:
        print(f"train: without labels, {UNLABELLED}")
        if not arguments.dry_run:
            from commentwise.training.start.start import start

            values = findings.settings | {"data.path": str(arguments.file.resolve())}
            start(project, values, arguments.model or SAMPLE)
        return
    if arguments.model:
        raise CommentwiseError(
            f"--model {arguments.model} suggests labels, and {arguments.file} has some: leave it out, or add --no-labels"
        )
    if arguments.dry_run:
        print("train: params.yaml would get")
        for name, value in changes(project, arguments.file, findings, candidates).items():
            print(f"  {name}: {value}")
        return
    with stage_table() as show:
        train_on(project, arguments.file, findings, candidates, show, LINE if show else None)
    print()
    comparison.show(project)
    against_champion(project)
    if left_out := [family for family in all_candidates() if family not in candidates]:
        print(
            f"\na first look, without {' and '.join(left_out)}: `commentwise train {arguments.file}` compares all families"
        )
    print("\nnext:")
    for command in NEXT:
        print(f"  {command.format(text=findings.settings['data.columns.text'])}")


def changes(project: Project, path: Path, findings: Findings, candidates: Sequence[str]) -> dict[str, Any]:
    """The settings for training `candidates` on a file, by dotted name."""
    settings = findings.settings | {"data.path": place(path, project.root).as_posix()}
    return settings | {"candidates": list(candidates)}


def train_on(
    project: Project,
    path: Path,
    findings: Findings,
    candidates: Sequence[str],
    show: Callable[[str], object] | None = None,
    width: int | None = None,
) -> None:
    """Set params.yaml, bring the file into the project and run the pipeline; `show` and `width` as of `run_dvc`.

    Raises CommentwiseError if it fails; params.yaml is then as it was.
    """
    before = project.params.read_text(encoding="utf-8")
    try:
        change_params(project.params, changes(project, path, findings, candidates))
        data = load_settings(project.params).data
        for line in (*bring(path, project.root), *keep(project, data)):
            print(f"train: {line}", flush=True)
        run_dvc(["repro"], project.root, show, width)
    except BaseException:
        write_text(project.params, before)
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="commentwise train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="a file of comments, with labels or without")
    add("--text", metavar="COLUMN", help="the column with the comments (default: found out)")
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument("--label", metavar="COLUMN", help="the column with the labels (default: found out)")
    labels.add_argument("--no-labels", action="store_true", help=f"the file has no labels: {UNLABELLED}")
    add(
        "--model",
        metavar="BUNDLE",
        help=f"what suggests labels where there are none: a bundle, {NONE}, or {SAMPLE}, a model of the sample (default: {SAMPLE})",
    )
    add(
        "--stars",
        choices=("three", "five"),
        help="labels for ratings from 1 to 5: negative, neutral and positive, or five",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--family",
        action="append",
        choices=catalog.names(),
        help="train this family alone; repeatable (default: all families)",
    )
    which.add_argument("--quick", action="store_true", help="a first look: the linear families, without the encoder")
    add("--format", choices=FORMATS, help="the format of the file (default: by its name and content)")
    add("--encoding", help="the encoding of the file (default: found out)")
    add("--delimiter", metavar="CHARACTER", help="what separates the cells of CSV (default: found out)")
    add("--quotes", choices=QUOTES, help="how a quote in a cell of CSV is written")
    add("--columns", metavar="NAME,…", help="the names of the columns of CSV without a header")
    add("--dry-run", action="store_true", help="say what was found, and change nothing")
    return parser


def _settled(path: Path, answers: Answers) -> Findings:
    """The findings without doubts, after questions where there is a terminal. Prints what was found.

    Raises CommentwiseError naming the flag that would settle a doubt if nobody can be asked.
    """
    printed: set[str] = set()
    while True:
        findings = detect(path, answers)
        for line in findings.lines:
            if line not in printed:
                print(f"train: {line}", flush=True)
        printed |= set(findings.lines)
        if not findings.doubts:
            return findings
        name, choices = next(iter(findings.doubts.items()))
        if not sys.stdin.isatty():
            raise CommentwiseError(f"not sure about --{name}: name one of {', '.join(map(repr, choices))}")
        answers = Answers(**(vars(answers) | {name: _asked(name, choices)}))


def _asked(name: str, choices: list[str]) -> str:
    """The user's choice; the first one if the answer is empty."""
    for number, choice in enumerate(choices, start=1):
        print(f"  {number}. {choice}")
    while True:
        answer = input(f"{name}? [1] ").strip() or "1"
        if answer in choices:
            return answer
        if answer.isdecimal() and 1 <= int(answer) <= len(choices):
            return choices[int(answer) - 1]


def _candidates(families: list[str] | None, quick: bool) -> list[str]:
    """All families, unless some were named, or a quick look was wished: then the linear ones."""
    if quick:
        return [name for name in all_candidates() if catalog.families()[name].answers_first]
    return list(dict.fromkeys(families or all_candidates()))


if __name__ == "__main__":
    run_command(main)
