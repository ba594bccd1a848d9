"""Atomic writes, whatever happens meanwhile, and one line on stderr for foreseeable failures."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import atomic_file, atomic_folder, file_hash, read_json, write_json, write_text

FULL_DEVICE = Path("/dev/full")
"""A device on which writes fail as on a full disk. Never rename a file onto it."""


def listing(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old")
    with atomic_file(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == path.suffix
        assert path.read_text() == "old"
    assert listing(tmp_path) == {"deep/file.txt": "new"}
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for name in ("old", "new"):
        with atomic_folder(path) as temporary:
            (temporary / name).write_text(name)
    assert listing(tmp_path) == {"folder/new": "new"}
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o755


def half_write(path: Path, fail: Callable[[], None]) -> None:
    with atomic_file(path / "file.txt") as file, atomic_folder(path / "folder") as folder:
        file.write_text("half")
        (folder / "file.txt").write_text("half")
        fail()


def interrupt() -> None:
    raise KeyboardInterrupt


def fill_the_disk() -> None:
    FULL_DEVICE.write_text("too much")


@pytest.mark.parametrize(("fail", "error"), [(interrupt, KeyboardInterrupt), (fill_the_disk, OSError)])
def test_after_an_error_only_the_old_content_is_there(
    tmp_path: Path, fail: Callable[[], None], error: type[BaseException]
) -> None:
    write_text(tmp_path / "file.txt", "old")
    write_text(tmp_path / "folder" / "file.txt", "old")
    with pytest.raises(error):
        half_write(tmp_path, fail)
    assert listing(tmp_path) == {"file.txt": "old", "folder/file.txt": "old"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt", "folder"]


def test_json_and_hashes(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"b": "ü", "a": [1]})
    assert path.read_text(encoding="utf-8") == '{\n  "b": "ü",\n  "a": [\n    1\n  ]\n}\n'
    assert read_json(path) == {"b": "ü", "a": [1]}
    write_text(path, "abc")
    assert file_hash(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_hash(path, "md5") == "900150983cd24fb0d6963f7d28e17f72"


def fail_on_purpose() -> None:
    raise CommentwiseError("params.yaml: seed = -1")


def fill_the_disk_from_rust() -> None:
    raise RuntimeError(
        "Error while serializing: I/O error: No space left on device (os error 28)"
    )  # as safetensors does


def fill_the_database() -> None:
    with sqlite3.connect(":memory:") as database:
        database.execute("PRAGMA max_page_count = 1")
        database.execute("CREATE TABLE full (column TEXT)")


FULL = "error: the disk is full: free some space and run the same command again; nothing half-written is left\n"
FAILURES: dict[str, tuple[Callable[[], None], str]] = {
    "foreseen": (fail_on_purpose, "error: params.yaml: seed = -1\n"),
    "full disk": (fill_the_disk, FULL),
    "full disk, reported by Rust": (fill_the_disk_from_rust, FULL),
    "full disk, reported by SQLite": (fill_the_database, FULL),
}


@pytest.mark.parametrize(("main", "line"), FAILURES.values(), ids=FAILURES.keys())
def test_a_foreseeable_failure_is_one_line(
    capsys: pytest.CaptureFixture[str], main: Callable[[], None], line: str
) -> None:
    with pytest.raises(SystemExit) as exited:
        run_command(main)
    assert exited.value.code == 1
    assert capsys.readouterr().err == line


def test_a_full_disk_is_reported_with_the_file_if_known(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def main() -> None:
        raise OSError(28, "No space left on device", "model.onnx")

    with pytest.raises(SystemExit):
        run_command(main)
    assert capsys.readouterr().err.startswith("error: the disk is full while writing model.onnx: free some space")


def test_a_bug_keeps_its_traceback() -> None:
    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(main)


KILLED = """
import os, signal, sys
from pathlib import Path
from commentwise.fileio import atomic_file, atomic_folder
with atomic_folder(Path("folder")) as folder, atomic_file(Path("file.txt")) as file:
    (folder / "half").write_text("half")
    file.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_temporary_files_of_a_killed_process_are_deleted_by_the_next(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(listing(tmp_path)) == 2
    with atomic_folder(tmp_path / "folder") as folder:
        (folder / "whole").write_text("whole")
    write_text(tmp_path / "file.txt", "whole")
    assert listing(tmp_path) == {"folder/whole": "whole", "file.txt": "whole"}
