"""A full disk and Ctrl-C in the middle of a stage: an error of one line, and no changed file."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from commentwise.training.project import Project as Layout
from tests.e2e.commands import refused, snapshot
from tests.project import Project

LAYOUT = Layout()
RAW, PREPARED, CANDIDATES = LAYOUT.raw, LAYOUT.prepared, LAYOUT.candidates

PAGE = 4096
# Runs a command with a small disk mounted over a folder, and compares its files before and after.
ON_A_SMALL_DISK = """
folder=$1 copy=$2 size=$3
shift 3
cp -a "$folder" "$copy"
mount -t tmpfs -o size="$size" tmpfs "$folder"
cp -a "$copy/." "$folder"
"$@"
code=$?
diff -r "$copy" "$folder" >&2
exit $code
"""


def pages(folder: Path) -> int:
    return sum(-(-path.stat().st_size // PAGE) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("arguments", "folder", "free"),
    [
        (["commentwise.training.data.ingest"], RAW.parent.parent, 2),
        (["commentwise.training.data.prepare"], PREPARED.parent, 2),
        (["commentwise.training.train", "logreg"], CANDIDATES, 20),
    ],
    ids=["ingest", "prepare", "linear"],
)
def test_a_full_disk(project: Project, tmp_path: Path, arguments: list[str], folder: Path, free: int) -> None:
    project.set_params({"seed": 7})  # another split than the present one
    size = (pages(project.folder / folder) + free) * PAGE
    # The disk is mounted in the namespace of this process only, and unmounted with it.
    namespace = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    small_disk = ["sh", "-c", ON_A_SMALL_DISK, "sh", str(folder), str(tmp_path / "copy"), str(size)]
    line = refused(project, *namespace, *small_disk, sys.executable, "-m", *arguments)
    assert line.startswith("error: the disk is full")
    assert "free some space and run the same command again" in line


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Send SIGINT, and check the exit status and the message."""
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "interrupted: run the same command again to continue\n"
    assert output == ""


def test_ctrl_c_while_reading(project: Project) -> None:
    """The source takes seconds to read, so that the stage is reading when it is interrupted."""
    source = project.folder / "data" / "many.csv"
    source.write_text("text,label\n" + "hello,neutral\n" * 1_000_000, encoding="utf-8")
    project.set_params({"data.path": "data/many.csv"})
    before = snapshot(project.folder)
    process = start(project, "commentwise.training.data.ingest")

    def is_read() -> bool:
        with suppress(OSError):  # a file that was closed meanwhile
            return any(link.resolve() == source for link in Path(f"/proc/{process.pid}/fd").iterdir())
        return False

    wait_until(is_read, process)
    interrupt(process)
    assert snapshot(project.folder) == before
    source.unlink()


def test_ctrl_c_while_training(project: Project) -> None:
    project.set_params({"families.logreg.C": [0.1] * 100})  # a search that takes a while
    before = snapshot(project.folder)
    process = start(project, "commentwise.training.train", "logreg")
    wait_until(lambda: bool(list((project.folder / CANDIDATES).glob(".logreg-*"))), process)
    interrupt(process)
    assert snapshot(project.folder) == before
