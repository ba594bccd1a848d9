"""All benchmarks that this machine can run, one after the other, and their report.

  python -m benchmarks [--quick] [--only engines,serving] [--root FOLDER]

Measures the encoder that the pipeline trained in FOLDER, by default here, where the pipeline is run first if need be. A quick run keeps its results and report under build/bench/quick,
away from the published ones. A benchmark that fails is named, and the others go on. Run it on a quiet machine.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.report.figures import REPORT, RESULTS
from commentwise.errors import CommentwiseError, run_command

CANDIDATE = Path("artifacts/candidates/bert/model")
BUNDLE, CHECKPOINT, COMMENTS = (f"build/bench/{name}" for name in ("bundle", "checkpoint", "comments.parquet"))
"""What is measured, whichever family was chosen: written by benchmarks.engines, read by the others."""
QUICK = Path("build/bench/quick")
STOP_SECONDS = 30

WITH_CHECKPOINT = ["--bundle", BUNDLE, "--checkpoint", CHECKPOINT]
WITH_COMMENTS = ["--data", COMMENTS, "--column", "text"]
BENCHMARKS: dict[str, tuple[list[str], list[str]]] = {
    "engines": ([], ["--quick"]),
    "serving": ([*WITH_CHECKPOINT, *WITH_COMMENTS], ["--quick"]),
    "training": ([], ["--repeats", "1", "--comments", "50"]),
    "scale": (["--bundle", BUNDLE, *WITH_COMMENTS, "--label-column", "label"], ["--quick"]),
    "footprint": (WITH_CHECKPOINT, ["--quick"]),
}
"""What each is told: always, and in a quick run."""


def main() -> None:
    """Run what the command line names; exit with 1 when a benchmark failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"few and short measurements, into {QUICK}")
    parser.add_argument("--only", default=",".join(BENCHMARKS), metavar="NAMES", help="with commas between (default: %(default)s)")  # fmt: skip
    parser.add_argument("--root", type=Path, default=Path(), metavar="FOLDER", help="where the pipeline ran (default: here)")  # fmt: skip
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := [name for name in names if name not in BENCHMARKS]:
        raise CommentwiseError(f"no benchmark {unknown[0]!r}: there are {', '.join(BENCHMARKS)}")
    if "engines" not in names and not Path(BUNDLE).exists() and any(BUNDLE in BENCHMARKS[name][0] for name in names):
        raise CommentwiseError(
            f"{BUNDLE} is missing: benchmarks.engines makes it, so name it first: --only engines,{options.only}"
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the running benchmark is stopped then too
    if options.root == Path() and not CANDIDATE.exists():
        print("bench: the pipeline comes first", flush=True)
        if run([sys.executable, "-m", "dvc", "repro"]):
            raise CommentwiseError("`dvc repro` failed; its message stands above")
    failed = run_all(names, options.root, options.quick)
    if failed:
        raise CommentwiseError(f"{', '.join(failed)} failed; the messages stand above")


def run_all(names: list[str], root: Path, quick: bool) -> list[str]:
    """Run these benchmarks of what was trained in `root` and write the report; the names of those that failed."""
    results, report = (QUICK / "results", QUICK / "report") if quick else (RESULTS, REPORT)
    before = _set_aside(results, names) if quick else None
    failed = []
    for place, name in enumerate(names, 1):
        command = command_for(name, root, quick, results)
        print(f"bench {place}/{len(names)}: {name}: python {' '.join(command[1:])}", flush=True)
        start = time.monotonic()
        state = "failed" if run(command) else "done"
        if state == "failed":
            failed.append(name)
        print(f"bench {place}/{len(names)}: {name} {state} in {time.monotonic() - start:.0f} s", flush=True)
    compared = ["--before", str(before)] if before else []
    if run([sys.executable, "-m", "benchmarks.report", "--results", str(results), "--out", str(report), *compared]):
        failed.append("report")
    return failed


def command_for(name: str, root: Path, quick: bool, results: Path) -> list[str]:
    """The command of one benchmark."""
    always, when_quick = BENCHMARKS[name]
    if name == "engines" and root != Path():
        always = ["--root", str(root)]
    out = ["--out", str(results / f"{name}.json")] if quick else []
    return [sys.executable, "-m", f"benchmarks.{name}", *always, *(when_quick if quick else []), *out]


def run(command: list[str]) -> int:
    """Run a process group of its own to its end, or stop it when this process is interrupted; its exit code."""
    process = subprocess.Popen(command, process_group=0)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)  # so that it stops what it started
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        raise
    finally:
        _kill_group(process.pid)


def _kill_group(group: int) -> None:
    """End what a benchmark left behind."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _set_aside(results: Path, names: list[str]) -> Path | None:
    """Copy an earlier quick run's results, to compare with, and drop those that are measured anew."""
    if not results.exists():
        return None
    before = results.with_name("before")
    shutil.rmtree(before, ignore_errors=True)
    shutil.copytree(results, before)
    for name in names:  # one that fails now shall not show what it was
        (results / f"{name}.json").unlink(missing_ok=True)
    return before


if __name__ == "__main__":
    run_command(main)
