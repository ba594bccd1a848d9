"""Check a registered version by training it again in a temporary clone, with the same commit, raw data and parameters.

  commentwise reproduce champion

The split and the linear models must be identical. The scores and labels of an encoder must be close: its floating-point
sums depend on the machine and the number of threads.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import file_hash, read_json
from commentwise.training.candidate import GRAPH, read_predictions
from commentwise.training.data.stored import store
from commentwise.training.params import write_params
from commentwise.training.project import Project
from commentwise.training.provenance import environment_facts, folder_md5, repository_root
from commentwise.training.registry.tracking import connect
from commentwise.training.registry.versions import downloaded, find_version, manifest_of
from commentwise.training.settings import load_settings

SCORE_TOLERANCE = 0.02
"""Largest allowed difference of an encoder's macro-F1 from the recorded one."""
LABEL_TOLERANCE = 0.05
"""Largest allowed share of test comments for which the encoder predicts another label."""


def main() -> None:
    """Reproduce the version named on the command line. The exit status is 1 if something differs."""
    parser = argparse.ArgumentParser(
        prog="commentwise reproduce",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("version", help="a version's number, or an alias such as champion")
    name, project = parser.parse_args().version, Project()
    version = find_version(connect(project), load_settings(project.params).publish.model, name)
    manifest = manifest_of(version)
    _warn_about_other_packages(manifest["environment"])
    with downloaded(version, "candidates.json") as file, downloaded(version, "candidates") as recorded:
        facts = read_json(file)
        with _rerun(project, manifest, facts) as clone:
            differences = compare(clone, manifest, facts, recorded)
    if differences:
        raise CommentwiseError(f"version {version.version} is not reproduced: {'; '.join(differences)}")
    print(f"reproduce: version {version.version} is reproduced")


def compare(clone: Project, manifest: dict[str, Any], facts: dict[str, Any], recorded: Path) -> list[str]:
    """Compare `clone` with the recorded facts and predictions; print each check, and return those that failed."""
    differences = []

    def check(passed: bool, statement: str) -> None:
        print(f"  {'same' if passed else 'DIFFERENT'}: {statement}")
        if not passed:
            differences.append(statement)

    prepared = folder_md5(clone.prepared)
    check(prepared == manifest["data"]["prepared_md5"], f"split, md5 {prepared}")
    for family, known in facts.items():
        if known["graph_sha256"]:
            digest = file_hash(clone.candidate(family) / GRAPH)
            check(digest == known["graph_sha256"], f"{family}, sha256 of its graph {digest[:12]}…")
        else:
            scores = read_json(clone.evaluated(family))
            for part in ("validation", "test"):
                score = scores[part]["scores"]["macro_f1"]["value"]
                before = known[f"{part}_macro_f1"]
                check(
                    abs(score - before) <= SCORE_TOLERANCE,
                    f"{family}, {part} macro-F1 {score:.4f} (was {before:.4f}, tolerance {SCORE_TOLERANCE:g})",
                )
            share = _changed_labels(clone, recorded, family, manifest["labels"])
            check(
                share <= LABEL_TOLERANCE,
                f"{family}, {share:.1%} of test labels differ (tolerance {LABEL_TOLERANCE:.0%})",
            )
    return differences


def _changed_labels(clone: Project, recorded: Path, family: str, labels: list[str]) -> float:
    before = read_predictions(recorded / family, "test", labels)
    after = read_predictions(clone.candidate(family), "test", labels)
    if before.comment_ids != after.comment_ids:
        return 1.0
    return float((before.predicted != after.predicted).mean())


@contextmanager
def _rerun(project: Project, manifest: dict[str, Any], facts: dict[str, Any]) -> Iterator[Project]:
    """A temporary clone of the version's commit in which the pipeline has run again, starting from the raw comments."""
    commit, dirty = manifest["git"]["commit"], manifest["git"]["dirty"]
    if commit is None or dirty:
        raise CommentwiseError(
            f"the version was trained with uncommitted code ({', '.join(dirty) or 'no git repository'}): "
            "commit it, run `dvc repro --force export` and publish again"
        )
    root = repository_root(project)
    with tempfile.TemporaryDirectory(prefix="commentwise-reproduce-") as name:
        clone = Project(Path(name) / "repository")
        _run(["git", "clone", "--quiet", "--no-checkout", str(root), str(clone.root)], root)
        _run(["git", "checkout", "--quiet", commit], clone.root)
        write_params(_params(root, clone.root, manifest, facts), clone.params)
        _restore_raw(manifest["data"]["raw_md5"], root, clone)
        print(f"reproduce: running the pipeline of commit {commit[:12]} again")
        _run([sys.executable, "-m", "dvc", "repro", "--force", "--downstream", "prepare"], clone.root)
        yield clone


def _restore_raw(md5: str, root: Path, clone: Project) -> None:
    """Copy the raw comments with this md5 from DVC's cache or its remote into the clone."""
    clone.raw.parent.mkdir(parents=True, exist_ok=True)
    with store(root) as kept:
        shutil.copyfile(kept.file(md5, "the raw comments"), clone.raw)
    clone.raw_rejects.write_text("row,reason,text\n", encoding="utf-8")  # the rows set aside are not kept


def _params(root: Path, clone: Path, manifest: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the version; a checkpoint that is a folder outside of git gets its absolute path.

    Raises CommentwiseError if that folder is missing or has changed.
    """
    params, checkpoint = dict(manifest["params"]), manifest["checkpoint"]
    md5 = next((known["local_checkpoint_md5"] for known in facts.values() if known.get("local_checkpoint_md5")), None)
    if md5 is None or _folder_md5(clone, checkpoint) == md5:
        return params
    present = _folder_md5(root, checkpoint)
    if present != md5:
        problem = f"has md5 {present} now" if present else "is missing here"
        raise CommentwiseError(
            f"the version was trained from the checkpoint {checkpoint!r} with md5 {md5}, which {problem}: restore that folder"
        )
    path = str((root / Path(checkpoint).expanduser()).resolve())
    families = params["families"]
    return params | {"families": families | {"bert": families["bert"] | {"checkpoint": path}}}


def _folder_md5(root: Path, checkpoint: str) -> str | None:
    folder = root / Path(checkpoint).expanduser()
    return folder_md5(folder) if folder.is_dir() else None


def _run(command: list[str], folder: Path) -> None:
    """Run a command with its output on the terminal and the tracking store in the clone."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_TRACKING", "DVC_"))
    }
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        raise CommentwiseError(f"`{' '.join(command)}` failed in a clone of the repository; see the message above")


def _warn_about_other_packages(recorded: dict[str, Any]) -> None:
    installed = environment_facts()["packages"]
    for name, number in recorded["packages"].items():
        if installed.get(name) != number:
            print(f"warning: the version was trained with {name} {number}; installed is {installed.get(name, 'none')}")


if __name__ == "__main__":
    run_command(main)
