"""Run all benchmarks, one after the other, and write their report.

  python -m benchmarks [--quick] [--only engines,serving] [--root FOLDER]

Measures the encoder that the pipeline trained in FOLDER, by default the current folder, where the pipeline runs first if
it has not run yet. A quick run keeps its results and report under build/bench/quick, apart from the published ones. If a
benchmark fails, the others still run. Run it on an otherwise idle machine.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report.result_files import REPORT, RESULTS
from commentwise.errors import CommentwiseError, run_command

CANDIDATE = Path("artifacts/candidates/bert/model")
BUNDLE, CHECKPOINT, COMMENTS = (f"build/bench/{name}" for name in ("bundle", "checkpoint", "comments.parquet"))
"""The encoder that is measured, whichever family won: written by benchmarks.engines, read by the others."""
QUICK = Path("build/bench/quick")
STOP_SECONDS = 30

WITH_CHECKPOINT = ("--bundle", BUNDLE, "--checkpoint", CHECKPOINT)
WITH_COMMENTS = ("--data", COMMENTS, "--column", "text")


@dataclass(frozen=True)
class Benchmark:
    """One benchmark; its result file has its name."""

    module: str
    flags: tuple[str, ...] = ()
    quick_flags: tuple[str, ...] = ("--quick",)
    """Further flags in a quick run."""


BENCHMARKS = {
    "engines": Benchmark("benchmarks.engines"),
    "serving": Benchmark("benchmarks.servers", (*WITH_CHECKPOINT, *WITH_COMMENTS)),
    "training": Benchmark("benchmarks.training", quick_flags=("--repeats", "1", "--comments", "50")),
    "scale": Benchmark("benchmarks.scale", ("--bundle", BUNDLE, *WITH_COMMENTS, "--label-column", "label")),
    "footprint": Benchmark("benchmarks.scale.footprint", WITH_CHECKPOINT),
}


def main() -> None:
    """Run the benchmarks, by default all; exit with 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"few and short measurements, written to {QUICK}")
    parser.add_argument("--only", default=",".join(BENCHMARKS), metavar="NAMES", help="benchmarks to run, separated by commas (default: %(default)s)")  # fmt: skip
    parser.add_argument("--root", type=Path, default=Path(), metavar="FOLDER", help="where the pipeline ran (default: here)")  # fmt: skip
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := [name for name in names if name not in BENCHMARKS]:
        raise CommentwiseError(f"no benchmark {unknown[0]!r}: choose from {', '.join(BENCHMARKS)}")
    if "engines" not in names and not Path(BUNDLE).exists() and any(BUNDLE in BENCHMARKS[name].flags for name in names):
        raise CommentwiseError(
            f"{BUNDLE} is missing: the benchmark engines writes it, so run it first: --only engines,{options.only}"
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the running benchmark is stopped too
    if options.root == Path() and not CANDIDATE.exists():
        print("bench: running the pipeline first", flush=True)
        if run([sys.executable, "-m", "dvc", "repro"]):
            raise CommentwiseError("`dvc repro` failed: fix the error above")
    failed = run_all(names, options.root, options.quick)
    if failed:
        raise CommentwiseError(f"{', '.join(failed)} failed: fix the errors above")


def run_all(names: list[str], root: Path, quick: bool) -> list[str]:
    """Run these benchmarks with the encoder trained in `root` and write the report; return the names of those that failed."""
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
    benchmark = BENCHMARKS[name]
    rooted = ["--root", str(root)] if name == "engines" and root != Path() else []
    faster = [*benchmark.quick_flags, "--out", str(results / f"{name}.json")] if quick else []
    return [sys.executable, "-m", benchmark.module, *rooted, *benchmark.flags, *faster]


def run(command: list[str]) -> int:
    """Run a command in its own process group and return its exit code; stop it if this process is interrupted."""
    process = subprocess.Popen(command, process_group=0)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)  # so that it can stop its own children
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        raise
    finally:
        _kill_group(process.pid)


def _kill_group(group: int) -> None:
    """Kill the processes that a benchmark left behind."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _set_aside(results: Path, names: list[str]) -> Path | None:
    """Copy the results of an earlier quick run, to compare with, and delete those that are measured again."""
    if not results.exists():
        return None
    before = results.with_name("before")
    shutil.rmtree(before, ignore_errors=True)
    shutil.copytree(results, before)
    for name in names:  # a benchmark that fails now must not show its earlier result
        (results / f"{name}.json").unlink(missing_ok=True)
    return before


if __name__ == "__main__":
    run_command(main)
