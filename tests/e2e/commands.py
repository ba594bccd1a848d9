"""Running a command that should fail, and seeing that it leaves nothing behind."""

import subprocess
from pathlib import Path

from tests.project import Project


def refused(project: Project, *command: str, **environment: str) -> str:
    """Run a command that must end with one line on stderr and every file as it was; return that line."""
    before = snapshot(project.folder)
    done = subprocess.run(
        command,
        cwd=project.folder,
        env=project.environment | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert snapshot(project.folder) == before
    return done.stderr.strip()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every path in a folder, hidden ones included, and the content of those that are files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }
