"""Update a project to the installed version of Commentwise, and say what changes.

  commentwise migrate --dry-run     # only say it
  commentwise migrate

dvc.yaml is written anew; params.yaml keeps its values, and gains and loses the settings that the version gained and lost.
"""

import argparse
import difflib
import io
import subprocess
from pathlib import Path
from typing import Any

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_text
from commentwise.training.params import editor, read_params
from commentwise.training.project import Project
from commentwise.training.workspace.template import INSTALLED, VERSION, params, pipeline, version_file

FREE = {("data", "label_map"), ("data", "splits"), ("tune", "space")}
"""Sections of params.yaml whose keys are the user's."""


def main() -> None:
    """Update the project in the current folder."""
    parser = argparse.ArgumentParser(
        prog="commentwise migrate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    dry = parser.parse_args().dry_run
    changes = migrate(Project().root, dry)
    for line in changes or [f"the project is of version {INSTALLED} already"]:
        print(f"migrate: {line}")
    if changes:
        print("nothing was changed" if dry else "next: `git diff`, then `commentwise run`")


def migrate(root: Path, dry: bool) -> list[str]:
    """Update the project in `root`, unless `dry`; return the changes, in words.

    Raises CommentwiseError if `root` is no project of `commentwise init`, or has changes that git does not have.
    """
    version_path = root / VERSION
    if not version_path.is_file():
        raise CommentwiseError(f"{version_path} is missing: run the command in a project made by `commentwise init`")
    before = str(read_params(version_path).get("version"))
    settings, changes = merged(_text(root / "params.yaml"), params())
    files = {"params.yaml": settings, "dvc.yaml": pipeline(), VERSION: version_file()}
    if before != INSTALLED:
        changes.insert(0, f"version {before} -> {INSTALLED}: every stage runs again")
    changes += _stages_changed(_text(root / "dvc.yaml"), files["dvc.yaml"])
    if not changes or dry:
        return changes
    if dirty := _uncommitted(root, list(files)):
        raise CommentwiseError(
            f"{', '.join(dirty)} has changes that are not committed: commit them, so that `git diff` shows what the migration changed"
        )
    for name, content in files.items():
        write_text(root / name, content)
    return changes


def merged(own: str, template: str) -> tuple[str, list[str]]:
    """A params file with the keys of `template` and the values of `own`, with its comments; and the changes in words.

    >>> merged("seed: 1  # mine\\nold: 2\\n", "seed: 42\\nnew: 3\\n")
    ('seed: 1  # mine\\nnew: 3\\n', ['params.yaml: old = 2 is gone', 'params.yaml: new = 3 is new'])
    """
    yaml = editor()
    content, target = yaml.load(own), yaml.load(template)
    changes: list[str] = []
    _merge(content, target, (), changes)
    if not changes:
        return own, []
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue(), [f"params.yaml: {change}" for change in changes]


def _merge(own: Any, template: Any, path: tuple[str, ...], changes: list[str]) -> None:
    if path in FREE:
        return
    for key in [key for key in own if key not in template]:
        changes.append(f"{'.'.join((*path, str(key)))} = {_plain(own[key])} is gone")
        del own[key]
    for position, key in enumerate(template):
        if key not in own:
            own.insert(position, key, template[key])
            if key in template.ca.items:
                own.ca.items[key] = template.ca.items[key]
            changes.append(f"{'.'.join((*path, str(key)))} = {_plain(template[key])} is new")
        elif isinstance(own[key], dict) and isinstance(template[key], dict):
            _merge(own[key], template[key], (*path, str(key)), changes)


def _plain(value: Any) -> str:
    return "null" if value is None else str(value)


def _stages_changed(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [f"dvc.yaml: {line}" for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def _uncommitted(root: Path, names: list[str]) -> list[str]:
    done = subprocess.run(
        ["git", "status", "--porcelain", "--", *names], cwd=root, capture_output=True, text=True, check=False
    )
    return [line[3:] for line in done.stdout.splitlines()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommentwiseError(f"cannot read {path} ({error.strerror}): restore it with git") from None


if __name__ == "__main__":
    run_command(main)
