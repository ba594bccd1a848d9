"""Check a registered version by making it again: same commit, same raw data, same parameters, in a temporary clone.

  python -m commentwise.training.registry.reproduce champion

The split and the linear models must come out identical. An encoder's floating-point sums depend on the machine and its
number of threads, so its scores and labels must come out close.
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

import yaml

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import file_hash, read_json
from commentwise.training.candidate import GRAPH, read_predictions
from commentwise.training.project import CANDIDATES, EVALUATION, FAMILIES, PREPARED, RAW, RAW_REJECTS
from commentwise.training.provenance import environment_facts, folder_md5, repository_root
from commentwise.training.registry.tracking import connect
from commentwise.training.registry.versions import downloaded, find_version, manifest_of
from commentwise.training.settings import PARAMS, load_settings

SCORE_TOLERANCE = 0.02
"""How far an encoder's macro-F1 may come out from the recorded one."""
LABEL_TOLERANCE = 0.05
"""Share of test comments that may get another label from the encoder."""


def main() -> None:
    """Reproduce the version named on the command line; exit with 1 when something differs."""
    parser = argparse.ArgumentParser(
        prog="python -m commentwise.training.registry.reproduce",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("version", help="a version's number, or an alias such as champion")
    version = find_version(connect(), load_settings().publish.model, parser.parse_args().version)
    manifest = manifest_of(version)
    _warn_of_other_packages(manifest["environment"])
    with (
        _rerun(manifest) as clone,
        downloaded(version, "candidates.json") as facts,
        downloaded(version, "candidates") as recorded,
    ):
        differences = compare(clone, manifest, read_json(facts), recorded)
    if differences:
        raise CommentwiseError(f"version {version.version} is not reproduced: {'; '.join(differences)}")
    print(f"reproduce: version {version.version} is reproduced")


def compare(clone: Path, manifest: dict[str, Any], facts: dict[str, Any], recorded: Path) -> list[str]:
    """What came out differently in `clone` than `facts` and the predictions in `recorded` say; prints each check."""
    differences = []

    def check(good: bool, statement: str) -> None:
        print(f"  {'same' if good else 'DIFFERENT'}: {statement}")
        if not good:
            differences.append(statement)

    prepared = folder_md5(clone / PREPARED)
    check(prepared == manifest["data"]["prepared_md5"], f"split, md5 {prepared}")
    for family in FAMILIES:
        graph = clone / CANDIDATES / family / GRAPH
        if facts[family]["graph_sha256"]:
            check(
                file_hash(graph) == facts[family]["graph_sha256"],
                f"{family}, sha256 of its graph {file_hash(graph)[:12]}…",
            )
        else:
            scores = read_json(clone / EVALUATION / family / "metrics.json")
            for part in ("validation", "test"):
                score = scores[part]["scores"]["macro_f1"]["value"]
                before = facts[family][f"{part}_macro_f1"]
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


def _changed_labels(clone: Path, recorded: Path, family: str, labels: list[str]) -> float:
    before = read_predictions(family, "test", labels, recorded)
    after = read_predictions(family, "test", labels, clone / CANDIDATES)
    if before.comment_ids != after.comment_ids:
        return 1.0
    return float((before.predicted != after.predicted).mean())


@contextmanager
def _rerun(manifest: dict[str, Any]) -> Iterator[Path]:
    """A clone at the version's commit in which the pipeline ran again, from the raw comments on."""
    commit, dirty = manifest["git"]["commit"], manifest["git"]["dirty"]
    if commit is None or dirty:
        raise CommentwiseError(
            f"the version was made from code that no commit holds ({', '.join(dirty) or 'no git repository'}): "
            "commit it, run `dvc repro --force export` and publish again"
        )
    root = repository_root()
    with tempfile.TemporaryDirectory(prefix="commentwise-reproduce-") as name:
        clone = Path(name) / "repository"
        _run(["git", "clone", "--quiet", "--no-checkout", str(root), str(clone)], root)
        _run(["git", "checkout", "--quiet", commit], clone)
        (clone / PARAMS).write_text(
            yaml.safe_dump(manifest["params"], sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        _restore_raw(manifest["data"]["raw_md5"], root, clone)
        print(f"reproduce: running the pipeline of commit {commit[:12]} again")
        _run([sys.executable, "-m", "dvc", "repro", "--force", "--downstream", "prepare"], clone)
        yield clone


def _restore_raw(md5: str, root: Path, clone: Path) -> None:
    """Put the raw comments of that md5 into the clone, from DVC's cache or its remote."""
    cached = root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    if not cached.is_file():
        subprocess.run(
            [sys.executable, "-m", "dvc", "fetch", "--run-cache", "--all-commits"],
            cwd=root,
            check=False,
            capture_output=True,
        )
    if not cached.is_file():
        raise CommentwiseError(
            f"the raw comments with md5 {md5} are neither in DVC's cache nor in its remote: get them back with `dvc pull`"
        )
    (clone / RAW).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(cached, clone / RAW)
    (clone / RAW_REJECTS).touch()


def _run(command: list[str], folder: Path) -> None:
    """Run a command whose output goes to the terminal, with tracking that ends with the clone."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_TRACKING", "DVC_"))
    }
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        raise CommentwiseError(f"`{' '.join(command)}` failed in a clone of the repository; its message stands above")


def _warn_of_other_packages(recorded: dict[str, Any]) -> None:
    here = environment_facts()
    for name, number in recorded["packages"].items():
        if here["packages"].get(name) != number:
            print(f"warning: made with {name} {number}, and here is {here['packages'].get(name, 'none')}")


if __name__ == "__main__":
    run_command(main)
