"""Make a project of your own: settings, pipeline, data card, README and an example for CI, with git and DVC.

  commentwise init my-model

What exists already is kept, so the command can be repeated.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_text
from commentwise.training.workspace.template import DATA, project_files


def main() -> None:
    """Make the project named on the command line."""
    parser = argparse.ArgumentParser(
        prog="commentwise init", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of the project")
    folder = parser.parse_args().folder
    for line in init(folder):
        print(f"init: {line}")
    print(f"next: copy your comments to {folder / DATA}, then `cd {folder}` and follow README.md")


def init(folder: Path) -> list[str]:
    """Write what `folder` lacks; return what was done, in words.

    Raises CommentwiseError if it cannot be written, or git or DVC fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = project_files()
        missing = [name for name in files if not (folder / name).exists()]
        for name in missing:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_text(folder / name, files[name])
    except OSError as error:
        raise CommentwiseError(f"cannot write {folder} ({error.strerror}): name another folder") from None
    done = [f"wrote {', '.join(missing)}"] if missing else []
    if kept := [name for name in files if name not in missing]:
        done.append(f"kept {', '.join(kept)}")
    root = _output(["git", "rev-parse", "--show-toplevel"], folder)
    if not root:
        _run(["git", "init", "--quiet"], folder)
        done.append("git repository created")
    if not (folder / ".dvc").is_dir():
        below = bool(root) and Path(root).resolve() != folder.resolve()
        _run([sys.executable, "-m", "dvc", "init", "--quiet", *(["--subdir"] if below else [])], folder)
        done.append("DVC repository created")
    return done


def _output(command: list[str], folder: Path) -> str:
    """What a command prints, empty if it fails."""
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        raise CommentwiseError(f"{command[0]} is not installed: install it, and run the command again") from None


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()
        raise CommentwiseError(
            f"`{' '.join(command)}` failed in {folder} ({reason[-1] if reason else 'no message'}): fix it, and run the command again"
        )


if __name__ == "__main__":
    run_command(main)
