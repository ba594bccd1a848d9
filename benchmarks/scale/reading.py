"""Speed and memory of reading CSV, beside pandas' C parser over the same file.

  python -m benchmarks.scale.reading --megabytes 1000

Comments are made up with a seed: a third of them has commas, quotes or line ends, and so is quoted. Each reader runs in
a process of its own, in turns. Both read all cells as texts, pandas into a table (with dtype=str) and, as people call
it, with types inferred. Prints the medians in MB/s of processor time, the ratios, and the peak memory.
"""

import argparse
import csv
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from commentwise.comments.files import Source
from commentwise.errors import run_command

READERS = {
    "commentwise": "with Source(path).opened() as table: rows = sum(1 for row in table.rows)",
    "pandas, texts": "rows = len(pandas.read_csv(path, dtype=str, engine='c'))",
    "pandas, types inferred": "rows = len(pandas.read_csv(path, engine='c'))",
}
ROUNDS = 3
SEED = 1
WORDS = 5000


def main() -> None:
    """Measure a file of the size on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200, help="size of the file (default: %(default)s)")
    megabytes = parser.parse_args().megabytes
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "comments.csv")
        rows = write(path, megabytes * 1_000_000)
        with Source(str(path)).opened() as table:
            assert not next(row for row in table.rows if row.number == min(1000, rows)).reason
        figures = {name: [measured(name, path, rows) for _ in range(ROUNDS)] for name in READERS}
    size = megabytes
    own = statistics.median(seconds for seconds, _ in figures["commentwise"])
    print(f"{rows:,} rows, {size:,} MB")
    for name, runs in figures.items():
        seconds, memory = (statistics.median(values) for values in zip(*runs, strict=True))
        print(
            f"{name}: {size / seconds:,.0f} MB/s, peak memory {memory / 1000:,.0f} MB; commentwise reads at {seconds / own:.2f} of its speed"
        )


def write(path: Path, size: int) -> int:
    """Write made-up comments as CSV; return the number of rows."""
    draw = random.Random(SEED)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(1, 9))) for _ in range(WORDS)]
    number = 0
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", "text", "label", "likes"])
        while stream.tell() < size:
            for _ in range(1000):
                number += 1
                text = " ".join(draw.choices(words, k=draw.randint(3, 40)))
                kind = draw.random()
                if kind < 0.2:
                    text = text.replace(" ", ", ", 2)
                elif kind < 0.25:
                    text = text.replace(" ", "\n", 1)
                elif kind < 0.3:
                    text = f'they say "{text}" 😀'
                writer.writerow([f"id{number}", text, draw.choice(["positive", "negative", "neutral"]), number % 50])
    return number


def measured(name: str, path: Path, rows: int) -> tuple[float, float]:
    """Seconds of processor time and peak memory in kB of one reading."""
    code = (
        "import resource, sys, time; from commentwise.comments.files import Source\n"
        f"{'import pandas' if name != 'commentwise' else ''}\n"
        "path = sys.argv[1]; started = time.process_time()\n"
        f"{READERS[name]}\n"
        "print(time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, rows)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    seconds, memory, found = map(float, done.stdout.split())
    assert found == rows, f"{name} read {found:,.0f} of {rows:,} rows"
    return seconds, memory


if __name__ == "__main__":
    run_command(main)
