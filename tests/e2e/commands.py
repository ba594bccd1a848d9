"""Running a command that must fail without changing a file."""

import subprocess
from pathlib import Path

from tests.project import Project


def refused(project: Project, *command: str, **environment: str) -> str:
    """Run a command that must fail with one line on stderr and change no file; return that line."""
    before = snapshot(project.folder)
    completed = subprocess.run(
        command,
        cwd=project.folder,
        env=project.environment | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 1, completed.stderr
    assert completed.stderr.startswith("error: ")
    assert completed.stderr.count("\n") == 1, completed.stderr
    assert snapshot(project.folder) == before
    return completed.stderr.strip()


def snapshot(folder: Path) -> dict[str, bytes]:
    """The content of every file in a folder by path, with an empty content for folders. Includes hidden files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }
